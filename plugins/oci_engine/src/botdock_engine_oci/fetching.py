"""How an image comes: `skopeo` fetches it from its registry, and `umoci` unpacks it. Neither needs a daemon."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from botdock.errors import EngineTimeoutError, ImageError
from botdock.model import LayerProgress, LayerState, PullProgress
from botdock.model.image_reference import ImageReference
from botdock_engine_oci.runtimes import SYSTEM_PATH, how_to_install

ENGINE = "oci"
TOOLS = ("skopeo", "umoci")
"""What fetches, and what unpacks."""
LAYOUT, ROOT = "layout", "rootfs"
"""Folders of a draft: what was fetched, and what it was unpacked to."""
INTERVAL = 0.25
"""Seconds between two reports, and two looks at a tool."""
SAID = 500
"""Characters of a tool's own words that are repeated."""
POLICIES = (Path("/etc/containers/policy.json"), Path(".config/containers/policy.json"))
"""Where an operator may say whose signatures are wanted; the second lies in the home folder."""
_TAG = "image"
_PACKING = ("--dest-compress-format", "gzip")
"""Layers that are packed otherwise, as by zstd, are packed anew: not every `umoci` reads those."""
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]+){3})(:[0-9]+)?/.*")
_ABOUT = re.compile(r'^[^:]*"docker://[^"]*": ')
_FATAL = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')

_NAME = "Check the name; `skopeo inspect docker://…` tries it, and runtime.images names another image for a runtime."
_LOGIN = "`docker login` or `skopeo login` to the registry as the user that runs botdock."
_REGISTRY = "Is the registry reachable from this machine? `skopeo inspect docker://…` shows more."
_LIMIT = "Wait, or log in: registries allow more pulls to those they know."
_DISK = "Free some space on the disk of the state folder, or of /var/tmp: `botdock gc` removes what is unused."
_RULES = (
    ("toomanyrequests", _LIMIT, True),
    ("too many requests", _LIMIT, True),
    ("no space left on device", _DISK, False),
    *((words, _NAME, False) for words in ("manifest unknown", "name unknown", "not found", "invalid reference")),
    *((words, _LOGIN, False) for words in ("unauthorized", "authentication required", "denied", "forbidden")),
    ("no such host", _REGISTRY, False),
    *(
        (words, _REGISTRY, True)
        for words in (
            *("timeout", "timed out", "deadline exceeded", "connection refused", "connection reset", "broken pipe"),
            *("network is unreachable", "no route to host", "temporary failure in name resolution", "bad gateway"),
            *("server misbehaving", "internal server error", "service unavailable", "unexpected eof", ": eof"),
        )
    ),
)
"""Words of an answer, what mends it, and whether it may pass; the first whose words are in it decides."""


@attrs.frozen(kw_only=True)
class Pull:
    """One pull, and how long it may take.

    Attributes:
        image: The reference, as it was asked for.
        end: When it has taken too long, on the monotonic clock.
        timeout: How many seconds it had in all.
        progress: Told how far it is.
    """

    image: str
    end: float
    timeout: float
    progress: Callable[[PullProgress], None] | None = None

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.end - time.monotonic())

    def report(self, current: int = 0, total: int = 0, *, unpacked: int | None = None, note: str = "") -> None:
        """Report where it stands.

        Raises:
            EngineTimeoutError: It has taken too long.
        """
        if not self.left:
            raise EngineTimeoutError(
                f"{ENGINE}: pulling {self.image} took longer than {round(self.timeout, 1):g} s",
                engine=ENGINE,
                operation="ensure_image",
                hint="containers.pull_timeout says how long.",
            )
        layers: tuple[LayerProgress, ...] = ()
        if unpacked is not None:
            layers = (LayerProgress(id=_TAG, state=LayerState.EXTRACTING, current=unpacked),)
        if self.progress is not None:
            known = total if total >= current else 0
            self.progress(PullProgress(image=self.image, current=current, total=known, layers=layers, note=note))

    def failure(self, problem: str, hint: str | None = None, *, transient: bool = False) -> ImageError:
        """Return the error that says what went wrong with the image."""
        message = f"{ENGINE}: image {self.image!r}: {problem[:SAID]}"
        return ImageError(message, image=self.image, engine=ENGINE, hint=hint, transient=transient)


def missing_tools() -> list[str]:
    """Return which of the tools are not installed."""
    return [name for name in TOOLS if _find(name) is None]


def install_hint(missing: list[str]) -> str:
    """Return the command that installs tools."""
    return how_to_install(*missing, what="Install what is missing")


def resolve(pull: Pull) -> tuple[str, int]:
    """Ask the registry which image a reference means now; nothing is fetched.

    Returns:
        The digest of its manifest, or of its list of manifests, and how many bytes it has, 0 for not known.

    Raises:
        ImageError: It cannot be had, or is not the one of the digest in its name.
        EngineTimeoutError: It took too long.
    """
    reference = ImageReference.read(pull.image)
    where = reference.name + (f"@{reference.digest}" if reference.digest else f":{reference.tag}")
    document = _run(["skopeo", *_policy(), "inspect", "--raw", *_access(where), f"docker://{where}"], pull)
    digest = f"sha256:{hashlib.sha256(document).hexdigest()}"
    if reference.digest not in {"", digest}:
        raise pull.failure(
            f"the registry has {digest} in its place", "Another image than the one that is pinned is not run."
        )
    return digest, _size_of(document)


