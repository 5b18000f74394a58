"""Durable jobs keep their promises on SQLite and on PostgreSQL 15 and 18, there under row-level security."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, delete, insert, select, update

from omnikeywords.db import Database, Limits, connect
from omnikeywords.errors import (
    Conflict,
    DatabaseBusy,
    DatabaseUnavailable,
    IdempotencyConflict,
    InvalidInput,
    InvalidOption,
    LeaseLost,
    NotFound,
)
from omnikeywords.jobs import (
    Context,
    Job,
    JobState,
    Retry,
    Saga,
    Step,
    StepState,
    Trouble,
    WorkerOptions,
    cancel,
    list_jobs,
    made_before,
    metadata,
    resume,
    retry,
    run_until_done,
    run_worker,
    start,
    status,
    store,
)
from omnikeywords.jobs.context import Hold
from omnikeywords.jobs.job import Claim
from omnikeywords.jobs.tables import job_steps, jobs
from omnikeywords.ops import render_metrics
from tests.servers.postgres import Postgres, postgres

LIMITS = Limits(connections=20)
QUICK = Retry(tries=3, first_s=0.01, most_s=0.02)
OPTIONS = WorkerOptions(threads=4, lease_ms=2000, poll_ms=20, grace_ms=2000)
ONCE = Retry(tries=1)

domain = MetaData()
ledger = Table(
    "ledger",
    domain,
    Column("id", Integer, primary_key=True),
    Column("project", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("entry", Text, nullable=False),
)


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[int], Postgres]]:
    """One PostgreSQL of a version, started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def started(version: int) -> Postgres:
            running = stack.enter_context(postgres(version))
            prepare(running)
            return running

        yield started


@pytest.fixture(scope="module", params=["sqlite", "postgresql 15", "postgresql 18"])
def server(request: pytest.FixtureRequest, servers: Callable[[int], Postgres]) -> Postgres | None:
    name, _, version = request.param.partition(" ")
    return None if name == "sqlite" else servers(int(version))


@pytest.fixture(scope="module")
def postgresql(servers: Callable[[int], Postgres]) -> Postgres:
    return servers(15)


