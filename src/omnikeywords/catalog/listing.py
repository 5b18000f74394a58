"""Reading keywords: lists by filter and order, one keyword, its history, two imports compared, all for an export.

Lists page by a cursor that holds the last row's place in the order, so that rows that come or go meanwhile are neither
skipped nor shown twice. What a keyword object holds beyond the table is made from the row, by the same analysis.
"""

import base64
import binascii
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import ColumnElement, Connection, and_, false, func, or_, select

from omnikeywords.analysis import Options
from omnikeywords.analysis.lexicon import QUESTIONS
from omnikeywords.analysis.normalise import normalise, normalise_batch
from omnikeywords.catalog import gone, imports
from omnikeywords.catalog.derive import OBSERVED_REST, STORED_SCHEMA, analysed, unstored
from omnikeywords.catalog.keywords import Scope, at_places, places_of
from omnikeywords.catalog.marks import CORRECTED
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.tables import keyword_listed, keywords, observations
from omnikeywords.db import Database
from omnikeywords.errors import InvalidOption, NotFound
from omnikeywords.model import Funnel, Intent, Market

__all__ = [
    "CHOICES",
    "FILTERS",
    "ORDERS",
    "Compared",
    "Filters",
    "Group",
    "Page",
    "choices_of",
    "compare",
    "count",
    "count_groups",
    "export",
    "find",
    "find_many",
    "groups",
    "history",
    "named",
    "page",
    "phrase_of",
]

FILTERS = (
    *("market", "language", "intent", "funnel", "question", "modifier", "tag", "source", "import", "words", "local"),
    *("branded", "year", "min_volume", "max_volume", "min_difficulty", "max_difficulty", "min_opportunity"),
    *("max_opportunity", "min_position", "max_position", "min_clicks", "max_clicks", "min_impressions"),
    "max_impressions",
)
# What some filters may be; `any` of question: all of them.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "intent": tuple(Intent),
    "funnel": tuple(Funnel),
    "question": (*QUESTIONS, "any"),
}
# Each order, and whether the largest come first.
ORDERS: Mapping[str, tuple[str, bool]] = {
    "id": ("id", False),
    "keyword": ("normalized", False),
    "volume": ("volume", True),
    "difficulty": ("difficulty", False),
    "opportunity": ("opportunity", True),
    "position": ("position", False),
    "clicks": ("clicks", True),
    "impressions": ("impressions", True),
    "popularity": ("popularity", True),
}
NO_MARKET = "none"  # in filters: keywords that have none
MOST_COUNTED = 10_000  # keywords that a list counts one by one
_EXPORTED = 10_000  # keywords read at a time


@dataclass(frozen=True, slots=True)
class Filters:
    """Which keywords: all that every one of these lets through."""

    q: str = ""  # part of the normalized keyword
    given: Mapping[str, str] = field(default_factory=dict)  # by name of FILTERS

    def where(self, project: str) -> ColumnElement[bool]:
        """The condition in SQL.

        Raises InvalidOption for an unknown filter or a value that it cannot have.
        """
        of_project = _of_project(project)
        parts: list[ColumnElement[bool]] = [of_project, keyword_listed]
        if self.q.strip():
            part = normalise_batch([self.q])[0][0]
            # What people paste may hold nothing that a keyword could.
            parts.append(keywords.c.normalized.contains(part, autoescape=True) if part else false())
        for name, value in self.given.items():
            parts.append(_condition(name, value))
        return and_(*parts)


def _condition(name: str, value: str) -> ColumnElement[bool]:
    if name not in FILTERS:
        raise InvalidOption(f"filter {name!r} is unknown: use {', '.join(FILTERS)}", filter=name)
    for prefix in ("min_", "max_"):
        if name.startswith(prefix):
            column = keywords.c[name.removeprefix(prefix)]
            number = _number(name, value)
            return column >= number if prefix == "min_" else column <= number
    if name in CHOICES:
        chosen = choices_of(name, value)
        return keywords.c[name].is_not(None) if "any" in chosen else keywords.c[name].in_(chosen)
    match name:
        case "words" | "year":
            if not re.fullmatch(r"[0-9]{1,4}", value):
                raise InvalidOption(f"filter {name} is {value!r}: give a whole number below 10000", filter=name)
            return keywords.c[name] == int(value)
        case "local" | "branded":
            if value not in ("true", "false"):
                raise InvalidOption(f"filter {name} is {value!r}: use true or false", filter=name)
            wanted: ColumnElement[bool] = keywords.c[name].is_(value == "true")
            return wanted
        case "modifier":
            return keywords.c.modifiers.contains(f" {value} ", autoescape=True)
        case "tag":
            return keywords.c.tags.contains(msgspec.json.encode(value).decode(), autoescape=True)
        case "source":
            listed = "|" + keywords.c.source + "|"
            return or_(*(listed.contains(f"|{one}|", autoescape=True) for one in choices_of(name, value)))
        case "import":
            return or_(*(keywords.c.rows.contains(f"{one}/", autoescape=True) for one in value.split("|")))
        case "market":
            return or_(*(_in_market(one) for one in choices_of(name, value)))
        case _:
            return keywords.c[name].in_(choices_of(name, value))


