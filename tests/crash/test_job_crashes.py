"""A job whose process is killed at any named point ends completed or wholly compensated, and nothing happens twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import select

from omnikeywords.db import Database, connect
from omnikeywords.errors import InvalidSetting
from omnikeywords.jobs import (
    Job,
    JobState,
    arm_crash_point,
    crash_point,
    crash_points,
    declare_crash_points,
    start,
    status,
)
from omnikeywords.jobs.holder import dead_holders, holder_name
from omnikeywords.jobs.tables import jobs
from tests.crash.driver import HELD, create, ledger
from tests.servers.postgres import postgres

ROOT = Path(__file__).parents[2]

# What must have happened, each line once: (state, entries in order).
FORWARD = ["1 reserve", "1 chunk 1", "1 chunk 2", "1 chunk 3", "1 charge", "1 notify"]
BACK = ["1 reserve", "1 chunk 1", "1 chunk 2", "1 chunk 3", "1 undo chunk 1", "1 undo chunk 2", "1 undo reserve"]
CANCELLED = ["1 reserve", "1 chunk 1", "1 chunk 2", "1 undo chunk 1", "1 undo chunk 2", "1 undo reserve"]
AGAIN = [*BACK, "2 reserve", "2 chunk 1", "2 chunk 2", "2 chunk 3", "2 charge", "2 notify"]
OUTCOMES = {
    "complete": (JobState.COMPLETED, FORWARD),
    "flaky": (JobState.COMPLETED, FORWARD),
    "come back": (JobState.COMPLETED, FORWARD),
    "slow": (JobState.COMPLETED, FORWARD),
    "stuck": (JobState.COMPLETED, FORWARD),
    "fail": (JobState.FAILED, BACK),
    "cancel": (JobState.CANCELLED, CANCELLED),
    "again": (JobState.COMPLETED, AGAIN),
}

# Which scenario passes a point, and how often a run of it does.
PASSAGES = [
    ("jobs.start.after_insert", "complete", 1),
    ("worker.claim.before_commit", "complete", 1),
    ("worker.claim.after_commit", "complete", 1),
    ("saga.step.before_do", "complete", 5),
    ("saga.step.after_do", "complete", 5),
    ("saga.transaction.begun", "complete", 7),
    ("saga.checkpoint.before_commit", "complete", 3),
    ("saga.checkpoint.after_commit", "complete", 3),
    ("saga.step.before_commit", "complete", 5),
    ("saga.step.after_commit", "complete", 5),
    ("saga.pivot.before_commit", "complete", 1),
    ("saga.pivot.after_commit", "complete", 1),
    ("saga.end.before_commit", "complete", 1),
    ("saga.end.after_commit", "complete", 1),
    ("worker.heartbeat.before_commit", "slow", 1),
    ("worker.heartbeat.after_commit", "slow", 1),
    ("worker.give_back.before_commit", "come back", 1),
    ("worker.give_back.after_commit", "come back", 1),
    ("saga.retry.before_commit", "flaky", 1),
    ("saga.retry.after_commit", "flaky", 1),
    ("saga.turn_back.before_commit", "fail", 1),
    ("saga.turn_back.after_commit", "fail", 1),
    ("saga.undo.before_do", "fail", 3),
    ("saga.undo.after_do", "fail", 3),
    ("saga.undo.before_commit", "fail", 3),
    ("saga.undo.after_commit", "fail", 3),
    ("saga.undo_checkpoint.before_commit", "fail", 2),
    ("saga.undo_checkpoint.after_commit", "fail", 2),
    ("saga.end.before_commit", "fail", 1),
    ("saga.end.after_commit", "fail", 1),
    ("saga.park.before_commit", "stuck", 1),
    ("saga.park.after_commit", "stuck", 1),
    ("jobs.resume.after_update", "stuck", 1),
    ("jobs.cancel.after_update", "cancel", 1),
    ("saga.turn_back.after_commit", "cancel", 1),
    ("saga.undo.before_commit", "cancel", 2),
    ("jobs.retry.after_update", "again", 1),
    ("saga.step.after_commit", "again", 6),
]
TWICE = {"worker.takeover.after_commit"}  # passed only by the process that follows a killed one
# The first passage and the last; on PostgreSQL, where a process costs more, the last.
CASES = [
    pytest.param(database, f"{point}:{n}", scenario, id=f"{database} {point}:{n} {scenario}")
    for database in ("sqlite", "postgresql")
    for point, scenario, times in PASSAGES
    for n in sorted({1 if database == "sqlite" else times, times})
]


class Driver:
    """The process that forks those to be killed, and the database in which they leave their traces."""

    def __init__(self, database: Database, process: "subprocess.Popen[str]") -> None:
        self.database = database
        self._process = process

    def ask(self, **asked: Any) -> int:
        """Have it done; answers an exit code (negative: the signal that ended it) or a process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def run(self, case: str, scenario: str, crash_at: str | None = None) -> int:
        return self.ask(do="run", case=case, scenario=scenario, crash_at=crash_at)

    def entries(self, job_id: str) -> list[str]:
        wanted = select(ledger.c.entry).where(ledger.c.job_id == job_id).order_by(ledger.c.id)
        with self.database.read() as connection:
            return list(connection.execute(wanted).scalars())

    def ended(self, case: str) -> tuple[JobState, list[str]]:
        """How the only job of a case ended, and what it did."""
        with self.database.read() as connection:
            row = connection.execute(select(jobs).where(jobs.c.idempotency_key == case)).one()
        assert (row.worker, row.due_at) == (None, None)
        return JobState(row.state), self.entries(row.id)


