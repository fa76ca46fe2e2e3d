"""What starts a bot, for every bundled runtime and any executable that the model allows.

That bots really run see what they are given is tested by each runtime's own contract test.
"""

from __future__ import annotations

import ast
import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock import Executable, PluginManager, Runtime
from botdock.entrypoints import environment_of, write_context, write_program
from botdock.model import ExecutionContext
from botdock.model.executable import ENTRYPOINTS
from botdock_testing.runtime import Ended, bot, need_interpreter
from botdock_testing.strategies import configs, entrypoints, environments, ids, script_paths
from testbed.drills import count

RUNTIMES = {name: PluginManager.load().runtimes()[name] for name in ("bash", "nodejs20", "python311")}
EXAMPLES = Path(__file__).parents[2] / "examples"
CHECKERS = {".sh": ["/bin/sh", "-n"], ".bash": ["bash", "-n"], ".cjs": ["node", "--check", "-"]}

each_runtime = pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=RUNTIMES)


@st.composite
def contexts(draw: st.DrawFn, runtime: Runtime) -> ExecutionContext:
    """Return what an `Executable` of that runtime may lead to."""
    entrypoint = draw(entrypoints())
    executable = Executable(
        id=draw(ids()),
        entrypoint=entrypoint,
        entrypoint_files={entrypoint: draw(script_paths(runtime.suffixes[0]))},
        config=draw(configs(largest_integer=10**100)),
        env=draw(environments()),
    )
    return ExecutionContext(
        id=executable.id,
        entrypoint=entrypoint,
        script=executable.entrypoint_files[entrypoint],
        config=executable.config,
        code_dir=f"/{entrypoint}",
        context_dir="/botdock/context",
        result_file="/botdock/result",
        result_limit=1000,
        variables=executable.env,
    )


