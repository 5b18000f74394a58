"""What every API key has spent, for the workers of one machine: a table in memory that they share through a file.

GCRA: of a key one number is kept, the time until which all that it was granted is paid for. A key whose time is past is
as one never seen, so its place is another's for the taking.
"""

import math
import mmap
import os
import struct
import sys
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["Lease", "Ledger", "take_tokens"]

Lease = tuple[int, int, float]  # tokens granted, tokens left, seconds until all are there again

_PLACE = struct.Struct("<Qd")  # whose, and until when it is paid for, by the clock that all processes share
_TRIES = 200  # to get the lock; it is held for some microseconds
_NEAR = 32  # places that a key may be at


def take_tokens(paid: float, now: float, interval: float, burst: int, wanted: int) -> tuple[float, Lease]:
    """The new time until which a bucket is paid for, and what it granted: GCRA with one token each `interval` seconds
    and at most `burst` of them.
    """
    paid = max(paid, now)
    free = math.floor((now + burst * interval - paid) / interval + 1e-6)
    granted = max(0, min(wanted, free))
    paid += granted * interval
    return paid, (granted, max(0, free - granted), paid - now)


class Ledger:
    """The table; made before workers split off, or opened by each under the same path."""

    def __init__(self, path: Path, *, places: int = 65_536, clock: Callable[[], float] = time.monotonic) -> None:
        size = places * _PLACE.size
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # open as long as the process: its lock is on it
        if os.fstat(self._file).st_size < size:
            os.ftruncate(self._file, size)
        self._table = mmap.mmap(self._file, size)
        self._places = places
        self._clock = clock

    def take(self, name: str, interval: float, burst: int, wanted: int) -> Lease | None:
        """Take up to so many tokens of a bucket; None where another process holds the table all the time, or it is
        full of keys that are owing.
        """
        whose = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") or 1
        if not self._lock():
            return None
        try:
            now = self._clock()
            place = self._find(whose, now)
            if place is None:
                return None
            owner, paid = _PLACE.unpack_from(self._table, place)
            paid, lease = take_tokens(paid if owner == whose else 0.0, now, interval, burst, wanted)
            _PLACE.pack_into(self._table, place, whose, paid)
            return lease
        finally:
            if sys.platform != "win32":
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _lock(self) -> bool:
        """A lock of this process: freed with it, however it ends. Windows has none."""
        if sys.platform == "win32":
            return False
        for _ in range(_TRIES):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            return True
        return False

    def _find(self, whose: int, now: float) -> int | None:
        """Where a key is; else where it may be."""
        free = None
        for step in range(_NEAR):
            place = (whose + step) % self._places * _PLACE.size
            owner, paid = _PLACE.unpack_from(self._table, place)
            if owner == whose:
                return place
            if free is None and paid <= now:
                free = place
        return free
