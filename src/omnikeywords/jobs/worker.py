"""Workers: processes that claim jobs and work them off in a bounded number of threads.

A thread of its own renews the leases of what runs. An idle worker looks for jobs at growing intervals; on PostgreSQL a
notification wakes it earlier, which is a hint and no more: behind a pooler in transaction mode none may ever come.
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from omnikeywords.db import Database
from omnikeywords.errors import DatabaseBusy, DatabaseFull, DatabaseUnavailable, InvalidOption, LeaseLost
from omnikeywords.jobs import listing, store
from omnikeywords.jobs.context import Hold
from omnikeywords.jobs.crash import crash_point
from omnikeywords.jobs.execution import Execution
from omnikeywords.jobs.holder import dead_holders, holder_name
from omnikeywords.jobs.job import Claim, Job, JobState
from omnikeywords.jobs.measures import measures
from omnikeywords.jobs.saga import Saga
from omnikeywords.ops import get_logger
from omnikeywords.settings import Settings

__all__ = ["WorkerOptions", "run_until_done", "run_worker"]

_log = get_logger(__name__)
_FIRST_POLL_SECONDS = 0.02
_STOP_SECONDS = 0.1  # longest until a stop is noticed
_FORGOTTEN_AT_A_TIME = 100  # ended jobs, so that the transaction is short
_RECONNECT_SECONDS = 10.0  # of the listening connection


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works; times in milliseconds."""

    threads: int = 2  # jobs at a time
    lease_ms: int = 30_000
    poll_ms: int = 500  # longest between looks, and never over a twentieth of a lease
    grace_ms: int = 20_000  # to come to a checkpoint when asked to stop
    retention_days: int = 30  # of ended jobs
    listen: bool = True  # for notifications, on PostgreSQL
    name: str | None = None  # None: one from which others on this machine can tell that it is dead

    @classmethod
    def of(cls, settings: Settings) -> "WorkerOptions":
        """As the settings say."""
        return cls(
            threads=settings.job_threads,
            lease_ms=settings.job_lease_ms,
            poll_ms=settings.job_poll_ms,
            grace_ms=settings.drain_timeout_ms,
            retention_days=settings.job_retention_days,
        )

    def check(self, connections: int) -> None:
        """Refuse more jobs at a time than so many database connections are enough for. Raises InvalidOption."""
        needed = self.threads + 2
        if needed > connections:
            raise InvalidOption(
                f"{self.threads} jobs at a time need {needed} database connections or more, and there are "
                f"{connections}: set OKF_DATABASE_CONNECTIONS or OKF_JOB_THREADS",
                threads=self.threads,
            )


def run_worker(
    database: Database, sagas: Iterable[Saga], stop: threading.Event, options: WorkerOptions | None = None
) -> None:
    """Work until `stop` is set, then let jobs come to a checkpoint and give them back, within the grace period.

    Jobs whose kind is none of `sagas` are left to others. Raises InvalidOption for more threads than the database has
    connections for.
    """
    _Worker(database, sagas, options or WorkerOptions()).run(stop)


def run_until_done(
    database: Database,
    sagas: Iterable[Saga],
    job_id: str,
    options: WorkerOptions | None = None,
    *,
    on_look: Callable[[Job], None] | None = None,
) -> Job:
    """Run one job in this process, or follow it while another runs it, until it has ended or is stuck.

    `on_look` is given the job as it stands, several times a second. An interrupt (KeyboardInterrupt) gives the job back
    and goes on to the caller; called again, it goes on from the last checkpoint. Raises NotFound, and DatabaseFull
    where the job cannot go on before there is space again.
    """
    options = options or WorkerOptions()
    seen: list[Job] = []

    def done() -> bool:
        with database.read() as connection:
            seen[:] = [listing.status(connection, job_id)]
        if on_look is not None:
            on_look(seen[0])
        return seen[0].state.ended or seen[0].state is JobState.STUCK

    if not done():
        _Worker(database, sagas, options, only=job_id).run(threading.Event(), done)
    return seen[0]


