"""The engine: plain processes of this machine, each beside a shim, with no isolation."""

# ruff: noqa: ARG002 - the parameters are those of every engine; processes need no image

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock

from botdock.errors import ContainerError
from botdock.model import (
    ContainerRun,
    ContainerTemplate,
    EngineCapabilities,
    Feature,
    ImageInfo,
    PullPolicy,
    PullProgress,
)
from botdock.model.limits import MIB
from botdock.shim import Plan, ShimEngine

REMEDY = "use --engine docker"
ISOLATING = "use --engine docker or --engine oci"
NAME = "process"
WARNING = (
    f"botdock: the {NAME} engine does not isolate: bots run as you, with your files and your network; "
    f"for code that you do not trust, {ISOLATING}"
)
"""The one line that every engine of this kind writes to stderr before its first bot."""

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

STACK_BYTES = 8 * MIB
"""What a thread reserves for its stack, used or not, and RLIMIT_DATA counts (glibc, from the usual RLIMIT_STACK)."""
LONGEST_TEMPORARY = 32
"""Characters of a folder for temporary folders: the address of a Unix socket has 107 (unix(7)), of which the names that
multiprocessing adds take 33, and a bot's own may take more."""
SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where programs are looked for first; the PATH of Debian's images."""


def warn_on_stderr(line: str) -> None:
    """Write a line to stderr, and to nothing else; a bot runs even where it is closed or full.

    On a terminal it is folded between its words.
    """
    with suppress(OSError, ValueError, AttributeError):
        if sys.stderr.isatty():
            line = textwrap.fill(line, shutil.get_terminal_size().columns, subsequent_indent="  ")
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


class ProcessEngine(ShimEngine):
    """Runs bots as plain processes of this machine, with no isolation.

    Args:
        state: The folder that holds a folder for each container.
        warn: Told once, before the first container, that bots are not isolated.
    """

    name = NAME

    def __init__(self, state: Path, *, warn: Callable[[str], None] = warn_on_stderr) -> None:
        super().__init__(state)
        self._warn = warn
        self._warned = False
        self._warning = Lock()

    def capabilities(self) -> EngineCapabilities:
        """Say that it isolates nothing."""
        system = os.uname()
        return EngineCapabilities(
            engine=self.name,
            version=f"{system.sysname} {system.release}",
            enforced=frozenset({Feature.OPEN_FILES, Feature.FILE_SIZE}),
            missing={feature: f"{reason}; {ISOLATING}" for feature, reason in _REASONS.items()},
            private_filesystem=False,
        )

    def ensure_image(
        self,
        image: str,
        *,
        policy: PullPolicy,
        timeout: float,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> ImageInfo:
        """Say that it is there: `create` looks for the interpreter."""
        return ImageInfo(reference=image)

    def plan(self, new: Path, folder: Path, template: ContainerTemplate, run: ContainerRun) -> Plan:
        """Make the bot's own folders, and say what is started in its code tree.

        Memory is RLIMIT_DATA and not RLIMIT_AS: Node reserves gigabytes of addresses that it never touches, which the
        second counts and the first does not. It does count the stacks of threads, so there is room for `pids` of them;
        measured: with 512 MiB and no such room, Python could start 62 threads.
        """
        with self._warning:
            if not self._warned:
                self._warned = True
                self._warn(WARNING)
        found = [path for name in template.interpreters if (path := find_interpreter(name))]
        if template.interpreters and not found:
            names = " or ".join(template.interpreters)
            hint = f"Install {names} on this machine, or {REMEDY}."
            problem = f"the bot needs {names}, which is not on PATH"
            raise ContainerError(problem, engine=self.name, operation="create", hint=hint)
        home = "home"
        (new / home).mkdir(mode=0o700)
        usual = tempfile.gettempdir()
        base = usual if len(usual) <= LONGEST_TEMPORARY else "/tmp"  # noqa: S108 - the shim makes a private folder in it
        limits, user, temporary = template.limits, "bot", f"{base}/botdock-{secrets.token_hex(6)}"
        with suppress(KeyError):  # this machine has no name for it
            user = pwd.getpwuid(os.geteuid()).pw_name
        return Plan(
            command=[*template.command, run.context],
            environment={
                "PATH": os.pathsep.join(dict.fromkeys([*SYSTEM_PATH, *(str(Path(path).parent) for path in found)])),
                "HOME": str(folder / home),
                "TMPDIR": temporary,
                "USER": user,
                "LOGNAME": user,
                "LANG": "C.UTF-8",
                **template.environment,
            },
            working_dir=run.code,
            temporary=temporary,
            limits={
                name: int(value)
                for name, value in {
                    "RLIMIT_NOFILE": limits.open_files,
                    "RLIMIT_FSIZE": limits.file_size,
                    "RLIMIT_DATA": limits.memory and limits.memory + (limits.pids or 0) * STACK_BYTES,
                    "RLIMIT_CORE": 0,
                }.items()
                if value is not None
            },
        )


def find_interpreter(name: str) -> str | None:
    """Return where a program is: among the system's, on our own PATH, or beside the Python that runs us."""
    own = os.environ.get("PATH", "").split(os.pathsep)
    beside_python = [str(Path(sys.executable).resolve().parent)] if sys.executable else []
    return shutil.which(name, path=os.pathsep.join([*SYSTEM_PATH, *filter(None, own), *beside_python]))
