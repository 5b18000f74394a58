"""Our own exports read back: observed values as they were; what analysis derived is derived again.

Observations that came without a file are made into one of ours (`observations_as_file`), and so go the way of files.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from omnikeywords.formats.columns import OBSERVATION_SCHEMA, Column, Header
from omnikeywords.formats.keys import Keys
from omnikeywords.formats.records import Block, SkippedRow, as_text
from omnikeywords.model import Market

__all__ = ["OwnPlan", "observations_as_file"]

# A cell made safe from being run as a formula, as write.py does it: one apostrophe too many before these.
_MADE_SAFE = r"^'+[=+\-@\t\r]"
_DERIVED = re.compile(
    r"(?:normalized|id|language|language_confidence|words|length|question|intent|intents(?:_\w+)?|funnel|modifiers"
    r"|branded|local|year|popularity|difficulty(?:_\w+)?|opportunity(?:_\w+)?|evidence"
    r"|near_duplicate_of|near_duplicate_\w+|error|model_version|line)"
)
_MONTH = re.compile(r"\d{4}-\d{2}")
_EXTRA_COLUMNS = 1024  # more than JSON of others gives, so that ours come back as they were
_LISTS = ("serp_features", "vendor_intent")


class OwnPlan:
    """Reads our own exports; `cells` says that values are cells of CSV or XLSX, not of JSON or Parquet."""

    tool = "okf"

    def __init__(self, header: Header, *, cells: bool, market: Market | None) -> None:
        self.header = header
        self.currency: str | None = None
        self.unread: Counter[tuple[str, str]] = Counter()
        self.unread_example: dict[tuple[str, str], tuple[str, int]] = {}
        self.oddities: Counter[str] = Counter()
        self.columns: list[Column] = []
        self._cells = cells
        self._market = str(market) if market else None
        self._at: dict[str, int] = {}  # field of Observation, or `normalized` and `extra`, to column
        self._extra: list[int] = []
        self._extra_keys = Keys(_EXTRA_COLUMNS)
        for i, name in enumerate(header.cells):
            self._settle(i, name)

    def _settle(self, i: int, name: str) -> None:
        # The source's own difficulty stands beside ours, which has the name.
        field = "difficulty" if name == "vendor_difficulty" else name
        if field in OBSERVATION_SCHEMA and name not in ("line", "difficulty"):
            self._at.setdefault(field, i)
            self.columns.append(Column(name, field))
        elif name == "extra":
            self._at.setdefault(name, i)
            self.columns.append(Column(name, None, "columns of the file it first came from"))
        elif _DERIVED.fullmatch(name):
            if name == "normalized":
                self._at.setdefault(name, i)
            self.columns.append(Column(name, None, "derived: computed again"))
        else:
            self._extra.append(i)
            self.columns.append(Column(self.header.distinct[i], None))

    @property
    def keyword_column(self) -> int:
        """Where the keyword is."""
        return self._at["keyword"]

    def add_columns(self, names: Sequence[str]) -> None:
        """More columns, found later in a file whose rows name their own (JSONL)."""
        for name in names[len(self.header) :]:
            self.header.append(name)
            self._settle(len(self.header) - 1, name)

    def apply(self, block: Block) -> tuple[pl.DataFrame, list[SkippedRow]]:
        """Observations of a block's rows, and the rows without a keyword."""
        frame, lines, skipped = block.frame, block.lines, list(block.skipped)
        keyword = self._text(frame, "keyword")
        empty = keyword.is_null() | (keyword == "")
        repeated = (keyword == "keyword") & (self._text(frame, "normalized") == "normalized")
        drop = empty | repeated.fill_null(False)
        if drop.any():
            for line, text in zip(lines.filter(drop), keyword.filter(drop), strict=True):
                skipped.append(SkippedRow(line, "repeated header" if text else "empty keyword", text or ""))
            skipped.sort(key=lambda row: row.line)
            frame, lines, keyword = frame.filter(~drop), lines.filter(~drop), keyword.filter(~drop)
        made: dict[str, pl.Series] = {"line": lines, "keyword": keyword}
        lost: dict[str, pl.Series] = {}
        for name, dtype in OBSERVATION_SCHEMA.items():
            if name in made or name not in self._at or str(self._at[name]) not in frame.columns:
                continue
            if name in _LISTS:
                made[name] = self._lists(frame, name)
            elif name == "monthly_searches":
                made[name] = self._months(frame)
            elif dtype == pl.Date:
                made[name] = self._text(frame, name).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
            elif dtype.is_numeric():
                made[name], unread = self._number(frame, lines, name, dtype)
                if unread is not None:
                    lost[name] = unread
            else:
                text = self._text(frame, name)
                made[name] = pl.select(pl.when(text != "").then(text)).to_series()
        if "market" in made and self._market:
            made["market"] = made["market"].fill_null(self._market)
        made["extra"] = self._extras(frame, lost)
        have = pl.DataFrame([series.alias(name) for name, series in made.items()])
        constant = {"market": self._market}
        return (
            have.select(
                *(
                    pl.col(name).cast(dtype) if name in made else pl.lit(constant.get(name), dtype=dtype).alias(name)
                    for name, dtype in OBSERVATION_SCHEMA.items()
                ),
                pl.col("extra"),
            ),
            skipped,
        )

    def _text(self, frame: pl.DataFrame, name: str) -> pl.Series:
        if name not in self._at:
            return pl.repeat(None, frame.height, dtype=pl.String, eager=True)
        series = frame[str(self._at[name])]
        if series.dtype != pl.String:
            return as_text(series)
        if not self._cells:
            return series
        safe = series.str.contains(_MADE_SAFE).fill_null(False)
        if not safe.any():
            return series
        return pl.select(pl.when(safe).then(series.str.slice(1)).otherwise(series)).to_series()

    def _number(
        self, frame: pl.DataFrame, lines: pl.Series, name: str, dtype: pl.DataType
    ) -> tuple[pl.Series, pl.Series | None]:
        """A column of numbers, and the texts in it that are none, where there are any."""
        series = frame[str(self._at[name])]
        if series.dtype != pl.String:
            return series.cast(dtype, strict=False), None
        number = series.cast(dtype, strict=False)
        lost = number.is_null() & series.is_not_null() & (series != "")
        if lost.any():
            whole = series.cast(pl.Float64, strict=False)
            number = number.fill_null(whole.cast(dtype, strict=False))
            lost &= number.is_null()
        if not lost.any():
            return number, None
        self.unread[name, "no number"] += int(lost.sum())
        first = lost.arg_true()[0]
        self.unread_example.setdefault((name, "no number"), (str(series[first]), int(lines[first])))
        return number, pl.select(pl.when(lost).then(series)).to_series()

    def _lists(self, frame: pl.DataFrame, name: str) -> pl.Series:
        texts = self._text(frame, name)
        if not self._cells:
            lists = {text: _json_list(text) for text in texts.drop_nulls().unique()}
            return pl.Series([lists.get(text) for text in texts], dtype=pl.List(pl.String))
        said = pl.select(pl.when(texts != "").then(texts)).to_series()
        if said.str.contains("\\", literal=True).any():
            return pl.Series([None if t is None else _items(t) for t in said], dtype=pl.List(pl.String))
        return said.str.split("|")

    def _months(self, frame: pl.DataFrame) -> pl.Series:
        texts = self._text(frame, "monthly_searches")
        rows = [_months_of(text, self._cells) for text in texts]
        return pl.Series(rows, dtype=OBSERVATION_SCHEMA["monthly_searches"])

    def _extras(self, frame: pl.DataFrame, lost: Mapping[str, pl.Series]) -> pl.Series:
        """The columns that are no fields, and the cells of fields that could not be read (`lost`)."""
        rows: list[dict[str, str]] = [{}] * frame.height
        if "extra" in self._at:
            for i, text in enumerate(self._text(frame, "extra")):
                if text:
                    rows[i] = _json_texts(text)
        self._extra_keys.add(rows)
        cells = zip(self._extra_keys.names, self._extra_keys.values(rows), strict=True)
        columns = {name: pl.Series(texts, dtype=pl.String) for name, texts in cells}
        for i in self._extra:
            text = as_text(frame[str(i)])
            said = pl.select(pl.when(text != "").then(text)).to_series()
            if said.is_not_null().any():
                columns.setdefault(self.header.distinct[i], said)
        for name, texts in lost.items():
            columns.setdefault(name, texts)
        if not columns:
            return pl.repeat(None, frame.height, dtype=pl.Null, eager=True)
        return pl.DataFrame(columns).to_struct()


