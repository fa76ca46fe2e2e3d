"""What the orchestrator asks of the code service, and what it says of the code that ran."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from botdock.config import Config, Policy
from botdock.errors import CodeError, PolicyError
from botdock.model import ContainerHandle, Executable, Outcome
from botdock.services.code import CodeSource, Workspace
from botdock_testing.fake_engine import FakeEngine, Script
from botdock_testing.fake_services import FakeCode

MakeStage = Callable[..., Any]
MakeBot = Callable[..., Executable]
SCRIPT = b"echo hi\n"


def test_code_may_be_bytes_that_no_record_holds(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage()
    result = stage.orchestrator.execute_bot(make_bot(file_path="", code=SCRIPT))
    assert result.outcome is Outcome.SUCCEEDED
    (record,) = stage.records()
    request = json.loads((record / "request.json").read_text())
    assert request["code"] == hashlib.sha256(SCRIPT).hexdigest()


def test_a_digest_is_asked_for(make_stage: MakeStage, make_bot: MakeBot) -> None:
    stage = make_stage()
    digest = hashlib.sha256(SCRIPT).hexdigest()
    assert stage.orchestrator.execute_bot(make_bot(code=SCRIPT, code_digest=digest)).succeeded
    with pytest.raises(CodeError, match="another digest"):
        stage.orchestrator.execute_bot(make_bot(code=SCRIPT, code_digest="0" * 64))
    assert stage.leftovers == []


@pytest.mark.parametrize("private", [True, False])
def test_only_an_engine_that_shows_the_code_read_only_may_share_it(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, private: bool
) -> None:
    engine = FakeEngine()
    capabilities = attrs.evolve(engine.capabilities(), private_filesystem=private)
    monkeypatch.setattr(engine, "capabilities", lambda: capabilities)
    extract, asked = FakeCode.extract_code, []

    def watch(self: FakeCode, source: CodeSource, workspace: Workspace, **how: Any) -> Workspace:
        asked.append(how["shared"])
        return extract(self, source, workspace, **how)

    monkeypatch.setattr(FakeCode, "extract_code", watch)
    make_stage(engine).orchestrator.execute_bot(make_bot())
    assert asked == [private]


def test_a_manifest_names_no_runtime_beyond_the_policy(make_stage: MakeStage, make_bot: MakeBot) -> None:
    tree = {"bot.toml": b'runtime = "sh"\n', "main.sh": SCRIPT}
    stage = make_stage(config=Config(policy=Policy(runtimes=("python311",))), greedy=tree)
    with pytest.raises(PolicyError, match="runtime 'shell' is not allowed here; allowed: python311"):
        stage.orchestrator.execute_bot(make_bot(runtime=None, file_path="greedy"))
    assert stage.leftovers == []


def test_a_cached_copy_is_in_the_evidence_however_it_ends(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = FakeCode.download_code

    def from_the_cache(self: FakeCode, *arguments: Any, **how: Any) -> CodeSource:
        source = download(self, *arguments, **how)
        return attrs.evolve(source, sha256="ab", cached=True, note="cached copy, the storage did not answer")

    monkeypatch.setattr(FakeCode, "download_code", from_the_cache)
    stage = make_stage()
    result = stage.orchestrator.execute_bot(make_bot())
    assert result.evidence["code"] == "cached copy, the storage did not answer"
    assert result.metadata["code_digest"] == "sha256:ab"
    (record,) = stage.records()
    events = [json.loads(line) for line in (record / "events.jsonl").read_text().splitlines()]
    (fetched,) = [event for event in events if event["event"] == "fetched"]
    assert (fetched["sha256"], fetched["cached"]) == ("ab", True)


def test_what_was_left_out_of_the_code_is_in_the_evidence(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = FakeCode.extract_code
    noted = lambda *arguments, **how: attrs.evolve(extract(*arguments, **how), note="left out: a.sock")  # noqa: E731 - short
    monkeypatch.setattr(FakeCode, "extract_code", noted)
    assert make_stage().orchestrator.execute_bot(make_bot()).evidence["code"] == "left out: a.sock"


def test_a_tree_elsewhere_is_what_the_container_shows(
    make_stage: MakeStage, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/main.sh").write_bytes(SCRIPT)
    engine, sources = FakeEngine(), []
    create = engine.create

    def watch(template: Any, run: Any, *, timeout: float) -> ContainerHandle:
        sources.append(run.code)
        return create(template, run, timeout=timeout)

    monkeypatch.setattr(engine, "create", watch)
    monkeypatch.setattr(
        FakeCode, "extract_code", lambda _, __, workspace, **___: attrs.evolve(workspace, code=tmp_path / "shared")
    )
    stage = make_stage(engine)
    assert stage.orchestrator.execute_bot(make_bot()).succeeded
    assert sources == [str(tmp_path / "shared")]
    assert (tmp_path / "shared/main.sh").exists()
    assert stage.leftovers == []


def test_the_record_says_which_engine_it_ran_on(make_stage: MakeStage, make_bot: MakeBot) -> None:
    version = "runc 1.1.5 (cgroup v1) on Debian GNU/Linux 12 (bookworm), this machine's own"
    engine = FakeEngine(capabilities=attrs.evolve(FakeEngine().capabilities(), version=version))
    assert make_stage(engine).orchestrator.execute_bot(make_bot()).evidence["engine"] == version


def test_a_log_that_cannot_be_resumed_is_not_asked_for_again_and_the_result_says_so(
    make_stage: MakeStage, make_bot: MakeBot
) -> None:
    capabilities = attrs.evolve(FakeEngine().capabilities(), resumable_logs=False, separate_streams=False)
    engine = FakeEngine(Script(output=(Script.out(b"one\n"), Script.out(b"two\n"))), capabilities=capabilities)
    engine.break_stream(4)
    result = make_stage(engine).orchestrator.execute_bot(make_bot())
    assert "read_logs" not in engine.operations
    assert not result.log.complete
    lacks = ["stdout and stderr come as one stream", "a log that breaks off is not read on"]
    assert result.evidence["log_faults"] == lacks
