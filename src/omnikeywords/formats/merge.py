"""Rows of one keyword become one row: the merge rule.

Exports repeat a keyword: a row for each ranking page, match type, ad group or device, the same file twice,
two tools, two months. `merge_rows` makes one row of each keyword by a rule that looks at what the rows say
and never at the order in which they came:

1. **The latest period wins.** Rows with a later period end come first; rows whose period nobody knows come
   last. Among equals the largest volume leads, then the best position, then the most impressions and clicks.
2. **What a tool knows of the keyword** (volume with its range, cpc, competition, difficulty, results, serp
   features, parent keyword, intents, every other column) is taken from the first row that says it. Volumes
   are never added up; an exact volume goes before a range of the same period. Of monthly searches every month
   is kept, each from the first row that has it.
3. **What a site got for it** (clicks, impressions, cost, conversions) is added up over the *parts* of one
   report: rows of one source, period and currency that are told apart by their page, match type, campaign, ad
   group, device, country, network or date. A part that occurs twice counts once, as its largest row, so a
   file given twice changes nothing. Sources, periods and differently split reports are not added to each
   other: the latest of them is taken, then the one with the most impressions. Where parts were added, ctr is
   their clicks over their impressions. A search that showed two pages of the site is one impression of each,
   as in the reports themselves.
4. **position** is the best of the latest period that has one, and `url` the page that holds it.
5. `source` and `match_type` name all that took part, joined with `|`. cpc and cost share one currency: a cost
   in another than the cpc's is left out.

What becomes of a keyword depends on its own rows alone, whatever columns others fill.
"""

from collections.abc import Iterable

import polars as pl

from omnikeywords.formats.columns import fold

__all__ = ["PART_COLUMNS", "merge_rows", "with_parts"]

# What `with_parts` adds: the names of the columns that split a report, and their values; "" where none does.
PART_COLUMNS = ("split_by", "part")

# Columns beyond url and match type that split a report into parts, by their folded headers.
_SPLITTERS = frozenset(
    fold(name)
    for name in (
        "page", "landing page", "campaign", "ad group", "device", "country", "date", "day", "month",
        "network", "search type", "campaign type", "ad group type",
        "página", "campanha", "grupo de anúncios", "dispositivo", "país", "data", "dia", "mês", "rede",
        "campaña", "grupo de anuncios", "fecha", "día", "mes", "red",
        "campagne", "groupe d'annonces", "appareil", "pays", "jour", "mois", "réseau",
        "seite", "kampagne", "anzeigengruppe", "gerät", "land", "datum", "tag", "monat", "netzwerk",
        "pagina", "campagna", "gruppo di annunci", "paese", "giorno", "mese", "rete",
    )
)  # fmt: skip

_TRAFFIC = ("impressions", "clicks", "cost", "conversions")
_NO_PERIOD = -(2**30)  # before every date
_BETWEEN = "\x1f"  # no cell of a text file holds it

# Fields that belong together come from one row: the first that has any of them.
_GROUPS = (
    ("volume", "volume_min", "volume_max"),
    ("cpc", "currency"),
    ("competition", "competition_level"),
    ("difficulty",),
    ("results",),
    ("parent_keyword",),
    ("serp_features",),
    ("vendor_intent",),
)