def _in_market(market: str) -> ColumnElement[bool]:
    return keywords.c.market.is_(None) if market == NO_MARKET else keywords.c.market == market


def choices_of(name: str, value: str) -> list[str]:
    """What a filter lets through, of the values with | between them, as keywords have it: `PT_br` is pt-BR; NO_MARKET
    stays.

    Raises InvalidOption for what the filter cannot be, InvalidMarket.
    """
    chosen = list(dict.fromkeys(value.split("|")))
    known = CHOICES.get(name)
    if known is not None and (unknown := [one for one in chosen if one not in known]):
        said = f"filter {name} is {unknown[0]!r}: use {', '.join(known)}, with | between several"
        raise InvalidOption(said, filter=name)
    if name == "market":
        return [one if one == NO_MARKET else str(Market.parse(one)) for one in chosen]
    return [one.lower() for one in chosen] if name == "language" else chosen


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidOption(f"filter {name} is {value!r}: give a number", filter=name)
    return number


@dataclass(frozen=True, slots=True)
class Page:
    """Some keywords of a list."""

    keywords: list[dict[str, Any]]  # keyword objects
    total: int  # at least so many in all; all of them where it is below MOST_COUNTED
    next_cursor: str | None  # of the page behind it
    notes: tuple[str, ...] = ()  # why there is nothing, where that may not be meant


