"""What column headers mean, in some twenty languages, and the table an observation batch is.

Headers are compared folded (accents, case and punctuation away); their names are in headers.txt.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.resources import files

import polars as pl

from omnikeywords.formats.numbers import CURRENCIES

__all__ = [
    "ALIASES",
    "COUNT_FIELDS",
    "INTENT_FLAGS",
    "NO_KEYWORDS",
    "NUMBER_FIELDS",
    "OBSERVATION_SCHEMA",
    "Column",
    "Header",
    "Recognised",
    "currency_of_header",
    "fold",
]

MONTHLY = pl.List(pl.Struct({"month": pl.String, "searches": pl.Int64}))

# A column for each field of model.Observation, in its order. `extra`, which comes last, is a struct of
# strings with the file's own other columns (Null where a file has none): the only type that differs between
# files.
OBSERVATION_SCHEMA: dict[str, pl.DataType] = {
    "keyword": pl.String(),
    "line": pl.Int64(),
    "source": pl.String(),
    "market": pl.String(),
    "volume": pl.Int64(),
    "volume_min": pl.Int64(),
    "volume_max": pl.Int64(),
    "cpc": pl.Float64(),
    "currency": pl.String(),
    "competition": pl.Float64(),
    "competition_level": pl.String(),
    "difficulty": pl.Float64(),
    "results": pl.Int64(),
    "clicks": pl.Int64(),
    "impressions": pl.Int64(),
    "ctr": pl.Float64(),
    "position": pl.Float64(),
    "url": pl.String(),
    "cost": pl.Float64(),
    "conversions": pl.Float64(),
    "match_type": pl.String(),
    "serp_features": pl.List(pl.String()),
    "parent_keyword": pl.String(),
    "monthly_searches": MONTHLY,
    "vendor_intent": pl.List(pl.String()),
    "period_start": pl.Date(),
    "period_end": pl.Date(),
    "period_granularity": pl.String(),
    "period_from": pl.String(),
}

COUNT_FIELDS = frozenset({"volume", "volume_min", "volume_max", "results", "clicks", "impressions"})
NUMBER_FIELDS = COUNT_FIELDS | {"cpc", "competition", "difficulty", "ctr", "position", "cost", "conversions"}

_PUNCTUATION = re.compile(r"[^\w%#$€£¥()+]+|_+")


def fold(text: str) -> str:
    """A header without accents, case and punctuation: `Avg. Posição ` is `avg posicao`."""
    text = text.casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.replace("\ufeff", ""))
        text = "".join(c for c in text if not unicodedata.combining(c))
    return _PUNCTUATION.sub(" ", text).strip()


def _read_headers() -> tuple[dict[str, tuple[str, int]], dict[str, str]]:
    aliases: dict[str, tuple[str, int]] = {}
    others: dict[str, str] = {}
    ranks: Counter[str] = Counter()
    for line in files(__package__).joinpath("headers.txt").read_text("utf-8").splitlines():
        meaning, colon, names = line.partition(": ")
        if not colon or line.startswith("#"):
            continue
        for name in map(fold, names.split("; ")):
            if meaning.startswith("not "):
                others.setdefault(name, meaning.removeprefix("not "))
            else:
                aliases.setdefault(name, (meaning, ranks[meaning]))
                ranks[meaning] += 1
    return aliases, others


# By folded header: the field and the rank among its names; and what a table lists whose first column it
# heads.
ALIASES, NO_KEYWORDS = _read_headers()

# True/false columns, each one a label of vendor_intent.
INTENT_FLAGS = ("branded", "local", "informational", "navigational", "commercial", "transactional")

_HEADER_CURRENCY = re.compile(r"[\s(\[,]+(?:([A-Z]{3})|(US\$|R\$|€|£))[)\]]?\s*$")
_SIGNS = {"US$": "USD", "R$": "BRL", "€": "EUR", "£": "GBP"}


def currency_of_header(header: str) -> tuple[str, str | None]:
    """A header without the currency it names, and that currency: `CPC (USD)` gives `CPC` and `USD`."""
    match = _HEADER_CURRENCY.search(header)
    if match is None:
        return header, None
    code = match[1] or _SIGNS[match[2]]
    return (header[: match.start()], code) if code in CURRENCIES else (header, None)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file: what was made of it."""

    header: str  # as the file has it, made distinct where it repeats
    field: str | None  # a field of Observation, or None: kept verbatim in `extra` or named in `note`
    note: str = ""  # what a person should know of it


class Header:
    """The header row of a file, ready to be asked what it holds."""

    def __init__(self, cells: Iterable[str | None]) -> None:
        self._taken: set[str] = set()
        self.cells: list[str] = []  # as the file has them
        self.distinct: list[str] = []  # the same, none twice and none empty
        self.folded: list[str] = []  # without the currency they may name
        self.currencies: list[str | None] = []
        self.aliases: list[tuple[str, int] | None] = []  # field and rank by the general names
        for cell in cells:
            self.append(cell)

    def append(self, cell: str | None) -> None:
        """One more column at the right."""
        text = str(cell).replace("\ufeff", "") if cell is not None else ""
        bare, currency = currency_of_header(text)
        name = fold(bare)
        self.cells.append(text)
        self.folded.append(name)
        self.currencies.append(currency)
        self.aliases.append(ALIASES.get(name) or ALIASES.get(fold(text)))
        plain = text.strip() or f"column {len(self.cells)}"
        unique, n = plain, 1
        while unique in self._taken:
            n += 1
            unique = f"{plain} ({n})"
        self._taken.add(unique)
        self.distinct.append(unique)

    @property
    def names(self) -> frozenset[str]:
        """All headers, folded."""
        return frozenset(self.folded)

    @property
    def fields(self) -> frozenset[str]:
        """The fields that the general names find."""
        return frozenset(alias[0] for alias in self.aliases if alias)

    def __len__(self) -> int:
        return len(self.cells)

    def has(self, *names: str) -> bool:
        """Whether all of these names (folded) are among the headers."""
        return self.names.issuperset(names)

    def any(self, names: Iterable[str]) -> bool:
        """Whether one of these names (folded) is among the headers."""
        return not self.names.isdisjoint(names)

    def find(self, *names: str) -> int | None:
        """The first column under the first of these names that there is."""
        for name in names:
            if name in self.names:
                return self.folded.index(name)
        return None


@dataclass(slots=True)
class Recognised:
    """A tool's report recognised by its header: what to make of each column.

    `fields` says by column what the general names would get wrong: a field, or None to keep it verbatim.
    """

    tool: str  # machine name, as `google_search_console`
    report: str  # as `queries`
    fields: dict[int, str | None] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    months: dict[int, str] = field(default_factory=dict)  # column to "2025-10"
    trends: dict[int, tuple[str, ...]] = field(default_factory=dict)  # column of many numbers to their months
    flags: dict[int, str] = field(default_factory=dict)  # true/false column to the intent it stands for
    dated_positions: list[tuple[int, int | None, str]] = field(default_factory=list)  # column, its URL column, date
    keep: set[int] = field(default_factory=set)  # columns that stay in `extra` although they are understood
    competition_scale: float | None = None  # what 1.0 is in the file; None: found from the numbers
    ads_syntax: bool = False  # "phrase" and [exact] around a keyword are match types
    totals: bool = False  # rows of totals follow the data
    buckets: bool = False  # volumes may be the lower bounds of ranges
    row_limit: int | None = None  # where the tool cuts its exports
    intent_codes: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
