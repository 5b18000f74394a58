"""The index of a bucket: a folder that one process writes and any number read, and how far it has come.

    <bucket>/current            the name of the folder that serves
    <bucket>/<n>/               one build of it: tantivy's segments, and `records`

A commit puts documents, and the marker that says up to where the log is in them, in place together or not at all;
records are on the disk before it. So a process may be killed at any moment, and whoever comes next goes on from the
marker. A rebuild fills another folder and puts its name into `current`; readers change over when they next look.
"""

import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import polars as pl
import tantivy
from tantivy import Query

from omnikeywords.analysis import MODEL_VERSION
from omnikeywords.errors import IndexBusy
from omnikeywords.search.records import RecordFile, Records
from omnikeywords.search.schema import BANDS, SCHEMA, Terms, documents, gather, keys_of, register
from omnikeywords.search.words import Words

__all__ = [
    "FORMAT",
    "NOBODY",
    "RECORDS",
    "Index",
    "Indexes",
    "Marker",
    "ProjectSettings",
    "View",
    "Writer",
    "current",
    "marker_of",
    "new_build",
    "publish",
]

FORMAT = "3"  # of schema, words and records: another one is another folder
_CURRENT = "current"
RECORDS = "records"
_LOOK_SECONDS = 0.2  # between looks for a newer commit
_REMEMBERED = 20_000  # things about a commit; then it begins anew
NOBODY = 0  # number of no project
_HEAP = 300_000_000  # bytes of documents that wait to be written


_Found = TypeVar("_Found")


class ProjectSettings(msgspec.Struct, frozen=True):
    """What a project's keywords are analysed by."""

    market: str | None = None
    brands: tuple[str, ...] = ()
    weights: dict[str, float] = {}


class Marker(msgspec.Struct, frozen=True):
    """How far an index is, and of what its documents are made."""

    position: int = 0  # of the log: every event up to it is in the index
    changes: int = 0  # number of the last note of catalog.changes that is in the index
    model_version: str = MODEL_VERSION
    records: int = 0  # bytes of the file, all commits together
    projects: dict[str, ProjectSettings] = {}
    numbers: dict[str, int] = {}  # of projects: what their terms begin with
    next_number: int = 1  # no number is ever given twice


class View:
    """An index as of one commit: what a search looks at from its first to its last step."""

    def __init__(self, searcher: tantivy.Searcher, records: Records, marker: Marker) -> None:
        self.searcher = searcher
        self.records = records
        self.marker = marker
        self._remembered: dict[object, Any] = {}

    def terms(self, project: str) -> Terms:
        """The terms of a project; those of one that is not there are nobody's."""
        return self.remembered(("terms", project), lambda: Terms(self.marker.numbers.get(project, NOBODY)))

    def bands(self, terms: Terms) -> list[tuple[str, int]]:
        """The bands that keywords of a project are in, the best first: the term of each, and how many are there."""
        return self.remembered(terms.band, lambda: self._look_for_bands(terms))

    def _look_for_bands(self, terms: Terms) -> list[tuple[str, int]]:
        named = [f"{terms.band}{band}" for band in reversed(range(BANDS))]
        counted = [(name, self.searcher.doc_freq("term", name)) for name in named]
        return [(name, keywords) for name, keywords in counted if keywords]

    def remembered(self, key: Hashable, find_out: Callable[[], _Found]) -> _Found:
        """What was found out of this commit under a key, which never changes; found out when first asked for."""
        found: _Found | None = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            found = self._remembered[key] = find_out()
        return found

    def records_at(self, addresses: list[tantivy.DocAddress]) -> list[list[Any]]:
        """The record of each document."""
        return self.records.read(gather(self.values("at", addresses)))

    def values(self, field: str, addresses: list[tantivy.DocAddress]) -> list[int]:
        """A number of each document; 0 where it is missing."""
        if not addresses:
            return []
        return [int(value or 0) for value in self.searcher.fast_field_values(field, addresses)]


