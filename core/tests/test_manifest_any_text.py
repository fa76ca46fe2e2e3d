"""Whatever a bot's author writes, a manifest is read or refused with one clear error."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdock.errors import CodeError
from botdock.model import ENTRYPOINTS
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
