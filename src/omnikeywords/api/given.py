"""Keywords that are imported without a file: what a body of JSON may say of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from omnikeywords.api.problems import Problem
from omnikeywords.api.schemas import MarketText, ProjectName
from omnikeywords.formats import Period

__all__ = ["GivenObservation", "KeywordList", "observed"]

_MOST = 100_000  # keywords of one call, each of which becomes a line of a file in memory
_SOURCE = "plain"  # of a list without a tool, as of a file that is one

_Text = Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00]*$")]
_Word = Annotated[str, Meta(max_length=100, pattern=r"^[^\x00]*$")]
_Count = Annotated[int, Meta(ge=0, le=10**15)]
_Amount = Annotated[float, Meta(ge=0, le=1e15)]


class GivenObservation(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A keyword and what is known of it; what is left out or null is not known."""

    keyword: str
    source: Annotated[_Word | None, Meta(description="Whose numbers these are; left out: `plain`.")] = None
    market: MarketText | None = None
    volume: Annotated[_Count | None, Meta(description="Searches a month.")] = None
    volume_min: _Count | None = None
    volume_max: _Count | None = None
    cpc: Annotated[_Amount | None, Meta(description="In `currency`.")] = None
    currency: Annotated[Annotated[str, Meta(pattern=r"^[A-Z]{3}$")] | None, Meta(description="ISO 4217.")] = None
    competition: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="Between advertisers; no SEO difficulty.")
    ] = None
    competition_level: _Word | None = None
    difficulty: Annotated[
        Annotated[float, Meta(ge=0, le=100)] | None, Meta(description="SEO difficulty as its source says.")
    ] = None
    results: Annotated[_Count | None, Meta(description="Pages that a search engine claims to have.")] = None
    clicks: _Count | None = None
    impressions: _Count | None = None
    ctr: Annotated[Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="A fraction.")] = None
    position: Annotated[_Amount | None, Meta(description="1 is the top.")] = None
    url: _Text | None = None
    cost: Annotated[_Amount | None, Meta(description="In `currency`.")] = None
    conversions: _Amount | None = None
    match_type: _Word | None = None
    serp_features: Annotated[list[_Word], Meta(max_length=100)] | None = None
    parent_keyword: _Text | None = None
    monthly_searches: Annotated[
        Annotated[
            dict[Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")], _Count | None], Meta(max_length=600)
        ]
        | None,
        Meta(description="By month.", examples=[{"2026-05": 1300}]),
    ] = None
    vendor_intent: Annotated[list[_Word], Meta(max_length=100)] | None = None
    period_start: Annotated[date | None, Meta(description="With `period_end`; left out: the body's `date`.")] = None
    period_end: Annotated[date | None, Meta(description="Inclusive.")] = None
    extra: Annotated[
        Annotated[dict[_Word, _Text], Meta(max_length=100)] | None, Meta(description="What else is to be kept.")
    ] = None


class KeywordList(Struct, frozen=True, forbid_unknown_fields=True):
    """Keywords to import; the query may say the rest too, and goes before what is said here."""

    keywords: Annotated[
        list[str | GivenObservation],
        Meta(min_length=1, max_length=_MOST, description="Phrases, or what is known of them."),
    ]
    project: Annotated[
        ProjectName | None,
        Meta(description="It is made if it is not there. Left out: the key's only one, else `default`."),
    ] = None
    name: Annotated[
        Annotated[str, Meta(max_length=255, pattern=r"^[^\x00]*$")] | None, Meta(description="For people.")
    ] = None
    market: Annotated[MarketText | None, Meta(description="Of keywords that name none.")] = None
    date: Annotated[
        str | None,
        Meta(description="What they speak of: a day, month or `2026-05-01..2026-05-28`.", examples=["2026-05"]),
    ] = None
    again: Annotated[bool, Meta(description="Import what was imported before once more, as a new observation.")] = False


def observed(keywords: Sequence[str | GivenObservation], days: tuple[date, date] | None) -> Iterator[Mapping[str, Any]]:
    """What is said of each keyword, by the names of Observation's fields; `days` where it names none of its own.

    Raises Problem for a period that is half said or ends before it begins.
    """
    usual = _period(*days, "argument") if days else {}
    for number, given in enumerate(keywords):
        if isinstance(given, str):
            yield {"keyword": given, "source": _SOURCE, **usual}
            continue
        own = usual
        if given.period_start is not None or given.period_end is not None:
            if given.period_start is None or given.period_end is None or given.period_start > given.period_end:
                raise Problem(
                    "invalid_request",
                    f"keywords[{number}].period_start: give period_start and period_end, in this order, or neither",
                    {"field": f"keywords[{number}].period_start"},
                )
            own = _period(given.period_start, given.period_end, "file")
        said = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not None}
        yield {"source": _SOURCE, **said, **own}


def _period(start: date, end: date, known_from: str) -> dict[str, Any]:
    period = Period.of(start, end, known_from)
    return {
        "period_start": start,
        "period_end": end,
        "period_granularity": period.granularity,
        "period_from": known_from,
    }
