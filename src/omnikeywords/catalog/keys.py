"""API keys: who may call, what for and in which projects.

    okf_k7q2m4xtab_9hTzQ4mXw2RkV7yLc3BnD8sJf1GpA6uE5oZiHvKxWtY0qM
        id         secret, 43 signs                           checksum, 6

A key is shown once, when it is made. The database holds a hash of it, which lets nobody in. Keys are never deleted, so
that one which was revoked is told from one that never was.
"""

import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args
from zlib import crc32

import msgspec
from sqlalchemy import Row, bindparam, func, inspect, or_, select, update
from sqlalchemy.engine import make_url

from omnikeywords.catalog.tables import api_keys
from omnikeywords.db import Connection, Database, Limits, connect
from omnikeywords.errors import InvalidOption, NotFound

__all__ = [
    "LENGTH",
    "SCOPES",
    "Key",
    "KeyStore",
    "Scope",
    "Stamp",
    "create",
    "hash_of",
    "id_of",
    "is_whole",
    "list_keys",
    "revoke",
]

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)  # each allows what those before it do

_PREFIX = "okf_"
_SIGNS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_SIGNS = string.ascii_lowercase + "234567"
_ID = 10
_SECRET = 43  # signs of 62 for 256 bits
_CHECKSUM = 6
LENGTH = len(_PREFIX) + _ID + 1 + _SECRET + _CHECKSUM

_MOST_NAME = 100
_USED_SECONDS = 60  # between two notes that a key was used


@dataclass(frozen=True, slots=True)
class Key:
    """A key, without its secret."""

    id: str
    name: str
    scope: Scope
    projects: frozenset[str]  # empty: all
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None  # to about a minute
    hash: bytes = field(default=b"", repr=False)

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Whether it lets anybody in."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


def hash_of(key: bytes) -> bytes:
    """What is kept of a key.

    SHA-256 is enough here, without salt or many rounds: those slow down whoever guesses passwords, which people
    choose, while this secret is 256 random bits, which nobody guesses at any speed. And it is paid on every request.
    """
    return sha256(key).digest()


def id_of(key: bytes) -> bytes:
    """The part of a key that may be shown; of what is no key, anything."""
    return key[len(_PREFIX) : len(_PREFIX) + _ID]


def is_whole(key: bytes) -> bool:
    """Whether it is a key as they are made, known or not: one that was mistyped or cut off is none."""
    text = key.decode("latin-1")
    return len(text) == LENGTH and text.startswith(_PREFIX) and _checksum(text[:-_CHECKSUM]) == text[-_CHECKSUM:]


def _checksum(text: str) -> str:
    """CRC-32 finds every run of wrong signs up to four long, so every slip of one sign and every swap of two."""
    return _in_signs(crc32(text.encode("latin-1")), _CHECKSUM)


def _in_signs(number: int, length: int) -> str:
    signs = []
    for _ in range(length):
        number, sign = divmod(number, len(_SIGNS))
        signs.append(_SIGNS[sign])
    return "".join(reversed(signs))


def create(
    connection: Connection,
    name: str,
    *,
    created_by: str,
    scope: str = "read",
    projects: Sequence[str] = (),
    expires_at: datetime | None = None,
) -> tuple[Key, str]:
    """Make a key; returns it and its text, which cannot be had again.

    Raises InvalidOption for a name, a scope, a project or a time that cannot be.
    """
    if not name.isprintable() or not name.strip() or len(name) > _MOST_NAME:
        raise InvalidOption(f"key name {name!r} cannot be used: give 1 to {_MOST_NAME} printable signs", name=name)
    known = next((each for each in SCOPES if each == scope), None)
    if known is None:
        raise InvalidOption(f"scope {scope!r} is unknown: use {', '.join(SCOPES[:-1])} or {SCOPES[-1]}", scope=scope)
    from omnikeywords.catalog.projects import check_name  # here, as those who only check keys need no analysis

    for project in projects:
        check_name(project)
    now = datetime.now(UTC)
    if expires_at is not None and expires_at <= now:
        raise InvalidOption(f"a key that expires at {expires_at:%Y-%m-%d %H:%M} UTC would never work: name a later day")
    key_id = "".join(secrets.choice(_ID_SIGNS) for _ in range(_ID))
    text = f"{_PREFIX}{key_id}_{_in_signs(secrets.randbits(256), _SECRET)}"
    text += _checksum(text)
    key = Key(
        key_id, name, known, frozenset(projects), created_by, now, expires_at=expires_at, hash=hash_of(text.encode())
    )
    values = {
        "id": key.id,
        "name": key.name,
        "hash": key.hash,
        "scope": key.scope,
        "projects": msgspec.json.encode(sorted(key.projects)).decode(),
        "created_by": key.created_by,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }
    connection.execute(api_keys.insert(), values)
    return key, text


