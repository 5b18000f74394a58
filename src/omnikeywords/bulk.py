"""Whole files through analysis: read, analyse, merge rows of one keyword, group near-duplicates, hand on to a
writer.

Hides the batches and the disk. Batches are laid down in a temporary folder as they are read, and what is derived from
each beside it, so that memory does not grow with the columns of a file. What can only be known at the end (which rows
are the same keyword, which keywords are near-duplicates) needs a few columns of all rows and is then worked into the
batches on their way out.
"""

import contextlib
import gc
import itertools
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import polars as pl
import pyarrow
from numpy.typing import NDArray

from omnikeywords.analysis import Options, analyse
from omnikeywords.analysis.frequency import default_table_path
from omnikeywords.analysis.language import LanguageModel
from omnikeywords.analysts import Analysts, map_table
from omnikeywords.catalog.derive import Told, near_duplicates
from omnikeywords.formats import Export, SkippedRow, open_export
from omnikeywords.formats.columns import OBSERVATION_SCHEMA
from omnikeywords.formats.merge import merge_rows, with_parts
from omnikeywords.formats.write import OBSERVED_FIELDS, extra_as_text

__all__ = ["FileReport", "Progress", "Results", "Source", "analyse_sources", "result_columns", "seldom_collected"]

BATCH = 10_000
_SMALL_BATCH = 2_500  # where there are few rows, so that everyone has some
# Fewer batches are done before worker processes would have started.
FEW_BATCHES = 12
_EXAMPLES = 100  # of skipped rows, kept of each file

_SCORES = ("difficulty", "opportunity")  # what is derived from more than the keyword
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
    """A batch of N analysed rows on disk."""

    observed: Path  # `keyword`, the observed columns that have any value, and PART_COLUMNS
    derived: Path  # see analysts.derive
    columns: frozenset[str]  # those observed
    merges: bool  # whether its rows merge with others of their keyword
    keys: NDArray[np.uint64]  # (N,) of the ids

    @property
    def rows(self) -> int:
        return len(self.keys)


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
        self._merged: dict[str, Any] = {}  # columns of what rows merged into
        self._places = np.zeros(0, np.intp)  # the row read whose place each of them takes, ascending
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
        schema = result_columns(self.options)
        schema = {name: schema[name] for name in (schema if columns is None else columns)}
        for table in self.tables(columns):
            frame = pl.from_arrow(table)
            assert isinstance(frame, pl.DataFrame)
            yield frame.cast(schema)  # type: ignore[arg-type]

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """The same as Arrow tables, for a writer; texts that are one of a few may be dictionaries."""
        schema = _arrow_schema(self.options)
        if columns is not None:
            schema = pyarrow.schema([schema.field(name) for name in columns])
        first = kept = 0
        if not self._laid:
            yield schema.empty_table()
        for laid in self._laid:
            found = _read(laid, schema.names)
            rows = laid.rows
            gone = self._dropped[first : first + rows]
            begin, end = np.searchsorted(self._places, [first, first + rows])
            if begin < end or gone.any():
                changes = {name: column.slice(begin, end - begin) for name, column in self._merged.items()}
                found = _with_changes(found, changes, self._places[begin:end] - first, gone, schema.names)
                rows -= int(gone.sum())
            if self._near is not None:
                near = self._near.select(name for name in _NEAR if name in schema.names).slice(kept, rows)
                found |= zip(near.columns, near.to_arrow(compat_level=pl.CompatLevel.oldest()), strict=True)
            first += laid.rows
            kept += rows
            yield pyarrow.table(
                [found[field.name] if field.name in found else pyarrow.nulls(rows, field.type) for field in schema],
                names=schema.names,
            )


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
            analysts = stack.enter_context(Analysts(options, processes))
            stack.enter_context(seldom_collected())
            first = list(itertools.islice(batches, FEW_BATCHES))
            if len(first) == FEW_BATCHES:
                analysts.hire()
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


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """Batches are many short-lived objects and no cycles: looking for some at every turn costs a tenth, and would hold
    up a transaction that is being written."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _lay_down(
    batches: Iterable[tuple[pl.DataFrame, bool]], results: Results, analysts: Analysts, tell: Progress
) -> None:
    for laid, errors in _laid_down(batches, Path(results._folder.name), analysts):
        results._laid.append(laid)
        results.rows_read += laid.rows
        results.errors += errors
        results.observed |= laid.columns
        tell("analysing", results.rows_read, None)


def _laid_down(
    batches: Iterable[tuple[pl.DataFrame, bool]], folder: Path, analysts: Analysts, name: str = ""
) -> Iterator[tuple[_Laid, int]]:
    """Batches analysed and in files of the folder, in their order, and the errors in each."""
    given: deque[tuple[Path, frozenset[str], bool]] = deque()

    def files() -> Iterator[tuple[Path, Path]]:
        for number, (frame, merges) in enumerate(batches):
            path = folder / f"{name}{number}.observed.arrow"
            frame = _tidied(frame) if merges else frame
            frame.write_ipc(path, compression="uncompressed", compat_level=pl.CompatLevel.oldest())
            columns = frozenset(name for name, column in OBSERVED_FIELDS.items() if column in frame.columns)
            given.append((path, columns, merges))
            yield path, folder / f"{name}{number}.derived.arrow"

    for derived in analysts.derive_all(files()):
        path, columns, merges = given.popleft()
        yield _Laid(path, derived.path, columns, merges, derived.keys), derived.errors


def _tidied(frame: pl.DataFrame) -> pl.DataFrame:
    """A batch of an export as it is laid down."""
    # Most columns are empty: out with them before anything is made of the others.
    frame = with_parts(_filled(frame.drop("line")))
    return _filled(extra_as_text(frame)) if "extra" in frame else frame


def _filled(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that have any value."""
    empty = frame.null_count().row(0) if frame.height else ()
    return frame.select(name for name, nulls in zip(frame.columns, empty, strict=False) if nulls < frame.height)


