"""One claim on a job, worked off: forward step by step, or back undo by undo, until it ends or is let go of.

What a step raises becomes a decision here, and each decision is one fenced transaction: try again later, turn back,
park. Nothing is decided in memory alone.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from omnikeywords.db import Connection, Database
from omnikeywords.errors import DatabaseBusy, DatabaseFull, DatabaseUnavailable, LeaseLost, OmniKeywordsError
from omnikeywords.jobs import listing, store
from omnikeywords.jobs.context import Context, Hold, LetGo, TurnedBack
from omnikeywords.jobs.crash import crash_point
from omnikeywords.jobs.job import CANCELLED, Claim, JobState, StepState, Trouble
from omnikeywords.jobs.measures import measures
from omnikeywords.jobs.saga import Saga, Step, is_outage
from omnikeywords.ops import get_logger

__all__ = ["Execution"]

_log = get_logger(__name__)
_MESSAGE_LENGTH = 1000  # characters kept of an error's text
_INSIST_SECONDS = 0.2  # between tries while the database does not answer


class Execution:
    """A worker's work on one claim."""

    def __init__(self, database: Database, saga: Saga, claim: Claim, hold: Hold) -> None:
        self._database = database
        self._saga = saga
        self._job = claim.job
        self._hold = hold
        self.full: DatabaseFull | None = None  # why it broke off, if that is why
        self._log = _log.bind(
            job=claim.job.id, kind=claim.job.kind, project=claim.job.project, attempt=claim.attempt, run=claim.job.run
        )

    def run(self) -> None:
        """Work until the job ends, waits, or is another's. Raises nothing that a worker could mend."""
        try:
            try:
                if self._job.backwards or self._forward():
                    self._back()
            except LetGo as leaving:
                self._let_go(leaving.after_s)
        except LeaseLost:
            self._hold.lose()
            measures().lost.labels(self._job.kind).inc()
            self._log.warning("job lease lost")
        except (DatabaseBusy, DatabaseUnavailable) as error:
            # The lease will pass, and the job goes on from what is kept.
            self.full = error if isinstance(error, DatabaseFull) else self.full
            self._log.error("job left to its lease", error=str(error))
        except Exception:
            self._log.exception("job broke off")

    def _forward(self) -> bool:
        """Do the steps that are not done; True where the job is to compensate now."""
        if self._unknown_step():
            return False
        for step in self._saga.steps:
            record = next((record for record in self._job.steps if record.name == step.name), None)
            if record is not None and record.state is StepState.DONE:
                continue
            if self._job.deaths > step.retry.deaths:
                return self._give_up(self._died(step))
            context = self._context(step, undo=False)
            try:
                self._attempt(step, context, undo=False)
            except TurnedBack as turned:
                return self._turn_back(turned.trouble)
            except Exception as error:
                if isinstance(error, LeaseLost):
                    raise
                if not context.recorded:
                    return self._failed(step, context, error, undo=False)
                self._log.exception("step raised after it was recorded", step=step.name)
            if self._saga.after(step) is None:
                self._say_ended(JobState.COMPLETED, None)
                return False
            self._read_again()
        return False

    def _back(self) -> None:
        """Undo what is begun or done, the last step first, and end the job."""
        self._read_again()
        for record in sorted(self._job.steps, key=lambda record: -record.position):
            if record.state is StepState.UNDONE:
                continue
            step = self._saga.step(record.name)
            if step is None:
                self._unknown_step()
                return
            if self._job.deaths > step.retry.deaths:
                self._park(self._died(step))
                return
            context = self._context(step, undo=True)
            try:
                self._attempt(step, context, undo=True)
            except Exception as error:
                if isinstance(error, LeaseLost):
                    raise
                if not context.recorded:
                    self._failed(step, context, error, undo=True)
                    return
                self._log.exception("undo raised after it was recorded", step=step.name)
            self._job = replace(self._job, failed_tries=0, outages=0, deaths=0)
        self._end()

    def _context(self, step: Step, *, undo: bool) -> Context:
        tries = self._job.failed_tries + 1
        return Context(self._database, self._saga, step, self._job, self._hold, undo=undo, tries=tries)

    def _attempt(self, step: Step, context: Context, *, undo: bool) -> None:
        """One try of a step's `do` or `undo`, and the record of it."""
        where = "undo" if undo else "step"
        began = time.perf_counter()
        crash_point(f"saga.{where}.before_do")
        context.attend()
        output = None
        if not undo:
            output = step.do(context)
        elif step.undo is not None:
            step.undo(context)
        crash_point(f"saga.{where}.after_do")
        if not context.recorded:
            with context.transaction() as connection:
                context.record(connection, output)
        took = time.perf_counter() - began
        measures().step_seconds.labels(self._job.kind, step.name, "back" if undo else "forward").observe(took)
        self._log.info("job step undone" if undo else "job step done", step=step.name, seconds=round(took, 3))

    def _failed(self, step: Step, context: Context, error: Exception, *, undo: bool) -> bool:
        """Decide what a failed try leads to; True where the job is to compensate now."""
        outage = is_outage(error)
        self.full = error if isinstance(error, DatabaseFull) else None
        failed_tries = (0 if context.got_on else self._job.failed_tries) + (not outage)
        outages = (0 if context.got_on else self._job.outages) + outage
        nth = outages if outage else failed_tries
        trouble = _trouble_of(error, step)
        unforeseen = not isinstance(error, OmniKeywordsError | OSError)
        self._log.warning(
            "job step failed", step=step.name, tries=nth, code=trouble.code, exc_info=unforeseen, undo=undo
        )
        if step.retry.again(error, nth):
            wait_ms = step.retry.wait_ms(nth)
            self._decide(
                "saga.retry",
                lambda connection: store.retry_later(
                    connection, *self._fence, trouble, wait_ms, failed_tries=failed_tries, outages=outages
                ),
            )
            measures().retries.labels(self._job.kind, step.name).inc()
            self._log.info("job waits for another try", step=step.name, wait_ms=wait_ms)
            return False
        if undo:
            self._park(trouble)
            return False
        return self._give_up(trouble)

    def _give_up(self, trouble: Trouble) -> bool:
        """A step will not succeed: back where that is possible, else to a person."""
        if self._job.pivoted:
            self._park(trouble)
            return False
        return self._turn_back(trouble)

    def _turn_back(self, trouble: Trouble) -> bool:
        self._decide(
            "saga.turn_back",
            lambda connection: store.turn_back(connection, *self._fence, self._hold.lease_ms, trouble),
        )
        self._log.info("job turns back", step=trouble.step, code=trouble.code, reason=trouble.message)
        return True

    def _park(self, trouble: Trouble) -> None:
        self._decide("saga.park", lambda connection: store.park(connection, *self._fence, trouble))
        measures().parked.labels(self._job.kind).inc()
        self._log.error("job is stuck", step=trouble.step, code=trouble.code, reason=trouble.message)

    def _end(self) -> None:
        failure = self._job.failure
        cancelled = failure is not None and failure.code == CANCELLED
        state = JobState.CANCELLED if cancelled else JobState.FAILED
        self._decide("saga.end", lambda connection: store.end(connection, *self._fence, state))
        self._say_ended(state, failure)

    def _let_go(self, after_s: float) -> None:
        self._decide(
            "worker.give_back",
            lambda connection: store.give_back(connection, *self._fence, round(after_s * 1000)),
        )
        self._log.info("job given back", after_s=after_s)

    def _unknown_step(self) -> bool:
        """Park a job of which another version of its saga has recorded a step that this one has not."""
        for record in self._job.steps:
            if record.state is not StepState.UNDONE and self._saga.step(record.name) is None:
                self._park(
                    Trouble(
                        "unknown_step",
                        f"step {record.name!r} is recorded, and this version of saga {self._saga.kind} has none of "
                        "that name: resume the job with the version that has",
                        record.name,
                    )
                )
                return True
        return False

    def _died(self, step: Step) -> Trouble:
        return Trouble("worker_died", f"{self._job.deaths} workers died at step {step.name}", step.name)

    @property
    def _fence(self) -> tuple[str, int]:
        return self._hold.job_id, self._hold.attempt

    def _read_again(self) -> None:
        def read() -> None:
            with self._database.read(self._job.project) as connection:
                self._job = listing.status(connection, self._job.id)

        self._insist(read)

    def _decide(self, name: str, write: Callable[[Connection], None]) -> None:
        """Keep a decision, in a transaction of its own."""

        def decide() -> None:
            with self._database.write(self._job.project) as connection:
                write(connection)
                crash_point(f"{name}.before_commit")

        self._insist(decide)
        crash_point(f"{name}.after_commit")

    def _insist(self, act: Callable[[], None]) -> None:
        """Act; while the database does not answer again and again, as long as the lease could still be ours."""
        until = time.monotonic() + self._hold.lease_ms / 1000
        while True:
            try:
                return act()
            except (DatabaseBusy, DatabaseUnavailable):
                if self._hold.lost or time.monotonic() > until:
                    raise
                time.sleep(_INSIST_SECONDS)

    def _say_ended(self, state: JobState, failure: Trouble | None) -> None:
        measures().ended.labels(self._job.kind, state.value).inc()
        why = {} if failure is None else {"code": failure.code, "reason": failure.message}
        self._log.info("job ended", state=state.value, **why)


def _trouble_of(error: Exception, step: Step) -> Trouble:
    if isinstance(error, OmniKeywordsError):
        return Trouble(error.code, str(error)[:_MESSAGE_LENGTH], step.name, error.params)
    return Trouble(OmniKeywordsError.code, f"{type(error).__name__}: {error}"[:_MESSAGE_LENGTH], step.name)