def prepare(running: Postgres) -> None:
    """Tables of the owner's, which the program's role sees by project."""
    owner = connect(running.url())
    with owner.write() as connection:
        metadata.create_all(connection)
        domain.create_all(connection)
        for name in ("jobs", "job_steps", "ledger"):
            connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO okf_app")
            connection.exec_driver_sql(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
            connection.exec_driver_sql(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
            connection.exec_driver_sql(
                f"CREATE POLICY by_project ON {name} USING (current_setting('okf.project', true) IN (project, '*'))"
            )
        connection.exec_driver_sql("GRANT USAGE ON SEQUENCE ledger_id_seq TO okf_app")
    owner.close()


@pytest.fixture
def database(server: Postgres | None, tmp_path: Path) -> Iterator[Database]:
    if server is None:
        made = connect(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", LIMITS)
        with made.write() as connection:
            metadata.create_all(connection)
            domain.create_all(connection)
    else:
        made = connect(server.app_url(), LIMITS)
        with made.write() as connection:
            connection.execute(delete(jobs))
            connection.execute(delete(ledger))
    yield made
    made.close()


def wait_for(condition: Callable[[], Any], seconds: float = 10) -> Any:
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, "what was waited for did not come"
        time.sleep(0.01)


def write(context: Context, connection: Any, entry: str) -> None:
    connection.execute(insert(ledger).values(project=context.project, job_id=context.job_id, entry=entry))


def entries(database: Database, job_id: str) -> list[str]:
    with database.read() as connection:
        found = connection.execute(select(ledger.c.entry).where(ledger.c.job_id == job_id).order_by(ledger.c.id))
        return list(found.scalars())


def begin(database: Database, saga: Saga, input: Mapping[str, Any] = {}, **options: Any) -> Job:
    with database.write("shop") as connection:
        return start(connection, saga, input, project="shop", bucket=7, **options).job


def look(database: Database, job_id: str) -> Job:
    with database.read() as connection:
        return status(connection, job_id)


def run(database: Database, saga: Saga, input: Mapping[str, Any] = {}, **options: Any) -> Job:
    """Start a job and run it here until it has ended or is stuck."""
    return run_until_done(database, [saga], begin(database, saga, input, **options).id, OPTIONS)


@contextmanager
def working(database: Database, *sagas: Saga, options: WorkerOptions = OPTIONS) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=run_worker, args=(database, sagas, stop, options))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def doing(name: str) -> Callable[[Context], str]:
    """A step's work that writes `name` once and returns it."""

    def do(context: Context) -> str:
        with context.transaction() as connection:
            write(context, connection, name)
            context.record(connection, name)
        return name

    return do


def undoing(name: str) -> Callable[[Context], None]:
    def undo(context: Context) -> None:
        doing(f"undo {name}")(context)

    return undo


def fails(error: Exception) -> Callable[[Context], Any]:
    def do(context: Context) -> Any:
        raise error

    return do


def claimed(database: Database, saga: Saga, lease_ms: int = 60_000, worker: str = "w") -> Claim | None:
    with database.write() as connection:
        return store.claim(connection, worker, {saga.kind: saga.at_once}, lease_ms)


def context_of(database: Database, saga: Saga, claim: Claim) -> Context:
    return Context(database, saga, saga.steps[0], claim.job, Hold(claim, 60_000), undo=False, tries=1)


# Going forward


def test_a_job_goes_through_its_steps_in_order_and_each_sees_what_the_earlier_gave(database: Database) -> None:
    seen: list[Any] = []

    def second(context: Context) -> dict[str, int]:
        seen.append((dict(context.input), dict(context.outputs), context.tries, context.run, context.project))
        context.progress(rows=12, rate=3.5)
        return {"rows": 12}

    job = run(database, Saga("two", [Step("first", doing("one")), Step("second", second)]), {"path": "a\0ç.csv"})
    assert job.state is JobState.COMPLETED
    assert seen == [({"path": "a\0ç.csv"}, {"first": "one"}, 1, 1, "shop")]
    assert job.progress == {"rows": 12, "rate": 3.5}
    assert [(step.name, step.state, step.output) for step in job.steps] == [
        ("first", StepState.DONE, "one"),
        ("second", StepState.DONE, {"rows": 12}),
    ]
    assert (job.step, job.worker, job.due_at, job.pivoted, job.bucket) == (None, None, None, True, 7)
    assert job.created_at <= job.started_at <= job.ended_at <= datetime.now(UTC) + timedelta(seconds=1)  # type: ignore[operator]
    assert entries(database, job.id) == ["one"]


def test_a_job_exists_only_if_the_transaction_that_started_it_is_kept(database: Database) -> None:
    saga = Saga("one", [Step("only", doing("x"))])

    def refused() -> None:
        with database.write("shop") as connection:
            start(connection, saga, {}, project="shop", bucket=7)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        refused()
    with database.read() as connection:
        assert list_jobs(connection) == []


def test_input_and_times_that_cannot_be_kept_are_refused(database: Database) -> None:
    saga = Saga("one", [Step("only", doing("x"))])
    with pytest.raises(InvalidInput, match="a job keeps JSON only"):
        begin(database, saga, {"when": datetime.now(UTC)})
    with pytest.raises(InvalidInput, match="has no time zone"):
        begin(database, saga, not_before=datetime(2030, 1, 1))
    job = run(database, Saga("bad", [Step("only", lambda context: {1, 2})]))
    assert (job.state, job.failure and job.failure.code) == (JobState.FAILED, "invalid_input")


def test_a_job_is_not_begun_before_its_time_and_other_kinds_are_left_to_others(database: Database) -> None:
    saga, other = Saga("one", [Step("only", doing("x"))]), Saga("other", [Step("only", doing("y"))])
    later = datetime.now(UTC) + timedelta(seconds=0.3)
    job = begin(database, saga, not_before=later)
    foreign = begin(database, other)
    assert claimed(database, saga) is None
    with working(database, saga):
        ended = wait_for(lambda: (found := look(database, job.id)).state.ended and found)
    assert ended.started_at >= later - timedelta(milliseconds=1)
    assert look(database, foreign.id).state is JobState.QUEUED


# One key, one job


def test_a_key_names_one_job_of_its_project(database: Database) -> None:
    saga = Saga("one", [Step("only", doing("x"))])
    with database.write() as connection:
        first = start(connection, saga, {"a": 1, "b": 2}, project="shop", bucket=7, key="k")
        again = start(connection, saga, {"b": 2, "a": 1}, project="shop", bucket=7, key="k")
        elsewhere = start(connection, saga, {"a": 1}, project="other", bucket=8, key="k")
    assert (first.created, again.created, elsewhere.created) == (True, False, True)
    assert first.job.id == again.job.id != elsewhere.job.id
    for saga_, input in ((saga, {"a": 2}), (Saga("two", saga.steps), {"a": 1, "b": 2})):
        with pytest.raises(IdempotencyConflict, match="'k' was used for another job"):
            begin(database, saga_, input, key="k")


def test_one_key_used_by_many_at_once_makes_one_job(database: Database) -> None:
    saga = Saga("one", [Step("only", doing("x"))])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: begin(database, saga, {"a": 1}, key="same").id, range(16)))
    assert len(set(found)) == 1
    with database.read() as connection:
        assert len(list_jobs(connection)) == 1


# Errors, and what they lead to


def test_an_error_that_may_pass_is_tried_again(database: Database) -> None:
    tries: list[int] = []

    def sometimes(context: Context) -> None:
        tries.append(context.tries)
        if context.tries < 3:
            raise OSError("later")

    job = run(database, Saga("flaky", [Step("only", sometimes, retry=QUICK)]))
    assert (job.state, tries) == (JobState.COMPLETED, [1, 2, 3])
    assert (job.failed_tries, job.trouble, job.failure) == (0, None, None)


