"""From the end of a container to a stored result: the phases after the bot's own time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import attrs

from botdock._boot_clock import seconds_since
from botdock._log import logger
from botdock.entrypoints import ResultReading, most_bytes, read_result
from botdock.errors import BotdockError, LogError, UserError
from botdock.model import ContainerState, ContainerStatus, ExecutionResult, LogSummary, Outcome, Phase
from botdock.model.container import LABEL_EXECUTION, LABEL_OWNER
from botdock.orchestrator.attempts import Ending
from botdock.orchestrator.preparation import Setting
from botdock.orchestrator.run import Created, Run
from botdock.orchestrator.verdict import judge
from botdock.services.code import Workspace
from botdock.services.interfaces import Services
from botdock.services.log_store import StoredLog

LEFT_BEHIND, REMOVED_LATER = "left_behind", "removed_later"
"""The evidence: what could not be removed yet, and what could not be at first."""
_OUTCOME = "outcome"


class LeftError(Exception):
    """The runner is closed over the rest of a log: what is left to do is its successor's."""


class Conclusion:
    """Takes a run through the phases from `stream` to `clean_up`; what breaks there never hides how the bot ended.

    How it ended is on disk before anything of it goes: a successor has from then on only to store what is left, to
    clean up, and to write the outcome. The outcome means finished: it is not written as long as the container may live
    or the workspace is there. But one that had waited in a pool of this runner, and has ended, is the pool's to remove
    soon after, with its folder; that of a run with secrets goes before. What is owed stands in `run.owed`, and in the
    evidence of `concluded.json`.

    Args:
        services: What does the work.
        setting: What is the same for every execution.
    """

    def __init__(self, services: Services, setting: Setting) -> None:
        self._services = services
        self._setting = setting

    def conclude(
        self,
        run: Run,
        created: Created,
        status: ContainerStatus | None,
        *,
        ending: Ending,
        duration: float,
    ) -> ExecutionResult:
        """Drain the log, read the result, judge, store, clean up."""
        exit_code = status.exit_code if status else None
        run.ended = status is not None and status.state is ContainerState.EXITED
        summary = self._drain(run, exit_known=exit_code is not None)
        reading = self._read_result(run, created)
        most = run.bounds.limits.output
        if most is not None and not run.bounds.keeps_newest and summary.bytes + summary.gap_bytes > most:
            # also where it ended before it could be killed for that
            ending = ending if ending.why else attrs.evolve(ending, why=Outcome.OUTPUT_LIMIT)
        verdict = judge(status=status, reading=reading, entrypoint=run.executable.entrypoint, ending=ending)
        times = {}
        image = {"image_digest": status.image_digest} if status and status.image_digest else {}
        if status and status.started_at and not run.member:  # else it waited first
            times["started_at"] = status.started_at
        if status and status.finished_at:
            times["finished_at"] = status.finished_at
        if len(times) == 2:  # noqa: PLR2004 - the engine knows the container's own time, by a clock that may be set
            own, passed = (times["finished_at"] - times["started_at"]).total_seconds(), seconds_since(run.started)
            duration = own if own >= 0 and (passed is None or own <= passed) else duration
        output = run.short_output
        if output is None:
            with suppress(LogError):  # it cannot be read: `logs --verify` says why
                output = StoredLog(run.journal.logs).tail(self._setting.config.logging.output_tail)
        succeeded = verdict.outcome is Outcome.SUCCEEDED
        result = run.result(
            outcome=verdict.outcome,
            exit_code=exit_code,
            message="the bot ended by itself, successfully" if succeeded else verdict.error,
            error=verdict.error,
            output=output or "",
            duration=duration,
            **times,
            **image,
            evidence=verdict.evidence,
            log=summary,
            result_file_contents=b""
            if reading.problem and run.executable.entrypoint == "backtest"
            else reading.content,
        )
        self._write_down(run, result)
        return self.resume(run, result)

    def failed(self, run: Run, error: str) -> ExecutionResult:
        """Return the result of an execution that botdock itself broke, cleaned up."""
        if (known := run.concluded) is not None:  # what broke came after its end, and changes nothing of how it ended
            return self._clean_up(run, _with_evidence(run, known, botdock_failed=error))
        return self.aborted(run, error)

    def aborted(
        self, run: Run, error: str, *, outcome: Outcome = Outcome.INFRASTRUCTURE_ERROR, **evidence: object
    ) -> ExecutionResult:
        """Return the result of an execution that came to nothing, cleaned up."""
        log = LogSummary()
        with suppress(BotdockError, OSError):  # what is broken there must not keep the container from being removed
            log = self._end_log(run, exit_known=False)
        result = run.result(outcome=outcome, message=error, error=error, evidence=evidence, log=log)
        self._write_down(run, result)
        return self._clean_up(run, result)

    def withdrawn(self, run: Run, error: BaseException) -> ExecutionResult | None:
        """Undo a start that failed; return its result, or None when nothing of it is worth a record."""
        ours = isinstance(error, BotdockError) and not isinstance(error, UserError)
        if not (ours and run.journal.made):
            with run.phase(Phase.CLEAN_UP):
                problems = self.undo(run)
            if not problems:
                run.journal.discard()
                return None
        said = error.message if isinstance(error, BotdockError) else f"it was given up: {type(error).__name__}"
        result = self.aborted(run, said, phase=getattr(error, "phase", None))
        if run.owed and all(problem.startswith(f"{_OUTCOME}: ") for problem in run.owed):
            run.owed = []  # the disk that failed the execution may well fail its record too
            run.journal.discard()
        return result

    def undo(self, run: Run) -> list[str]:
        """Remove container, log collection and workspace, each also where another one stays; or let the pool do so.

        Returns:
            What could not be removed, in words.
        """
        services, problems = self._services, []
        removals: list[tuple[str, Callable[[], object]]] = []
        dispose = run.dispose if run.ended else None
        if dispose is not None:
            removals.append(("container", dispose))
        elif (container := run.container) is not None:
            removals.append(("container", lambda: services.containers.remove_container(container)))
        elif run.creating:  # the engine may have created one although it answered with an error, or not at all
            ours = {LABEL_OWNER: self._setting.owner, LABEL_EXECUTION: run.execution_id}
            removals.append(("container", lambda: services.containers.remove_containers(ours)))
        if run.collecting:
            run.collecting = False
            removals.append(
                ("log collection", lambda: services.logs.stop_collection(run.execution_id, exit_known=False))
            )
            removals.append(("log collection", lambda: services.logs.forget(run.execution_id)))
        if dispose is None and (member := run.member) is not None:
            removals.append(("workspace", lambda: services.code.cleanup_workspace(Workspace.at(member))))
        removals.append(("workspace", lambda: services.code.cleanup_workspace(run.workspace)))
        for what, remove in removals:
            try:
                remove()
            except (BotdockError, OSError) as error:
                problems.append(f"{what}: {error}")
                logger.bind(what=what, error=str(error)).warning("clean-up left something behind")
        return problems

    def retry(self, run: Run) -> None:
        """Try once more to finish a run that is over; no step of it is written: it may be tried for months."""
        if run.concluded is not None:
            self._finish(run, run.concluded, self.undo(run))

    def resume(self, run: Run, result: ExecutionResult) -> ExecutionResult:
        """Do what is left to do of an execution whose end is written down: store, clean up."""
        run.concluded = result
        with run.phase(Phase.STORE):  # a storage that fails changes nothing of the outcome
            problems = run.storing.conclude(result) if run.storing else []
        return self._clean_up(run, _with_evidence(run, result, not_stored=problems) if problems else result)

    def _write_down(self, run: Run, result: ExecutionResult) -> None:
        run.concluded = result
        try:
            run.journal.conclude(attrs.evolve(result, phases=dict(run.phases)))
        except OSError as error:  # a full disk; we live, and what is cleaned up may make room for the outcome
            logger.bind(execution_id=run.execution_id, error=str(error)).warning("the end could not be written down")

    def _drain(self, run: Run, *, exit_known: bool) -> LogSummary:
        """Wait for the last byte of the log, and close it.

        Raises:
            LeftError: It was left before.
        """
        with run.phase(Phase.STREAM):
            try:
                if run.collecting:
                    self._services.logs.wait_drained(run.execution_id, self._setting.config.logging.drain_timeout)
                    if run.left:
                        raise LeftError
                return self._end_log(run, exit_known=exit_known)
            except LogError:
                if run.left:
                    raise LeftError from None
                raise

    def _end_log(self, run: Run, *, exit_known: bool) -> LogSummary:
        """Close the log; of one that a dead runner closed, return what it wrote down."""
        if not run.collecting:
            return StoredLog(run.journal.logs).summary() or LogSummary()
        summary = self._services.logs.stop_collection(run.execution_id, exit_known=exit_known)
        run.collecting, run.short_output = False, self._services.logs.short_text(run.execution_id)
        self._services.logs.forget(run.execution_id)
        return summary

    def _read_result(self, run: Run, created: Created) -> ResultReading:
        """Fetch what the bot returned; secrets in it are masked: it will be stored, printed and sent."""
        if run.unmasked:
            return ResultReading(lost=run.unmasked)
        limit, runtime, mask = run.bounds.limits.result or 0, created.plan.runtime, run.mask
        with run.phase(Phase.COLLECT):
            try:
                content = self._services.containers.fetch_result(created.container, limit=most_bytes(runtime, limit))
            except BotdockError as error:
                return ResultReading(lost=f"the result could not be fetched: {error.message}")
            masking = partial(mask, keys=True) if mask.forms else None
            reading = read_result(content, limit, runtime, run.executable.entrypoint, masking)
        if not mask.forms:
            return reading
        return attrs.evolve(
            reading,
            lost=mask.message(reading.lost),
            problem=mask.message(reading.problem),
            error=mask.message(reading.error),
            error_type=mask.message(reading.error_type),
        )

    def _clean_up(self, run: Run, result: ExecutionResult) -> ExecutionResult:
        with run.phase(Phase.CLEAN_UP):
            problems = self.undo(run)
        return self._finish(run, attrs.evolve(result, phases=dict(run.phases)), problems)

    def _finish(self, run: Run, known: ExecutionResult, problems: list[str]) -> ExecutionResult:
        """Write the outcome once nothing is left; until then, what `concluded.json` names as left behind is owed."""
        before, result = known.evidence.get(LEFT_BEHIND), known
        if problems or before:
            problems = run.mask(problems)
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


def _with_evidence(run: Run, result: ExecutionResult, **evidence: object) -> ExecutionResult:
    """Return the result with more evidence, in which secrets are masked."""
    return attrs.evolve(result, evidence={**result.evidence, **run.mask(evidence)})


def _owing(result: ExecutionResult, problems: list[str]) -> ExecutionResult:
    """Return a result whose evidence says what is left behind, or that it no longer is."""
    evidence = dict(result.evidence)
    before = evidence.pop(LEFT_BEHIND, None)
    if problems:
        evidence[LEFT_BEHIND] = problems
    elif before:
        evidence[REMOVED_LATER] = before
    return attrs.evolve(result, evidence=evidence)
