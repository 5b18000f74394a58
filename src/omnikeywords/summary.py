"""What results come to: the counts and the few keywords that a person wants to see first.

Numbers only; how they look is for who shows them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from omnikeywords.bulk import Results
from omnikeywords.model import FUNNELS, INTENTS, LENGTHS

__all__ = ["Group", "Opportunity", "Summary", "summarise"]


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A keyword worth working on, and why."""

    keyword: str
    score: float
    intent: str
    volume: int | None
    impressions: int | None
    position: float | None
    difficulty: float | None
    why: Sequence[str]  # what counts most for it, as its parts say, the strongest first


@dataclass(frozen=True, slots=True)
class Group:
    """Near-duplicates."""

    head: str
    members: Sequence[str]  # some of them
    size: int  # with the head


@dataclass(frozen=True, slots=True)
class Summary:
    """The sums over all keywords that could be analysed."""

    keywords: int
    languages: Mapping[str, int]  # most first; "und" where it cannot be told
    intents: Mapping[str, int]  # in the order of INTENTS
    funnel: Mapping[str, int]  # empty in basic analyses, as all below but questions
    lengths: Mapping[str, int]
    questions: Mapping[str, int]  # by question word, most first
    branded: int
    local: int
    opportunities: Sequence[Opportunity]  # best first
    groups: Sequence[Group]  # largest first
    example: str | None  # a keyword to try things with


_BASIC = ("keyword", "normalized", "language", "intent", "question", "length", "error")
_MORE = ("funnel", "branded", "local", "difficulty", "opportunity", "near_duplicate_of")
_COUNTS = 0.1  # the share of a score from which on a part is a reason for it
_OBSERVED = ("volume", "impressions", "position")


def summarise(results: Results, top: int = 10, groups: int = 3) -> Summary:
    """Sum up results: the `top` best opportunities (heads of near-duplicates only) and the largest
    `groups`."""
    full = results.options.kind == "comprehensive"
    frame = pl.concat(list(results.frames([*_BASIC, *(_MORE if full else ()), *_OBSERVED])))
    frame = frame.filter(pl.col("error").is_null())
    best = _opportunities(frame, top) if full else []
    return Summary(
        keywords=frame.height,
        languages=_counts(frame["language"].fill_null("und")),
        intents=_ordered(frame["intent"], INTENTS),
        funnel=_ordered(frame["funnel"], FUNNELS) if full else {},
        lengths=_ordered(frame["length"], LENGTHS),
        questions=_counts(frame["question"].drop_nulls()),
        branded=int(frame["branded"].sum()) if full else 0,
        local=int(frame["local"].sum()) if full else 0,
        opportunities=best,
        groups=_groups(frame, groups) if full and results.members else (),
        example=best[0].keyword if best else frame["keyword"][0] if frame.height else None,
    )


def _counts(values: pl.Series) -> dict[str, int]:
    counts = values.value_counts().sort(["count", values.name], descending=[True, False])
    return dict(counts.iter_rows())


def _ordered(values: pl.Series, order: Sequence[str]) -> dict[str, int]:
    counts = _counts(values.drop_nulls())
    return {str(name): counts.get(name, 0) for name in order}


def _opportunities(frame: pl.DataFrame, top: int) -> list[Opportunity]:
    best = (
        frame.filter(pl.col("near_duplicate_of").is_null(), pl.col("opportunity").struct.field("score").is_not_null())
        .with_columns(pl.col("opportunity").struct.field("score").alias("score"))
        .sort(["score", "keyword"], descending=[True, False])
        .head(top)
    )
    return [
        Opportunity(
            row["keyword"],
            row["score"],
            row["intent"],
            row["volume"],
            row["impressions"],
            row["position"],
            row["difficulty"]["score"] if row["difficulty"] else None,
            _why(row["opportunity"]["parts"]),
        )
        for row in best.iter_rows(named=True)
    ]


def _why(parts: Mapping[str, float | None]) -> list[str]:
    points = sorted(((value, name) for name, value in parts.items() if value), reverse=True)
    least = _COUNTS * sum(value for value, _ in points)
    return [name for value, name in points if value >= least]


def _groups(frame: pl.DataFrame, most: int) -> list[Group]:
    """The largest groups; the alphabet decides between equals."""
    members = frame.filter(pl.col("near_duplicate_of").is_not_null())
    largest = (
        members.group_by("near_duplicate_of")
        .agg(pl.len().alias("size"), pl.col("keyword").unique().sort().head(4))
        .sort(["size", "near_duplicate_of"], descending=[True, False])
        .head(most)
    )
    return [Group(head, keywords, size + 1) for head, size, keywords in largest.iter_rows()]