@contextmanager
def generated(runtime: Runtime, context: ExecutionContext) -> Iterator[dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as name:
        write_program(runtime, Path(name))
        write_context(context, Path(name))
        yield {path.name: path.read_bytes() for path in Path(name).iterdir()}


@cache
def complaint(suffix: str, program: bytes) -> str:
    """Return what is wrong with a program, or an empty text."""
    if suffix == ".py":
        ast.parse(program)
        return ""
    checked = subprocess.run(CHECKERS[suffix], input=program, capture_output=True, check=False, timeout=60)
    return checked.stderr.decode() or ("" if checked.returncode == 0 else "refused")


@each_runtime
@given(data=st.data())
@settings(deadline=None, max_examples=count(50, 15))
def test_the_program_is_valid_and_no_bot_changes_a_byte_of_it(runtime: Runtime, data: st.DataObject) -> None:
    need_interpreter(runtime)
    program = dict(runtime.files())
    with generated(runtime, data.draw(contexts(runtime))) as files:
        assert {name: files.get(name) for name in program} == program
        assert [complaint(Path(name).suffix, files[name]) for name in program] == [""] * len(program)


@each_runtime
@given(data=st.data())
@settings(deadline=None, max_examples=count(50, 15))
def test_both_forms_of_the_context_say_the_same(runtime: Runtime, data: st.DataObject) -> None:
    context = data.draw(contexts(runtime))
    with generated(runtime, context) as files:
        document: dict[str, Any] = json.loads(files["context.json"])
        *pairs, rest = files["environment"].decode().replace("\n=", "\0").split("\n")
        assert rest == ""
        variables = {name: value.replace("\0", "\n") for name, _, value in (pair.partition("=") for pair in pairs)}
        assert variables == document["environment"] == environment_of(context)
        assert (document["id"], document["script"], document["config"]) == (context.id, context.script, context.config)
        assert json.loads(variables["CONFIG"]) == context.config


@each_runtime
@given(data=st.data())
@settings(deadline=None, max_examples=count(25, 10))
def test_the_same_input_gives_the_same_bytes(runtime: Runtime, data: st.DataObject) -> None:
    context = data.draw(contexts(runtime))
    with generated(runtime, context) as first, generated(runtime, context) as second:
        assert first == second


@each_runtime
def test_a_context_is_data_in_files_of_data_alone(runtime: Runtime) -> None:
    canary = "$(touch /tmp/canary-7f3a)"
    context = ExecutionContext(
        id="canary-7f3a",
        entrypoint="bot",
        script=f"{canary}.x",
        config={canary: canary},
        code_dir="/bot",
        context_dir="/context",
        result_file="/result",
        result_limit=1,
        variables={"CANARY": canary},
    )
    with generated(runtime, context) as files:
        assert {name for name, content in files.items() if b"canary-7f3a" in content} == {"context.json", "environment"}


def run(name: str, runtime: str, **more: Any) -> Ended:
    """Run an example as it lies there, without an engine."""
    with bot(RUNTIMES[runtime], EXAMPLES / name, id="example", **more) as made:
        ended = made.run()
    assert (ended.exit_code, ended.stderr, ended.reading.problem) == (0, b"", "")
    return ended


def test_hello_greets() -> None:
    ended = run("hello-python", "python311", config={"name": "Ada"})
    assert (ended.stdout, ended.reading.value) == (b"hello Ada, this is example\n", {"greeting": "hello Ada"})


def test_the_crossover_returns_metrics_plots_and_tables() -> None:
    value = run("sma-crossover", "python311", entrypoint="backtest").reading.value
    assert {"total_return", "sharpe", "max_drawdown", "trades"} <= value["metrics"].keys()
    assert value["metrics"]["trades"] == len(value["tables"][0]["rows"]) > 0
    lengths = {len(series) for plot in value["plots"] for series in plot["series"].values()}
    assert lengths == {len(value["plots"][0]["x"])} != {0}


def test_a_crossover_that_cannot_be_is_refused_by_the_bot_itself() -> None:
    with bot(RUNTIMES["python311"], EXAMPLES / "sma-crossover", entrypoint="backtest", config={"fast": 50}) as made:
        ended = made.run()
    assert (ended.exit_code, ended.reading.error_type) == (1, "ValueError")


def test_vendored_code_is_found() -> None:
    assert run("vendored-python", "python311", config={"values": [1, 3]}).reading.value["mean"] == 2


def test_an_alert_counts_its_ticks_and_stops_when_told() -> None:
    config = {"interval": 1, "max_ticks": 40}
    assert run("price-alert", "nodejs20", config=config).reading.value["ticks"] == 40
    with bot(RUNTIMES["nodejs20"], EXAMPLES / "price-alert", id="example") as made:
        made.prepare()
        with made.start() as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"example: watching")
            process.terminate()
            ended = made.finish(process)
    assert ended.stdout.endswith(b"stopped, goodbye\n")
    assert (ended.exit_code, ended.stderr, set(ended.reading.value)) == (0, b"", {"ticks", "alerts"})


def test_a_commonjs_bot_finds_its_own_files() -> None:
    assert run("commonjs-bot", "nodejs20").reading.value["best"] in {"BTC", "ETH", "SOL"}


def test_a_bash_job_writes_its_result() -> None:
    ended = run("bash-report", "bash")
    assert ended.reading.value["entries"] == 5
    assert ended.stdout.count(b"\n") == len(ended.reading.value["totals"])


@pytest.mark.parametrize("example", sorted(path.parent.name for path in EXAMPLES.glob("*/bot.toml")))
def test_nothing_is_wrong_with_an_example(example: str) -> None:
    known = [
        (runtime, script)
        for runtime in RUNTIMES.values()
        for entrypoint in ENTRYPOINTS
        if (script := runtime.find_script(EXAMPLES / example, entrypoint))
    ]
    assert known
    assert [list(runtime.check(EXAMPLES / example, script)) for runtime, script in known] == [[]] * len(known)
