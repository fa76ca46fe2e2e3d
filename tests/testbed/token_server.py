"""A server that gives bearer tokens to those a registry shall let in, as public registries have one."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from testbed.console import run

SERVICE, ISSUER = "bots", "testbed"
LIFE = 300
"""Seconds that a token is good for."""


class TokenServer:
    """Listens on loopback; answers those with the right name and password.

    Args:
        folder: For its key and certificate.
        login: The name and the password, as `name:password`.

    Attributes:
        asked: The paths and queries that were asked for.
    """

    def __init__(self, folder: Path, login: str) -> None:
        self.asked: list[str] = []
        self._folder = folder
        self._basic = f"Basic {base64.b64encode(login.encode()).decode()}"
        subject = ["-subj", f"/CN={ISSUER}", "-days", "2"]
        new_key = ["-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
        run(["openssl", "req", *new_key, *subject], timeout=60, cwd=folder)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def settings(self) -> dict[str, object]:
        """Return what the registry is to know of it."""
        realm = f"http://127.0.0.1:{self._server.server_port}/token"
        certificate = str(self._folder / "cert.pem")
        return {"token": {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": certificate}}

    def token(self, *scopes: str) -> str:
        """Return a token for scopes such as `repository:NAME:pull,push`."""
        now = int(time.time())
        access = [_access(scope) for scope in scopes]
        claims = {"iss": ISSUER, "sub": "bot", "aud": SERVICE, "iat": now, "nbf": now - 60, "exp": now + LIFE}
        lines = (self._folder / "cert.pem").read_text().splitlines()
        head = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(line for line in lines if not line.startswith("-"))]}
        text = f"{_packed(head)}.{_packed({**claims, 'jti': uuid.uuid4().hex, 'access': access})}"
        command = ["openssl", "dgst", "-sha256", "-sign", str(self._folder / "key.pem")]
        signature = subprocess.run(command, input=text.encode(), capture_output=True, check=True, timeout=60).stdout
        return f"{text}.{_base64(signature)}"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if self.headers.get("Authorization") == server._basic:
                    query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                    self._answer(200, {"token": server.token(*query.get("scope", [])), "expires_in": LIFE})
                else:
                    error = {"code": "UNAUTHORIZED", "message": "incorrect username or password"}
                    self._answer(401, {"errors": [error]})

            def _answer(self, status: int, document: dict[str, Any]) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _access(scope: str) -> dict[str, object]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def _packed(document: dict[str, Any]) -> str:
    return _base64(json.dumps(document, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