def test_tries_that_the_database_ended_are_counted_apart_and_are_bounded_too(database: Database) -> None:
    left = [DatabaseBusy("busy"), DatabaseUnavailable("away")] * 3 + [OSError("disk")]

    def outage(context: Context) -> None:
        if left:
            raise left.pop(0)

    once_and_again = Retry(tries=2, first_s=0.01, most_s=0.01, outages=6)
    assert run(database, Saga("outage", [Step("only", outage, retry=once_and_again)])).state is JobState.COMPLETED
    left[:] = [DatabaseBusy("busy")] * 9
    job = run(database, Saga("outage", [Step("only", outage, retry=once_and_again)]))
    assert (job.state, job.failure and job.failure.code, len(left)) == (JobState.FAILED, "database_busy", 2)


def test_an_error_that_never_passes_turns_the_job_back_at_once_and_undoes_in_reverse(database: Database) -> None:
    saga = Saga(
        "order",
        [
            Step("first", doing("first"), undoing("first")),
            Step("plain", doing("plain")),
            Step("second", doing("second"), undoing("second")),
            Step("third", fails(InvalidInput("no such market", market="xx")), undoing("third"), retry=QUICK),
        ],
    )
    job = run(database, saga)
    assert job.state is JobState.FAILED
    assert entries(database, job.id) == ["first", "plain", "second", "undo second", "undo first"]
    assert job.failure is not None
    assert (job.failure.code, job.failure.message) == ("invalid_input", "no such market")
    assert (job.failure.step, job.failure.params) == ("third", {"market": "xx"})
    assert [(step.name, step.state) for step in job.steps] == [
        ("first", StepState.UNDONE),
        ("plain", StepState.UNDONE),
        ("second", StepState.UNDONE),
    ]


def test_a_poison_step_fails_its_job_after_a_bounded_number_of_tries_and_no_other(database: Database) -> None:
    poison = Saga(
        "poison", [Step("first", doing("first"), undoing("first")), Step("bad", fails(OSError(5, "io")), retry=QUICK)]
    )
    good = Saga("good", [Step("only", doing("good"))])
    bad_job, good_jobs = begin(database, poison), [begin(database, good) for _ in range(5)]
    with working(database, poison, good):
        for job in (bad_job, *good_jobs):
            wait_for(lambda job=job: look(database, job.id).state.ended)
    bad = look(database, bad_job.id)
    assert bad.state is JobState.FAILED
    assert bad.failure is not None
    assert (bad.failure.code, bad.failure.message, bad.failure.step) == ("error", "OSError: [Errno 5] io", "bad")
    assert entries(database, bad.id) == ["first", "undo first"]
    assert {look(database, job.id).state for job in good_jobs} == {JobState.COMPLETED}


def test_a_step_goes_on_from_its_last_checkpoint_and_getting_on_renews_its_tries(database: Database) -> None:
    began: list[tuple[Any, int]] = []

    def chunks(context: Context) -> int:
        began.append((context.state, context.tries))
        for number in range((context.state or 0) + 1, 6):
            with context.transaction() as connection:
                write(context, connection, f"chunk {number}")
                context.checkpoint(connection, number)
                context.progress(chunks=number)
                if len(began) == number:
                    raise OSError("disk")
        return 5

    job = run(database, Saga("chunks", [Step("append", chunks, retry=Retry(tries=2, first_s=0.01, most_s=0.01))]))
    assert job.state is JobState.COMPLETED
    assert entries(database, job.id) == [f"chunk {number}" for number in range(1, 6)]
    # The transaction that raised kept neither its write nor its checkpoint; every try but the first two got on.
    assert began == [(None, 1), (None, 2), (1, 2), (2, 2), (3, 2), (4, 2)][: len(began)]
    assert len(began) == 6
    assert job.progress == {"chunks": 5}


def test_a_step_that_left_a_checkpoint_is_undone_although_it_never_was_done(database: Database) -> None:
    reached: list[Any] = []

    def half(context: Context) -> None:
        with context.transaction() as connection:
            write(context, connection, "half")
            context.checkpoint(connection, {"chunk": 1})
        raise InvalidInput("broken row")

    def withdraw(context: Context) -> None:
        reached.append((context.do_state, context.failure and context.failure.code))
        undoing("half")(context)

    job = run(database, Saga("half", [Step("append", half, withdraw)]))
    assert (job.state, entries(database, job.id)) == (JobState.FAILED, ["half", "undo half"])
    assert reached == [({"chunk": 1}, "invalid_input")]


def test_a_step_that_left_nothing_is_not_undone(database: Database) -> None:
    job = run(database, Saga("none", [Step("only", fails(InvalidInput("no")), undoing("only"))]))
    assert (job.state, job.steps, entries(database, job.id)) == (JobState.FAILED, (), [])


