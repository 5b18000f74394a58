"""Analysed keywords as files: jsonl, csv, parquet, xlsx.

A frame of results has one row a keyword: the fields of the keyword object in their order, then what was
observed (OBSERVED_FIELDS), with `extra` as JSON text. jsonl and parquet keep it nested; csv and xlsx flatten
it:

- objects become columns joined with `_`: `difficulty_score`, `intents_commercial`
- lists are joined with `|`; modifiers as `type:text`, months as `2025-10:34`; a `|` or `\\` inside an item
  has a `\\` before it
- a text that a spreadsheet would run as a formula (it begins with = + - @ TAB or CR) gets an apostrophe in
  front, and so does one that begins with apostrophes followed by one of these, so that taking one apostrophe
  away restores either

Missing is null, or an empty cell: never 0. Files are written beside their place and put there when complete.
"""

import base64
import contextlib
import io
import json
import os
import secrets
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeVar, get_args

import polars as pl

from omnikeywords.errors import InvalidOption, OmniKeywordsError
from omnikeywords.formats.columns import OBSERVATION_SCHEMA
from omnikeywords.formats.row_groups import RowGroups

__all__ = [
    "FORMATS",
    "FORMULA",
    "OBSERVED_FIELDS",
    "XLSX_ROWS",
    "Format",
    "Written",
    "flatten",
    "json_lines",
    "write_results",
]

Format = Literal["jsonl", "csv", "parquet", "xlsx"]
FORMATS: tuple[Format, ...] = get_args(Format)

# What was observed, by its name in results, with its column in an observation batch. The source's own
# difficulty and intents stand beside ours and must not take their names.
OBSERVED_FIELDS: dict[str, str] = {
    **{
        "vendor_difficulty" if name == "difficulty" else name: name
        for name in OBSERVATION_SCHEMA
        if name not in ("keyword", "line", "market")
    },
    "extra": "extra",
}

FORMULA = r"^'*[=+\-@\t\r]"
XLSX_ROWS = 1_048_575  # a sheet's rows but for the header
_XLSX_CELL = 32_767  # characters
_ROW_GROUP = 100_000
_AT_ONCE = 2  # pieces encoded side by side; each is held in memory, a row group some 50 MB

Target = Path | IO[bytes]
S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Written:
    """What came of writing."""

    rows: int
    notes: Sequence[str]  # what the reader of the file should know


def write_results(
    frames: Iterable[pl.DataFrame],
    target: Target,
    format: Format,
    *,
    omit: Iterable[str] = (),
    bom: bool = False,
) -> Written:
    """Write frames of results, all of one schema, to a path or an open binary file.

    `omit` names columns that csv and xlsx leave out: those nobody filled are a burden to people. `bom` begins
    a csv with a byte order mark, by which Excel knows UTF-8. A path gets its file when all is written; a
    failure leaves what was there before.

    Raises InvalidOption where the path cannot be written, OmniKeywordsError where an xlsx would be too large.
    """
    left_out = frozenset(omit)
    write: Callable[[Iterator[pl.DataFrame], IO[bytes]], Written]
    match format:
        case "jsonl":
            write = _write_jsonl
        case "csv":

            def write(frames: Iterator[pl.DataFrame], file: IO[bytes]) -> Written:
                return _write_csv(frames, file, left_out, bom)
        case "parquet":
            write = _write_parquet
        case "xlsx":

            def write(frames: Iterator[pl.DataFrame], file: IO[bytes]) -> Written:
                return _write_xlsx(frames, file, left_out)

    with _opened(target) as file:
        return write(iter(frames), file)


@contextlib.contextmanager
def _opened(target: Target) -> Iterator[IO[bytes]]:
    """The file to write to; a path's appears, or is replaced, only when the block ends well."""
    if not isinstance(target, Path):
        yield target
        return
    path = Path(os.path.realpath(target))  # through a link, so that the link stays one
    if path.exists() and not path.is_file():
        if path.is_dir():
            raise InvalidOption(f"cannot write {str(target)!r}: it is a folder; name a file in it", path=str(target))
        with path.open("wb") as device:
            yield device
        return
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        file = partial.open("xb")
    except OSError as error:
        reason = (error.strerror or "error").lower()
        raise InvalidOption(
            f"cannot write {str(target)!r} ({reason}): name a file in a folder you may write to",
            path=str(target),
        ) from error
    try:
        with file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


