"""Keeping indexes up with the catalogue: following what was written, and building an index anew beside the one that
serves.

An index follows the notes of `catalog.changes`: of each it takes the keywords' rows as they are now. So it does not
matter how often a note is read, and what is newer than its note is right too. The position of the log and the last note
are saved in the commit with the documents. Where notes are missing, or documents were made by another version of the
analysis, an index is built from all rows, and changes over while the old one serves and follows.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from omnikeywords.analysis import MODEL_VERSION
from omnikeywords.catalog import changes, projects
from omnikeywords.db import Database
from omnikeywords.errors import IndexBusy, NotFound, OmniKeywordsError
from omnikeywords.ops import get_logger
from omnikeywords.search.index import Indexes, Marker, ProjectSettings, Writer, current, new_build, publish
from omnikeywords.search.snapshots import load, take

__all__ = ["Builder"]

_NOTES = 20  # followed in one commit at most, and
_KEYWORDS = 20_000  # of them, unless one note has more
_ROWS = 10_000  # read at a time
_BUILD_THREADS = 2
_MOST_WRITERS = 8  # kept open: each has threads, and memory for what it is about to write
_log = get_logger("omnikeywords.search")


class Builder:
    """Writes the indexes of the buckets of one database; one at a time a folder, whatever process it is in."""

    def __init__(self, database: Database, indexes: Indexes, snapshots: Path | None = None) -> None:
        """`snapshots` is a folder for snapshots, from which an index that is not there yet begins."""
        self._database = database
        self._indexes = indexes
        self._snapshots = snapshots
        self._written: set[int] = set()  # buckets, since their last snapshots
        self._taken: dict[int, float] = {}  # when the last snapshot of a bucket was
        self._writers: dict[int, Writer] = {}  # of builds that serve, kept open between commits
        self._building: dict[int, threading.Thread] = {}
        self._heard: dict[int, deque[changes.Standing]] = {}  # how far the table of a bucket was, not yet reached
        self._lock = threading.RLock()

    def catch_up(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Bring every index up to what was written by now; returns how many had something to do.

        An index that another process writes is left to it.
        """
        with self._database.read() as connection:
            there = changes.newest(connection)
        moved = 0
        for bucket, newest in there.items():
            if stop():
                break
            with suppress(IndexBusy):
                moved += self.follow(bucket, newest, stop)
        return moved

    def follow(self, bucket: int, newest: changes.Standing, stop: Callable[[], bool] = lambda: False) -> bool:
        """Bring the index of a bucket up to what was written; returns whether that was anything.

        Raises IndexBusy where another process writes it.
        """
        with self._lock:
            folder = self._indexes.folder_of(bucket)
            build = current(folder)
            if build is None and self._snapshots is not None and load(self._snapshots / str(bucket), folder):
                build = current(folder)
            if build is None:
                if not newest.number:
                    return False
                self.build(bucket)
                return True
            view = self._indexes.of(bucket).view()
            if bucket not in self._writers and view is not None and _is_up(view.marker, newest):
                return False  # without taking the folder
            writer = self._writer(bucket, build)
            if _is_up(writer.marker, newest):
                return False
            if writer.marker.model_version != MODEL_VERSION:
                self._build_beside(bucket)
            while not stop() and self._step(bucket, writer):
                pass
            return True

    def take_snapshots(self, seconds: float) -> int:
        """Copy the indexes that were written since their last snapshots, if those are so old; returns how many.

        It may run beside all else. One that cannot be copied is tried again after so many seconds.
        """
        if self._snapshots is None:
            return 0
        done = 0
        for bucket in list(self._written):
            if time.monotonic() - self._taken.get(bucket, float("-inf")) >= seconds:
                self._written.discard(bucket)
                self._taken[bucket] = time.monotonic()
                try:
                    done += take(self._indexes.folder_of(bucket), self._snapshots / str(bucket)) is not None
                except (OmniKeywordsError, OSError) as error:
                    self._written.add(bucket)
                    _log.warning("a search index cannot be copied", bucket=bucket, reason=str(error))
        return done

    def _build_beside(self, bucket: int) -> None:
        """Begin to build an index anew, unless that is being done; what is there serves and follows meanwhile."""
        building = self._building.get(bucket)
        if building is None or not building.is_alive():
            building = threading.Thread(target=self._try_to_build, args=(bucket,), name=f"build-{bucket}")
            self._building[bucket] = building
            building.start()

    def _try_to_build(self, bucket: int) -> None:
        try:
            self.build(bucket)
        except OmniKeywordsError as error:
            _log.warning("a search index cannot be built anew", bucket=bucket, reason=str(error))
        except Exception as error:  # what is there goes on serving; the next look tries again
            _log.error("a search index cannot be built anew", bucket=bucket, exc_info=error)

    def _step(self, bucket: int, writer: Writer) -> bool:
        """Follow some notes, in one commit; returns whether there may be more."""
        marker = writer.marker
        with self._database.read() as connection:
            now = changes.standing(connection, bucket)
            notes = changes.since(connection, bucket, marker.changes, _NOTES) if marker.changes else None
        if notes is None:
            if now.number:
                self._build_beside(bucket)
            elif now.position != marker.position:
                writer.commit(now.position, 0, marker.projects)
            return False
        notes = _as_many_as_fit(notes)
        if not notes and now.position == marker.position:
            return False
        settings = dict(marker.projects)
        try:
            for project in dict.fromkeys(note.project for note in notes):
                of_project = [note for note in notes if note.project == project]
                if any(note.ids is None for note in of_project):
                    writer.remove_project(project)
                    self._put_project(bucket, project, writer)
                else:
                    ids = list(dict.fromkeys(one for note in of_project for one in note.ids or ()))
                    with self._database.read(project) as connection:
                        rows = changes.rows_of(connection, bucket, project, ids)
                    writer.remove(project, ids)
                    writer.put(project, rows, new=True)
                self._settle(project, settings)
            number = notes[-1].number if notes else marker.changes
            writer.commit(self._reached(bucket, now, number, marker.position), number, settings)
            self._written.add(bucket)
        except BaseException:
            writer.abandon()
            raise
        return number < now.number

    def _reached(self, bucket: int, now: changes.Standing, number: int, before: int) -> int:
        """The position of the log that an index holds with the notes up to a number: also while more are written than
        it follows, it is as far as the table was when it had no others.
        """
        heard = self._heard.setdefault(bucket, deque())
        heard.append(now)
        while heard and heard[0].number <= number:
            before = max(before, heard.popleft().position)
        return before

    def build(self, bucket: int) -> Path:
        """Build an index anew from all rows, and let it serve in the place of the one before."""
        writer = Writer(new_build(self._indexes.folder_of(bucket)), _BUILD_THREADS)
        try:
            with self._database.read() as connection:
                now = changes.standing(connection, bucket)
                there = changes.projects_of(connection, bucket)
            settings: dict[str, ProjectSettings] = {}
            for project in there:
                self._put_project(bucket, project, writer)
                self._settle(project, settings)
            writer.commit(now.position, now.number, settings, MODEL_VERSION)
            with self._lock:
                # The one before may have followed meanwhile, and nobody is to see time go backwards.
                while self._step(bucket, writer):
                    pass
                publish(writer.folder)
                self._written.add(bucket)
                old = self._writers.pop(bucket, None)
        finally:
            writer.close()
        if old is not None:
            old.close()
        _log.info("search index built", bucket=bucket, projects=len(there))
        return writer.folder

    def _put_project(self, bucket: int, project: str, writer: Writer) -> None:
        after = ""
        while True:
            with self._database.read(project) as connection:
                rows = changes.rows_behind(connection, bucket, project, after, _ROWS)
            writer.put(project, rows, new=True)
            if rows.height < _ROWS:
                return
            after = rows["id"][-1]

    def _settle(self, project: str, settings: dict[str, ProjectSettings]) -> None:
        """Note what the keywords of a project are analysed by; one that is gone is forgotten."""
        try:
            found = projects.find(self._database, project)
        except NotFound:
            settings.pop(project, None)
            return
        market = None if found.market is None else str(found.market)
        settings[project] = ProjectSettings(market, tuple(found.brands), dict(found.weights))

    def _writer(self, bucket: int, build: Path) -> Writer:
        writer = self._writers.get(bucket)
        if writer is not None and writer.folder == build:
            return writer
        if writer is not None:
            del self._writers[bucket]
            writer.close()
        writer = self._writers[bucket] = Writer(build)
        while len(self._writers) > _MOST_WRITERS:  # the one that was opened first goes first
            self._writers.pop(next(iter(self._writers))).close()
        return writer

    def close(self) -> None:
        """Let builds and merges end and give every index back."""
        for building in list(self._building.values()):
            building.join()
        with self._lock:
            for writer in self._writers.values():
                writer.close()
            self._writers.clear()


def _as_many_as_fit(notes: list[changes.Change]) -> list[changes.Change]:
    """The first notes, one at least, that have no more keywords than are followed in one commit."""
    keywords = 0
    for at, note in enumerate(notes):
        keywords += len(note.ids or ())
        if keywords > _KEYWORDS and at:
            return notes[:at]
    return notes


def _is_up(marker: Marker, newest: changes.Standing) -> bool:
    """Whether an index holds everything there is."""
    there = (marker.position, marker.changes) == (newest.position, newest.number)
    return there and marker.model_version == MODEL_VERSION
