"""Hypothesis strategies for what botdock is given: any value that it lets through, and archives that it refuses.

Functions, whose keyword arguments narrow. Where this package is installed, `from_type(Executable)`, `from_type(Limits)`
and `from_type(LogChunk)` draw from here too.

Example:
    >>> from hypothesis import given
    >>> @given(executables(runtime=st.just("bash"), config=configs(max_size=1)))
    ... def test_my_app(executable):
    ...     assert len(executable.config) <= 1
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Literal

from hypothesis import strategies as st

from botdock.model import ENTRYPOINTS, Executable, Limits, LogChunk, RestartPolicy, Stream
from botdock.model.executable import MAX_TIMEOUT, RESERVED_ENVIRONMENT
from botdock.model.limits import RANGES
from botdock.model.storage import MAX_SEGMENT_BYTES
from botdock_testing.archives import archives, hostile_archives

__all__ = [
    "archives",
    "configs",
    "entrypoints",
    "environments",
    "executables",
    "hostile_archives",
    "ids",
    "json_values",
    "limits",
    "log_chunks",
    "log_streams",
    "numbers",
    "script_paths",
    "texts",
]

SAFE_INTEGER = 2**53 - 1
"""The largest integer that survives in a language whose numbers are doubles (ECMAScript's MAX_SAFE_INTEGER)."""
DOUBLE_DIGITS = 17
"""Significant digits that tell every two doubles apart (IEEE 754)."""
_WRITTEN_OUT = 1e16
"""Below it Python writes a number without an exponent, with zeros that a reader takes for digits."""

AWKWARD_NAMES = (
    "-n",
    "--eval=1",
    "a b",
    "it's",
    '"quoted"',
    "$(touch pwned)",
    "`touch pwned`",
    "a;b&&c|d",
    "*?[x]",
    "#",
    "%41?x=1#y",
    "back\\slash",
    "~",
    "line\nbreak",
    " ",
    "é",
    "\U0001f600",
    "...",
)
"""Names that a shell, a URL or an option parser would take for something else."""

AWKWARD_TEXTS = (*AWKWARD_NAMES, "", "\n", "'\"\\", "EOF\n", "${HOME}", "\x01\x7f", "\r\n", "\u2028", "</script>")

INTERPRETED_VARIABLES = frozenset(
    {"_", "BASH", "BASHOPTS", "CDPATH", "ENV", "EUID", "GROUPS", "HOME", "IFS", "LANG", "OLDPWD", "OPTARG", "OPTIND"}
    | {"PATH", "POSIXLY_CORRECT", "PPID", "PS4", "PWD", "RANDOM", "SECONDS", "SHELLOPTS", "SHLVL", "TERM", "TZ", "UID"}
)
"""Variables that a shell sets itself or acts upon, so that no script sees them as they were given."""


_IMAGES = ("python", "python:3.11-slim", "registry.example:5000/a/b:1", f"bots/hello@sha256:{'0f' * 32}")
_RESTARTS = ("no", "on-failure", "on-failure:5", "always")


def ids() -> st.SearchStrategy[str]:
    """Return ids of executables: 1 to 128 of `A-Z a-z 0-9 . _ -`, beginning with a letter or a digit."""
    return st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True)


def entrypoints() -> st.SearchStrategy[str]:
    """Return `bot` or `backtest`."""
    return st.sampled_from(ENTRYPOINTS)


def texts(*, max_size: int = 40, surrogates: bool = True) -> st.SearchStrategy[str]:
    """Return texts of JSON: any characters at all, lone surrogates among them unless `surrogates` is False."""
    excluded: tuple[Literal["Cs"], ...] = () if surrogates else ("Cs",)
    return st.sampled_from(AWKWARD_TEXTS) | st.text(st.characters(exclude_categories=excluded), max_size=max_size)


