"""What is to be run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

import attrs
from attrs.converters import optional

from botdock.errors import ExecutableError, nearest
from botdock.model._validation import (
    environment_problem,
    id_problem,
    json_problem,
    kind_of,
    number_problem,
    shown,
    text_problem,
)
from botdock.model.image_reference import image_problem
from botdock.model.limits import RANGES, Limits
from botdock.model.restart import RestartPolicy, restart_problem
from botdock.model.units import parse_seconds

ENTRYPOINTS = ("bot", "backtest")
"""The two kinds of entrypoint: a bot (its value is a courtesy) and a backtest (its value is the point)."""

MAX_TIMEOUT = 366 * 24 * 3600.0

_LARGEST = 2**63 - 1
_NO_LIMITS = Limits()
_MAPPINGS = ("entrypoint_files", "env", "secrets")
_DIGEST = re.compile(r"(sha256:)?([0-9a-fA-F]{64})")

RESERVED_ENVIRONMENT = frozenset(
    {
        "ID",
        "CONFIG",
        "CONFIG_FILE",
        "ENTRYPOINT_TYPE",
        "CODE_MOUNT_DIR",
        "SCRIPT_PATH",
        "BOT_ID",
        "BOT_CONFIG",
        "BOT_CONFIG_FILE",
        "BACKTEST_ID",
        "BACKTEST_CONFIG",
        "BACKTEST_CONFIG_FILE",
        "BOTDOCK_RESULT_FILE",
        "BOTDOCK_SECRETS_DIR",
    }
)
"""Variables that belong to the contract with the bot; an executable cannot set them."""


def _path(value: str | os.PathLike[str]) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _limits(value: Limits | Mapping[str, Any]) -> Limits:
    known = isinstance(value, Mapping) and set(value) <= set(RANGES)
    return Limits(**value) if known else cast("Limits", value)  # type: ignore[arg-type] # a mapping then


def _seconds(value: float | str) -> float:
    with suppress(ValueError):
        return parse_seconds(value) if isinstance(value, str) else value
    return cast("float", value)


def _restart(value: RestartPolicy | str) -> RestartPolicy:
    with suppress(ValueError):
        return RestartPolicy.parse(value) if isinstance(value, str) else value
    return cast("RestartPolicy", value)


@attrs.frozen(kw_only=True)
class Executable:
    """A bot or a backtest, with everything that one run of it needs.

    Example:
        >>> Executable(id="hello", runtime="python3.11", file_path="examples/hello-python").entrypoint
        'bot'

    Attributes:
        id: Names the bot, not the run; 1 to 128 of `A-Z a-z 0-9 . _ -`.
        runtime: Name or alias of a runtime; None means what the code's manifest or its files say.
        entrypoint: `bot` or `backtest`.
        entrypoint_files: Script of each entrypoint, relative to the tree; what is absent is found by the runtime.
        config: What `main` gets as its second argument; any JSON object.
        file_path: The code, as text or a `Path`: a folder, an archive on disk, or a key in the configured storage.
        code: The code itself, as the bytes of an archive; then `file_path` only names it, in messages.
        code_digest: SHA-256 that the archive's bytes must have, as 64 hexadecimal digits, after `sha256:` or not. An
            archive that is known by it is run without asking the storage for it, if `policy.local_code` is on.
        is_long_running: Whether `start_container` returns at once; such a run has no wall time by default.
        persist_results: Whether value and log go to the storage.
        segment: The old runner's partition of bots; a label, nothing more.
        limits: What this run may use, also as `{"memory": "1GiB"}`; what is None comes from the configuration.
        env: More environment variables for the bot.
        secrets: The same, each also as a file of its name in the folder that BOTDOCK_SECRETS_DIR names, which the bot
            alone can read; never written to disk outside the run's own files, nor to a log, a result or a repr: what
            the bot says of them is masked, in the value that it returns as well.
        image: The image to run in, as `name:tag` or `name@sha256:digest`, that the policy allows; None means what the
            code's manifest says, else the configured one of the runtime, else the runtime's own.
        network: Name of an engine's network that the policy allows; None means the configured one, by default `none`.
        timeout: Wall time in seconds, or text such as `"30s"`; None means the configured default.
        start_timeout: Seconds, or such text, from its start to the first byte of its output: a bot that is never ready
            is ended. None means the configured default, which does not bound it.
        silence_timeout: The longest time without output, in the same way. It counts from the first output on, and from
            the start where there is no `start_timeout`.
        restart: When the supervisor starts it again after its end, also as text: `no`, `on-failure`, `on-failure:5`,
            `always`; None means what the code's manifest says within `policy.manifest_restart`, else `no`. A runner
            restarts nothing: it refuses all but `no`.

    Raises:
        ExecutableError: Naming every field that is wrong.
    """

    id: str
    runtime: str | None = None
    entrypoint: str = "bot"
    entrypoint_files: Mapping[str, str] = attrs.field(factory=dict)
    config: Mapping[str, Any] = attrs.field(factory=dict)
    file_path: str = attrs.field(default="", converter=_path)
    code: bytes = attrs.field(default=b"", repr=lambda value: f"<{len(value)} bytes>")
    code_digest: str | None = None
    is_long_running: bool = False
    persist_results: bool = False
    segment: int | None = None
    limits: Limits = attrs.field(factory=Limits, converter=_limits)
    env: Mapping[str, str] = attrs.field(factory=dict)
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=lambda value: f"<{len(value)} secrets>")
    image: str | None = None
    network: str | None = None
    timeout: float | None = attrs.field(default=None, converter=optional(_seconds))
    start_timeout: float | None = attrs.field(default=None, converter=optional(_seconds))
    silence_timeout: float | None = attrs.field(default=None, converter=optional(_seconds))
    restart: RestartPolicy | None = attrs.field(default=None, converter=optional(_restart))

    def __attrs_post_init__(self) -> None:
        """Check every field at once, and keep copies of what the caller could still change."""
        if problems := list(self._problems()):
            raise ExecutableError(problems)
        for name in _MAPPINGS:
            object.__setattr__(self, name, dict(getattr(self, name)))
        object.__setattr__(self, "config", json.loads(json.dumps(self.config)))

    def _problems(self) -> Iterator[str]:
        for field in attrs.fields(Executable):
            value, (kind, words) = getattr(self, field.name), _KINDS.get(field.name, (object, ""))
            if value is field.default:  # its caller has not given it
                continue
            problem_of = _PROBLEM_OF.get(field.name)
            problem = None if isinstance(value, kind) else f"must be {words}, not {kind_of(value)}"
            if problem := problem or (problem_of and problem_of(value)):
                yield f"{field.name}: {problem}"
        if self.config or self.limits != _NO_LIMITS or self.entrypoint_files or self.env or self.secrets:
            yield from self._problems_within()

    def _problems_within(self) -> Iterator[str]:
        if isinstance(self.config, dict) and (problem := json_problem(self.config)):
            yield f"config: {problem}"
        yield from _limits_problems(self.limits)
        for kind, script in _pairs(self.entrypoint_files):
            if kind not in ENTRYPOINTS:
                yield f"entrypoint_files: {_entrypoint_problem(kind)}"
            elif not script or text_problem(script):
                yield f"entrypoint_files.{kind}: must name a file of the tree, not {shown(script)}"
        yield from self._environment_problems()

    def _environment_problems(self) -> Iterator[str]:
        for field in ("env", "secrets"):
            for name, value in _pairs(getattr(self, field)):
                if problem := environment_problem(name, value):
                    yield f"{field}: {problem}"
                elif name in RESERVED_ENVIRONMENT:
                    yield f"{field}: {name} is set by botdock itself; choose another name"
        for name in dict(_pairs(self.env)).keys() & dict(_pairs(self.secrets)).keys():
            yield f"secrets: {shown(name)[1:-1]} is in env as well; keep one"


def _pairs(value: object) -> list[tuple[Any, Any]]:
    """Return what a mapping maps; nothing of anything else, which is told once."""
    return list(value.items()) if isinstance(value, Mapping) else []


def _limits_problems(limits: object) -> Iterator[str]:
    if isinstance(limits, Limits):
        yield from (f"limits.{problem}" for problem in limits.problems())
    elif isinstance(limits, Mapping):
        for key in [key for key in limits if key not in RANGES]:
            near = nearest(key, RANGES) if isinstance(key, str) else []
            yield f"limits: {shown(key)} is unknown; {f'did you mean {near[0]}?' if near else ', '.join(RANGES)}"
    else:
        yield f"limits: must be Limits or a mapping, not {shown(limits)}"


def _entrypoint_problem(value: object) -> str | None:
    return None if value in ENTRYPOINTS else f"{shown(value)} must be one of {', '.join(ENTRYPOINTS)}"


def _digest_problem(value: object) -> str | None:
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return None
    text = repr(value[:80]) if isinstance(value, str) else shown(value)
    return f"{text} must be 64 hexadecimal digits, after 'sha256:' or not"


def _timeout_problem(value: object) -> str | None:
    if isinstance(value, str):
        try:
            parse_seconds(value)
        except ValueError as error:
            return str(error)
    return number_problem(value, 0.001, MAX_TIMEOUT, " seconds")


_KINDS: dict[str, tuple[type, str]] = {
    **dict.fromkeys(_MAPPINGS, (Mapping, "a mapping")),
    "config": (dict, "a JSON object"),
    "code": (bytes, "bytes"),
    **dict.fromkeys(("is_long_running", "persist_results"), (bool, "true or false")),
}
"""What a field must be, where that says it all, or is to be said first."""
_PROBLEM_OF: dict[str, Callable[[Any], str | None]] = {
    "id": id_problem,
    "entrypoint": _entrypoint_problem,
    "code_digest": _digest_problem,
    "segment": lambda value: number_problem(value, -_LARGEST, _LARGEST),
    "image": image_problem,
    **dict.fromkeys(("runtime", "file_path", "network"), text_problem),
    **dict.fromkeys(("timeout", "start_timeout", "silence_timeout"), _timeout_problem),
    "restart": lambda value: None if isinstance(value, RestartPolicy) else restart_problem(value),
}
"""For each other field what says why a value cannot be one; what is inside of mappings and `limits` is told after."""


def sha256_of(code_digest: str) -> str:
    """Return the digest that an executable's `code_digest` names, as 64 lower-case hexadecimal digits.

    Raises:
        ValueError: It names none.

    Example:
        >>> sha256_of("sha256:" + "AB" * 32) == "ab" * 32
        True
    """
    match = _DIGEST.fullmatch(code_digest)
    if match is None:
        raise ValueError(f"{code_digest[:80]!r} is not a SHA-256")
    return match[2].lower()
