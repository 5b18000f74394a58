"""API keys in the database: made, listed, revoked, followed, and kept from whom they are not for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError, ProgrammingError

from omnikeywords.catalog import keys
from omnikeywords.catalog.keys import Key, KeyStore
from omnikeywords.catalog.tables import api_keys
from omnikeywords.db import Database, connect
from omnikeywords.errors import DatabaseUnavailable, InvalidOption, NotFound, SchemaOutdated
from tests.conftest import POSTGRES, Place, Places


@pytest.fixture(params=["sqlite", *POSTGRES, "pgbouncer"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def store(place: Place) -> Iterator[KeyStore]:
    opened = KeyStore(place.url)
    yield opened
    opened.close()


def make(database: Database, name: str = "shop reader", **options: object) -> tuple[Key, str]:
    with database.write() as connection:
        return keys.create(connection, name, created_by="ana", **options)  # type: ignore[arg-type]


def listed(database: Database) -> list[Key]:
    with database.read() as connection:
        return keys.list_keys(connection)


def revoke(database: Database, key_id: str) -> Key:
    with database.write() as connection:
        return keys.revoke(connection, key_id)


# ---- made


def test_a_key_is_what_it_was_made_for(database: Database) -> None:
    until = datetime(2999, 1, 2, 3, 4, 5, tzinfo=UTC)
    made, key = make(database, scope="write", projects=["shop", "blog"], expires_at=until)
    (found,) = listed(database)
    assert found == made
    assert (found.name, found.scope, found.projects) == ("shop reader", "write", {"shop", "blog"})
    assert (found.created_by, found.expires_at) == ("ana", until)
    assert (found.revoked_at, found.last_used_at) == (None, None)
    assert key.startswith(f"okf_{found.id}_")
    assert keys.is_whole(key.encode())


def test_a_key_may_read_everywhere_unless_told_otherwise(database: Database) -> None:
    made, _ = make(database)
    assert (made.scope, made.projects, made.expires_at) == ("read", frozenset(), None)


def test_no_two_are_alike(database: Database) -> None:
    made = [make(database)[1] for _ in range(20)]
    assert len({key[15:58] for key in made}) == 20
    assert [found.id for found in listed(database)] == [key[4:14] for key in made]


def test_the_database_holds_a_hash_and_nothing_of_the_secret(database: Database) -> None:
    _, key = make(database, projects=["shop"])
    with database.read() as connection:
        (row,) = connection.execute(select(api_keys)).all()
    assert row.hash == sha256(key.encode()).digest()
    secret = key[15:]
    assert not any(secret[at : at + 8] in str(value) for value in row for at in range(len(secret) - 7))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "key name '' cannot be used: give 1 to 100 printable signs"),
        ({"name": "a\nb"}, r"key name 'a\\nb' cannot be used"),
        ({"name": "x" * 101}, "give 1 to 100 printable signs"),
        ({"scope": "root"}, "scope 'root' is unknown: use read, write or admin"),
        ({"projects": ["a b"]}, "project 'a b' cannot be a name"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "would never work: name a later day"),
    ],
)
def test_what_cannot_be_is_said(database: Database, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        make(database, **wrong)  # type: ignore[arg-type]
    assert listed(database) == []


# ---- revoked


def test_a_revoked_key_stays_in_the_list_as_it_was_revoked_first(database: Database) -> None:
    made, _ = make(database)
    make(database, "other")
    first = revoke(database, made.id)
    assert first.revoked_at is not None
    assert revoke(database, made.id) == first
    now = datetime.now(UTC)
    assert [(key.name, key.state(now)) for key in listed(database)] == [("shop reader", "revoked"), ("other", "active")]


def test_one_that_nobody_made_cannot_be_revoked(database: Database) -> None:
    with pytest.raises(NotFound, match="key 'aaaaaaaaaa' does not exist: `okf keys list` lists those there are"):
        revoke(database, "aaaaaaaaaa")


# ---- followed


def test_a_follower_hears_of_what_changed_and_of_nothing_else(database: Database, store: KeyStore) -> None:
    found = store.changes(None)
    assert found is not None
    stamp, none = found
    assert none == []
    assert store.changes(stamp) is None
    made, _ = make(database)
    found = store.changes(stamp)
    assert found is not None
    stamp, (key,) = found
    assert key == made
    assert store.changes(stamp) is None
    revoke(database, made.id)
    found = store.changes(stamp)
    assert found is not None
    assert [key.revoked_at is None for key in found[1]] == [False]


def test_use_is_kept_once_a_minute_and_never_of_a_revoked_key(database: Database, store: KeyStore) -> None:
    made, _ = make(database)
    gone, _ = make(database, "gone")
    revoke(database, gone.id)
    noon = datetime(2999, 1, 1, 12, tzinfo=UTC)
    for seconds, kept in ((0, 0), (59, 0), (60, 60), (30, 60)):
        at = (noon + timedelta(seconds=seconds)).timestamp()
        store.note_used({made.id: at, gone.id: at, "aaaaaaaaaa": at})
        assert [key.last_used_at for key in listed(database)] == [noon + timedelta(seconds=kept), None]


def test_a_store_that_was_closed_opens_again(database: Database, store: KeyStore) -> None:
    store.changes(None)
    store.close()
    make(database)
    found = store.changes(None)
    assert found is not None
    assert len(found[1]) == 1


def test_a_sqlite_file_that_is_not_there_has_no_keys_and_is_not_made(tmp_path: Path) -> None:
    store = KeyStore(f"sqlite:///{tmp_path / 'none.sqlite3'}")
    found = store.changes(None)
    assert found is not None
    assert found[1] == []
    assert store.changes(found[0]) is None
    store.note_used({"aaaaaaaaaa": 0.0})
    assert list(tmp_path.iterdir()) == []


def test_a_sqlite_file_of_an_earlier_version_has_none_yet(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.sqlite3'}"
    database = connect(url)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
    database.close()
    store = KeyStore(url)
    found = store.changes(None)
    assert found is not None
    assert found[1] == []
    store.close()


@pytest.mark.parametrize("version", sorted(POSTGRES))
def test_a_server_that_is_not_migrated_or_away_is_told_from_one_without_keys(places: Places, version: str) -> None:
    store = KeyStore(places.empty(version).url)
    with pytest.raises(SchemaOutdated, match="run `okf migrate`"):
        store.changes(None)
    store.close()
    with pytest.raises(DatabaseUnavailable):
        KeyStore("postgresql://okf@127.0.0.1:1/okf").changes(None)


# ---- on PostgreSQL, whom they are kept from


@pytest.fixture(params=sorted(POSTGRES))
def app(places: Places, request: pytest.FixtureRequest) -> Iterator[Database]:
    opened = connect(places.migrated(request.param).url)
    yield opened
    opened.close()


def test_work_for_one_project_sees_no_key_and_makes_none(app: Database) -> None:
    made, _ = make(app)
    with app.read("shop") as connection:
        assert keys.list_keys(connection) == []
    with pytest.raises(DBAPIError, match="row-level security"), app.write("shop") as connection:
        keys.create(connection, "sneaked in", created_by="shop")
    with pytest.raises(NotFound), app.write("shop") as connection:
        keys.revoke(connection, made.id)
    assert listed(app) == [made]


def test_what_was_revoked_stays_so(app: Database) -> None:
    made, _ = make(app)
    revoke(app, made.id)
    with app.write() as connection:
        assert connection.execute(update(api_keys).values(revoked_at=None)).rowcount == 0
    (found,) = listed(app)
    assert found.revoked_at is not None


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM api_keys",
        "TRUNCATE api_keys",
        "UPDATE api_keys SET scope = 'admin'",
        "UPDATE api_keys SET projects = '[]'",
        "UPDATE api_keys SET hash = ''",
        "UPDATE api_keys SET expires_at = NULL",
    ],
)
def test_the_program_cannot_make_more_of_a_key_than_it_was(app: Database, statement: str) -> None:
    make(app)
    with pytest.raises(ProgrammingError, match="permission denied"), app.write() as connection:
        connection.execute(text(statement))
