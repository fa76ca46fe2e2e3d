"""Which runtimes there are, and the files that start a bot."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.entrypoints import EntrypointManager, environment_of, write_context, write_program
from botdock.errors import EntrypointError, ExecutableError, NotFoundError, UserError
from botdock.model import ExecutionContext, Runtime

SCRIPT = b"#!/bin/sh\nexec sh main.sh\n"


def runtime(name: str = "shell", *aliases: str, **more: Any) -> Runtime:
    known: dict[str, Any] = {
        "image": f"{name}:1",
        "interpreters": ("sh",),
        "suffixes": (".sh",),
        "scripts": {"bot": ("main.sh",), "backtest": ("backtest.sh",)},
        "files": lambda: {"entrypoint.sh": SCRIPT, "wrapper.sh": b"true\n"},
    }
    return Runtime(name=name, aliases=aliases, **{**known, **more})


def manager(*runtimes: Runtime, images: Mapping[str, str] | None = None) -> EntrypointManager:
    return EntrypointManager({each.name: each for each in runtimes}, images or {})


CONTEXT = ExecutionContext(
    id="probe",
    entrypoint="bot",
    script="main.sh",
    config={"b": 1, "a": "é"},
    code_dir="/bot",
    context_dir="/botdock/context",
    result_file="/botdock/result",
    result_limit=100,
    variables={"TOKEN": "s3cret", "A": "line\nbreak"},
)
"""The context of these tests; they vary one thing of it at a time."""

PYTHON = runtime("python311", "python3.11", "python")
NODE = runtime("nodejs20", "node")


def test_runtimes_are_listed_by_canonical_name() -> None:
    assert manager(PYTHON, NODE).get_supported_runtimes() == ("nodejs20", "python311")


@pytest.mark.parametrize("name", ["python311", "python3.11", "Python", "PYTHON311"])
def test_a_runtime_has_all_of_its_names(name: str) -> None:
    assert manager(PYTHON, NODE).validate_runtime(name) is PYTHON


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(NotFoundError, match=r"unknown runtime 'pyhton'; did you mean python"):
        manager(PYTHON, NODE).validate_runtime("pyhton")


def test_a_canonical_name_goes_before_an_alias() -> None:
    other = runtime("node", "deno")
    assert manager(NODE, other).validate_runtime("node") is other


def test_an_alias_of_two_runtimes_names_both() -> None:
    with pytest.raises(UserError, match="'node' is a name of deno and nodejs20"):
        manager(NODE, runtime("deno", "node")).validate_runtime("node")


def test_a_name_that_is_none_of_them_is_asked_for_elsewhere() -> None:
    asked = {"ruby": runtime("ruby")}
    found = EntrypointManager({"node": NODE}, {}, find=asked.__getitem__)
    assert found.validate_runtime("ruby") is asked["ruby"]
    assert found.validate_runtime("node") is NODE


@pytest.mark.parametrize("key", ["python311", "python3.11", "Python"])
def test_an_image_may_be_configured_under_any_name(key: str) -> None:
    known = manager(PYTHON, NODE, images={key: "registry/own:2"})
    assert known.get_docker_image("python") == "registry/own:2"
    assert known.get_docker_image("node") == "nodejs20:1"


def test_the_image_of_the_canonical_name_wins() -> None:
    known = manager(PYTHON, images={"python": "alias:1", "python311": "canonical:1"})
    assert known.get_docker_image("python") == "canonical:1"


def generated(folder: Path, context: ExecutionContext = CONTEXT, of: Runtime | None = None) -> dict[str, bytes]:
    assert write_program(of or runtime(), folder) == folder / "entrypoint.sh"
    write_context(context, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_program_and_context_are_written_side_by_side(tmp_path: Path) -> None:
    files = generated(tmp_path)
    assert set(files) == {"entrypoint.sh", "wrapper.sh", "context.json", "environment"}
    assert files["entrypoint.sh"] == SCRIPT
    document = json.loads(files["context.json"])
    assert document == {
        "version": 1,
        "id": "probe",
        "entrypoint": "bot",
        "script": "main.sh",
        "code_dir": "/bot",
        "config": {"b": 1, "a": "é"},
        "environment": environment_of(CONTEXT),
        "result_file": "/botdock/result",
        "result_limit": 100,
    }
    assert list(document["config"]) == ["b", "a"], "the config keeps its order"


@pytest.mark.parametrize("damage", ["absent", "other bytes", "a link", "one more"])
def test_a_program_is_written_once_and_again_where_it_is_damaged(tmp_path: Path, damage: str) -> None:
    shell, programs = runtime(), tmp_path / "programs"
    place = manager(shell).locate_entrypoint_script(shell, programs)
    assert not programs.exists()
    script = manager(shell).create_entrypoint_script(shell, programs)
    assert script == place
    inode, wrapper = script.stat().st_ino, script.with_name("wrapper.sh")
    assert manager(shell).create_entrypoint_script(shell, programs) == script
    assert (script.stat().st_ino, stat.S_IMODE(script.parent.stat().st_mode)) == (inode, 0o755)
    if damage == "one more":
        script.with_name("sitecustomize.py").touch()
    else:
        wrapper.unlink()
    if damage == "other bytes":
        wrapper.write_bytes(b"evil")
    if damage == "a link":
        (tmp_path / "same").write_bytes(b"true\n")
        wrapper.symlink_to(tmp_path / "same")
    assert manager(shell).create_entrypoint_script(shell, programs) == script
    assert {path.name: path.read_bytes() for path in script.parent.iterdir()} == shell.files()
    assert not wrapper.is_symlink()
    assert list(programs.iterdir()) == [script.parent]
    other = runtime(files=lambda: {"entrypoint.sh": SCRIPT})
    assert manager(other).create_entrypoint_script(other, programs).parent != script.parent


def test_a_variable_is_a_line_and_further_lines_of_it_begin_with_an_equals_sign(tmp_path: Path) -> None:
    lines = generated(tmp_path)["environment"].decode().split("\n")
    assert lines[:3] == ["A=line", "=break", 'BOT_CONFIG={"b":1,"a":"\\u00e9"}']
    assert lines[-2:] == ["BOTDOCK_RESULT_FILE=/botdock/result", ""], "the one that a shell reads with comes last"


def test_what_an_interpreter_reads_as_it_starts_is_in_a_file_too(tmp_path: Path) -> None:
    assert generated(tmp_path, attrs.evolve(CONTEXT, startup=("A",)))["startup"] == b"A=line\n=break\n"


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    once, again = tmp_path / "once", tmp_path / "again"
    for folder in (once, again):
        folder.mkdir()
    shuffled = attrs.evolve(
        CONTEXT, variables={name: CONTEXT.variables[name] for name in reversed(list(CONTEXT.variables))}
    )
    assert generated(once) == generated(again, shuffled)


def test_any_user_may_read_them_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        generated(tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes.pop("entrypoint.sh") == 0o755
    assert set(modes.values()) == {0o644}


def test_a_config_too_long_for_a_variable_gets_a_file(tmp_path: Path) -> None:
    context = attrs.evolve(CONTEXT, config={"blob": "x" * 131_072})
    assert json.loads(generated(tmp_path, context)["config.json"]) == context.config


def test_what_is_written_again_replaces_what_was_there(tmp_path: Path) -> None:
    generated(tmp_path, attrs.evolve(CONTEXT, id="another-and-longer-one"))
    assert json.loads(generated(tmp_path)["context.json"])["id"] == "probe"


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "environment").symlink_to(tmp_path / "victim")
    with pytest.raises(EntrypointError, match=r"cannot write .*environment"):
        generated(tmp_path)
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EntrypointError, match="No such file or directory"):
        generated(tmp_path / "absent")


def fails() -> dict[str, bytes]:
    raise OSError("wrapper.py is gone")


def refuses() -> dict[str, bytes]:
    raise EntrypointError("in its own words")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (fails, r"runtime 'shell': its files\(\) raised OSError: wrapper.py is gone"),
        (refuses, "in its own words"),
        (dict, "give no entrypoint.sh"),
        (lambda: {"entrypoint.sh": SCRIPT, "../escape": b""}, r"'\.\./escape', which is not a plain file name"),
        (lambda: {"entrypoint.sh": SCRIPT, "a/b": b""}, "not a plain file name"),
        (lambda: {"entrypoint.sh": SCRIPT, "context.json": b""}, "taken by botdock"),
        (lambda: {"entrypoint.sh": SCRIPT, "ready": b""}, "taken by botdock"),
        (lambda: {"entrypoint.sh": SCRIPT, 3: b""}, "not a plain file name"),
        (lambda: {"entrypoint.sh": SCRIPT.decode()}, "give str for 'entrypoint.sh', not bytes"),
    ],
)
def test_a_runtime_that_gives_nonsense_is_named(tmp_path: Path, files: Any, said: str) -> None:
    with pytest.raises(EntrypointError, match=said):
        write_program(runtime(files=files), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("entrypoint", "kind"), [("bot", "BOT"), ("backtest", "BACKTEST")])
def test_the_contract_names_its_variables(entrypoint: str, kind: str) -> None:
    variables = environment_of(attrs.evolve(CONTEXT, entrypoint=entrypoint, code_dir=f"/{entrypoint}"))
    config = '{"b":1,"a":"\\u00e9"}'
    assert variables == {
        "TOKEN": "s3cret",
        "A": "line\nbreak",
        "ID": "probe",
        f"{kind}_ID": "probe",
        "CONFIG": config,
        f"{kind}_CONFIG": config,
        "ENTRYPOINT_TYPE": entrypoint,
        "CODE_MOUNT_DIR": f"/{entrypoint}",
        "SCRIPT_PATH": "main.sh",
        "BOTDOCK_RESULT_FILE": "/botdock/result",
    }


@pytest.mark.parametrize("entrypoint", ["bot", "backtest"])
def test_a_config_is_a_variable_as_long_as_linux_passes_it(entrypoint: str) -> None:
    kind = entrypoint.upper()
    room = 131_071 - len(f'{kind}_CONFIG={{"x":""}}')
    fitting = environment_of(attrs.evolve(CONTEXT, entrypoint=entrypoint, config={"x": "y" * room}))
    assert len(f"{kind}_CONFIG={fitting[f'{kind}_CONFIG']}") == 131_071
    longer = environment_of(attrs.evolve(CONTEXT, entrypoint=entrypoint, config={"x": "y" * (room + 1)}))
    assert {"CONFIG", f"{kind}_CONFIG"}.isdisjoint(longer)
    assert longer["CONFIG_FILE"] == longer[f"{kind}_CONFIG_FILE"] == "/botdock/context/config.json"


@pytest.mark.parametrize("script", ["-e", "+e"])
def test_a_script_is_never_taken_for_an_option(script: str) -> None:
    assert environment_of(attrs.evolve(CONTEXT, script=script))["SCRIPT_PATH"] == f"./{script}"


def test_variables_that_no_program_can_be_given_are_refused() -> None:
    much = {f"PART_{n}": "x" * 131_000 for n in range(9)}
    with pytest.raises(ExecutableError, match="env: the variables take 1179"):
        environment_of(attrs.evolve(CONTEXT, variables=much))
    many = {f"V{n}": "" for n in range(80_000)}
    with pytest.raises(ExecutableError, match="1048576 are allowed"):
        environment_of(attrs.evolve(CONTEXT, variables=many))


def test_a_script_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExecutableError, match="entrypoint_files: the script's name"):
        generated(tmp_path, attrs.evolve(CONTEXT, script="\udcff.sh"))
