"""The fleet: the databases that the catalogue lies on, one of them or several PostgreSQL servers.

The first is OKF_DATABASE_URL; where there are others they are named in OKF_DATABASE_SERVERS, and what lies where is
kept on the first. Every process follows that by itself: it goes on by what it knew while the first server is away, and
one server that is down concerns nobody whose buckets lie on another.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from omnikeywords.catalog import follow, groups, log, moving, placement
from omnikeywords.catalog.homes import bucket_of, learn
from omnikeywords.catalog.keywords import MODEL
from omnikeywords.catalog.migrate import check
from omnikeywords.catalog.placement import FIRST, Move, Placement, Server
from omnikeywords.catalog.standby import Standby
from omnikeywords.db import Database, Limits, connect
from omnikeywords.errors import DatabaseBusy, DatabaseUnavailable, InvalidSetting
from omnikeywords.jobs import metadata as jobs_metadata
from omnikeywords.ops import get_logger
from omnikeywords.settings import Settings
from omnikeywords.webhooks import Deliveries, Sender
from omnikeywords.workflows import Workflows

__all__ = ["Fleet"]

_FRESH = 2.0  # seconds for which nobody asks again what lies where
_LATE = 1.5 * _FRESH  # since it was last asked: from here on one waits for the answer
_SETTLED = 3 * _FRESH  # after which every process has asked
_ROUNDS = 5  # of copying what was written meanwhile, at most
_NEAR = 20  # events
_log = get_logger("omnikeywords.fleet")


class Fleet:
    """Every database of the catalogue; safe to share between threads."""

    def __init__(self, first: Database, settings: Settings, settled: float = _SETTLED) -> None:
        self.first = first
        self._settings = settings
        self._settled = settled
        limits = Limits(
            settings.statement_timeout_ms, settings.lock_timeout_ms, connections=settings.database_connections
        )
        self._databases = {FIRST: first}
        self._databases |= {name: connect(url, limits) for name, url in settings.database_servers.items()}
        if len(self._databases) > 1 and any(other.dialect == "sqlite" for other in self._databases.values()):
            raise InvalidSetting("OKF_DATABASE_SERVERS is for PostgreSQL: SQLite keeps everything in one file")
        read_url = settings.database_read_url
        self._standby = None if read_url is None else Standby(first, connect(read_url, limits))
        self._workflows: dict[str, Workflows] = {}
        self._making = threading.Lock()  # of workflows
        self._lock = threading.Lock()  # of the placement
        self._asking = threading.Lock()  # held while a thread beside asks for it
        self._closed = False
        self._placement: Placement | None = None
        self._asked = float("-inf")

    @property
    def several(self) -> bool:
        """Whether there is more than one server."""
        return len(self._databases) > 1

    def placement(self, *, now: bool = False) -> Placement:
        """What lies where, as it was at most some seconds ago, or as it was known before the first server went away.

        Where it is asked for all the time nobody waits for it, unless it is wanted as of `now`: searches look here on
        an event loop.

        Raises DatabaseUnavailable where that was never known.
        """
        known, since = self._placement, time.monotonic() - self._asked
        if known is None or now or (since > _LATE and not self._asking.locked()):
            return self._ask(now=now)
        if since > _FRESH and self._asking.acquire(blocking=False):
            threading.Thread(target=self._ask_beside, name="placement", daemon=True).start()
        return known

    def _ask_beside(self) -> None:
        try:
            if not self._closed:
                self._ask()
        finally:
            self._asking.release()

    def _ask(self, *, now: bool = False) -> Placement:
        with self._lock:
            if self._placement is None or now or time.monotonic() > self._asked + _FRESH:
                try:
                    with self.first.read() as connection:
                        found = placement.load(connection, self._settings.region)
                except (DatabaseUnavailable, DatabaseBusy) as error:
                    if self._placement is None or now:
                        raise
                    _log.warning("what lies where cannot be asked", reason=str(error))
                    return self._placement
                finally:
                    self._asked = time.monotonic()
                learn(found.book)
                self._placement = found
            return self._placement

    def server_of(self, project: str) -> Server:
        """The server that holds a project. Raises as `placement` does."""
        if not self.several:
            return Server(FIRST, self._settings.region, 0)
        self.placement()  # learn first which bucket it is in
        return self.placement().server_of(bucket_of(project))

    def at(self, project: str) -> Database:
        """The database that holds a project. Raises as `placement` does."""
        return self.database(self.server_of(project).name) if self.several else self.first

    def database(self, server: str) -> Database:
        """The database of a server.

        Raises InvalidSetting where its URL is missing.
        """
        if server not in self._databases:
            raise InvalidSetting(f"server {server!r} holds some of the catalogue: name it in OKF_DATABASE_SERVERS too")
        return self._databases[server]

    def reading(self, project: str) -> Database:
        """A database that knows all of a project that the one which holds it knows. Raises as `placement` does."""
        found = self.at(project)
        if self._standby is None or found is not self.first:
            return found
        return self._standby.reader(MODEL, bucket_of(project))

    def databases(self) -> Mapping[str, Database]:
        """Every database by the name of its server."""
        if not self.several:
            return self._databases
        return {name: self.database(name) for name in self.placement().servers}

    def workflows(self, server: str) -> Workflows:
        """The sagas of one server."""
        with self._making:
            if server not in self._workflows:
                settings, database = self._settings, self.database(server)
                sender = Sender(allow_loopback=settings.webhook_allow_loopback)
                self._workflows[server] = Workflows(
                    database, settings.language_table_path, settings.brands, Deliveries(database, sender)
                )
            return self._workflows[server]

    def close(self) -> None:
        """Give all connections back."""
        self._closed = True
        with self._asking:  # so that nobody opens another one
            pass
        if self._standby is not None:
            self._standby.close()
        for database in self._databases.values():
            database.close()

    # ---- what changes where buckets lie

    def settle(self, project: str, region: str | None, *, own_bucket: bool = False) -> Database:
        """Give a project that is about to be made its bucket; returns where that lies.

        Raises InvalidOption where no server is in the region or there is only one server.
        """
        if not self.several and not own_bucket:
            return self.first
        known = self.placement(now=True)
        with self.first.write() as connection:
            placement.give_home(connection, known, project, region, own_bucket)
        self.placement(now=True)
        return self.at(project)

    def add_server(self, name: str, region: str) -> Server:
        """Take a server of OKF_DATABASE_SERVERS in, which must be migrated; nothing is moved to it by that.

        Raises InvalidSetting where it has no URL, SchemaOutdated, DatabaseUnavailable, Conflict, InvalidOption.
        """
        if name not in self._databases:
            raise InvalidSetting(f"server {name!r} has no URL: name it in OKF_DATABASE_SERVERS as {name}=postgresql://")
        check(self._databases[name])
        known = self.placement(now=True)
        with self.first.write() as connection:
            added = placement.add_server(connection, known, name, region)
        self.placement(now=True)
        return added

    def move(
        self,
        bucket: int,
        target: str,
        actor: str,
        *,
        leave_region: str | None = None,
        on_step: Callable[[str], object] = lambda step: None,
    ) -> Move:
        """Move a bucket to another server while it is read and written; one that was interrupted goes on.

        `leave_region` is why it may leave its region. `on_step` is told `copy`, `switch`, `purge`. Raises NotFound,
        Conflict, InvalidOption, DatabaseUnavailable, DatabaseBusy.
        """
        moved = self._switch(bucket, target, actor, leave_region, on_step)
        on_step("purge")
        time.sleep(self._settled)  # until nobody looks there any more
        self._purge(moved)
        return moved

    def move_all(
        self, wanted: Sequence[tuple[int, str]], actor: str, on_moved: Callable[[int], object] = lambda done: None
    ) -> None:
        """Move several buckets, as (bucket, server), one after the other; `on_moved` is told how many have moved.

        Raises as `move` does; what has moved stays.
        """
        moved: list[Move] = []
        try:
            for bucket, target in wanted:
                moved.append(self._switch(bucket, target, actor, None, lambda step: None))
                on_moved(len(moved))
        finally:
            if moved:
                time.sleep(self._settled)
            for move in moved:
                self._purge(move)

    def _switch(
        self, bucket: int, target: str, actor: str, reason: str | None, on_step: Callable[[str], object]
    ) -> Move:
        """Make a bucket be at home elsewhere; what it leaves behind stays for those who still look there."""
        known = self.placement(now=True)
        with self.first.write() as connection:
            move = placement.begin_move(connection, known, bucket, target, actor, reason)
        _log.info("bucket moves", bucket=bucket, source=move.source, target=target, actor=actor, reason=move.reason)
        source, there = self.database(move.source), self.database(target)
        if known.server_of(bucket).name != target:
            on_step("copy")
            moving.arrive(there, bucket)
            follower = follow.Follower(there, self.workflows(target).model, bucket)
            moving.copy_log(source, there, bucket)
            follower.advance()
            self._regroup(there, bucket)
            on_step("switch")
            self._catch_up(source, there, bucket, follower)
            moving.depart(source, there, bucket, jobs_metadata.sorted_tables)
            follower.advance()
            moving.open_bucket(there, bucket)
            with self.first.write() as connection:
                placement.place(connection, move)
            self.placement(now=True)
        return move

    def _purge(self, move: Move) -> None:
        moving.purge(self.database(move.source), move.bucket)
        with self.first.write() as connection:
            placement.end_move(connection, move)
        _log.info("bucket moved", bucket=move.bucket, source=move.source, target=move.target)

    def _catch_up(self, source: Database, target: Database, bucket: int, follower: follow.Follower) -> None:
        """Come so near to those who write that they need not wait long; if they are too quick, they have to."""
        for _ in range(_ROUNDS):
            with target.read() as connection:
                before = log.head(connection, bucket)
            reached = moving.copy_log(source, target, bucket)
            follower.advance()
            if reached - before <= _NEAR:
                return

    def _regroup(self, database: Database, bucket: int) -> None:
        """Near-duplicates are told of a whole project and stand in no event."""
        from omnikeywords.catalog import projects

        for project in projects.list_projects(database):
            if project.bucket == bucket:
                groups.regroup(database, project.name, self._settings.language_table_path)
