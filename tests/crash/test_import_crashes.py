"""An import whose process is killed at any moment ends as if it had not been, row for row."""

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import select

from omnikeywords import workflows
from omnikeywords.catalog.migrate import migrate
from omnikeywords.catalog.tables import events, imports, keywords, marks, observations, parked, rejects
from omnikeywords.db import connect
from omnikeywords.jobs import crash_points, list_jobs
from tests.servers.postgres import Postgres, postgres

ROOT = Path(__file__).parents[2]
ROWS = 3000  # six chunks, see tests.crash.commands
SEED = 20261125
# Of a second run of the same import nothing else may differ: ids that are made up, and times.
_MADE_UP = {"bucket", "import_id", "job_id", "created_at", "updated_at", "recorded_at", "started_at", "ended_at"}
_COMPARED = (keywords, observations, imports, rejects, marks, parked)


def keywords_file(rows: int = ROWS) -> bytes:
    """Keywords that repeat, in two markets, some of them near-duplicates, some lines that cannot be taken."""
    dice = random.Random(SEED)
    words = ["boot", "boots", "winter", "cheap", "women", "waterproof", "botas", "de", "inverno", "preço", "tênis"]
    lines = ["keyword,country,volume,kd,cpc,currency,url,note"]
    for i in range(rows):
        phrase = " ".join(dice.sample(words, dice.randint(1, 4))) if i % 97 else ""
        volume = dice.choice(["", "0", str(dice.randint(1, 9999))])
        lines.append(f"{phrase},{dice.choice(['br', 'us'])},{volume},{dice.randint(0, 99)},0.5,EUR,/{i % 7},n{i}")
    return "\n".join(lines).encode()


class Commands:
    """The parent of the processes that are killed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, place: "Place", asked: Mapping[str, Any], **settings: str) -> tuple[int, float]:
        """Have it done; returns how it ended (negative: the signal) and the seconds that it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        given = {"OKF_DATABASE_URL": place.url, "OKF_JOB_LEASE_MS": "1000", "OKF_JOB_POLL_MS": "20", **settings}
        self._process.stdin.write(json.dumps({**asked, "settings": given}) + "\n")
        self._process.stdin.flush()
        code, seconds = json.loads(self._process.stdout.readline())
        return code, seconds


@contextmanager
def commands() -> Iterator[Commands]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crash.commands"],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Commands(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


class Place:
    """A database and the file that is imported into it."""

    def __init__(self, url: str, file: Path) -> None:
        self.url = url
        self.file = file
        self.database = connect(url)

    @property
    def importing(self) -> Mapping[str, Any]:
        return {"args": ["import", str(self.file), "--project", "shop", "-q"]}

    def phase(self) -> str:
        """Where the import is: the step that its job is at, and whether it is done."""
        with self.database.read() as connection:
            found = list_jobs(connection)
        if not found:
            return "before it was accepted"
        return "after it was completed" if found[0].state.ended else f"{found[0].step}"

    def final(self) -> dict[str, Any]:
        """Everything that is kept, without what is made up anew each time."""
        kept: dict[str, Any] = {}
        with self.database.read() as connection:
            ids = connection.execute(select(imports.c.import_id)).scalars().all()
            kept["job states"] = [job.state.value for job in list_jobs(connection)]
            for table in _COMPARED:
                columns = [column for column in table.columns if column.name not in _MADE_UP]
                found = connection.execute(select(*columns).order_by(*table.primary_key))
                kept[table.name] = [_named(ids, row) for row in found]
            facts = select(events.c.position, events.c.type, events.c.version, events.c.data).order_by(
                *events.primary_key
            )
            kept["events"] = [tuple(row) for row in connection.execute(facts)]
        return kept


def _named(ids: Sequence[str], row: Any) -> tuple[Any, ...]:
    values = []
    for value in row:
        for number, import_id in enumerate(ids):
            if isinstance(value, str):
                value = value.replace(import_id, f"import{number}")
        values.append(value)
    return tuple(values)


