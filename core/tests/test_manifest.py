from __future__ import annotations

import builtins
import os
from pathlib import Path
from typing import Any

import pytest

from botdock.errors import CodeError
from botdock.model import Limits, RestartPolicy, Runtime
from botdock.model.limits import MIB
from botdock.services.code.manifest import MAX_MANIFEST_BYTES, Manifest, read_manifest
from botdock.services.code.script import detect_runtime

PYTHON = Runtime(
    name="python311",
    image="python:3.11",
    interpreters=("python3",),
    suffixes=(".py",),
    scripts={"bot": ("main.py", "bot.py"), "backtest": ("backtest.py",)},
    files=dict,
)
BASH = Runtime(
    name="bash", image="bash:5", interpreters=("bash",), suffixes=(".sh",), scripts={"bot": ("main.sh",)}, files=dict
)

BOT_TOML = """
name = "SMA crossover"
runtime = "python3.11"
type = "trend"
image = "team/trend:2"
restart = "on-failure:5"

[entrypoints]
bot = "main.py"
backtest = "src/backtest.py"

[limits]
memory = "256MiB"
cpus = 0.5
pids = 64
output = 1048576
"""

BOT_CONFIG = """
name: SMA crossover
runtime: python3.11
type: trend
entrypoints:
  bot: main.py
  backtest: src/backtest.py
  live: ignored.py
schema:
  type: object
version: 1.0
created: 2024-13-45
"""

READ: dict[str, Any] = {
    "name": "SMA crossover",
    "runtime": "python3.11",
    "type": "trend",
    "entrypoints": {"bot": "main.py", "backtest": "src/backtest.py"},
}


