"""A private `dockerd` that sees none of our files, as one on another machine: behind TLS, or by its socket."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from testbed.console import run
from testbed.daemon import PrivateDaemon

_ROOT = Path(__file__).parents[2]
_HIDE = 'until [ "$1" = -- ]; do mount -t tmpfs none "$1" || exit 1; shift; done; shift; exec "$@"'
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


class ForeignDaemon(PrivateDaemon):
    """A daemon in a mount namespace of its own, where the worktree and the folder for temporary files are empty.

    So a bind of a path of ours either fails or shows nothing.
    """

    def __init__(self, folder: Path, suite: str | None = None) -> None:
        super().__init__(folder, suite)
        self.certificates = folder / "certificates"
        self._port_file = folder / "port"

    @property
    def url(self) -> str:
        """Where it listens with TLS; its certificate is for `localhost`, and it wants one of us."""
        return f"tcp://localhost:{self.port}"

    @property
    def port(self) -> int:
        """That it listens at with TLS, whichever worker started it."""
        return int(self._port_file.read_text())

    def _command(self) -> list[str]:
        make_certificates(self.certificates)
        self._port_file.write_text(str(free_port()))
        places = {str(_ROOT), tempfile.gettempdir(), os.environ.get("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())}
        hidden = sorted(place for place in places if not self.folder.is_relative_to(place))
        return [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", _HIDE, "sh", *hidden, "--"),
            *super()._command(),
            f"--host=tcp://127.0.0.1:{self.port}",
            "--tlsverify",
            f"--tlscacert={self.certificates / 'ca.pem'}",
            f"--tlscert={self.certificates / 'cert.pem'}",
            f"--tlskey={self.certificates / 'key.pem'}",
        ]


def make_certificates(folder: Path, *, days: int = 30) -> None:
    """Make `ca.pem`, and by it `cert.pem` with `key.pem` that both sides may use, as Docker's documentation has it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "names").write_text(_NAMES)
    authority = ("-x509", *_CURVE, "-days", str(days), "-subj", "/CN=authority", "-keyout", "ca-key.pem")
    _openssl(folder, "req", *authority, "-out", "ca.pem")
    _openssl(folder, "req", *_CURVE, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem")
    signed = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", str(days), "-extfile", "names")
    _openssl(folder, "x509", "-req", "-in", "request.pem", *signed, "-out", "cert.pem")


def _openssl(folder: Path, *arguments: str) -> None:
    run(["openssl", *arguments], timeout=60, cwd=folder)


def free_port() -> int:
    """Return a port of the loopback that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
