"""An import whose process is killed at any moment ends as if it had not been, row for row."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
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

    def expected(self, kind: str) -> dict[str, Any]:
        """What an import leaves that nobody kills."""
        return self._expected(kind)[0]

    def seconds(self, kind: str) -> float:
        """How long an import takes that nobody kills."""
        return self._expected(kind)[1]

    def killed_at_random(self, kind: str, by: str, dice: random.Random) -> str:
        """Kill an import at a time uniform over its run; returns the phase that was hit.

        A run that ends before its time is no kill: another time is drawn.
        """
        while True:
            phase = self.killed(kind, by=by, after=dice.uniform(0, self.seconds(kind)))
            if phase is not None:
                return phase

    def erased(self, kind: str, *, of: str, at: str | None = None, by: str = "command") -> dict[str, Any]:
        """Import twice, delete the project, or the first import `of` it, and let whoever erases it be killed at a named
        point, if one is named, and go on; returns what is left."""
        with self.places.new(kind) as place:
            again = {"args": [*place.importing["args"], "--again"]}
            for asked in (place.importing, again):
                assert self.killer.run(place, asked)[0] == 0
            killing = {"OKF_CRASH_AT": at} if at else {}
            if by == "command":
                with place.database.read() as connection:
                    ids = connection.execute(select(imports.c.import_id).order_by(imports.c.import_id)).scalars().all()
                commands_ = {
                    "project": ["projects", "delete", "shop", "--yes"],
                    "import": ["imports", "delete", ids[0], "--project", "shop"],
                }
                code, _ = self.killer.run(place, {"args": commands_[of]}, **killing)
            else:
                workflows_ = workflows.Workflows(place.database)
                with place.database.write("shop") as connection:
                    workflows_.delete_project(connection, "shop", "ana")
                code, _ = self.killer.run(place, {"process": True}, **killing)
            assert code == (-signal.SIGKILL if at else 0)
            assert self.killer.run(place, {"process": True})[0] == 0
            return place.final()

    def killed(self, kind: str, *, by: str = "import", after: float | None = None, at: str | None = None) -> str | None:
        """Kill an import, after some seconds or at a named point, and let it go on; returns the phase that was hit,
        None where it had ended by then.

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
            phase = place.phase() if code else None
            assert self.killer.run(place, asked)[0] == 0
            final, expected = place.final(), self.expected(kind)
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
# Continuous integration takes the points of imports and some of the others; `make crash` takes all, ten times.
OFTEN = [point for point in POINTS if point.startswith("import.")]
SELDOM = random.Random(SEED).sample([point for point in POINTS if point not in OFTEN], 3)
ELSEWHERE = {"import.withdrawn", "derive.part.written", "derive.completed"}  # see below
# Those that an erasure passes.
ERASING = {
    "erase.followed": 1,
    "erase.jobs.erased": 1,
    "erase.part.erased": 3,
    "erase.completed": 1,
    "saga.checkpoint.before_commit": 3,
    "saga.end.before_commit": 1,
}


def test_every_point_of_an_import_is_passed() -> None:
    ours = {point for point in crash_points() if point.split(".")[0] in ("import", "derive", "erase")}
    assert ours == {*OFTEN, *ELSEWHERE, *(point for point in ERASING if point.startswith("erase."))}


@pytest.mark.parametrize("point", [*OFTEN, *SELDOM])
def test_an_import_killed_at_a_point_ends_as_if_it_had_not_been(proof: Proof, point: str) -> None:
    proof.killed("sqlite", at=f"{point}:{POINTS[point]}")


@pytest.mark.parametrize("point", ["import.validated", "import.chunk.appended", "import.followed"])
def test_an_import_killed_at_a_point_on_postgresql_ends_as_if_it_had_not_been(proof: Proof, point: str) -> None:
    proof.killed("postgresql", by="processor", at=f"{point}:{POINTS[point]}")


@pytest.mark.parametrize(("kind", "by"), [("sqlite", "import"), ("sqlite", "processor"), ("postgresql", "processor")])
def test_an_import_killed_at_any_time_ends_as_if_it_had_not_been(proof: Proof, kind: str, by: str) -> None:
    dice = random.Random(f"{SEED}/{kind}/{by}")
    for _ in range(2):
        proof.killed_at_random(kind, by, dice)


REFUSED = b"page,clicks,impressions\n/a,1,2\n"  # what holds no keywords


def test_an_import_that_was_refused_is_taken_back_although_its_process_is_killed(proof: Proof) -> None:
    with proof.places.new("sqlite") as place:
        place.file = place.file.with_name("pages.csv")
        place.file.write_bytes(REFUSED)
        code, _ = proof.killer.run(place, place.importing, OKF_CRASH_AT="import.withdrawn")
        assert code == -signal.SIGKILL
        assert proof.killer.run(place, {"process": True})[0] == 0
        final = place.final()
        assert (final["job states"], final["keywords"], final["observations"]) == (["failed"], [], [])
        with place.database.read() as connection:
            assert connection.execute(select(imports.c.state)).scalars().all() == ["withdrawn"]


