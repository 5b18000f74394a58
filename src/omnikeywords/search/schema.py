"""What the index holds of a keyword: the fields, and rows of the read model as documents.

Texts are indexed and not stored: what is shown of a keyword lies in its record (records.py), at the byte that the field
`at` says. Whatever is a choice of few is a number, which costs a filter or a facet a few bits a keyword.

`place` is the keyword's place among those that match a query equally well: what is asked for more comes first, and
equals go by their ids. It is made of the keyword alone, never of statistics over others, so two indexes at one
position order alike and none tells anything of another project.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl
import tantivy
from numpy.typing import NDArray

from omnikeywords.analysis.features import QUESTIONS
from omnikeywords.analysis.language import LANGUAGES
from omnikeywords.model import FUNNELS, INTENTS
from omnikeywords.search.words import Words

__all__ = [
    "BEGINS",
    "BEGUN",
    "CODES",
    "NUMBERS",
    "SCALES",
    "SCHEMA",
    "TEXTS",
    "documents",
    "key_of",
    "keys_of",
    "register",
]

# Choices that are numbers in the index: their names, in the order of their numbers.
CODES: dict[str, tuple[str, ...]] = {
    "language": (*LANGUAGES, "und"),
    "intent": tuple(map(str, INTENTS)),
    "funnel": tuple(map(str, FUNNELS)),
    "question": tuple(QUESTIONS),
    "local": ("false", "true"),
    "branded": ("false", "true"),
}
# Texts that are whole, of which a keyword may have several.
TEXTS = ("market", "source", "modifier", "tag")
# What one unit is in the index, where it is not 1.
SCALES = {"difficulty": 1000, "opportunity": 1000, "position": 1000, "popularity": 1000}
NUMBERS = ("words", "year", "volume", "clicks", "impressions", *SCALES)

BEGINS, SIZE = "b:", "n:"
BEGUN = 3  # letters

_RANK_BITS = 10
_ID_BITS = 64 - _RANK_BITS
_OBSERVED_RANK = 1 << (_RANK_BITS - 1)  # from here on somebody counted searches
_RANKS_A_DOUBLING = 16
_RANKS_A_ZIPF = 60


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_bytes_field("marker", stored=True)  # of the one document that says how far the index is
    # "p:" and the project, "i:" and each import, "n:" and the number of words, "b:" and the first one, two and three
    # letters, "m" for the marker.
    builder.add_text_field("scope", tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("key", indexed=True)  # project and id, for whoever replaces a document
    builder.add_text_field("text", tokenizer_name="whitespace", index_option="position")
    builder.add_text_field("whole", tokenizer_name="raw", index_option="basic", fast=True)  # all its words, no spaces
    for name in TEXTS:
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic", fast=True)
    # Few values, so lists of who has each are short, and quicker than to look at every keyword.
    for name in (*CODES, "words", "year"):
        builder.add_unsigned_field(name, fast=True, indexed=True)
    for name in ("place", "at", *(name for name in NUMBERS if name not in ("words", "year"))):
        builder.add_unsigned_field(name, fast=True)
    return builder.build()


SCHEMA = _schema()


def register(index: tantivy.Index) -> None:
    """Give an index that was opened the tokenizers of the schema; they are not kept with it."""
    index.register_tokenizer("whitespace", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())
    index.register_tokenizer("raw", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw()).build())


def documents(project: str, rows: pl.DataFrame, at: NDArray[np.uint64], words: Words) -> list[str]:
    """Documents as JSON, of rows of the table `keywords` of a project, whose records begin at the bytes `at`."""
    phrases = words.split(rows["normalized"].to_list())
    imports = rows["rows"].str.extract_all(r"\S+/").list.eval(pl.element().str.strip_suffix("/")).list.unique()
    whole = pl.Series("whole", ["".join(split) for split in phrases], pl.String)
    begins = [(BEGINS + whole.str.slice(0, letters)).alias(f"b{letters}") for letters in range(1, BEGUN + 1)]
    sizes = pl.Series("size", [f"{SIZE}{len(split)}" for split in phrases], pl.String)
    scope = pl.concat_list(pl.lit(f"p:{project}"), sizes, imports.list.eval("i:" + pl.element()), *begins).list.unique()
    fields = rows.select(
        scope.alias("scope"),
        pl.Series("key", keys_of(project, rows["id"])),
        pl.Series("text", words.texts(phrases, rows["language"].to_list())),
        whole,
        _several(rows["market"].cast(pl.String).to_frame().select(pl.concat_list("market")).to_series()).alias(
            "market"
        ),
        _several(rows["source"].cast(pl.String).str.split("|")).alias("source"),
        _several(rows["modifiers"].cast(pl.String).str.strip_chars(" ").str.split(" ")).alias("modifier"),
        _several(rows["tags"].cast(pl.String).str.json_decode(pl.List(pl.String))).alias("tag"),
        pl.Series("place", places_of(rows)),
        pl.Series("at", at),
        *(_code(rows[name], names).alias(name) for name, names in CODES.items()),
        *(_number(rows[name], SCALES.get(name, 1)).alias(name) for name in NUMBERS),
    )
    return fields.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_list()


def places_of(rows: pl.DataFrame) -> NDArray[np.uint64]:
    """The place of each row: its rank in the high bits; below it its id, the smaller the higher."""
    asked = rows["volume"].cast(pl.Float64).fill_null(rows["impressions"].cast(pl.Float64))
    observed = _OBSERVED_RANK + (asked.clip(0) + 1).log(2) * _RANKS_A_DOUBLING
    estimated = rows["popularity"].cast(pl.Float64).fill_nan(None).fill_null(0) * _RANKS_A_ZIPF
    rank = pl.select(
        pl.coalesce(observed.clip(0, 2 * _OBSERVED_RANK - 1), estimated.clip(0, _OBSERVED_RANK - 1)).cast(pl.UInt64)
    ).to_series()
    backwards = np.uint64((1 << _ID_BITS) - 1) - (_bits_of(rows["id"]) >> np.uint64(_RANK_BITS))
    return (rank.to_numpy() << np.uint64(_ID_BITS)) | backwards


def key_of(project: str, keyword_id: str) -> int:
    """What a keyword's document is replaced by."""
    return int(keys_of(project, pl.Series([keyword_id]))[0])


