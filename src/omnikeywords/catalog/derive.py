"""From observations to keywords: frames in, frames out, whatever database they come from.

A chunk of rows as an event keeps them has the columns of OBSERVATION_SCHEMA that have any value, `extra` as JSON text,
and PART_COLUMNS. What is stored of a row has columns of its own where a filter or an order may ask for them, and
`rest`, a JSON object, for all else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow
from numpy.typing import NDArray

from omnikeywords.analysis import Options, analyse, duplicates
from omnikeywords.analysis.duplicates import REASONS
from omnikeywords.analysis.language import LANGUAGES, LanguageModel
from omnikeywords.analysis.phrase_texts import Texts
from omnikeywords.analysis.score import OBSERVED_COLUMNS
from omnikeywords.formats.columns import OBSERVATION_SCHEMA
from omnikeywords.formats.merge import PART_COLUMNS, merge_rows
from omnikeywords.model import Market

__all__ = [
    "KEYWORD_SCHEMA",
    "OBSERVED_REST",
    "STORED_SCHEMA",
    "NearDuplicates",
    "Told",
    "analysed",
    "keywords_of",
    "merged",
    "near_duplicates",
    "stored",
    "unstored",
]

# Columns of the table `observations` that say what was observed.
_STORED = ("period_start", "period_end", "source", "volume", "cpc", "clicks", "impressions", "ctr", "position")
_CHUNK_SCHEMA: dict[str, pl.DataType] = {
    **OBSERVATION_SCHEMA,
    "extra": pl.String(),
    **dict.fromkeys(PART_COLUMNS, pl.String()),
}
STORED_SCHEMA: dict[str, pl.DataType] = {**{name: OBSERVATION_SCHEMA[name] for name in _STORED}, "rest": pl.String()}
_REST_SCHEMA = {name: kind for name, kind in _CHUNK_SCHEMA.items() if name not in _STORED}

# Columns of the table `keywords` that say what was observed, and what of it has none.
_OBSERVED = ("source", "volume", "cpc", "competition", "clicks", "impressions", "position")
OBSERVED_REST: dict[str, pl.DataType] = {
    "vendor_difficulty" if name == "difficulty" else name: kind
    for name, kind in {**OBSERVATION_SCHEMA, "extra": pl.String()}.items()
    if name not in (*_OBSERVED, "keyword", "market", "line")
}


def stored(chunk: pl.DataFrame) -> pl.DataFrame:
    """Rows of a chunk as the table `observations` keeps them, without the columns that say which rows they are."""
    rest = [name for name in chunk.columns if name not in _STORED and name in _CHUNK_SCHEMA]
    return chunk.with_columns(
        *(pl.lit(None, _CHUNK_SCHEMA[name]).alias(name) for name in _STORED if name not in chunk),
        pl.struct(rest).struct.json_encode().alias("rest"),
    ).select(*STORED_SCHEMA)


def unstored(rows: pl.DataFrame) -> pl.DataFrame:
    """The opposite of `stored`; other columns stay."""
    rest = rows["rest"].str.json_decode(pl.Struct(_REST_SCHEMA)).struct.unnest()
    return pl.concat([rows.drop("rest"), rest], how="horizontal").cast(
        {name: kind for name, kind in _CHUNK_SCHEMA.items() if name in rows.columns}
    )


def analysed(chunk: pl.DataFrame, options: Options) -> pl.DataFrame:
    """The analysis of each row of a chunk, in their order, in the row's own market or else that of the options."""
    if "market" not in chunk or not chunk.height:
        return _in_one_market(chunk, options)
    numbered = chunk.with_row_index("_row")
    parts = [
        _in_one_market(part, options if market is None else replace(options, market=Market.parse(market))).with_columns(
            part["_row"]
        )
        for (market,), part in numbered.partition_by("market", as_dict=True).items()
    ]
    return (parts[0] if len(parts) == 1 else pl.concat(parts, how="vertical_relaxed").sort("_row")).drop("_row")


