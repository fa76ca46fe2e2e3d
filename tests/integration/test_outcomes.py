"""Every outcome in real containers, with its evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from typing import Any

import docker
import pytest

from botdock import BotdockError, Config, DockerRunner, Executable, Limits, Outcome
from botdock.config import ContainersConfig, RuntimeConfig
from botdock.errors import EngineUnavailableError, ImageError
from botdock.model import PullPolicy, Status, new_execution_id
from botdock.orchestrator import running as running_module
from botdock_engine_docker.engine import DockerEngine
from testbed.waiting import until

MakeBot = Callable[..., Executable]

MIB = 1024 * 1024


def test_succeeded(contained_runner: DockerRunner, make_bot: MakeBot) -> None:
    bot = make_bot(
        """
        import sys

        def main(id, config):
            print("to stdout")
            print("to stderr", file=sys.stderr)
            return {"id": id, "doubled": config["n"] * 2}
        """,
        config={"n": 21},
    )
    result = contained_runner.run(bot)
    assert result.outcome is Outcome.SUCCEEDED, result
    assert result.status is Status.SUCCESS
    assert result.exit_code == 0
    assert result.value == {"id": "probe", "doubled": 42}
    assert result.evidence["exit_code"] == 0
    assert result.evidence["oom_killed"] is False
    assert sorted(result.output.splitlines()) == ["to stderr", "to stdout"]
    assert (result.log.bytes, result.log.lines, result.log.gaps, result.log.complete) == (20, 2, 0, True)
    assert result.log.streams["stdout"]["sha256"] == hashlib.sha256(b"to stdout\n").hexdigest()
    assert result.image_digest.startswith("sha256:") == (contained_runner.config.engine == "docker")
    assert {"validate", "fetch", "extract", "generate", "pull", "create", "attach", "start", "wait"} <= set(
        result.phases
    )
    assert {"stream", "collect", "store", "clean_up"} <= set(result.phases)


@pytest.mark.parametrize(
    ("source", "exit_code", "said"),
    [
        ("def main(id, config):\n    raise ValueError('no such symbol')", 1, "no such symbol"),
        ("import sys\ndef main(id, config):\n    sys.exit(3)", 3, "3"),
        ("def main(id, config):\n    return {'status': 'error', 'message': 'no quotes'}", None, "no quotes"),
    ],
)
def test_failed(
    contained_runner: DockerRunner, make_bot: MakeBot, source: str, exit_code: int | None, said: str
) -> None:
    result = contained_runner.run(make_bot(source))
    assert result.outcome is Outcome.FAILED, result
    assert exit_code is None or result.exit_code == exit_code
    assert said in result.error
    assert result.evidence["exit_code"] == result.exit_code


def test_signaled(contained_runner: DockerRunner, make_bot: MakeBot) -> None:
    source = "import os, signal\ndef main(id, config):\n    os.kill(os.getpid(), signal.SIGABRT)"
    result = contained_runner.run(make_bot(source))
    assert result.outcome is Outcome.SIGNALED, result
    assert result.exit_code == 134
    assert result.evidence["signal"] == "SIGABRT"


def test_timed_out(contained_runner: DockerRunner, make_bot: MakeBot) -> None:
    source = """
    import time

    def main(id, config):
        print("begun")
        try:
            time.sleep(600)
        finally:
            print("finally")
    """
    result = contained_runner.run(make_bot(source, timeout=2.0))
    assert result.outcome is Outcome.TIMED_OUT, result
    assert result.output == "begun\nfinally\n"
    assert result.duration >= 2.0


def test_stopped_and_the_bot_sees_the_signal(contained_runner: DockerRunner, make_bot: MakeBot) -> None:
    source = """
    import time

    def main(id, config):
        try:
            print("running")
            time.sleep(600)
        finally:
            print("closing orders")
    """
    execution = contained_runner.start(make_bot(source, is_long_running=True))
    lines = execution.logs(follow=True)
    assert next(lines).text == "running"
    assert execution.result.status is Status.RUNNING
    execution.stop()
    assert [line.text for line in lines] == ["closing orders"]
    result = execution.wait(timeout=30)
    assert result is not None
    assert result.outcome is Outcome.STOPPED, result


def test_a_bot_that_ignores_the_signal_is_killed_after_the_grace(
    contained_runner: DockerRunner, make_bot: MakeBot
) -> None:
    source = """
    import signal, time

    def main(id, config):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        while True:
            time.sleep(1)
    """
    execution = contained_runner.start(make_bot(source))
    assert next(execution.logs(follow=True)).text == "deaf"
    execution.stop(grace=0.5)
    result = execution.wait(timeout=30)
    assert result is not None
    assert result.outcome is Outcome.STOPPED, result
    assert result.exit_code == 137


def test_oom_killed(contained_runner: DockerRunner, make_bot: MakeBot) -> None:
    source = "def main(id, config):\n    return len(bytearray(512 * 1024 * 1024))"
    result = contained_runner.run(make_bot(source, limits=Limits(memory=64 * MIB)))
    assert result.outcome is Outcome.OOM_KILLED, result
    assert result.exit_code == 137
    assert result.evidence["oom_killed"] is True


def test_the_death_of_a_child_by_memory_is_evidence_and_not_the_outcome(
    contained_runner: DockerRunner, make_bot: MakeBot
) -> None:
    source = """
    import subprocess, sys

    def main(id, config):
        hog = "x = bytearray(512 * 1024 * 1024)"
        return subprocess.run([sys.executable, "-c", hog]).returncode
    """
    result = contained_runner.run(make_bot(source, limits=Limits(memory=64 * MIB)))
    assert result.outcome is Outcome.SUCCEEDED, result
    assert result.value == -9
    assert result.evidence["oom_killed"] is True


def test_output_limit(contained_runner: DockerRunner, make_bot: MakeBot) -> None:
    source = "def main(id, config):\n    while True:\n        print('x' * 1000)"
    result = contained_runner.run(make_bot(source, limits=Limits(output=256 * 1024)))
    assert result.outcome is Outcome.OUTPUT_LIMIT, result
    assert 256 * 1024 <= result.log.bytes <= (256 + 64) * 1024, "the head, and as much of the end as `output_tail` says"
    assert result.log.gaps >= 1 or result.log.bytes < (256 + 64) * 1024, "what is not kept is counted, if there is any"


def test_a_backtest_without_a_usable_value_has_failed(contained_runner: DockerRunner, make_bot: MakeBot) -> None:
    source = "def main(id, config):\n    return object()"
    result = contained_runner.run(make_bot(source, entrypoint="backtest"))
    assert result.outcome is Outcome.FAILED, result
    assert contained_runner.run(make_bot(source)).outcome is Outcome.SUCCEEDED


def test_a_container_that_another_program_removed_is_heard_of_and_no_fault_of_the_bot(
    runner: DockerRunner, make_bot: MakeBot, docker_host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_module, "LIST_EVERY", 3600.0)  # no look by itself comes in time
    source = "import time\ndef main(id, config):\n    print('up')\n    time.sleep(600)"
    execution = runner.start(make_bot(source))
    assert next(execution.logs(follow=True)).text == "up"
    until(lambda: runner._orchestrator._watch.hears)
    with closing(docker.APIClient(base_url=docker_host)) as client:
        client.remove_container(execution.container_id, force=True)
    result = execution.wait(timeout=60)
    assert result is not None
    assert result.outcome in {Outcome.LOST, Outcome.SIGNALED}, result
    assert result.evidence is not None


def test_an_absent_image_is_named_and_leaves_nothing(
    make_docker_config: Callable[..., Config], make_bot: MakeBot
) -> None:
    config = make_docker_config(
        runtime=RuntimeConfig(images={"python311": "botdock-test/absent:1"}),
        containers=ContainersConfig(pull=PullPolicy.NEVER),
    )
    with DockerRunner(config) as runner:
        with pytest.raises(ImageError, match="botdock-test/absent:1") as caught:
            runner.run(make_bot("def main(id, config): pass"))
        assert caught.value.hint
        assert caught.value.phase == "pull"
        assert runner.list_managed_containers() == []
    assert list(config.home_dir.glob("executions/*/workspace")) == []


def test_the_recorded_digest_is_that_of_what_ran_though_the_tag_is_moved_meanwhile(
    make_docker_config: Callable[..., Config], make_bot: MakeBot, docker_host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = make_bot("import os\ndef main(id, config):\n    return os.environ['VERSION']")
    tag, create = f"botdock-{new_execution_id().lower()}:1", DockerEngine.create
    with closing(docker.DockerClient(base_url=docker_host)) as client:
        base = client.containers.create(make_docker_config().runtime.images["python311"])
        made = {version: base.commit(changes=f"ENV VERSION={version}") for version in ("old", "new")}

        def move(*arguments: Any, **options: Any) -> Any:
            made["new"].tag(tag)
            return create(*arguments, **options)

        try:
            made["old"].tag(tag)
            config = make_docker_config(runtime=RuntimeConfig(images={"python311": tag}))
            with DockerRunner(config) as runner:
                monkeypatch.setattr(DockerEngine, "create", move)
                results = [runner.run(bot), runner.run(bot)]
            assert [(result.value, result.image_digest) for result in results] == [
                (version, image.id) for version, image in made.items()
            ]
        finally:
            base.remove()
            for image in made.values():
                client.images.remove(str(image.id), force=True)


def test_an_image_without_a_shell_is_an_infrastructure_error(
    make_docker_config: Callable[..., Config], make_bot: MakeBot, docker_host: str
) -> None:
    with closing(docker.APIClient(base_url=docker_host)) as client:
        client.import_image_from_data(b"\0" * 10240, repository="botdock-test/empty", tag="1")
    config = make_docker_config(runtime=RuntimeConfig(images={"bash": "botdock-test/empty:1"}))
    with DockerRunner(config) as runner:
        with pytest.raises(BotdockError, match="/bin/sh") as caught:
            runner.run(make_bot("echo hello", runtime="bash"))
        assert caught.value.phase in {"create", "start"}
        assert caught.value.exit_code == 125
        assert runner.list_managed_containers() == []
    assert list(config.home_dir.glob("executions/*/workspace")) == []


def test_a_daemon_that_is_not_there_is_said_in_a_line(
    make_docker_config: Callable[..., Config], make_bot: MakeBot, tmp_path_factory: pytest.TempPathFactory
) -> None:
    absent = f"unix://{tmp_path_factory.mktemp('s')}/none.sock"
    with (
        pytest.raises(EngineUnavailableError, match=r"none\.sock") as caught,
        DockerRunner(make_docker_config(host=absent)) as runner,
    ):
        runner.run(make_bot("def main(id, config): pass"))
    assert caught.value.hint


RESULT_FILE = "os.environ['BOTDOCK_RESULT_FILE']"


@pytest.mark.parametrize(
    ("end", "limits", "lost"),
    [
        ("return 'x' * 100_000", Limits(file_size=65536), "File too large"),
        (f"atexit.register(os.truncate, {RESULT_FILE}, 0)", None, "is empty"),
        (f"atexit.register(os.truncate, {RESULT_FILE}, 120); return 'x' * 999", None, "cut off"),
        ("print('up'); time.sleep(2)", None, "No such file"),
    ],
)
def test_a_lost_result_is_not_a_success(
    runner: DockerRunner, make_bot: MakeBot, end: str, limits: Limits | None, lost: str
) -> None:
    source = f"import atexit, os, time\ndef main(id, config):\n    {end}"
    execution = runner.start(make_bot(source, **({"limits": limits} if limits else {})))
    if "up" in end:
        assert next(execution.logs(follow=True)).text == "up"
        next(runner.config.home_dir.glob("executions/*/workspace/result")).unlink()
    result = execution.wait(timeout=60)
    assert result is not None
    assert (result.outcome, result.exit_code) == (Outcome.INFRASTRUCTURE_ERROR, 0), result
    assert lost in result.evidence["result_lost"]


@pytest.mark.parametrize("end", ["os._exit(0)", "os.execvp('true', ['true'])"])
def test_an_end_past_main_is_the_bots_own(contained_runner: DockerRunner, make_bot: MakeBot, end: str) -> None:
    source = f"import os\ndef main(id, config):\n    {end}"
    result = contained_runner.run(make_bot(source))
    assert (result.outcome, result.evidence["result"]) == (Outcome.SUCCEEDED, "none written")
    result = contained_runner.run(make_bot(source, entrypoint="backtest", script="backtest.py"))
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, 0)
