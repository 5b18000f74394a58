"""Whole files through analysis: read, analyse, merge rows of one keyword, group near-duplicates, hand on to a
writer.

Hides the batches, the worker processes and the disk. Batches are analysed as they are read, by one process a
core once there is enough work, and laid down in a temporary folder, so that memory does not grow with the
columns of a file. What can only be known at the end (which rows are the same keyword, which keywords are
near-duplicates) needs a few columns of all rows and is then worked into the batches on their way out.
"""

import contextlib
import gc
import itertools
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import polars as pl
import pyarrow
import pyarrow.ipc
from numpy.typing import NDArray

from omnikeywords.analysis import Options, analyse, duplicates, load_models
from omnikeywords.analysis.duplicates import REASONS
from omnikeywords.analysis.frequency import default_table_path
from omnikeywords.analysis.language import LANGUAGES, LanguageModel
from omnikeywords.analysis.phrase_texts import Texts
from omnikeywords.analysis.score import OBSERVED_COLUMNS
from omnikeywords.errors import OmniKeywordsError
from omnikeywords.formats import Export, SkippedRow, open_export
from omnikeywords.formats.columns import OBSERVATION_SCHEMA
from omnikeywords.formats.merge import PART_COLUMNS, merge_rows, with_parts
from omnikeywords.formats.write import OBSERVED_FIELDS, extra_as_text
from omnikeywords.model import Market

__all__ = ["FileReport", "Progress", "Results", "Source", "analyse_sources", "result_columns"]

BATCH = 10_000
# Fewer batches are done before worker processes would have started.
FEW_BATCHES = 12
_EXAMPLES = 100  # of skipped rows, kept of each file

_NEAR = ("near_duplicate_of", "near_duplicate_reason")

Progress = Callable[[str, int, int | None], None]  # stage, rows done, rows in all if known


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read."""

    data: Path | bytes | BinaryIO
    name: str  # for people, and as a hint to the formats


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was read from one source."""

    name: str
    tool: str
    report: str
    market: str | None
    period: str | None
    warnings: Sequence[str]
    rows: int  # read
    skipped: Mapping[str, int]  # rows by reason, most first
    examples: Sequence[SkippedRow]  # the first of them


@dataclass(frozen=True, slots=True)
class _Laid:
    """A batch of analysed rows on disk."""

    path: Path
    rows: int
    columns: dict[str, pl.DataType]
    observed: frozenset[str]  # observed columns with any value
    errors: int
    merges: bool  # whether its rows merge with others of their keyword


