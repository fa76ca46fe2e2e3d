"""The tests of `RuntimeContract`; in a module of their own, so that pytest explains a failed assertion."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from botdock.entrypoints import environment_of, write_context, write_program
from botdock.model import ENTRYPOINTS, MAX_ENVIRONMENT_STRING, Runtime
from botdock.model.runtime import (
    CONFIG_FILE,
    CONTEXT_FILE,
    ENVIRONMENT_FILE,
    MAX_CHECKED_BYTES,
    READY_FIFO,
    STARTUP_FILE,
)
from botdock_testing._bot import PATIENCE, Bot, Ended, bot
from botdock_testing.strategies import (
    AWKWARD_NAMES,
    DOUBLE_DIGITS,
    configs,
    entrypoints,
    environments,
    ids,
    script_paths,
)

EXIT_CODE = 7
STOPPED_CODE = 3
MEBIBYTE = 1024 * 1024
MAX_CHECK_MEBIBYTES = 40

PROPERTY = settings(
    max_examples=max(1, settings().max_examples // 5),  # each is a process or two; 20 where no profile says less
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each step of shrinking would be a process, too
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""A contract is run by several classes, and starting an interpreter takes its time."""


class RuntimeTests:
    """See `RuntimeContract`."""

    runtime: ClassVar[Runtime]
    echo: ClassVar[str]
    exits: ClassVar[str]
    waits: ClassVar[str]
    digits: ClassVar[int] = DOUBLE_DIGITS
    surrogates: ClassVar[bool] = True

    def test_it_says_what_it_is(self) -> None:
        runtime = self.runtime
        assert runtime.image
        assert runtime.interpreters
        assert len({name.casefold() for name in runtime.names}) == len(runtime.names)
        for entrypoint in ENTRYPOINTS:
            assert runtime.scripts[entrypoint], f"no usual name for the script of a {entrypoint}"
            assert all(name.endswith(runtime.suffixes) for name in runtime.scripts[entrypoint])

    def test_it_recognises_its_scripts_and_finds_nothing_wrong_with_them(self, tmp_path: Path) -> None:
        script = self.runtime.scripts["bot"][0]
        assert not self.runtime.recognises(tmp_path, "bot")
        for source in (self.echo, self.exits, self.waits):
            (tmp_path / script).write_text(source)
            assert self.runtime.recognises(tmp_path, "bot")
            assert self.runtime.problems(tmp_path, script) == ()

    @pytest.mark.parametrize("text", ["a;b\n", "(", "é\0"])
    @pytest.mark.parametrize("size", [MAX_CHECKED_BYTES, 64 * MEBIBYTE])
    def test_a_strangers_script_is_looked_at_in_bounded_memory(self, tmp_path: Path, text: str, size: int) -> None:
        script = self.runtime.scripts["bot"][0]
        (tmp_path / script).write_bytes((text.encode() * MAX_CHECKED_BYTES)[:MAX_CHECKED_BYTES])
        os.truncate(tmp_path / script, size)
        tracemalloc.start()
        try:
            assert all(isinstance(problem, str) for problem in self.runtime.check(tmp_path, script))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < MAX_CHECK_MEBIBYTES * MEBIBYTE, "read with botdock.read_code, and parse only what is small"

    def test_its_program_is_valid_and_the_same_each_time(self, tmp_path: Path) -> None:
        script = write_program(self.runtime, tmp_path)
        checked = subprocess.run(["/bin/sh", "-n", script], capture_output=True, check=False, timeout=PATIENCE)
        assert (checked.returncode, checked.stderr) == (0, b"")
        assert dict(self.runtime.files()) == dict(self.runtime.files())

    @given(data=st.data())
    @PROPERTY
    def test_a_bot_sees_exactly_what_it_was_given(self, data: st.DataObject) -> None:
        with self._any_bot(data) as any_bot:
            ended = any_bot.run()
            assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b"")
            self._assert_echo(any_bot, ended)

    def test_a_script_below_folders_of_awkward_names_is_run(self) -> None:
        script = "/".join(AWKWARD_NAMES) + self.runtime.suffixes[0]
        with bot(self.runtime, self.echo, script=script) as awkward:
            ended = awkward.run()
            assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b"")
            self._assert_echo(awkward, ended)

    @given(data=st.data())
    @PROPERTY
    def test_what_is_generated_depends_on_the_input_alone_and_holds_it_as_data(self, data: st.DataObject) -> None:
        with self._any_bot(data) as any_bot:
            any_bot.prepare()
            first = _contents(any_bot.folder)
            any_bot.prepare()
            assert _contents(any_bot.folder) == first
            assert _contents(any_bot.program) == dict(self.runtime.files()), "the program is the same for every bot"
            assert set(first) <= {CONTEXT_FILE, ENVIRONMENT_FILE, CONFIG_FILE, STARTUP_FILE}

    @pytest.mark.parametrize("entrypoint", ENTRYPOINTS)
    def test_a_config_of_a_mebibyte_arrives(self, entrypoint: str) -> None:
        config = {"blob": "x" * MEBIBYTE}
        with bot(self.runtime, self.echo, config=config, entrypoint=entrypoint, result_limit=4 * MEBIBYTE) as big:
            self._assert_echo(big, big.run())
            kind = entrypoint.upper()
            seen = big.reading().value["environment"]
            assert {"CONFIG", f"{kind}_CONFIG"}.isdisjoint(seen)
            assert json.loads(Path(seen[f"{kind}_CONFIG_FILE"]).read_text()) == config

    def test_the_longest_variable_arrives(self) -> None:
        longest = {"LONGEST": "y" * (MAX_ENVIRONMENT_STRING - len("LONGEST="))}
        with bot(self.runtime, self.echo, variables=longest) as long:
            self._assert_echo(long, long.run())

    @pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the kernel does not show variables")
    def test_what_the_loader_and_the_c_library_read_is_there_when_the_interpreter_starts(self) -> None:
        variables = {"LD_LIBRARY_PATH": "/nowhere:é\n= '$(id)\"", "TZ": "Asia/Tokyo", "LC_TIME": "C", "HOME": "/\n"}
        with bot(self.runtime, self.waits, variables=variables) as waiting:
            waiting.prepare()
            with waiting.started() as process:
                assert process.stdout is not None
                assert process.stdout.readline() == b"waiting\n"
                seen = Path(f"/proc/{process.pid}/environ").read_bytes().decode().split("\0")
                process.kill()
        assert {f"{name}={value}" for name, value in variables.items()} <= set(seen)

    def test_the_exit_code_is_the_bots_own(self) -> None:
        with bot(self.runtime, self.exits) as exiting:
            ended = exiting.run()
        assert (ended.exit_code, ended.stdout, ended.stderr) == (EXIT_CODE, b"", b"")
        assert ended.reading.exit_code in {None, EXIT_CODE}
        assert not ended.reading.present

    def test_a_line_is_out_at_once_and_sigterm_reaches_the_bot(self) -> None:
        with bot(self.runtime, self.waits) as waiting:
            waiting.prepare()
            with waiting.started() as process:
                assert process.stdout is not None
                assert process.stdout.readline() == b"waiting\n"
                process.send_signal(signal.SIGTERM)
                ended = waiting.finish(process)
        assert (ended.exit_code, ended.stdout, ended.stderr) == (STOPPED_CODE, b"stopped\n", b"")

    def test_a_result_that_is_too_long_is_no_value_and_says_so(self) -> None:
        with bot(self.runtime, self.echo, variables={"FILLER": "x" * 1000}, result_limit=500) as talkative:
            reading = talkative.run().reading
        assert (reading.present, reading.value) == (False, None)
        assert reading.problem

    def test_it_can_be_kept_waiting_for_its_context(self) -> None:
        with bot(self.runtime, self.echo, config={"late": True}) as late:
            write_program(self.runtime, late.program)
            os.mkfifo(late.folder / READY_FIFO)
            with late.started() as process:
                with _opened_for_writing(late.folder / READY_FIFO, process):
                    write_context(late.context, late.folder)
                ended = late.finish(process)
            assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b"")
            self._assert_echo(late, ended)

    def test_secrets_that_come_late_are_files_too(self) -> None:
        if not self.runtime.capabilities.late_secrets:
            pytest.skip("the runtime takes none once its interpreter has started")
        secrets = {"KEY": "s3cr3t é\n=\n'$(id)", "OTHER": ""}
        with bot(self.runtime, self.echo, variables=secrets) as late:
            write_program(self.runtime, late.program)
            os.mkfifo(late.folder / READY_FIFO)
            place = late.folder.with_name("memory")
            place.mkdir()
            context = attrs.evolve(late.context, secrets=tuple(secrets), secrets_dir=str(place))
            with late.started() as process:
                with _opened_for_writing(late.folder / READY_FIFO, process):
                    write_context(context, late.folder)
                ended = late.finish(process)
            assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b"")
            assert {path.name: path.read_bytes().decode() for path in place.iterdir()} == secrets
            assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o400}

    @contextmanager
    def _any_bot(self, data: st.DataObject) -> Iterator[Bot]:
        with bot(
            self.runtime,
            self.echo,
            script=data.draw(script_paths(self.runtime.suffixes[0]), label="script"),
            id=data.draw(ids(), label="id"),
            entrypoint=data.draw(entrypoints(), label="entrypoint"),
            config=data.draw(configs(digits=self.digits, surrogates=self.surrogates), label="config"),
            variables=data.draw(environments(), label="variables"),
        ) as drawn:
            yield drawn

    @staticmethod
    def _assert_echo(given_to: Bot, ended: Ended) -> None:
        assert ended.reading.problem == "", ended
        value: dict[str, Any] = ended.reading.value
        assert value["id"] == given_to.context.id
        assert _canonical(value["config"]) == _canonical(given_to.context.config)
        expected = environment_of(given_to.context)
        assert {name: value["environment"].get(name) for name in expected} == expected


def _canonical(value: Any) -> str:
    """Return JSON in which equal values look the same, in languages whose numbers are doubles too."""
    return json.dumps(_as_doubles(value), sort_keys=True)


def _as_doubles(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_doubles(item) for item in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) + 0.0 if is_number else value  # adding nothing makes -0.0 of JSON the 0 it is elsewhere


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextmanager
def _opened_for_writing(fifo: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Hold a FIFO open once `process` reads it: before that it cannot be opened without waiting."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:
            assert process.poll() is None, "it did not wait for the FIFO in its context folder"
            assert time.monotonic() < deadline, "it never opened the FIFO in its context folder"
            time.sleep(0.005)
    try:
        yield
    finally:
        os.close(descriptor)
