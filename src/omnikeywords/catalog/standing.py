"""How the catalogue's database stands, for whoever looks after it. Nothing is changed."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import text

from omnikeywords.catalog.follow import buckets_behind, parked_events
from omnikeywords.catalog.keywords import MODEL
from omnikeywords.db import Database

__all__ = ["Standing", "standing_of"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is to know."""

    role: str | None  # that the program is; None on SQLite
    sees_all: bool  # that role is above row-level security: a superuser, or the owner of the tables
    months_ahead: int | None  # months with a partition of their own, this one and the next ones; None on SQLite
    behind: int  # events that the read models do not hold yet, of the bucket that is furthest behind
    parked: int  # events that they go without


def standing_of(database: Database, today: date) -> Standing:
    """How a migrated database stands.

    Raises DatabaseUnavailable, DatabaseBusy.
    """
    with database.read() as connection:
        behind = max(buckets_behind(connection, MODEL).values(), default=0)
        parked = len(parked_events(connection))
        if database.dialect == "sqlite":
            return Standing(None, False, None, behind, parked)
        role, sees_all = connection.execute(text(_ROLE)).one()
        there = set(connection.execute(text(_PARTITIONS)).scalars())
    ahead = 0
    while _partition(today, ahead) in there:
        ahead += 1
    return Standing(role, sees_all, ahead, behind, parked)


def _partition(day: date, months_on: int) -> str:
    month = day.year * 12 + day.month - 1 + months_on
    return f"observations_{month // 12:04}{month % 12 + 1:02}"


# Tables that force row-level security hold to it even their owner; a program that owns them could still drop them.
_ROLE = """
    SELECT rolname, rolsuper OR rolbypassrls OR pg_has_role(
        current_user, (SELECT relowner FROM pg_class WHERE oid = 'keywords'::regclass), 'MEMBER'
    ) FROM pg_roles WHERE rolname = current_user
"""
_PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'observations'::regclass"
