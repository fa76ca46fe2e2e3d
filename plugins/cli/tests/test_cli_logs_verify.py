"""`botdock logs --verify`: here and in the storage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from botdock.errors import StorageUnavailableError
from botdock.model import LogGap, ObjectReader, Progress, Stream
from botdock.services.outbox import outbox_folder
from botdock.services.storage import StorageService
from botdock_cli.progress import ProgressBars
from botdock_testing.memory_storage import MemoryBackend

SILENCE = "the storage does not answer"


def damage(path: Path, offset: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def keep(execution: Any, backend: MemoryBackend) -> Any:
    """Let the storage hold the log of an execution, as a run that persists leaves it."""
    for path in (execution.directory / "logs").iterdir():
        backend.objects[f"logs/sma/{execution.execution_id}/{path.name}"] = path.read_bytes()
    return execution


@pytest.fixture
def ended(logged: Callable[..., Any]) -> Any:
    """A log of both streams, in several segments, that has ended."""
    execution = logged(persist_results=True, segment_bytes=4096)
    for number in range(300):
        execution.says(b"line %d of stdout, or so\n" % number).says(b"%d\n" % number, Stream.STDERR)
    return execution.ends().concludes(outcome="succeeded")


@pytest.fixture
def storage(ended: Any, over: Callable[[Any], None]) -> MemoryBackend:
    """A storage that holds its copy."""
    backend = MemoryBackend()
    keep(ended, backend)
    over(backend)
    return backend


def check(cli: Callable[..., Any]) -> tuple[int, dict[str, Any]]:
    done = cli("logs", "sma", "--verify", "--json")
    return done.code, json.loads(done.stdout)


def test_a_log_that_is_right_is_shown_with_its_proof(cli: Callable[..., Any], ended: Any, storage: Any) -> None:
    code, document = check(cli)
    summary = json.loads((ended.directory / "logs" / "end.json").read_text())
    assert (code, document["ok"], document["ended"], document["complete"]) == (0, True, True, True)
    assert {name: document[name] for name in ("bytes", "lines", "segments", "sha256", "streams")} == {
        name: summary[name] for name in ("bytes", "lines", "segments", "sha256", "streams")
    }
    assert document["findings"] == document["storage"]["findings"] == []
    assert document["storage"]["objects"] >= 2 * document["segments"]


def test_the_storage_that_was_used_is_asked_not_the_configured_one(
    cli: Callable[..., Any], ended: Any, storage: Any
) -> None:
    request = json.loads((ended.directory / "request.json").read_text())
    (ended.directory / "request.json").write_text(json.dumps({**request, "storage": "minio"}))
    assert check(cli)[1]["storage"]["name"] == "minio"


def test_it_is_said_in_words_too(cli: Callable[..., Any], ended: Any, storage: Any) -> None:
    done = cli("logs", "sma", "--verify")
    shown = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert shown[0].startswith(f"log of {ended.execution_id}: ")
    assert shown[0].endswith("600 lines, 600 records checked, all as it was stored")
    assert "  stdout: " in done.out
    assert done.out.count("sha256") == 3
    assert "  it has ended, and is complete" in shown
    assert shown[-1].startswith("storage local-fs: ")
    assert shown[-1].endswith("compared, all as it was stored")


def test_a_damaged_byte_is_named_with_its_place(cli: Callable[..., Any], ended: Any) -> None:
    damage(ended.directory / "logs" / "stdout.0", 30)
    code, document = check(cli)
    (finding, *_) = document["findings"]
    assert (code, document["ok"], finding["file"]) == (1, False, "stdout.0")
    assert finding["offset"] <= 30 < finding["offset"] + finding["length"]
    told = cli("logs", "sma", "--verify")
    assert told.code == 1
    assert f"different: stdout.0: {finding['problem']}" in told.out
    assert "stdout.0" in told.out


def test_a_log_that_grows_is_right_so_far(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    logged().lives().says(b"one\ntwo").says(b"x\n", Stream.STDERR)
    done = cli("logs", "sma", "--verify")
    assert done.code == 0
    assert "  it has not ended; what is there so far is right" in done.out
    code, document = check(cli)
    assert (code, document["ended"], document["complete"]) == (0, False, False)
    assert document["streams"]["stdout"]["bytes"] == 7
    assert document["streams"]["stdout"]["lines"] == 2
    assert document["storage"] is None


def test_what_is_missing_or_masked_is_said_but_no_difference(
    cli: Callable[..., Any], logged: Callable[..., Any]
) -> None:
    execution = logged().says(b"one\n")
    execution.writer.note_gap(LogGap(stream=Stream.STDOUT, size=12345))
    execution.ends(complete=False)
    done = cli("logs", "sma", "--verify")
    assert done.code == 0
    assert "  missing, as was recorded: 1 gap, 12,345 bytes" in done.out
    assert "it has ended, but is not complete: " in done.out


def test_what_retention_has_removed_is_said(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    execution = logged(segment_bytes=4096)
    for _ in range(3):
        execution.says(b"x" * 4095 + b"\n")
    execution.writer.seal_closed()
    assert execution.writer.remove_oldest()
    execution.ends()
    done = cli("logs", "sma", "--verify")
    assert done.code == 0, done.out
    assert "  removed by retention: 1 segment, 4,096 bytes" in done.out


def test_damaged_counts_are_a_difference_too(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    execution = logged().says(b"one\n").ends()
    path = execution.directory / "logs" / "end.json"
    path.write_text(path.read_text().replace('"complete": true', '"complete": 1'))
    code, document = check(cli)
    assert (code, document["ok"]) == (1, False)
    assert {finding["file"] for finding in document["findings"]} == {"end.json"}


def test_a_log_that_was_not_persisted_asks_no_storage(
    cli: Callable[..., Any], logged: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged().says(b"one\n").ends()
    monkeypatch.setattr("botdock_cli.log_checking.StoredCopy", None)
    assert check(cli)[1]["storage"] is None


def test_an_execution_without_a_log_has_nothing_to_check(cli: Callable[..., Any], logged: Callable[..., Any]) -> None:
    execution = logged().concludes(outcome="infrastructure_error")
    told = cli("logs", "sma", "--verify")
    assert told.code == 125
    assert f"execution {execution.execution_id} has no log" in told.err


def test_an_object_that_differs_is_named(cli: Callable[..., Any], ended: Any, storage: MemoryBackend) -> None:
    key = f"logs/sma/{ended.execution_id}/stderr.0"
    storage.objects[key] = b"!" + storage.objects[key][1:]
    code, document = check(cli)
    assert (code, document["ok"], document["findings"]) == (1, False, [])
    assert [finding["file"] for finding in document["storage"]["findings"]] == ["stderr.0"]
    assert "different: storage local-fs: " in cli("logs", "sma", "--verify").out


def test_an_object_that_is_not_there_is_a_difference(
    cli: Callable[..., Any], ended: Any, storage: MemoryBackend
) -> None:
    del storage.objects[f"logs/sma/{ended.execution_id}/stdout.0"]
    code, document = check(cli)
    assert code == 1
    assert [finding["file"] for finding in document["storage"]["findings"]] == ["stdout.0"]


def test_an_object_that_still_waits_for_the_storage_is_no_difference(
    cli: Callable[..., Any], ended: Any, storage: MemoryBackend, own_home: Path
) -> None:
    class Away(MemoryBackend):
        def put(self, *args: Any, **options: Any) -> Any:
            raise StorageUnavailableError(SILENCE)

    del storage.objects[f"logs/sma/{ended.execution_id}/stdout.0"]
    waiting = StorageService(lambda area: Away(), outbox=outbox_folder(own_home, "local-fs"))
    waiting.store_logs(ended.execution_id, "sma", "stdout.0", ended.directory / "logs" / "stdout.0")
    waiting.close()
    code, document = check(cli)
    assert (code, document["storage"]["waiting"], document["storage"]["findings"]) == (0, 1, [])
    assert "1 object not there yet: something still waits for the storage" in cli("logs", "sma", "--verify").out


def test_a_storage_that_does_not_answer_is_said_and_is_no_difference(
    cli: Callable[..., Any], ended: Any, over: Callable[[Any], None]
) -> None:
    class Silent(MemoryBackend):
        asked = 0

        def get(self, *args: Any, **options: Any) -> ObjectReader:
            self.asked += 1
            raise StorageUnavailableError(SILENCE)

    backend = Silent()
    over(backend)
    code, document = check(cli)
    assert (code, document["ok"], document["storage"]["problem"]) == (0, True, SILENCE)
    assert (document["storage"]["objects"], backend.asked) == (0, 1)
    assert f"not compared: {SILENCE}" in cli("logs", "sma", "--verify").out


def test_a_storage_that_falls_silent_counts_for_what_it_gave(
    cli: Callable[..., Any], ended: Any, storage: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Torn:
        def read(self, size: int = -1) -> bytes:
            raise StorageUnavailableError(SILENCE)

        def close(self) -> None:
            """Nothing is open."""

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is open."""

    real = MemoryBackend.get

    def get(self: MemoryBackend, key: str, **options: Any) -> Any:
        return Torn() if key.endswith("/stdout.1") else real(self, key, **options)

    key = f"logs/sma/{ended.execution_id}/stdout.0"
    storage.objects[key] = b"!" + storage.objects[key][1:]
    monkeypatch.setattr(MemoryBackend, "get", get)
    code, document = check(cli)
    assert code == 1
    assert [finding["file"] for finding in document["storage"]["findings"]] == ["stdout.0"]
    assert document["storage"]["unread"] > 0
    assert document["storage"]["objects"] > 0