def numbers(*, largest_integer: int = SAFE_INTEGER, digits: int = DOUBLE_DIGITS) -> st.SearchStrategy[int | float]:
    """Return the numbers of JSON.

    Args:
        largest_integer: Of the integers, by absolute value.
        digits: Significant digits that a number is written with at most.
    """
    largest_integer = min(largest_integer, 10**digits - 1)
    floats = st.floats(allow_nan=False, allow_infinity=False)
    if digits < DOUBLE_DIGITS:
        rounded = floats.map(lambda number: float(f"{number:.{digits}g}")).filter(math.isfinite)
        floats = rounded.filter(lambda number: not 10**digits <= abs(number) < _WRITTEN_OUT)
    return st.integers(-largest_integer, largest_integer) | floats


def json_values(
    *,
    largest_integer: int = SAFE_INTEGER,
    max_leaves: int = 12,
    digits: int = DOUBLE_DIGITS,
    surrogates: bool = True,
) -> st.SearchStrategy[Any]:
    """Return JSON values as `json.loads` gives them.

    Args:
        largest_integer: Of the integers, by absolute value.
        max_leaves: Values that are neither array nor object.
        digits: Significant digits that a number is written with at most.
        surrogates: Whether texts may hold half a surrogate pair.
    """
    leaves = st.none() | st.booleans() | numbers(largest_integer=largest_integer, digits=digits)
    values = st.recursive(
        leaves | texts(surrogates=surrogates),
        lambda inner: st.lists(inner, max_size=4) | _objects(inner, max_size=4, surrogates=surrogates),
        max_leaves=max_leaves,
    )
    return values.map(_read_back)


def configs(
    *,
    largest_integer: int = SAFE_INTEGER,
    max_size: int = 5,
    digits: int = DOUBLE_DIGITS,
    surrogates: bool = True,
) -> st.SearchStrategy[dict[str, Any]]:
    """Return configs: JSON objects.

    Args:
        largest_integer: Of the integers in them, by absolute value.
        max_size: Keys of the object itself.
        digits: Significant digits that a number is written with at most.
        surrogates: Whether texts may hold half a surrogate pair.
    """
    values = json_values(largest_integer=largest_integer, digits=digits, surrogates=surrogates)
    return _objects(values, max_size=max_size, surrogates=surrogates).map(_read_back)


def environments(*, max_size: int = 5) -> st.SearchStrategy[dict[str, str]]:
    """Return variables of the caller's own, of up to `max_size` names; none that the contract or a shell sets."""
    names = st.sampled_from(("__proto__", "constructor", "a", "X1")) | st.from_regex(
        r"[A-Za-z_][A-Za-z0-9_]{0,30}", fullmatch=True
    )
    usable = names.filter(lambda name: name not in RESERVED_ENVIRONMENT | INTERPRETED_VARIABLES)
    values = st.sampled_from(AWKWARD_TEXTS) | st.text(_encodable("\0"))
    return st.dictionaries(usable, values, max_size=max_size)


def script_paths(suffix: str = ".py", *, max_folders: int = 2) -> st.SearchStrategy[str]:
    """Return paths of scripts, relative to their tree, that end in `suffix`; any names that Linux allows.

    Args:
        suffix: Such as `.py`.
        max_folders: Folders of the tree that the script may lie below.
    """
    scripts = _segments(MAX_SEGMENT_BYTES - len(suffix.encode())).map(lambda stem: stem + suffix)
    folders = st.lists(_segments(MAX_SEGMENT_BYTES), max_size=max_folders)
    return st.builds(lambda above, script: "/".join([*above, script]), folders, scripts)


def limits() -> st.SearchStrategy[Limits]:
    """Return limits within their ranges, each of which may be left to the configuration."""
    ranges = {
        name: st.floats(low, high) if name == "cpus" else st.integers(int(low), int(high))
        for name, (low, high) in RANGES.items()
    }
    return st.builds(Limits, **{name: st.none() | values for name, values in ranges.items()})