def test_an_undo_goes_on_from_its_checkpoint_and_keeps_what_the_step_gave(database: Database) -> None:
    def undo(context: Context) -> None:
        assert context.outputs == {"first": "first"}
        for number in range((context.state or 0) + 1, 4):
            with context.transaction() as connection:
                write(context, connection, f"undo {number}")
                context.checkpoint(connection, number)
            if context.tries < number:
                raise OSError("net")

    saga = Saga("undo", [Step("first", doing("first"), undo, retry=QUICK), Step("bad", fails(InvalidInput("no")))])
    job = run(database, saga)
    assert job.state is JobState.FAILED
    assert entries(database, job.id) == ["first", "undo 1", "undo 2", "undo 3"]
    assert (job.steps[0].output, job.steps[0].undo_checkpoint) == ("first", 3)


def test_past_the_pivot_a_job_is_parked_and_goes_on_when_resumed(database: Database) -> None:
    mended = threading.Event()

    def notify(context: Context) -> None:
        if not mended.is_set():
            raise OSError("nobody answers")
        doing("notify")(context)

    saga = Saga(
        "pivot",
        [
            Step("first", doing("first"), undoing("first")),
            Step("store", doing("store"), undoing("store"), pivot=True),
            Step("notify", notify, retry=QUICK),
        ],
    )
    job = run(database, saga)
    assert (job.state, job.step, job.pivoted, job.due_at) == (JobState.STUCK, "notify", True, None)
    assert job.trouble is not None
    assert (job.trouble.step, job.trouble.message) == ("notify", "OSError: nobody answers")
    assert claimed(database, saga) is None
    with database.write() as connection, pytest.raises(Conflict, match="passed the point of no return"):
        cancel(connection, job.id)
    mended.set()
    with database.write() as connection:
        assert resume(connection, job.id).state is JobState.QUEUED
    job = run_until_done(database, [saga], job.id, OPTIONS)
    assert (job.state, job.trouble) == (JobState.COMPLETED, None)
    assert entries(database, job.id) == ["first", "store", "notify"]


def test_an_undo_that_cannot_be_done_is_parked_and_goes_on_when_resumed(database: Database) -> None:
    mended = threading.Event()

    def undo(context: Context) -> None:
        if not mended.is_set():
            raise InvalidInput("gone")
        undoing("first")(context)

    saga = Saga("undo", [Step("first", doing("first"), undo), Step("bad", fails(InvalidInput("why")))])
    job = run(database, saga)
    assert (job.state, job.backwards) == (JobState.STUCK, True)
    mended.set()
    with database.write() as connection:
        assert resume(connection, job.id).state is JobState.COMPENSATING
    job = run_until_done(database, [saga], job.id, OPTIONS)
    assert (job.state, job.failure and job.failure.message) == (JobState.FAILED, "why")
    assert entries(database, job.id) == ["first", "undo first"]


def test_a_job_of_another_version_of_its_saga_is_parked(database: Database) -> None:
    old = Saga("versions", [Step("old", doing("old"), undoing("old")), Step("wait", lambda c: c.come_back_in(60))])
    job = begin(database, old)
    with working(database, old):
        wait_for(lambda: look(database, job.id).steps)
    new = Saga("versions", [Step("new", doing("new"))])
    with database.write() as connection:
        resume(connection, job.id)
    job = run_until_done(database, [new], job.id, OPTIONS)
    assert (job.state, job.trouble and job.trouble.code) == (JobState.STUCK, "unknown_step")
    assert entries(database, job.id) == ["old"]


def test_workers_that_die_at_a_step_again_and_again_count_as_its_failure(database: Database) -> None:
    saga = Saga("deadly", [Step("only", doing("x"), retry=Retry(deaths=2))])
    job = begin(database, saga)
    for _ in range(3):
        assert claimed(database, saga, lease_ms=0) is not None
    job = run_until_done(database, [saga], job.id, OPTIONS)
    assert (job.state, job.failure and job.failure.code) == (JobState.FAILED, "worker_died")
    assert entries(database, job.id) == []


# Cancel, deadline, again


def test_a_job_that_nobody_began_is_cancelled_at_once(database: Database) -> None:
    saga = Saga("one", [Step("only", doing("x"))])
    job = begin(database, saga)
    with database.write("shop") as connection:
        assert cancel(connection, job.id, "shop").state is JobState.CANCELLED
    assert claimed(database, saga) is None
    with database.write() as connection, pytest.raises(Conflict, match="is cancelled and cannot be cancelled"):
        cancel(connection, job.id)


