"""How much memory that nobody uses a process keeps for itself."""

import contextlib
import ctypes

__all__ = ["keep_little_memory"]

# Of glibc's mallopt.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_LARGE = 1 << 20  # bytes
_ARENAS = 2


def keep_little_memory() -> None:
    """Give large blocks back to the system as soon as they are free, for as long as this process lives.

    Left to itself glibc keeps what was free once, for each thread apart: half as much again as is in use, where large
    frames come and go in several threads. To be called before there are many; other C libraries have no such choice.
    """
    with contextlib.suppress(OSError, AttributeError):
        choose = ctypes.CDLL(None).mallopt
        choose(_MMAP_THRESHOLD, _LARGE)
        choose(_ARENA_MAX, _ARENAS)
