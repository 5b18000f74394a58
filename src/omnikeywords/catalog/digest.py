"""What can be made of a chunk of rows alone, whatever the catalogue holds: analysed, as rows of both tables.

That takes the interpreter's lock as much as writing rows does, and each would wait for the other at every row. So the
chunks of a large import are digested in a process of their own, which ends when nobody needs it for a while.
"""

import contextlib
import multiprocessing
import signal
import threading
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from typing import Any

import polars as pl

from omnikeywords.analysis import Options, load_models
from omnikeywords.catalog.derive import analysed, keywords_of, stored
from omnikeywords.catalog.events import Event, frame_of
from omnikeywords.catalog.packed import Packed
from omnikeywords.ops import keep_little_memory

__all__ = ["PLACE", "TIME", "Digest", "Digester", "digest"]

TIME = pl.Datetime("us", "UTC")
PLACE = pl.format("{}/{}", "import_id", "row").alias("rows")  # of an observation, as `keywords.rows` names it
_FEW = 8  # chunks of an import that are not worth a process
_SMALL = 2_000  # rows of a chunk that is not worth sending
_IDLE_SECONDS = 3.0


class Digest:
    """A chunk of rows, analysed; without those that cannot be.

    What another process made stays packed: many of them wait for their turn, and each is looked at once.
    """

    __slots__ = ("_rows", "_state", "options")

    def __init__(self, rows: pl.DataFrame | Packed, state: pl.DataFrame | Packed, options: Options) -> None:
        self._rows, self._state, self.options = rows, state, options

    @property
    def rows(self) -> pl.DataFrame:
        """Of the table `observations`."""
        return self._rows.frame() if isinstance(self._rows, Packed) else self._rows

    @property
    def state(self) -> pl.DataFrame:
        """Of the table `keywords`, were each row the only one of its keyword."""
        return self._state.frame() if isinstance(self._state, Packed) else self._state

    def packed(self) -> "Digest":
        """The same, to be sent and kept."""
        return Digest(Packed(self.rows), Packed(self.state), self.options)


def digest(event: Event, options: Options) -> Digest:
    """Analyse the rows of an event that has any."""
    assert event.data is not None
    chunk = frame_of(event.data).with_row_index("row", event.payload["first_row"]).cast({"row": pl.Int64})
    analysis = analysed(chunk, options)
    usable = analysis["id"].is_not_null()
    chunk, analysis = chunk.filter(usable), analysis.filter(usable)
    rows = stored(chunk).with_columns(
        pl.lit(event.bucket, pl.Int32).alias("bucket"),
        pl.lit(event.project).alias("project"),
        pl.lit(event.stream.removeprefix("import/")).alias("import_id"),
        chunk["row"],
        pl.lit(event.recorded_at, TIME).alias("recorded_at"),
        analysis["id"],
    )
    state = keywords_of(chunk, analysis).with_columns(
        rows.select(PLACE).to_series(),
        pl.lit(event.recorded_at, TIME).alias("created_at"),
        pl.lit(event.recorded_at, TIME).alias("updated_at"),
    )
    return Digest(rows, state, options)


class Digester:
    """Digests events here, or beside this process once there are many of them; safe to share between threads."""

    def __init__(self, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds  # after which the process ends
        self._turn = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Pipe | None = None
        self._ready = False

    def digest(self, event: Event, options: Options) -> Digest:
        """What `digest` makes of it."""
        large = event.payload["number"] >= _FEW and event.payload["rows"] >= _SMALL
        if large and self._turn.acquire(blocking=False):
            try:
                found = self._elsewhere(event, options)
            except (OSError, EOFError):  # it ended, as nobody needed it, or was ended
                self._end()
            else:
                if isinstance(found, Exception):
                    raise found
                if found is not None:
                    return found
            finally:
                self._turn.release()
        return digest(event, options)

    def _elsewhere(self, event: Event, options: Options) -> Digest | Exception | None:
        """What the process makes of it; None while it starts."""
        if self._pipe is None:
            self._start(options)
        assert self._pipe is not None
        if not self._ready:
            if not self._pipe.poll():
                return None
            self._ready = bool(self._pipe.recv())
        self._pipe.send((event, options))
        found: Digest | Exception = self._pipe.recv()
        return found

    def _start(self, options: Options) -> None:
        spawn = multiprocessing.get_context("spawn")  # not forked: this process has threads
        self._pipe, theirs = spawn.Pipe()
        given = (theirs, options, self._idle_seconds)
        self._process = spawn.Process(target=_work, args=given, name="okf-digest", daemon=True)
        self._process.start()
        theirs.close()

    def _end(self) -> None:
        """Once it is gone, the next event starts another."""
        with contextlib.suppress(OSError):
            if self._pipe is not None:
                self._pipe.close()
        if self._process is not None:
            self._process.join(1)
        self._pipe, self._process, self._ready = None, None, False


def _work(pipe: Pipe, options: Options, idle_seconds: float) -> None:
    """What the process runs, until nobody asks for a while or whoever did is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent decides
    keep_little_memory()
    with contextlib.suppress(EOFError, OSError):
        load_models(options)
        pipe.send(True)
        while pipe.poll(idle_seconds):
            asked: Any = pipe.recv()
            try:
                made: Digest | Exception = digest(*asked).packed()
            except Exception as error:
                made = error
            pipe.send(made)
