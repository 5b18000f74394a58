"""The nouns that formats, catalog and analysis all name: market, keyword id, intent, funnel, observation.

Plain data, no I/O, standard library only.
"""

import base64
import hashlib
import re
from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from omnikeywords.errors import InvalidMarket, InvalidOption

__all__ = [
    "FUNNELS",
    "INTENTS",
    "KEYWORD_ID_BYTES",
    "KEYWORD_ID_PREFIX",
    "LENGTHS",
    "Funnel",
    "Granularity",
    "Intent",
    "Length",
    "Market",
    "Observation",
    "base32",
    "days_of",
    "keyword_id",
]


class Intent(StrEnum):
    """What a searcher wants: to learn, to reach a place, to compare before buying, to act."""

    INFORMATIONAL = "informational"
    NAVIGATIONAL = "navigational"
    COMMERCIAL = "commercial"
    TRANSACTIONAL = "transactional"


class Funnel(StrEnum):
    """How near a searcher is to buying."""

    AWARENESS = "awareness"
    CONSIDERATION = "consideration"
    DECISION = "decision"


class Length(StrEnum):
    """How specific a phrase is by its number of words: one, two or three, four and more."""

    HEAD = "head"
    BODY = "body"
    LONG_TAIL = "long_tail"


# The order of the columns wherever intents, funnels and lengths are numbers.
INTENTS: tuple[Intent, ...] = tuple(Intent)
FUNNELS: tuple[Funnel, ...] = tuple(Funnel)
LENGTHS: tuple[Length, ...] = tuple(Length)

Granularity = Literal["day", "month", "range"]

_MARKET = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{2}|\d{3}))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Market:
    """A language and a region, written `pt-BR`; a language alone is `pt`, a country alone `und-BR`."""

    language: str  # ISO 639, lower case; "und" where only the region is known
    region: str | None  # ISO 3166 alpha-2, upper case, or a UN M49 number

    @classmethod
    def parse(cls, text: str) -> "Market":
        """Read `pt-BR`, `PT_br`, `pt` or `und-BR`.

        Raises InvalidMarket, naming the value, for anything else.
        """
        match = _MARKET.fullmatch(text.strip())
        if match is None:
            raise InvalidMarket(
                f"market {text!r} is not a language and region: write it as pt-BR, en or und-BR", market=text
            )
        language, region = match.groups()
        return cls(language.lower(), region.upper() if region else None)

    def __str__(self) -> str:
        return f"{self.language}-{self.region}" if self.region else self.language


_DAY = r"\d{4}-\d\d-\d\d"


def days_of(text: str) -> tuple[date, date]:
    """The first and the last day of a period as people write it: `2026-05-31`, `2026-05`, `2026-05-01..2026-05-28`.

    Raises InvalidOption, naming the value, for anything else.
    """
    month = re.fullmatch(r"(\d{4})-(\d\d)", text.strip())
    days = re.fullmatch(rf"({_DAY})(?:\s*\.\.\s*({_DAY}))?", text.strip(), re.ASCII)
    try:
        if month:
            year, number = int(month[1]), int(month[2])
            return date(year, number, 1), date(year, number, monthrange(year, number)[1])
        if days is None:  # of what ISO 8601 knows beside days, weeks, only the first day would be taken
            raise ValueError
        start = date.fromisoformat(days[1])
        end = date.fromisoformat(days[2]) if days[2] else start
    except ValueError:
        raise InvalidOption(
            f"date {text!r} is none: give a day as 2026-05-31, a month as 2026-05, or 2026-05-01..2026-05-28", date=text
        ) from None
    if end < start:
        raise InvalidOption(f"date {text!r} ends before it begins", date=text)
    return start, end


KEYWORD_ID_PREFIX = "k1"  # the digit is the version of the normaliser that made the phrase
KEYWORD_ID_BYTES = 15  # of the digest: 24 base32 digits without padding


def keyword_id(market: Market | None, normalized: str) -> str:
    """The id of a keyword: `k1` and 24 base32 digits of BLAKE2b over the market and the normalized phrase.

    The hashed bytes are the market as text (empty for none), a line feed, and the phrase in UTF-8; neither can contain
    a line feed. The same phrase in the same market has the same id in analyze, import and export.
    """
    digest = hashlib.blake2b(f"{market or ''}\n{normalized}".encode(), digest_size=KEYWORD_ID_BYTES).digest()
    return KEYWORD_ID_PREFIX + base32(digest)


def base32(raw: bytes) -> str:
    """RFC 4648 base32 in lower case."""
    return base64.b32encode(raw).decode("ascii").lower()


@dataclass(frozen=True, slots=True)
class Observation:
    """What one source said of one phrase for one period: one row of an export, every column of it.

    Whatever the source left out is None, never zero.
    """

    keyword: str  # as the file has it
    line: int | None = None  # 1-based line (text) or row (sheet) it came from
    source: str | None = None  # the tool, as `search_console`
    market: str | None = None  # as Market's text
    volume: int | None = None  # searches a month
    volume_min: int | None = None  # where the source gives a range
    volume_max: int | None = None
    cpc: float | None = None  # in `currency`
    currency: str | None = None  # ISO 4217
    competition: float | None = None  # between advertisers, 0-1; never SEO difficulty
    competition_level: str | None = None  # low | medium | high, where that is what the source says
    difficulty: float | None = None  # SEO difficulty as the source says, 0-100
    results: int | None = None  # pages a search engine claims to have
    clicks: int | None = None
    impressions: int | None = None
    ctr: float | None = None  # a fraction, 0.125 for 12.5 %
    position: float | None = None  # 1 is the top
    url: str | None = None
    cost: float | None = None  # in `currency`
    conversions: float | None = None
    match_type: str | None = None
    serp_features: Sequence[str] | None = None
    parent_keyword: str | None = None
    monthly_searches: Mapping[str, int | None] | None = None  # "2025-10" to searches
    vendor_intent: Sequence[str] | None = None  # the source's own labels
    period_start: date | None = None
    period_end: date | None = None  # inclusive
    period_granularity: Granularity | None = None
    period_from: str | None = None  # where the period is known from: file | name | argument
    extra: Mapping[str, str] = field(default_factory=dict)  # every other column, verbatim