def test_a_terminal_sees_how_far_the_check_of_a_large_log_is(
    cli: Callable[..., Any], ended: Any, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, Progress] = {}
    monkeypatch.setattr(ProgressBars, "_show", lambda _self, progress: shown.update({progress.what: progress}))
    monkeypatch.setattr("botdock_cli.log_checking.WORTH_SHOWING", 1)
    assert cli("logs", "sma", "--verify").code == 0
    assert shown == {}, "there is no terminal to show it on"
    monkeypatch.setattr("botdock_cli.progress.is_terminal", lambda stream: True)
    monkeypatch.setattr("botdock_cli.log_checking.WORTH_SHOWING", 64 * 1024 * 1024)
    assert cli("logs", "sma", "--verify").code == 0
    assert shown == {}, "a small one is checked before that could be read"
    monkeypatch.setattr("botdock_cli.log_checking.WORTH_SHOWING", 1)
    assert check(cli)[1]["ok"]
    assert list(shown) == [f"log of {ended.execution_id}", "its copy in storage local-fs"]
    for progress in shown.values():
        assert progress.current == progress.total > 0


def test_a_bar_that_is_drawn_leaves_stdout_alone(
    cli: Callable[..., Any], ended: Any, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = cli("logs", "sma", "--verify").out
    monkeypatch.setattr("botdock_cli.progress.is_terminal", lambda stream: True)
    monkeypatch.setattr("botdock_cli.log_checking.WORTH_SHOWING", 1)
    done = cli("logs", "sma", "--verify")
    assert (done.code, done.out) == (0, plain)


def test_what_is_shown_was_counted_and_not_read_from_the_end(cli: Callable[..., Any], ended: Any, storage: Any) -> None:
    _, right = check(cli)
    (ended.directory / "logs" / "end.json").write_text("{}")
    code, document = check(cli)
    assert (code, document.pop("ok"), document.pop("complete"), right.pop("complete")) == (1, False, False, True)
    assert [finding["file"] for finding in document.pop("findings")] == ["end.json"]
    document.pop("storage")
    assert document == {name: right[name] for name in document}
