"""What a step works with: its input, its transactions, its checkpoints, and word of what happens around it."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from omnikeywords.db import Connection, Database
from omnikeywords.errors import DatabaseBusy, LeaseLost
from omnikeywords.jobs import store
from omnikeywords.jobs.crash import crash_point
from omnikeywords.jobs.job import CANCELLED, Claim, Job, Standing, StepState, Trouble
from omnikeywords.jobs.saga import Saga, Step

__all__ = ["Context", "Hold", "LetGo", "TurnedBack"]

_PROGRESS_SECONDS = 1.0  # between counters stored outside a step's own transactions
_LOOK_SECONDS = 1.0  # between looks at whether the job was cancelled


class TurnedBack(BaseException):
    """The job is to compensate now. No Exception, so that no step takes it for an error of its own."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


class LetGo(BaseException):
    """The job is given back without having failed; it is due again after that many seconds."""

    def __init__(self, after_s: float) -> None:
        super().__init__(f"due again in {after_s} s")
        self.after_s = after_s


class Hold:
    """One claim as the threads that share it see it: who works, who renews the lease, who asks it to stop."""

    def __init__(self, claim: Claim, lease_ms: int) -> None:
        self.job_id = claim.job.id
        self.attempt = claim.attempt
        self.lease_ms = lease_ms
        self.lost = False
        self.cancel_requested = claim.job.cancel_requested
        self.overdue = False
        self.stopping = False
        self.news = threading.Event()  # any of these became true

    def note(self, standing: Standing) -> None:
        """Take over what the database says."""
        self.cancel_requested |= standing.cancel_requested
        self.overdue |= standing.overdue
        if self.cancel_requested or self.overdue:
            self.news.set()

    def lose(self) -> None:
        """The lease is another's."""
        self.lost = True
        self.news.set()

    def stop(self) -> None:
        """The worker ends: give the job back at the next boundary."""
        self.stopping = True
        self.news.set()


