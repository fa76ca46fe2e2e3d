"""What an engine is told, and what it tells."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

from botdock.model.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL_PREFIX = "io.botdock."
LABEL_OWNER = LABEL_PREFIX + "owner"
"""Which state folder the container belongs to: a runner touches only its own."""
LABEL_EXECUTION = LABEL_PREFIX + "execution"
LABEL_EXECUTABLE = LABEL_PREFIX + "executable"
"""The id of the executable."""
LABEL_DIGEST = LABEL_PREFIX + "digest"
"""SHA-256 of the executable's request, secrets left out."""
LABEL_RUNTIME = LABEL_PREFIX + "runtime"
LABEL_ENTRYPOINT = LABEL_PREFIX + "entrypoint"
LABEL_SEGMENT = LABEL_PREFIX + "segment"


class ContainerState(StrEnum):
    """Where a container is in its one life."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Mount:
    """A folder or file of ours, and where the bot sees it.

    Attributes:
        source: Absolute path on the machine of the runner; the engine delivers it in its own way (bind, copy, tar).
        target: Absolute path in the container. An engine without a private filesystem shows `source` instead.
    """

    source: str
    target: str


@attrs.frozen(kw_only=True)
class ContainerSpec:
    """One container to be: plain data, so that it can be written to disk and sent to another machine.

    Attributes:
        name: `botdock-<execution id>`; the engine refuses a second container of that name.
        image: The image: `ImageInfo.id` or a reference; engines without images ignore it.
        command: The program and its arguments; it replaces the image's entrypoint and command.
        environment: All that is added to the image's own variables.
        labels: Who it belongs to; `Engine.list` filters by them.
        working_dir: Where the program starts.
        code: The bot's tree; appears read-only.
        files: What botdock generated; appears read-only.
        result: The one file that the program may write on our side; it exists and is empty.
        limits: Complete: no limit is None. An engine may end a container by itself that writes more than `output`, once
            it has kept so much of its beginning; what is kept is bounded by it in any case, up to what an engine needs.
        is_long_running: Whether it may write without an end: an engine keeps the newest `output` bytes, and more, then.
        network: Name of the engine's network; `none` for no network at all.
        interpreters: Programs one of which the command needs, for engines without images.
    """

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    working_dir: str
    code: Mount
    files: Mount
    result: Mount
    limits: Limits
    network: str = "none"
    interpreters: tuple[str, ...] = ()
    is_long_running: bool = False


@attrs.frozen(kw_only=True)
class ContainerStatus:
    """What the engine knows of a container.

    Attributes:
        container_id: The engine's opaque identity.
        state: Where it is in its life.
        exit_code: Its exit code; None while it runs and where nobody knows, never a made-up 0.
        signal: The signal that ended the main program, where the engine can tell it from an exit code.
        oom_killed: Whether the kernel killed *some* process of it for memory; the main one or another.
        started_at: When it started, UTC.
        finished_at: When it ended, UTC.
        error: What the engine says went wrong with starting or ending it, in its words.
        output_limited: Whether the engine ended it for writing more than its limit.
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


@attrs.frozen(kw_only=True)
class ContainerInfo:
    """A line of a listing of containers.

    Attributes:
        container_id: The engine's opaque identity.
        name: Its name.
        image: The reference it was created from.
        state: Where it is in its life.
        labels: All of its labels.
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
