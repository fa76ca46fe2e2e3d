"""How an image comes: by the policy, once for all that want it, patiently, and no longer than it is wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botdock.config import ContainersConfig
from botdock.errors import BotdockError, EngineTimeoutError, EngineUnavailableError, ImageError
from botdock.model import ImageInfo, PullPolicy, PullProgress
from botdock.services.container import ContainerService
from botdock.services.pulled_images import PulledImages
from botdock.services.pulling import OTHER
from botdock_testing.fake_engine import FakeEngine

RESET = ImageError("connection reset", image="image", transient=True)
Progress = Callable[[PullProgress], None] | None


class Registry(FakeEngine):
    """An engine whose pulls do what a test says; `pulls` counts them."""

    def __init__(self, pull: Callable[[Progress], str | None] = lambda _: None, *, there: str = "") -> None:
        super().__init__()
        self._pull, self._there, self.pulls = pull, there, 0

    def ensure_image(self, image: str, *, policy: PullPolicy, timeout: float, progress: Progress = None) -> ImageInfo:
        assert timeout > 0
        if self._there and policy is not PullPolicy.ALWAYS:
            return ImageInfo(reference=image, id=self._there)
        if policy is PullPolicy.NEVER:
            raise ImageError("absent", image=image)
        self.pulls += 1
        self._there = self._pull(progress) or "sha256:new"
        return ImageInfo(reference=image, id=self._there, pulled=True)


@pytest.fixture
def service(tmp_path: Path) -> Callable[..., ContainerService]:
    def make(engine: FakeEngine, *, seen: Any = None, **config: Any) -> ContainerService:
        patient = ContainersConfig(**{"call_timeout": 60, "pull_timeout": 60, **config})
        return ContainerService(engine, patient, home=tmp_path, on_operation=seen)

    return make


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botdock.services.pulling.FIRST_PAUSE", 0.01)


def failing(*errors: BaseException) -> Callable[[Progress], None]:
    left = iter(errors)

    def pull(_: Progress) -> None:
        if (error := next(left, None)) is not None:
            raise error

    return pull


@pytest.mark.parametrize(
    ("policy", "there", "pulls"),
    [("missing", "", 1), ("missing", "sha256:old", 0), ("always", "", 1), ("always", "sha256:old", 1)],
)
def test_an_image_is_pulled_as_the_policy_says(service: Any, policy: PullPolicy, there: str, pulls: int) -> None:
    engine = Registry(there=there)
    found = service(engine, pull=policy).pull_image("image")
    assert (engine.pulls, found.pulled) == (pulls, bool(pulls))


def test_never_pulls_nothing(service: Any, tmp_path: Path) -> None:
    engine = Registry()
    with pytest.raises(ImageError, match="absent"):
        service(engine, pull=PullPolicy.NEVER).pull_image("image")
    assert service(Registry(there="sha256:old"), pull=PullPolicy.NEVER).pull_image("image").id == "sha256:old"
    assert (engine.pulls, list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize("error", [RESET, EngineTimeoutError("late"), EngineUnavailableError("away")])
def test_a_registry_that_stumbled_is_asked_again(service: Any, error: Exception) -> None:
    engine, notes = Registry(failing(error, error)), list[str]()
    assert service(engine).pull_image("image", lambda made: notes.append(made.note)).pulled
    assert engine.pulls == 3
    assert set(notes) == {"trying again"}


@pytest.mark.parametrize(("error", "pulls"), [(RESET, 4), (ImageError("denied", image="image"), 1)])
def test_one_that_goes_on_stumbling_is_given_up_and_one_that_refuses_at_once(
    service: Any, error: ImageError, pulls: int
) -> None:
    engine = Registry(failing(*[error] * 9))
    with pytest.raises(ImageError, match=error.message):
        service(engine, retries=3).pull_image("image")
    assert engine.pulls == pulls


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("botdock.services.pulling.time", clock)
    return clock


def test_a_pull_of_which_nothing_comes_is_given_up_and_tried_again(service: Any, clock: Clock) -> None:
    def hang(progress: Progress) -> None:
        assert progress is not None
        while True:
            progress(PullProgress(image="image", current=7))
            clock.now += 0.25

    engine = Registry(hang)
    with pytest.raises(EngineTimeoutError, match="nothing of image came for 9 s") as caught:
        service(engine, pull_silence=9, retries=1).pull_image("image")
    assert "containers.pull_silence" in str(caught.value.hint)
    assert engine.pulls == 2


def test_a_slow_pull_that_moves_is_not_given_up(service: Any, clock: Clock) -> None:
    def crawl(progress: Progress) -> None:
        assert progress is not None
        for current in range(9):
            clock.now += 8
            progress(PullProgress(image="image", current=current))

    assert service(Registry(crawl), pull_silence=9, pull_timeout=999, retries=0).pull_image("image").pulled


def test_all_attempts_together_have_the_time_of_one_pull(service: Any, clock: Clock) -> None:
    def stumble(_: Progress) -> None:
        clock.now += 25
        raise RESET

    engine = Registry(stumble)
    with pytest.raises(ImageError, match="reset"):
        service(engine, retries=100).pull_image("image")
    assert engine.pulls == 3


class StopError(Exception):
    """What a caller that has changed its mind raises."""


@pytest.mark.parametrize(
    "reason", [StopError(), BotdockError("stopped"), ImageError("x", image="x"), KeyboardInterrupt()]
)
def test_what_ends_a_pull_is_told_as_it_is_and_not_as_its_failure(service: Any, reason: BaseException) -> None:
    def wants_no_more(_: PullProgress) -> None:
        raise reason

    def pull(progress: Progress) -> None:
        assert progress is not None
        try:
            progress(PullProgress(image="image"))
        except Exception as error:  # as an engine may
            raise ImageError("it broke", image="image", transient=True) from error

    counted: list[tuple[str, bool]] = []
    engine = Registry(pull)
    containers = service(engine, seen=lambda name, _, success: counted.append((name, success)))
    with pytest.raises(type(reason)) as caught:
        containers.pull_image("image", wants_no_more)
    assert caught.value is reason
    assert engine.pulls == 1
    assert ("pull", False) not in counted


class Rendezvous:
    """A pull that goes on until every other caller waits for it."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.waiting: set[int] = set()
        self.go_on = threading.Event()

    def __call__(self, _: Progress) -> None:
        assert self.go_on.wait(60)
        if self._error is not None:
            raise self._error

    def heard(self, made: PullProgress) -> None:
        if made.note == OTHER:
            self.waiting.add(threading.get_ident())


