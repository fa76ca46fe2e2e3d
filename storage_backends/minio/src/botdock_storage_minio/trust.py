"""Whose certificates are believed."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import certifi

from botdock.errors import ConfigError


def trust(cert_file: str) -> ssl.SSLContext:
    """Return a context that checks certificates against `cert_file`, else against SSL_CERT_FILE, else the usual ones.

    The usual ones are those of the system and, for images that have none, those that come with `certifi`.

    Raises:
        ConfigError: The file holds no certificates.
    """
    try:
        context = ssl.create_default_context(cafile=str(Path(cert_file).expanduser()) if cert_file else None)
    except OSError as error:
        raise ConfigError(
            [f"minio.cert_file: {cert_file!r} holds no certificates that can be read: {error}"],
            hint="It must be PEM: one or more blocks that begin with -----BEGIN CERTIFICATE-----.",
        ) from error
    if not cert_file and not os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(certifi.where())
    return context
