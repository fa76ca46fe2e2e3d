"""A MinIO server of our own, on loopback, with its own data."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.console import TestbedError, run
from testbed.minio_program import ensure_minio
from testbed.packages import find_program
from testbed.processes import comes_up, end_process, read_or_empty

if TYPE_CHECKING:
    from botdock_storage_minio.client import Client

_ATTEMPTS = 3
"""How often a port is looked for: between finding a free one and using it, another process may take it."""


class MinioServer:
    """A server whose port, keys and process stand in a file of its folder, so that several processes share it.

    Args:
        folder: Where its data lies.
        tls: Whether it talks TLS, with a certificate of its own making.
        region: The only one that it accepts; empty means any.
    """

    def __init__(self, folder: Path, *, tls: bool = False, region: str = "") -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log_file = folder / "minio.log"
        self.tls = tls
        self.region = region
        self._state_file = folder / "server.json"
        self._certificates = folder / "certs"

    @property
    def endpoint(self) -> str:
        """Where it listens, as `host:port`."""
        return f"127.0.0.1:{self._state['port']}"

    @property
    def access_key(self) -> str:
        """The name of its only key."""
        return str(self._state["access_key"])

    @property
    def secret_key(self) -> str:
        """Its only key."""
        return str(self._state["secret_key"])

    @property
    def cert_file(self) -> str:
        """The certificate that it shows, which is also the authority for it; empty without TLS."""
        return str(self._certificates / "public.crt") if self.tls else ""

    @property
    def pid(self) -> int | None:
        """The pid of the running server, whichever worker started it."""
        pid = int(self._state.get("pid", 0))
        return pid if pid and str(self.data).encode() in read_or_empty(Path(f"/proc/{pid}/cmdline")) else None

    def start(self) -> None:
        """Start it and wait until it is ready; one that runs already is kept, and a port, once chosen, too.

        Raises:
            TestbedError: It did not come up, with the end of its log; or there is no such program.
        """
        if self.pid is not None and self.answers():
            return
        self.kill()
        program = ensure_minio()
        self.data.mkdir(parents=True, exist_ok=True)
        if self.tls:
            self._make_certificate()
        port_is_known = bool(self._state)
        for _ in range(1 if port_is_known else _ATTEMPTS):
            if self._run(program):
                return
            if not port_is_known:
                self._state_file.unlink()
        raise TestbedError(f"MinIO did not come up; the end of {self.log_file}:\n{self.log_tail()}")

    def answers(self) -> bool:
        """Whether it is ready."""
        scheme, context = "http", None
        if self.tls:
            scheme, context = "https", ssl.create_default_context(cafile=self.cert_file)
        try:
            with urllib.request.urlopen(
                f"{scheme}://{self.endpoint}/minio/health/ready", timeout=5, context=context
            ) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order; its data stays."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it and start it again, on the same port."""
        self.kill()
        self.start()

    def delete(self) -> None:
        """Kill it, and delete its data and its port."""
        self.kill()
        for path in (self.data, self._certificates):
            shutil.rmtree(path, ignore_errors=True)
        self._state_file.unlink(missing_ok=True)

    def uploads(self) -> list[Path]:
        """Return the files of multipart uploads that were neither completed nor aborted."""
        return [path for path in (self.data / ".minio.sys/multipart").rglob("*") if path.is_file()]

    def log_tail(self, lines: int = 20) -> str:
        """Return the end of its log."""
        return "\n".join(read_or_empty(self.log_file).decode(errors="replace").splitlines()[-lines:])

    @property
    def _state(self) -> dict[str, str | int]:
        text = read_or_empty(self._state_file)
        return json.loads(text) if text else {}

    def _save(self, state: dict[str, str | int]) -> None:
        draft = self._state_file.with_suffix(".new")
        draft.write_text(json.dumps(state))
        draft.replace(self._state_file)

    def _run(self, program: Path) -> bool:
        if not self._state:
            self._save({"port": _free_port(), "access_key": "testbed", "secret_key": secrets.token_urlsafe(24)})
        with self.log_file.open("wb") as log:
            process = subprocess.Popen(
                self._command(program),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C reaches the tests and not the server, which they stop
            )
        self._save({**self._state, "pid": process.pid})
        if not comes_up(process, self.answers):
            return False
        process.returncode = 0  # it outlives this object on purpose: another worker may stop it, by its pid
        return True

    def _command(self, program: Path) -> list[str]:
        certificates = ["--certs-dir", str(self._certificates)] if self.tls else []
        return [str(program), "server", "--quiet", "--address", self.endpoint, *certificates, str(self.data)]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MINIO_")}
        return {
            **kept,
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "MINIO_SITE_REGION": self.region,
        }

    def _make_certificate(self) -> None:
        if Path(self.cert_file).is_file():
            return
        if find_program("openssl") is None:
            raise TestbedError("a MinIO server with TLS needs `openssl` to make its certificate")
        self._certificates.mkdir(parents=True)
        options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        names = ["-subj", "/CN=testbed", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        files = ["-keyout", str(self._certificates / "private.key"), "-out", self.cert_file]
        run(["openssl", "req", *options, *names, *files], timeout=60)

    def _end(self, number: signal.Signals) -> None:
        if (pid := self.pid) is not None:
            end_process(pid, number)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def uploads_of(client: Client, bucket: str, name: str) -> list[str]:
    """Return the ids of the unfinished multipart uploads to exactly that name: a MinIO does not list others."""
    found = client._run(lambda: client._list_multipart_uploads(bucket, prefix=name))
    return [upload.upload_id or "" for upload in found.uploads if upload.object_name == name]
