"""Projects that were deleted a moment ago: their search index holds them until it has followed the log.

Every process that searches must know at once, and a search asks no database. So who deletes adds a line to a file
beside the indexes, and who searches looks whether the file has grown, which takes some microseconds. On another
machine, with indexes of its own, a project is there until they have followed.
"""

import os
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["Deleted"]


class Deleted:
    """What was deleted, as told in the file of a folder; safe to share between threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "deleted"
        self._name = str(self._path)  # a path is looked at more slowly
        self._reading = threading.Lock()
        self._read = 0  # bytes
        self._told: dict[str, tuple[int, datetime]] = {}  # by project: position of the log, and when

    def tell(self, project: str, position: int) -> None:
        """Say that a project was deleted, and up to where an index must be to know it by itself."""
        now = datetime.now(UTC)
        self._told[project] = position, now
        # Where nothing can be written there is no index that others beside this process read.
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as file:  # one write, so that lines of several stay whole
                file.write(f"{project} {position} {now.isoformat()}\n".encode())

    def since(self, project: str, position: int) -> datetime | None:
        """When a project was deleted, if whoever is at this position of the log cannot know it yet."""
        try:
            size = os.stat(self._name).st_size
        except FileNotFoundError:
            size = 0
        if size != self._read:
            self._look()
        told = self._told.get(project)
        return told[1] if told is not None and position < told[0] else None

    def _look(self) -> None:
        with self._reading:
            try:
                whole = self._path.read_bytes()
            except FileNotFoundError:
                whole = b""
            for line in whole[: whole.rfind(b"\n") + 1].decode().splitlines():
                project, position, at = line.split(" ")
                self._told[project] = int(position), datetime.fromisoformat(at)
            self._read = len(whole)
