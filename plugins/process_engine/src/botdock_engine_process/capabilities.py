"""What this engine enforces, which is little, and why not the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping

from botdock.model import EngineCapabilities, Feature, Limits
from botdock.model.limits import MIB

ENGINE = "process"
REMEDY = "use --engine docker"

ENFORCED = frozenset({Feature.OPEN_FILES, Feature.FILE_SIZE})

_REASONS: Mapping[Feature, str] = {
    Feature.NETWORK: "the bot has the network of this machine",
    Feature.NON_ROOT: "the bot runs as the user that runs botdock",
    Feature.READ_ONLY_ROOT: "the bot sees and may change what that user may",
    Feature.READ_ONLY_CODE: "the bot runs in its code tree itself, and may change it",
    Feature.CAPABILITIES: "the bot keeps the privileges of the user that runs botdock",
    Feature.NO_NEW_PRIVILEGES: "set-uid programs work as ever",
    Feature.SECCOMP: "no system call is filtered",
    Feature.MEMORY: "each of its processes is held to a bound of its own (RLIMIT_DATA), not all of them together",
    Feature.SWAP: "the bot may swap like any process",
    Feature.CPU: "the bot may use every processor",
    Feature.PIDS: "RLIMIT_NPROC counts all processes of a user, not a bot's, and does not bind root",
    Feature.TMPFS: "its temporary folder lies on the disk and has no bound",
}
MISSING: Mapping[Feature, str] = {feature: f"{reason}; {REMEDY}" for feature, reason in _REASONS.items()}

WARNING = (
    "botdock: the process engine does not isolate: bots run as you, with your files and your network; "
    f"for code that you do not trust, {REMEDY}"
)
"""The one line that every engine of this kind writes to stderr before its first bot."""

STACK_BYTES = 8 * MIB
"""What a thread reserves for its stack, used or not, and RLIMIT_DATA counts (glibc, from the usual RLIMIT_STACK)."""


def capabilities() -> EngineCapabilities:
    """Return what the engine says of itself."""
    system = os.uname()
    return EngineCapabilities(
        engine=ENGINE,
        version=f"{system.sysname} {system.release}",
        enforced=ENFORCED,
        missing=MISSING,
        private_filesystem=False,
    )


def resource_limits(limits: Limits) -> Mapping[str, int]:
    """Return the limits of `setrlimit`, by name, for each process of a bot.

    Memory is RLIMIT_DATA and not RLIMIT_AS: Node reserves gigabytes of addresses that it never touches, which the
    second counts and the first does not. It does count the stacks of threads, so there is room for `pids` of them;
    measured: with 512 MiB and no such room, Python could start 62 threads.
    """
    given: Mapping[str, float | None] = {
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_DATA": limits.memory and limits.memory + (limits.pids or 0) * STACK_BYTES,
        "RLIMIT_CORE": 0,
    }
    return {name: int(value) for name, value in given.items() if value is not None}
