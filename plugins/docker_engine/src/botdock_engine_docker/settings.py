"""The settings of this engine."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from botdock.config import Section, rules, setting
from botdock.config.rules import Rule
from botdock.errors import ConfigError
from botdock.model.limits import RANGES
from botdock.model.units import Bytes, Seconds

_SCHEMES = ("unix://", "tcp://", "http://", "https://", "ssh://", "npipe://")


def _host_problem(host: str) -> str | None:
    with suppress(ValueError):  # an address or a port that none can be
        if not host or (host.startswith(_SCHEMES) and urlsplit(host).port != 0):
            return None
    return f"{host!r} is not the address of a daemon; write for example unix:///run/docker.sock or tcp://host:2376"


def _memory_problem(size: int) -> str | None:
    return rules.number(*RANGES["memory"], " bytes, or 0").problem(size) if size else None


def _version_problem(text: str) -> str | None:
    return None if re.fullmatch(r"([0-9]+\.[0-9]+)?", text) else f"{text!r} must be a version such as 1.41"


@attrs.frozen(kw_only=True)
class DockerSettings(Section):
    """The settings of this engine: `[docker]`, or `[options.docker]`.

    Attributes:
        host: `unix:///run/docker.sock`, `tcp://host:2376`; empty means DOCKER_HOST, else the context in use.
        api_version: Such as `1.41`; empty means the newest that both sides speak.
        tls_verify: Whether to talk TLS and check the daemon's certificate.
        cert_path: Folder with `ca.pem`, `cert.pem` and `key.pem`.
        connect_timeout: To open a connection.
        memory_limit: Default memory of a container on this engine; 0 means `runtime.limits.memory`.
        cpu_shares: Relative weight when processors are short; 0 means the daemon's default.
        seccomp: File with a seccomp profile, JSON as `docker run --security-opt` takes it; empty means botdock's own,
            which is narrower than Docker's default.
        users: `first:count` of the user ids that bots run as, each with one of its own; nothing else on the daemon's
            machine should use them, nor another daemon's bots.
        runtime: OCI runtime such as `runsc`; empty means the daemon's default.
        shared_disk: Whether the daemon sees this machine's files under the same paths; None means that it does where it
            is spoken to over a local socket.
    """

    host: str = setting("", rule=Rule(_host_problem))
    api_version: str = setting("", rule=Rule(_version_problem))
    tls_verify: bool = False
    cert_path: str = setting("", rule=rules.PATH)
    connect_timeout: Seconds = setting(5.0, rule=rules.WAIT)
    memory_limit: Bytes = setting(
        0, rule=Rule(_memory_problem), tightens=lambda before, after: 0 < after < before, limit="memory"
    )
    cpu_shares: int = setting(0, rule=rules.number(0, 262_144))  # the kernel's largest
    seccomp: str = setting("", rule=rules.PATH)
    users: str = setting("2000000:65536", rule=rules.USERS)
    runtime: str = ""
    shared_disk: bool | None = None


def read_profile(path: str) -> str:
    """Return an operator's own profile, JSON as `docker run --security-opt seccomp=FILE` takes it; empty for no path.

    Raises:
        ConfigError: It cannot be read, or is not a profile.
    """
    if not path:
        return ""
    try:
        document = json.loads(Path(path).expanduser().read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError([f"docker.seccomp: {path!r} cannot be read as JSON: {error}"]) from error
    if not isinstance(document, dict) or not isinstance(document.get("defaultAction"), str):
        raise ConfigError([f"docker.seccomp: {path!r} is not a seccomp profile: it has no defaultAction"])
    return json.dumps(document, separators=(",", ":"))
