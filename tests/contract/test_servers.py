"""Several PostgreSQL servers: who holds what, moves under live writes, servers and regions that go their own way."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from omnikeywords import fleet
from omnikeywords.catalog import erasing, follow, homes, log, marks, moving, placement
from omnikeywords.catalog import uploads as uploads_of
from omnikeywords.catalog.homes import bucket_of, hashed
from omnikeywords.catalog.migrate import migrate
from omnikeywords.catalog.placement import FIRST, Placement, Server, balance, list_moves
from omnikeywords.catalog.tables import erasures, events, keywords, observations, uploads
from omnikeywords.db import Connection, connect
from omnikeywords.errors import (
    BucketMoved,
    Conflict,
    DatabaseBusy,
    DatabaseUnavailable,
    InvalidOption,
    InvalidSetting,
    NotFound,
)
from omnikeywords.fleet import Fleet
from omnikeywords.jobs import JobState, run_until_done, status
from omnikeywords.settings import Settings
from omnikeywords.workflows import ImportRequest, Workflows
from tests.catalogue import Catalogue, table_of
from tests.servers.postgres import Postgres, postgres

CSV = b"keyword,volume\nrunning shoes,100\nshoes for running,40\ntrail shoes,30\n"


# ---- placement alone


def placed(**regions: int) -> Placement:
    """The first server in region 0, and others by name."""
    there = {FIRST: Server(FIRST, "r0", 0)}
    return Placement(there | {name: Server(name, f"r{number}", number) for name, number in regions.items()})


def after(known: Placement, region: str) -> Placement:
    return Placement(known.servers, {**known.elsewhere, **dict(balance(known, region))}, known.book)


def test_a_new_region_begins_with_buckets_of_its_own() -> None:
    known = placed(eu=1)
    assert known.buckets(FIRST) == list(range(256))
    assert known.buckets("eu") == list(range(256, 512))


def test_servers_of_a_region_come_to_hold_alike_many_buckets() -> None:
    known = after(placed(b=0, c=0), "r0")
    assert [len(known.buckets(name)) for name in (FIRST, "b", "c")] == [86, 85, 85]


def test_a_fourth_server_is_given_its_share_and_nothing_else_moves() -> None:
    three = after(placed(b=0, c=0), "r0")
    four = Placement({**three.servers, "d": Server("d", "r0", 0)}, three.elsewhere)
    moves = balance(four, "r0")
    assert len(moves) == 64
    assert {server for _, server in moves} == {"d"}
    assert [len(after(four, "r0").buckets(name)) for name in (FIRST, "b", "c", "d")] == [64, 64, 64, 64]


def test_nothing_moves_where_all_hold_alike() -> None:
    assert balance(after(placed(b=0, c=0), "r0"), "r0") == []
    assert balance(placed(), "r0") == []


def test_balancing_one_region_leaves_the_others_alone() -> None:
    moves = balance(placed(b=0, eu=1, eu2=1), "r1")
    assert {bucket // 256 for bucket, _ in moves} == {1}
    assert {server for _, server in moves} == {"eu2"}
    with pytest.raises(InvalidOption, match="no server is in region 'mars': use r0 or r1"):
        balance(placed(eu=1), "mars")


def test_a_name_gives_the_same_bucket_for_ever() -> None:
    # Whoever changes these loses every project.
    assert [hashed(name) for name in ("default", "shop", "loja")] == [57, 234, 202]
    assert hashed("shop", 2) == 512 + 234


# ---- with real servers


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Postgres]]:
    with ExitStack() as running:
        yield [running.enter_context(postgres(15)) for _ in range(3)]


_numbers = itertools.count(1)


class Spread:
    """A fleet over three new databases, one a server: `first`, `second`, and `far` in another region."""

    def __init__(self, servers: list[Postgres]) -> None:
        name = f"fleet_{next(_numbers)}"
        for server in servers:
            server.new_database(name)
            owner = connect(server.url(name))
            migrate(owner, app_role="okf_app")
            owner.close()
        urls = [server.app_url(name) for server in servers]
        self.environ = {
            "OKF_DATABASE_URL": urls[0],
            "OKF_DATABASE_SERVERS": f"second={urls[1]}, far={urls[2]}",
            "OKF_REGION": "here",
            "OKF_DATABASE_CONNECTIONS": "12",
            "OKF_LOCK_TIMEOUT_MS": "30000",
        }
        self.fleet = self.open()
        self.fleet.add_server("second", "here")
        self.fleet.add_server("far", "there")

    def open(self) -> Fleet:
        """As another process would."""
        settings = Settings.load(self.environ)
        return Fleet(connect(self.environ["OKF_DATABASE_URL"]), settings, settled=0.0)

    def catalogue(self, project: str) -> Catalogue:
        """A project where it lies now."""
        server = self.fleet.server_of(project).name
        return Catalogue(self.fleet.at(project), project, self.fleet.workflows(server).model)


@pytest.fixture
def spread(servers: list[Postgres]) -> Iterator[Spread]:
    made = Spread(servers)
    yield made
    made.fleet.close()
    homes.learn({})


def test_projects_lie_where_their_buckets_do(spread: Spread) -> None:
    names = [f"p{i}" for i in range(8)]
    ours = {bucket_of(name) for name in names}
    for bucket, server in balance(spread.fleet.placement(), "here"):
        if bucket in ours:  # the others are as empty as these
            spread.fleet.move(bucket, server, "ana")
    for name in names:
        catalogue = spread.catalogue(name)
        catalogue.create()
        catalogue.bring("i1", CSV)
    held = {server: set() for server in ("first", "second")}
    for server in held:
        with spread.fleet.database(server).read() as connection:
            held[server] = set(connection.execute(select(keywords.c.project)).scalars())
    assert held["first"] | held["second"] == set(names)
    assert held["first"] & held["second"] == set()
    assert all(spread.fleet.server_of(name).name == server for server in held for name in held[server])
    assert min(map(len, held.values())) >= 1


def test_a_bucket_that_moves_under_live_writes_loses_and_doubles_nothing(spread: Spread) -> None:
    spread.catalogue("shop").create()
    spread.catalogue("shop").bring("i0", CSV)
    stop = threading.Event()
    acknowledged: list[str] = []
    refused: list[str] = []
    troubles: list[BaseException] = []

    def write(writer: int) -> None:
        for n in itertools.count():
            if stop.is_set():
                return
            name = f"i{writer}x{n}"
            try:
                catalogue = spread.catalogue("shop")
                with catalogue.database.write("shop") as connection:
                    done = log.append(
                        connection,
                        bucket_of("shop"),
                        "shop",
                        [log.NewEvent(f"keyword/{name}", "keyword.tagged", {"tags": [name], "corrected": {}})],
                        actor="ana",
                        idempotency_key=name,
                    )
                    marks.apply(connection, done.events[0])
                acknowledged.append(name)
                time.sleep(0.05)
            except DatabaseBusy:  # BucketMoved, or one that waited too long before it
                refused.append(name)
                time.sleep(0.02)
            except BaseException as error:
                troubles.append(error)
                return

    def follow() -> None:
        while not stop.is_set():
            try:
                spread.catalogue("shop").follow()
            except DatabaseBusy:
                time.sleep(0.02)

    crowd = [threading.Thread(target=write, args=(i,)) for i in range(4)] + [threading.Thread(target=follow)]
    for one in crowd:
        one.start()
    try:
        time.sleep(0.5)
        before = len(acknowledged)
        spread.fleet.move(bucket_of("shop"), "second", "ana")
        while len(acknowledged) < before + 60 and not troubles:
            time.sleep(0.02)
    finally:
        stop.set()
        for one in crowd:
            one.join()
    assert not troubles
    assert spread.fleet.server_of("shop").name == "second"
    with spread.fleet.at("shop").read() as connection:
        there = log.read(connection, bucket_of("shop"), 0, 100_000)
    assert [event.position for event in there] == list(range(1, len(there) + 1))
    tags = [event.payload["tags"][0] for event in there if event.type == "keyword.tagged"]
    assert sorted(tags) == sorted(acknowledged)
    for table in (events, keywords, observations, uploads):
        assert table_of(spread.fleet.first, table, "shop", set()) == []
    catalogue = spread.catalogue("shop")
    catalogue.follow()
    catalogue.regroup()
    moved = catalogue.rows()
    catalogue.rebuild()
    catalogue.regroup()
    assert catalogue.rows() == moved
    assert len(moved["keywords"]) == 3


def test_what_was_erased_while_it_moved_is_erased_where_it_went(spread: Spread) -> None:
    catalogue = spread.catalogue("shop")
    catalogue.create()
    catalogue.bring("i1", CSV)
    source, target = catalogue.database, spread.fleet.database("second")
    moving.arrive(target, catalogue.bucket)
    moving.copy_log(source, target, catalogue.bucket)
    workflows = Workflows(source)
    with source.write("shop") as connection:
        workflows.delete_import(connection, "shop", "i1", "not wanted", "ana")
    catalogue.run_jobs(workflows)
    spread.fleet.move(catalogue.bucket, "second", "ana")
    with target.read() as connection:
        types = [event.type for event in log.read(connection, catalogue.bucket, 0)]
    assert types == ["project.created", "erased", "erased", "erased", "import.withdrawn"]
    assert spread.catalogue("shop").rows()["keywords"] == []


@pytest.mark.parametrize("copied", [True, False], ids=["copied before", "copied then"])
def test_a_project_that_was_deleted_is_erased_where_its_bucket_goes_meanwhile(spread: Spread, copied: bool) -> None:
    catalogue = spread.catalogue("shop")
    bucket, source, target = catalogue.bucket, catalogue.database, spread.fleet.database("second")
    catalogue.create()
    catalogue.bring("i1", CSV)
    shoes = catalogue.rows()["keywords"][0][0]
    with source.write("shop") as connection:
        marks.put(connection, "shop", shoes, "ana", tags=["old"])
    if copied:
        moving.arrive(target, bucket)
        moving.copy_log(source, target, bucket)
        Catalogue(target, "shop").follow()
    catalogue.delete()
    with source.read() as connection:
        deletion = log.head(connection, bucket)
    catalogue.create()
    catalogue.bring("i2", b"keyword\nblue shoes\nrunning shoes\n")
    for _ in range(2):  # one import, and what was said of its keyword
        part = next(erasing.parts(source, bucket, "shop", deletion))
        with source.write("shop") as connection:
            part(connection)
    spread.fleet.move(bucket, "second", "ana")
    moved = spread.catalogue("shop")
    moved.follow()
    assert [row["keyword"] for row in moved.page(order="keyword").keywords] == ["blue shoes", "running shoes"]
    moved.run_jobs(Workflows(target))
    assert [row["keyword"] for row in moved.page(order="keyword").keywords] == ["blue shoes", "running shoes"]
    assert {name: len(rows) for name, rows in moved.rows().items()} == {"keywords": 2, "observations": 2, "marks": 0}
    with target.read() as connection:
        types = [event.type for event in log.read(connection, bucket, 0)]
        assert follow.parked_events(connection) == []
        assert connection.execute(select(erasures)).all() == []
    assert types[:deletion] == ["erased"] * (deletion - 1) + ["project.deleted"]
    assert types[deletion:] == ["project.created", "import.started", "import.rows_appended", "import.completed"]


@pytest.mark.parametrize("at", ["copy", "switch", "purge"])
def test_a_move_that_was_interrupted_goes_on(spread: Spread, at: str) -> None:
    catalogue = spread.catalogue("shop")
    catalogue.create()
    catalogue.bring("i1", CSV)

    def interrupt(step: str) -> None:
        if step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spread.fleet.move(catalogue.bucket, "second", "ana", on_step=interrupt)
    spread.catalogue("shop").bring("i2", b"keyword\nblue shoes\n")
    with pytest.raises(Conflict, match="is on its way to 'second': let that end first"):
        spread.fleet.move(catalogue.bucket, "far", "ana", leave_region="a law")
    spread.fleet.move(catalogue.bucket, "second", "ana")
    now = spread.catalogue("shop")
    assert now.database is spread.fleet.database("second")
    assert [row[1] for row in sorted(now.rows()["keywords"], key=lambda row: row[1])] == [
        "blue shoes",
        "running shoes",
        "shoes for running",
        "trail shoes",
    ]
    assert table_of(catalogue.database, events, "shop", set()) == []


def test_a_bucket_can_go_and_come_back(spread: Spread) -> None:
    catalogue = spread.catalogue("shop")
    catalogue.create()
    catalogue.bring("i1", CSV)
    catalogue.regroup()
    before = catalogue.rows()
    spread.fleet.move(catalogue.bucket, "second", "ana")
    spread.fleet.move(catalogue.bucket, FIRST, "ana")
    assert spread.catalogue("shop").database is spread.fleet.first
    assert spread.catalogue("shop").rows() == before
    spread.catalogue("shop").bring("i2", b"keyword\nblue shoes\n")


def test_an_import_goes_on_where_its_bucket_went(spread: Spread) -> None:
    catalogue = spread.catalogue("shop")
    catalogue.create()
    workflows = spread.fleet.workflows(FIRST)
    with catalogue.database.write("shop") as connection:
        uploads_of.keep_part(connection, "shop", "i1", 0, CSV)
        _, job = workflows.start_import(connection, ImportRequest("shop", "i1", "k.csv", "digest"))
    spread.fleet.move(catalogue.bucket, "second", "ana")
    with pytest.raises(NotFound), spread.fleet.first.read() as connection:
        status(connection, job.id)
    there = spread.fleet.database("second")
    done = run_until_done(there, spread.fleet.workflows("second").sagas, job.id)
    assert done.state is JobState.COMPLETED
    assert len(spread.catalogue("shop").rows()["keywords"]) == 3


def test_who_writes_where_a_bucket_was_is_told(spread: Spread) -> None:
    catalogue = spread.catalogue("shop")
    catalogue.create()
    spread.fleet.move(catalogue.bucket, "second", "ana")
    with pytest.raises(BucketMoved, match=f"bucket {catalogue.bucket} lies on another server since a moment ago"):
        catalogue.start("i1")
    with pytest.raises(BucketMoved), catalogue.database.write("shop") as connection:
        uploads_of.keep_part(connection, "shop", "i1", 0, CSV)
    with pytest.raises(BucketMoved):
        catalogue.follow()


def test_one_server_down_concerns_nobody_else(spread: Spread, servers: list[Postgres]) -> None:
    there, gone = spread.catalogue("shop"), spread.catalogue("loja")
    assert there.bucket != gone.bucket
    for catalogue in (there, gone):
        catalogue.create()
    spread.fleet.move(gone.bucket, "second", "ana")
    servers[1].stop(signal.SIGQUIT)
    try:
        there.bring("i1", CSV)
        assert len(there.rows()["keywords"]) == 3
        with pytest.raises(DatabaseUnavailable):
            spread.catalogue("loja").start("i1")
    finally:
        servers[1].start()
    spread.catalogue("loja").bring("i1", CSV)


def test_what_lies_where_is_remembered_while_the_first_server_is_away(spread: Spread, servers: list[Postgres]) -> None:
    gone = spread.catalogue("loja")
    gone.create()
    spread.fleet.move(gone.bucket, "second", "ana")
    servers[0].stop(signal.SIGQUIT)
    try:
        spread.fleet._asked = float("-inf")
        spread.catalogue("loja").bring("i1", CSV)
    finally:
        servers[0].start()
    assert len(spread.catalogue("loja").rows()["keywords"]) == 3


def test_nobody_waits_to_hear_again_what_lies_where(spread: Spread, monkeypatch: pytest.MonkeyPatch) -> None:
    known = spread.fleet.placement()
    asked, answered = threading.Event(), threading.Event()

    def load(connection: Connection, region: str) -> Placement:
        asked.set()
        assert answered.wait(30)
        return placement.load(connection, region)

    monkeypatch.setattr(fleet, "placement", SimpleNamespace(load=load))
    monkeypatch.setattr(fleet, "_FRESH", -1.0)
    monkeypatch.setattr(fleet, "_LATE", 1e9)
    try:
        assert spread.fleet.placement() is known
        assert asked.wait(30)
        assert spread.fleet.placement() is known, "the first server hangs"
    finally:
        answered.set()
    until = time.monotonic() + 30
    while spread.fleet.placement() is known:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_bucket_leaves_its_region_only_by_a_command_that_says_why(spread: Spread) -> None:
    bucket = spread.catalogue("shop").bucket
    spread.catalogue("shop").create()
    with pytest.raises(InvalidOption, match="would leave region 'here' for 'there': give a reason with --leave-region"):
        spread.fleet.move(bucket, "far", "ana")
    assert spread.fleet.server_of("shop").name == FIRST
    spread.fleet.move(bucket, "far", "ana", leave_region="the customer asked, ticket 7")
    with spread.fleet.first.read() as connection:
        (move,) = list_moves(connection)
    assert (move.bucket, move.source, move.target, move.actor) == (bucket, FIRST, "far", "ana")
    assert (move.reason, move.state) == ("the customer asked, ticket 7", "completed")
    assert spread.fleet.server_of("shop").name == "far"


def test_a_project_is_made_in_its_region_and_every_process_finds_it(spread: Spread) -> None:
    assert spread.fleet.settle("maison", "there") is spread.fleet.database("far")
    catalogue = spread.catalogue("maison")
    catalogue.create()
    assert catalogue.bucket == hashed("maison", 1)
    homes.learn({})
    other = spread.open()
    assert other.at("maison").shown_url == spread.fleet.database("far").shown_url
    other.close()
    with pytest.raises(InvalidOption, match="no server is in region 'mars'"):
        spread.fleet.settle("p2", "mars")


def test_a_large_project_gets_a_bucket_of_its_own(spread: Spread) -> None:
    spread.fleet.settle("big", None, own_bucket=True)
    spread.fleet.settle("large", "there", own_bucket=True)
    assert (spread.fleet.server_of("big").name, spread.fleet.server_of("large").name) == (FIRST, "far")
    assert len({bucket_of("big"), bucket_of("large"), hashed("big"), hashed("large", 1)}) == 4
    spread.catalogue("big").create()
    spread.fleet.move(bucket_of("big"), "second", "ana")
    assert spread.fleet.server_of("big").name == "second"


def test_a_server_without_url_is_not_added(spread: Spread) -> None:
    with pytest.raises(InvalidSetting, match="server 'third' has no URL: name it in OKF_DATABASE_SERVERS"):
        spread.fleet.add_server("third", "here")
    with pytest.raises(Conflict, match="server 'far' was added already"):
        spread.fleet.add_server("far", "here")


def okf(spread: Spread, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OKF_")}
    program = Path(sys.executable).parent / "okf"
    return subprocess.run([program, *words], env=environ | spread.environ, capture_output=True, text=True, check=False)


def test_the_commands_of_servers_do_it(spread: Spread) -> None:
    spread.catalogue("shop").create()
    listed = okf(spread, "servers", "list", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in listed] == [
        {"name": "first", "region": "here", "buckets": 256},
        {"name": "second", "region": "here", "buckets": 0},
        {"name": "far", "region": "there", "buckets": 256},
    ]
    would = okf(spread, "servers", "balance", "--dry-run")
    assert would.stdout.splitlines() == [f"{bucket} second" for bucket in range(128, 256)]
    assert okf(spread, "servers", "where", "shop").stdout == "234 first here\n"
    refused = okf(spread, "servers", "move", "234", "far")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "would leave region 'here' for 'there': give a reason with --leave-region" in refused.stderr
    assert okf(spread, "servers", "move", "234", "far", "--leave-region", "ticket 7").returncode == 0
    assert okf(spread, "servers", "where", "shop").stdout == "234 far there\n"
    (noted,) = map(json.loads, okf(spread, "servers", "moves", "--format", "jsonl").stdout.splitlines())
    assert (noted["source"], noted["target"], noted["reason"]) == ("first", "far", "ticket 7")
    made = okf(spread, "projects", "create", "maison", "--home-region", "there")
    assert made.returncode == 0, made.stderr
    assert okf(spread, "servers", "where", "maison").stdout.split()[1:] == ["far", "there"]
    names = [
        json.loads(line)["name"] for line in okf(spread, "projects", "list", "--format", "jsonl").stdout.splitlines()
    ]
    assert names == ["default", "maison", "shop"]
