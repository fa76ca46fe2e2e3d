"""Credentials for registries: those of the user's own `docker login`, in each form that Docker keeps them in."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import ImageError
from botdock.model import PullPolicy
from botdock_engine_docker import credentials
from botdock_engine_docker.credentials import registry_headers, registry_of
from botdock_engine_docker.engine import DockerEngine
from botdock_engine_docker.errors import Call

CALL = Call(operation="ensure_image", url="unix:///run/d.sock", image="bots:1")
FARM = "farm.example:5000"
AUTH = base64.b64encode(b"me:pass:word").decode()
OURS = {"username": "me", "password": "pass:word", "serveraddress": FARM}
Keep = Callable[..., None]


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Return a function that writes Docker's file, and programs that keep credentials."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def write(config: object, **programs: str) -> None:
        (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        for name, script in programs.items():
            path = tmp_path / f"docker-credential-{name}"
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

    return write


def sent(registry: str = FARM) -> Any:
    headers = registry_headers(registry, CALL, tick=lambda: None)
    packed = headers.get("X-Registry-Auth")
    return None if packed is None else json.loads(base64.urlsafe_b64decode(packed))


def test_without_a_file_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert sent() is None


@pytest.mark.parametrize(
    ("key", "entry", "expected"),
    [
        (FARM, {"auth": AUTH}, OURS),
        (f"https://{FARM}/v1/", {"auth": AUTH}, OURS),
        (f"http://{FARM}", {"username": "me", "password": "pass:word"}, OURS),
        (FARM, {"auth": AUTH, "identitytoken": "t"}, {"identitytoken": "t", "serveraddress": FARM}),
        (FARM, {"registrytoken": "t"}, {"registrytoken": "t", "serveraddress": FARM}),
        (FARM, {}, None),
        (FARM, "damaged", None),
        ("farm.example", {"auth": AUTH}, None),
    ],
)
def test_those_in_the_file_are_sent(keep: Keep, key: str, entry: object, expected: object) -> None:
    keep({"auths": {"other.example": {"auth": "b3RoZXI6b3RoZXI="}, key: entry}})
    assert sent() == expected


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_hub_has_several_names(keep: Keep, key: str) -> None:
    keep({"auths": {key: {"auth": AUTH}}})
    assert sent("docker.io") == {**OURS, "serveraddress": "https://index.docker.io/v1/"}


SAYS = """read server; echo '{"ServerURL": "'$server'", "Username": "%s", "Secret": "%s"}'"""


def test_a_program_that_keeps_them_is_asked(keep: Keep) -> None:
    programs = {"one": SAYS % ("me", "pass:word"), "all": SAYS % ("<token>", "t")}
    keep({"credHelpers": {FARM: "one"}, "credsStore": "all", "auths": {FARM: {"auth": "eDp5"}}}, **programs)
    assert sent() == OURS
    assert sent("other.example") == {"identitytoken": "t", "serveraddress": "other.example"}


def test_one_that_has_none_leaves_it_to_the_file(keep: Keep) -> None:
    keep(
        {"credsStore": "empty", "auths": {FARM: {"auth": AUTH}}},
        empty="echo credentials not found in native keychain; exit 1",
    )
    assert sent() == OURS
    assert sent("other.example") is None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo the key ring is locked; exit 1", "docker-credential-bad: the key ring is locked"),
        ("exit 3", "exit code 3"),
        ('echo \'{"Secret": "canary"\'', "what it says is not credentials"),
        ("echo '[\"canary\"]'", "what it says is not credentials"),
    ],
)
def test_one_that_fails_is_named_and_no_secret_is_told(keep: Keep, script: str, said: str) -> None:
    keep({"credHelpers": {FARM: "bad"}}, bad=script)
    with pytest.raises(ImageError, match="no credentials for farm") as caught:
        sent()
    assert said in caught.value.message
    assert "docker login" in str(caught.value.hint)
    chain = [caught.value, caught.value.__cause__]
    assert not any("canary" in repr(vars(one)) for one in chain if one is not None)


@pytest.mark.parametrize("name", ["absent", "../absent"])
def test_one_that_is_not_there_is_named(keep: Keep, name: str) -> None:
    keep({"credsStore": name})
    with pytest.raises(ImageError, match=f"docker-credential-{name}"):
        sent()


def test_one_that_hangs_has_a_bound_and_can_be_ended(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    keep({"credsStore": "slow"}, slow="exec sleep 600")

    def wants_no_more() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        registry_headers(FARM, CALL, tick=wants_no_more)
    monkeypatch.setattr(credentials, "HELPER_TIMEOUT", 0.3)
    with pytest.raises(ImageError, match=r"did not answer within 0\.3 s"):
        sent()


@pytest.mark.parametrize("damage", ["{", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "[" * 100_000])
def test_a_damaged_file_is_named(keep: Keep, tmp_path: Path, damage: str) -> None:
    keep(damage)
    with pytest.raises(ImageError, match=r"config\.json cannot be read"):
        sent()


def test_damaged_credentials_are_told_without_them(keep: Keep) -> None:
    keep({"auths": {FARM: {"auth": "%%%"}}})
    with pytest.raises(ImageError, match="is damaged") as caught:
        sent()
    assert "%%%" not in caught.value.message


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("bots", "docker.io"),
        ("team/bots", "docker.io"),
        ("docker.io/team/bots", "docker.io"),
        ("index.docker.io/bots", "docker.io"),
        ("localhost/bots", "localhost"),
        ("farm.example/bots", "farm.example"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000"),
        ("Farm/bots", "Farm"),
    ],
)
def test_the_registry_of_a_name_is_the_one_that_docker_reads(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def test_they_are_sent_to_their_registry_alone(keep: Keep, fake_docker: Any, engine: DockerEngine) -> None:
    keep({"auths": {"farm.example": {"auth": AUTH}}, "proxies": {"default": {"httpProxy": "http://p"}}})
    for image, known in (("farm.example/bots:1", True), ("other.example/bots:1", False), ("bots:1", False)):
        fake_docker.on("POST", "/images/create", fake_docker.reply(b""))
        engine.ensure_image(image, policy=PullPolicy.ALWAYS, timeout=20.0)
        assert ("x-registry-auth" in fake_docker.requests[-2].headers) is known