def page(
    database: Database,
    project: str,
    options: Options,
    filters: Filters,
    *,
    order: str = "id",
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """One page of the keywords of a project.

    Raises InvalidOption for an unknown order or filter, and for a cursor of another list.
    """
    column, largest_first = _order(order)
    where = filters.where(project)
    statement = select(keywords).where(where)
    if cursor is not None:
        statement = statement.where(_behind(column, largest_first, *_read_cursor(cursor, order)))
    value = keywords.c[column]
    ordered = (value.desc() if largest_first else value.asc()).nulls_last()
    statement = statement.order_by(*([] if column == "id" else [ordered]), keywords.c.id).limit(limit + 1)
    counted = select(func.count()).select_from(select(keywords.c.id).where(where).limit(MOST_COUNTED).subquery())
    with database.read(project) as connection:
        rows = [dict(row._mapping) for row in connection.execute(statement)]
        total = connection.execute(counted).scalar_one()
        notes = () if total else _unknown_sources(connection, project, filters)
    more = len(rows) > limit
    rows = rows[:limit]
    following = _cursor(order, rows[-1][column], rows[-1]["id"]) if more and rows else None
    return Page(_objects(rows, options).to_dicts(), total, following, notes)


def _unknown_sources(connection: Connection, project: str, filters: Filters) -> tuple[str, ...]:
    """A note for each source asked for that no keyword of the project has: anything may be a source, a slip too."""
    asked = filters.given.get("source")
    names = [] if asked is None else choices_of("source", asked)
    of_source = {name: Filters(given={"source": name}).where(project) for name in names}
    return tuple(
        no_such_source(name, project)
        for name, where in of_source.items()
        if connection.execute(select(keywords.c.id).where(where).limit(1)).first() is None
    )


def no_such_source(name: str, project: str) -> str:
    """What is said of a source that no keyword has."""
    return f"no keyword of project {project!r} is from source {name!r}"


def count(database: Database, project: str) -> int:
    """How many keywords a project has."""
    which = _of_project(project)
    with database.read(project) as connection:
        return connection.execute(select(func.count()).select_from(keywords).where(which)).scalar_one()


def find(database: Database, project: str, options: Options, keyword_id: str) -> dict[str, Any]:
    """One keyword object.

    Raises NotFound.
    """
    found = find_many(database, project, options, [keyword_id])
    if not found:
        raise NotFound(f"keyword {keyword_id!r} does not exist in project {project!r}", id=keyword_id)
    return found[0]


def find_many(database: Database, project: str, options: Options, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The keyword objects of those ids that there are, in the order of the ids."""
    of_project = _of_project(project)
    with database.read(project) as connection:
        found = connection.execute(select(keywords).where(of_project, keywords.c.id.in_(ids)))
        rows = {row.id: dict(row._mapping) for row in found}
    there = [rows[keyword_id] for keyword_id in dict.fromkeys(ids) if keyword_id in rows]
    return _objects(there, options).to_dicts() if there else []


def named(database: Database, project: str, text: str, market: str | None = None) -> str:
    """The id of the keyword that a person means: its id, or the phrase as they write it, in a market or in NO_MARKET.

    Raises NotFound, InvalidKeyword, InvalidMarket, and InvalidOption where the phrase is a keyword in several markets.
    """
    with database.read(project) as connection:
        if connection.execute(select(keywords.c.id).where(_which(project, text))).scalar() is not None:
            return text
        which = and_(_of_project(project), keywords.c.normalized == normalise(text), keyword_listed)
        if market is not None:
            which = and_(which, _condition("market", market))
        found = connection.execute(select(keywords.c.id, keywords.c.market).where(which)).all()
    if not found:
        where = "" if market is None else " without a market" if market == NO_MARKET else f" in market {market}"
        raise NotFound(f"keyword {text!r} does not exist in project {project!r}{where}", keyword=text)
    if len(found) > 1:
        markets = sorted(row.market or NO_MARKET for row in found)
        raise InvalidOption(
            f"keyword {text!r} is in several markets, {', '.join(markets)}: say which, or give its id", keyword=text
        )
    keyword_id: str = found[0].id
    return keyword_id


def phrase_of(database: Database, project: str, text: str) -> str:
    """The normalized keyword that a person names by its phrase.

    Raises NotFound, InvalidKeyword.
    """
    phrase = normalise(text)
    which = _of_project(project)
    with database.read(project) as connection:
        found = connection.execute(
            select(keywords.c.id).where(which, keywords.c.normalized == phrase, keyword_listed).limit(1)
        ).scalar()
    if found is None:
        raise NotFound(f"keyword {text!r} does not exist in project {project!r}", keyword=text)
    return phrase


def history(database: Database, project: str, keyword_id: str) -> list[dict[str, Any]]:
    """Everything that any import said of a keyword, by period and then by import.

    Raises NotFound.
    """
    with database.read(project) as connection:
        places = connection.execute(select(keywords.c.rows).where(_which(project, keyword_id))).scalar()
        if places is None:
            raise NotFound(f"keyword {keyword_id!r} does not exist in project {project!r}", id=keyword_id)
        found = connection.execute(
            at_places(connection, observations.columns.keys()),
            places_of(connection, Scope(bucket_of(project), project), [places]),
        ).all()
        withdrawn = imports.withdrawn(connection, project, list({row.import_id for row in found}))
    found = [row for row in found if row.import_id not in withdrawn]
    order = ("period_end", "period_start", "recorded_at", "row")
    rows = _frame([dict(row._mapping) for row in found], STORED_SCHEMA)
    frame = unstored(rows).sort(order, nulls_last=True)
    dropped = [name for name in ("bucket", "project", "id", "split_by", "part") if name in frame]
    return frame.drop(dropped).with_columns(frame["recorded_at"].dt.replace_time_zone("UTC")).to_dicts()


@dataclass(frozen=True, slots=True)
class Group:
    """A keyword and its near-duplicates."""

    head: str  # normalized: the one that people use most
    members: list[dict[str, Any]]  # id, keyword, market, volume, impressions, reason; the head first, without a reason


def groups(database: Database, project: str, *, limit: int = 50, after: str = "") -> list[Group]:
    """Groups of near-duplicates by their heads, those behind the head `after`."""
    c = keywords.c
    of_project = _of_project(project)
    heads = select(c.near_duplicate_of).where(of_project, c.near_duplicate_of > after).distinct()
    head = func.coalesce(c.near_duplicate_of, c.normalized).label("head")
    columns = [head, c.id, c.normalized.label("keyword"), c.market, c.volume, c.impressions]
    with database.read(project) as connection:
        named = connection.execute(heads.order_by(c.near_duplicate_of).limit(limit)).scalars().all()
        among = or_(c.near_duplicate_of.in_(named), and_(c.near_duplicate_of.is_(None), c.normalized.in_(named)))
        found = connection.execute(
            select(*columns, c.near_duplicate_reason.label("reason"))
            .where(of_project, among)
            .order_by(c.near_duplicate_reason.is_not(None), c.normalized, c.id)
        )
        members: dict[str, list[dict[str, Any]]] = {name: [] for name in named}
        for row in found:
            members[row.head].append({name: value for name, value in row._mapping.items() if name != "head"})
    return [Group(name, members[name]) for name in named]


def count_groups(database: Database, project: str) -> int:
    """How many groups of near-duplicates a project has."""
    of_project = _of_project(project)
    with database.read(project) as connection:
        found: int = connection.execute(
            select(func.count(keywords.c.near_duplicate_of.distinct())).where(of_project)
        ).scalar_one()
    return found


@dataclass(frozen=True, slots=True)
class Compared:
    """What changed from one import to another; each list is bounded, the counts are not."""

    new: int
    lost: int
    moved: int
    rows: list[dict[str, Any]]  # id, keyword, change, and position, clicks, impressions, volume of both


def compare(database: Database, project: str, before: str, after: str, limit: int = 1000) -> Compared:
    """What is new, lost or moved in import `after` against import `before`; the largest moves first."""
    one, other = (_of_import(database, project, import_id) for import_id in (before, after))
    both = one.join(other, on="id", how="full", coalesce=True, suffix="_after")
    change = (
        pl.when(pl.col("there").is_null())
        .then(pl.lit("new"))
        .when(pl.col("there_after").is_null())
        .then(pl.lit("lost"))
        .when(pl.col("position") != pl.col("position_after"))
        .then(pl.lit("moved"))
    )
    both = both.with_columns(change.alias("change")).filter(pl.col("change").is_not_null())
    counts = dict(both.group_by("change").len().iter_rows())
    far = (pl.col("position") - pl.col("position_after")).abs().fill_null(0)
    asked = pl.max_horizontal("impressions", "impressions_after", "volume", "volume_after").fill_null(0)
    rows = both.sort(far, asked, "id", descending=[True, True, False]).head(limit)
    with database.read(project) as connection:
        named = {
            row.id: row.normalized
            for row in connection.execute(
                select(keywords.c.id, keywords.c.normalized).where(
                    _of_project(project), keywords.c.id.in_(rows["id"].to_list())
                )
            )
        }
    listed = [{**row, "keyword": named.get(row["id"])} for row in rows.drop("there", "there_after").to_dicts()]
    return Compared(counts.get("new", 0), counts.get("lost", 0), counts.get("moved", 0), listed)


def export(database: Database, project: str, options: Options, filters: Filters) -> Iterator[pl.DataFrame]:
    """All keywords that the filters let through, as frames of keyword objects, by id."""
    where = filters.where(project)
    after = ""
    while True:
        statement = select(keywords).where(where, keywords.c.id > after).order_by(keywords.c.id).limit(_EXPORTED)
        with database.read(project) as connection:
            rows = [dict(row._mapping) for row in connection.execute(statement)]
        if not rows and after:
            return
        yield _objects(rows, options)
        if len(rows) < _EXPORTED:
            return
        after = rows[-1]["id"]


# ---- what a row says


def _objects(rows: Sequence[Mapping[str, Any]], options: Options) -> pl.DataFrame:
    """Rows of the table as keyword objects: what is derived, then what was observed."""
    table = _frame(rows, {})
    observed = table["observed"].fill_null("{}").str.json_decode(pl.Struct(OBSERVED_REST)).struct.unnest()
    there = table.select("keyword", "market", *_OBSERVED)
    chunk = pl.concat([there, observed.rename({"vendor_difficulty": "difficulty"})], how="horizontal")
    derived = analysed(chunk.select(n for n in chunk.columns if n == "keyword" or chunk[n].count()), options)
    # What people said stands in the columns of the table.
    return derived.with_columns(
        *(table[name] for name in ("intent", "language", "funnel", "near_duplicate_of", "near_duplicate_reason")),
        table["tags"].fill_null("[]").str.json_decode(pl.List(pl.String)),
        table["corrected"].fill_null("{}").str.json_decode(pl.Struct(dict.fromkeys(CORRECTED, pl.String()))),
        *(table[name] for name in _OBSERVED),
        *observed.get_columns(),
        table["created_at"].dt.replace_time_zone("UTC"),
        table["updated_at"].dt.replace_time_zone("UTC"),
    )


_OBSERVED = ("source", "volume", "cpc", "competition", "clicks", "impressions", "position")


def _frame(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Rows of a table with its types, however few they are."""
    time = pl.Datetime("us")
    by_type: dict[str, pl.DataType] = {
        "BIGINT": pl.Int64(),
        "INTEGER": pl.Int32(),
        "SMALLINT": pl.Int16(),
        "FLOAT": pl.Float64(),
        "BOOLEAN": pl.Boolean(),
        "DATE": pl.Date(),
        "DATETIME": time,
    }
    table = observations if kinds else keywords
    schema = {c.name: kinds.get(c.name, by_type.get(str(c.type).split("(")[0], pl.String())) for c in table.columns}
    timed = [name for name, kind in schema.items() if kind == time]
    cleaned = [{**row, **{name: row[name].replace(tzinfo=None) for name in timed}} for row in rows]
    return pl.DataFrame(cleaned, schema=schema)


def _which(project: str, keyword_id: str) -> ColumnElement[bool]:
    return and_(_of_project(project), keywords.c.id == keyword_id)


def _of_project(project: str) -> ColumnElement[bool]:
    """Keywords of a project, none of one that was deleted."""
    bucket = bucket_of(project)
    return and_(keywords.c.bucket == bucket, keywords.c.project == project, gone.shown(bucket, project))


def _of_import(database: Database, project: str, import_id: str) -> pl.DataFrame:
    """What an import says of each keyword: its best position, and the sums of what its rows add up to."""
    o = observations.c
    numbers = [func.min(o.position), func.sum(o.clicks), func.sum(o.impressions), func.max(o.volume)]
    names = ("position", "clicks", "impressions", "volume")
    which = and_(o.bucket == bucket_of(project), o.project == project, o.import_id == import_id)
    counts = gone.shown(bucket_of(project), project)
    with database.read(project) as connection:
        if import_id in imports.withdrawn(connection, project, [import_id]):
            counts = false()
        found = connection.execute(select(o.id, *numbers).where(which, counts).group_by(o.id)).all()
    schema = {"id": pl.String(), "position": pl.Float64(), **dict.fromkeys(names[1:], pl.Int64())}
    frame = pl.DataFrame([tuple(row) for row in found], schema=schema, orient="row")
    return frame.with_columns(pl.lit(True).alias("there"))


# ---- orders and cursors


def _order(name: str) -> tuple[str, bool]:
    if name not in ORDERS:
        raise InvalidOption(f"order {name!r} is unknown: use {', '.join(ORDERS)}", sort=name)
    return ORDERS[name]


def _cursor(order: str, value: Any, keyword_id: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([order, value, keyword_id])).decode().rstrip("=")


def _read_cursor(cursor: str, order: str) -> tuple[Any, str]:
    try:
        found, value, keyword_id = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, msgspec.DecodeError, TypeError):
        found, value, keyword_id = None, None, ""
    kind = str if ORDERS[order][0] in ("id", "normalized") else (int, float, type(None))
    if found != order or not isinstance(keyword_id, str) or not isinstance(value, kind) or _is_odd(value, keyword_id):
        raise InvalidOption("the cursor is of another list: begin again without it", cursor=cursor)
    return value, keyword_id


def _is_odd(value: Any, keyword_id: str) -> bool:
    """Whether these can be of no row, so that a database might refuse to compare with them."""
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return not -(2**63) <= value < 2**63 or "\0" in keyword_id
    return "\0" in f"{value}{keyword_id}"


def _behind(column: str, largest_first: bool, value: Any, keyword_id: str) -> ColumnElement[bool]:
    """What comes after a row in an order in which missing values are last."""
    c = keywords.c[column]
    if column == "id":
        return keywords.c.id > keyword_id
    if value is None:
        return and_(c.is_(None), keywords.c.id > keyword_id)
    further = c < value if largest_first else c > value
    return or_(further, and_(c == value, keywords.c.id > keyword_id), c.is_(None))