class Places:
    """Makes databases of a kind, each with its tables."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._number = 0
        self._server: Postgres | None = None
        self.file = folder / "keywords.csv"
        self.file.write_bytes(keywords_file())
        self._template = folder / "template.sqlite3"
        opened = connect(f"sqlite:///{self._template}")
        migrate(opened)
        opened.close()

    @contextmanager
    def new(self, kind: str) -> Iterator[Place]:
        self._number += 1
        path = self._folder / f"{self._number}.sqlite3"
        if kind == "sqlite":
            shutil.copy(self._template, path)
            place = Place(f"sqlite:///{path}", self.file)
        else:
            if self._server is None:
                self._server = self._stack.enter_context(postgres(15))
            name = self._server.new_database(f"crash_{self._number}")
            owner = connect(self._server.url(name))
            migrate(owner, app_role="okf_app")
            owner.close()
            place = Place(self._server.app_url(name), self.file)
        try:
            yield place
        finally:
            place.database.close()
            for left in self._folder.glob(f"{self._number}.sqlite3*"):
                left.unlink()


class Proof:
    """Kills imports, lets them go on, and compares."""

    def __init__(self, places: Places, killer: Commands) -> None:
        self.places = places
        self.killer = killer
        self._expected: Callable[[str], tuple[dict[str, Any], float]] = cache(self._unkilled)

    def _unkilled(self, kind: str) -> tuple[dict[str, Any], float]:
        with self.places.new(kind) as place:
            code, seconds = self.killer.run(place, place.importing)
            assert code == 0
            return place.final(), seconds

    def seconds(self, kind: str) -> float:
        """How long an import takes that nobody kills."""
        return self._expected(kind)[1]

    def killed(self, kind: str, *, by: str = "import", after: float | None = None, at: str | None = None) -> str:
        """Kill an import, after some seconds or at a named point, and let it go on; returns the phase that was hit.

        `by` is who brings it: the command itself, or a processor after the command accepted it.
        """
        with self.places.new(kind) as place:
            asked = dict(place.importing)
            if by == "processor":
                assert self.killer.run(place, {"args": [*asked["args"], "--no-wait"]})[0] == 0
                asked = {"process": True}
            settings = {"OKF_CRASH_AT": at} if at else {}
            code, _ = self.killer.run(place, asked if after is None else {**asked, "kill_after": after}, **settings)
            assert code == -signal.SIGKILL or (at is None and code == 0), f"it ended by {code}"
            phase = place.phase() if code else "after it had ended"
            assert self.killer.run(place, asked)[0] == 0
            final, expected = place.final(), self._expected(kind)[0]
            for name, rows in expected.items():
                assert final[name] == rows, f"{name} differs, killed at {at or after} in phase {phase!r} on {kind}"
            return phase


@contextmanager
def proving() -> Iterator[Proof]:
    memory = Path("/dev/shm")  # where the system has it: processes are killed here, never the machine
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=memory if memory.is_dir() else None)))
        killer = stack.enter_context(commands())
        yield Proof(Places(folder, stack), killer)


@pytest.fixture(scope="module")
def proof() -> Iterator[Proof]:
    with proving() as made:
        yield made


# Each point that an import passes, with a passage of it in the midst of things.
POINTS = {
    "jobs.start.after_insert": 1,
    "worker.claim.before_commit": 1,
    "worker.claim.after_commit": 1,
    "saga.step.before_do": 3,
    "saga.step.after_do": 3,
    "saga.step.before_commit": 3,
    "saga.step.after_commit": 4,
    "saga.transaction.begun": 4,
    "saga.checkpoint.before_commit": 3,
    "saga.checkpoint.after_commit": 3,
    "saga.pivot.before_commit": 1,
    "saga.pivot.after_commit": 1,
    "saga.end.before_commit": 1,
    "saga.end.after_commit": 1,
    "import.accepted": 1,
    "import.validated": 1,
    "import.chunk.read": 4,
    "import.chunk.appended": 2,
    "import.completed": 1,
    "import.followed": 1,
    "import.grouped": 1,
}
ELSEWHERE = {"import.withdrawn", "derive.part.written", "derive.completed"}  # see below


def test_every_point_of_an_import_is_passed() -> None:
    assert workflows.CHUNK > 0
    ours = {point for point in crash_points() if point.split(".")[0] in ("import", "derive")}
    assert ours == {point for point in POINTS if point.startswith("import.")} | ELSEWHERE


@pytest.mark.parametrize("point", POINTS)
def test_an_import_killed_at_a_point_ends_as_if_it_had_not_been(proof: Proof, point: str) -> None:
    proof.killed("sqlite", at=f"{point}:{POINTS[point]}")


@pytest.mark.parametrize("point", [point for point in POINTS if point.startswith("import.")])
def test_an_import_killed_at_a_point_on_postgresql_ends_as_if_it_had_not_been(proof: Proof, point: str) -> None:
    by = "import" if point in ("import.validated", "import.chunk.read") else "processor"
    proof.killed("postgresql", by=by, at=f"{point}:{POINTS[point]}")


@pytest.mark.parametrize(("kind", "by"), [("sqlite", "import"), ("sqlite", "processor"), ("postgresql", "processor")])
def test_an_import_killed_at_any_time_ends_as_if_it_had_not_been(proof: Proof, kind: str, by: str) -> None:
    dice = random.Random(f"{SEED}/{kind}/{by}")
    for _ in range(3):
        proof.killed(kind, by=by, after=dice.uniform(0, proof.seconds(kind)))