class Context:
    """What a step's `do` or `undo` is given."""

    def __init__(
        self, database: Database, saga: Saga, step: Step, job: Job, hold: Hold, *, undo: bool, tries: int
    ) -> None:
        records = {record.name: record for record in job.steps}
        own = records.get(step.name)
        self.job_id = job.id
        self.project = job.project
        self.bucket = job.bucket
        self.run = job.run  # 1, and one more each time the job is begun again from the start
        self.attempt = hold.attempt  # the fence: grows with each claim
        self.tries = tries  # of this step, this one included
        self.input: Mapping[str, Any] = job.input
        self.outputs: Mapping[str, Any] = {r.name: r.output for r in job.steps if r.done_at is not None}
        self.failure: Trouble | None = job.failure  # why it is undone
        self.state: Any = None  # the last checkpoint of this `do`, or of this `undo`; None: there is none yet
        self.do_state: Any = None if own is None else own.checkpoint  # in an undo: how far `do` had come
        if own is not None:
            self.state = own.undo_checkpoint if undo else own.checkpoint
        self.recorded = False  # the step's result is kept
        self.got_on = False  # another checkpoint was kept
        self._database = database
        self._saga = saga
        self._step = step
        self._job = job
        self._hold = hold
        self._undo = undo
        self._progress: dict[str, Any] = dict(job.progress)
        self._progress_stored = time.monotonic()
        self._looked = time.monotonic()
        self._connection: Connection | None = None
        self._checkpoint: Any = None
        self._recording = False
        self._output: Any = None

    @contextmanager
    def transaction(self, *, statement_ms: int | None = None) -> Iterator[Connection]:
        """A transaction of the job's project, kept only while this worker still holds the job.

        Renews the lease and stores the counters with it. Raises LeaseLost, and then nothing of it is kept. A job that
        was cancelled or is overdue leaves the step here, before the transaction or after its checkpoint; one that is to
        be given back, after its checkpoint.
        """
        if self._connection is not None:
            raise RuntimeError("a step's transactions do not nest: use the connection of the one that is open")
        self._unrecorded()
        self._attend()
        self._checkpoint, self._recording, self._output = None, False, None
        try:
            with self._database.write(self.project, statement_ms=statement_ms) as connection:
                self._hold.note(store.look(connection, self._hold.job_id, self._hold.attempt))
                self._attend()
                crash_point("saga.transaction.begun")
                self._connection = connection
                try:
                    yield connection
                finally:
                    self._connection = None
                self._write(connection)
        except LeaseLost:
            self._hold.lose()
            raise
        self._progress_stored = time.monotonic()
        if self._recording:
            self.recorded = True
            self._passed("after_commit")
        elif self._checkpoint is not None:
            self.got_on |= self._checkpoint != self.state
            self.state = self._checkpoint
            self._passed("after_commit")
            self.attend()

    def checkpoint(self, connection: Connection, state: Any) -> None:
        """Store with this transaction how far the step is: JSON, not None. The next try begins with it as `state`."""
        self._within(connection)
        if state is None:
            raise ValueError("a checkpoint of None says nothing: store where to go on")
        self._checkpoint = state

    def record(self, connection: Connection, output: Any = None) -> None:
        """Store with this transaction that the step is done, and its output (JSON). Nothing may follow but a return.

        A step that only returns its output is recorded in a transaction of its own.
        """
        self._within(connection)
        self._recording, self._output = True, output

    def progress(self, **counters: int | float | str | None) -> None:
        """Set counters that people see, absolute ones; stored with each transaction, else once a second at most."""
        self._progress.update(counters)
        if self._connection is None and time.monotonic() - self._progress_stored >= _PROGRESS_SECONDS:
            self._progress_stored = time.monotonic()
            try:
                self._renew()
            except DatabaseBusy:
                return  # the next one tells it

    def heartbeat(self) -> None:
        """Renew the lease now and make sure that the job is still this worker's.

        For a step about to do something outside the database: nobody else does it for the length of a lease. Raises
        LeaseLost.
        """
        if self._connection is None:
            self._renew()
        self.attend()

    def cancelled(self) -> bool:
        """Whether the job is to turn back, for a step that would rather end its work early; looks once a second.

        Raises LeaseLost.
        """
        self._still_held()
        if self._connection is None and time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = time.monotonic()
            with self._database.read(self.project) as connection:
                try:
                    self._hold.note(store.look(connection, self._hold.job_id, self._hold.attempt))
                except LeaseLost:
                    self._hold.lose()
                    raise
        return self._turning() is not None

    def pause(self, seconds: float) -> None:
        """Wait, and leave the step at once when the job is cancelled or given back. For short waits."""
        self.attend()
        if self._hold.news.wait(seconds):
            self.attend()
            time.sleep(min(seconds, 0.05))  # news that does not concern this step: past the pivot, say

    def come_back_in(self, seconds: float) -> NoReturn:
        """Leave the step and begin it again later, without holding a thread until then. It is no failed try."""
        raise LetGo(seconds)

    def attend(self) -> None:
        """Leave the step if the job is to turn back or to be given back, or raise LeaseLost."""
        self._attend()
        if self._hold.stopping:
            raise LetGo(0)

    def _attend(self) -> None:
        """The same, but for giving back: work that is done is worth its transaction."""
        self._still_held()
        trouble = self._turning()
        if trouble is not None:
            raise TurnedBack(trouble)

    def _still_held(self) -> None:
        if self._hold.lost:
            raise LeaseLost(
                f"attempt {self.attempt} at job {self.job_id} lost its lease: another worker has the job, or it has "
                "ended",
                job=self.job_id,
            )

    def _turning(self) -> Trouble | None:
        if self._undo or self._job.pivoted:
            return None
        if self._hold.cancel_requested:
            return Trouble(CANCELLED, "cancelled", self._step.name)
        if self._hold.overdue:
            return Trouble("deadline_exceeded", "the job was not done by its deadline", self._step.name)
        return None

    def _unrecorded(self) -> None:
        if self.recorded:
            raise RuntimeError(f"step {self._step.name} is recorded already: nothing may follow")

    def _within(self, connection: Connection) -> None:
        if connection is not self._connection:
            raise RuntimeError("this is not the connection of the step's transaction")

    def _renew(self) -> None:
        try:
            with self._database.write(self.project) as connection:
                self._hold.note(
                    store.keep(
                        connection,
                        self._hold.job_id,
                        self._hold.attempt,
                        self._hold.lease_ms,
                        progress=self._progress,
                    )
                )
        except LeaseLost:
            self._hold.lose()
            raise

    def _write(self, connection: Connection) -> None:
        """The fence, and what is recorded, at the end of a transaction."""
        following = None if self._undo else self._saga.after(self._step)
        done = self._recording and not self._undo
        pivot = done and self._saga.is_pivot(self._step)
        here = following.name if done and following is not None else self._step.name
        standing = store.keep(
            connection,
            self._hold.job_id,
            self._hold.attempt,
            self._hold.lease_ms,
            progress=self._progress,
            step=here,
            got_on=self._recording or (self._checkpoint is not None and self._checkpoint != self.state),
            pivoted=pivot,
            completed=done and following is None,
        )
        self._hold.note(standing)
        if pivot and self._turning() is not None:
            # Asked in time to turn back: the step's writes are not kept.
            self._attend()
        if self._checkpoint is None and not self._recording:
            return
        state: StepState | None
        if self._recording:
            state = StepState.UNDONE if self._undo else StepState.DONE
        else:
            state = None if self._undo else StepState.BEGUN
        store.record_step(
            connection,
            self._job,
            self._step.name,
            state,
            self._hold.attempt,
            checkpoint=None if self._undo else self._checkpoint,
            undo_checkpoint=self._checkpoint if self._undo else None,
            output=self._output,
        )
        self._passed("before_commit")

    def _passed(self, where: str) -> None:
        """The crash points around what was just recorded."""
        if not self._recording:
            crash_point(f"saga.undo_checkpoint.{where}" if self._undo else f"saga.checkpoint.{where}")
        elif self._undo:
            crash_point(f"saga.undo.{where}")
        else:
            crash_point(f"saga.step.{where}")
            if self._saga.is_pivot(self._step):
                crash_point(f"saga.pivot.{where}")
            if self._saga.after(self._step) is None:
                crash_point(f"saga.end.{where}")