@contextmanager
def driving(url: str, folder: Path) -> Iterator[Driver]:
    database = connect(url)
    create(database)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crash.driver", url, str(folder)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Driver(database, process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
    database.close()


@pytest.fixture(scope="module")
def drivers() -> Iterator[Callable[[str], Driver]]:
    """One driver for a database, started when it is first asked for."""
    memory = Path("/dev/shm")  # where the system has it: processes are killed here, never the machine
    with ExitStack() as stack:

        @cache
        def started(name: str) -> Driver:
            folder = Path(stack.enter_context(TemporaryDirectory(dir=memory if memory.is_dir() else None)))
            if name == "sqlite":
                url = f"sqlite:///{folder / 'jobs.sqlite3'}"
            else:
                url = stack.enter_context(postgres(15)).url()
            return stack.enter_context(driving(url, folder))

        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def driver(request: pytest.FixtureRequest, drivers: Callable[[str], Driver]) -> Driver:
    return drivers(request.param)


def wait_for(condition: Callable[[], Any], seconds: float = 15) -> Any:
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, "what was waited for did not come"
        time.sleep(0.005)


def test_every_point_is_passed_by_some_case() -> None:
    ours = {point for point in crash_points() if point.split(".")[0] in ("jobs", "worker", "saga")}
    assert {point for point, _, _ in PASSAGES} | TWICE == ours


@pytest.mark.parametrize("scenario", OUTCOMES)
def test_a_job_that_nobody_kills_ends_as_it_should(driver: Driver, scenario: str) -> None:
    case = f"unkilled {scenario}"
    assert driver.run(case, scenario) == 0
    assert driver.ended(case) == OUTCOMES[scenario]


@pytest.mark.parametrize(("driver", "crash_at", "scenario"), CASES, indirect=["driver"])
def test_a_job_killed_at_any_point_ends_as_if_it_had_not_been(driver: Driver, crash_at: str, scenario: str) -> None:
    case = f"{crash_at} {scenario}"
    assert driver.run(case, scenario, crash_at) == -signal.SIGKILL
    assert driver.run(case, scenario) == 0
    assert driver.ended(case) == OUTCOMES[scenario]