class Writer:
    """One build of an index, for the one process that writes it.

    Raises IndexBusy where another does.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        index = tantivy.Index(SCHEMA, path=str(folder))
        register(index)
        try:
            self._writer = index.writer(_HEAP * threads, threads)
        except ValueError as error:
            if "LockBusy" not in str(error):
                raise
            raise IndexBusy(
                f"another process writes the search index {folder.parent.name}: it goes on there"
            ) from error
        self.marker = marker_of(index.searcher())
        self._records = RecordFile(folder / RECORDS)
        self._words = Words()
        self._numbers = dict(self.marker.numbers)
        self._next_number = self.marker.next_number

    def put(self, project: str, rows: pl.DataFrame, *, new: bool = False) -> None:
        """Index rows of the table `keywords`; `new` says that none of them is in it yet."""
        if not rows.height:
            return
        if not new:
            self.remove(project, rows["id"].to_list())
        if project not in self._numbers:
            self._numbers[project] = self._next_number
            self._next_number += 1
        at = self._records.append(rows)
        for document in documents(project, Terms(self._numbers[project]), rows, at, self._words):
            self._writer.add_json(document)

    def remove(self, project: str, ids: Sequence[str]) -> None:
        """Take keywords out, whether or not they are in it."""
        for key in keys_of(project, pl.Series(ids, dtype=pl.String)).tolist():
            # By query: a term of an unsigned field deletes nothing in tantivy 0.27.
            self._writer.delete_documents_by_query(Query.term_query(SCHEMA, "key", key))

    def remove_project(self, project: str) -> None:
        """Take all keywords of a project out."""
        if project in self._numbers:
            # By another number from here on: nothing that may still be on its way is taken for the new one's.
            self._writer.delete_documents_by_term("term", Terms(self._numbers.pop(project)).all)

    def commit(
        self, position: int, changes: int, projects: dict[str, ProjectSettings], model_version: str | None = None
    ) -> None:
        """Make all that was put and removed visible, with how far the index is now; `model_version` if all is of it."""
        self._records.sync()
        version = model_version or self.marker.model_version
        self.marker = Marker(
            position, changes, version, self._records.end, projects, dict(self._numbers), self._next_number
        )
        self._writer.delete_documents_by_term("term", _MARKER_TERM)
        document = tantivy.Document()
        document.add_text("term", _MARKER_TERM)
        document.add_bytes("marker", msgspec.json.encode(self.marker))
        self._writer.add_document(document)
        self._writer.commit()

    def abandon(self) -> None:
        """Forget what was put and removed since the last commit."""
        self._writer.rollback()
        self._numbers = dict(self.marker.numbers)

    def close(self) -> None:
        """Let merges end and give the folder back."""
        self._writer.wait_merging_threads()
        self._records.close()


_MARKER_TERM = "marker"
_marker_query = Query.term_query(SCHEMA, "term", _MARKER_TERM)
_decode_marker = msgspec.json.Decoder(Marker).decode


def marker_of(searcher: tantivy.Searcher) -> Marker:
    """How far an index is; it is at its beginning where nothing was committed yet."""
    found = searcher.search(_marker_query, 1).hits
    if not found:
        return Marker()
    (stored,) = searcher.doc(found[0][1])["marker"]
    return _decode_marker(bytes(stored))


def current(folder: Path) -> Path | None:
    """The build that serves, of the folder of a bucket; None where there is none."""
    try:
        return folder / (folder / _CURRENT).read_text()
    except FileNotFoundError:
        return None


def new_build(folder: Path) -> Path:
    """A place for another build of a bucket's index."""
    there = [int(path.name) for path in folder.glob("[0-9]*") if path.name.isdecimal()]
    return folder / str(max(there, default=0) + 1)


def publish(build: Path) -> None:
    """Let a build serve, and delete those before it; who still reads them has them open."""
    folder = build.parent
    name = folder / f"{_CURRENT}.new"
    with name.open("w") as file:
        file.write(build.name)
        file.flush()
        os.fsync(file.fileno())
    name.replace(folder / _CURRENT)
    for other in folder.glob("[0-9]*"):
        if other.name.isdecimal() and int(other.name) < int(build.name):
            shutil.rmtree(other, ignore_errors=True)


class Index:
    """The index of a bucket for those who read it; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._build: Path | None = None
        self._index: tantivy.Index | None = None
        self._seen: tuple[int, int] | None = None  # what told the last commit from others
        self._view: View | None = None
        self._looked = float("-inf")
        self._looking = threading.Lock()

    def view(self, *, now: bool = False) -> View | None:
        """The newest commit there was some tenths of a second ago, or is `now`; None where there is none."""
        if now:
            with self._looking:
                self._look()
        elif time.monotonic() - self._looked > _LOOK_SECONDS and self._looking.acquire(blocking=self._view is None):
            try:
                self._look()
            finally:
                self._looking.release()
        return self._view

    def _look(self) -> None:
        for _ in range(3):  # a build may be replaced while it is opened
            try:
                self._look_at(current(self._folder))
                break
            except (ValueError, OSError, KeyError):
                if self._view is not None and self._build is not None and (self._build / "meta.json").exists():
                    break  # what is there serves on
                time.sleep(0.01)
        self._looked = time.monotonic()

    def _look_at(self, build: Path | None) -> None:
        if build is None:
            self._view = self._index = None
            return
        stat = (build / "meta.json").stat()
        seen = (stat.st_mtime_ns, stat.st_ino)
        if build == self._build and seen == self._seen and self._view is not None:
            return
        if self._index is None or build != self._build:
            index = tantivy.Index.open(str(build))
            register(index)
            index.config_reader("manual")
        else:
            index = self._index
        index.reload()
        searcher = index.searcher()
        marker = marker_of(searcher)
        same = self._view is not None and build == self._build and self._view.records.size >= marker.records
        records = self._view.records if same and self._view is not None else Records(build / RECORDS)
        self._build, self._index, self._seen = build, index, seen
        self._view = View(searcher, records, marker)


class Indexes:
    """The indexes of all buckets under a folder, of which only so many are open at a time."""

    def __init__(self, folder: Path, most_open: int) -> None:
        self._folder = folder
        self._most = most_open
        self._open: OrderedDict[int, Index] = OrderedDict()
        self._lock = threading.Lock()

    def folder_of(self, bucket: int) -> Path:
        """Where the index of a bucket lies."""
        return self._folder / FORMAT / str(bucket)

    def of(self, bucket: int) -> Index:
        """The index of a bucket; those that were not asked for the longest are closed for it."""
        with self._lock:
            index = self._open.get(bucket)
            if index is None:
                index = self._open[bucket] = Index(self.folder_of(bucket))
                while len(self._open) > self._most:
                    self._open.popitem(last=False)
            else:
                self._open.move_to_end(bucket)
            return index
