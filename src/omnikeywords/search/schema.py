"""What the index holds of a keyword: the fields, and rows of the read model as documents.

Texts are indexed and not stored: what is shown of a keyword lies in its record (records.py), at the byte that the field
`at` says. Whatever is a choice of few is a number, which costs a filter or a facet a few bits a keyword.

`place` is the keyword's place among those that match a query equally well: what is asked for more comes first, and
equals go by their ids. It is made of the keyword alone, never of statistics over others, so two indexes at one
position order alike and none tells anything of another project.
"""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import numpy as np
import polars as pl
import tantivy
from numpy.typing import NDArray

from omnikeywords.analysis.features import QUESTIONS
from omnikeywords.analysis.language import LANGUAGES
from omnikeywords.model import FUNNELS, INTENTS
from omnikeywords.search.words import Words, set_of

__all__ = [
    "BANDS",
    "BEGUN",
    "CODES",
    "NUMBERS",
    "SCALES",
    "SCHEMA",
    "SET",
    "TEXTS",
    "Terms",
    "band_of",
    "documents",
    "gather",
    "key_of",
    "keys_of",
    "register",
    "scatter",
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

BEGUN = 3  # letters of a beginning, at most
SET = 3  # words: of no more than so many, a keyword has them all together as one term
BANDS = 32  # of ranks, the highest number is the best

_REMEMBERED = 4096  # texts of several choices: most are alike
_SIZES = 32  # words of nearly all keywords
_RANK_BITS = 10
_ID_BITS = 64 - _RANK_BITS
_BAND_BITS = _ID_BITS + 5
_OBSERVED_RANK = 1 << (_RANK_BITS - 1)  # from here on somebody counted searches
_RANKS_A_DOUBLING = 16
_RANKS_A_ZIPF = 60


class Terms:
    """Terms of the keywords of one project. Its number in the index begins each of them, so whoever asks for a term
    cannot meet a keyword of another project.
    """

    def __init__(self, number: int) -> None:
        self.all = str(number)  # every keyword of the project
        self.word = f"{number}:"  # and the word, in the field `text`; and all words without spaces, in `whole`
        self.stem = f"{number}~"  # and a stem
        self.size = f"{number}#"  # and how many words it has
        self.set = f"{number}="  # and the set of its stems, where it has few words
        self.begin = f"{number}^"  # and its first letters: one, two, three
        self.band = f"{number}@"  # and the band of its rank
        self.imported = f"{number}/"  # and an import that it is from


def band_of(place: int) -> int:
    """The band of a place."""
    return place >> _BAND_BITS


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_bytes_field("marker", stored=True)  # of the one document that says how far the index is
    builder.add_text_field("term", tokenizer_name="whitespace", index_option="basic")  # those of `Terms`
    builder.add_unsigned_field("key", indexed=True)  # project and id, for whoever replaces a document
    builder.add_text_field("text", tokenizer_name="whitespace", index_option="position")
    builder.add_text_field("whole", tokenizer_name="raw", index_option="basic")
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


# A column of numbers that grow is packed block by block, and to open it reads the head of every block, which takes ten
# times as long as a search. Scattered, they are packed in one.
_AT_BITS = 36  # bytes of records that an index can have
_SCATTERED = 0x9E3779B97
_GATHERED = pow(_SCATTERED, -1, 1 << _AT_BITS)
_AT = (1 << _AT_BITS) - 1


def scatter(at: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The bytes at which records begin, as the field `at` has them."""
    return (at * np.uint64(_SCATTERED)) & np.uint64(_AT)


def gather(at: Iterable[int]) -> list[int]:
    """The bytes at which records begin, from the field `at`."""
    return [one * _GATHERED & _AT for one in at]


class _Document(msgspec.Struct, omit_defaults=True, gc=False):
    """A keyword as the index takes it: each field's values, none where it has none."""

    term: str
    text: str
    whole: str
    key: int
    place: int
    at: int
    market: str | None = None
    source: str | list[str] | None = None
    modifier: list[str] | None = None
    tag: list[str] | None = None
    language: int | None = None
    intent: int | None = None
    funnel: int | None = None
    question: int | None = None
    local: int | None = None
    branded: int | None = None
    words: int | None = None
    year: int | None = None
    volume: int | None = None
    clicks: int | None = None
    impressions: int | None = None
    difficulty: int | None = None
    opportunity: int | None = None
    position: int | None = None
    popularity: int | None = None


_encode = msgspec.json.Encoder().encode


def documents(project: str, terms: Terms, rows: pl.DataFrame, at: NDArray[np.uint64], words: Words) -> Iterator[str]:
    """Documents as JSON, of rows of the table `keywords` of a project, whose records begin at the bytes `at`."""
    places = places_of(rows)
    term_of = _term_of(terms)
    first, further = terms.word, f" {terms.word}"
    # One keyword after another, not column by column: what is made of each is gone before the next, so nothing is
    # there for the collector of garbage to go through again and again.
    phrases = zip(
        words.stemmed(rows["normalized"].to_list(), rows["language"].to_list()),
        (places >> np.uint64(_BAND_BITS)).tolist(),
        rows["rows"].to_list(),
        strict=True,
    )
    rest = zip(
        keys_of(project, rows["id"]).tolist(),
        places.tolist(),
        scatter(at).tolist(),
        rows["market"].cast(pl.String).to_list(),
        map(_sources, rows["source"].cast(pl.String).to_list()),
        map(_modifiers, rows["modifiers"].cast(pl.String).to_list()),
        map(_tags, rows["tags"].cast(pl.String).to_list()),
        *(_codes(rows[name], names) for name, names in CODES.items()),
        *(_numbers(rows[name], SCALES.get(name, 1)) for name in NUMBERS),
        strict=True,
    )
    for ((split, stems), band, imports), values in zip(phrases, rest, strict=True):
        whole = "".join(split)
        text = first + further.join(split)
        yield _encode(_Document(term_of(stems, whole, band, imports), text, first + whole, *values)).decode()


def _term_of(terms: Terms) -> Callable[[Sequence[str], str, int, str], str]:
    stem, begin = f" {terms.stem}", f" {terms.begin}"
    by_size = [f"{terms.all} {terms.size}{size} {terms.band}" for size in range(_SIZES)]

    @functools.lru_cache
    def imported(rows: str) -> str:  # a keyword names its imports with the chunks of them
        return "".join([f" {terms.imported}{name.partition('/')[0]}" for name in rows.split()])

    def made(stems: Sequence[str], whole: str, band: int, rows: str) -> str:
        size = len(stems)
        of_all = by_size[size] if size < _SIZES else f"{terms.all} {terms.size}{size} {terms.band}"
        few = f" {terms.set}{set_of(stems)}" if size <= SET else ""
        begins = f"{begin}{whole[:1]}{begin}{whole[:2]}{begin}{whole[:BEGUN]}"
        return f"{of_all}{band}{few}{stem}{stem.join(stems)}{begins}{imported(rows)}"

    return made


@functools.lru_cache(_REMEMBERED)
def _sources(text: str | None) -> str | list[str] | None:
    return list(dict.fromkeys(text.split("|"))) if text and "|" in text else text


@functools.lru_cache(_REMEMBERED)
def _modifiers(text: str | None) -> list[str] | None:
    return list(dict.fromkeys(text.split())) if text else None


def _tags(text: str | None) -> list[str] | None:
    return msgspec.json.decode(text, type=list[str]) if text else None


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


def _codes(values: pl.Series, names: Sequence[str]) -> list[int | None]:
    if values.dtype == pl.Boolean:
        return values.cast(pl.UInt8).to_list()
    codes = {name: code for code, name in enumerate(names)}
    return list(map(codes.get, values.to_list()))


def _numbers(values: pl.Series, scale: int) -> list[int | None]:
    if scale != 1:
        values = (values.cast(pl.Float64).fill_nan(None) * scale).round()
    return values.clip(0).cast(pl.UInt64).to_list()
