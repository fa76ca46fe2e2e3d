"""What an engine is told, and what it tells."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

from botdock.model.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

HANDLE_VERSION = 1
"""Of the document of a `ContainerHandle`."""
MAX_STATE = 4096
MAX_SELECTOR = 63
_SELECTOR_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_SELECTOR_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")

LABEL_PREFIX = "io.botdock."
LABEL_OWNER = LABEL_PREFIX + "owner"
"""Which state folder the container belongs to: a runner touches only its own."""
LABEL_EXECUTION = LABEL_PREFIX + "execution"
LABEL_POOL = LABEL_PREFIX + "pool"
"""In place of the execution, of one that was started before there was a run for it: its place in a pool."""
LABEL_SEGMENT = LABEL_PREFIX + "segment"
"""The last of the selectors; those below are annotations."""
LABEL_EXECUTABLE = LABEL_PREFIX + "executable"
"""The id of the executable."""
LABEL_RUNTIME = LABEL_PREFIX + "runtime"
LABEL_ENTRYPOINT = LABEL_PREFIX + "entrypoint"


def segment_selector(segment: int) -> str:
    """Return a segment as the value of a selector, which cannot begin with a minus."""
    return str(segment).replace("-", "minus")


class ContainerState(StrEnum):
    """Where a container is in its one life."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class ContainerTemplate:
    """What is known of a container before there is a run: the same for every bot of one runtime and the same limits.

    An engine that keeps containers waiting keys them by `digest`: a run of another template cannot use them.

    Attributes:
        image: The image: `ImageInfo.id` or a reference; engines without images ignore it.
        command: The program and its arguments; it replaces the image's entrypoint and command. The engine adds one
            argument, the path of the context folder as the bot sees it.
        program: The folder of the runtime's files, an absolute path on the runner's machine; appears read-only.
        program_digest: SHA-256 of what is in it.
        program_target: Where the bot sees it.
        environment: All that is added to the image's own variables.
        code_target: Where the bot sees its tree, in which the program starts.
        context_target: Where it sees the context folder.
        result_target: Where it sees the result file.
        limits: Complete: no limit is None. An engine may end a container by itself that writes more than `output`, once
            it has kept so much of its beginning; what is kept is bounded by it in any case, up to what an engine needs.
        keeps_newest: Whether, of too much output, the newest `output` bytes, and more, are kept: then it is never ended
            for what it writes.
        network: Name of the engine's network; `none` for no network at all.
        interpreters: Programs one of which the command needs, for engines without images.
    """

    image: str
    command: tuple[str, ...]
    program: str
    program_digest: str
    program_target: str
    environment: Mapping[str, str] = attrs.field(factory=dict)
    code_target: str
    context_target: str
    result_target: str
    limits: Limits
    keeps_newest: bool = False
    network: str = "none"
    interpreters: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of all of it; of the program its content counts, wherever that lies."""
        document = attrs.asdict(attrs.evolve(self, program=""))
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _are_selectors(_run: object, _field: object, value: Mapping[str, str]) -> None:
    for name, text in value.items():
        if not (_SELECTOR_NAME.fullmatch(name) and _SELECTOR_VALUE.fullmatch(text)):
            raise ValueError(
                f"{name}={text!r} is not a selector: 1 to {MAX_SELECTOR} letters, digits, '.', '_' and '-', "
                "of which the first and the last are a letter or a digit; what is longer is an annotation"
            )


@attrs.frozen(kw_only=True)
class ContainerRun:
    """What one run adds to a template. The paths are absolute, on the runner's machine.

    An engine with a private filesystem delivers each in its own way (bind, copy, tar) to where the template says;
    to one without, the bot sees them where they are.

    Attributes:
        name: `botdock-<execution id>`; the engine refuses a second container of that name.
        selectors: Who it belongs to; `Engine.list` filters by them. Names and values are at most 63 characters each, as
            Kubernetes wants them of labels; a value may be empty.
        annotations: What a person may want to know of it; any text.
        code: The bot's tree; appears read-only.
        context: The folder with what this run is told, secrets among it; appears read-only.
        result: The one file that the program may write on our side; it exists.
        secrets_target: Where an engine with a private filesystem shows an empty folder in memory that the bot's user
            alone can enter, and may write: the program puts secrets there. Empty for no such folder.
    """

    name: str
    selectors: Mapping[str, str] = attrs.field(validator=_are_selectors)
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    code: str
    context: str
    result: str
    secrets_target: str = ""


def _is_small(_handle: object, _field: object, value: Mapping[str, Any]) -> None:
    if len(json.dumps(value)) > MAX_STATE:
        raise ValueError(f"an engine's state of a container has at most {MAX_STATE} bytes as JSON")


@attrs.frozen(kw_only=True)
class ContainerHandle:
    """What names a container to its engine, in this process and in the next: `run.json` keeps it.

    Attributes:
        id: The engine's opaque identity of it. With it alone, an engine finds the container too.
        state: What the engine wants to know again without a search; JSON of at most 4 KiB, no secrets.
    """

    id: str
    state: Mapping[str, Any] = attrs.field(factory=dict, validator=_is_small, hash=False)

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document of it."""
        return {"version": HANDLE_VERSION, "id": self.id, "state": dict(self.state)}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> ContainerHandle:
        """Return the handle of a document; what is not known in it is ignored, as is the state of a newer version.

        Raises:
            ValueError: It is not one.
        """
        version, name, state = (document.get(key) for key in ("version", "id", "state"))
        if not (isinstance(version, int) and isinstance(name, str) and name and isinstance(state, dict)):
            raise ValueError("not the handle of a container")
        return cls(id=name, state=state if version <= HANDLE_VERSION else {})