def keys_of(project: str, ids: pl.Series) -> NDArray[np.uint64]:
    """64 bits of each keyword of a project: among ten million, two alike are one in half a million such indexes."""
    salt = int.from_bytes(hashlib.blake2b(project.encode(), digest_size=8).digest(), "little")
    return _bits_of(ids) ^ np.uint64(salt)


_DIGIT = np.zeros(256, np.uint64)
_DIGIT[np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)] = np.arange(32, dtype=np.uint64)
_FIRST_DIGIT = 2  # behind the version
_DIGITS = 13  # 65 bits, of which the first is lost


def _bits_of(ids: pl.Series) -> NDArray[np.uint64]:
    """The first bits of ids as numbers, in the order of the ids but for the very first bit."""
    raw = np.array(ids.to_list(), "S26").view(np.uint8).reshape(len(ids), -1)
    bits = np.zeros(len(ids), np.uint64)
    for digit in range(_FIRST_DIGIT, _FIRST_DIGIT + _DIGITS):
        bits = (bits << np.uint64(5)) | _DIGIT[raw[:, digit]]
    return bits


def _several(lists: pl.Series) -> pl.Series:
    return lists.fill_null([]).list.drop_nulls().list.unique(maintain_order=True)


def _code(values: pl.Series, names: Sequence[str]) -> pl.Series:
    codes = {name: code for code, name in enumerate(names)}
    if values.dtype == pl.Boolean:
        values = values.replace_strict({False: "false", True: "true"}, return_dtype=pl.String)
    return _listed(values.replace_strict(codes, default=None, return_dtype=pl.UInt64))


def _number(values: pl.Series, scale: int) -> pl.Series:
    if scale != 1:
        values = (values.cast(pl.Float64).fill_nan(None) * scale).round()
    return _listed(values.clip(0).cast(pl.UInt64))


def _listed(values: pl.Series) -> pl.Series:
    """A missing value as an empty list: null would be refused."""
    return values.to_frame("v").select(pl.concat_list("v").list.drop_nulls()).to_series()
