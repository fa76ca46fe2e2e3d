"""Whatever a bot's author writes, a manifest is read or refused with one clear error."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdock.errors import CodeError
from botdock.model import ENTRYPOINTS
from botdock.model.limits import MIB
from botdock.services.code.manifest import MANIFESTS, Manifest, read_manifest

KEYS = st.sampled_from(["name", "runtime", "type", "entrypoints", "limits", "memory", "cpus", "bot", "schema", "<<"])
NINES = "9" * 400
TOML_VALUES = st.sampled_from(
    [
        *['"x"', '"512MiB"', '"\\u0000"', "'''a\nb'''", "1", "-1", "1.5", "nan", "inf", "0x" + "f" * 40, NINES],
        *["true", "[]", "{}", "2024-01-01", "{ bot = 1 }", "{ memory = nan, cpus = nan, pids = inf }"],
        f'{{ memory = "{NINES}" }}',
    ]
)
TOML = st.lists(st.tuples(KEYS, TOML_VALUES), max_size=5).map(
    lambda lines: "\n".join(f"{key} = {value}" for key, value in lines)
)
YAML_PIECES = st.sampled_from(
    [
        *[
            ": ",
            "\n",
            "  ",
            "- ",
            "? ",
            "[",
            "]",
            "{",
            "}",
            "|",
            ">",
            '"',
            "'",
            "#",
            "\t",
            "\r",
            "\ufeff",
            "\x85",
            "\u2028",
        ],
        *[
            "&a ",
            "*a",
            "!!map ",
            "!!str ",
            "!!timestamp ",
            "!!binary ",
            "!x ",
            "%YAML 1.1\n",
            "%TAG ! x\n",
            "---",
            "...",
        ],
        *["name", "runtime", "entrypoints", "bot", "<<", "3.11", "~", "2024-13-45", "0o9", "1:60:99", ".inf", "\\U"],
    ]
)
YAML = st.lists(YAML_PIECES, max_size=25).map("".join)


def read_or_refused(tree: Path) -> Manifest | CodeError | None:
    try:
        return read_manifest(tree)
    except CodeError as error:
        return error


@pytest.mark.parametrize("name", MANIFESTS)
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=200) | (st.text(max_size=200) | TOML | YAML).map(lambda text: text.encode()))
def test_any_text_is_read_or_refused(name: str, data: bytes) -> None:
    with TemporaryDirectory() as folder:
        tree = Path(folder)
        (tree / name).write_bytes(data)
        found = read_or_refused(tree)
    if isinstance(found, CodeError):
        assert all(line.startswith(f"{name}: ") for line in found.message.split("\n"))
        return
    assert isinstance(found, Manifest)
    assert set(found.entrypoints) <= set(ENTRYPOINTS)
    assert list(found.limits.problems()) == []
    assert "" not in {found.name, found.runtime, found.type, *found.entrypoints.values()}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("bot.toml", "a." * 30_000 + "a = 1", "holds more than 1000 times '.'"),
        ("bot.toml", "[" + "a." * 30_000 + "a]", "holds more than 1000 times '.'"),
        ("bot.toml", "a." * 1000 + "a = 1", "a: unknown key"),
        ("bot.toml", "a = " + "[" * 60_000, "is nested too deeply"),
        ("bot.toml", "a = " + "{a=" * 20_000, "is nested too deeply"),
        ("bot.toml", "limits.pids = 0x" + "f" * 60_000, "limits.pids: "),
        ("bot.toml", "limits.memory = 0x" + "f" * 60_000, "limits.memory: "),
        ("bot.toml", "limits.cpus = 1e" + "9" * 60_000, "limits.cpus: "),
        ("bot.toml", "limits.pids = " + "9" * 60_000, "is not TOML: "),
        ("bot.toml", "".join(f"{n:x} = 1\n" for n in range(7000)), "0: unknown key"),
        ("bot.toml", "a = [" + "[]," * 20_000 + "]", "a: unknown key"),
        ("bot-config.yaml", "[" * 60_000, "holds more than 1000 times '['"),
        ("bot-config.yaml", "[" * 900, "is nested too deeply"),
        ("bot-config.yaml", "- " * 30_000, "is nested too deeply"),
        ("bot-config.yaml", "a: &a [x]\nname: [" + "*a," * 2_000 + "]", "name: must be text, not seq"),
        ("bot-config.yaml", "name: !!int " + "9" * 60_000, "name: must be text, not int"),
    ],
)
def test_reading_it_takes_bounded_memory(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / name).write_text(text)
    tracemalloc.start()
    try:
        with pytest.raises(CodeError) as caught:
            read_manifest(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    said = caught.value.message.splitlines()
    assert said[0].startswith(f"{name}: {problem}")
    assert len(said) <= 20
    assert peak < 32 * MIB
