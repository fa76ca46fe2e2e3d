"""From the end of a container to a stored result: the phases after the bot's own time."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from datetime import datetime
from functools import partial

import attrs

from botdock._log import logger
from botdock.entrypoints import ResultReading, most_bytes, read_result
from botdock.errors import BotdockError, LogError, UserError
from botdock.model import ContainerStatus, ExecutionResult, LogSummary, Outcome, Phase
from botdock.orchestrator.preparation import Preparation, Services, Setting
from botdock.orchestrator.run import Run
from botdock.orchestrator.runs_on_disk import result_document
from botdock.orchestrator.verdict import Verdict, judge
from botdock.services.log_store import StoredLog
from botdock.services.log_store.masking import Mask

LEFT_BEHIND, REMOVED_LATER = "left_behind", "removed_later"
"""The evidence: what could not be removed yet, and what could not be at first."""
_OUTCOME = "outcome"


class LeftError(Exception):
    """The runner is closed over the rest of a log: what is left to do is its successor's."""


class Conclusion:
    """Takes a run through the phases from `wait` to `clean_up`; nothing that breaks there hides how the bot ended.

    How it ended is on disk before anything of it goes: a successor has from then on only to store what is left, to
    clean up, and to write the outcome. The outcome means finished: it is not written as long as the container may live
    or the workspace is there. What is owed stands in `run.owed`, and in the evidence of `concluded.json`.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
        preparation: Knows what it made, and so how to remove it.
    """

    def __init__(self, services: Services, setting: Setting, preparation: Preparation) -> None:
        self._services = services
        self._setting = setting
        self._preparation = preparation
        self._left: set[str] = set()

    def leave(self, execution_id: str) -> None:
        """Read the log of one that has ended no further; whoever goes on reads the rest from the engine."""
        self._left.add(execution_id)
        with suppress(LogError):  # it is read already
            self._services.logs.release(execution_id)

    def waiting(self, run: Run) -> AbstractContextManager[None]:
        """Time the bot's own time."""
        return run.clock.phase(Phase.WAIT)

    def conclude(
        self, run: Run, status: ContainerStatus | None, *, ended_by: Outcome | None, failure: str, duration: float
    ) -> ExecutionResult:
        """Drain the log, read the result, judge, store, clean up."""
        summary, output = self._drain(run, exit_known=status is not None and status.exit_code is not None)
        reading = self._collect(run)
        verdict = judge(
            status=status,
            reading=reading,
            entrypoint=run.executable.entrypoint,
            ended_by=ended_by or (Outcome.OUTPUT_LIMIT if _wrote_too_much(run, summary) else None),
            failure=failure,
        )
        result = run.result(
            status=verdict.outcome.status,
            outcome=verdict.outcome,
            exit_code=status.exit_code if status else None,
            message=_message(verdict),
            error=verdict.error,
            output=output,
            duration=_duration(status, duration),
            **_times(status),
            evidence=verdict.evidence,
            log=summary,
            result_file_contents=reading.content,
        )
        return self.finish(run, result)

    def failed(self, run: Run, error: str) -> ExecutionResult:
        """Return the result of an execution that botdock itself broke, cleaned up."""
        if (known := run.concluded) is not None:  # what broke came after its end, and changes nothing of how it ended
            return self._clean_up(run, run.amend(known, botdock_failed=error))
        return self.aborted(run, error)

    def aborted(
        self, run: Run, error: str, *, outcome: Outcome = Outcome.INFRASTRUCTURE_ERROR, **evidence: object
    ) -> ExecutionResult:
        """Return the result of an execution that came to nothing, cleaned up."""
        log = LogSummary()
        with suppress(BotdockError, OSError):  # what is broken there must not keep the container from being removed
            log = self._end_log(run)
        result = run.result(
            status=outcome.status,
            outcome=outcome,
            message=error,
            error=error,
            evidence=evidence,
            log=log,
        )
        self._write_down(run, result)
        return self._clean_up(run, result)

    def withdrawn(self, run: Run, error: BaseException) -> ExecutionResult | None:
        """Undo a start that failed; return its result, or None when nothing of it is worth a record."""
        ours = isinstance(error, BotdockError) and not isinstance(error, UserError)
        if not (ours and run.journal.made):
            with run.clock.phase(Phase.CLEAN_UP):
                problems = self._preparation.undo(run)
            if not problems:
                run.journal.discard()
                return None
        said = error.message if isinstance(error, BotdockError) else f"it was given up: {type(error).__name__}"
        result = self.aborted(run, said, phase=getattr(error, "phase", None))
        if run.owed and all(problem.startswith(f"{_OUTCOME}: ") for problem in run.owed):
            run.owed = []  # the disk that failed the execution may well fail its record too
            run.journal.discard()
        return result

    def settle(self, run: Run) -> bool:
        """Try once more to finish a run that is over; return whether nothing is owed any more."""
        self._finish(run, self._preparation.undo(run))
        return not run.owed

    def finish(self, run: Run, result: ExecutionResult) -> ExecutionResult:
        """Write down how it ended, store, clean up."""
        self._write_down(run, result)
        return self.resume(run, result)

    def resume(self, run: Run, result: ExecutionResult) -> ExecutionResult:
        """Do what is left to do of an execution whose end is written down."""
        run.concluded = result
        return self._clean_up(run, self._store(run, result))

    def _write_down(self, run: Run, result: ExecutionResult) -> None:
        run.concluded = result
        try:
            document = result_document(attrs.evolve(result, phases=dict(run.clock.seconds)))
            run.journal.conclude(document, result.result_file_contents)
        except OSError as error:  # a full disk; we live, and what is cleaned up may make room for the outcome
            logger.bind(execution_id=run.execution_id, error=str(error)).warning("the end could not be written down")

    def _drain(self, run: Run, *, exit_known: bool) -> tuple[LogSummary, str]:
        """Wait for the last byte of the log, and close it.

        Raises:
            LeftError: It was left before.
        """
        with run.clock.phase(Phase.STREAM):
            try:
                if run.collecting:
                    self._services.logs.wait_drained(run.execution_id, self._setting.config.logging.drain_timeout)
                    self._check_not_left(run)
                return self._end_log(run, exit_known=exit_known), self._output(run)
            except LogError:
                self._check_not_left(run)
                raise

    def _check_not_left(self, run: Run) -> None:
        if run.execution_id in self._left:
            raise LeftError

    def _end_log(self, run: Run, *, exit_known: bool = False) -> LogSummary:
        """Close the log; of one that somebody closed before he died, return what he wrote down."""
        if not run.collecting:
            return StoredLog(run.journal.logs).summary() or LogSummary()
        summary = self._services.logs.stop_collection(run.execution_id, exit_known=exit_known)
        run.collecting = False
        self._services.logs.forget(run.execution_id)
        return summary

    def _output(self, run: Run) -> str:
        with suppress(LogError):  # it cannot be read: `logs --verify` says why
            return StoredLog(run.journal.logs).tail(self._setting.config.logging.output_tail).decode("utf-8", "replace")
        return ""

    def _collect(self, run: Run) -> ResultReading:
        assert run.runtime is not None and run.allowance is not None, "settled before it started"  # noqa: S101, PT018 - for the type checker
        if run.unmasked:
            return ResultReading(lost=run.unmasked)
        limit = run.allowance.limits.result or 0
        with run.clock.phase(Phase.COLLECT):
            try:
                most = most_bytes(run.runtime, limit)
                content = self._services.containers.fetch_result(run.handle, limit=most)
            except BotdockError as error:
                return ResultReading(lost=f"the result could not be fetched: {error.message}")
            mask = partial(run.mask, keys=True)
            return _masked(read_result(content, limit, run.runtime, run.executable.entrypoint, mask), run.mask)

    def _store(self, run: Run, result: ExecutionResult) -> ExecutionResult:
        """Hand value and log to the storage, if asked to; a storage that fails changes nothing of the outcome."""
        with run.clock.phase(Phase.STORE):
            problems = run.storing.conclude(result) if run.storing else []
        return run.amend(result, not_stored=problems) if problems else result

    def _clean_up(self, run: Run, result: ExecutionResult) -> ExecutionResult:
        """Clean up, and write what is left: the record."""
        with run.clock.phase(Phase.CLEAN_UP):
            problems = self._preparation.undo(run)
        run.concluded = attrs.evolve(result, phases=dict(run.clock.seconds))
        return self._finish(run, problems)

    def _finish(self, run: Run, problems: list[str]) -> ExecutionResult:
        """Write the outcome once nothing is left; until then, what `concluded.json` names as left behind is owed."""
        known = run.concluded
        assert known is not None, "it is over"  # noqa: S101 - for the type checker
        before, problems = known.evidence.get(LEFT_BEHIND), run.mask(problems)
        result = _owing(known, problems)
        if not problems:
            try:
                run.journal.finish(result)
            except OSError as error:
                logger.bind(execution_id=run.execution_id, error=str(error)).warning("the outcome could not be written")
                problems = run.mask([f"{_OUTCOME}: {error}"])
                result = _owing(known, problems)
        run.owed, run.concluded = problems, result
        if problems and problems != before:
            self._write_down(run, result)
        return result


