"""What is exported and read back gives equal observations, in every format we write."""

import io
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnikeywords.formats import open_export
from omnikeywords.formats.columns import OBSERVATION_SCHEMA
from omnikeywords.formats.write import FORMATS, OBSERVED_FIELDS, Format, extra_as_text, write_results

# Line ends within a cell are the business of the csv dialect; a keyword has none after normalising.
letters = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))
text = st.text(letters | st.sampled_from("=+-@'|\\\",;:{}[]"), min_size=1, max_size=12).filter(
    lambda value: value == value.strip()
)
keywords = text | st.sampled_from(
    ["=1+1", "'=x", "''@y", "+351 912", "-k", "@me", "'quoted'", "keyword", "a|b", "_x0041_"]
)
counts = st.none() | st.integers(0, 2**40)
amounts = st.none() | st.floats(0, 1e9, allow_nan=False, allow_subnormal=False)
items = st.none() | st.lists(text, min_size=1, max_size=3)
months = st.none() | st.lists(
    st.fixed_dictionaries({"month": st.dates(date(2000, 1, 1)).map(lambda d: f"{d:%Y-%m}"), "searches": counts}),
    min_size=1,
    max_size=3,
    unique_by=lambda pair: pair["month"],
)
observation = st.fixed_dictionaries(
    {
        "keyword": keywords,
        "source": st.sampled_from([None, "ahrefs", "google_ads"]),
        "market": st.sampled_from([None, "pt-BR", "und-US"]),
        "volume": counts,
        "volume_min": counts,
        "volume_max": counts,
        "cpc": amounts,
        "currency": st.sampled_from([None, "EUR"]),
        "competition": st.none() | st.floats(0, 1),
        "competition_level": st.sampled_from([None, "low"]),
        "difficulty": st.none() | st.floats(0, 100),
        "results": counts,
        "clicks": counts,
        "impressions": counts,
        "ctr": st.none() | st.floats(0, 1),
        "position": st.none() | st.floats(1, 300),
        "url": st.none() | text,
        "cost": amounts,
        "conversions": amounts,
        "match_type": st.sampled_from([None, "exact"]),
        "serp_features": items,
        "parent_keyword": st.none() | text,
        "monthly_searches": months,
        "vendor_intent": items,
        "period_start": st.none() | st.dates(date(1990, 1, 1), date(2100, 1, 1)),
        "period_end": st.none() | st.dates(date(1990, 1, 1), date(2100, 1, 1)),
        "period_granularity": st.sampled_from([None, "day", "month", "range"]),
        "period_from": st.sampled_from([None, "file", "name", "argument"]),
        "extra": st.dictionaries(st.sampled_from(["Ad group", "=x", 'a"b', "é"]), text, max_size=2),
    }
)


def exported(rows: list[dict[str, Any]], format: Format) -> bytes:
    """Results with these observations, and derived fields enough to be known as ours, as a file."""
    frame = pl.DataFrame(
        [{name: row.get(name) for name in OBSERVATION_SCHEMA} for row in rows], schema=OBSERVATION_SCHEMA
    )
    names = sorted({name for row in rows for name in row["extra"]})
    extras = pl.DataFrame(
        {name: [row["extra"].get(name) for row in rows] for name in names},
        schema=dict.fromkeys(names, pl.String),
    )
    if names:
        frame = frame.with_columns(extras.to_struct("extra"))
    frame = extra_as_text(frame)
    results = frame.select(
        "keyword",
        pl.col("keyword").alias("normalized"),
        pl.lit("k1").alias("id"),
        "market",
        pl.lit(0.5).alias("language_confidence"),
        pl.struct(pl.lit(1.0).alias("score"), pl.lit("observed").alias("basis")).alias("difficulty"),
        *(pl.col(column).alias(name) for name, column in OBSERVED_FIELDS.items()),
    )
    file = io.BytesIO()
    write_results([results], file, format)
    return file.getvalue()


def read_back(data: bytes, name: str) -> list[dict[str, Any]]:
    with open_export(data, name=name) as export:
        assert export.tool == "okf"
        rows = []
        for batch in export.batches():
            for row in batch.observations():
                found = {name: getattr(row, name) for name in OBSERVATION_SCHEMA if name != "line"}
                months = found["monthly_searches"]
                found["monthly_searches"] = (
                    None if months is None else [{"month": m, "searches": s} for m, s in months.items()]
                )
                rows.append({**found, "extra": dict(row.extra)})
        assert not export.skipped.reasons
        return rows


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(observation, min_size=1, max_size=4))
def test_what_is_exported_and_read_back_is_equal(format: Format, rows: list[dict[str, Any]]) -> None:
    if format == "xlsx":
        rows = [{name: of_a_sheet(value) for name, value in row.items()} for row in rows]
    assert read_back(exported(rows, format), f"out.{format}") == rows


def of_a_sheet(value: Any) -> Any:
    """A number as spreadsheets hold it: 15 digits."""
    return float(f"{value:.15g}") if isinstance(value, float) else value


def test_damage_in_our_own_results_is_told_of_and_kept() -> None:
    csv = b"keyword,normalized,id,model_version,volume,monthly_searches\n" + (
        b"a,a,k1a,1,12,2025-10:30|2025-11:\nb,b,k1b,1,many,2025-10:x|oops\n"
    )
    json_lines = b"\n".join(
        b'{"keyword": "a", "normalized": "a", "id": "k1a", "model_version": "1", "monthly_searches": %s}' % months
        for months in (b"5", b'["x"]', b'[{"month": "2025-10"}]', b'{"2025-10": "many", "2025-11": 7}')
    )
    with open_export(csv) as export:
        first, second = (row for batch in export.batches() for row in batch.observations())
        assert (first.volume, first.monthly_searches) == (12, {"2025-10": 30, "2025-11": None})
        assert (second.volume, second.monthly_searches, second.extra) == (None, None, {"volume": "many"})
        assert export.warnings == ["column 'volume': 1 cell is no number, as 'many' in line 3; kept in extra"]
    with open_export(json_lines) as export:
        rows = [row for batch in export.batches() for row in batch.observations()]
    assert [row.monthly_searches for row in rows] == [None, None, {"2025-10": None}, {"2025-11": 7}]
