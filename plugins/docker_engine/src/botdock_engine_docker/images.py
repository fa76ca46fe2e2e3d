"""Images: whether they are there, what they declare, and how they come.

A pull's errors come inside its stream, and so does how far each layer is.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import ContainerConflictError, EngineTimeoutError, ImageError
from botdock.model import ImageInfo, LayerProgress, LayerState, PullPolicy, PullProgress
from botdock_engine_docker.client import path
from botdock_engine_docker.credentials import HUB, registry_headers, registry_of
from botdock_engine_docker.errors import refusal
from botdock_engine_docker.wire import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from botdock_engine_docker.client import DockerClient
    from botdock_engine_docker.errors import Call

INTERVAL = 0.25
"""Seconds between two reports."""
STATES = {
    "Pulling fs layer": LayerState.WAITING,
    "Waiting": LayerState.WAITING,
    "Downloading": LayerState.DOWNLOADING,
    "Verifying Checksum": LayerState.DOWNLOADED,
    "Download complete": LayerState.DOWNLOADED,
    "Extracting": LayerState.EXTRACTING,
    "Pull complete": LayerState.DONE,
    "Already exists": LayerState.DONE,
}
"""What Docker says of a layer, 20.10 to 28; a tag has a status too, of other words."""
RETRYING = "Retrying in "
"""Begins what Docker says of a layer whose download broke off, each second."""
COMPLETE = frozenset({LayerState.DOWNLOADED, LayerState.EXTRACTING, LayerState.DONE})
"""Of a layer whose bytes are all there."""
IN_STREAM = 500
"""The status that an error inside the stream would have had."""


@attrs.frozen(kw_only=True)
class Image:
    """An image that is there.

    Attributes:
        info: What botdock's users are told.
        volumes: Where it declares volumes.
    """

    info: ImageInfo
    volumes: tuple[str, ...] = ()


class Images:
    """The images of one engine."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._known: dict[str, Image] = {}
        """By id: what that names does not change."""

    def ensure(
        self, image: str, *, policy: PullPolicy, timeout: float, progress: Callable[[PullProgress], None] | None
    ) -> ImageInfo:
        """Make sure that an image is there, as the policy says.

        Raises:
            ImageError: It is absent, and may not or cannot be pulled.
            EngineTimeoutError: The pull took too long.
        """
        deadline = Deadline(timeout)
        if policy is not PullPolicy.ALWAYS:
            try:
                return self._ask(image, timeout=deadline.left).info
            except ImageError:
                if policy is PullPolicy.NEVER:
                    call = self._client.about("ensure_image", timeout=timeout, image=image)
                    hint = f'Fetch it with `docker pull {image}`, or let botdock: containers.pull = "missing".'
                    problem = "it is not there, and containers.pull forbids to pull it"
                    raise call.image_error(problem, hint=hint) from None
        pull(self._client, image, timeout=deadline.left, progress=progress)
        return attrs.evolve(self._ask(image, timeout=deadline.left).info, pulled=True)

    def look(self, image: str, *, timeout: float) -> Image:
        """Return what an image is, asking the engine where its id is not known.

        Raises:
            ImageError: It is absent.
        """
        return self._known.get(image) or self._ask(image, timeout=timeout)

    def remove(self, reference: str, image_id: str, *, dry_run: bool, timeout: float) -> int | None:
        """Remove an image by the name it was pulled by, or by its id where that name leads to another one by now.

        Returns:
            The bytes that go with it; None where a container uses it, or it has other names only.
        """
        deadline = Deadline(timeout)
        found = self._inspected(reference, deadline)
        by_name = found is not None and found.get("Id") == image_id
        if not by_name:
            found = self._inspected(image_id, deadline)
        if found is None:
            return 0
        names = found.get("RepoTags") or []
        if (names and not by_name) or self._used(image_id, deadline):
            return None
        if not dry_run:
            name = reference if by_name else image_id
            call = self._client.about("remove_image", timeout=deadline.left, image=name)
            try:
                self._client.send(call, "DELETE", path("/images/{}", name))
            except ContainerConflictError:  # a container has come meanwhile
                return None
            self._known.pop(image_id, None)
        return 0 if len(names) > 1 else int(found.get("Size") or 0)

    def _inspected(self, image: str, deadline: Deadline) -> Mapping[str, Any] | None:
        if not image:
            return None
        call = self._client.about("remove_image", timeout=deadline.left, image=image)
        try:
            found: Mapping[str, Any] = self._client.send(call, "GET", path("/images/{}/json", image))
        except ImageError:
            return None
        return found

    def _used(self, image_id: str, deadline: Deadline) -> bool:
        call = self._client.about("remove_image", timeout=deadline.left, image=image_id)
        asked = {"all": 1, "filters": json.dumps({"ancestor": [image_id]})}
        return bool(self._client.send(call, "GET", "/containers/json", params=asked))

    def _ask(self, image: str, *, timeout: float) -> Image:
        """Ask the engine what an image is: a reference may be moved at any time, and an image may go."""
        call = self._client.about("ensure_image", timeout=timeout, image=image)
        found = read_image(image, self._client.send(call, "GET", path("/images/{}/json", image)))
        self._known[found.info.id] = found
        return found


