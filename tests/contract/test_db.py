"""Transactions: what they see, how long they wait, and how they fail, on every database."""

import contextlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import column, insert, select, table, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from omnikeywords.catalog.tables import buckets
from omnikeywords.db import Connection, Database, Limits, connect
from omnikeywords.errors import DatabaseBusy, DatabaseUnavailable, InvalidOption, InvalidSetting
from tests.conftest import Place, Places
from tests.servers.ports import free_port
from tests.servers.postgres import Postgres, postgres

SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(30)",
}


def put(connection: Connection, bucket: int, head: int = 0) -> None:
    connection.execute(buckets.insert(), {"bucket": bucket, "head": head})


def put_twice(database: Database, passed_over: type[Exception] = ZeroDivisionError) -> None:
    with database.write() as connection:
        put(connection, 1)
        with contextlib.suppress(passed_over):
            put(connection, 1)


def numbers(connection: Connection) -> list[int]:
    return list(connection.execute(select(buckets.c.bucket).order_by(buckets.c.bucket)).scalars())


# ---- what transactions see and keep


def test_what_a_write_does_is_kept_when_it_ends_and_not_when_it_raises(database: Database) -> None:
    with database.write() as connection:
        put(connection, 1)
    with contextlib.suppress(ZeroDivisionError), database.write() as connection:
        put(connection, 2)
        raise ZeroDivisionError
    with database.read() as connection:
        assert numbers(connection) == [1]


def test_a_read_sees_one_state_while_others_write(database: Database) -> None:
    with database.write() as connection:
        put(connection, 1)
    with database.read() as reader:
        assert numbers(reader) == [1]
        with database.write() as writer:
            put(writer, 2)
        assert numbers(reader) == [1]
    with database.read() as reader:
        assert numbers(reader) == [1, 2]


def test_a_write_sees_what_the_one_it_waited_for_has_kept(database: Database) -> None:
    with database.write() as connection:
        put(connection, 1, head=10)
    held, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with database.write() as connection:
            connection.execute(buckets.update().values(head=buckets.c.head + 1))
            held.set()
            go_on.wait()

    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    threading.Timer(0.05, go_on.set).start()
    with database.write() as connection:
        connection.execute(buckets.update().values(head=buckets.c.head + 1))
        assert connection.execute(select(buckets.c.head)).scalar_one() == 12
    thread.join()


def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"), database.read() as connection:
        put(connection, 1)
    with database.write() as connection:
        assert numbers(connection) == []
        put(connection, 1)


def test_what_breaks_a_constraint_is_told_as_such_and_nothing_is_kept(database: Database) -> None:
    with pytest.raises(IntegrityError):
        put_twice(database)
    with database.read() as connection:
        assert numbers(connection) == []


def test_a_failed_statement_that_is_passed_over_is_never_taken_for_success(places: Places) -> None:
    """PostgreSQL undoes such a transaction at its commit, without a word."""
    database = connect(places.migrated("postgresql15").url)
    with pytest.raises(RuntimeError, match="nothing is kept"):
        put_twice(database, passed_over=IntegrityError)
    with database.read() as connection:
        assert numbers(connection) == []
    database.close()


def test_only_what_can_be_made_again_does_not_wait_for_the_disk(database: Database) -> None:
    asked = {"sqlite": "PRAGMA synchronous", "postgresql": "SHOW synchronous_commit"}[database.dialect]
    for durable, expected in ((True, (2, "on")), (False, (1, "off")), (True, (2, "on"))):
        with database.write(durable=durable) as connection:
            assert connection.execute(text(asked)).scalar_one() in expected