def list_keys(connection: Connection) -> list[Key]:
    """Every key, those that let nobody in any more too, the oldest first."""
    return [_key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))]


def revoke(connection: Connection, key_id: str) -> Key:
    """Make a key let nobody in any more; one that was revoked stays as it is.

    Raises NotFound.
    """
    which = api_keys.c.id == key_id
    now = datetime.now(UTC)
    connection.execute(update(api_keys).where(which & api_keys.c.revoked_at.is_(None)).values(revoked_at=now))
    row = connection.execute(select(api_keys).where(which)).one_or_none()
    if row is None:
        raise NotFound(f"key {key_id!r} does not exist: `okf keys list` lists those there are", key=key_id)
    return _key(row)


def _key(row: Row[tuple[object, ...]]) -> Key:
    return Key(
        row.id,
        row.name,
        row.scope,
        frozenset(msgspec.json.decode(row.projects, type=list[str])),
        row.created_by,
        _utc(row.created_at) or datetime.min.replace(tzinfo=UTC),
        _utc(row.expires_at),
        _utc(row.revoked_at),
        _utc(row.last_used_at),
        row.hash,
    )


def _utc(time: datetime | None) -> datetime | None:
    """SQLite keeps no time zone."""
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


Stamp = tuple[int, int, datetime | None]  # it differs whenever a key was made or revoked
_NONE: Stamp = (0, 0, None)
_STAMP = select(func.count(), func.count(api_keys.c.revoked_at), func.max(api_keys.c.created_at))
_NOTE = (
    update(api_keys)
    .where(
        api_keys.c.id == bindparam("key"),
        api_keys.c.revoked_at.is_(None),
        or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at <= bindparam("before")),
    )
    .values(last_used_at=bindparam("at"))
)


class KeyStore:
    """The keys at a database's URL, for one that follows them; for one thread at a time.

    It has a connection of its own, so that it never stands behind the work of the catalogue, and takes no longer than
    two seconds over anything. It makes no table: where there is none yet, there are no keys.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._database: Database | None = None
        self._checked = False

    def changes(self, since: Stamp | None) -> tuple[Stamp, list[Key]] | None:
        """All keys and a stamp of them; None where they are those of a stamp that was got before.

        Raises DatabaseUnavailable, DatabaseBusy, SchemaOutdated.
        """
        database = self._open()
        if database is None:
            return None if since == _NONE else (_NONE, [])
        with database.read() as connection:
            number, revoked, newest = connection.execute(_STAMP).one()
            stamp = (number, revoked, newest)
            return None if stamp == since else (stamp, list_keys(connection))

    def note_used(self, used: Mapping[str, float]) -> None:
        """Keep when keys were used, by id in seconds since 1970; no key is written more than once a minute.

        Raises DatabaseUnavailable, DatabaseBusy.
        """
        database = self._open()
        if database is None or not used:
            return
        times = {key: datetime.fromtimestamp(at, UTC) for key, at in sorted(used.items())}
        notes = [{"key": key, "at": at, "before": at - timedelta(seconds=_USED_SECONDS)} for key, at in times.items()]
        with database.write(durable=False) as connection:
            connection.execute(_NOTE, notes)

    def close(self) -> None:
        """Give the connection back; it is opened again when it is needed, by another process too."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> Database | None:
        """The database; None where it has no place for keys yet."""
        url = make_url(self._url)
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
            return None
        if self._database is None:
            self._database = connect(self._url, Limits(2_000, 2_000, connections=1, checkout_ms=2_000))
        if not self._checked:
            if self._database.dialect == "sqlite":
                with self._database.read() as connection:
                    if not inspect(connection).has_table(api_keys.name):
                        return None
            else:
                from omnikeywords.catalog.migrate import check  # a tenth of a second to import

                check(self._database)
            self._checked = True
        return self._database