def together(services: list[ContainerService], meet: Rendezvous) -> list[object]:
    """Pull an image by all services at once; return what each has, or what it raised."""
    ends: list[object] = []

    def pull(containers: ContainerService) -> None:
        try:
            ends.append(containers.pull_image("image", meet.heard))
        except BotdockError as error:
            ends.append(str(error))

    threads = [threading.Thread(target=pull, args=(one,)) for one in services]
    for thread in threads:
        thread.start()
    while len(meet.waiting) < len(services) - 1:
        threads[0].join(0.01)
    meet.go_on.set()
    for thread in threads:
        thread.join()
    return ends


@pytest.mark.parametrize("policy", ["missing", "always"])
def test_callers_that_want_the_same_image_share_one_pull(service: Any, policy: PullPolicy) -> None:
    meet = Rendezvous()
    engine = Registry(meet)
    ends = together([service(engine, pull=policy) for _ in range(5)], meet)  # as five runners of one state folder
    assert engine.pulls == 1
    assert [end.pulled for end in ends if isinstance(end, ImageInfo)].count(True) == 1
    assert len(ends) == 5


@pytest.mark.parametrize(
    ("error", "pulls"),
    [
        (ImageError("denied", image="image", hint="log in"), 1),
        (EngineTimeoutError("late"), 1),
        (EngineUnavailableError("away"), 3),
    ],
)
def test_they_share_its_failure_too_but_not_that_of_the_engine(service: Any, error: BotdockError, pulls: int) -> None:
    meet = Rendezvous(error)
    engine = Registry(meet)
    assert together([service(engine, retries=0) for _ in range(3)], meet) == [str(error)] * 3
    assert engine.pulls == pulls
    with pytest.raises(type(error)):
        service(engine, retries=0).pull_image("image")
    assert engine.pulls == pulls + 1, "a later caller asks again"


def test_a_pull_that_its_caller_ended_is_gone_on_with_by_the_next(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    meet = Rendezvous()

    def pull(progress: Progress) -> None:
        meet(progress)
        if engine.pulls == 1:
            raise KeyboardInterrupt

    engine = Registry(pull)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    ends = together([service(engine) for _ in range(3)], meet)
    assert engine.pulls == 2
    assert len(ends) == 2


def test_the_wait_for_another_runner_has_a_bound_and_can_be_ended(service: Any, tmp_path: Path) -> None:
    def wants_no_more(made: PullProgress) -> None:
        if made.note == OTHER:
            raise StopError

    engine = Registry()
    with PulledImages(tmp_path).turn("fake", "image"):
        with pytest.raises(EngineTimeoutError, match=f"did not come within 0.5 s: {OTHER}"):
            service(engine, pull_timeout=0.5).pull_image("image")
        with pytest.raises(StopError):
            service(engine).pull_image("image", wants_no_more)
        assert service(engine).pull_image("other").pulled, "each image has a turn of its own"
    assert engine.pulls == 1


def test_only_what_was_not_there_is_noted_as_pulled(service: Any, tmp_path: Path) -> None:
    pulled = PulledImages(tmp_path)
    service(Registry(lambda _: "sha256:old", there="sha256:old"), pull=PullPolicy.ALWAYS).pull_image("the-users")
    assert pulled.all() == []
    service(Registry(there="sha256:old"), pull=PullPolicy.ALWAYS).pull_image("moved")
    service(Registry()).pull_image("absent")
    assert {(image.engine, image.reference, image.id) for image in pulled.all()} == {
        ("fake", "moved", "sha256:new"),
        ("fake", "absent", "sha256:new"),
    }


def test_a_state_folder_that_takes_no_lock_is_told(service: Any, tmp_path: Path) -> None:
    (tmp_path / "images").write_text("in the way")
    with pytest.raises(ImageError, match="the state folder takes no lock"):
        service(Registry()).pull_image("image")
