"""How an image comes: one pull for all that want it, tried again where that may help, ended by its caller."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NoReturn

import attrs

from botdock._log import logger
from botdock.config.sections import ContainersConfig
from botdock.errors import EngineTimeoutError, EngineUnavailableError, ImageError
from botdock.model.container import ImageInfo, PullPolicy
from botdock.model.engine import Engine, PullProgress
from botdock.services.pulled_images import PulledImages, Turn

FIRST_PAUSE = 1.0
"""Seconds before the second attempt, at most; each further one waits up to twice as long."""
LONGEST_PAUSE = 30.0
STEP = 0.2
"""Seconds between two looks at what is waited for; a wait that its caller ends takes no longer."""
OTHER = "another runner pulls it"

Counted = Callable[[Callable[[], ImageInfo]], ImageInfo]
"""Makes a call to the engine, and counts it."""


class _CalledOffError(BaseException):
    """Carries what the caller's own `progress` raised through the engine: the pull has not failed then."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__(reason)
        self.reason = reason


class _SilentError(BaseException):
    """Nothing has moved for too long; told apart from what the engine itself raises."""


class Pulls:
    """Brings the images of one engine, by the operator's policy.

    Args:
        engine: Has them.
        config: When they are pulled, and how patiently.
        pulled: What was pulled, and whose turn it is.
        counted: Makes each pull.
    """

    def __init__(self, engine: Engine, config: ContainersConfig, *, pulled: PulledImages, counted: Counted) -> None:
        self._engine = engine
        self._config = config
        self._pulled = pulled
        self._counted = counted

    def ensure(
        self,
        image: str,
        *,
        engine: str,
        there: ImageInfo | ImageError,
        progress: Callable[[PullProgress], None] | None,
    ) -> ImageInfo:
        """Make sure that an image is there.

        Args:
            image: Its reference.
            engine: Name of the engine.
            there: What the engine has of that name; or why it has none.
            progress: Told how far it is, at least once a second; what it raises ends this, and comes out as it is.

        Raises:
            ImageError: It is absent, and may not or cannot be pulled.
            EngineTimeoutError: It took too long.
        """
        policy = self._config.pull
        if isinstance(there, ImageError) and policy is PullPolicy.NEVER:
            raise there
        if isinstance(there, ImageError) or policy is PullPolicy.ALWAYS:
            before = "" if isinstance(there, ImageError) else there.id
            watch = _Watch(image, engine, progress, self._config)
            try:
                there = self._in_turn(_Pull(image=image, engine=engine, watch=watch, before=before))
            except _CalledOffError as off:
                raise off.reason from None
        self._pulled.use(engine, there)
        return there

    def _in_turn(self, pull: _Pull) -> ImageInfo:
        """Pull it, or wait until another one has: of a state folder, one pulls an image at a time."""
        before = self._pulled.ended(pull.engine, pull.image)
        while True:
            try:
                with self._pulled.turn(pull.engine, pull.image) as turn:
                    if turn is not None:
                        return self._alone(pull, turn, shared=turn.number > before)
            except OSError as error:
                raise ImageError(
                    f"image {pull.image!r} could not be pulled: the state folder takes no lock: {error}",
                    image=pull.image,
                    engine=pull.engine,
                ) from error
            pull.watch.wait(STEP, OTHER)

    def _alone(self, pull: _Pull, turn: Turn, *, shared: bool) -> ImageInfo:
        """Pull it while all others wait; with `shared`, take what the one before has brought."""
        if shared and (failure := turn.failure(pull.engine, pull.image)) is not None:
            raise failure
        policy = PullPolicy.MISSING if shared else self._config.pull
        try:
            found = self._patiently(pull, policy)
        except (ImageError, EngineTimeoutError) as error:
            turn.end(error)
            raise
        if found.pulled:
            if not (pull.before and pull.before == found.id):  # else it was there, and may be the user's own
                self._pulled.add(pull.engine, found)
            turn.end()
        return found

    def _patiently(self, pull: _Pull, policy: PullPolicy) -> ImageInfo:
        pause = FIRST_PAUSE
        for _ in range(self._config.retries):
            try:
                return self._attempt(pull, policy)
            except (EngineUnavailableError, EngineTimeoutError, ImageError) as error:
                if (isinstance(error, ImageError) and not error.transient) or pull.watch.left <= pause:
                    raise
                logger.bind(image=pull.image, error=error.message).debug("a pull failed; trying again")
                pull.watch.wait(random.uniform(pause / 2, pause), "trying again")  # noqa: S311 - a pause is not a secret
            pause = min(2 * pause, LONGEST_PAUSE)
        return self._attempt(pull, policy)

    def _attempt(self, pull: _Pull, policy: PullPolicy) -> ImageInfo:
        pull.watch.begin()

        def attempt() -> ImageInfo:
            try:
                return self._engine.ensure_image(
                    pull.image, policy=policy, timeout=pull.watch.left, progress=pull.watch
                )
            except _SilentError:
                _silent(pull, self._config.pull_silence)

        return self._counted(attempt)


def _silent(pull: _Pull, seconds: float) -> NoReturn:
    raise EngineTimeoutError(
        f"{pull.engine}: nothing of {pull.image} came for {seconds:g} s",
        engine=pull.engine,
        operation="ensure_image",
        hint="Is the registry well? containers.pull_silence says for how long nothing may come.",
    ) from None


class _Watch:
    """Passes on what is reported of a pull, and ends it when it has to end."""

    def __init__(
        self, image: str, engine: str, progress: Callable[[PullProgress], None] | None, config: ContainersConfig
    ) -> None:
        self._image = image
        self._engine = engine
        self._progress = progress
        self._silence = config.pull_silence
        self._timeout = config.pull_timeout
        self._end = time.monotonic() + self._timeout
        self.begin()

    @property
    def left(self) -> float:
        """Seconds until it has taken too long."""
        return max(0.0, self._end - time.monotonic())

    def begin(self) -> None:
        """Count the silence from now on."""
        self._last: PullProgress | None = None
        self._moved = time.monotonic()

    def __call__(self, made: PullProgress) -> None:
        """Take a report of the engine's."""
        if made != self._last:
            self._last, self._moved = made, time.monotonic()
        self._tell(made)
        if time.monotonic() - self._moved >= self._silence:
            raise _SilentError

    def wait(self, seconds: float, note: str) -> None:
        """Wait, and report why.

        Raises:
            EngineTimeoutError: No time is left for it.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._tell(PullProgress(image=self._image, note=note))
            if not self.left:
                raise EngineTimeoutError(
                    f"{self._engine}: {self._image} did not come within {self._timeout:g} s: {note}",
                    engine=self._engine,
                    operation="ensure_image",
                    hint="containers.pull_timeout says how long.",
                )
            time.sleep(min(left, STEP))

    def _tell(self, made: PullProgress) -> None:
        try:
            if self._progress is not None:
                self._progress(made)
        except BaseException as error:
            raise _CalledOffError(error) from error


@attrs.frozen(kw_only=True)
class _Pull:
    """One caller's wish for an image.

    Attributes:
        image: Its reference.
        engine: Name of the engine.
        watch: Watches over it.
        before: The id of the image that was there; empty for none.
    """

    image: str
    engine: str
    watch: _Watch
    before: str