class _Worker:
    """What `run_worker` and `run_until_done` share."""

    def __init__(
        self, database: Database, sagas: Iterable[Saga], options: WorkerOptions, only: str | None = None
    ) -> None:
        self._database = database
        self._sagas = {saga.kind: saga for saga in sagas}
        self._options = options if only is None else replace(options, threads=1)
        self._options.check(database.limits.connections)
        self._only = only
        self._name = options.name or holder_name()
        self._running: dict[Hold, threading.Thread] = {}
        self._full: DatabaseFull | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ending = threading.Event()  # the helpers' word to stop

    def run(self, stop: threading.Event, done: Callable[[], bool] | None = None) -> None:
        """Work until `stop` is set or `done()`; then drain."""
        helpers = [threading.Thread(target=self._keep_leases, name="okf-job-leases", daemon=True)]
        if self._options.listen and self._only is None and self._database.dialect == "postgresql":
            helpers.append(threading.Thread(target=self._listen, name="okf-job-wake", daemon=True))
        _log.info("job worker started", worker=self._name, kinds=sorted(self._sagas), threads=self._options.threads)
        for helper in helpers:
            helper.start()
        try:
            self._free_the_dead()
            self._work(stop, done)
        finally:
            self._drain()
            self._ending.set()
            for helper in helpers:
                helper.join(self._database.limits.statement_ms / 1000)
            _log.info("job worker stopped", worker=self._name)

    def _work(self, stop: threading.Event, done: Callable[[], bool] | None) -> None:
        longest = min(self._options.poll_ms, self._options.lease_ms / 20) / 1000
        pause = _FIRST_POLL_SECONDS
        while not stop.is_set():
            self._wake.clear()
            if self._full is not None:
                raise self._full
            try:
                if done is not None and done():
                    return
                claim = self._claim() if len(self._running) < self._options.threads else None
            except (DatabaseBusy, DatabaseUnavailable) as error:
                _log.warning("job worker cannot look for jobs", error=str(error))
                claim, pause = None, longest
            if claim is not None:
                self._begin(claim)
                pause = _FIRST_POLL_SECONDS
                continue
            self._wait(pause, stop)
            pause = min(pause * 2, longest)

    def _wait(self, seconds: float, stop: threading.Event) -> None:
        until = time.monotonic() + seconds
        while not stop.is_set():
            left = until - time.monotonic()
            if left <= 0 or self._wake.wait(min(left, _STOP_SECONDS)):
                return

    def _claim(self) -> Claim | None:
        with self._database.read() as connection:
            if not store.any_due(connection, self._sagas, self._only):
                return None
        at_once = {kind: saga.at_once for kind, saga in self._sagas.items()}
        with self._database.write() as connection:
            claim = store.claim(connection, self._name, at_once, self._options.lease_ms, self._only)
        if claim is None:
            return None
        crash_point("worker.claim.after_commit")
        log = _log.bind(job=claim.job.id, kind=claim.job.kind, project=claim.job.project, attempt=claim.attempt)
        if claim.first:
            measures().started.labels(claim.job.kind).inc()
            log.info("job started", run=claim.job.run)
        if claim.taken_over:
            measures().takeovers.labels(claim.job.kind).inc()
            log.warning("job taken over", deaths=claim.job.deaths)
            crash_point("worker.takeover.after_commit")
        return claim

    def _begin(self, claim: Claim) -> None:
        hold = Hold(claim, self._options.lease_ms)
        execution = Execution(self._database, self._sagas[claim.job.kind], claim, hold)
        running = measures().running.labels(claim.job.kind)

        def work() -> None:
            try:
                execution.run()
                if self._only is not None:
                    self._full = execution.full
            finally:
                running.dec()
                with self._lock:
                    self._running.pop(hold, None)
                self._wake.set()

        thread = threading.Thread(target=work, name=f"okf-job-{claim.job.id}", daemon=True)
        running.inc()
        with self._lock:
            self._running[hold] = thread
        thread.start()

    def _held(self) -> dict[Hold, threading.Thread]:
        with self._lock:
            return dict(self._running)

    def _drain(self) -> None:
        """Let what runs come to a checkpoint; what does not in time is given back over its head."""
        running = self._held()
        for hold in running:
            hold.stop()
        until = time.monotonic() + self._options.grace_ms / 1000
        for thread in running.values():
            thread.join(max(0.0, until - time.monotonic()))
        for hold in self._held():
            with suppress(DatabaseBusy, DatabaseUnavailable, LeaseLost):
                with self._database.write() as connection:
                    store.give_back(connection, hold.job_id, hold.attempt)
                _log.warning("job given back before it came to a checkpoint", job=hold.job_id, attempt=hold.attempt)
            hold.lose()

    def _keep_leases(self) -> None:
        """Renew leases three times before they would pass; see to what else must be done now and then."""
        third = self._options.lease_ms / 3000
        pause = third
        while not self._ending.wait(pause):
            try:
                self._renew()
                pause = third
                if self._only is None:
                    self._look_around()
            except (DatabaseBusy, DatabaseUnavailable) as error:
                pause = third / 4
                _log.warning("job leases not renewed", error=str(error))
            except Exception:
                _log.exception("job leases not renewed")

    def _renew(self) -> None:
        holds = {(hold.job_id, hold.attempt): hold for hold in self._held() if not hold.lost}
        if not holds:
            return
        with self._database.write() as connection:
            standings = store.renew(connection, list(holds), self._options.lease_ms)
            crash_point("worker.heartbeat.before_commit")
        crash_point("worker.heartbeat.after_commit")
        still = self._held()
        for key, hold in holds.items():
            if key in standings:
                hold.note(standings[key])
            elif hold in still:
                hold.lose()

    def _look_around(self) -> None:
        with self._database.read() as connection:
            measures().oldest_waiting.set(store.oldest_waiting_ms(connection) / 1000)
        self._free_the_dead()
        age = timedelta(days=self._options.retention_days)
        with self._database.write() as connection:
            forgotten = store.forget_ended(connection, round(age.total_seconds() * 1000), _FORGOTTEN_AT_A_TIME)
        if forgotten:
            _log.info("ended jobs forgotten", jobs=forgotten)

    def _free_the_dead(self) -> None:
        with suppress(DatabaseBusy, DatabaseUnavailable):
            with self._database.read() as connection:
                dead = dead_holders(store.holders(connection))
            if dead:
                with self._database.write() as connection:
                    freed = store.free(connection, dead)
                _log.warning("jobs of dead workers freed", workers=dead, jobs=freed)

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                store.listen(self._database, self._wake, self._ending)
            except Exception as error:
                _log.info("job worker does not listen, it looks for jobs", error=str(error))
                self._ending.wait(_RECONNECT_SECONDS)
