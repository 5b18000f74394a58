"""An export opened: what it is, and its rows as observations."""

import io
import os
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, overload

import polars as pl

from omnikeywords.errors import InvalidOption, UnreadableExport
from omnikeywords.formats import ahrefs, archive, search_console, semrush
from omnikeywords.formats.columns import OBSERVATION_SCHEMA, Column
from omnikeywords.formats.observe import Plan
from omnikeywords.formats.own import OwnPlan
from omnikeywords.formats.periods import Period, period_of_name, read_day, read_period
from omnikeywords.formats.plain import JsonTable, ParquetTable, open_text
from omnikeywords.formats.records import Block, SkippedRow
from omnikeywords.formats.sheets import SheetTable
from omnikeywords.formats.sniff import kind_of
from omnikeywords.formats.tables import OWN_TOOL, Table
from omnikeywords.model import Market, Observation

__all__ = ["Batch", "Export", "Skipped", "open_export"]

_SKIPPED_KEPT = 10_000
_SPOOLED = 4 << 30  # bytes of a stream that must be read from its end (zip, xlsx, Parquet)


class Skipped(Sequence[SkippedRow]):
    """The rows that were not read: the first 10,000 of them, and the number of each reason for all."""

    def __init__(self) -> None:
        self._rows: list[SkippedRow] = []
        self.reasons: Counter[str] = Counter()  # without the particulars after a colon

    def add(self, rows: Sequence[SkippedRow]) -> None:
        """Take in more of them."""
        for row in rows:
            self.reasons[row.reason.split(":")[0]] += 1
        self._rows.extend(rows[: _SKIPPED_KEPT - len(self._rows)])

    @property
    def total(self) -> int:
        """How many there were."""
        return self.reasons.total()

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> SkippedRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[SkippedRow]: ...
    def __getitem__(self, index: int | slice) -> SkippedRow | Sequence[SkippedRow]:
        return self._rows[index]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of an export, in file order."""

    frame: pl.DataFrame  # OBSERVATION_SCHEMA and `extra`

    def __len__(self) -> int:
        return self.frame.height

    def observations(self) -> Iterator[Observation]:
        """The rows one by one."""
        for row in self.frame.iter_rows(named=True):
            months = row["monthly_searches"]
            row["monthly_searches"] = {m["month"]: m["searches"] for m in months} if months is not None else None
            extra = row["extra"] or {}
            row["extra"] = {name: text for name, text in extra.items() if text is not None}
            yield Observation(**row)


class Export:
    """A keyword export being read; made by `open_export`, and a context manager."""

    def __init__(
        self,
        table: Table,
        open_files: ExitStack,
        *,
        name: str | None,
        container: str,
        market: Market | None,
        period: Period | None,
        warnings: Sequence[str] = (),
    ) -> None:
        self._table = table
        self._files = open_files
        self._blocks = iter(table.blocks())
        self._started = False
        self._warnings = [*table.found.recognised.warnings, *warnings]
        self.name = name
        self.given_as = name  # which for a file in an archive is the archive
        self.container = container  # as `csv`, `zip: Queries.csv`, `xlsx`
        self.tool = table.found.recognised.tool
        self.report = table.found.recognised.report
        self.encoding = table.encoding
        self.delimiter = table.delimiter
        self.skipped = Skipped()
        self.rows_kept = 0
        self._first = next(self._blocks, None)
        region, report = _hints(self.tool, name)
        if report:
            self.report = report
        found = table.found
        sample = self._first.frame if self._first else pl.DataFrame({str(i): [] for i in range(len(found.header))})
        self.market: Market | None = market
        if self.market is None and region:
            self.market = Market("und", region)
        if self.tool == OWN_TOOL:
            self.period = period
            cells = self.delimiter is not None or table.container == "xlsx"
            self._plan: Plan | OwnPlan = OwnPlan(found.header, cells=cells, market=market)
        else:
            self.period = period or _period_in(found.preamble, self.tool) or _period_of_name(name, self.tool)
            self._plan = Plan(
                found.header,
                found.recognised,
                sample,
                market=market,
                market_known=f"und-{region}" if region and market is None else None,
                period=self.period,
                semicolons=self.delimiter == ";",
                preamble=found.preamble,
            )
            self.market = self.market or self._plan.single_market(sample)
        self.currency = self._plan.currency

    def __enter__(self) -> "Export":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every file that was opened for it; a stream that was given stays open."""
        self._table.close()
        self._files.close()

    @property
    def columns(self) -> Sequence[Column]:
        """Every column of the file: which were understood, which are kept verbatim in `extra`."""
        return tuple(self._plan.columns)

    @property
    def rows_skipped(self) -> int:
        """Rows not read so far, each counted under its reason in `skipped.reasons`."""
        return self.skipped.total

    @property
    def rows_in(self) -> int:
        """Rows seen so far below the header: kept and skipped. Blank lines are no rows."""
        return self.rows_kept + self.skipped.total

    @property
    def warnings(self) -> list[str]:
        """What a person should know, in words; complete once all rows are read."""
        told = [*self._warnings, *self._table.warnings()]
        limit = self._table.found.recognised.row_limit
        if limit and self.rows_in == limit:
            told.append(f"{limit:,} rows: Search Console cuts exports there; the site probably has more queries")
        for what, count in self._plan.oddities.items():
            if count:
                told.append(f"{what}: {count:,} {'row' if count == 1 else 'rows'}")
        for (header, what), count in self._plan.unread.items():
            text, line = self._plan.unread_example[header, what]
            cells = "1 cell is" if count == 1 else f"{count:,} cells are"
            told.append(f"column {header!r}: {cells} {what}, as {text[:40]!r} in line {line:,}; kept in extra")
        if self._started and self._first is None and self.rows_in == 0:
            told.append("the table has a header and no rows")
        return told

    def tell(self, warnings: Sequence[str]) -> None:
        """Add what the container has to say to the warnings."""
        self._warnings += warnings

    def preview(self, n: int = 10) -> pl.DataFrame:
        """The first `n` rows as they will be read (at most those of the first block, some thousands)."""
        if self._first is None:
            return _no_rows()
        counts = Counter(self._plan.oddities), Counter(self._plan.unread)
        block = self._first
        few = Block(block.frame.head(n + 50), block.lines.head(n + 50))
        frame, _ = self._plan.apply(few)
        self._plan.oddities, self._plan.unread = counts
        return frame.head(n)

    def batches(self, size: int = 10_000) -> Iterator[Batch]:
        """All rows in file order, `size` to a batch but for the last; can be read once.

        The fields of `extra` are the file's other columns: the same in every batch, unless later JSON lines
        bring new keys, or cells of a number column turn out to be no numbers. Raises UnreadableExport where
        the file proves damaged, InvalidOption when read again.
        """
        if self._started:
            raise InvalidOption("this export was read already; open it again")
        if size < 1:
            raise InvalidOption(f"size {size} is not at least 1", size=size)
        self._started = True
        return self._batches(size)

    def _batches(self, size: int) -> Iterator[Batch]:
        kept: list[pl.DataFrame] = []
        rows = 0
        for frame in self._frames():
            kept.append(frame)
            rows += frame.height
            if rows < size:
                continue
            whole = _joined(kept)
            at = 0
            while rows - at >= size:
                yield Batch(whole.slice(at, size))
                at += size
            rows -= at
            kept = [whole.slice(at)] if rows else []
        if rows:
            yield Batch(_joined(kept))

    def _frames(self) -> Iterator[pl.DataFrame]:
        block, self._first = self._first, None
        while block is not None:
            if isinstance(self._table, JsonTable):
                self._plan.add_columns(self._table.names)
                block.frame = _widened(block.frame, len(self._table.names))
            frame, skipped = self._plan.apply(block)
            self.skipped.add(skipped)
            self.rows_kept += frame.height
            if frame.height:
                yield frame
            try:
                block = next(self._blocks, None)
            except UnreadableExport as error:
                raise _named(error, self.given_as) from error


