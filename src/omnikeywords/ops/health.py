"""Alive and ready: checks that parts register, and the word that the service is draining.

Alive means that this process answers. Ready means that it can do its work: every registered check passes and
nobody has asked it to stop.
"""

import mmap
from collections.abc import Callable
from pathlib import Path

__all__ = ["Check", "Health", "SharedFlag"]

Check = Callable[[], str | None]  # None: all is well; else what is wrong and what to do


class SharedFlag:
    """A yes or no that processes share through a file of one byte; looking at it costs no system call."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(b"\0")
        with path.open("r+b") as file:
            self._byte = mmap.mmap(file.fileno(), 1)

    def set(self) -> None:
        """Say yes, to every process that has this file open."""
        self._byte[0] = 1

    def __bool__(self) -> bool:
        return self._byte[0] == 1


class Health:
    """The checks of one process."""

    def __init__(self, draining: SharedFlag | None = None) -> None:
        self._checks: dict[str, Check] = {}
        self.draining = draining  # None: this process is never asked to stop that way

    def register(self, name: str, check: Check) -> None:
        """Add a check, called at each question: it must take no longer than a look at a variable."""
        self._checks[name] = check

    def look(self) -> dict[str, str | None]:
        """What each check says now, by name: None where all is well, else the trouble."""
        said: dict[str, str | None] = {name: check() for name, check in self._checks.items()}
        if self.draining:
            said["draining"] = "the service is stopping: send requests elsewhere"
        return said
