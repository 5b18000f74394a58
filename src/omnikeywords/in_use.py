"""Who has a SQLite database open: known before a file is put in its place.

SQLite's own locks are not enough for that: a process that opened the old file a moment before would go on writing to
it, and the write-ahead log beside it would be taken for the new one's. So every process holds a shared lock on a file
beside the database for as long as it may have it open, and whoever replaces the database holds it alone. The system
takes locks back when a process ends, however it ends. Where the system has no such locks SQLite's own are all there
is.
"""

import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omnikeywords.errors import Conflict, DatabaseBusy

__all__ = ["InUse", "alone", "lock_file", "locked", "settle"]


class InUse:
    """That this process has a database open, from `begin` to `end`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._turn = threading.Lock()

    def begin(self) -> None:
        """Say so, unless it is said already. Raises DatabaseBusy while the database is being replaced."""
        with self._turn:
            if self._file is not None:
                return
            try:
                file = _open(lock_file(self._path))
            except OSError:
                return  # a folder that cannot be written: nobody replaces anything there
            try:
                _lock(file, shared=True)
            except BlockingIOError as error:
                os.close(file)
                raise DatabaseBusy(
                    f"database {str(self._path)!r}: a backup is being restored: try again when it is done"
                ) from error
            except OSError:
                os.close(file)  # a file system without locks
                return
            self._file = file

    def end(self) -> None:
        """Take it back."""
        with self._turn:
            file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __del__(self) -> None:
        self.end()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Nobody has a database open, and nobody can open it, until the block ends; all of it is in its one file.

    Raises Conflict where somebody has it open: this program by the lock file, anything else by SQLite's own lock, which
    every connection to a database in WAL mode holds from its first statement to its end.
    """
    with locked(lock_file(path), _open_elsewhere(path)):
        settle(path)
        yield


@contextmanager
def locked(path: Path, otherwise: Conflict) -> Iterator[None]:
    """Hold the lock on a file alone until the block ends; raise `otherwise` where others hold it."""
    file = _open(path)
    try:
        try:
            _lock(file, shared=False)
        except BlockingIOError as error:
            raise otherwise from error
        yield
    finally:
        os.close(file)


def settle(path: Path) -> bool:
    """Bring everything of a database that nobody has open into its one file; False where it is damaged.

    Raises Conflict where somebody has it open.
    """
    if not path.exists():
        return True
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise _open_elsewhere(path) from error
        return False
    return True


def lock_file(path: Path) -> Path:
    """The file beside a database that is locked while it is in use."""
    return path.with_name(f"{path.name}.lock")


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)


def _lock(file: int, *, shared: bool) -> None:
    """Raises BlockingIOError where others hold it, OSError where there are no locks."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _open_elsewhere(path: Path) -> Conflict:
    return Conflict(f"database {str(path)!r} is open in another process: stop `okf serve` and imports first")