@pytest.mark.parametrize("point", ["derive.part.written", "derive.completed"])
def test_a_project_whose_settings_change_is_derived_whole_although_its_process_is_killed(
    proof: Proof, point: str
) -> None:
    changes = {"args": ["projects", "change", "shop", "--market", "pt-BR", "--brand", "tênis"]}
    ended = []
    for at in ("", point):
        with proof.places.new("sqlite") as place:
            assert proof.killer.run(place, place.importing)[0] == 0
            before = place.final()
            code, _ = proof.killer.run(place, changes, **({"OKF_CRASH_AT": at} if at else {}))
            assert code == (-signal.SIGKILL if at else 0)
            assert proof.killer.run(place, {"process": True})[0] == 0
            ended.append(place.final())
            assert ended[-1]["keywords"] != before["keywords"]
    assert ended[0] == ended[1]


@pytest.fixture(scope="module")
def erased(proof: Proof) -> Callable[[str, str], dict[str, Any]]:
    """What is left of what nobody kills."""
    return cache(lambda kind, of: proof.erased(kind, of=of))


@pytest.mark.parametrize("point", [point for point in ERASING if point.startswith("erase.")])
def test_what_was_deleted_is_erased_whole_although_the_process_is_killed(
    proof: Proof, erased: Callable[[str, str], dict[str, Any]], point: str
) -> None:
    left = proof.erased("sqlite", of="project", at=f"{point}:{ERASING[point]}")
    assert left == erased("sqlite", "project")
    assert {name: len(rows) for name, rows in left.items() if name not in ("job states", "events")} == dict.fromkeys(
        (table.name for table in _COMPARED), 0
    )
    assert {kind for _, kind, _, _ in left["events"]} == {"erased", "project.deleted"}
    assert left["job states"] == ["completed"]


def test_a_deleted_import_is_erased_whole_although_the_process_is_killed(
    proof: Proof, erased: Callable[[str, str], dict[str, Any]]
) -> None:
    assert proof.erased("sqlite", of="import", at="erase.part.erased") == erased("sqlite", "import")


def test_a_processor_that_is_killed_erases_the_rest_on_postgresql_too(
    proof: Proof, erased: Callable[[str, str], dict[str, Any]]
) -> None:
    left = proof.erased("postgresql", of="project", by="processor", at="erase.part.erased:2")
    assert left == erased("postgresql", "project")


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Callable[[int], None]]:
    """A disk of its own for a folder; what is yielded gives it another size."""
    folder.mkdir()

    def mount(*options: str) -> None:
        done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"a small disk needs the right to mount one: run as root ({done.stderr.strip()})")

    mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs")
    try:
        yield lambda size: mount("-o", f"remount,size={size}m")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk; the limit below is tested everywhere")
def test_a_full_disk_is_said_in_one_line_and_the_import_goes_on_when_there_is_space(
    proof: Proof, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 2) as resize:
        place = Place(f"sqlite:///{tmp_path / 'disk' / 'catalogue.sqlite3'}", proof.places.file)
        for size in (1, 2):
            resize(size)
            assert_full(proof, place)
        resize(64)
        assert_goes_on(proof, place)


def test_a_database_that_may_not_grow_is_said_in_one_line_and_the_import_goes_on_when_it_may(
    proof: Proof, tmp_path: Path
) -> None:
    with proof.places.new("sqlite") as place:
        pages = sqlite3.connect(place.url.removeprefix("sqlite:///")).execute("PRAGMA page_count").fetchone()[0]
        for more in (20, 120):
            assert_full(proof, place, most_pages=pages + more)
        assert_goes_on(proof, place)


def assert_full(proof: Proof, place: Place, **limits: int) -> None:
    code, _ = proof.killer.run(place, {**place.importing, **limits, "stderr": str(place.file.with_suffix(".err"))})
    said = place.file.with_suffix(".err").read_text()
    assert code == 1
    assert re.fullmatch(r"okf: database sqlite:\S+ is full: .*: make space on its disk and do it again; .*\n", said)
    assert intact(place)


def assert_goes_on(proof: Proof, place: Place) -> None:
    assert proof.killer.run(place, place.importing)[0] == 0
    assert place.final() == proof.expected("sqlite")
    assert intact(place)
    place.database.close()


def intact(place: Place) -> bool:
    opened = sqlite3.connect(place.url.removeprefix("sqlite:///"))
    try:
        return bool(opened.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    finally:
        opened.close()
