"""What is to be run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import ExecutableError
from botdock.model._validation import environment_problem, id_problem, json_problem, number_problem
from botdock.model.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENTRYPOINTS = ("bot", "backtest")
"""The two kinds of entrypoint: a bot (its value is a courtesy) and a backtest (its value is the point)."""

MAX_TIMEOUT = 366 * 24 * 3600.0

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
    }
)
"""Variables that belong to the contract with the bot; an executable cannot set them."""


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
        file_path: The code: a folder, an archive on disk, or a key in the configured storage.
        code: The code itself, as the bytes of an archive; then `file_path` only names it, in messages.
        code_digest: SHA-256 that the archive's bytes must have, as 64 hexadecimal digits, after `sha256:` or not. An
            archive that is known by it is run without asking the storage for it, if `policy.local_code` is on.
        is_long_running: Whether `start_container` returns at once; such a run has no wall time by default.
        persist_results: Whether value and log go to the storage.
        segment: The old runner's partition of bots; a label, nothing more.
        limits: What this run may use; what is None comes from the configuration.
        env: More environment variables for the bot.
        secrets: The same, but never written to disk outside the run's own files, nor to a log, a result or a repr: what
            the bot says of them is masked, in the value that it returns as well.
        network: Name of an engine's network that the policy allows; None means the configured one, by default `none`.
        timeout: Wall time in seconds; None means the configured default.

    Raises:
        ExecutableError: Naming every field that is wrong.
    """

    id: str
    runtime: str | None = None
    entrypoint: str = "bot"
    entrypoint_files: Mapping[str, str] = attrs.field(factory=dict)
    config: Mapping[str, Any] = attrs.field(factory=dict)
    file_path: str = ""
    code: bytes = attrs.field(default=b"", repr=lambda value: f"<{len(value)} bytes>")
    code_digest: str | None = None
    is_long_running: bool = False
    persist_results: bool = False
    segment: int | None = None
    limits: Limits = attrs.field(factory=Limits)
    env: Mapping[str, str] = attrs.field(factory=dict)
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=lambda value: f"<{len(value)} secrets>")
    network: str | None = None
    timeout: float | None = None

    def __attrs_post_init__(self) -> None:
        """Check every field at once."""
        if problems := list(self._problems()):
            raise ExecutableError(problems)

    def _problems(self) -> Iterator[str]:
        if problem := id_problem(self.id):
            yield f"id: {problem}"
        if self.entrypoint not in ENTRYPOINTS:
            yield f"entrypoint: {self.entrypoint!r} must be one of {', '.join(ENTRYPOINTS)}"
        yield from self._code_problems()
        yield from (f"limits.{problem}" for problem in self.limits.problems())
        yield from self._config_problems()
        yield from self._environment_problems()
        if self.timeout is not None and (problem := number_problem(self.timeout, 0.001, MAX_TIMEOUT, " seconds")):
            yield f"timeout: {problem}"

    def _code_problems(self) -> Iterator[str]:
        if not isinstance(self.code, bytes):
            yield f"code: must be bytes, not {type(self.code).__name__}"
        digest = self.code_digest
        if digest is not None and not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            yield f"code_digest: {str(digest)[:80]!r} must be 64 hexadecimal digits, after 'sha256:' or not"

    def _config_problems(self) -> Iterator[str]:
        if not isinstance(self.config, dict):
            yield f"config: must be a JSON object, not {type(self.config).__name__}"
        elif problem := json_problem(self.config):
            yield f"config: {problem}"
        for kind, script in self.entrypoint_files.items():
            if kind not in ENTRYPOINTS:
                yield f"entrypoint_files: {kind!r} must be one of {', '.join(ENTRYPOINTS)}"
            elif not isinstance(script, str) or not script or "\0" in script:
                yield f"entrypoint_files.{kind}: must name a file of the tree, not {script!r}"

    def _environment_problems(self) -> Iterator[str]:
        for field, variables in (("env", self.env), ("secrets", self.secrets)):
            for name, value in variables.items():
                if problem := environment_problem(name, value):
                    yield f"{field}: {problem}"
                elif name in RESERVED_ENVIRONMENT:
                    yield f"{field}: {name} is set by botdock itself; choose another name"
        for name in sorted(set(self.env) & set(self.secrets)):
            yield f"secrets: {name} is in env as well; keep one"


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
        raise ValueError(f"{code_digest[:80]!r} is no SHA-256")
    return match[2].lower()
