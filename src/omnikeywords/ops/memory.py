"""How much memory that nobody uses a process keeps for itself."""

import contextlib
import ctypes
import os

__all__ = ["keep_little_memory"]

# Of glibc's mallopt.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_LARGE = 1 << 20  # bytes
_ARENAS = 2
# Of jemalloc, which polars brings: it reads them when it is loaded.
_VARIABLE, _CHOICES = "_RJEM_MALLOC_CONF", "narenas:2,dirty_decay_ms:200,muzzy_decay_ms:0"


def keep_little_memory() -> None:
    """Give memory back to the system soon after it is free, for as long as this process lives.

    Left to themselves glibc and jemalloc keep what was free once, for each thread apart: half as much again as is in
    use, where large frames come and go in several threads. To be called before there are any, and before polars is
    loaded, though later still helps; processes that are begun afterwards heed the half of it that is polars'. Other C
    libraries have no such choice.
    """
    os.environ.setdefault(_VARIABLE, _CHOICES)
    with contextlib.suppress(OSError, AttributeError):
        choose = ctypes.CDLL(None).mallopt
        choose(_MMAP_THRESHOLD, _LARGE)
        choose(_ARENA_MAX, _ARENAS)
