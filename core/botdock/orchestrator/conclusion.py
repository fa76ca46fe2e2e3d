"""From the end of a container to a stored result: the phases after the bot's own time."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import attrs

from botdock._log import logger
from botdock.entrypoints import ResultReading, read_result
from botdock.errors import BotdockError
from botdock.model import ContainerStatus, ExecutionResult, LogSummary, Outcome, Phase, Status, Stream
from botdock.orchestrator.preparation import Preparation, Services, Setting
from botdock.orchestrator.run import Run
from botdock.orchestrator.verdict import Verdict, judge
from botdock.services.log_files import stream_file


class Conclusion:
    """Takes a run through the phases from `wait` to `clean_up`; nothing that breaks there hides how the bot ended.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
        preparation: Knows what it made, and so how to remove it.
    """

    def __init__(self, services: Services, setting: Setting, preparation: Preparation) -> None:
        self._services = services
        self._setting = setting
        self._preparation = preparation

    def waiting(self, run: Run) -> AbstractContextManager[None]:
        """Time the bot's own time."""
        return run.clock.phase(Phase.WAIT)

    def conclude(
        self, run: Run, status: ContainerStatus | None, *, ended_by: Outcome | None, failure: str, duration: float
    ) -> ExecutionResult:
        """Drain the log, read the result, judge, store, clean up."""
        summary, output = self._drain(run)
        reading = self._collect(run)
        verdict = judge(
            status=status,
            reading=reading,
            entrypoint=run.executable.entrypoint,
            ended_by=ended_by,
            failure=failure,
        )
        result = run.result(
            status=verdict.outcome.status,
            outcome=verdict.outcome,
            exit_code=status.exit_code if status else None,
            value=reading.value,
            message=_message(verdict),
            error=verdict.error,
            output=output,
            duration=_duration(status, duration),
            evidence=verdict.evidence,
            log=summary,
            result_file_contents=json.dumps(reading.value).encode() if reading.present else b"",
        )
        return self._finish(run, self._store(run, result))

    def failed(self, run: Run, error: str) -> ExecutionResult:
        """Return the result of an execution that botdock itself broke, cleaned up."""
        result = run.result(status=Status.ERROR, outcome=Outcome.INFRASTRUCTURE_ERROR, message=error, error=error)
        return self._finish(run, result)

    def _drain(self, run: Run) -> tuple[LogSummary, str]:
        """Wait for the last byte of the log, and close it."""
        logs = self._services.logs
        with run.clock.phase(Phase.STREAM):
            logs.wait_drained(run.execution_id, self._setting.config.logging.drain_timeout)
            summary = logs.stop_collection(run.execution_id)
            output = logs.collect_logs(run.execution_id)
            run.collecting = False
            logs.forget(run.execution_id)
        return summary, output

    def _collect(self, run: Run) -> ResultReading:
        assert run.runtime is not None and run.allowance is not None, "settled before it started"  # noqa: S101, PT018 - for the type checker
        limit = run.allowance.limits.result or 0
        with run.clock.phase(Phase.COLLECT):
            try:
                content = self._services.containers.fetch_result(run.container_id, limit=limit)
            except BotdockError as error:
                return ResultReading(problem=f"the result could not be fetched: {error.message}")
            return read_result(content, limit, run.runtime, run.executable.entrypoint)

    def _store(self, run: Run, result: ExecutionResult) -> ExecutionResult:
        """Hand value and log to the storage, if asked to; a storage that fails changes nothing of the outcome."""
        with run.clock.phase(Phase.STORE):
            if not (run.executable.persist_results and self._setting.config.features.persistence):
                return result
            problems = [problem for step in self._stores(run, result) if (problem := _attempt(step))]
        return attrs.evolve(result, evidence={**result.evidence, "not_stored": problems}) if problems else result

    def _stores(self, run: Run, result: ExecutionResult) -> list[Callable[[], Any]]:
        storage = self._services.storage
        value = json.dumps(result.value).encode()
        steps: list[Callable[[], Any]] = [lambda: storage.store_results(run.execution_id, result.id, value)]
        if run.executable.entrypoint == "backtest" and result.succeeded:
            steps.append(lambda: storage.store_analysis(run.execution_id, result.id, value))
        steps.extend(partial(self._store_log, run, stream) for stream in Stream)
        return steps

    def _store_log(self, run: Run, stream: Stream) -> None:
        path = stream_file(run.journal.logs, stream)
        self._services.storage.store_logs(run.execution_id, run.executable.id, path.name, path)

    def _finish(self, run: Run, result: ExecutionResult) -> ExecutionResult:
        """Clean up, and write what is left: the record."""
        with run.clock.phase(Phase.CLEAN_UP):
            problems = self._preparation.undo(run)
        evidence = {**result.evidence, "left_behind": problems} if problems else result.evidence
        result = attrs.evolve(result, evidence=evidence, phases=dict(run.clock.seconds))
        try:
            run.journal.finish(result)
        except OSError as error:
            logger.bind(execution_id=run.execution_id, error=str(error)).warning("the outcome could not be written")
            run.journal.close()
        return result


def _attempt(step: Callable[[], Any]) -> str:
    try:
        step()
    except (BotdockError, OSError) as error:
        logger.bind(error=str(error)).warning("not stored")
        return str(error)
    return ""


def _message(verdict: Verdict) -> str:
    return "the bot ended by itself, successfully" if verdict.outcome is Outcome.SUCCEEDED else verdict.error


def _duration(status: ContainerStatus | None, measured: float) -> float:
    """Return the container's own time where the engine knows it, else what we measured."""
    if status and status.started_at and status.finished_at:
        return max((status.finished_at - status.started_at).total_seconds(), 0.0)
    return measured