# --- nested


def json_lines(frame: pl.DataFrame) -> pl.Series:
    """Each row as one line of JSON, without its line feed; keys in the order of the columns.

    `extra` (JSON text) and `monthly_searches` become objects. Dates are ISO 8601; NaN is null.
    """
    objects = [name for name in ("monthly_searches", "extra") if name in frame]
    plain = pl.struct(pl.exclude(objects)).struct.json_encode()
    if not objects:
        return frame.select(plain.alias("line")).to_series()
    texts = [plain.str.head(-1)]
    for name in objects:
        value = pl.col(name) if name == "extra" else _months_as_json(name)
        texts += [pl.lit(f',"{name}":'), value.fill_null("null")]
    return frame.select(pl.concat_str([*texts, pl.lit("}")]).alias("line")).to_series()


def _months_as_json(name: str) -> pl.Expr:
    month = pl.element().struct.field("month")
    searches = pl.element().struct.field("searches").cast(pl.String).fill_null("null")
    pairs = pl.col(name).list.eval(pl.concat_str(pl.lit('"'), month, pl.lit('":'), searches)).list.join(",")
    return pl.concat_str(pl.lit("{"), pairs, pl.lit("}"))


def _write_jsonl(frames: Iterator[pl.DataFrame], file: IO[bytes]) -> Written:
    def lines(frame: pl.DataFrame) -> tuple[bytes, int]:
        return "".join(f"{line}\n" for line in json_lines(frame)).encode(), frame.height

    rows = 0
    for text, count in _side_by_side(lines, frames):
        _put(text, file)
        rows += count
    return Written(rows, ())


def _write_parquet(frames: Iterator[pl.DataFrame], file: IO[bytes]) -> Written:
    rows = 0
    groups = None
    for part, count in _side_by_side(_row_group, _tables(frames)):
        groups = groups or RowGroups(file)
        groups.add(part)
        rows += count
    if groups is not None:
        groups.close()
    return Written(rows, ())


def _row_group(table: Any) -> tuple[memoryview, int]:
    """A Parquet file of one row group, and how many rows it has."""
    import pyarrow
    import pyarrow.parquet

    # The schema that readers are to see has texts where the table has dictionaries, which are but the quick way to
    # write them.
    schema = _as_texts(table.schema).with_metadata({b"made_by": b"omnikeywords"})
    stored = base64.b64encode(schema.serialize().to_pybytes())
    part = pyarrow.BufferOutputStream()
    with pyarrow.parquet.ParquetWriter(
        part, table.schema, compression="zstd", compression_level=1, store_schema=False
    ) as writer:
        writer.add_key_value_metadata({b"ARROW:schema": stored, **schema.metadata})
        writer.write_table(table)
    return memoryview(part.getvalue()), table.num_rows


def _as_texts(schema: Any) -> Any:
    """An Arrow schema with the values' type in the place of each dictionary."""
    import pyarrow

    def plain(field: Any) -> Any:
        kind = field.type
        if pyarrow.types.is_dictionary(kind):
            return field.with_type(kind.value_type)
        if pyarrow.types.is_large_list(kind):
            return field.with_type(pyarrow.large_list(plain(kind.value_field)))
        if pyarrow.types.is_struct(kind):
            return field.with_type(pyarrow.struct([plain(inner) for inner in kind]))
        return field

    return pyarrow.schema([plain(field) for field in schema])


def _tables(frames: Iterator[Any]) -> Iterator[Any]:
    """Arrow tables of at least _ROW_GROUP rows, the last excepted; at least one if any frame came."""
    import pyarrow

    held: list[Any] = []
    for frame in frames:
        held.append(frame.to_arrow(compat_level=pl.CompatLevel.oldest()) if isinstance(frame, pl.DataFrame) else frame)
        if sum(table.num_rows for table in held) >= _ROW_GROUP:
            yield pyarrow.concat_tables(held)
            held = []
    if held:
        yield pyarrow.concat_tables(held)