def test_a_job_killed_when_it_is_taken_over_ends_all_the_same(driver: Driver) -> None:
    assert driver.run("takeover", "complete", "saga.checkpoint.after_commit:2") == -signal.SIGKILL
    # Freed, because its worker is seen to be dead on this machine; its claim is a takeover nonetheless.
    for _ in range(3):
        assert driver.run("takeover", "complete", "worker.takeover.after_commit") == -signal.SIGKILL
    assert driver.run("takeover", "complete") == 0
    assert driver.ended("takeover") == OUTCOMES["complete"]


def begin_held(driver: Driver, folder: Path) -> str:
    with driver.database.write() as connection:
        return start(connection, HELD, {"folder": str(folder)}, project="shop", bucket=1).job.id


def look(driver: Driver, job_id: str) -> Job:
    with driver.database.read() as connection:
        return status(connection, job_id)


LEASE_MS = 1500


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_the_job_of_a_worker_that_falls_silent_is_taken_over_within_1_2_leases(
    driver: Driver, tmp_path: Path, how: signal.Signals
) -> None:
    # Named, so that the other cannot tell from the process that it is dead: the lease alone decides.
    first = driver.ask(do="work", name="first", lease_ms=LEASE_MS)
    second = None
    try:
        job_id = begin_held(driver, tmp_path)
        wait_for((tmp_path / "waiting").exists)
        second = driver.ask(do="work", name="second", lease_ms=LEASE_MS)
        os.kill(first, how)
        fell_silent = time.monotonic()
        wait_for(lambda: look(driver, job_id).attempt == 2)
        assert time.monotonic() - fell_silent <= 1.2 * LEASE_MS / 1000
        wait_for(lambda: driver.entries(job_id) == ["1 chunk 1", "1 chunk 2", "1 chunk 3"])
        if how is signal.SIGSTOP:
            (tmp_path / "gate").touch()
            os.kill(first, signal.SIGCONT)
            wait_for((tmp_path / "lost").exists)  # it came back, tried to write and was kept from it
        job = wait_for(lambda: (found := look(driver, job_id)).state.ended and found)
        with driver.database.read() as connection:
            wrote = connection.execute(select(ledger.c.attempt, ledger.c.entry).where(ledger.c.job_id == job_id))
            assert [tuple(row) for row in wrote] == [(1, "1 chunk 1"), (2, "1 chunk 2"), (2, "1 chunk 3")]
        assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    finally:
        for pid in (first, second):
            if pid is not None:
                os.kill(pid, signal.SIGKILL)


def test_a_point_that_is_unknown_or_not_counted_is_refused_with_the_list() -> None:
    with pytest.raises(
        InvalidSetting, match=r"names no crash point: use one of ([\w.]+, )*jobs\.cancel\.after_update, "
    ):
        arm_crash_point("saga.nowhere")
    for wrong in ("saga.step.before_do:", "saga.step.before_do:0", "saga.step.before_do:x"):
        if wrong.endswith(":"):
            wrong += "-1"
        with pytest.raises(InvalidSetting, match="counts no passage"):
            arm_crash_point(wrong)
    with pytest.raises(LookupError, match="is not declared"):
        crash_point("saga.nowhere")
    arm_crash_point(None)
    crash_point("saga.step.before_do")


def test_another_part_may_declare_points_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnikeywords.jobs.crash._points", dict(crash_points()))
    declare_crash_points({"import.after_upload": "an upload is whole"})
    arm_crash_point("import.after_upload:2")
    crash_point("import.after_upload")
    arm_crash_point(None)


def test_a_worker_is_dead_only_where_its_process_is_known_to_be() -> None:
    name = holder_name()
    place, pid, start_, _ = name.rsplit("/", 3)
    assert dead_holders([name, "first", "", f"{place}/{pid}/-/1", f"elsewhere/{pid}/0/1"]) == []
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    gone = f"{place}/{process.pid}/{start_}/1"
    reused = f"{place}/{pid}/1/1"
    assert dead_holders([name, gone, reused]) == [gone, reused]
