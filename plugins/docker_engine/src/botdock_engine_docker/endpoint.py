"""Where the Docker engine listens: by the configuration, Docker's own variables and its contexts.

Contexts are read as `docker context use` writes them: the name in `config.json`, the endpoint in
`contexts/meta/<SHA-256 of the name>/meta.json`, its certificates in `contexts/tls/<the same>/docker`.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import attrs

from botdock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdock_engine_docker.settings import DockerSettings

DEFAULT_SOCKET = "/var/run/docker.sock"
"""Where Docker's own packages listen; the docker command has the same default."""
DEFAULT_CONTEXT = "default"
"""The context that means Docker's own socket."""
_LONGEST_SOCKET = 107
"""Bytes of `sun_path` (unix(7)) before its NUL."""


@attrs.frozen(kw_only=True)
class Certificates:
    """The files of a mutual TLS connection, named as the docker command names them.

    Attributes:
        authority: Who signed the daemon's certificate; None for the system's authorities.
        client: Our certificate and its key, where we have one.
    """

    authority: str | None = None
    client: tuple[str, str] | None = None


@attrs.frozen(kw_only=True)
class Ssh:
    """A daemon's socket on a machine that ssh reaches.

    Attributes:
        host: A name that ssh knows.
        user: Empty for the one that ssh's configuration says.
        port: 0 for the same.
        socket: Its path there.
    """

    host: str
    user: str = ""
    port: int = 0
    socket: str = DEFAULT_SOCKET


@attrs.frozen(kw_only=True)
class Endpoint:
    """Where the engine listens.

    Attributes:
        url: The address as a user writes it; what messages name.
        socket: Path of its Unix socket, or empty.
        ssh: Where it is behind ssh, or None.
        address: Host and port of its TCP socket; not used with `socket` and `ssh`.
        certificates: For TLS; None for a plain connection.
        shared_disk: Whether it sees our files under the same paths, so that they can be bind-mounted; None for a local
            socket of which nothing says so: behind it may be another machine, or another container's view of this one.
    """

    url: str
    socket: str = ""
    ssh: Ssh | None = None
    address: tuple[str, int] = ("", 0)
    certificates: Certificates | None = None
    shared_disk: bool | None = None


def find_endpoint(settings: DockerSettings, environ: Mapping[str, str] | None = None) -> Endpoint:
    """Return where the engine listens: `docker.host`, else DOCKER_HOST, else Docker's context, else its own socket.

    Args:
        settings: The settings.
        environ: In place of `os.environ`.

    Raises:
        ConfigError: The address or the certificates are wrong.
    """
    environ = os.environ if environ is None else environ
    url, source = settings.host.strip(), "docker.host"
    if not url:
        url, source = environ.get("DOCKER_HOST", "").strip(), "DOCKER_HOST"
    if url or not (endpoint := _of_context(environ)):
        url = url or f"unix://{DEFAULT_SOCKET}"
        endpoint = _parse(url, source)
        if endpoint.address[1] and _wants_tls(settings, environ, url):
            chosen = settings.cert_path or environ.get("DOCKER_CERT_PATH", "")
            found = _read_certificates(Path(chosen).expanduser(), "docker.cert_path") if chosen else Certificates()
            endpoint = attrs.evolve(endpoint, certificates=found)
    if settings.shared_disk is not None:
        return attrs.evolve(endpoint, shared_disk=settings.shared_disk)
    return endpoint if endpoint.socket else attrs.evolve(endpoint, shared_disk=False)


def _of_context(environ: Mapping[str, str]) -> Endpoint | None:
    """Return where the context listens that the docker command would use, None for the default one.

    Raises:
        ConfigError: The context is not known, or its files cannot be read.
    """
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "~").expanduser() / ".docker")
    name, source = environ.get("DOCKER_CONTEXT", ""), "DOCKER_CONTEXT"
    if not name:
        source = str(folder / "config.json")
        name = str(_read(folder / "config.json").get("currentContext") or DEFAULT_CONTEXT)
    if name == DEFAULT_CONTEXT:
        return None
    key = hashlib.sha256(name.encode()).hexdigest()
    endpoints = _read(folder / "contexts" / "meta" / key / "meta.json").get("Endpoints", {})
    docker = endpoints.get("docker", {}) if isinstance(endpoints, dict) else {}
    if not isinstance(docker, dict) or not isinstance(host := docker.get("Host"), str):
        raise ConfigError(
            [f"{source}: no Docker context {name!r} in {folder / 'contexts'}"],
            hint="`docker context ls` shows those there are; `docker context use NAME` or docker.host picks one.",
        )
    endpoint, tls = _parse(host, f"Docker context {name!r}"), folder / "contexts" / "tls" / key / "docker"
    if not endpoint.address[1] or not (tls.is_dir() or docker.get("SkipTLSVerify")):
        return endpoint
    # a context that skips the verification speaks TLS all the same; here it is never skipped
    return attrs.evolve(
        endpoint, certificates=_read_certificates(tls, endpoint.url) if tls.is_dir() else Certificates()
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


def _parse(url: str, source: str) -> Endpoint:
    parts = urlsplit(url)
    match parts.scheme:
        case "unix" if len(os.fsencode(url)) > _LONGEST_SOCKET + len("unix://"):
            raise ConfigError([f"{source}: {url!r} is longer than a socket's path can be: {_LONGEST_SOCKET} bytes"])
        case "unix" if parts.netloc + parts.path:
            return Endpoint(url=url, socket=f"/{(parts.netloc + parts.path).lstrip('/')}")
        case "tcp" | "http" | "https":
            if not parts.hostname or not (port := _port(parts)):
                raise ConfigError([f"{source}: {url!r} needs a host and a port, such as tcp://127.0.0.1:2376"])
            return Endpoint(url=url, address=(parts.hostname, port))
        case "ssh":
            return Endpoint(url=url, ssh=_behind_ssh(parts, url, source))
    raise ConfigError(
        [
            f"{source}: {url!r} is not an address of Docker; write unix:///path/to.sock, tcp://host:port or ssh://user@host"
        ]
    )


def _behind_ssh(parts: SplitResult, url: str, source: str) -> Ssh:
    host, user = parts.hostname or "", parts.username or ""
    if parts.password is not None:
        raise ConfigError([f"{source}: an address of ssh has no password in it: ssh takes keys"])
    if not host or host.startswith("-") or user.startswith("-") or parts.query or parts.fragment:
        raise ConfigError(
            [f"{source}: {url!r} is not an address of ssh; write ssh://user@host, or ssh://host/path.sock"]
        )
    socket = parts.path if parts.path not in {"", "/"} else DEFAULT_SOCKET
    return Ssh(host=host, user=user, port=_port(parts) or 0, socket=socket)


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        return None


def _wants_tls(settings: DockerSettings, environ: Mapping[str, str], url: str) -> bool:
    from_environment = not settings.host and bool(environ.get("DOCKER_TLS_VERIFY"))
    return settings.tls_verify or from_environment or url.startswith("https:")


def _read_certificates(folder: Path, source: str) -> Certificates:
    names = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    if missing := [str(path) for path in names.values() if not path.is_file()]:
        raise ConfigError(
            [f"{source}: no file {path}" for path in missing],
            hint="The folder holds ca.pem, cert.pem and key.pem, as the docker command's does.",
        )
    return Certificates(authority=str(names["ca"]), client=(str(names["cert"]), str(names["key"])))
