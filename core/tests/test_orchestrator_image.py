"""Which image an execution runs in, and who decides it: the caller, the manifest, the configuration, the runtime."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.config import Config, Policies, Policy
from botdock.entrypoints import EntrypointManager
from botdock.errors import CapabilityError, CodeError, ExecutableError, ImageError, PolicyError
from botdock.model import DEFAULT_LIMITS, Engine, Executable, ExecutionResult, ImageInfo, PullPolicy, Runtime
from botdock.orchestrator import BotOrchestrator, Services, Setting
from botdock.services.container import ContainerService
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.fake_logs import FakeLogs
from botdock_testing.fake_services import FakeCode, FakeMetrics, FakeStorage

Run = Callable[..., ExecutionResult]

DIGEST = f"sha256:{'a' * 64}"
SCRIPT = {"main.sh": b"echo hi\n"}
TREES = {"plain": SCRIPT, "asking": {**SCRIPT, "bot.toml": b'image = "team/manifest:1"\n'}}
SHELL = Runtime(
    name="shell",
    aliases=("sh",),
    image="shell:1",
    interpreters=("sh",),
    suffixes=(".sh",),
    scripts={"bot": ("main.sh",)},
    files=lambda: {"entrypoint.sh": b"#!/bin/sh\n"},
)


class Checking(FakeCode):
    """Asks the runtime what it finds wrong."""

    def validate_code_structure(self, tree: Path, runtime: Runtime, entrypoint: str, script: str | None) -> str:
        found = super().validate_code_structure(tree, runtime, entrypoint, script)
        if problems := runtime.problems(tree, found):
            raise CodeError("; ".join(problems), source=str(tree))
        return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a bot where an operator has set images and allows others, and return the result."""

    def execute(
        *,
        allowed: tuple[str, ...] = ("team/*",),
        configured: dict[str, str] | None = None,
        images: bool = True,
        engine: Engine | None = None,
        runtime: Runtime = SHELL,
        **fields: Any,
    ) -> ExecutionResult:
        config = Config()
        services = Services(
            containers=ContainerService(engine or FakeEngine(), config.containers, home=tmp_path, images=images),
            code=Checking(TREES),
            storage=FakeStorage(),
            entrypoints=EntrypointManager(
                {runtime.name: runtime}, configured or {}, policies=Policies(Policy(images=allowed))
            ),
            logs=FakeLogs(),
            metrics=FakeMetrics(),
        )
        setting = Setting(config=config, engine="fake", owner="me", limits=DEFAULT_LIMITS)
        with closing(BotOrchestrator(services, setting, home=tmp_path, notify=lambda *_, **__: None)) as orchestrator:
            return orchestrator.execute_bot(Executable(**{"id": "bot", "file_path": "plain", **fields}))

    return execute


@pytest.mark.parametrize(
    ("fields", "image"),
    [
        ({"file_path": "asking", "image": "team/caller:1", "configured": {"sh": "own:1"}}, "docker.io/team/caller:1"),
        ({"file_path": "asking", "configured": {"sh": "own:1"}}, "docker.io/team/manifest:1"),
        ({"configured": {"sh": "own:1"}}, "own:1"),
        ({}, "shell:1"),
        ({"file_path": "asking", "image": "shell:1", "allowed": ()}, "shell:1"),
    ],
)
def test_the_caller_goes_before_the_manifest_and_that_before_the_configuration_and_the_runtime(
    run: Run, fields: dict[str, Any], image: str
) -> None:
    result = run(**fields)
    assert result.image == image
    assert result.image_digest.startswith("sha256:")


def test_without_a_policy_only_the_images_of_the_runtimes_may_be_named(run: Run) -> None:
    assert run(allowed=(), image="docker.io/library/own", configured={"sh": "own"}).image == "own"
    engine = FakeEngine()
    with pytest.raises(
        PolicyError, match=r"neither that of a runtime nor allowed here; policy.images is empty"
    ) as caught:
        run(allowed=(), image="shell:1", configured={"sh": "own"}, engine=engine)
    assert (caught.value.setting, caught.value.phase) == ("policy.images", "validate")
    assert 'images = ["shell:1"]' in str(caught.value.hint)
    assert "--set 'policy.images=[\"shell:1\"]'" in str(caught.value.hint)
    assert "ensure_image" not in engine.operations


@pytest.mark.parametrize("allowed", [(), ("other/*", "team/manifest:2")])
def test_a_manifest_names_no_image_that_the_policy_does_not_allow(run: Run, allowed: tuple[str, ...]) -> None:
    with pytest.raises(PolicyError, match=r"bot.toml: image 'team/manifest:1' is not allowed here") as caught:
        run(file_path="asking", allowed=allowed)
    assert "--image names another one" in str(caught.value.hint)


def test_what_is_named_reaches_the_engine_in_full_for_a_short_name_may_be_an_id(run: Run) -> None:
    engine = FakeEngine(images=("deadbeef",))  # what `docker inspect deadbeef` finds: any image of that id
    with pytest.raises(ImageError, match=r"docker.io/library/deadbeef:latest"):
        run(image="deadbeef", allowed=("**",), engine=engine)


def test_an_image_that_is_none_is_told_with_all_other_problems() -> None:
    with pytest.raises(ExecutableError) as caught:
        Executable(id="", image="Python:3", timeout=-1.0)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["id", "image", "timeout"]
    with pytest.raises(ExecutableError, match="image: must be text"):
        Executable(id="bot", image=3)  # type: ignore[arg-type] # that is what is tried


@pytest.mark.parametrize(("fields", "said"), [({"image": "shell:1"}, ""), ({"file_path": "asking"}, "bot.toml: ")])
def test_an_engine_without_images_refuses_one_by_name(run: Run, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(CapabilityError, match=rf"\A{said}engine 'fake' cannot run image '\S+': it has no") as caught:
        run(images=False, **fields)
    assert set(caught.value.missing) == {"image"}
    assert run(images=False).image == ""


def test_a_digest_that_is_asked_for_is_the_one_that_runs(run: Run) -> None:
    assert run(image=f"team/bot:1@{DIGEST}").image_digest == DIGEST

    class Other(FakeEngine):
        def ensure_image(self, image: str, *, policy: PullPolicy, timeout: float, progress: Any = None) -> ImageInfo:
            found = super().ensure_image(image, policy=policy, timeout=timeout, progress=progress)
            return attrs.evolve(found, digest=f"sha256:{'b' * 64}")

    with pytest.raises(ImageError, match="was asked for, and the engine has sha256:bbb"):
        run(image=f"team/bot@{DIGEST}", engine=Other())


def test_a_check_of_the_language_of_the_runtimes_own_image_says_nothing_of_another(run: Run) -> None:
    older = attrs.evolve(SHELL, check=lambda *_: ["a newer shell may know this syntax"])
    with pytest.raises(CodeError, match="newer shell"):
        run(runtime=older)
    assert run(runtime=older, image="team/newer:2").succeeded
