"""A SQLite catalogue as it was at one moment: copied while others write, and looked at where nobody does.

The copy is made by SQLite itself, some pages at a time, out of one read transaction: readers of a database in WAL mode
see one state and stand in nobody's way, so writers neither wait nor spoil the copy. What they write meanwhile stays in
the write-ahead log, which grows until the copy is done.
"""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from omnikeywords.db import Database

__all__ = ["State", "copy", "examine", "problems"]

_STEP = 256  # pages of 4 KiB copied at a time
_SYNC = 8192  # pages after which they are written to disk, so that the last time of all is not long


@dataclass(frozen=True, slots=True)
class State:
    """What a catalogue held."""

    schema: str | None  # revision; None where there is no catalogue
    positions: dict[int, int]  # by bucket: its last event
    followed: dict[int, int]  # by bucket: how far its read model had come
    model_versions: tuple[str, ...]  # by which its keywords were analysed
    projects: int
    keywords: int


def copy(database: Database, to: Path, progress: Callable[[int, int], None] = lambda done, of: None) -> datetime:
    """Copy a SQLite database, as it is now, to a new file; returns when that was.

    Everything that was committed before then is in it. `progress` is told (bytes copied, of).

    Raises DatabaseUnavailable, DatabaseBusy, OSError where there is no room.
    """
    with database.read() as connection, closing(sqlite3.connect(to, isolation_level=None)) as target:
        source = database.raw(connection)
        taken_at = datetime.now(UTC)
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on this is what it sees
        size: int = source.execute("PRAGMA page_size").fetchone()[0]
        # Until the copy is whole nobody wants it, and then it is written to disk below.
        target.execute("PRAGMA journal_mode=OFF")
        target.execute("PRAGMA synchronous=OFF")
        written = os.open(to, os.O_RDONLY)
        synced = 0

        def copied(_: int, remaining: int, total: int) -> None:
            nonlocal synced
            done = total - remaining
            if done - synced >= _SYNC:
                os.fsync(written)
                synced = done
            progress(done * size, total * size)

        try:
            source.backup(target, pages=_STEP, progress=copied)
            target.close()
            os.fsync(written)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(to)) from error
            raise
        finally:
            os.close(written)
    return taken_at


def examine(path: Path) -> State:
    """What the catalogue in a file that nobody writes to holds. Raises sqlite3.Error where it cannot be read."""
    with _opened(path) as connection:
        if not connection.execute(_IS_CATALOGUE).fetchone():
            return State(None, {}, {}, (), 0, 0)

        def rows(statement: str) -> list[tuple[int, int]]:
            return connection.execute(statement).fetchall()

        versions = connection.execute("SELECT DISTINCT model_version FROM keywords ORDER BY 1").fetchall()
        return State(
            connection.execute("SELECT version_num FROM alembic_version").fetchone()[0],
            dict(rows("SELECT bucket, head FROM buckets ORDER BY bucket")),
            dict(rows("SELECT bucket, min(position) FROM followers GROUP BY bucket ORDER BY bucket")),
            tuple(version for (version,) in versions),
            connection.execute("SELECT count(*) FROM projects").fetchone()[0],
            connection.execute("SELECT count(*) FROM keywords").fetchone()[0],
        )


def problems(path: Path) -> list[str]:
    """What is wrong with the catalogue in a file that nobody writes to; nothing where it is whole.

    Every page is read and every index compared with its table; the events of a bucket must stand at 1, 2, 3, ... up to
    its head, and no read model may be ahead of them.
    """
    try:
        with _opened(path) as connection:
            said = [text for (text,) in connection.execute("PRAGMA integrity_check(10)")]
            found = [] if said == ["ok"] else [f"SQLite says: {text}" for text in said]
            if found or not connection.execute(_IS_CATALOGUE).fetchone():
                return found
            for bucket, head, count, first, last in connection.execute(_GAPS):
                found.append(
                    f"the events of bucket {bucket} have gaps: {count} from {first} to {last}, its head is {head}"
                )
            for bucket, model, position, head in connection.execute(_AHEAD):
                found.append(f"the {model} of bucket {bucket} are at {position}, ahead of its {head} events")
            return found
    except sqlite3.Error as error:
        return [f"SQLite says: {error}"]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Without a lock or a file beside it, as on a disk that cannot be written."""
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        yield connection


_IS_CATALOGUE = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
_GAPS = """
    WITH found AS (SELECT bucket, count(*) AS n, min(position) AS first, max(position) AS last FROM events GROUP BY 1),
    every AS (SELECT bucket FROM buckets UNION SELECT bucket FROM found)
    SELECT bucket, coalesce(head, 0), coalesce(n, 0), coalesce(first, 0), coalesce(last, 0)
    FROM every LEFT JOIN buckets USING (bucket) LEFT JOIN found USING (bucket)
    WHERE coalesce(head, 0) <> coalesce(n, 0) OR coalesce(last, 0) <> coalesce(n, 0) OR coalesce(first, 1) <> 1
    ORDER BY bucket
"""
_AHEAD = """
    SELECT bucket, model, position, coalesce(head, 0) FROM followers LEFT JOIN buckets USING (bucket)
    WHERE position > coalesce(head, 0) ORDER BY bucket, model
"""