def test_a_running_job_is_cancelled_at_its_next_checkpoint_and_compensates(database: Database) -> None:
    def chunks(context: Context) -> None:
        for number in range(1, 100):
            with context.transaction() as connection:
                write(context, connection, f"chunk {number}")
                context.checkpoint(connection, number)
                if number == 2:
                    cancelling.submit(ask, context.job_id)
            if number == 2:
                wait_for(lambda: look(database, context.job_id).cancel_requested)

    def ask(job_id: str) -> None:
        with database.write() as connection:
            cancel(connection, job_id)

    saga = Saga("long", [Step("first", doing("first"), undoing("first")), Step("append", chunks, undoing("append"))])
    with ThreadPoolExecutor(1) as cancelling:
        job = run(database, saga)
    assert (job.state, job.failure and job.failure.code) == (JobState.CANCELLED, "cancelled")
    assert entries(database, job.id) == ["first", "chunk 1", "chunk 2", "undo append", "undo first"]


def test_a_cancellation_that_was_accepted_keeps_the_pivot_from_being_done(database: Database) -> None:
    def pivot(context: Context) -> str:
        with database.write() as connection:
            assert cancel(connection, context.job_id).cancel_requested
        return "too late"

    saga = Saga("pivot", [Step("first", doing("first"), undoing("first")), Step("store", pivot)])
    job = run(database, saga)
    assert (job.state, job.pivoted) == (JobState.CANCELLED, False)
    assert entries(database, job.id) == ["first", "undo first"]


def test_a_step_may_ask_whether_it_is_cancelled_and_a_pause_ends_with_it(database: Database) -> None:
    asked: list[bool] = []

    def wait(context: Context) -> None:
        asked.append(context.cancelled())
        with database.write() as connection:
            cancel(connection, context.job_id)
        wait_for(context.cancelled)
        asked.append(True)
        context.pause(60)

    job = run(database, Saga("wait", [Step("only", wait)]))
    assert (job.state, asked) == (JobState.CANCELLED, [False, True])


def test_a_job_that_is_not_done_by_its_deadline_compensates(database: Database) -> None:
    def slow(context: Context) -> None:
        deadline = look(database, context.job_id).deadline
        assert deadline is not None
        wait_for(lambda: datetime.now(UTC) > deadline + timedelta(milliseconds=5))

    saga = Saga("late", [Step("first", doing("first"), undoing("first")), Step("slow", slow), Step("last", doing("x"))])
    job = run(database, saga, deadline=datetime.now(UTC) + timedelta(seconds=0.4))
    assert (job.state, job.failure and job.failure.code) == (JobState.FAILED, "deadline_exceeded")
    assert entries(database, job.id) == ["first", "undo first"]


def test_a_failed_job_may_be_run_again_from_its_start(database: Database) -> None:
    runs: list[int] = []

    def second(context: Context) -> None:
        runs.append(context.run)
        if context.run == 1:
            raise InvalidInput("not yet")

    saga = Saga("again", [Step("first", doing("first"), undoing("first")), Step("second", second)])
    job = run(database, saga, key="k")
    assert job.state is JobState.FAILED
    with database.write() as connection:
        again = retry(connection, job.id)
    assert (again.state, again.run, again.failure, again.steps) == (JobState.QUEUED, 2, None, ())
    job = run_until_done(database, [saga], job.id, OPTIONS)
    assert (job.state, runs) == (JobState.COMPLETED, [1, 2])
    assert entries(database, job.id) == ["first", "undo first", "first"]
    for ask in (retry, resume, cancel):
        with database.write() as connection, pytest.raises(Conflict, match="is completed"):
            ask(connection, job.id)


# Claims, leases, fences


def test_many_claimers_never_hold_one_job_twice(database: Database) -> None:
    saga = Saga("one", [Step("only", doing("x"))])
    with database.write() as connection:
        made = {start(connection, saga, {"n": n}, project="shop", bucket=7).job.id for n in range(48)}
    barrier = threading.Barrier(16)

    def claim_all(worker: int) -> list[str]:
        barrier.wait(10)
        mine = []
        while len(held := [*mine]) < 48:
            with database.read() as connection:
                if not store.any_due(connection, [saga.kind]):
                    return held
            claim = claimed(database, saga, worker=f"w{worker}")
            if claim is not None:
                mine.append(claim.job.id)
        return mine

    with ThreadPoolExecutor(16) as pool:
        held = [job_id for mine in pool.map(claim_all, range(16)) for job_id in mine]
    assert len(held) == 48
    assert set(held) == made


def test_a_kind_runs_no_more_jobs_at_once_than_it_may(database: Database) -> None:
    saga = Saga("one", [Step("only", doing("x"))], at_once=2)
    for n in range(10):
        begin(database, saga, {"n": n})
    with ThreadPoolExecutor(8) as pool:
        claims = [claim for claim in pool.map(lambda n: claimed(database, saga), range(8)) if claim is not None]
    assert len(claims) == 2
    # A lease that has passed counts no longer.
    with database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == claims[0].job.id).values(due_at=0))
    taken = claimed(database, saga)
    assert taken is not None
    assert (taken.job.id, taken.taken_over) == (claims[0].job.id, True)
    assert claimed(database, saga) is None