def _in_one_market(chunk: pl.DataFrame, options: Options) -> pl.DataFrame:
    observations = {
        name: chunk[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for name in OBSERVED_COLUMNS
        if name in chunk
    }
    return analyse(chunk["keyword"].to_list(), options, observations).to_polars()


def merged(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of keywords, each with its `id`, as one row a keyword, of the columns that have any value."""
    rows = rows.with_columns(pl.col(name).fill_null("") for name in PART_COLUMNS)
    kept = [n for n in rows.columns if n in ("id", *PART_COLUMNS) or (n in _CHUNK_SCHEMA and rows[n].count())]
    return merge_rows(rows.select(kept)) if rows.height else rows.select("id", "keyword")


def keywords_of(chunk: pl.DataFrame, analysis: pl.DataFrame) -> pl.DataFrame:
    """Rows of the table `keywords`, one a row of the chunk, without those that say which they are and when."""
    observed = [
        pl.col(name) if name in chunk else pl.lit(None, OBSERVATION_SCHEMA[name]).alias(name) for name in _OBSERVED
    ]
    columns = {"vendor_difficulty" if name == "difficulty" else name: name for name in chunk.columns}
    rest = [pl.col(columns[name]).alias(name) for name in OBSERVED_REST if name in columns]
    # Not by `select`, which makes one row of literals alone, however many the chunk has.
    left = chunk.with_columns(*observed, _json(rest).alias("observed")).select(*_OBSERVED, "observed")
    types = pl.col("modifiers").list.eval(pl.element().struct.field("type")).list.unique().list.sort().list.join(" ")
    right = analysis.select(
        "id",
        "keyword",
        "normalized",
        "market",
        "language",
        "words",
        "question",
        "intent",
        "funnel",
        pl.when(pl.col("modifiers").list.len() > 0).then(pl.format(" {} ", types)).alias("modifiers"),
        "branded",
        "local",
        "year",
        "popularity",
        pl.col("difficulty").struct.field("score").alias("difficulty"),
        pl.col("opportunity").struct.field("score").alias("opportunity"),
        "model_version",
    )
    return pl.concat([right, left], how="horizontal").select(*KEYWORD_SCHEMA)


def _json(columns: list[pl.Expr]) -> pl.Expr:
    """Columns as a JSON object of those that have a value in the row, whatever others have; null where none has."""
    if not columns:
        return pl.lit(None, pl.String)
    members = [
        pl.when(column.is_not_null()).then(
            pl.struct(column).struct.json_encode().str.strip_prefix("{").str.strip_suffix("}")
        )
        for column in columns
    ]
    listed = pl.concat_str(members, separator=",", ignore_nulls=True)
    return pl.when(listed != "").then(pl.format("{{{}}}", listed))


KEYWORD_SCHEMA = (
    *("id", "keyword", "normalized", "market", "language", "words", "question", "intent", "funnel", "modifiers"),
    *("branded", "local", "year", "popularity", "difficulty", "opportunity"),
    *_OBSERVED,
    *("observed", "model_version"),
)


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Which of N keywords say the same as another."""

    columns: pl.DataFrame  # near_duplicate_of and near_duplicate_reason, in their order
    members: int  # keywords that say the same as the head of their group
    groups: int


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What the near-duplicates among N keywords are told from, in the least space."""

    normalized: Texts
    language: NDArray[np.int8]
    popularity: NDArray[np.float32]
    asked: NDArray[np.float64]  # which of two spellings people use; NaN where unknown

    @classmethod
    def of(cls, frames: Iterable[pl.DataFrame], asked: Sequence[str]) -> "Told":
        """Of keywords a frame at a time: their `normalized`, `language`, `popularity`, and the first of the numeric
        columns `asked` that has any value."""
        codes = {name: code for code, name in enumerate(LANGUAGES)}
        # Each list begins with nothing, so that there may be no frames.
        data, lengths = [np.empty(0, np.uint8)], [np.zeros(1, np.int64)]
        language, popularity = [np.empty(0, np.int8)], [np.empty(0, np.float32)]
        numbers = {name: [np.empty(0)] for name in asked}
        for frame in frames:
            letters, bounds = _letters(frame["normalized"])
            data.append(letters)
            lengths.append(np.diff(bounds))
            language.append(frame["language"].replace_strict(codes, default=-1, return_dtype=pl.Int8).to_numpy())
            popularity.append(frame["popularity"].cast(pl.Float32).fill_null(float("nan")).to_numpy())
            for name, found in numbers.items():
                found.append(frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy())
        texts = Texts(np.concatenate(data), np.cumsum(np.concatenate(lengths)))
        columns = [np.concatenate(found) for found in numbers.values()]
        known = next((column for column in columns if not np.isnan(column).all()), columns[0])
        return cls(texts, np.concatenate(language), np.concatenate(popularity), known)


def near_duplicates(told: Told, language_table: Path) -> NearDuplicates:
    """The near-duplicates among keywords."""
    found = duplicates(told, volume=told.asked, model=LanguageModel.load(language_table))
    member = found.head != np.arange(len(found.head))
    heads = _column(told.normalized).gather(pl.Series(found.head.astype(np.int64)))
    reasons = pl.Series(REASONS).gather(pl.Series(found.reason.astype(np.int64)))
    columns = pl.select(
        pl.when(pl.Series(member)).then(heads).alias("near_duplicate_of"),
        pl.when(pl.Series(member)).then(reasons).alias("near_duplicate_reason"),
    )
    return NearDuplicates(columns, int(member.sum()), len(np.unique(found.head[member])))


def _letters(column: pl.Series) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The texts of a column end to end, without a Python string each, and where each begins and ends; what is null is
    empty."""
    array = column.fill_null("").to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    letters = np.frombuffer(data if data is not None else b"", np.uint8)
    return letters[bounds[0] : bounds[-1]], bounds


def _column(texts: Texts) -> pl.Series:
    """The opposite of `_letters`."""
    buffers = pyarrow.py_buffer(texts.offsets), pyarrow.py_buffer(texts.data)
    column = pl.from_arrow(pyarrow.LargeStringArray.from_buffers(len(texts), *buffers))
    assert isinstance(column, pl.Series)
    return column