def _read(laid: _Laid, names: Iterable[str]) -> dict[str, Any]:
    """Those of the columns of results that the batch has, as Arrow arrays."""
    derived, observed = map_table(laid.derived), map_table(laid.observed)
    columns = {}
    for name in names:
        if name in derived.column_names:
            columns[name] = derived[name].combine_chunks()
        elif (observed_name := OBSERVED_FIELDS.get(name, name)) in observed.column_names:
            columns[name] = observed[observed_name].combine_chunks()
    return columns


def _with_changes(
    columns: dict[str, Any],
    changes: dict[str, Any],
    places: NDArray[np.intp],
    gone: NDArray[np.bool_],
    names: Sequence[str],
) -> dict[str, Any]:
    """Columns of N rows without those that are `gone` (N,), and with changed rows in their `places`."""
    kept = (~gone).nonzero()[0]
    sources = np.arange(len(gone))
    sources[places] = len(gone) + np.arange(len(places))
    sources = sources[kept]
    changed: dict[str, Any] = {}
    for name in names:
        if name not in changes and name not in OBSERVED_FIELDS:
            # Rows of one keyword are alike in all that comes of the keyword alone.
            if name in columns:
                changed[name] = columns[name].take(pyarrow.array(kept))
        elif name in columns or name in changes:
            kind = (columns if name in columns else changes)[name].type
            old = columns[name] if name in columns else pyarrow.nulls(len(gone), kind)
            new = changes[name] if name in changes else pyarrow.nulls(len(places), kind)
            changed[name] = pyarrow.concat_arrays([old, new]).take(pyarrow.array(sources))
    return changed


def _table(options: Options) -> Path:
    return options.language_table or default_table_path()


def result_columns(options: Options) -> dict[str, pl.DataType]:
    """The columns of results, in their order."""
    derived = analyse([], options).to_polars().schema
    observed = {name: OBSERVATION_SCHEMA.get(column, pl.String()) for name, column in OBSERVED_FIELDS.items()}
    return {**derived, **observed}


def _arrow_schema(options: Options) -> Any:
    """The same as an Arrow schema."""
    return pl.DataFrame(schema=result_columns(options)).to_arrow(compat_level=pl.CompatLevel.oldest()).schema


# --- what needs all rows


def _merge(results: Results, analysts: Analysts) -> None:
    """Find the rows that are one keyword, and analyse what they merge into."""
    repeating = _repeating(results._laid)
    if not repeating.height:
        return
    places = repeating.group_by("id").agg(pl.col("_row").min())
    merged = merge_rows(repeating.drop("_row")).join(places, on="id").sort("_row")
    observations = _filled(merged.drop("id", "_row"))
    # What they merged into does not merge again, and has no parts any more.
    batches = ((part, False) for part in observations.iter_slices(_SMALL_BATCH))
    names = ("keyword", *_SCORES, *OBSERVED_FIELDS)
    laid = _laid_down(batches, Path(results._folder.name), analysts, "merged-")
    tables = [pyarrow.table(_read(batch, names)) for batch, _ in laid]
    table = pyarrow.concat_tables(tables, promote_options="default").combine_chunks()
    results._merged = {name: table[name].combine_chunks() for name in table.column_names}
    results._places = merged["_row"].to_numpy()
    results._dropped = np.zeros(results.rows_read, np.bool_)
    results._dropped[repeating["_row"].to_numpy()] = True
    results._dropped[results._places] = False
    results.merged_away = int(results._dropped.sum())


def _repeating(batches: Sequence[_Laid]) -> pl.DataFrame:
    """The observations of all rows whose keyword others have too, with their `id`, and their number as `_row`."""
    keys = [laid.keys if laid.merges else np.zeros_like(laid.keys) for laid in batches]
    key = pl.Series(np.concatenate(keys) if keys else [], dtype=pl.UInt64)
    repeated = (key.is_duplicated() & (key != 0)).to_numpy()
    tables = []
    first = 0
    for laid in batches:
        rows = repeated[first : first + laid.rows].nonzero()[0]
        if len(rows):
            observed, derived = map_table(laid.observed), map_table(laid.derived)
            table = observed.select([name for name in observed.column_names if name != "market"]).take(rows)
            for name in ("id", "market"):
                if name in derived.column_names:
                    table = table.append_column(name, derived[name].take(rows))
            tables.append(table.append_column("_row", pyarrow.array(first + rows)))
        first += laid.rows
    if not tables:
        return pl.DataFrame(schema={"id": pl.String})
    found = pl.from_arrow(pyarrow.concat_tables(tables, promote_options="default"))
    assert isinstance(found, pl.DataFrame)
    # Equal keys are not yet equal ids.
    return found.filter(found["id"].is_duplicated())


def _group(results: Results) -> None:
    """Find near-duplicates among all keywords."""
    # Without volumes, impressions tell which of two spellings people use.
    asked = "volume" if "volume" in results.observed else "impressions"
    told = Told.of(results.frames(["normalized", "language", "popularity", asked]), [asked])
    found = near_duplicates(told, _table(results.options))
    results._near = found.columns
    results.members, results.groups = found.members, found.groups