def test_a_worker_whose_lease_was_taken_over_writes_nothing(database: Database) -> None:
    saga = Saga("one", [Step("only", doing("x"))])
    job = begin(database, saga)
    late = claimed(database, saga, lease_ms=0)
    assert late is not None
    behind = context_of(database, saga, late)
    taken: list[Claim | None] = []

    def write_late() -> None:
        with behind.transaction() as connection:
            write(behind, connection, "late")
            behind.checkpoint(connection, "late")
            # The fence is the end of the transaction: what was true at its beginning may be so no longer.
            if database.dialect == "postgresql":
                taken.append(claimed(database, saga))
            else:
                connection.execute(update(jobs).values(attempt=2, worker="other"))

    with pytest.raises(LeaseLost):
        write_late()
    now = taken[0] if taken else claimed(database, saga)
    assert now is not None
    assert now.attempt == 2
    assert entries(database, job.id) == []
    for act in (behind.heartbeat, behind.cancelled, lambda: behind.pause(0)):
        with pytest.raises(LeaseLost):
            act()
    fresh = context_of(database, saga, late)
    with pytest.raises(LeaseLost), fresh.transaction() as connection:
        write(fresh, connection, "late")
    with pytest.raises(LeaseLost), database.write() as connection:
        store.give_back(connection, job.id, late.attempt)
    ahead = context_of(database, saga, now)
    with ahead.transaction() as connection:
        write(ahead, connection, "x")
        ahead.record(connection)
    assert entries(database, job.id) == ["x"]
    assert look(database, job.id).state is JobState.COMPLETED
    # Ended: not even the worker that ended it can write any more.
    with pytest.raises(LeaseLost), database.write() as connection:
        store.retry_later(connection, job.id, now.attempt, Trouble("error", "x"), 0, failed_tries=1, outages=0)


def test_a_lease_is_renewed_while_a_step_takes_longer_than_it(database: Database) -> None:
    released = threading.Event()
    held = threading.Event()

    def slow(context: Context) -> None:
        held.set()
        assert released.wait(20)
        doing("slow")(context)

    saga = Saga("slow", [Step("only", slow)])
    options = WorkerOptions(threads=1, lease_ms=2000, poll_ms=20)
    job = begin(database, saga)
    with working(database, saga, options=options):
        assert held.wait(10)
        first = look(database, job.id).due_at
        assert first is not None
        with working(database, saga, options=options):
            wait_for(lambda: look(database, job.id).due_at > first + timedelta(milliseconds=2000))  # type: ignore[operator]
            released.set()
            wait_for(lambda: look(database, job.id).state.ended)
    assert (look(database, job.id).attempt, entries(database, job.id)) == (1, ["slow"])


def test_a_worker_that_stops_gives_its_job_back_at_a_checkpoint_and_another_goes_on(database: Database) -> None:
    second = threading.Event()

    def chunks(context: Context) -> None:
        for number in range((context.state or 0) + 1, 4):
            with context.transaction() as connection:
                write(context, connection, f"chunk {number}")
                context.checkpoint(connection, number)
            if number == 1:
                second.set()
                context.pause(20)

    saga = Saga("long", [Step("append", chunks)])
    job = begin(database, saga)
    with working(database, saga):
        assert second.wait(10)
    back = look(database, job.id)
    assert (back.state, back.worker, back.failed_tries, back.deaths) == (JobState.QUEUED, None, 0, 0)
    with working(database, saga, options=WorkerOptions(lease_ms=60_000, poll_ms=20)):
        ended = wait_for(lambda: (found := look(database, job.id)).state.ended and found)
    assert (ended.state, ended.deaths) == (JobState.COMPLETED, 0)
    assert entries(database, job.id) == ["chunk 1", "chunk 2", "chunk 3"]


def test_a_step_that_outlives_the_grace_period_loses_its_job(database: Database) -> None:
    held, released, lost = threading.Event(), threading.Event(), threading.Event()

    def stubborn(context: Context) -> None:
        if context.attempt == 1:
            held.set()
            assert released.wait(20)
            try:
                doing("late")(context)
            except LeaseLost:
                lost.set()
                raise
        doing("on time")(context)

    saga = Saga("stubborn", [Step("only", stubborn)])
    job = begin(database, saga)
    with working(database, saga, options=WorkerOptions(lease_ms=60_000, poll_ms=20, grace_ms=50)):
        assert held.wait(10)
    job = run_until_done(database, [saga], job.id, OPTIONS)
    released.set()
    assert lost.wait(10)
    assert (job.state, entries(database, job.id)) == (JobState.COMPLETED, ["on time"])


def test_a_step_may_come_back_later_without_having_failed(database: Database) -> None:
    attempts: list[int] = []

    def wait(context: Context) -> None:
        attempts.append(context.tries)
        if len(attempts) < 4:
            context.come_back_in(0.01)

    job = run(database, Saga("wait", [Step("only", wait, retry=ONCE)]))
    assert (job.state, attempts) == (JobState.COMPLETED, [1, 1, 1, 1])


