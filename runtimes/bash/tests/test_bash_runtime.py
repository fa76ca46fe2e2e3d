"""What a bash job finds, how it ends, and what is said of it before it runs."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from botdock_runtime_bash import check, plugin
from botdock_runtime_bash.runtime import BASH
from botdock_testing.runtime import Ended, bot


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> None:
    check._complaint.cache_clear()


def run(source: str, **more: Any) -> Ended:
    with bot(BASH, source, **more) as made:
        return made.run()


def test_what_it_writes_to_the_result_file_is_its_value() -> None:
    ended = run("""echo '{"rows": [1, null, NaN]}' > "$BOTDOCK_RESULT_FILE"; exit 4""")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (4, b"", b"")
    assert (ended.reading.value, ended.reading.nonfinite) == ({"rows": [1, None, None]}, 1)


def test_a_result_that_is_not_json_is_a_problem_and_none_is_none() -> None:
    assert run('echo nonsense > "$BOTDOCK_RESULT_FILE"').reading.problem.startswith("the bot's result is not JSON")
    assert not run("true").reading.problem


def test_a_result_whose_status_is_error_is_declared() -> None:
    reading = run("""echo '{"status": "error", "message": "no data"}' > "$BOTDOCK_RESULT_FILE" """).reading
    assert (reading.declared_error, reading.error) == (True, "no data")


def test_variables_that_bash_will_not_set_do_not_break_the_start() -> None:
    variables = {
        "UID": "0",
        "EUID": "0",
        "PPID": "1",
        "BASHPID": "1",
        "GROUPS": "x",
        "BASH_VERSINFO": "x",
        "FUNCNAME": "x",
    }
    ended = run('echo "$OTHER"', variables={**variables, "OTHER": "arrived"})
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"arrived\n", b"")


def test_a_path_of_its_own_does_not_break_the_start() -> None:
    ended = run('echo "$PATH"', variables={"PATH": "/nowhere", "HOME": "/home/of/its/own"})
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"/nowhere\n", b"")


def test_no_variable_is_given_to_a_program_as_an_argument(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    for program in ("env", "bash"):
        shim = tmp_path / program
        shim.write_text(f'#!/bin/sh\nprintf "%s\\n" "$0" "$@" >>"{heard}"\nPATH=/usr/bin:/bin exec {program} "$@"\n')
        shim.chmod(0o755)
    with bot(BASH, 'echo "$KEY"', variables={"KEY": "canary"}) as made:
        made.prepare()
        with made.start(PATH=f"{tmp_path}:/usr/bin:/bin") as process:
            assert made.finish(process).stdout == b"canary\n"
    assert heard.read_text() == f"{tmp_path}/bash\nmain.sh\n"


def test_variables_may_take_a_mebibyte_together() -> None:
    variables = {f"PART_{n}": "z" * 130_000 for n in range(8)}
    ended = run("echo $((${#PART_0} + ${#PART_7}))", variables=variables, config={"blob": "x" * 130_000})
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"260000\n", b"")


def test_no_shell_of_ours_remains_and_nothing_else_is_in_its_environment() -> None:
    with bot(BASH, 'echo "$$ $0 $PWD"; compgen -e | tr "\\n" " "', script="deep/job.sh") as made:
        made.prepare()
        with made.start() as process:
            said = made.finish(process).stdout.decode().splitlines()
    assert said[0] == f"{process.pid} deep/job.sh {made.context.code_dir}"
    ours = {"BOT_CONFIG", "BOT_ID", "CODE_MOUNT_DIR", "CONFIG", "ENTRYPOINT_TYPE", "ID", "SCRIPT_PATH"}
    assert set(said[1].split()) == ours | {"BOTDOCK_RESULT_FILE", "HOME", "PATH", "PWD", "PYTHONUNBUFFERED", "SHLVL"}


def test_files_beside_the_script_can_be_sourced() -> None:
    source = 'source ./lib.sh; source "$(dirname "$0")/beside.sh"'
    ended = run(source, script="deep/job.sh", tree={"lib.sh": "echo lib", "deep/beside.sh": "echo beside"})
    assert ended.stdout == b"lib\nbeside\n"


@pytest.mark.parametrize(
    ("source", "exit_code"),
    [
        ("exit 0", 0),
        ("exit 300", 44),
        ("false", 1),
        ("nowhere", 127),
        ("set -e; false; echo on", 1),
        ("#!/bin/sh -e\nfalse\nexit 0", 1),
        ("#!/usr/bin/env -S bash -euo pipefail\nfalse | true\nexit 0", 1),
        ('#!/bin/bash\n[[ ${BASH_SOURCE[0]} == "$0" && $- != *f* ]]', 0),
        ("kill -9 $$", -9),
    ],
)
def test_the_exit_code_is_its_own(source: str, exit_code: int) -> None:
    assert run(source).exit_code == exit_code


def test_sigterm_ends_a_script_without_a_trap() -> None:
    with bot(BASH, "echo up; while :; do sleep 0.05; done") as made:
        made.prepare()
        with made.start() as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            process.send_signal(signal.SIGTERM)
            ended = made.finish(process)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (-signal.SIGTERM, b"", b"")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (b"echo fine\n", None),
        (b"#!/usr/bin/env bash\necho fine\n", None),
        (b"#!/bin/sh -e\necho fine\n", None),
        (b"", None),
        (b"cat <<'END'\r\n\r\nEND\r\n", "main.sh has Windows line endings"),
        (b"#!/bin/bash\r\necho\r\n", "main.sh has Windows line endings"),
        (b"cat > x.csv <<'END'\na,b\r\nEND\n", None),
        (b"#!/usr/bin/env python3\nprint()\n", "main.sh asks for /usr/bin/env python3 in its first line"),
        (b"#!/bin/zsh\n#" + b"x" * 40_000, "main.sh asks for /bin/zsh in its first line"),
        (b"#!/usr/bin/env -S fish --no-config\necho\n", "main.sh asks for /usr/bin/env -S fish"),
        (b"#!/usr/bin/env -i bash\necho\n", "main.sh asks for /usr/bin/env -i bash in its first line"),
        (b"#!/usr/bin/env -S A=1 bash -e\necho\n", "main.sh asks for /usr/bin/env -S A=1 bash -e"),
        (b"#!/bin/bash -n\nfalse\n", "main.sh asks for -n in its first line"),
        (b"#!/bin/bash -eo noexec\nfalse\n", "main.sh asks for noexec in its first line"),
        (b"#!/bin/bash -e other.sh\nfalse\n", "main.sh asks for other.sh in its first line"),
        (b"#!/bin/bash -o\nfalse\n", "main.sh asks for -o in its first line"),
        (b"#! /usr/local/bin/bash5 --norc -eu -o pipefail +x -\n", None),
        (b"#!/bin/bash -e\r\necho\n", "main.sh has Windows line endings (line 1)"),
        (b"#!/bin/bash\rset -e\rfalse\r", "main.sh has Windows line endings (line 1)"),
        (b"\xef\xbb\xbfset -e\nfalse\n", "main.sh begins with a byte order mark"),
        ("\ufeffset -e\n".encode("utf-16-le"), "main.sh is UTF-16"),
        (b"echo\n\xef\xbb\xbfset -e\nfalse\n", "main.sh has a byte order mark (line 2)"),
        (b"echo 'a\xef\xbb\xbfb'\ncat <<E\n\xef\xbb\xbf\nE\n", None),
        (b"echo\nset -e\r\nfalse\n", "main.sh has Windows line endings (line 2)"),
        (b"if true; then\r\necho\nfi\n", "main.sh has Windows line endings"),
        (b"if true\nthen\nexit 1\nfi\nset -e\r\nfalse\n", "main.sh has Windows line endings"),
        (b"exec >log 2>&1\nset -e\r\nfalse\n", "main.sh has Windows line endings"),
        (b"x=1 \\\r\necho\n", "main.sh has Windows line endings"),
        (b"cat <<E\nx\nE\r\nset -e\nfalse\n", "main.sh has Windows line endings"),
        (b"# a comment\nx='a\r\nb'  # and more\r\ncat <<E\na\r\nE\n", None),
        (b"cat <<E\nnever\r\nended\n", None),
        (b"set -e\r\ncat <<E\nnever\nended\n", "main.sh has Windows line endings (line 1)"),
        (b"if\r\nfi\r\n", "main.sh, line 2: syntax error near unexpected token `fi'"),
        (b"#!/bin/sh\n'''exec' python3 \"$0\" \"$@\"\n' '''\nfrom x import (main)\n", None),
        (b"echo\nexit 0\na,b\r\n(1,2\r\n", None),
        (b"shopt -s extglob\nls !(a|b)\n", None),
        (b'tail -n +3 "$0"\nexit 0\n((\0\xff fi\n', None),
        (b"echo " + b"$(" * 15_000, None),
        (b"fi " * 10_000, "main.sh, line 1: syntax error near unexpected token `fi'"),
        (b"if true; then\necho\n", "main.sh, line 3: syntax error: unexpected end of file"),
        (b"touch ran\nfi\n", "main.sh, line 2: syntax error near unexpected token `fi'"),
    ],
)
def test_what_is_wrong_is_said_before_it_runs(tmp_path: Path, source: bytes, problem: str | None) -> None:
    (tmp_path / "main.sh").write_bytes(source)
    found = list(check.problems(tmp_path, "main.sh"))
    assert [text[: len(problem or "")] for text in found] == ([problem] if problem else [])
    assert not (tmp_path / "ran").exists()


def test_a_script_that_was_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, start = list[object](), subprocess.run

    def run(*given: Any, **more: Any) -> object:
        started.append(given)
        return start(*given, **more)

    monkeypatch.setattr(subprocess, "run", run)
    for source, problem, most in ((f"echo {tmp_path}", False, 1), (f"fi # {tmp_path}", True, 2)):
        (tmp_path / "main.sh").write_text(source)
        for _ in range(3):
            assert bool(list(check.problems(tmp_path, "main.sh"))) is problem
        assert len(started) <= most, "by bash alone, and with `extglob` where it refuses the script"
        started.clear()


def test_without_bash_its_syntax_is_left_to_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.sh").write_text("fi")
    monkeypatch.setenv("PATH", "")
    assert list(check.problems(tmp_path, "main.sh")) == []
    (tmp_path / "main.sh").write_bytes(b"set -e\r\nfalse\r\n")
    assert "Windows line endings (most)" in next(check.problems(tmp_path, "main.sh"))


@pytest.mark.parametrize("instead", [("262144", "2000"), (">= 5", ">= 99"), ("-t 2", "-t x")])
def test_a_bash_that_does_not_last_says_nothing_of_the_bot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instead: tuple[str, str]
) -> None:
    (tmp_path / "main.sh").write_text("fi")
    assert len(list(check.problems(tmp_path, "main.sh"))) == 1
    check._complaint.cache_clear()
    monkeypatch.setattr(check, "_READS", check._READS.replace(*instead))
    assert list(check.problems(tmp_path, "main.sh")) == []


def test_a_bash_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.sh").write_text("fi")

    def hangs(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("bash", 10)

    monkeypatch.setattr(subprocess, "run", hangs)
    assert list(check.problems(tmp_path, "main.sh")) == []


WORDS = st.sampled_from(
    ["bash", "/bin/sh", "env", "/usr/bin/env", "-S", "-Sbash", "zsh", "-e", "-eu", "-o", "pipefail"]
)


@given(st.lists(WORDS | st.text("-+aes*?'$\\ \t", max_size=5), max_size=6), st.sampled_from(["", " ", "\t "]))
@settings(deadline=None)
@example(["/bin/bash", "*"], " ")
@example(["/usr/bin/env", "-S", "bash", "-euo", "pipefail"], "\t ")
def test_bash_gets_the_options_of_the_first_line_unless_they_are_refused(words: list[str], blank: str) -> None:
    first = f"#!{blank}" + (blank or " ").join(words)
    with tempfile.TemporaryDirectory() as name:
        (folder := Path(name)).joinpath("bash").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        (folder / "bash").chmod(0o755)
        with bot(BASH, f"{first}\n", tree={"-e": "", "x": ""}, variables={"IFS": "h", "OLDPWD": "/"}) as made:
            made.prepare()
            with made.start(PATH=f"{name}:/usr/bin:/bin") as process:
                *given, script = made.finish(process).stdout.decode().splitlines()
    assert script == "main.sh"
    if check._first_line_problem(first.encode()) is None:
        named = first[2:].replace("\t", " ").split()
        assert [word for word in named if "sh" not in word and word not in {"env", "/usr/bin/env", "-S"}] == given


def test_the_plugin_registers_it() -> None:
    assert list(plugin.botdock_runtimes()) == [BASH]
