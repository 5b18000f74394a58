"""Loops that no array operation does well, compiled to machine code when they are first called.

A compiled function takes arrays and numbers, always of the same types, and calls compiled functions of its own module
alone: what is kept on disk for the next process is thrown away when that module changes, and only then.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from numba import njit
from numba.core.event import Event, Listener, install_listener

__all__ = ["compiled", "told_of_compiling"]

Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop) -> Loop:
    """The same function as machine code, which lets other threads run meanwhile.

    Division by zero gives infinity or not-a-number, as in numpy. Where no folder can be written to, nothing is kept and
    every process compiles for itself.
    """
    try:
        return cast(Loop, njit(cache=True, nogil=True, error_model="numpy")(loop))
    except RuntimeError:  # numba found no folder for its cache
        return cast(Loop, njit(nogil=True, error_model="numpy")(loop))


@contextmanager
def told_of_compiling(tell: Callable[[], object]) -> Iterator[None]:
    """Call `tell`, once, as soon as a loop is compiled within; one that was kept on disk need not be."""
    with install_listener("numba:compile", _Once(tell)):
        yield


class _Once(Listener):
    def __init__(self, tell: Callable[[], object]) -> None:
        self._tell = tell
        self._told = False

    def on_start(self, event: Event) -> None:
        if not self._told:
            self._told = True
            self._tell()

    def on_end(self, event: Event) -> None:
        pass