def _joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    if len(frames) == 1:
        return frames[0]
    kinds = {frame.schema["extra"] for frame in frames}
    if len(kinds) == 1:
        return pl.concat(frames)
    names = list(
        dict.fromkeys(f.name for frame in frames if isinstance(t := frame.schema["extra"], pl.Struct) for f in t.fields)
    )
    return pl.concat([_with_extra(frame, names) for frame in frames])


def _with_extra(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    kind = frame.schema["extra"]
    there = {f.name for f in kind.fields} if isinstance(kind, pl.Struct) else set()
    fields = [
        pl.col("extra").struct.field(name) if name in there else pl.lit(None, dtype=pl.String).alias(name)
        for name in names
    ]
    return frame.with_columns(pl.struct(fields).alias("extra"))


def _widened(frame: pl.DataFrame, width: int) -> pl.DataFrame:
    if frame.width >= width:
        return frame
    return frame.with_columns(pl.lit(None, dtype=pl.String).alias(str(i)) for i in range(frame.width, width))


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame(schema={**OBSERVATION_SCHEMA, "extra": pl.Null()})


def _period_in(preamble: Sequence[str], tool: str) -> Period | None:
    """The period in the lines above a header; the moment of an export (`2021-11-11 at 23_10_18`) is none."""
    for line in preamble:
        period = None if re.search(r"\d_\d\d|\d:\d\d", line) else read_period(line)
        if period and (period.granularity != "day" or tool != "google_keyword_planner"):
            return period
    return None


def _period_of_name(name: str | None, tool: str) -> Period | None:
    """The day in a file name, for tools that name their files by the day their numbers are of."""
    return period_of_name(name) if name and tool in ("ahrefs", "semrush") else None


def _hints(tool: str, name: str | None) -> tuple[str | None, str | None]:
    """The country and the report that a file name tells, for tools that write them there."""
    if name and tool == "ahrefs":
        return ahrefs.market_of_name(Path(name).name)
    if name and tool == "semrush":
        return semrush.market_of_name(Path(name).name), None
    return None, None


def open_export(
    source: Path | str | bytes | BinaryIO,
    *,
    name: str | None = None,
    market: Market | None = None,
    period: Period | tuple[date, date] | None = None,
) -> Export:
    """Open an export of any tool and say what it is.

    `source` is a path, the bytes themselves, or a binary stream, which need not be seekable (stdin). Its
    content tells what it is; `name` (by default the path's) only hints at market, report and day. `market`
    is what the person says it is of; `period` likewise, first and last day. Raises UnreadableExport, one
    line saying what to do, for what holds no keywords or is damaged.
    """
    if isinstance(period, tuple):
        if period[0] > period[1]:
            raise InvalidOption(f"period {period[0]} to {period[1]} ends before it begins")
        period = Period.of(period[0], period[1], "argument")
    files = ExitStack()
    try:
        stream: BinaryIO
        if isinstance(source, bytes):
            stream = io.BytesIO(source)
        elif isinstance(source, str | Path):
            path = Path(source)
            name = name or path.name
            stream = files.enter_context(_opened(path))
        else:
            stream = source
        try:
            export = _open(stream, files, name=name, market=market, period=period)
        except UnreadableExport as error:
            raise _named(error, name) from error
        export.given_as = name
        return export
    except BaseException:
        files.close()
        raise


def _named(error: UnreadableExport, name: str | None) -> UnreadableExport:
    """The same refusal, saying of which of several files."""
    return UnreadableExport(f"{name}: {error}", **error.params) if name else error


def _opened(path: Path) -> BinaryIO:
    if path.is_dir():
        raise UnreadableExport(f"{path} is a folder; give the files in it")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise UnreadableExport(f"{path} does not exist") from error
    except OSError as error:
        raise UnreadableExport(f"{path} cannot be read: {error.strerror}") from error


def _open(
    stream: BinaryIO,
    files: ExitStack,
    *,
    name: str | None,
    market: Market | None,
    period: Period | None,
    depth: int = 0,
) -> Export:
    peeked = archive.Peeked(stream)
    kind = kind_of(peeked.peek(4096))
    if kind == "gzip":
        if depth > 1:
            raise UnreadableExport("a compressed file within a compressed file; unpack it")
        inner = archive.unpack_gzip(peeked)
        return _open(
            inner,
            files,
            name=name and name.removesuffix(".gz"),
            market=market,
            period=period,
            depth=depth + 1,
        )
    if kind == "text":
        table: Table = open_text(peeked)
        return Export(table, files, name=name, container=table.container, market=market, period=period)
    seekable = _seekable(peeked, stream, files)
    if kind == "parquet":
        table = ParquetTable(seekable)
        return Export(table, files, name=name, container=table.container, market=market, period=period)
    if kind == "ole":
        data = seekable.read()
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise UnreadableExport("this spreadsheet is encrypted with a password; save it without one")
        table = SheetTable(data)
        return Export(table, files, name=name, container="xls", market=market, period=period)
    return _open_zip(seekable, files, name=name, market=market, period=period, depth=depth)


def _seekable(peeked: archive.Peeked, stream: BinaryIO, files: ExitStack) -> BinaryIO:
    """The same bytes in something that can be read from its end."""
    try:
        if stream.seekable():
            stream.seek(0, os.SEEK_SET)
            return stream
    except (OSError, AttributeError):
        pass
    spool = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    size = 0
    while data := peeked.read(1 << 20):
        size += len(data)
        if size > _SPOOLED:
            raise UnreadableExport("more than 4 GiB of zip, XLSX or Parquet came in a stream; give it as a file")
        spool.write(data)
    spool.seek(0)
    return spool


def _open_zip(
    stream: BinaryIO,
    files: ExitStack,
    *,
    name: str | None,
    market: Market | None,
    period: Period | None,
    depth: int,
) -> Export:
    zipped = files.enter_context(archive.open_archive(stream))
    if archive.is_spreadsheet(zipped):
        archive.check_spreadsheet(zipped)
        stream.seek(0)
        table = SheetTable(stream.read())
        container = "xlsx"
        return Export(table, files, name=name, container=container, market=market, period=period)
    if depth:
        raise UnreadableExport("an archive within an archive; unpack it and give the file inside")
    tables = archive.members(zipped)
    if not tables:
        held = ", ".join(zipped.namelist()[:3]) or "nothing"
        raise UnreadableExport(f"no table in this zip file, which holds {held}; give the CSV or XLSX itself")
    candidates: list[tuple[archive.Member, str]] = []  # and the tool
    refused: list[tuple[archive.Member, UnreadableExport]] = []
    days: Period | None = None
    for member in tables:
        try:
            with ExitStack() as inside:
                candidates.append((member, _open_member(zipped, member, inside, market, period, depth).tool))
        except UnreadableExport as error:
            refused.append((member, error))
            if error.params.get("table") == "dates":
                days = _days_of(archive.text_of(zipped, member))
    if not candidates:
        first, why = refused[0]
        if len(refused) == 1:
            raise why
        names = [member.name for member, _ in refused]
        raise UnreadableExport(f"no keywords in this zip file; {first.name}: {why}", members=names)
    # The queries of Search Console before anything else, a known tool's table before a list.
    candidates.sort(key=lambda item: (item[1] != search_console.TOOL, item[1] == "plain"))
    member = candidates[0][0]
    export = _open_member(zipped, member, files, market, period or days, depth)
    told = []
    if refused:
        told.append(f"tables without keywords were left out: {', '.join(m.name for m, _ in refused)}")
    if len(candidates) > 1:
        others = ", ".join(m.name for m, _ in candidates[1:])
        told.append(f"more tables with keywords were left out: {others}; give them by themselves")
    export.tell(told)
    export.container = f"zip: {member.name}"
    return export


def _open_member(
    zipped: zipfile.ZipFile,
    member: archive.Member,
    files: ExitStack,
    market: Market | None,
    period: Period | None,
    depth: int,
) -> Export:
    stream = files.enter_context(archive.open_member(zipped, member))
    return _open(stream, files, name=member.name, market=market, period=period, depth=depth + 1)


def _days_of(text: str) -> Period | None:
    """The period that a table of days spans."""
    days = sorted(day for line in text.splitlines() if (day := read_day(line)))
    return Period.of(days[0], days[-1], "file") if days else None