def _put(text: bytes, file: IO[bytes]) -> None:
    """Write all of a text: an unbuffered stream may take a part of it alone."""
    left = memoryview(text)
    while left:
        left = left[file.write(left) :]


def _side_by_side(work: Callable[[S], T], items: Iterator[S]) -> Iterator[T]:
    """What `work` makes of each item, in their order; a few are in work at once, in threads, while the next is made."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        waiting: deque[Future[T]] = deque()
        for item in items:
            waiting.append(threads.submit(work, item))
            del item
            if len(waiting) > _AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


# --- flat


def flatten(frame: pl.DataFrame) -> pl.DataFrame:
    """Nested columns as flat ones, in their places, by the rules this module states; texts are not yet made
    safe."""
    return frame.select(expr for name, kind in frame.schema.items() for expr in _flat(pl.col(name), name, kind))


def _flat(value: pl.Expr, name: str, kind: pl.DataType) -> Iterator[pl.Expr]:
    if isinstance(kind, pl.Struct):
        for field in kind.fields:
            inner = field.dtype() if isinstance(field.dtype, type) else field.dtype
            yield from _flat(value.struct.field(field.name), f"{name}_{field.name}", inner)
    elif isinstance(kind, pl.List):
        item = pl.element()
        if isinstance(kind.inner, pl.Struct):  # modifiers, months: two fields
            first, second = (item.struct.field(field.name).cast(pl.String) for field in kind.inner.fields)
            item = pl.concat_str(first, pl.lit(":"), second.fill_null(""))
        item = item.cast(pl.String).str.replace_all(r"([\\|])", r"\$1")
        yield value.list.eval(item).list.join("|").replace("", None).alias(name)
    else:
        yield value.alias(name)


def _safe(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts a spreadsheet would run, with an apostrophe in front."""
    texts = [pl.col(name) for name, kind in frame.schema.items() if kind == pl.String]
    return frame.with_columns(
        pl.when(text.str.contains(FORMULA)).then(pl.concat_str(pl.lit("'"), text)).otherwise(text).name.keep()
        for text in texts
    )


def _flat_and_safe(frame: pl.DataFrame, left_out: frozenset[str]) -> pl.DataFrame:
    return _safe(flatten(frame.select(pl.exclude(left_out))))


def _write_csv(frames: Iterator[pl.DataFrame], file: IO[bytes], left_out: frozenset[str], bom: bool) -> Written:
    def lines(numbered: tuple[int, pl.DataFrame]) -> tuple[bytes, int]:
        number, frame = numbered
        text = io.BytesIO()
        _flat_and_safe(frame, left_out).write_csv(text, include_bom=number == 0 and bom, include_header=number == 0)
        return text.getvalue(), frame.height

    rows = 0
    for text, count in _side_by_side(lines, enumerate(frames)):
        _put(text, file)
        rows += count
    return Written(rows, ())


