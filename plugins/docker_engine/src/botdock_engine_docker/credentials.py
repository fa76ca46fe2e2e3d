"""The user's credentials for registries, as `docker login` keeps them.

They are in `config.json` of `~/.docker`, or of the folder that DOCKER_CONFIG names: `credHelpers` and `credsStore` name
programs that are asked (`docker-credential-<name> get`), `auths` holds them itself. Docker's own order is kept.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdock_engine_docker.errors import LOGIN
from botdock_engine_docker.wire import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdock.errors import ImageError
    from botdock_engine_docker.errors import Call

HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"
"""What `docker login` calls Docker Hub."""
HELPER_TIMEOUT = 60.0
"""Seconds that a program has to tell credentials; one that asks its user something never does."""
_LOOK = 0.2
"""Seconds between two looks at it, and at whether the pull is still wanted."""
_NOT_FOUND = "credentials not found"
"""What a program says, among other words, that has none (docker-credential-helpers, credentials/error.go)."""
_TOKEN = "<token>"  # noqa: S105 - the user name that says that the secret is a token
_SHOWN = 200
_MEND = f"{LOGIN} Docker's config.json names that program: install it, or take it out there."


def registry_of(image: str) -> str:
    """Return the registry of an image's name, as Docker reads it: `docker.io` where it names none."""
    first, slash, _ = image.partition("/")
    named = slash and (set(first) & set(".:") or first == "localhost" or first != first.lower())
    return first if named and first != "index.docker.io" else HUB


def registry_headers(registry: str, call: Call, *, tick: Callable[[], object]) -> dict[str, str]:
    """Return the headers that carry the user's credentials for a registry; none where there are none.

    Args:
        registry: Its `host` or `host:port`.
        call: For messages.
        tick: Called while a program is waited for; what it raises ends the wait.

    Raises:
        ImageError: The file, or the program that keeps them, does not tell them.
    """
    config, key = _read_config(call), _HUB_KEY if registry == HUB else registry
    found: dict[str, Any] | None = None
    if helper := _mapping(config.get("credHelpers")).get(registry) or config.get("credsStore"):
        found = _ask(str(helper), key, call, tick)
    if found is None:
        found = _in_file(_mapping(config.get("auths")), registry, call)
    if found is None:
        return {}
    content = json.dumps({**found, "serveraddress": key}).encode()
    return {"X-Registry-Auth": base64.urlsafe_b64encode(content).decode()}


def _read_config(call: Call) -> dict[str, Any]:
    path = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise call.image_error(f"{path} cannot be read: {error}", hint=LOGIN) from error
    return _mapping(config)


def _in_file(auths: Mapping[str, Any], registry: str, call: Call) -> dict[str, Any] | None:
    entry = _mapping(next((value for key, value in auths.items() if _host(key) == registry), None))
    if token := entry.get("identitytoken"):
        return {"identitytoken": token}
    if token := entry.get("registrytoken"):
        return {"registrytoken": token}
    if packed := entry.get("auth"):
        try:
            user, _, password = base64.b64decode(str(packed), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise call.image_error(f"no credentials for {registry}: its `auth` is damaged", hint=LOGIN) from error
        return {"username": user, "password": password.rstrip("\0")}
    if "username" in entry and "password" in entry:
        return {"username": entry["username"], "password": entry["password"]}
    return None


def _host(key: str) -> str:
    """Return the registry that a key of `auths` means: older ones are addresses."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return HUB if host in {HUB, "index.docker.io"} else host


def _ask(helper: str, key: str, call: Call, tick: Callable[[], object]) -> dict[str, Any] | None:
    """Ask the program that keeps credentials; None when it has none for that registry."""

    def fails(problem: str) -> ImageError:
        return call.image_error(f"no credentials for {key}: {program}: {problem}", hint=_MEND)

    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise fails("its name is a path")
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    try:
        process = subprocess.Popen([program, "get"], stdin=pipe, stdout=pipe, stderr=null)
    except OSError as error:
        raise fails(error.strerror or str(error)) from error
    with process:
        out = _answer(process, key.encode(), tick)
    if out is None:
        raise fails(f"it did not answer within {HELPER_TIMEOUT:g} s")
    if process.returncode:
        said = out.decode("utf-8", "replace").strip()
        if _NOT_FOUND in said.lower():
            return None
        raise fails(said[:_SHOWN] or f"exit code {process.returncode}")
    try:
        document = json.loads(out)
        user, secret = str(document["Username"]), str(document["Secret"])
    except (ValueError, KeyError, TypeError):
        raise fails("what it says is not credentials") from None  # its words may hold the secret
    return {"identitytoken": secret} if user == _TOKEN else {"username": user, "password": secret}


def _answer(process: subprocess.Popen[bytes], given: bytes | None, tick: Callable[[], object]) -> bytes | None:
    """Return what a program says when it is told something; None when it takes too long. It has ended afterwards."""
    deadline = Deadline(HELPER_TIMEOUT)
    try:
        while not deadline.passed:
            try:
                return process.communicate(given, timeout=_LOOK)[0]
            except subprocess.TimeoutExpired:
                given = None  # it has been sent
                tick()
        return None
    finally:
        process.kill()  # nothing, where it has ended


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