def executables(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Executable]:
    """Return executables of any kind; whether their code exists, and their runtime is installed, is another question.

    Args:
        **fields: What a field is drawn from, by its name, in place of anything it may be.

    Raises:
        TypeError: It is not a field.

    Example:
        >>> small = executables(runtime=st.just("bash"), secrets=st.just({}), limits=st.just(Limits(pids=8)))
    """
    seconds = st.none() | st.floats(0.001, MAX_TIMEOUT)
    drawn = {
        "id": ids(),
        "runtime": st.none() | st.sampled_from(("bash", "python3.11", "nodejs20")),
        "entrypoint": entrypoints(),
        "entrypoint_files": st.dictionaries(entrypoints(), script_paths()),
        "config": configs(),
        "file_path": script_paths(""),
        "code": st.just(b"") | st.binary(max_size=40),
        "code_digest": st.none() | st.from_regex(r"(sha256:)?[0-9a-f]{64}", fullmatch=True),
        "is_long_running": st.booleans(),
        "persist_results": st.booleans(),
        "segment": st.none() | st.integers(1 - 2**63, 2**63 - 1),
        "limits": limits(),
        "env": environments(),
        "secrets": environments(),
        "image": st.none() | st.sampled_from(_IMAGES),
        "network": st.none() | st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True),
        **dict.fromkeys(("timeout", "start_timeout", "silence_timeout"), seconds),
        "restart": st.none() | st.sampled_from(_RESTARTS).map(RestartPolicy.parse),
    }
    if unknown := sorted(fields.keys() - drawn.keys()):
        raise TypeError(f"no field of an Executable: {', '.join(unknown)}")
    return st.fixed_dictionaries({**drawn, **fields}).map(_executable)


def _executable(fields: dict[str, Any]) -> Executable:
    """Return the executable, in which a name is a secret or a plain variable, not both."""
    secrets = {name: value for name, value in fields["secrets"].items() if name not in fields["env"]}
    return Executable(**{**fields, "secrets": secrets})


def log_chunks(
    *, streams: Sequence[Stream] = tuple(Stream), max_bytes: int = 40, binary: bool = True
) -> st.SearchStrategy[LogChunk]:
    """Return what a bot may write at once, up to `max_bytes`: parts of lines, several lines, halves of characters.

    Args:
        streams: Which it may be written to.
        max_bytes: Of a chunk; it has one at least.
        binary: Whether a chunk may be anything but UTF-8.
    """
    alphabet = st.sampled_from("ab \t\r\né€\u2028\U0001f600\0\x1b")  # of up to four bytes each
    whole = st.text(alphabet, min_size=1, max_size=max(1, max_bytes // 4)).map(str.encode)
    texts = whole.filter(lambda data: len(data) <= max_bytes)
    data = texts | whole.map(lambda data: data[:max_bytes]) | st.binary(min_size=1, max_size=max_bytes)
    return st.builds(LogChunk, st.sampled_from(list(streams)), data if binary else texts)


def log_streams(
    *, streams: Sequence[Stream] = tuple(Stream), max_chunks: int = 12, max_bytes: int = 40, binary: bool = True
) -> st.SearchStrategy[tuple[LogChunk, ...]]:
    """Return all that a bot writes, in order: the `output` of a `Script` for `FakeEngine`.

    Args:
        streams: Which it may be written to.
        max_chunks: How often it writes, at most.
        max_bytes: Of one chunk.
        binary: Whether it may write anything but UTF-8.
    """
    return st.lists(log_chunks(streams=streams, max_bytes=max_bytes, binary=binary), max_size=max_chunks).map(tuple)


def _segments(max_bytes: int) -> st.SearchStrategy[str]:
    drawn = st.text(_encodable("/\0"), min_size=1, max_size=max_bytes // 4)
    return (st.sampled_from(AWKWARD_NAMES) | drawn).filter(lambda name: name not in {".", ".."})


def _encodable(without: str) -> st.SearchStrategy[str]:
    """Return characters that UTF-8 can carry, without some."""
    return st.characters(codec="utf-8", exclude_characters=without)


def _objects(
    values: st.SearchStrategy[Any], *, max_size: int, surrogates: bool = True
) -> st.SearchStrategy[dict[str, Any]]:
    keys = st.sampled_from(("__proto__", "constructor", "status", "1")) | texts(max_size=10, surrogates=surrogates)
    return st.dictionaries(keys, values, max_size=max_size)


def _read_back(value: Any) -> Any:
    """Return what JSON makes of it: two surrogates that are a pair become one character."""
    return json.loads(json.dumps(value))