class _Sheets:
    """A workbook being written, row by row; what is not yet in the file lies in a temporary folder."""

    def __init__(self, file: IO[bytes], folder: str) -> None:
        import xlsxwriter

        self._workbook: Any = xlsxwriter.Workbook(
            file,
            {
                "constant_memory": True,
                "tmpdir": folder,
                "strings_to_formulas": False,
                "strings_to_numbers": False,
                "strings_to_urls": False,
            },
        )
        self._bold = self._workbook.add_format({"bold": True, "bottom": 1})
        self._sheet: Any = None
        self._row = 0  # last written of the sheet
        self.sheets = 0
        self.rows = 0
        self.too_long = 0  # cells

    def begin(self, names: Sequence[str]) -> None:
        """Go on in a next sheet."""
        self.sheets += 1
        sheet = self._workbook.add_worksheet("Keywords" if self.sheets == 1 else f"Keywords {self.sheets}")
        sheet.freeze_panes(1, 1)
        sheet.set_column(0, 1, 36)
        sheet.set_column(2, len(names), 14)
        for column, name in enumerate(names):
            sheet.write_string(0, column, name, self._bold)
        sheet.autofilter(0, 0, XLSX_ROWS, len(names) - 1)
        self._sheet, self._row = sheet, 0

    def add(self, frame: pl.DataFrame) -> None:
        """Write the rows of a flat frame."""
        if self._sheet is None:
            self.begin(frame.columns)
        for record in zip(*(_plain(column) for column in frame), strict=True):
            if self._row == XLSX_ROWS:
                self.begin(frame.columns)
            self._row += 1
            for column, value in enumerate(record):
                if isinstance(value, str):
                    if len(value) <= _XLSX_CELL:
                        self._sheet.write_string(self._row, column, value)
                    else:
                        self.too_long += 1
                elif isinstance(value, bool):
                    self._sheet.write_boolean(self._row, column, value)
                elif value is not None:
                    self._sheet.write_number(self._row, column, value)
        self.rows += frame.height

    def close(self) -> None:
        """Complete the file; raises OmniKeywordsError where it would be larger than xlsx can be, OSError where it
        cannot be written."""
        from xlsxwriter.exceptions import FileCreateError, FileSizeError

        try:
            self._workbook.close()
        except FileSizeError as error:
            raise OmniKeywordsError(f"{self.rows:,} rows are too much for one xlsx file: use parquet or csv") from error
        except FileCreateError as error:
            raise (error.args[0] if error.args and isinstance(error.args[0], OSError) else error) from error

    def abandon(self) -> None:
        """Let go of all that is open."""
        self._workbook.fileclosed = True  # or it would complain, when collected, of not having been closed
        for sheet in self._workbook.worksheets():
            sheet.row_data_fh.close()


def _write_xlsx(frames: Iterator[pl.DataFrame], file: IO[bytes], left_out: frozenset[str]) -> Written:
    with tempfile.TemporaryDirectory(prefix="okf-xlsx-") as folder:
        sheets = _Sheets(file, folder)
        try:
            for frame in frames:
                sheets.add(_flat_and_safe(frame, left_out))
            sheets.close()
        except BaseException:
            sheets.abandon()
            raise
    notes = []
    if sheets.sheets > 1:
        notes.append(f"xlsx holds {XLSX_ROWS:,} rows a sheet: the rest is in {sheets.sheets - 1} more")
    if sheets.too_long:
        notes.append(
            f"{sheets.too_long:,} cells longer than xlsx allows ({_XLSX_CELL:,} characters) were left empty: "
            "csv, jsonl and parquet hold them"
        )
    return Written(sheets.rows, notes)


def _plain(column: pl.Series) -> list[Any]:
    """The cells of a column: text, number, true or false, or None."""
    if column.dtype.is_float():
        return column.cast(pl.String).cast(pl.Float64).fill_nan(None).to_list()
    return (column if column.dtype.is_numeric() or column.dtype == pl.Boolean else column.cast(pl.String)).to_list()


def extra_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """A batch of observations with `extra` as JSON text: every other column that has a value, verbatim.

    Structs differ from file to file; texts do not.
    """
    kind = frame.schema.get("extra")
    if not isinstance(kind, pl.Struct) or not kind.fields:
        return frame.with_columns(pl.lit(None, pl.String).alias("extra"))
    pairs = []
    for field in kind.fields:
        value = pl.col("extra").struct.field(field.name)
        quoted = pl.struct(value.cast(pl.String).alias("v")).struct.json_encode().str.slice(5).str.head(-1)
        pairs.append(
            pl.when(value.is_not_null()).then(
                pl.concat_str(pl.lit(json.dumps(field.name, ensure_ascii=False) + ":"), quoted)
            )
        )
    text = pl.concat_str(pairs, separator=",", ignore_nulls=True)
    return frame.with_columns(pl.when(text != "").then(pl.concat_str(pl.lit("{"), text, pl.lit("}"))).alias("extra"))