def test_what_a_step_may_not_do_is_refused(database: Database) -> None:
    saga = Saga("one", [Step("only", doing("x"))])
    begin(database, saga)
    claim = claimed(database, saga)
    assert claim is not None
    context = context_of(database, saga, claim)
    with context.transaction() as connection:
        with pytest.raises(RuntimeError, match="do not nest"), context.transaction():
            pass
        with pytest.raises(ValueError, match="checkpoint of None"):
            context.checkpoint(connection, None)
        context.record(connection)
    with pytest.raises(RuntimeError, match="not the connection"):
        context.record(connection)
    with pytest.raises(RuntimeError, match="recorded already"), context.transaction():
        pass


# Seen from outside


def test_jobs_are_listed_by_page_and_each_project_sees_its_own(database: Database) -> None:
    one, two = Saga("one", [Step("only", doing("x"))]), Saga("two", [Step("only", doing("x"))])
    with database.write() as connection:
        made = [start(connection, one, {"n": n}, project="shop", bucket=7).job.id for n in range(4)]
        foreign = start(connection, two, {}, project="other", bucket=8).job.id
        cancel(connection, made[0])
    with database.read("shop") as connection:
        newest_first = sorted(made, reverse=True)
        first = list_jobs(connection, project="shop", limit=3)
        rest = list_jobs(connection, project="shop", limit=3, before=first[-1].id)
        assert [job.id for job in (*first, *rest)] == newest_first
        cancelled = list_jobs(connection, project="shop", states=[JobState.CANCELLED])
        assert [job.id for job in cancelled] == [made[0]]
        assert list_jobs(connection, project="shop", kinds=["two"]) == []
        with pytest.raises(NotFound, match="there is no job"):
            status(connection, foreign, "shop")
        with pytest.raises(InvalidOption, match="limit 0 is out of range"):
            list_jobs(connection, limit=0)
    with database.write() as connection:
        for ask in (cancel, resume, retry):
            with pytest.raises(NotFound):
                ask(connection, foreign, "shop")


def test_ended_jobs_are_forgotten_after_their_time_a_few_at_once(database: Database) -> None:
    saga = Saga("one", [Step("only", doing("x"))])
    old = [run(database, saga, {"n": n}).id for n in range(3)]
    recent, waiting = run(database, saga).id, begin(database, saga).id
    with database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id.in_(old)).values(ended_at=1))
    with database.write() as connection:
        assert store.forget_ended(connection, 60_000, 2) == 2
        assert store.forget_ended(connection, 60_000, 2) == 1
        assert store.forget_ended(connection, 60_000, 2) == 0
    with database.read() as connection:
        assert {job.id for job in list_jobs(connection)} == {recent, waiting}
        assert set(connection.execute(select(job_steps.c.job_id)).scalars()) == {recent}


def test_a_job_that_another_runs_is_followed_to_its_end(database: Database) -> None:
    released = threading.Event()

    def slow(context: Context) -> None:
        assert released.wait(20)

    saga = Saga("slow", [Step("only", slow)])
    job = begin(database, saga)
    seen: list[JobState] = []

    def on_look(looked: Job) -> None:
        seen.append(looked.state)
        released.set()

    with working(database, saga):
        wait_for(lambda: look(database, job.id).state is JobState.RUNNING)
        job = run_until_done(database, [saga], job.id, OPTIONS, on_look=on_look)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1)
    assert seen[0] is JobState.RUNNING
    assert seen[-1] is JobState.COMPLETED
    with pytest.raises(NotFound):
        run_until_done(database, [saga], "j0", OPTIONS)


def test_an_interrupted_command_gives_its_job_back_and_goes_on_when_given_again(database: Database) -> None:
    def chunks(context: Context) -> None:
        for number in range((context.state or 0) + 1, 3):
            with context.transaction() as connection:
                write(context, connection, f"chunk {number}")
                context.checkpoint(connection, number)
            if number == 1:
                context.pause(20)

    def interrupt(job: Job) -> None:
        if job.steps:
            raise KeyboardInterrupt

    saga = Saga("long", [Step("append", chunks)])
    job = begin(database, saga)
    with pytest.raises(KeyboardInterrupt):
        run_until_done(database, [saga], job.id, OPTIONS, on_look=interrupt)
    assert look(database, job.id).worker is None
    job = run_until_done(database, [saga], job.id, OPTIONS)
    assert (job.state, entries(database, job.id)) == (JobState.COMPLETED, ["chunk 1", "chunk 2"])


def test_counters_are_kept_between_transactions_too(database: Database) -> None:
    def count(context: Context) -> None:
        deadline = time.monotonic() + 10
        rows = 0
        while look(database, context.job_id).progress == {}:
            assert time.monotonic() < deadline
            rows += 1
            context.progress(rows=rows)

    assert run(database, Saga("count", [Step("only", count)])).progress["rows"] > 0


