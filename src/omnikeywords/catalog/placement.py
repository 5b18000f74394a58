"""Placement: which server every bucket lies on, and what to move so that servers hold alike many.

It is kept in the database of the first server, which every other server is added to by name; where they are is a
setting, as it holds secrets. A bucket for which nothing is noted lies on the first server of its region.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql

from omnikeywords.catalog.homes import BUCKETS, OWN, hashed, region_number_of
from omnikeywords.catalog.log import utc
from omnikeywords.catalog.tables import homes, moves, placement, servers
from omnikeywords.db import Connection
from omnikeywords.errors import Conflict, InvalidOption, NotFound

__all__ = [
    "FIRST",
    "Move",
    "Placement",
    "Server",
    "add_server",
    "balance",
    "begin_move",
    "end_move",
    "give_home",
    "list_moves",
    "load",
    "place",
    "running_move",
]

FIRST = "first"  # the server of OKF_DATABASE_URL
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server that holds buckets."""

    name: str
    region: str
    region_number: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where everything lies, as of one moment."""

    servers: Mapping[str, Server]
    elsewhere: Mapping[int, str] = field(default_factory=dict)  # bucket to server, of those that were placed
    book: Mapping[str, int] = field(default_factory=dict)  # project to bucket, of those not in their name's

    def server_of(self, bucket: int) -> Server:
        """The server that holds a bucket."""
        if bucket in self.elsewhere:
            return self.servers[self.elsewhere[bucket]]
        number = region_number_of(bucket)
        return next(server for server in self.servers.values() if server.region_number == number)

    def region_number(self, region: str) -> int:
        """The number of a region.

        Raises InvalidOption where no server is in it.
        """
        for server in self.servers.values():
            if server.region == region:
                return server.region_number
        there = sorted({server.region for server in self.servers.values()})
        raise InvalidOption(f"no server is in region {region!r}: use {' or '.join(there)}", region=region)

    def buckets(self, server: str) -> list[int]:
        """The buckets of a server, the shared ones whether anything is in them or not."""
        numbers = {known.region_number for known in self.servers.values()}
        shared = (number * BUCKETS + i for number in sorted(numbers) for i in range(BUCKETS))
        own = sorted({bucket for bucket in (*self.book.values(), *self.elsewhere) if bucket >= OWN})
        return [bucket for bucket in (*shared, *own) if self.server_of(bucket).name == server]


@dataclass(frozen=True, slots=True)
class Move:
    """A bucket's way from one server to another."""

    id: str
    bucket: int
    source: str
    target: str
    actor: str
    reason: str | None  # why it was let out of its region
    state: str  # running | completed
    started_at: datetime
    ended_at: datetime | None


def load(connection: Connection, region: str) -> Placement:
    """The placement; `region` is that of the first server."""
    there = {FIRST: Server(FIRST, region, 0)}
    for row in connection.execute(select(servers).order_by(servers.c.region_number, servers.c.added_at)):
        there[row.name] = Server(row.name, row.region, row.region_number)
    elsewhere = {row.bucket: row.server for row in connection.execute(select(placement))}
    book = {row.project: row.bucket for row in connection.execute(select(homes))}
    return Placement(there, elsewhere, book)


def add_server(connection: Connection, known: Placement, name: str, region: str) -> Server:
    """Note a server; nothing is moved to it by that.

    Raises InvalidOption for what cannot be a name, Conflict where there is one of that name.
    """
    for kind, given in (("server", name), ("region", region)):
        if not _NAME.fullmatch(given):
            raise InvalidOption(f"{kind} {given!r} cannot be a name: use letters, digits, dots, dashes and underscores")
    if name in known.servers:
        raise Conflict(f"server {name!r} was added already", server=name)
    numbers = {server.region: server.region_number for server in known.servers.values()}
    number = numbers.get(region, max(numbers.values()) + 1)
    if number >= BUCKETS:
        raise Conflict(f"there are {BUCKETS} regions already")
    connection.execute(
        servers.insert(),
        {"name": name, "region": region, "region_number": number, "added_at": datetime.now(UTC)},
    )
    return Server(name, region, number)