def manifest(tree: Path, name: str, text: str | bytes) -> Manifest:
    (tree / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    found = read_manifest(tree)
    assert found is not None
    return found


def problems(tree: Path, name: str, text: str | bytes) -> list[str]:
    with pytest.raises(CodeError) as caught:
        manifest(tree, name, text)
    assert caught.value.source == str(tree / name)
    return caught.value.message.splitlines()


class TestBotToml:
    def test_all_that_can_be_said(self, tmp_path: Path) -> None:
        limits = Limits(memory=256 * MIB, cpus=0.5, pids=64, output=MIB)
        assert manifest(tmp_path, "bot.toml", BOT_TOML) == Manifest(
            **READ, limits=limits, image="team/trend:2", restart=RestartPolicy.parse("on-failure:5"), source="bot.toml"
        )

    def test_nothing_need_be_said(self, tmp_path: Path) -> None:
        assert manifest(tmp_path, "bot.toml", "") == Manifest(source="bot.toml")

    def test_every_problem_is_named_with_the_nearest_right_name(self, tmp_path: Path) -> None:
        text = """
            nam = "x"
            runtime = 3.11
            type = ""
            image = "Python:3"
            restart = "On_Failure:9"
            entrypoints = { bots = "main.py", bot = 1, backtest = "a\\nb" }
            [limits]
            memroy = "1GB"
            memory = "lots"
            cpus = true
            pids = 1.5
            output = -1
            result = 0xffffffffffffffffffffffff
            tmpfs = "1e9"
        """
        assert problems(tmp_path, "bot.toml", text) == [
            "bot.toml: nam: unknown key; did you mean name?",
            "bot.toml: entrypoints.bots: unknown key; did you mean bot?",
            "bot.toml: limits.memroy: unknown key; did you mean memory?",
            "bot.toml: runtime: must be text, not float",
            "bot.toml: type: must not be empty or hold control characters",
            "bot.toml: image: 'Python:3' is not the name of an image: 'Python' must be in lower case",
            "bot.toml: restart: 'On_Failure:9' is not a restart policy; did you mean 'on-failure:9'?",
            "bot.toml: entrypoints.bot: must be text, not int",
            "bot.toml: entrypoints.backtest: must not be empty or hold control characters",
            "bot.toml: limits.memory: 'lots' is not a size; write bytes, or for example '512MiB' or '1.5GB'",
            "bot.toml: limits.cpus: must be a number, not true",
            "bot.toml: limits.pids: must be a whole number, not 1.5",
            "bot.toml: limits.output: -1 bytes must be 1 B to 1 TiB",
            "bot.toml: limits.tmpfs: '1e9' is not a size; write bytes, or for example '512MiB' or '1.5GB'",
            "bot.toml: limits.result: 79228162514264337593543950335 bytes must be 1 B to 1 GiB",
        ]

    @pytest.mark.parametrize("text", ["limits = 3", 'entrypoints = "main.py"'])
    def test_a_table_must_be_one(self, tmp_path: Path, text: str) -> None:
        (problem,) = problems(tmp_path, "bot.toml", text)
        assert "must be a table, as in [" in problem

    @pytest.mark.parametrize("text", ["name", "[", b"\xff", "x = 1\nx = 2"])
    def test_what_is_no_toml(self, tmp_path: Path, text: str | bytes) -> None:
        assert problems(tmp_path, "bot.toml", text)[0].startswith("bot.toml: is not TOML: ")

    def test_a_size_beyond_all_numbers(self, tmp_path: Path) -> None:
        (problem,) = problems(tmp_path, "bot.toml", f'[limits]\nmemory = "{"9" * 400}"')
        assert problem.startswith("bot.toml: limits.memory: ")

    def test_infinity_is_no_number_of_processors(self, tmp_path: Path) -> None:
        assert problems(tmp_path, "bot.toml", "[limits]\ncpus = inf") == [
            "bot.toml: limits.cpus: inf must be 0.01 to 4096"
        ]


class TestBotConfigYaml:
    def test_what_it_says_of_ours_is_read_and_the_rest_is_not(self, tmp_path: Path) -> None:
        assert manifest(tmp_path, "bot-config.yaml", BOT_CONFIG) == Manifest(**READ, source="bot-config.yaml")

    @pytest.mark.parametrize("text", ["no", "'no'", "always", "on-failure:2"])
    def test_it_may_say_when_it_is_restarted(self, tmp_path: Path, text: str) -> None:
        found = manifest(tmp_path, "bot-config.yaml", f"restart: {text}")
        assert found.restart == RestartPolicy.parse(text.strip("'"))

    @pytest.mark.parametrize("text", ["", "# nothing", "~", "name:\nentrypoints:\n"])
    def test_nothing_need_be_said(self, tmp_path: Path, text: str) -> None:
        assert manifest(tmp_path, "bot-config.yaml", text) == Manifest(source="bot-config.yaml")

    def test_bot_toml_comes_first(self, tmp_path: Path) -> None:
        (tmp_path / "bot-config.yaml").write_text("name: old")
        assert manifest(tmp_path, "bot.toml", 'name = "new"').name == "new"

    def test_every_problem_is_named(self, tmp_path: Path) -> None:
        text = "name: [a]\nruntime: 3.11\ntype: !mine x\nentrypoints: {bot: 1, backtest: ''}"
        assert problems(tmp_path, "bot-config.yaml", text) == [
            "bot-config.yaml: name: must be text, not seq; put it in quotes",
            "bot-config.yaml: runtime: must be text, not float; put it in quotes",
            "bot-config.yaml: type: must be text, not a tagged value; put it in quotes",
            "bot-config.yaml: entrypoints.bot: must be text, not int; put it in quotes",
            "bot-config.yaml: entrypoints.backtest: must not be empty or hold control characters",
        ]

    @pytest.mark.parametrize("text", ["- a", "text", "!!map [a, b]", "entrypoints: [a]", "entrypoints: main.py"])
    def test_a_mapping_must_be_one(self, tmp_path: Path, text: str) -> None:
        (problem,) = problems(tmp_path, "bot-config.yaml", text)
        assert "must be a mapping" in problem

    @pytest.mark.parametrize("text", ["a: [", "a: b: c", "\t", b"\xff", '"\\UFFFFFFFF"', "--- a\n--- b", "*x"])
    def test_what_is_no_yaml(self, tmp_path: Path, text: str | bytes) -> None:
        (problem,) = problems(tmp_path, "bot-config.yaml", text)
        assert problem.startswith("bot-config.yaml: is not YAML: ")

    def test_a_tag_builds_nothing(self, tmp_path: Path) -> None:
        text = f"name: !!python/object/apply:pathlib.Path.touch ['{tmp_path}/made']\nschema: !!python/name:os.system x"
        assert "not a tagged value" in problems(tmp_path, "bot-config.yaml", text)[0]
        assert not (tmp_path / "made").exists()

    def test_a_bomb_of_aliases_is_not_expanded(self, tmp_path: Path) -> None:
        levels = [f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 9)}]}}" for n in range(1, 40)]
        text = "\n".join(["l0: &l0 {k: v}", *levels, "name: bomb"])
        assert manifest(tmp_path, "bot-config.yaml", text).name == "bomb"

    def test_an_alias_that_holds_itself(self, tmp_path: Path) -> None:
        (problem,) = problems(tmp_path, "bot-config.yaml", "entrypoints: &x {bot: *x}")
        assert problem == "bot-config.yaml: entrypoints.bot: must be text, not map; put it in quotes"

    def test_half_a_surrogate_pair_is_no_text(self, tmp_path: Path) -> None:
        assert "control characters" in problems(tmp_path, "bot-config.yaml", 'name: "\\uD800"')[0]

    def test_without_pyyaml_the_command_that_installs_it_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = builtins.__import__

        def no_yaml(name: str, *args: Any, **kwargs: Any) -> Any:
            if name.partition(".")[0] == "yaml":
                raise ImportError(name)
            return original(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", no_yaml)
        with pytest.raises(CodeError) as caught:
            manifest(tmp_path, "bot-config.yaml", "name: x")
        assert caught.value.message == "bot-config.yaml: it is YAML, and PyYAML is not installed"
        assert 'pip install "botdock[yaml]"' in str(caught.value)


@pytest.mark.parametrize("name", ["bot.toml", "bot-config.yaml"])
class TestFile:
    def test_what_is_said_of_it_is_bounded(self, tmp_path: Path, name: str) -> None:
        for text in ("name: *" + "x" * 60_000, 'name = "' + "x" * 60_000 + '"', "name: " + "x" * 60_000):
            assert all(len(problem) < 600 for problem in problems(tmp_path, name, text))

    def test_it_is_bounded(self, tmp_path: Path, name: str) -> None:
        assert manifest(tmp_path, name, "#" * MAX_MANIFEST_BYTES).source == name
        assert problems(tmp_path, name, "#" * (MAX_MANIFEST_BYTES + 1)) == [f"{name}: is larger than 64 KiB"]

    def test_a_byte_order_mark_is_not_part_of_it(self, tmp_path: Path, name: str) -> None:
        assert manifest(tmp_path, name, b"\xef\xbb\xbf# nothing").source == name

    def test_a_link_within_the_code_is_followed(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "real").write_text("")
        (tmp_path / name).symlink_to("real")
        assert read_manifest(tmp_path) == Manifest(source=name)

    def test_a_link_out_of_the_code_is_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "tree").mkdir()
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "tree" / name).symlink_to("../secret")
        with pytest.raises(CodeError, match="is a link that leads out of the code"):
            read_manifest(tmp_path / "tree")

    def test_a_fifo_holds_no_reader_up(self, tmp_path: Path, name: str) -> None:
        os.mkfifo(tmp_path / name)
        with pytest.raises(CodeError, match=f"{name}: is not a regular file"):
            read_manifest(tmp_path)

    @pytest.mark.parametrize("target", [None, "nowhere"])
    def test_what_cannot_be_opened(self, tmp_path: Path, name: str, target: str | None) -> None:
        (tmp_path / name).symlink_to(target) if target else (tmp_path / name).mkdir()
        with pytest.raises(CodeError, match=f"{name}: "):
            read_manifest(tmp_path)