def fetch(pull: Pull, digest: str, draft: Path, total: int) -> tuple[str, ...]:
    """Fetch an image into a folder, and unpack it there below `ROOT`.

    Args:
        pull: The pull.
        digest: Which image it is.
        draft: The folder, which is empty.
        total: How many bytes it has; 0 for not known.

    Returns:
        Its environment, `NAME=value` each.

    Raises:
        ImageError: It cannot be had or unpacked.
        EngineTimeoutError: It took too long.
        OSError: The disk does not take it.
    """
    where = f"{ImageReference.read(pull.image).name}@{digest}"
    layout = draft / LAYOUT
    copy = ["skopeo", *_policy(), "copy", "--quiet", *_PACKING, *_access(where, "src-")]
    _run(
        [*copy, f"docker://{where}", f"oci:{LAYOUT}:{_TAG}"],
        pull,
        folder=draft,
        tell=lambda _process: pull.report(_bytes_in(layout), total),
    )
    try:
        environment = _environment(layout)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise pull.failure(f"what came is not an image: {type(error).__name__}: {error}") from error
    fetched, rootless = _bytes_in(layout), ["--rootless"] if os.geteuid() else []
    _run(
        ["umoci", "raw", "unpack", *rootless, "--image", f"{LAYOUT}:{_TAG}", ROOT],
        pull,
        folder=draft,
        tell=lambda process: pull.report(fetched, fetched, unpacked=_written_by(process)),
    )
    with suppress(ImageError):  # a power cut is to leave no image behind that is half on the disk
        _run(["sync", "--file-system", ROOT], pull, folder=draft)
    return environment


def _policy() -> list[str]:
    """Return the option for a machine on which no operator has said whose signatures are wanted."""
    return [] if any((Path.home() / path).exists() for path in POLICIES) else ["--insecure-policy"]


def _access(where: str, prefix: str = "") -> list[str]:
    """Return how a registry is spoken to: with Docker's own credentials, and as by Docker, on loopback without TLS."""
    file = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    credentials = [f"--authfile={file}"] if file.exists() else []  # else those of `skopeo login`
    return [*credentials, *([f"--{prefix}tls-verify=false"] if _LOOPBACK.fullmatch(where) else [])]


def _run(
    command: list[str],
    pull: Pull,
    *,
    folder: Path | None = None,
    tell: Callable[[int], None] | None = None,
) -> bytes:
    """Run a tool to its end, and return what it wrote; what ends the wait ends the tool."""
    program = _find(command[0])
    if program is None:
        missing = missing_tools() or [command[0]]
        verb = "is" if len(missing) == 1 else "are"
        raise pull.failure(f"{' and '.join(missing)} {verb} not installed", install_hint(missing))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*_dies_with_us(), program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            cwd=folder,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                pull.report() if tell is None else tell(process.pid)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(min(INTERVAL, pull.left))
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            raise _refusal(_content(errors), process.returncode, command[0], pull)
        return _content(out)


def _content(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _dies_with_us() -> list[str]:
    """Return what makes the kernel end a program with this process: it has nothing to write for, then."""
    found = shutil.which("setpriv", path=SYSTEM_PATH)
    is_whole = found is not None and "busybox" not in os.path.realpath(found)
    return [found, "--pdeathsig", "KILL", "--"] if found is not None and is_whole else []


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


def _refusal(said: bytes, code: int, tool: str, pull: Pull) -> ImageError:
    text = said.decode("utf-8", "replace")
    fatal = _FATAL.findall(text)
    words = _ABOUT.sub("", fatal[-1].replace('\\"', '"')) if fatal else " ".join(text.split())[-SAID:]
    lower = words.lower()
    hint, transient = next(
        ((hint, transient) for known, hint, transient in _RULES if known in lower),
        (None, False),
    )
    return pull.failure(f"{tool}: {words or f'exit code {code}'}", hint, transient=transient)


def _size_of(document: bytes) -> int:
    """Return the bytes of what a manifest names; of a list of manifests 0, as it does not tell."""
    with suppress(ValueError, LookupError, TypeError, RecursionError):
        manifest = json.loads(document)
        return sum(int(part["size"]) for part in [manifest["config"], *manifest["layers"]])
    return 0


def _environment(layout: Path) -> tuple[str, ...]:
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    config = _blob(layout, _blob(layout, entry["digest"])["config"]["digest"])
    return tuple(str(line) for line in (config.get("config") or {}).get("Env") or ())


def _blob(layout: Path, digest: str) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads((layout / "blobs" / digest.replace(":", "/", 1)).read_bytes())
    return document


def _bytes_in(folder: Path) -> int:
    """Return how many bytes lie in a folder into which is written meanwhile."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            size += path.lstat().st_size if path.is_file() else 0
    return size


def _written_by(process: int) -> int:
    """Return how many bytes a process has written."""
    with suppress(OSError, ValueError, LookupError):
        lines = Path(f"/proc/{process}/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["wchar"])
    return 0