def test_what_happens_to_jobs_is_counted(database: Database) -> None:
    kind = "counted_" + database.dialect + str(time.time_ns())
    saga = Saga(kind, [Step("only", lambda c: None if c.tries == 2 else fails(OSError("x"))(c), retry=QUICK)])
    begin(database, saga)
    assert claimed(database, saga, lease_ms=0) is not None
    with working(database, saga):
        wait_for(lambda: f'okf_jobs_ended_total{{kind="{kind}",state="completed"}} 1.0' in render_metrics().decode())
    shown = render_metrics().decode()
    assert f'okf_job_takeovers_total{{kind="{kind}"}} 1.0' in shown
    assert f'okf_job_retries_total{{kind="{kind}",step="only"}} 1.0' in shown
    assert f'okf_jobs_running{{kind="{kind}"}} 0.0' in shown
    job = begin(database, saga)
    with database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(due_at=jobs.c.due_at - 5000))
        assert 5000 <= store.oldest_waiting_ms(connection) < 60_000


def test_a_worker_needs_a_connection_for_each_thread_and_two_more(database: Database) -> None:
    with pytest.raises(InvalidOption, match="19 jobs at a time need 21 database connections"):
        run_worker(database, [], threading.Event(), WorkerOptions(threads=19))


# PostgreSQL alone


def test_a_notification_wakes_a_worker_long_before_it_would_look(postgresql: Postgres) -> None:
    database = connect(postgresql.app_url(), LIMITS)
    saga = Saga("woken", [Step("only", doing("x"))])
    try:
        with working(database, saga, options=WorkerOptions(lease_ms=600_000, poll_ms=25_000)):
            until = time.monotonic() + 15
            while time.monotonic() < until:  # the first few looks are close together, the tenth is far off
                job = begin(database, saga)
                wait_for(lambda job=job: look(database, job.id).state.ended, 15)
                if datetime.now(UTC) - job.created_at < timedelta(seconds=1):
                    break
            began = time.monotonic()
            ids = [begin(database, saga).id for _ in range(3)]
            wait_for(lambda: all(look(database, job_id).state.ended for job_id in ids))
            assert time.monotonic() - began < 5
    finally:
        database.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_claim_finds_its_job_by_the_index_of_due_ones(dialect: str, postgresql: Postgres, tmp_path: Path) -> None:
    url = postgresql.url() if dialect == "postgresql" else f"sqlite:///{tmp_path / 'plan.sqlite3'}"
    database = connect(url, LIMITS)
    saga = Saga("one", [Step("only", doing("x"))])
    try:
        with database.write() as connection:
            metadata.create_all(connection)
            connection.execute(delete(jobs))
            row = dict(
                connection.execute(
                    select(jobs).where(jobs.c.id == start(connection, saga, {}, project="shop", bucket=7).job.id)
                )
                .one()
                ._mapping
            )
            many = [row | {"id": f"j{n}", "state": "completed", "due_at": None, "ended_at": 1} for n in range(5000)]
            connection.execute(insert(jobs), many)
            connection.exec_driver_sql("ANALYZE jobs")
            explain = "EXPLAIN" if dialect == "postgresql" else "EXPLAIN QUERY PLAN"
            wanted = select(jobs).where(store._due(connection, ["one"], None)).order_by(jobs.c.due_at).limit(1)
            shown = str(wanted.compile(connection, compile_kwargs={"literal_binds": True}))
            plan = "\n".join(str(line) for line in connection.exec_driver_sql(f"{explain} {shown}"))
        assert "jobs_due" in plan
    finally:
        database.close()


def test_a_saga_that_is_not_revocable_cannot_be_cancelled_from_its_start_on(database: Database) -> None:
    saga = Saga("erase", [Step("first", fails(InvalidInput("why"))), Step("last", doing("last"))], revocable=False)
    job = begin(database, saga)
    with database.write() as connection, pytest.raises(Conflict, match="passed the point of no return"):
        cancel(connection, job.id)
    job = run_until_done(database, [saga], job.id, OPTIONS)
    assert (job.state, job.step) == (JobState.STUCK, "first")
    with pytest.raises(ValueError, match="none of its steps is ever undone"):
        Saga("erase", [Step("first", doing("first"), undoing("first"))], revocable=False)


def test_jobs_that_were_made_before_another_are_erased_by_their_ids(database: Database) -> None:
    saga = Saga("any", [Step("first", doing("first"))])
    earlier = [begin(database, saga).id for _ in range(3)]
    newest = max(look(database, job_id).created_at for job_id in earlier)
    wait_for(lambda: datetime.now(UTC) - newest > timedelta(milliseconds=50))
    one = begin(database, saga)
    begin(database, saga)
    with database.write() as connection:
        assert made_before(connection, one.id) == sorted(earlier)
        assert made_before(connection, one.id, after=sorted(earlier)[1]) == [max(earlier)]
        assert store.erase(connection, "other", earlier) == 0
        assert store.erase(connection, one.project, earlier[:2]) == 2
        assert made_before(connection, one.id) == earlier[2:]