def test_most_code_has_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None


class TestDetectRuntime:
    def test_the_one_that_recognises_the_code(self, tmp_path: Path) -> None:
        (tmp_path / "bot.py").write_text("")
        assert detect_runtime(tmp_path, "bot", [BASH, PYTHON]) is PYTHON

    def test_none_names_the_scripts_that_there_are(self, tmp_path: Path) -> None:
        for name in ("strategy.py", "notes.txt", "start.sh"):
            (tmp_path / name).write_text("")
        with pytest.raises(CodeError, match=r"\nThere is strategy\.py, start\.sh\. Name the script with --script"):
            detect_runtime(tmp_path, "bot", [PYTHON, BASH])

    def test_none_names_the_usual_scripts(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("")
        with pytest.raises(CodeError) as caught:
            detect_runtime(tmp_path, "bot", [PYTHON, BASH])
        assert caught.value.source == str(tmp_path)
        assert str(caught.value) == (
            "no runtime recognises the code: it holds no script of a usual name for the entrypoint 'bot'\n"
            "Usual names: main.py, bot.py (python311); main.sh (bash)."
        )

    def test_no_runtime_installed(self, tmp_path: Path) -> None:
        with pytest.raises(CodeError, match="no runtime is installed"):
            detect_runtime(tmp_path, "bot", [])

    def test_several_are_named_with_what_each_saw(self, tmp_path: Path) -> None:
        for name in ("main.py", "main.sh"):
            (tmp_path / name).write_text("")
        with pytest.raises(CodeError, match=r"it holds main\.py \(python311\) and main\.sh \(bash\)\nSay which"):
            detect_runtime(tmp_path, "bot", [PYTHON, BASH])