def read_image(reference: str, inspected: Mapping[str, Any]) -> Image:
    """Return what an answer of `GET /images/{name}/json` tells.

    Its digest is that of the repository that was asked for, as an image may have come from several; the image's own id
    where it came from none, or only from another one.
    """
    identity = inspected.get("Id", "")
    name, asked = full_name(_take_apart(reference)[0]), reference.partition("@")[2]
    found = [text.partition("@") for text in inspected.get("RepoDigests") or ()]
    digests = [digest for repository, _, digest in found if full_name(repository) == name]
    digest = asked if asked in digests else next(iter(digests), identity)
    volumes = (inspected.get("Config") or {}).get("Volumes") or {}
    return Image(info=ImageInfo(reference=reference, digest=digest, id=identity), volumes=tuple(sorted(volumes)))


def full_name(name: str) -> str:
    """Return the name of an image with what Docker leaves out of it: `bash` is `docker.io/library/bash`."""
    registry = registry_of(name)
    rest = name.partition("/")[2] if name.startswith((f"{registry}/", f"index.{HUB}/")) else name
    return f"{registry}/library/{rest}" if registry == HUB and "/" not in rest else f"{registry}/{rest}"


def pull(client: DockerClient, image: str, *, timeout: float, progress: Callable[[PullProgress], None] | None) -> None:
    """Pull an image.

    Raises:
        ImageError: It cannot be had.
        EngineTimeoutError: It took too long; the engine has been told to stop.
    """
    call = client.about("ensure_image", timeout=timeout, image=image)
    name, tag = _take_apart(image)
    meter = PullMeter(image, progress)
    headers = registry_headers(registry_of(name), call, tick=meter.report_now_and_then)
    parameters = {"fromImage": name, "tag": tag}
    with closing(_events(client, call, parameters, headers)) as events:  # what ends the loop ends the pull
        for event in events:
            if event is not None:
                _raise_for_error(event, call)
                meter.hear(event)
            meter.report_now_and_then()
    meter.report()


def _events(
    client: DockerClient, call: Call, parameters: Mapping[str, str], headers: Mapping[str, str]
) -> Generator[Any, None, None]:
    """Yield what the engine says of a pull, and None where it says nothing for a while."""
    try:
        yield from client.lines(call, "POST", "/images/create", params=parameters, headers=headers, every=INTERVAL)
    except EngineTimeoutError as error:
        problem = f"pulling {call.image} took longer than {round(call.timeout, 1):g} s"
        raise call.error(EngineTimeoutError, problem, hint="containers.pull_timeout says how long.") from error


def _take_apart(image: str) -> tuple[str, str]:
    """Return the name of an image, and its digest or tag; one that has neither means `latest`."""
    name, _, digest = image.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")  # a colon before it is that of a port
    return f"{folder}{slash}{last}", digest or tag or "latest"


def _raise_for_error(event: Mapping[str, Any], call: Call) -> None:
    detail = event.get("errorDetail") or {}
    if words := detail.get("message") or event.get("error"):
        raise refusal(IN_STREAM, str(words), call)


class PullMeter:
    """Knows how far the layers are, and reports it a few times a second."""

    def __init__(self, image: str, progress: Callable[[PullProgress], None] | None) -> None:
        self._image = image
        self._progress = progress
        self._layers: dict[str, LayerProgress] = {}
        self._bytes: dict[str, tuple[int, int]] = {}
        """Of each layer that is downloaded: how many are there, and how many it has."""
        self._reported = 0.0

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take one line of the engine's."""
        layer, status = str(event.get("id", "")), str(event.get("status"))
        state = LayerState.RETRYING if status.startswith(RETRYING) else STATES.get(status)
        if state is None:
            return
        detail = event.get("progressDetail") or {}
        current, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
        self._layers[layer] = LayerProgress(id=layer, state=state, current=current, total=max(total, current))
        if state is LayerState.DOWNLOADING:
            self._bytes[layer] = current, max(total, current)
        elif state in COMPLETE and layer in self._bytes:
            self._bytes[layer] = (self._bytes[layer][1],) * 2

    def report_now_and_then(self) -> None:
        """Report where it stands, unless that was done just now."""
        if time.monotonic() - self._reported >= INTERVAL:
            self.report()

    def report(self) -> None:
        """Report where it stands."""
        self._reported = time.monotonic()
        if self._progress is not None:
            current, total = (
                (sum(column) for column in zip(*self._bytes.values(), strict=True)) if self._bytes else (0, 0)
            )
            layers = tuple(self._layers.values())
            self._progress(PullProgress(image=self._image, current=current, total=total, layers=layers))
