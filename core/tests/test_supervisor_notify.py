"""What an operator is told: by a real command, by a webhook that really answers, and by the event hook."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from botdock._log import logger
from botdock.config import NotifyConfig
from botdock.model import Notification, NotificationKind, Outcome
from botdock.supervisor import _notify
from botdock.supervisor._notify import Notifier

PATIENCE = 60.0
SECRET = "hunter2-hunter2"


def failed(bot: str = "sma", **fields: Any) -> Notification:
    facts = {"kind": NotificationKind.OUTCOME, "message": "it failed", "outcome": Outcome.FAILED, "exit_code": 3}
    facts |= {"at": datetime.now(UTC), "home": "/srv", "execution_id": "01x"}
    return Notification(id=bot, **{**facts, **fields})


class Told:
    """What the event hook was told."""

    def __init__(self) -> None:
        self.notifications: list[Notification] = []

    def __call__(self, hook: str, *, notification: Notification) -> None:
        assert hook == "botdock_on_notification"
        self.notifications.append(notification)


class Receiver:
    """A webhook on the loopback, that answers what a test says, the last answer again and again."""

    def __init__(self) -> None:
        self.answers = [204]
        self.bodies: list[Any] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Content-Type"] == "application/json"
                receiver.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                code = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/hook/{SECRET}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(_notify, "_PAUSES", (0.0, 0.0))
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def warnings() -> Iterator[list[Any]]:
    found: list[Any] = []
    logger.enable("botdock")
    handler = logger.add(lambda message: found.append(message.record), level="WARNING")
    yield found
    logger.remove(handler)
    logger.disable("botdock")


def tell(config: NotifyConfig, home: Path, *notifications: Notification, **arguments: Any) -> None:
    notifier = Notifier(config, home=home, **arguments)
    for notification in notifications:
        notifier.tell(notification)
    notifier.close(PATIENCE)


def test_a_webhook_gets_the_document_by_post(receiver: Receiver, tmp_path: Path) -> None:
    tell(NotifyConfig(webhook=receiver.address), tmp_path, failed(restarts=2, error="boom"))
    (body,) = receiver.bodies
    assert body.pop("at")
    assert body == {
        "schema": 1,
        "kind": "outcome",
        "message": "it failed",
        "home": "/srv",
        "id": "sma",
        "execution_id": "01x",
        "outcome": "failed",
        "exit_code": 3,
        "error": "boom",
        "restarts": 2,
        "free_bytes": None,
        "suppressed": 0,
    }


@pytest.mark.parametrize("answers", [[503, 204], [429, 500, 200]])
def test_a_webhook_that_cannot_now_is_asked_again(receiver: Receiver, tmp_path: Path, answers: list[int]) -> None:
    receiver.answers = list(answers)
    tell(NotifyConfig(webhook=receiver.address), tmp_path, failed())
    assert len(receiver.bodies) == len(answers)


@pytest.mark.parametrize(("answer", "calls"), [(404, 1), (302, 1), (500, 3)])
def test_a_webhook_that_refuses_is_logged_without_its_address(
    receiver: Receiver, tmp_path: Path, warnings: list[Any], answer: int, calls: int
) -> None:
    receiver.answers = [answer]
    told = Told()
    tell(NotifyConfig(webhook=receiver.address), tmp_path, failed(), hook=told, secrets=(receiver.address,))
    assert len(receiver.bodies) == calls
    (record,) = warnings
    assert record["message"] == "a notification could not be delivered"
    assert (record["extra"]["setting"], record["extra"]["error"]) == ("notify.webhook", f"it answered {answer}")
    assert SECRET not in str(record)
    assert len(told.notifications) == 1


def test_a_webhook_that_is_not_there_keeps_nothing_waiting(
    tmp_path: Path, warnings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_notify, "_PAUSES", ())
    tell(NotifyConfig(webhook="http://127.0.0.1:9/"), tmp_path, failed("a"), failed("b"))
    assert [record["extra"]["id"] for record in warnings] == ["a", "b"]


def test_a_command_gets_the_document_on_stdin_and_the_facts_as_variables(tmp_path: Path) -> None:
    script = 'cat > told.json; echo "$0 $BOTDOCK_EVENT $BOTDOCK_EVENT_BOT $BOTDOCK_EVENT_OUTCOME $BOTDOCK_HOME" > told'
    tell(NotifyConfig(command=("/bin/sh", "-c", script, "$(touch x)")), tmp_path, failed(error="'; touch y; '"))
    assert json.loads((tmp_path / "told.json").read_text())["error"] == "'; touch y; '"
    assert (tmp_path / "told").read_text() == f"$(touch x) outcome sma failed {tmp_path}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["told", "told.json"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no such host >&2; exit 7", "it ended with 7: no such host"),
        ("exit 1", "it ended with 1: it wrote nothing to stderr"),
        ("exec sleep 600", "it was killed after 0.2 seconds"),
        ("sleep 600 & trap '' TERM; wait", "it was killed after 0.2 seconds"),
        ("exec <&-; kill -KILL $$", "it ended with -9: "),
    ],
)
def test_a_command_that_fails_or_hangs_is_logged_and_ended(
    tmp_path: Path, warnings: list[Any], script: str, said: str
) -> None:
    timeout = 0.2 if "sleep" in script else PATIENCE
    tell(NotifyConfig(command=("/bin/sh", "-c", script), timeout=timeout), tmp_path, failed())
    (record,) = warnings
    assert record["extra"]["error"].startswith(said)


def test_a_command_that_is_not_there_is_logged(tmp_path: Path, warnings: list[Any]) -> None:
    tell(NotifyConfig(command=("no-such-program",)), tmp_path, failed())
    assert "No such file or directory" in warnings[0]["extra"]["error"]


def test_only_the_events_that_were_asked_for_are_told(tmp_path: Path) -> None:
    told = Told()
    looping = failed(kind=NotificationKind.CRASH_LOOP)
    tell(NotifyConfig(events=("crash_loop",)), tmp_path, failed(), looping, hook=told)
    assert [one.kind for one in told.notifications] == [NotificationKind.CRASH_LOOP]


def test_what_comes_too_soon_is_counted_in_the_next_one_of_its_kind_and_bot(tmp_path: Path) -> None:
    told, now = Told(), [0.0]
    notifier = Notifier(NotifyConfig(interval=60.0), home=tmp_path, hook=told, clock=lambda: now[0])
    for moment, bot in ((0, "a"), (1, "a"), (2, "b"), (59, "a"), (60, "a"), (61, "a"), (120, "a")):
        now[0] = moment
        notifier.tell(failed(bot))
    notifier.tell(failed("a", kind=NotificationKind.CRASH_LOOP))
    notifier.close(PATIENCE)
    assert [(one.id, one.kind.value, one.suppressed) for one in told.notifications] == [
        ("a", "outcome", 0),
        ("b", "outcome", 0),
        ("a", "outcome", 2),
        ("a", "outcome", 1),
        ("a", "crash_loop", 0),
    ]


def test_more_than_can_be_told_is_counted_and_keeps_no_caller_waiting(tmp_path: Path) -> None:
    begun, go_on, told = threading.Event(), threading.Event(), Told()

    def slow(hook: str, *, notification: Notification) -> None:
        begun.set()
        assert go_on.wait(PATIENCE)
        told(hook, notification=notification)

    notifier = Notifier(NotifyConfig(interval=0.0), home=tmp_path, hook=slow)
    for number in range(300):
        notifier.tell(failed(f"bot-{number}"))
    assert begun.wait(PATIENCE)
    go_on.set()
    for _ in range(1000):
        if len(told.notifications) == 200:
            break
        threading.Event().wait(0.01)
    notifier.tell(failed("bot-250"))
    notifier.close(PATIENCE)
    assert [one.id for one in told.notifications] == [*(f"bot-{number}" for number in range(200)), "bot-250"]
    assert told.notifications[-1].suppressed == 1


def test_secrets_are_masked_and_what_a_bot_wrote_is_bounded(receiver: Receiver, tmp_path: Path) -> None:
    noisy = failed(message=f"failed with {SECRET}", error=SECRET + "x" * 100_000)
    tell(NotifyConfig(webhook=receiver.address), tmp_path, noisy, secrets=(SECRET,))
    assert SECRET not in json.dumps(receiver.bodies)
    assert len(json.dumps(receiver.bodies)) < 10_000
