"""Pulling from a real registry, through a proxy that lets its answers fail: what comes, and what is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import EngineTimeoutError, ImageError
from botdock.model import ImageInfo, LayerState, PullPolicy, PullProgress
from testbed.proxy import Fault, FaultProxy
from testbed.registry import PASSWORD, USER, Pushed, Registry

pytestmark = pytest.mark.docker

CALL = 60.0
MakeImage = Callable[..., Pushed]
Pull = Callable[..., ImageInfo]


@pytest.fixture
def pull(bash_lab: Any) -> Pull:
    def ensure(image: str, *, policy: PullPolicy = PullPolicy.MISSING, **options: Any) -> ImageInfo:
        info: ImageInfo = bash_lab.engine.ensure_image(image, policy=policy, **{"timeout": CALL, **options})
        return info

    return ensure


def test_a_missing_image_comes_with_its_digest_and_progress(
    registry: Registry, make_image: MakeImage, pull: Pull
) -> None:
    image, reports = make_image(registry, layers=3), list[PullProgress]()
    reference = image.at(registry.endpoint)
    info = pull(reference, progress=reports.append)
    assert (info.pulled, info.digest) == (True, image.digest)
    assert image.size * 0.9 < reports[-1].current == reports[-1].total <= image.size
    assert [layer.state for layer in reports[-1].layers] == [LayerState.DONE] * 3
    assert not pull(reference).pulled


@pytest.mark.parametrize("tag", ["", ":gone"])
def test_an_image_that_is_pinned_comes_by_its_digest(
    registry: Registry, make_image: MakeImage, pull: Pull, tag: str
) -> None:
    image = make_image(registry)
    pinned = f"{registry.endpoint}/{image.name}{tag}@{image.digest}"
    for policy in (PullPolicy.MISSING, PullPolicy.NEVER, PullPolicy.ALWAYS):
        assert pull(pinned, policy=policy).digest == image.digest


def test_an_image_of_several_registries_has_the_digest_of_the_one_that_was_asked_for(
    registry: Registry, registry_proxy: FaultProxy, make_image: MakeImage, pull: Pull
) -> None:
    image = make_image(registry)
    for endpoint in (registry.endpoint, registry_proxy.endpoint):
        assert pull(image.at(endpoint)).digest == image.digest
    found = pull(f"{registry.endpoint}/{image.name}@{image.digest}", policy=PullPolicy.NEVER)
    assert found.digest == image.digest


def limit(body: bytes) -> Fault:
    return Fault(target="manifests", status=429, body=body, headers={"Retry-After": "1"}, times=9)


REFUSED = [
    ("reset", Fault(refuse=True, times=9), True, "connection reset"),
    ("500", Fault(target="manifests", status=500, times=9), True, "500"),
    ("503", Fault(target="manifests", status=503, times=9), True, "503"),
    ("429", limit(b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}'), True, "slow down"),
    ("429 in other words", limit(b"slow down"), True, "slow down"),
    (
        "401",
        Fault(target="manifests", status=401, body=b'{"errors": [{"code": "UNAUTHORIZED"}]}', times=9),
        False,
        "un",
    ),
    ("403", Fault(target="manifests", status=403, body=b'{"errors": [{"code": "DENIED"}]}', times=9), False, "denied"),
    ("damaged", Fault(target="blobs", flip_answer=True, times=9), False, "verification failed"),
]


@pytest.mark.parametrize(("fault", "transient", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_a_registry_refuses_is_told_and_whether_to_ask_again(
    registry_proxy: FaultProxy,
    registry: Registry,
    make_image: MakeImage,
    pull: Pull,
    fault: Fault,
    transient: bool,
    said: str,
) -> None:
    image = make_image(registry).at(registry_proxy.endpoint)
    registry_proxy.inject(fault)
    with pytest.raises(ImageError, match=said) as caught:
        pull(image)
    assert caught.value.transient is transient
    assert caught.value.hint
    with pytest.raises(ImageError, match="forbids"):
        pull(image, policy=PullPolicy.NEVER)


def test_an_image_that_the_registry_does_not_have_is_an_error(registry: Registry, pull: Pull) -> None:
    with pytest.raises(ImageError, match="manifest unknown") as caught:
        pull(f"{registry.endpoint}/none:1")
    assert (caught.value.transient, bool(caught.value.hint)) == (False, True)


def test_a_registry_that_is_not_there_may_come_back(pull: Pull) -> None:
    with pytest.raises(ImageError, match="connection refused") as caught:
        pull("127.0.0.1:1/none:1")
    assert caught.value.transient


def test_a_registry_that_does_not_answer_is_not_waited_for(
    registry: Registry, registry_proxy: FaultProxy, make_image: MakeImage, pull: Pull
) -> None:
    image = make_image(registry).at(registry_proxy.endpoint)
    registry_proxy.inject(Fault(target="blobs", stall_answer=100_000, times=9))
    with pytest.raises(EngineTimeoutError, match="took longer than"):
        pull(image, timeout=3.0)


class TestPrivate:
    """A registry that wants a password, which the user's own `docker login` keeps."""

    @pytest.fixture
    def login(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

        def write(config: dict[str, Any]) -> None:
            (tmp_path / "config.json").write_text(json.dumps(config))
            helper = tmp_path / "docker-credential-testbed"
            helper.write_text(f"""#!/bin/sh\ncat >&2\necho '{{"Username": "{USER}", "Secret": "{PASSWORD}"}}'\n""")
            helper.chmod(0o755)

        return write

    @pytest.fixture(params=["password", "token"])
    def closed(self, request: pytest.FixtureRequest) -> Registry:
        """One that asks for the password itself, and one that wants a token, which another server gives for it."""
        names = {"password": "private_registry", "token": "token_registry"}
        registry: Registry = request.getfixturevalue(names[request.param])
        return registry

    @pytest.mark.parametrize("kept", ["auths", "credHelpers", "credsStore"])
    def test_it_is_let_in(
        self, login: Callable[[Any], None], closed: Registry, make_image: MakeImage, pull: Pull, kept: str
    ) -> None:
        packed = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        forms: dict[str, Any] = {
            "auths": {closed.endpoint: {"auth": packed}},
            "credHelpers": {closed.endpoint: "testbed"},
            "credsStore": "testbed",
        }
        login({kept: forms[kept]})
        image = make_image(closed)
        assert pull(image.at(closed.endpoint)).digest == image.digest

    @pytest.mark.parametrize("config", [{}, {"auth": base64.b64encode(f"{USER}:wrong".encode()).decode()}])
    def test_who_is_not_is_told_to_log_in(
        self,
        login: Callable[[Any], None],
        closed: Registry,
        make_image: MakeImage,
        pull: Pull,
        config: dict[str, str],
    ) -> None:
        login({"auths": {closed.endpoint: config}})
        with pytest.raises(ImageError) as caught:
            pull(make_image(closed).at(closed.endpoint))
        assert not caught.value.transient
        assert "docker login" in str(caught.value.hint)
        assert "wrong" not in caught.value.message
