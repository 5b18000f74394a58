"""Runs sagas in processes of their own, so that a test may kill them: one parent that forks, told line by line.

    run CASE SCENARIO CRASH_AT     start or go on with the job of that case until it has ended; answers how it ended
    work NAME LEASE_MS FOLDER      a worker, until it is killed; answers its process id

Everything that a scenario does is a row of `ledger` in the same database, so that what happened twice is seen.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, Text, insert

from omnikeywords.db import Connection, Database, connect
from omnikeywords.errors import InvalidInput, LeaseLost
from omnikeywords.jobs import (
    Context,
    Job,
    JobState,
    Retry,
    Saga,
    Step,
    WorkerOptions,
    arm_crash_point,
    cancel,
    metadata,
    resume,
    retry,
    run_until_done,
    run_worker,
    start,
    status,
)
from omnikeywords.ops import configure_logs

__all__ = ["HELD", "ORDER", "create", "ledger"]

domain = MetaData()
ledger = Table(
    "ledger",
    domain,
    Column("id", Integer, primary_key=True),
    Column("project", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("entry", Text, nullable=False),
)
OPTIONS = WorkerOptions(lease_ms=300, poll_ms=10)
QUICK = Retry(tries=3, first_s=0.01, most_s=0.01)


def create(database: Database) -> None:
    """Make the tables."""
    with database.write() as connection:
        metadata.create_all(connection)
        domain.create_all(connection)


def _write(context: Context, connection: Connection, entry: str) -> None:
    connection.execute(
        insert(ledger).values(
            project=context.project, job_id=context.job_id, attempt=context.attempt, entry=f"{context.run} {entry}"
        )
    )


def _does(entry: str) -> Callable[[Context], None]:
    def do(context: Context) -> None:
        with context.transaction() as connection:
            _write(context, connection, entry)
            context.record(connection)

    return do


def _counts(entry: str, most: int) -> Callable[[Context], None]:
    def do(context: Context) -> None:
        for number in range((context.state or 0) + 1, most + 1):
            with context.transaction() as connection:
                _write(context, connection, f"{entry} {number}")
                context.checkpoint(connection, number)
            if context.input["scenario"] == "cancel" and entry == "chunk" and number == 2:
                with context._database.write() as connection:
                    cancel(connection, context.job_id)

    return do


def _settle(context: Context) -> None:
    """Fails once, comes back once, then waits for a renewal of its lease."""
    scenario = context.input["scenario"]
    if scenario == "flaky" and context.tries == 1:
        raise OSError("passes")
    if scenario == "come back" and context.state is None:
        with context.transaction() as connection:
            context.checkpoint(connection, "came")
        context.come_back_in(0)
    if scenario == "slow":
        with context._database.read() as connection:
            before = status(connection, context.job_id).due_at
        until = time.monotonic() + 5
        while time.monotonic() < until:
            context.pause(0.02)
            with context._database.read() as connection:
                if status(connection, context.job_id).due_at != before:
                    break


def _charge(context: Context) -> None:
    if context.input["scenario"] in ("fail", "again") and context.run == 1:
        raise InvalidInput("no money")
    _does("charge")(context)


def _notify(context: Context) -> None:
    mended = Path(context.input["folder"]) / context.job_id
    if context.input["scenario"] == "stuck" and not mended.exists():
        raise InvalidInput("no address")
    _does("notify")(context)


ORDER = Saga(
    "order",
    [
        Step("reserve", _does("reserve"), _does("undo reserve")),
        Step("append", _counts("chunk", 3), _counts("undo chunk", 2), retry=QUICK),
        Step("settle", _settle, retry=QUICK),
        Step("charge", _charge, _does("undo charge"), pivot=True),
        Step("notify", _notify, retry=QUICK),
    ],
)


def _held(context: Context) -> None:
    """Appends a chunk, then waits for its gate; a first attempt says whether it lost its lease."""
    folder = Path(context.input["folder"])
    for number in range((context.state or 0) + 1, 4):
        try:
            with context.transaction() as connection:
                _write(context, connection, f"chunk {number}")
                context.checkpoint(connection, number)
        except LeaseLost:
            (folder / "lost").touch()
            raise
        if context.attempt == 1:
            (folder / "waiting").touch()
            until = time.monotonic() + 30
            while not (folder / "gate").exists() and time.monotonic() < until:
                time.sleep(0.01)


HELD = Saga("held", [Step("append", _held)])


def _run(database: Database, case: str, scenario: str, folder: str) -> Job:
    """Go on with a case, however far it is."""
    with database.write("shop") as connection:
        job = start(connection, ORDER, {"scenario": scenario, "folder": folder}, project="shop", bucket=1, key=case).job
    job = run_until_done(database, [ORDER], job.id, OPTIONS)
    if job.state is JobState.STUCK:
        (Path(folder) / job.id).touch()
        with database.write() as connection:
            resume(connection, job.id)
        job = run_until_done(database, [ORDER], job.id, OPTIONS)
    if job.state is JobState.FAILED and scenario == "again":
        with database.write() as connection:
            retry(connection, job.id)
        job = run_until_done(database, [ORDER], job.id, OPTIONS)
    return job


def _fork(act: Callable[[], object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        act()
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def _serve(url: str, folder: str) -> None:
    def run(asked: Mapping[str, Any]) -> None:
        arm_crash_point(asked["crash_at"])
        _run(connect(url), asked["case"], asked["scenario"], folder)

    def work(asked: Mapping[str, Any]) -> None:
        options = WorkerOptions(threads=1, lease_ms=asked["lease_ms"], name=asked["name"])
        run_worker(connect(url), [HELD], threading.Event(), options)

    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "run":
            pid = _fork(lambda asked=asked: run(asked))
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        else:
            answer = _fork(lambda asked=asked: work(asked))
        print(answer, flush=True)


if __name__ == "__main__":
    configure_logs("error", "json")
    _serve(*sys.argv[1:])
