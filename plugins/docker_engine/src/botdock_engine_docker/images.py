"""Images: whether they are there, what they declare, and how they come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import ImageError
from botdock.model import ImageInfo, PullPolicy
from botdock_engine_docker.client import path
from botdock_engine_docker.deadline import Deadline
from botdock_engine_docker.pulling import pull

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdock.model import PullProgress
    from botdock_engine_docker.client import DockerClient

FRESH = 30.0
"""Seconds that what is known of an image is believed; a create that finds it gone forgets it at once."""


@attrs.frozen(kw_only=True)
class Image:
    """An image that is there.

    Attributes:
        info: What botdock's users are told.
        volumes: Where it declares volumes.
        seen: When this was learnt, on the monotonic clock.
    """

    info: ImageInfo
    volumes: tuple[str, ...] = ()
    seen: float = attrs.field(factory=time.monotonic)


class Images:
    """The images of one engine."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._known: dict[str, Image] = {}

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
                return self.look(image, timeout=deadline.left).info
            except ImageError:
                if policy is PullPolicy.NEVER:
                    raise self._absent(image, timeout) from None
        pull(self._client, image, timeout=deadline.left, progress=progress)
        self.forget(image)
        return attrs.evolve(self.look(image, timeout=deadline.left).info, pulled=True)

    def look(self, image: str, *, timeout: float) -> Image:
        """Return what is known of an image, asking the engine where that is old.

        Raises:
            ImageError: It is absent.
        """
        known = self._known.get(image)
        if known is None or time.monotonic() - known.seen > FRESH:
            call = self._client.about("ensure_image", timeout=timeout, image=image)
            said = self._client.send(call, "GET", path("/images/{}/json", image))
            known = self._known[image] = read_image(image, said)
        return known

    def forget(self, image: str) -> None:
        """Ask again the next time."""
        self._known.pop(image, None)

    def _absent(self, image: str, timeout: float) -> ImageError:
        call = self._client.about("ensure_image", timeout=timeout, image=image)
        hint = f'Fetch it with `docker pull {image}`, or let botdock: containers.pull = "missing".'
        return call.image_error("it is not there, and containers.pull forbids to pull it", hint=hint)


def read_image(reference: str, inspected: Mapping[str, Any]) -> Image:
    """Return what an answer of `GET /images/{name}/json` tells."""
    digests = inspected.get("RepoDigests") or ()
    digest = next((text.partition("@")[2] for text in digests if "@" in text), inspected.get("Id", ""))
    volumes = (inspected.get("Config") or {}).get("Volumes") or {}
    return Image(info=ImageInfo(reference=reference, digest=digest), volumes=tuple(sorted(volumes)))
