"""A standby: a copy of a database that only reads, and runs behind it by a moment.

Nobody is shown less there than they would have found at the primary: whoever reads is sent to the standby only once it
holds what the primary's read models held when they asked.
"""

import threading
import time

from omnikeywords.catalog import follow
from omnikeywords.db import Database
from omnikeywords.errors import DatabaseBusy, DatabaseUnavailable, NotReached
from omnikeywords.ops import counter, get_logger

__all__ = ["Standby"]

_PATIENCE = 0.25  # seconds that a reader waits for the standby
_AWAY = 10.0  # seconds for which one that could not be used is left alone
_log = get_logger("omnikeywords.catalog")
_reads = counter("okf_standby_reads_total", "Reads that a standby could have served, by who did.", ("served_by",))


class Standby:
    """A primary and its standby; safe to share between threads."""

    def __init__(self, primary: Database, standby: Database) -> None:
        self._primary = primary
        self._standby = standby
        self._lock = threading.Lock()
        self._not_before = 0.0

    def reader(self, model: str, bucket: int) -> Database:
        """The standby where it holds all that a read model of the primary holds now, else the primary.

        Raises DatabaseUnavailable, DatabaseBusy of the primary.
        """
        found = self._primary
        if time.monotonic() >= self._not_before:
            with self._primary.read() as connection:
                position = follow.position_of(connection, model, bucket)
            try:
                follow.wait_until(self._standby, model, bucket, position, _PATIENCE)
                found = self._standby
            except NotReached:
                pass
            except (DatabaseUnavailable, DatabaseBusy) as error:
                with self._lock:
                    self._not_before = time.monotonic() + _AWAY
                _log.warning("the standby cannot be used", reason=str(error))
        _reads.labels("primary" if found is self._primary else "standby").inc()
        return found

    def close(self) -> None:
        """Give the standby's connections back."""
        self._standby.close()
