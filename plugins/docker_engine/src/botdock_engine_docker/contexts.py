"""The docker command's contexts: which one is in use, and where its engine listens.

Read as `docker context use` writes them: the name in `config.json`, the endpoint in
`contexts/meta/<SHA-256 of the name>/meta.json`, its certificates in `contexts/tls/<the same>/docker`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "default"
"""The context that is none: Docker's own socket."""


@attrs.frozen(kw_only=True)
class Context:
    """A context.

    Attributes:
        name: What `docker context ls` calls it.
        host: Address of its engine.
        verify: Whether its daemon has to prove who it is.
        certificates: Folder of its ca.pem, cert.pem and key.pem; None where it has none.
    """

    name: str
    host: str
    verify: bool
    certificates: Path | None


def current_context(environ: Mapping[str, str]) -> Context | None:
    """Return the context that the docker command would use, None for the default one.

    Raises:
        ConfigError: There is no such context, or its files cannot be read.
    """
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "~").expanduser() / ".docker")
    name, source = environ.get("DOCKER_CONTEXT", ""), "DOCKER_CONTEXT"
    if not name:
        name, source = str(_read(folder / "config.json").get("currentContext") or DEFAULT), str(folder / "config.json")
    if name == DEFAULT:
        return None
    key = hashlib.sha256(name.encode()).hexdigest()
    endpoint = _read(folder / "contexts" / "meta" / key / "meta.json").get("Endpoints", {})
    docker = endpoint.get("docker", {}) if isinstance(endpoint, dict) else {}
    host = docker.get("Host") if isinstance(docker, dict) else None
    if not isinstance(host, str):
        raise ConfigError(
            [f"{source}: no Docker context {name!r} in {folder / 'contexts'}"],
            hint="`docker context ls` shows those there are; `docker context use NAME` or docker.host picks one.",
        )
    tls = folder / "contexts" / "tls" / key / "docker"
    return Context(
        name=name, host=host, verify=not docker.get("SkipTLSVerify"), certificates=tls if tls.is_dir() else None
    )


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object, an empty one where the file is absent.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    return document if isinstance(document, dict) else {}