@attrs.frozen(kw_only=True)
class ContainerStatus:
    """What the engine knows of a container.

    Attributes:
        container_id: The engine's opaque identity.
        state: Where it is in its life.
        exit_code: Its exit code; None while it runs and where it is not known, never a made-up 0.
        signal: The signal that ended the main program; 0 where the engine knows that none did, None where it cannot
            tell a signal from an exit code.
        oom_killed: Whether the kernel killed *some* process of it for memory; the main one or another.
        started_at: When it started, UTC.
        finished_at: When it ended, UTC.
        error: What the engine says went wrong with starting or ending it, in its words.
        output_limited: Whether the engine ended it for writing more than its limit.
        image_digest: The content address of its image, where the engine learns that only once it runs.
    """

    container_id: str
    state: ContainerState
    exit_code: int | None = None
    signal: int | None = None
    oom_killed: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str = ""
    output_limited: bool = False
    image_digest: str = ""


@attrs.frozen(kw_only=True)
class ContainerInfo:
    """A line of a listing of containers.

    Attributes:
        container_id: The engine's opaque identity.
        name: Its name.
        image: The reference it was created from.
        state: Where it is in its life.
        labels: Its selectors and its annotations.
        created_at: When it was created, UTC.
    """

    container_id: str
    name: str
    image: str
    state: ContainerState
    labels: Mapping[str, str]
    created_at: datetime | None = None

    @property
    def execution_id(self) -> str:
        """The execution it belongs to, or an empty text."""
        return self.labels.get(LABEL_EXECUTION, "")


@attrs.frozen(kw_only=True)
class ImageInfo:
    """An image that is there.

    Attributes:
        reference: What was asked for.
        digest: `sha256:...`; the engine's content address of it, empty where it has none.
        id: What names exactly this image to the engine, whatever becomes of the reference; empty: the reference does.
        pulled: Whether it had to be fetched just now.
    """

    reference: str
    digest: str = ""
    id: str = ""
    pulled: bool = False


class PullPolicy(StrEnum):
    """When an image is pulled; the words are Kubernetes' and Docker's."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"
