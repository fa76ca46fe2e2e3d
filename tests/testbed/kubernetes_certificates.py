"""The keys of a cluster of our own: one authority, one certificate, and one token that may do everything."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from testbed.console import run
from testbed.packages import ensure_programs

SERVICE = "10.96.0.1"
"""The API server's address as pods know it: that of the Service `kubernetes`."""
_DAYS = ("-days", "7")
_TIMEOUT = 60.0


def make_certificates(folder: Path, address: str) -> None:
    """Write `ca.crt`, `api.crt`, `api.key`, `accounts.key`, `accounts.pub` and `tokens.csv` into a new folder.

    Args:
        folder: It is made.
        address: Of the API server, beside this machine's own names.
    """
    ensure_programs("openssl")
    folder.mkdir()
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
    addresses = [address, SERVICE, "127.0.0.1"]
    alternative = ",".join([*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)])
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    asked = ("-subj", "/O=system:masters/CN=kube-apiserver", "-addext", f"subjectAltName={alternative}")
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
    for command in (
        ("req", "-x509", *key, *_DAYS, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=testbed"),
        ("req", *key, "-keyout", "api.key", "-out", "api.csr", *asked),
        ("x509", "-req", *signed, *_DAYS, "-in", "api.csr", "-copy_extensions", "copy", "-out", "api.crt"),
        ("genrsa", "-out", "accounts.key", "2048"),
        ("rsa", "-in", "accounts.key", "-pubout", "-out", "accounts.pub"),
    ):
        run(["openssl", *command], timeout=_TIMEOUT, cwd=folder)
    (folder / "tokens.csv").write_text(f'{secrets.token_hex(16)},admin,admin,"system:masters"\n')


def write_kubeconfig(path: Path, server: str, certificates: Path) -> None:
    """Write a kubeconfig of that token."""
    token = (certificates / "tokens.csv").read_text().partition(",")[0]
    authority = str(certificates / "ca.crt")
    path.touch(mode=0o600)
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority": authority}}],
                "users": [{"name": "admin", "user": {"token": token}}],
                "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "admin"}}],
                "current-context": "testbed",
            }
        )
    )
