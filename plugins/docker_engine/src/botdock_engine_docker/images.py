"""Images: whether they are there, what they declare, and how they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from botdock.errors import ImageError
from botdock.model import ImageInfo, PullPolicy
from botdock_engine_docker.client import path
from botdock_engine_docker.pulling import pull
from botdock_engine_docker.wire import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdock.model import PullProgress
    from botdock_engine_docker.client import DockerClient


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
                    raise self._absent(image, timeout) from None
        pull(self._client, image, timeout=deadline.left, progress=progress)
        return attrs.evolve(self._ask(image, timeout=deadline.left).info, pulled=True)

    def look(self, image: str, *, timeout: float) -> Image:
        """Return what an image is, asking the engine where its id is not known.

        Raises:
            ImageError: It is absent.
        """
        return self._known.get(image) or self._ask(image, timeout=timeout)

    def _ask(self, image: str, *, timeout: float) -> Image:
        """Ask the engine what an image is: a reference may be moved at any time, and an image may go."""
        call = self._client.about("ensure_image", timeout=timeout, image=image)
        found = read_image(image, self._client.send(call, "GET", path("/images/{}/json", image)))
        self._known[found.info.id] = found
        return found

    def _absent(self, image: str, timeout: float) -> ImageError:
        call = self._client.about("ensure_image", timeout=timeout, image=image)
        hint = f'Fetch it with `docker pull {image}`, or let botdock: containers.pull = "missing".'
        return call.image_error("it is not there, and containers.pull forbids to pull it", hint=hint)


def read_image(reference: str, inspected: Mapping[str, Any]) -> Image:
    """Return what an answer of `GET /images/{name}/json` tells."""
    identity = inspected.get("Id", "")
    digests = [text.partition("@")[2] for text in inspected.get("RepoDigests") or () if "@" in text]
    asked = reference.partition("@")[2]
    digest = asked if asked in digests else next(iter(digests), identity)
    volumes = (inspected.get("Config") or {}).get("Volumes") or {}
    return Image(info=ImageInfo(reference=reference, digest=digest, id=identity), volumes=tuple(sorted(volumes)))
