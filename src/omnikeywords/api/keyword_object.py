"""The keyword object as JSON has it, what an import said of a keyword, and the filters that choose among keywords."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from omnikeywords.api.problems import Problem
from omnikeywords.api.schemas import KeywordResult, MarketTexts, ProjectName
from omnikeywords.catalog.listing import CHOICES, FILTERS

__all__ = ["KeywordFilters", "KeywordObject", "Observed", "field_names", "filters_of", "shown_object"]

_Several = Meta(description="One, or several with | between them.")
_Texts = Annotated[str | None, _Several]
_Number = float | None


def _chosen(name: str) -> Meta:
    words = "|".join(CHOICES[name])
    said = f"{', '.join(CHOICES[name])}; several with | between."
    return Meta(pattern=rf"^({words})(\|({words}))*$", description=said)


class KeywordFilters(Struct, frozen=True, forbid_unknown_fields=True):
    """Which keywords: those that all of these let through."""

    project: ProjectName | None = None
    q: Annotated[str, Meta(max_length=700, description="Part of the keyword, however it is spelt in case.")] = ""
    market: MarketTexts | None = None
    language: _Texts = None
    intent: Annotated[str, _chosen("intent")] | None = None
    funnel: Annotated[str, _chosen("funnel")] | None = None
    question: Annotated[str, _chosen("question")] | None = None
    modifier: Annotated[str | None, Meta(description="A type of modifier, as `price`.")] = None
    tag: str | None = None
    source: _Texts = None
    import_: Annotated[str | None, Meta(description="Ids of imports that speak of them, with | between.")] = field(
        default=None, name="import"
    )
    words: Annotated[int, Meta(ge=1, le=9999)] | None = None
    year: Annotated[int, Meta(ge=1, le=9999)] | None = None
    local: bool | None = None
    branded: bool | None = None
    min_volume: _Number = None
    max_volume: _Number = None
    min_difficulty: _Number = None
    max_difficulty: _Number = None
    min_opportunity: _Number = None
    max_opportunity: _Number = None
    min_position: _Number = None
    max_position: _Number = None
    min_clicks: _Number = None
    max_clicks: _Number = None
    min_impressions: _Number = None
    max_impressions: _Number = None


def filters_of(given: Mapping[str, str]) -> dict[str, str]:
    """Those of the parameters that are filters, as they were given."""
    return {name: value for name, value in given.items() if name in FILTERS}


class Corrected(Struct, frozen=True):
    """What a person said that it is, in place of what we think; null where nobody did."""

    intent: str | None
    funnel: str | None
    language: str | None
    near_duplicate_of: Annotated[str | None, Meta(description="Empty: it stands alone.")]


class KeywordObject(KeywordResult, frozen=True, kw_only=True):
    """A keyword of a project: the analysis, and beside it what its sources observed. Missing is null, never 0."""

    tags: list[str]
    corrected: Corrected
    source: str | None
    volume: Annotated[int | None, Meta(description="Searches a month.")]
    volume_min: int | None
    volume_max: int | None
    cpc: Annotated[float | None, Meta(description="In `currency`.")]
    currency: str | None
    competition: Annotated[float | None, Meta(description="Between advertisers, 0 to 1; never SEO difficulty.")]
    competition_level: str | None
    vendor_difficulty: Annotated[float | None, Meta(description="As the source says.")]
    vendor_intent: list[str] | None
    results: int | None
    clicks: int | None
    impressions: int | None
    ctr: Annotated[float | None, Meta(description="A fraction.")]
    position: Annotated[float | None, Meta(description="1 is the top.")]
    url: str | None
    cost: float | None
    conversions: float | None
    match_type: str | None
    serp_features: list[str] | None
    parent_keyword: str | None
    monthly_searches: dict[str, int | None] | None
    period_start: date | None
    period_end: date | None
    period_granularity: str | None
    period_from: str | None
    extra: Annotated[dict[str, str] | None, Meta(description="Every other column of its sources, verbatim.")]
    created_at: datetime
    updated_at: datetime


class Observed(Struct, frozen=True):
    """What one row of one import said of a keyword; fields as of a keyword object."""

    import_id: str
    row: Annotated[int, Meta(description="Of the import, from 0.")]
    recorded_at: datetime
    keyword: str
    line: int | None
    market: str | None
    source: str | None
    volume: int | None
    volume_min: int | None
    volume_max: int | None
    cpc: float | None
    currency: str | None
    competition: float | None
    competition_level: str | None
    difficulty: Annotated[float | None, Meta(description="As the source says.")]
    vendor_intent: list[str] | None
    results: int | None
    clicks: int | None
    impressions: int | None
    ctr: float | None
    position: float | None
    url: str | None
    cost: float | None
    conversions: float | None
    match_type: str | None
    serp_features: list[str] | None
    parent_keyword: str | None
    monthly_searches: dict[str, int | None] | None
    period_start: date | None
    period_end: date | None
    period_granularity: str | None
    period_from: str | None
    extra: dict[str, str] | None


def field_names(given: str) -> tuple[str, ...]:
    """The fields of a keyword object that are asked for, with commas between them.

    Raises Problem for one that there is not.
    """
    known = KeywordObject.__struct_fields__
    names = tuple(dict.fromkeys(name.strip() for name in given.split(",")))
    for name in names:
        if name not in known:
            raise Problem(
                "invalid_request", f"fields: {name!r} is no field: known are {', '.join(known)}", {"field": "fields"}
            )
    return names


def shown_object(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the catalogue as JSON has it."""
    row["monthly_searches"] = _months(row["monthly_searches"])
    row["extra"] = None if row["extra"] is None else msgspec.Raw(row["extra"].encode())
    return row


def _months(months: list[dict[str, Any]] | None) -> dict[str, int | None] | None:
    return None if months is None else {month["month"]: month["searches"] for month in months}