class Results:
    """Analysed keywords in the order of their first appearance, with a report of what was read.

    A context manager: leaving it deletes what lies on disk.
    """

    def __init__(self, options: Options, near_duplicates: bool) -> None:
        self.options = options
        self.near_duplicates = near_duplicates  # whether they were looked for
        self.files: list[FileReport] = []
        self.rows_read = 0
        self.merged_away = 0  # rows that joined another of their keyword
        self.errors = 0  # keywords that cannot be analysed
        self.groups = 0  # of near-duplicates
        self.members = 0  # near-duplicates apart from the heads of their groups
        self.observed: frozenset[str] = frozenset()  # observed columns with any value
        self._folder = tempfile.TemporaryDirectory(prefix="okf-", ignore_cleanup_errors=True)
        self._laid: list[_Laid] = []
        self._dropped = np.zeros(0, np.bool_)  # by row read: merged into another
        self._merged: pl.DataFrame | None = None  # with the row it takes the place of
        self._near: pl.DataFrame | None = None  # by row kept: normalized head, reason

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    @property
    def keywords(self) -> int:
        """Rows that `frames` yields."""
        return self.rows_read - self.merged_away

    @property
    def empty(self) -> frozenset[str]:
        """Observed columns that no row has a value in."""
        return frozenset(OBSERVED_FIELDS) - self.observed

    def frames(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The results batch by batch, all of one schema: the keyword object, then OBSERVED_FIELDS.

        `columns` selects some of them. There is always at least one frame, if an empty one.
        """
        schema = _with_observed(self._laid[0].columns) if self._laid else result_columns(self.options)
        if columns is not None:
            schema = {name: schema[name] for name in columns}
        near = [name for name in _NEAR if name in schema] if self._near is not None else []
        read = kept = 0
        if not self._laid:
            yield pl.DataFrame(schema=schema)
        for laid in self._laid:
            frame = _completed(_read(laid, schema), schema)
            if self._merged is not None:
                frame = self._with_merged(frame, read, self._merged.select("_row", *schema))
            if self._near is not None and near:
                frame = frame.with_columns(self._near.select(near).slice(kept, frame.height))
            read += laid.rows
            kept += frame.height
            yield frame

    def _with_merged(self, frame: pl.DataFrame, first: int, merged: pl.DataFrame) -> pl.DataFrame:
        """Rows from number `first` on without those that merged into others, and with what they became."""
        last = first + frame.height - 1
        merged = merged.filter(pl.col("_row").is_between(first, last))
        gone = self._dropped[first : last + 1]
        if not merged.height and not gone.any():
            return frame
        sources = np.arange(frame.height)
        sources[merged["_row"].to_numpy() - first] = frame.height + np.arange(merged.height)
        return pl.concat([frame, merged.drop("_row")], rechunk=True)[sources[~gone]]


def analyse_sources(
    sources: Sequence[Source],
    options: Options,
    *,
    phrases: Sequence[str] = (),
    near_duplicates: bool = True,
    processes: int = 1,
    progress: Progress | None = None,
) -> Results:
    """Analyse every keyword of the sources, after `phrases`, which are answered as given, one each.

    All sources are opened before any is analysed. Near-duplicates are looked for in comprehensive analyses
    only. With `processes` above one, that many share the work once there is enough of it.

    Raises UnreadableExport where a source is no keyword export or is damaged, LanguageTableMissing.
    """
    tell = progress or (lambda stage, done, total: None)
    near_duplicates = near_duplicates and options.kind == "comprehensive"
    results = Results(options, near_duplicates)
    try:
        # Now, and not as a worker's failure.
        LanguageModel.load(_table(options))
        with contextlib.ExitStack() as stack:
            exports = [
                stack.enter_context(open_export(source.data, name=source.name, market=options.market))
                for source in sources
            ]
            batches = itertools.chain(_phrase_batches(phrases), _export_batches(exports, results.files))
            first = list(itertools.islice(batches, FEW_BATCHES))
            many = processes > 1 and len(first) == FEW_BATCHES
            pool = stack.enter_context(_pool(processes, options)) if many else None
            analysts = _Analysts(options, Path(results._folder.name), pool, processes)
            _lay_down(itertools.chain(first, batches), results, analysts, tell)
            _merge(results, analysts)
        if near_duplicates:
            tell("near-duplicates", 0, results.keywords)
            _group(results)
    except BaseException:
        results.__exit__(None, None, None)
        raise
    return results


# --- reading and analysing


def _phrase_batches(phrases: Sequence[str]) -> Iterator[tuple[pl.DataFrame, bool]]:
    for start in range(0, len(phrases), BATCH):
        yield pl.DataFrame({"keyword": phrases[start : start + BATCH]}), False


def _export_batches(exports: Sequence[Export], reports: list[FileReport]) -> Iterator[tuple[pl.DataFrame, bool]]:
    """The batches of all exports; a report of each is appended when it is read to its end."""
    for export in exports:
        for batch in export.batches(BATCH):
            yield batch.frame, True
        reports.append(_report(export))


def _report(export: Export) -> FileReport:
    return FileReport(
        name=Path(export.name or "").name,
        tool=export.tool,
        report=export.report,
        market=str(export.market) if export.market else None,
        period=str(export.period) if export.period else None,
        warnings=tuple(export.warnings),
        rows=export.rows_kept,
        skipped=dict(export.skipped.reasons.most_common()),
        examples=tuple(export.skipped[:_EXAMPLES]),
    )


def _read(laid: _Laid, columns: Iterable[str]) -> pl.DataFrame:
    """Those of the columns that a batch has; mapped, not copied."""
    with pyarrow.memory_map(str(laid.path)) as file:
        table = pyarrow.ipc.open_file(file).read_all()
        frame = pl.from_arrow(table.select([name for name in columns if name in laid.columns]))
    assert isinstance(frame, pl.DataFrame)
    return frame


class _Analysts:
    """Who analyses batches: this process, or workers once there is enough for them."""

    def __init__(self, options: Options, folder: Path, pool: Executor | None, processes: int) -> None:
        self._options = options
        self._folder = folder
        self._pool = pool
        # What is read ahead is held in memory: no more than keeps the workers busy.
        self._ahead = 2 * processes if pool else 0
        self._numbers = itertools.count()

    def lay_down(self, batches: Iterable[tuple[pl.DataFrame, bool]]) -> Iterator[_Laid]:
        """The batches analysed, in their order, each in a file of the folder."""
        waiting: deque[Future[_Laid] | _Laid] = deque()
        for frame, merges in batches:
            path = self._folder / f"{next(self._numbers)}.arrow"
            frame = _filled(extra_as_text(with_parts(frame))) if merges else frame
            if self._pool is None:
                waiting.append(_analyse_batch(frame, self._options, path, merges))
            else:
                waiting.append(self._pool.submit(_analyse_in_worker, frame, path, merges))
            while len(waiting) > self._ahead:
                yield _done(waiting.popleft())
        while waiting:
            yield _done(waiting.popleft())


def _done(item: Future[_Laid] | _Laid) -> _Laid:
    return item.result() if isinstance(item, Future) else item


def _filled(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that have any value."""
    return frame.select(name for name in frame.columns if frame[name].null_count() < frame.height)


def _lay_down(
    batches: Iterator[tuple[pl.DataFrame, bool]], results: Results, analysts: _Analysts, tell: Progress
) -> None:
    for laid in analysts.lay_down(batches):
        results._laid.append(laid)
        results.rows_read += laid.rows
        results.errors += laid.errors
        results.observed |= laid.observed
        tell("analysing", results.rows_read, None)


@contextlib.contextmanager
def _pool(processes: int, options: Options) -> Iterator[Executor]:
    """Worker processes that analyse; they end with the block, at once if it fails."""
    # Each worker is one of `processes`: its libraries must not start threads for every core again. The
    # variables are read when a worker starts, so they are only set while the pool exists. Spawned, not
    # forked: polars has threads.
    variables = {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    # glibc gives large blocks back to the system and fetches them again for the next batch: a tenth of all
    # time.
    variables |= {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "268435456"}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(options,)
    )
    try:
        yield pool
    except BrokenProcessPool as error:
        raise OmniKeywordsError(
            "a worker process was ended from outside, perhaps for want of memory: analyse fewer keywords at a time"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_worker_options = Options()


def _start_worker(options: Options) -> None:
    global _worker_options
    _worker_options = options
    # Ctrl-C reaches every process of the terminal; the first one decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), name="parent", daemon=True).start()
    load_models(options)
    # Batches are many short-lived objects and no cycles: looking for some at every turn costs a tenth.
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def _end_with_parent(parent: int) -> None:
    """A worker whose parent was killed would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _analyse_in_worker(frame: pl.DataFrame, path: Path, merges: bool) -> _Laid:
    return _analyse_batch(frame, _worker_options, path, merges)


def _analyse_batch(frame: pl.DataFrame, options: Options, path: Path, merges: bool) -> _Laid:
    """Analyse one batch of observations, of the columns that have any value, into a file."""
    rows = _analysed(frame, options)
    rows.write_ipc(path, compression="uncompressed", compat_level=pl.CompatLevel.newest())
    observed = frozenset(name for name in OBSERVED_FIELDS if name in rows)
    return _Laid(path, rows.height, dict(rows.schema), observed, rows["error"].count(), merges)


def _analysed(frame: pl.DataFrame, options: Options) -> pl.DataFrame:
    """Analysed rows of a frame of observations, in their order, with its observed columns by their result
    names."""
    if "market" not in frame or not frame.height:
        return _analysed_in_market(frame, options)
    markets = frame["market"].unique().to_list()
    if len(markets) == 1:
        return _analysed_in_market(frame, _in_market(options, markets[0]))
    numbered = frame.with_row_index("_row")
    parts = [
        _analysed_in_market(part, _in_market(options, market)).with_columns(part["_row"])
        for market, part in ((part["market"][0], part) for part in numbered.partition_by("market"))
    ]
    return pl.concat(parts, how="diagonal").sort("_row").drop("_row")


def _table(options: Options) -> Path:
    return options.language_table or default_table_path()


def _in_market(options: Options, market: str | None) -> Options:
    return options if market is None else replace(options, market=Market.parse(market))


def _analysed_in_market(frame: pl.DataFrame, options: Options) -> pl.DataFrame:
    observations = {
        name: frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for name in OBSERVED_COLUMNS
        if name in frame
    }
    analysis = analyse(frame["keyword"].to_list(), options, observations)
    observed = [frame[column].alias(name) for name, column in OBSERVED_FIELDS.items() if column in frame.columns]
    return analysis.to_polars().with_columns(*observed, *(frame[name] for name in PART_COLUMNS if name in frame))


def result_columns(options: Options) -> dict[str, pl.DataType]:
    """The columns of results, in their order."""
    return _with_observed(analyse([], options).to_polars().schema)


def _with_observed(columns: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """All columns of results, by those of any analysis."""
    derived = {name: kind for name, kind in columns.items() if name not in OBSERVED_FIELDS and name not in PART_COLUMNS}
    observed = {name: OBSERVATION_SCHEMA.get(column, pl.String()) for name, column in OBSERVED_FIELDS.items()}
    return {**derived, **observed}


def _completed(frame: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """The frame with exactly the columns of the schema; what it lacks is null."""
    there = frame.schema
    return frame.select(
        pl.lit(None, kind).alias(name)
        if name not in there
        else pl.col(name)
        if there[name] == kind
        else pl.col(name).cast(kind)
        for name, kind in schema.items()
    )


# --- what needs all rows


def _merge(results: Results, analysts: _Analysts) -> None:
    """Find the rows that are one keyword, and analyse what they merge into."""
    ids = pl.concat(
        [_read(laid, ["id"]).with_columns(pl.lit(laid.merges).alias("merges")) for laid in results._laid]
        or [pl.DataFrame(schema={"id": pl.String, "merges": pl.Boolean})]
    )
    merging = ids.select(pl.when("merges").then("id").alias("id"))["id"]
    repeated = merging.is_duplicated() & merging.is_not_null()
    if not repeated.any():
        return
    rows = []
    read = 0
    for laid in results._laid:
        mask = repeated[read : read + laid.rows]
        if mask.any():
            given = [name for name in OBSERVED_FIELDS if name in laid.columns]
            frame = _read(laid, ["id", "keyword", "market", *given, *PART_COLUMNS]).filter(mask)
            numbers = pl.Series("_row", read + np.flatnonzero(mask.to_numpy()))
            rows.append(frame.rename({name: OBSERVED_FIELDS[name] for name in given}).with_columns(numbers))
        read += laid.rows
    repeating = pl.concat(rows, how="diagonal")
    places = repeating.group_by("id").agg(pl.col("_row").min())
    merged = merge_rows(repeating.drop("_row")).join(places, on="id").sort("_row")
    schema = _with_observed(results._laid[0].columns)
    observations = _filled(merged.drop("id", "_row"))
    # What they merged into does not merge again, and has no parts any more.
    laid_down = analysts.lay_down((part, False) for part in observations.iter_slices(BATCH))
    analysed = [_completed(_read(laid, schema), schema) for laid in laid_down]
    results._merged = pl.concat(analysed).insert_column(0, merged["_row"])
    dropped = np.zeros(read, dtype=bool)
    dropped[repeating["_row"].to_numpy()] = True
    dropped[merged["_row"].to_numpy()] = False
    results._dropped = dropped
    results.merged_away = int(dropped.sum())


@dataclass(frozen=True, slots=True)
class _Keywords:
    """What near-duplicates are told from."""

    normalized: Texts
    language: NDArray[np.int8]
    popularity: NDArray[np.float32]


def _texts(column: pl.Series) -> Texts:
    """The texts of a column as Arrow holds them, without a Python string each; what is null is empty."""
    array = column.fill_null("").to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return Texts(np.frombuffer(data if data is not None else b"", np.uint8).copy(), bounds.copy())


def _group(results: Results) -> None:
    """Find near-duplicates among all keywords."""
    # Without volumes, impressions tell which of two spellings people use.
    asked = "volume" if "volume" in results.observed else "impressions"
    columns = ["normalized", "language", "popularity", asked]
    frame = pl.concat(list(results.frames(columns)))
    codes = {name: code for code, name in enumerate(LANGUAGES)}
    language = frame["language"].replace_strict(codes, default=-1, return_dtype=pl.Int8).to_numpy()
    popularity = frame["popularity"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    volume = frame[asked].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    normalized = frame["normalized"]
    del frame
    keywords = _Keywords(_texts(normalized), language, popularity)
    found = duplicates(keywords, volume=volume, model=LanguageModel.load(_table(results.options)))
    member = found.head != np.arange(len(found.head))
    joined = pl.Series(member)
    reasons = pl.Series(REASONS).gather(pl.Series(found.reason.astype(np.int64)))
    results._near = pl.select(
        pl.when(joined).then(normalized.gather(pl.Series(found.head.astype(np.int64)))).alias(_NEAR[0]),
        pl.when(joined).then(reasons).alias(_NEAR[1]),
    )
    results.members = int(member.sum())
    results.groups = len(np.unique(found.head[member]))