def test_pages_of_a_file_go_to_their_places_outside_the_turn_to_write_and_its_log_stays_small(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 1 << 18
    monkeypatch.setattr("omnikeywords.db._WAL_BYTES", most)
    checkpoint, others = Database._checkpoint, []

    def looked(self: Database, connection: Connection, *, patient: bool) -> None:
        other = sqlite3.connect(f"{self.path}", timeout=0, isolation_level=None)
        others.append(other.execute("BEGIN IMMEDIATE"))
        other.close()
        checkpoint(self, connection, patient=patient)

    monkeypatch.setattr(Database, "_checkpoint", looked)
    database = connect(places.migrated("sqlite").url)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE filler (bytes BLOB)"))
    for durable, longest in ((False, 2 * most), (True, 6 * most)):
        sizes = []
        for _ in range(60):
            with database.write(durable=durable) as connection:
                connection.execute(text("INSERT INTO filler VALUES (zeroblob(50000))"))
            sizes.append(Path(f"{database.path}-wal").stat().st_size)
        assert most < max(sizes) < longest
    assert len(others) == 121
    database.close()


def test_how_much_a_server_waits_for_is_its_operators_choice(places: Places) -> None:
    place = places.migrated("postgresql15")
    database = connect(f"{place.url}?options=-csynchronous_commit%3Dremote_apply")
    with database.write() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "remote_apply"
    database.close()


def test_a_wrong_statement_is_no_fault_of_the_database(database: Database) -> None:
    with pytest.raises(DBAPIError, match="nowhere"), database.read() as connection:
        connection.execute(select(column("x")).select_from(table("nowhere")))
    with pytest.raises(DBAPIError), database.write() as connection:
        connection.execute(insert(buckets), {"bucket": object(), "head": 0})


def test_errors_of_the_drivers_own_connection_are_translated_too(place: Place) -> None:
    database = connect(place.url, Limits(lock_ms=100, statement_ms=100))
    with database.write() as holder:
        put(holder, 1)
        with pytest.raises(DatabaseBusy), database.write() as connection:
            database.raw(connection).execute("INSERT INTO buckets (bucket, head) VALUES (1, 0)")
    database.close()


# ---- projects


def test_a_project_may_have_any_sign_in_its_name_but_not_the_sign_for_all(database: Database) -> None:
    for name in ("it's", "50%", "a\\b", ":x", "%(x)s", "日本"):
        with database.write(name) as connection:
            put(connection, len(numbers(connection)))
            if database.dialect == "postgresql":
                assert connection.execute(text("SELECT current_setting('okf.project')")).scalar_one() == name
    for begin in (database.read, database.write):
        with pytest.raises(InvalidOption, match="is not a name that a project can have"), begin("*"):
            pass


# ---- waiting


@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_statement_that_takes_too_long_is_ended(place: Place, mode: str) -> None:
    database = connect(place.url, Limits(statement_ms=100, connections=1))
    begin = database.read if mode == "read" else database.write
    with pytest.raises(DatabaseBusy, match="a statement took too long: try again in a second"), begin() as connection:
        connection.execute(text(SLOW[database.dialect]))
    with database.read() as connection:
        assert numbers(connection) == []
    with pytest.raises(DatabaseBusy), database.read(statement_ms=50) as connection:
        connection.execute(text(SLOW[database.dialect]))
    database.close()


def test_time_between_statements_is_not_their_time(place: Place) -> None:
    database = connect(place.url, Limits(statement_ms=150))
    with database.read() as connection:
        for _ in range(3):
            assert numbers(connection) == []
            threading.Event().wait(0.1)
    database.close()


def test_a_lock_that_is_not_free_in_time_is_told(place: Place) -> None:
    database = connect(place.url, Limits(lock_ms=100))
    with database.write() as connection:
        put(connection, 1)
    told = r"(not free in time|another process is writing): try again in a second"
    with database.write() as holder:
        holder.execute(buckets.update().values(head=1))
        with pytest.raises(DatabaseBusy, match=told), database.write() as connection:
            connection.execute(buckets.update().values(head=2))
    with database.write() as connection:
        connection.execute(buckets.update().values(head=3))
    database.close()


def test_a_transaction_that_stands_idle_is_ended(places: Places) -> None:
    database = connect(places.migrated("postgresql15").url, Limits(idle_ms=50))

    def stand_idle() -> None:
        with database.write() as connection:
            put(connection, 1)
            threading.Event().wait(0.3)
            put(connection, 2)

    with pytest.raises(DatabaseBusy, match="idle"):
        stand_idle()
    with database.read() as connection:
        assert numbers(connection) == []
    database.close()


def test_two_that_wait_for_each_other_are_told(places: Places) -> None:
    database = connect(places.migrated("postgresql15").url)
    with database.write() as connection:
        put(connection, 1)
        put(connection, 2)
    both = threading.Barrier(2)
    told = []

    def cross(first: int, second: int) -> None:
        try:
            with database.write() as connection:
                connection.execute(buckets.update().where(buckets.c.bucket == first).values(head=1))
                both.wait()
                connection.execute(buckets.update().where(buckets.c.bucket == second).values(head=1))
        except DatabaseBusy as error:
            told.append(str(error))

    threads = [threading.Thread(target=cross, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    assert len(told) == 1
    assert "two transactions waited for each other" in told[0]


def test_connections_of_a_process_are_waited_for_and_then_refused(place: Place) -> None:
    database = connect(place.url, Limits(connections=1, checkout_ms=50))
    refused = pytest.raises(DatabaseBusy, match="every connection of this process is in use")
    with database.read(), refused, database.read():
        pass
    database.close()


def test_forty_clients_share_four_connections_and_nothing_else(places: Places) -> None:
    database = connect(places.migrated("pgbouncer").url, Limits(connections=40, checkout_ms=30_000))
    asked = text("SELECT pg_backend_pid(), current_setting('okf.project'), current_setting('statement_timeout')")

    def ask(i: int) -> list[tuple[int, str, str]]:
        found = []
        for n in range(5):
            with database.read(f"project {i}", statement_ms=20_001 + 2 * i) as connection:
                server, project, timeout = connection.execute(asked).one()
                pause.wait(0.002 * (n % 2))
                assert connection.execute(asked).one() == (server, project, timeout)
            found.append((server, project, timeout))
        return found

    pause = threading.Event()
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(ask, range(40)))
    database.close()
    assert len({server for found in answers for server, _, _ in found}) <= 4
    for i, found in enumerate(answers):
        assert {(project, timeout) for _, project, timeout in found} == {(f"project {i}", f"{20_001 + 2 * i}ms")}


def test_a_server_without_connections_left_is_busy() -> None:
    with postgres(15, {"max_connections": "4", "superuser_reserved_connections": "3"}) as server:
        databases = [connect(server.app_url()) for _ in range(2)]
        with (
            databases[0].read(),
            pytest.raises(DatabaseBusy, match="no connection left: try again"),
            databases[1].read(),
        ):
            pass
        for database in databases:
            database.close()


WRITE_IN_TURN = """
import sys
from sqlalchemy import text
from omnikeywords.db import connect

url, start = sys.argv[1], int(sys.argv[2])
database = connect(url)
for i in range(start, start + 25):
    with database.write() as connection:
        connection.execute(text("INSERT INTO buckets (bucket, head) VALUES (:i, 0)"), {"i": i})
"""


def test_eight_processes_write_one_file_each_in_its_turn(places: Places) -> None:
    place = places.migrated("sqlite")
    processes = [subprocess.Popen([sys.executable, "-c", WRITE_IN_TURN, place.url, f"{i * 1000}"]) for i in range(8)]
    assert [process.wait() for process in processes] == [0] * 8
    database = connect(place.url)
    with database.read() as connection:
        assert numbers(connection) == [i * 1000 + n for i in range(8) for n in range(25)]
    database.close()


# ---- databases that cannot be used


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres(15) as running:
        yield running


def test_a_server_that_stops_is_unavailable_until_it_is_back(server: Postgres) -> None:
    with psycopg.connect(server.url(), autocommit=True) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS kept (n integer); GRANT ALL ON kept TO okf_app")
    database = connect(server.app_url(), Limits(connections=1))
    insertion = text("INSERT INTO kept VALUES (:n)")
    with database.write() as connection:
        connection.execute(insertion, {"n": 1})

    def write_while_it_stops() -> None:
        with database.write() as connection:
            connection.execute(insertion, {"n": 2})
            server.stop()
            connection.execute(insertion, {"n": 3})

    with pytest.raises(DatabaseUnavailable, match=r"cannot be used: ") as told:
        write_while_it_stops()
    assert "app-secret" not in str(told.value)
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1"), database.read():
        pass
    server.start()
    with database.write() as connection:
        connection.execute(insertion, {"n": 4})
    with database.read() as connection:
        assert list(connection.execute(text("SELECT n FROM kept")).scalars()) == [1, 4]
    # A connection of the pool that the server has closed meanwhile is noticed before it is used.
    server.stop()
    server.start()
    with database.read() as connection:
        assert list(connection.execute(text("SELECT n FROM kept")).scalars()) == [1, 4]
    database.close()


def test_nobody_listening_a_wrong_password_and_a_missing_database_are_told_without_the_password(
    server: Postgres,
) -> None:
    for url, said in (
        (f"postgresql://okf_app:app-secret@127.0.0.1:{free_port()}/okf", "refused"),
        (server.url(user="okf_app", password="wrong-secret"), "password authentication failed"),
        (server.app_url("nothing"), 'database "nothing" does not exist'),
    ):
        database = connect(url)
        with pytest.raises(DatabaseUnavailable, match=said) as told, database.read():
            pass
        assert "secret" not in str(told.value)
        assert "secret" not in database.shown_url
        assert ":***@" in database.shown_url
        database.close()


def test_a_file_that_is_no_database_or_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database at all, but long enough to be looked at\n" * 100)
    (tmp_path / "folder").mkdir()
    for path, said in (
        (tmp_path / "notes.txt", "file is not a database"),
        (tmp_path / "folder", "unable to open database file"),
        (tmp_path / "notes.txt" / "x.sqlite3", "unable to open database file"),
    ):
        database = connect(f"sqlite:///{path}")
        with pytest.raises(DatabaseUnavailable, match=said), database.read():
            pass
        database.close()


def test_the_folder_of_a_file_is_made_when_it_is_first_used(tmp_path: Path) -> None:
    database = connect(f"sqlite:///{tmp_path}/a/b/c.sqlite3")
    assert not (tmp_path / "a").exists()
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (n integer)"))
    database.close()
    assert (tmp_path / "a" / "b" / "c.sqlite3").exists()


def test_a_full_disk_is_told_and_harms_nothing(places: Places) -> None:
    database = connect(places.migrated("sqlite").url, Limits(connections=1))
    with database.write() as connection:
        put(connection, 1)
        database.raw(connection).execute("PRAGMA max_page_count = 1")  # which SQLite raises to what there is
    with pytest.raises(DatabaseUnavailable, match="full"), database.write() as connection:
        connection.execute(text("CREATE TABLE t AS SELECT zeroblob(10000000)"))
    with database.write() as connection:
        database.raw(connection).execute("PRAGMA max_page_count = 1000000")
        put(connection, 2)
        assert numbers(connection) == [1, 2]
    database.close()


# ---- URLs


@pytest.mark.parametrize(
    "url",
    [
        "mysql://okf:s3cret@db/okf",
        "postgresql://okf:s3cret@db:port/okf",
        "postgresql:/okf:s3cret@db/okf",
        "postgres//okf:s3cret@db",
        "oracle+x://okf:s3/c@ret@db/s3cret",
        "sqlite://",
        "sqlite:///:memory:",
        "okf",
        "",
    ],
)
def test_a_url_of_no_known_kind_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"use sqlite:////path/to/file") as told:
        connect(url)
    said = f"{told.value} {told.value.params}"
    assert "s3cret@" not in said
    assert "ret@" not in said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://okf:s3cret@db:5432/okf",
        "postgres://okf:s3/cr@et@db/okf",
        "postgresql://okf@db/okf?password=s3cret",
        "postgresql+psycopg://okf:s3cret@db/okf?sslpassword=s3cret",
    ],
)
def test_where_a_database_is_is_shown_without_its_password(url: str) -> None:
    database = connect(url)
    assert database.shown_url.startswith("postgresql://okf")
    assert "db" in database.shown_url
    assert "s3" not in database.shown_url
    assert "et@" not in database.shown_url
    database.close()
