"""Secrets become files that the bot's user alone can read, whatever they hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdock.entrypoints import shell_entrypoint, wrapper_entrypoint, write_context
from botdock.errors import EntrypointError
from botdock.model import ExecutionContext

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)
VALUES = TEXT | st.lists(st.sampled_from(["\n", "=", "a", "\\", "$(id)", "'", "%s", " ", "-n"])).map("".join)


def context_of(folder: Path, variables: dict[str, str], secrets: tuple[str, ...], place: Path) -> ExecutionContext:
    return ExecutionContext(
        id="bot",
        entrypoint="bot",
        script="main",
        config={},
        code_dir=str(folder),
        context_dir=str(folder / "context"),
        result_file=str(folder / "result"),
        result_limit=9,
        variables=variables,
        secrets=secrets,
        secrets_dir=str(place),
    )


def start(folder: Path, program: bytes) -> subprocess.CompletedProcess[str]:
    """Start a program whose interpreter is `env`."""
    (folder / "entrypoint.sh").write_bytes(program)
    (folder / "show").unlink(missing_ok=True)
    (folder / "show").symlink_to(shutil.which("env") or "")
    return subprocess.run(
        ["/bin/sh", folder / "entrypoint.sh", folder / "context"],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def contents(place: Path) -> dict[str, str]:
    return {path.name: path.read_bytes().decode() for path in place.iterdir()}


@given(secrets=st.dictionaries(st.sampled_from(["A", "AB", "_", "name", "value", "folder"]), VALUES), plain=VALUES)
@settings(max_examples=25, deadline=None)
def test_each_is_a_file_of_its_name_and_its_very_text(secrets: dict[str, str], plain: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, place = Path(name), Path(name, "place")
        for path in (place, folder / "context"):
            path.mkdir()
        context = context_of(folder, {**secrets, "PLAIN": plain}, tuple(secrets), place)
        write_context(context, folder / "context")
        done = start(folder, shell_entrypoint("show", ""))
        assert (done.returncode, done.stderr) == (0, "")
        assert contents(place) == secrets
        assert {path.stat().st_mode & 0o777 for path in place.iterdir()} <= {0o400}
        assert (f"BOTDOCK_SECRETS_DIR={place}" in done.stdout.splitlines()) == bool(secrets)
        assert "names=" not in done.stdout


def test_a_wrapper_finds_them_and_no_copy_of_them_is_made_for_it(tmp_path: Path) -> None:
    for name in ("context", "place"):
        (tmp_path / name).mkdir()
    secrets = {"KEY": "canary\nof two lines\n", "OTHER": ""}
    write_context(context_of(tmp_path, secrets, ("KEY", "OTHER"), tmp_path / "place"), tmp_path / "context")
    assert (tmp_path / "context/secrets").read_text() == f"{tmp_path}/place\nKEY\nOTHER\n"
    (tmp_path / "wrapper.x").write_text("")
    start(tmp_path, wrapper_entrypoint("wrapper.x", "show"))
    assert contents(tmp_path / "place") == secrets


@pytest.mark.parametrize("program", [shell_entrypoint("show", ""), wrapper_entrypoint("wrapper.x", "show")])
def test_no_bot_starts_without_those_that_it_was_given(tmp_path: Path, program: bytes) -> None:
    (tmp_path / "context").mkdir()
    write_context(context_of(tmp_path, {"KEY": "canary"}, ("KEY",), tmp_path / "absent"), tmp_path / "context")
    done = start(tmp_path, program)
    assert done.returncode == 126
    assert "botdock: the secrets cannot be written" in done.stderr
    assert "canary" not in done.stderr + done.stdout


def test_where_the_bot_sees_this_machine_they_are_there_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    context = context_of(tmp_path, {"KEY": "canary"}, ("KEY",), tmp_path / "context/secrets")
    write_context(context, tmp_path / "context")
    folder = tmp_path / "context/secrets"
    assert contents(folder) == {"KEY": "canary"}
    assert (folder.stat().st_mode & 0o777, (folder / "KEY").stat().st_mode & 0o777) == (0o700, 0o400)
    with pytest.raises(EntrypointError, match="cannot write"):
        write_context(context, tmp_path / "context")