def _masked(reading: ResultReading, mask: Mask) -> ResultReading:
    """Return what a result file says beside its value, secrets masked: it will be stored, printed and sent."""
    return attrs.evolve(
        reading,
        lost=mask.message(reading.lost),
        problem=mask.message(reading.problem),
        error=mask.message(reading.error),
        error_type=mask.message(reading.error_type),
    )


def _owing(result: ExecutionResult, problems: list[str]) -> ExecutionResult:
    """Return a result whose evidence says what is left behind, or that it no longer is."""
    evidence = dict(result.evidence)
    before = evidence.pop(LEFT_BEHIND, None)
    if problems:
        evidence[LEFT_BEHIND] = problems
    elif before:
        evidence[REMOVED_LATER] = before
    return attrs.evolve(result, evidence=evidence)


def _message(verdict: Verdict) -> str:
    return "the bot ended by itself, successfully" if verdict.outcome is Outcome.SUCCEEDED else verdict.error


def _times(status: ContainerStatus | None) -> dict[str, datetime]:
    """Return when the engine says that it started and ended, as far as it does."""
    known = {"started_at": status.started_at, "finished_at": status.finished_at} if status else {}
    return {name: moment for name, moment in known.items() if moment is not None}


def _duration(status: ContainerStatus | None, measured: float) -> float:
    """Return the container's own time where the engine knows it, else what we measured."""
    if status and status.started_at and status.finished_at:
        return max((status.finished_at - status.started_at).total_seconds(), 0.0)
    return measured


def _wrote_too_much(run: Run, summary: LogSummary) -> bool:
    """Tell whether a run went over its limit, be it that it ended before it could be killed for that."""
    if run.allowance is None or run.allowance.limits.output is None or run.executable.is_long_running:
        return False
    return run.over_limit or summary.bytes + summary.gap_bytes > run.allowance.limits.output