def observations_as_file(observations: Iterable[Mapping[str, Any]]) -> bytes:
    """Observations as JSON lines that are recognised as ours; the same observations are the same bytes.

    Each holds its `keyword` and what else is known of it, by the names of Observation's fields.
    """
    # By these a header is known to be ours. Names that the first line has need not be in those behind it.
    names = ("normalized", "id", "model_version", "extra", *(n for n in OBSERVATION_SCHEMA if n != "line"))
    every: dict[str, Any] = dict.fromkeys("vendor_difficulty" if name == "difficulty" else name for name in names)
    encode = msgspec.json.Encoder(order="sorted").encode
    lines: list[bytes] = []
    for observed in observations:
        said = {"vendor_difficulty" if name == "difficulty" else name: value for name, value in observed.items()}
        lines.append(encode(said if lines else every | said))
    return b"\n".join((*lines, b""))


def _items(text: str) -> list[str]:
    """A list joined with `|`, whose items have `\\|` and `\\\\` for what they hold."""
    items = [""]
    for token in re.findall(r"\\.|\||[^|\\]+|\\", text, re.DOTALL):
        if token == "|":
            items.append("")
        else:
            items[-1] += token[1:] if len(token) == 2 and token[0] == "\\" else token
    return items


def _json_list(text: str) -> list[str] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return [text] if text else None
    return [str(item) for item in value] if isinstance(value, list) else None


def _json_texts(text: str) -> dict[str, str]:
    try:
        value: Any = json.loads(text)
    except ValueError:
        return {"extra": text}
    if not isinstance(value, dict):
        return {"extra": text}
    return {
        str(name): item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
        for name, item in value.items()
        if item is not None
    }


def _months_of(text: str | None, cells: bool) -> list[dict[str, str | int | None]] | None:
    """Searches by month; months and numbers that are none are left out."""
    if not text:
        return None
    value: Any
    if cells:
        value = {month: count or None for part in text.split("|") for month, _, count in (part.partition(":"),)}
    else:
        try:
            value = json.loads(text)
        except ValueError:
            return None
        if isinstance(value, list):
            value = {entry.get("month"): entry.get("searches") for entry in value if isinstance(entry, dict)}
        if not isinstance(value, dict):
            return None
    months: list[dict[str, str | int | None]] = [
        {"month": month, "searches": None if count is None else int(count)}
        for month, count in value.items()
        if _MONTH.fullmatch(str(month)) and (count is None or re.fullmatch(r"\d{1,18}", str(count)))
    ]
    return months or None