def balance(known: Placement, region: str) -> list[tuple[int, str]]:
    """The fewest moves, as (bucket, server), after which the servers of a region hold alike many buckets, or one more.

    Raises InvalidOption where no server is in the region.
    """
    number = known.region_number(region)
    held = {name: known.buckets(name) for name, server in known.servers.items() if server.region_number == number}
    least, rest = divmod(sum(map(len, held.values())), len(held))
    # Those that hold most may keep one more than the others.
    by_load = sorted(held, key=lambda name: -len(held[name]))
    due = {name: least + (i < rest) for i, name in enumerate(by_load)}
    spare = [bucket for name in by_load for bucket in held[name][due[name] :]]
    found: list[tuple[int, str]] = []
    for name in by_load:
        for _ in range(due[name] - len(held[name])):
            found.append((spare.pop(0), name))
    return found


def give_home(connection: Connection, known: Placement, project: str, region: str | None, own_bucket: bool) -> int:
    """The bucket of a project that is about to be made; noted where it is not the one that its name gives.

    Raises InvalidOption where no server is in the region.
    """
    number = 0 if region is None else known.region_number(region)
    if number == 0 and not own_bucket:
        return hashed(project)
    there = connection.execute(select(homes.c.bucket).where(homes.c.project == project)).scalar()
    if there is not None:
        return int(there)
    bucket = hashed(project, number)
    if own_bucket:
        last = connection.execute(select(func.max(homes.c.bucket)).where(homes.c.bucket >= OWN)).scalar()
        bucket = (OWN if last is None else (last // BUCKETS + 1) * BUCKETS) + number
    connection.execute(homes.insert(), {"project": project, "bucket": bucket})
    return bucket


def running_move(connection: Connection, bucket: int) -> Move | None:
    """The move of a bucket that was begun and not ended."""
    which = (moves.c.bucket == bucket) & (moves.c.state == "running")
    row = connection.execute(select(moves).where(which)).one_or_none()
    return None if row is None else _move(row)


def begin_move(
    connection: Connection, known: Placement, bucket: int, target: str, actor: str, reason: str | None = None
) -> Move:
    """Note that a bucket is to move; a move that was begun is the one that goes on.

    Raises NotFound, Conflict where it lies there already or is on its way elsewhere, InvalidOption where it would leave
    its region and no reason is given.
    """
    if target not in known.servers:
        raise NotFound(f"server {target!r} was not added: `okf servers list` shows those there are", server=target)
    begun = running_move(connection, bucket)
    if begun is not None:
        if begun.target != target:
            raise Conflict(f"bucket {bucket} is on its way to {begun.target!r}: let that end first", bucket=bucket)
        return begun
    source = known.server_of(bucket)
    if source.name == target:
        raise Conflict(f"bucket {bucket} lies on {target!r} already", bucket=bucket)
    if known.servers[target].region != source.region and not reason:
        raise InvalidOption(
            f"bucket {bucket} would leave region {source.region!r} for {known.servers[target].region!r}: give a reason "
            "with --leave-region if that is meant",
            bucket=bucket,
        )
    row = {
        "id": "m1" + secrets.token_hex(10),
        "bucket": bucket,
        "source": source.name,
        "target": target,
        "actor": actor,
        "reason": reason,
        "state": "running",
        "started_at": datetime.now(UTC),
        "ended_at": None,
    }
    connection.execute(moves.insert(), row)
    return Move(**row)  # type: ignore[arg-type]


def place(connection: Connection, move: Move) -> None:
    """Note where a bucket lies now."""
    values = {"bucket": move.bucket, "server": move.target}
    put = postgresql.insert(placement).values(values)
    connection.execute(put.on_conflict_do_update(index_elements=["bucket"], set_={"server": move.target}))


def end_move(connection: Connection, move: Move) -> None:
    """Note that nothing of a bucket is left where it was."""
    done = moves.update().where(moves.c.id == move.id)
    connection.execute(done.values(state="completed", ended_at=datetime.now(UTC)))


def list_moves(connection: Connection, limit: int = 100) -> Sequence[Move]:
    """Moves, the newest first."""
    return [_move(row) for row in connection.execute(select(moves).order_by(moves.c.started_at.desc()).limit(limit))]


def _move(row: object) -> Move:
    columns: Mapping[str, object] = row._mapping  # type: ignore[attr-defined]
    ended = columns["ended_at"]
    return Move(**{**columns, "started_at": utc(columns["started_at"]), "ended_at": ended and utc(ended)})  # type: ignore[arg-type]
