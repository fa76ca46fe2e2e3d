"""What the strategies draw is what botdock takes, and `from_type` knows them wherever the package is installed."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdock import DockerRunner, Executable, Limits
from botdock.archive import extract
from botdock.errors import ArchiveError
from botdock.model import LogChunk, Stream
from botdock_testing import _hypothesis
from botdock_testing.archives import FORMS, HOSTILITIES, Form, Hostility
from botdock_testing.strategies import archives, executables, hostile_archives, limits, log_streams, script_paths

some = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@some
@given(executables())
def test_an_executable_is_one_and_its_limits_are_in_their_ranges(executable: Executable) -> None:
    assert list(executable.limits.problems()) == []
    assert executable.env.keys().isdisjoint(executable.secrets)


@some
@given(executables(runtime=st.just("bash"), limits=st.just(Limits(pids=8)), env=st.just({"A": "1"})))
def test_a_field_is_narrowed_by_its_name(executable: Executable) -> None:
    assert (executable.runtime, executable.limits, executable.env) == ("bash", Limits(pids=8), {"A": "1"})


def test_a_field_that_does_not_exist_is_named() -> None:
    with pytest.raises(TypeError, match=r"no field of an Executable: colour"):
        executables(colour=st.just("red"))


@some
@given(limits())
def test_limits_are_in_their_ranges(drawn: Limits) -> None:
    assert list(drawn.problems()) == []


@some
@given(log_streams(streams=[Stream.STDERR], max_chunks=3, max_bytes=9, binary=False))
def test_what_a_bot_writes_is_narrowed(written: tuple[LogChunk, ...]) -> None:
    assert len(written) <= 3
    assert all(chunk.stream is Stream.STDERR and 0 < len(chunk.data.decode()) <= 9 for chunk in written)


@some
@given(script_paths(".rb", max_folders=1))
def test_a_path_of_a_script_stays_in_its_tree(path: str) -> None:
    assert path.endswith(".rb")
    assert path.count("/") <= 1
    assert not {"..", "."} & set(path.split("/"))


@pytest.mark.parametrize("form", FORMS)
@settings(some, max_examples=5)
@given(data=st.data())
def test_a_harmless_archive_is_unpacked(form: Form, data: st.DataObject) -> None:
    with TemporaryDirectory() as place:
        report = extract(io.BytesIO(data.draw(archives(forms=[form]))), Path(place, "out"))
    assert report.entries >= 1


@pytest.mark.parametrize("hostility", HOSTILITIES)
@settings(some, max_examples=8)
@given(data=st.data())
def test_a_hostile_archive_is_refused_and_leaves_nothing(hostility: Hostility, data: st.DataObject) -> None:
    archive = data.draw(hostile_archives(hostilities=[hostility]))
    with TemporaryDirectory() as place:
        with pytest.raises(ArchiveError):
            extract(io.BytesIO(archive), Path(place, "out"))
        assert list(Path(place).iterdir()) == []


@some
@given(st.from_type(Executable), st.from_type(Limits), st.from_type(LogChunk), st.from_type(tuple[LogChunk, ...]))
def test_from_type_knows_botdocks_types(one: Executable, two: Limits, three: LogChunk, four: object) -> None:
    assert isinstance(one, Executable)
    assert list(two.problems()) == []
    assert three.data
    assert isinstance(four, tuple)


def test_other_types_of_botdock_and_of_others_are_left_to_hypothesis() -> None:
    assert _hypothesis.strategy_of(DockerRunner) is None
    assert _hypothesis.strategy_of(Stream) is None
    assert _hypothesis.strategy_of(dict[str, int]) is None


def python(source: str) -> str:
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True).stdout


def test_importing_hypothesis_imports_nothing_of_botdock_until_a_type_is_drawn() -> None:
    assert python("""
import sys, hypothesis
print([name for name in sys.modules if name.split(".")[0] in {"botdock", "attrs", "pluggy"}])
from botdock import Executable
print("botdock_testing.strategies" in sys.modules)
print(hypothesis.strategies.from_type(Executable).validate())
print("botdock_testing.strategies" in sys.modules)
""").split() == ["[]", "False", "None", "True"]


def test_whatever_is_broken_hypothesis_is_imported() -> None:
    """Registered again and again, since the first time is over before anything of it can be broken."""
    python("""
import sys, hypothesis
from hypothesis.strategies._internal import types
from botdock_testing._hypothesis import register
types._global_extra_lookup = 7
register()
sys.modules["botdock.model"], types._global_extra_lookup = None, None
register()
sys.modules["hypothesis.strategies"] = None
register()
""")


def test_without_a_list_of_resolvers_the_types_are_known_all_the_same() -> None:
    assert (
        python("""
from hypothesis.strategies import from_type
from hypothesis.strategies._internal import types
from botdock_testing._hypothesis import register, strategy_of
kept = types.__dict__.pop("_global_extra_lookup")
register()
types._global_extra_lookup = {**kept}
types._global_extra_lookup.pop("botdock.model", None)
from botdock import Executable
from_type(Executable).validate()
print("known")
""").strip()
        == "known"
    )