def with_parts(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame of one batch of observations with PART_COLUMNS: which part of a report each row is.

    Must be called while `extra` is still a struct, whose fields are the file's own columns.
    """
    columns: list[tuple[str, pl.Expr]] = [(name, pl.col(name)) for name in ("url", "match_type") if name in frame]
    extra = frame.schema.get("extra")
    if isinstance(extra, pl.Struct):
        columns += [
            (field.name, pl.col("extra").struct.field(field.name))
            for field in extra.fields
            if fold(field.name) in _SPLITTERS
        ]
    columns = [(name, value.cast(pl.String)) for name, value in columns]
    if not columns:
        return frame.with_columns(pl.lit("").alias(name) for name in PART_COLUMNS)
    names = [pl.when(value.is_not_null()).then(pl.lit(fold(name))) for name, value in sorted(columns, key=_first)]
    values = [value for _, value in sorted(columns, key=_first)]
    return frame.with_columns(
        pl.concat_str(names, separator=_BETWEEN, ignore_nulls=True).alias("split_by"),
        pl.concat_str(values, separator=_BETWEEN, ignore_nulls=True).alias("part"),
    )


def _first(pair: tuple[str, pl.Expr]) -> str:
    return pair[0]


def merge_rows(rows: pl.DataFrame, key: str = "id") -> pl.DataFrame:
    """One row for each value of `key`, by the rule this module states, in no particular order.

    `rows` has `key`, columns of OBSERVATION_SCHEMA (any of them; `extra` as JSON text) and PART_COLUMNS. The
    result has the same columns but PART_COLUMNS, and the smallest `line`.
    """
    given = [name for name in rows.columns if name not in PART_COLUMNS]
    rows = rows.with_columns(_period(rows).alias("_period"), _row_text(rows, key).alias("_text"))
    # All descending, so that what leads is the largest: of positions, the largest of their negatives.
    order = ("_period", "volume", "volume_max", "position", "impressions", "clicks", "_text")
    rows = rows.sort(
        (-pl.col(name) if name == "position" else pl.col(name) for name in order if name in rows),
        descending=True,
        nulls_last=True,
    )
    merged = rows.group_by(key, maintain_order=True).agg(_aggregates(rows, key))
    traffic = [name for name in _TRAFFIC if name in rows]
    if traffic or "ctr" in rows:
        merged = merged.join(_traffic(rows, key, traffic), on=key, how="left", maintain_order="left")
        if "cost" in traffic and "currency" in rows:
            other = pl.col("currency") != pl.col("_currency")
            merged = merged.with_columns(
                pl.when(other).then(None).otherwise("cost").alias("cost"),
                pl.coalesce("currency", pl.when(pl.col("cost").is_not_null()).then("_currency")),
            )
    if "currency" in rows:
        merged = merged.with_columns(pl.coalesce("currency", "_first_currency"))
    if "position" in rows:
        merged = merged.join(_best_positions(rows, key), on=key, how="left", maintain_order="left")
        if "url" in rows:
            ranked = pl.col("position").is_not_null()
            merged = merged.with_columns(pl.when(ranked).then("_url").otherwise("url").alias("url"))
    if "monthly_searches" in rows:
        merged = merged.join(_months(rows, key), on=key, how="left", maintain_order="left")
    if "extra" in rows:
        merged = merged.join(_extras(rows, key), on=key, how="left", maintain_order="left")
    return merged.select(pl.col(name).cast(rows.schema[name]) for name in given)


def _period(rows: pl.DataFrame) -> pl.Expr:
    if "period_end" not in rows:
        return pl.lit(_NO_PERIOD, pl.Int32)
    return pl.col("period_end").to_physical().cast(pl.Int32).fill_null(_NO_PERIOD)


def _row_text(rows: pl.DataFrame, key: str) -> pl.Expr:
    """All that a row says, as text: the last word on which of two rows goes first."""
    names = sorted(set(rows.columns) - {key, "line", *PART_COLUMNS})
    filled = [name for name in names if rows[name].null_count() < rows.height]
    return pl.struct(filled).struct.json_encode() if filled else pl.lit("")


def _aggregates(rows: pl.DataFrame, key: str) -> Iterable[pl.Expr]:
    """Everything that is taken from the first row that says it; the rows come in their order of
    precedence."""
    grouped: set[str] = {*_TRAFFIC, "ctr", "monthly_searches", "extra"}
    for group in _GROUPS:
        names = [name for name in group if name in rows]
        # A currency alone says nothing of a cpc.
        saying = [pl.col(name).is_not_null() for name in names if name != "currency"]
        if saying:
            yield from (pl.col(name).filter(pl.any_horizontal(saying)).first() for name in names)
        grouped.update(names)
    if "currency" in rows:
        yield pl.col("currency").drop_nulls().first().alias("_first_currency")  # where there is neither cpc nor cost
        if "cpc" not in rows:
            yield pl.lit(None, rows.schema["currency"]).alias("currency")
    grouped.add("position")
    for name in ("source", "match_type"):
        if name in rows:
            if rows[name].drop_nulls().n_unique() > 1:  # what costs most is left out where it says nothing
                named = pl.col(name).drop_nulls().str.split("|").explode().unique().sort()
                yield named.str.join("|").replace("", None)
            else:
                yield pl.col(name).drop_nulls().first()
            grouped.add(name)
    if "line" in rows:
        yield pl.col("line").min()
        grouped.add("line")
    # A period is one: its ends, unit and origin are the leading row's.
    for name in ("keyword", "period_start", "period_end", "period_granularity", "period_from"):
        if name in rows:
            yield pl.col(name).first()
            grouped.add(name)
    for name in rows.columns:
        if name not in grouped and name not in (key, *PART_COLUMNS) and not name.startswith("_"):
            yield pl.col(name).drop_nulls().first()


def _traffic(rows: pl.DataFrame, key: str, traffic: list[str]) -> pl.DataFrame:
    """Clicks, impressions, cost, conversions and ctr of each key: the parts of its leading report, added
    up."""
    report = [
        key,
        *(c for c in ("source", "period_start", "period_end", "currency") if c in rows),
        "split_by",
    ]
    shares = ["ctr"] if "ctr" in rows else []
    filled = rows.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in (*traffic, *shares)))
    parts = (
        filled.sort(*traffic, *shares, "_text", descending=True, nulls_last=True)
        .group_by([*report, "part"], maintain_order=True)
        .first()
    )
    has_ctr = {"clicks", "impressions"} <= set(traffic)
    ctr: list[pl.Expr] = []
    if shares:
        quotient = (pl.col("clicks").sum() / pl.col("impressions").sum()).fill_nan(None) if has_ctr else pl.lit(None)
        ctr = [pl.when(pl.len() == 1).then(pl.col("ctr").first()).otherwise(quotient).alias("ctr")]
    sums = (
        pl.when(pl.len() == 1)
        .then(pl.col(name).first())
        .when(pl.col(name).count() > 0)
        # 0.1 + 0.2 is 0.3 to people.
        .then(pl.col(name).sum() if rows.schema[name].is_integer() else pl.col(name).sum().round(6))
        .alias(name)
        for name in traffic
    )
    added = parts.group_by(report, maintain_order=True).agg(*sums, *ctr, pl.col("_period").first())
    leading = (
        added.sort("_period", *traffic, *report[1:], descending=True, nulls_last=True)
        .group_by(key, maintain_order=True)
        .first()
    )
    money = [pl.col("currency").alias("_currency")] if "currency" in rows else []
    return leading.select(key, *traffic, *shares, *money)


def _best_positions(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The best position of each key in the latest period that has one, and the page that holds it."""
    page = [pl.col("url").alias("_url")] if "url" in rows else []
    return (
        rows.filter(pl.col("position").is_not_null())
        .select(key, "position", *page, (-pl.col("_period")).alias("_age"))
        .sort("_age", "position", *(["_url"] if page else []), nulls_last=True)
        .unique(key, keep="first", maintain_order=True)
        .drop("_age")
    )


def _months(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Every month that any row of a key has, each from the first that has it, in the order of time."""
    return (
        rows.select(key, "monthly_searches")
        .explode("monthly_searches")
        .drop_nulls("monthly_searches")
        .unnest("monthly_searches")
        .group_by(key, "month", maintain_order=True)
        .agg(pl.col("searches").drop_nulls().first())
        .sort(key, "month")
        .group_by(key, maintain_order=True)
        .agg(pl.struct("month", "searches").alias("monthly_searches"))
    )


def _extras(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Every other column of a key, each from the first row that has it."""
    import json

    texts = rows.select(key, "extra").drop_nulls().group_by(key, maintain_order=True).agg("extra")
    merged = []
    for group in texts["extra"]:
        columns: dict[str, str] = {}
        distinct = group.unique(maintain_order=True)
        if len(distinct) == 1:
            merged.append(distinct[0])
            continue
        for text in distinct:
            for name, value in json.loads(text).items():
                columns.setdefault(name, value)
        merged.append(json.dumps(columns, ensure_ascii=False, separators=(",", ":")))
    return texts.select(key).with_columns(pl.Series("extra", merged, dtype=pl.String))
