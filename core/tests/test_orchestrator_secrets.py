"""A canary that a bot, an engine or a storage says is in no result, record, error, hook or log record."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from loguru import logger

from botdock.config import Config
from botdock.errors import BotdockError, ContainerError, StorageError
from botdock.model import Executable, Outcome
from botdock_storage_minio.settings import MinIOSettings
from botdock_testing.fake_engine import FakeEngine
from botdock_testing.script import Script, envelope

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]

KEY = "canary'of\nthe \\hideout"
CREDENTIAL = "canary-of-the-storage"
STARS = "*" * len(KEY)


@pytest.fixture
def records() -> Iterator[list[str]]:
    """What botdock logs, with what is bound to it."""
    seen: list[str] = []
    sink = logger.add(lambda message: seen.append(f"{message}{message.record['extra']}"), level=0)
    logger.enable("botdock")
    yield seen
    logger.disable("botdock")
    logger.remove(sink)


def assert_untold(*told: Any) -> None:
    """Assert that neither canary is in what was told, in any form in which botdock itself would write it."""
    everything = "\n".join(map(str, told))
    assert not [piece for piece in ("canary", "hideout") if piece in everything], everything


def files(folder: Path) -> list[str]:
    return [path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file()]


def said(content: bytes = b"", **changes: Any) -> Script:
    return Script(exit_code=1, result=envelope(content, exit_code=1, **changes))


IN_PIECES = (Script.out(KEY[:7].encode()), Script.err(KEY.encode()), Script.out(KEY[7:].encode()))
SAID_AT_THE_END = attrs.evolve(
    said(json.dumps(KEY).encode(), error={"type": "E", "message": KEY}), output=(Script.out(b"tick\n"),), forever=True
)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (said(error={"type": "RuntimeError", "message": f"no {KEY}!"}), f"RuntimeError: no {STARS}!"),
        (said(error={"type": "KeyError", "message": repr(KEY)}), "KeyError: "),
        (said(error={"type": f"E{KEY}", "message": ""}), f"E{STARS}"),
        (said(error={"type": "E", "message": (1995 * "x" + KEY)[:2000]}), "E: " + 1995 * "x" + "*****"),
        (said(json.dumps({"status": "error", "message": f"no {KEY}!"}).encode()), f"no {STARS}!"),
        (said(problem=f"not JSON: at {KEY}"), "exit code 1"),
        (Script(exit_code=None, error=f"cannot exec {KEY}"), f"cannot exec {STARS}"),
        (Script(exit_code=1, output=IN_PIECES), "exit code 1"),
    ],
)
def test_what_a_bot_says_of_its_secret_is_masked_wherever_it_is_told(
    make_stage: MakeStage, make_bot: MakeBot, records: list[str], script: Script, error: str
) -> None:
    stage = make_stage(FakeEngine(script))
    result = stage.orchestrator.execute_bot(make_bot(secrets={"KEY": KEY}, persist_results=True))
    assert error in result.error
    stored = [repr(data) for data in stage.storage.objects.values()]
    told = [result, json.dumps(result.to_json()), stage.notices, *stage.metrics.results, *records, *stored]
    assert_untold(*told, *files(stage.home))


def test_a_secret_in_a_value_is_masked_in_texts_and_the_result_says_so(
    make_stage: MakeStage, make_bot: MakeBot
) -> None:
    value = {"urls": [f"https://{KEY}@x", 4.5, None, True], KEY: {"deep": KEY + KEY}, "clean": "as it is" * 400}
    stage = make_stage(FakeEngine(said(json.dumps(value).encode())))
    result = stage.orchestrator.execute_bot(make_bot(secrets={"KEY": KEY}))
    masked = {"urls": [f"https://{STARS}@x", 4.5, None, True], STARS: {"deep": STARS + STARS}, "clean": value["clean"]}
    assert result.value == json.loads(result.result_file_contents) == masked
    assert result.evidence["value_masked"] is True
    assert stage.orchestrator.execute_bot(make_bot()).value == value, "without a secret it is exact"


def test_what_fails_on_the_way_tells_no_secret(make_stage: MakeStage, make_bot: MakeBot, records: list[str]) -> None:
    stage = make_stage(
        config=Config(options={"minio": MinIOSettings(endpoint="h:1", access_key="me", secret_key=CREDENTIAL)})
    )
    cause = OSError(f"https://{CREDENTIAL}@h:1")
    for operation in ("create", "start"):
        error = ContainerError(f"no {KEY} {CREDENTIAL}", engine="fake", operation=operation, hint=f"Mend {KEY}.")
        error.__cause__ = cause
        stage.engine.fail(operation, error)
        with pytest.raises(BotdockError) as caught:
            stage.orchestrator.execute_bot(make_bot(secrets={"KEY": KEY}))
        assert_untold(caught.value, repr(caught.value), vars(caught.value), *traceback.format_exception(caught.value))
    stage.storage.error = StorageError(f"away: https://{CREDENTIAL}@h:1")
    stage.engine.fail("remove", ContainerError(f"no {KEY}", engine="fake", operation="remove"))
    result = stage.orchestrator.execute_bot(make_bot(secrets={"KEY": KEY}, persist_results=True))
    assert {"not_stored", "left_behind"} <= result.evidence.keys()
    assert len(records) >= 2, "warnings were logged"
    assert_untold(result, json.dumps(result.to_json()), *records, *files(stage.home))


def test_a_successor_masks_what_ended_meanwhile(make_stage: MakeStage, begun: Any) -> None:
    stage, before, folder = begun(SAID_AT_THE_END, secrets={"KEY": KEY})
    stage.engine.finish(before.container_id, exit_code=1)
    (execution,) = stage.successor().orchestrator.recover()
    result = execution.wait(20)
    assert (result.error, result.value) == (f"E: {STARS}", STARS)
    assert_untold(result, *files(folder))


def test_what_was_returned_is_dropped_where_its_secrets_are_not_known_any_more(
    make_stage: MakeStage, begun: Any
) -> None:
    stage, before, folder = begun(SAID_AT_THE_END, secrets={"KEY": KEY})
    stage.engine.finish(before.container_id, exit_code=1)
    (folder / "workspace/context/context.json").write_text("{}")
    (execution,) = stage.successor().orchestrator.recover()
    result = execution.wait(20)
    assert (result.outcome, result.value) == (Outcome.INFRASTRUCTURE_ERROR, None)
    assert "secrets could not be masked" in result.error
    assert_untold(result, *files(folder))
