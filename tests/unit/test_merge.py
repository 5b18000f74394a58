"""The merge rule, case by case, as an SEO would check it."""

from datetime import date
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from omnikeywords.formats.columns import OBSERVATION_SCHEMA
from omnikeywords.formats.merge import merge_rows, with_parts
from omnikeywords.formats.write import extra_as_text

JANUARY, MARCH = date(2026, 1, 31), date(2026, 3, 31)


def rows(*given: dict[str, Any]) -> pl.DataFrame:
    """Observations as a batch has them, keyed by their keyword."""
    schema = dict(OBSERVATION_SCHEMA)
    frame = pl.DataFrame([{name: row.get(name) for name in schema} for row in given], schema=schema)
    extras = [row.get("extra") for row in given]
    if any(extras):
        frame = frame.with_columns(pl.Series("extra", extras))
    return extra_as_text(with_parts(frame)).with_columns(pl.col("keyword").alias("id"))


def merged(*given: dict[str, Any]) -> dict[str, Any]:
    """What rows of one keyword become, without what stays empty."""
    (row,) = merge_rows(rows(*({"keyword": "k", **row} for row in given))).to_dicts()
    return {name: value for name, value in row.items() if value is not None and name not in ("id", "keyword")}


def test_volumes_of_ranking_pages_are_not_added_up() -> None:
    a = {"volume": 5400, "difficulty": 41.0, "position": 7.0, "url": "/a"}
    b = {"volume": 5400, "difficulty": 41.0, "position": 3.0, "url": "/b"}
    assert merged(a, b) == {"volume": 5400, "difficulty": 41.0, "position": 3.0, "url": "/b"}


def test_the_latest_period_wins_even_with_less_volume() -> None:
    old = {"volume": 900, "cpc": 1.5, "currency": "EUR", "period_end": JANUARY}
    new = {"volume": 300, "period_end": MARCH}
    assert merged(old, new) == {"volume": 300, "cpc": 1.5, "currency": "EUR", "period_end": MARCH}


def test_rows_of_unknown_period_come_after_dated_ones() -> None:
    assert merged({"volume": 900}, {"volume": 300, "period_end": JANUARY})["volume"] == 300


def test_the_largest_volume_wins_where_periods_are_equal() -> None:
    assert merged({"volume": 300}, {"volume": 900})["volume"] == 900


def test_an_exact_volume_goes_before_a_range_and_ranges_stay_whole() -> None:
    low, high = {"volume_min": 10, "volume_max": 100}, {"volume_min": 1000, "volume_max": 10_000}
    assert merged(low, {"volume": 50}) == {"volume": 50}
    assert merged(low, high) == high


def test_clicks_of_pages_are_added_and_ctr_follows() -> None:
    a = {"clicks": 10, "impressions": 100, "ctr": 0.1, "position": 5.0, "url": "/a"}
    b = {"clicks": 20, "impressions": 400, "ctr": 0.05, "position": 9.5, "url": "/b"}
    assert merged(a, b) == {"clicks": 30, "impressions": 500, "ctr": 0.06, "position": 5.0, "url": "/a"}


def test_cost_of_match_types_and_ad_groups_is_added() -> None:
    a = {
        "cost": 0.1,
        "conversions": 1.0,
        "match_type": "exact",
        "currency": "EUR",
        "extra": {"Ad group": "x"},
    }
    b = {
        "cost": 0.2,
        "conversions": 0.5,
        "match_type": "exact",
        "currency": "EUR",
        "extra": {"Ad group": "y"},
    }
    c = {"cost": 1.0, "match_type": "phrase", "currency": "EUR", "extra": {"Ad group": "x"}}
    found = merged(a, b, c)
    assert (found["cost"], found["conversions"], found["match_type"]) == (1.3, 1.5, "exact|phrase")


def test_the_same_file_twice_changes_nothing() -> None:
    a = {
        "clicks": 10,
        "impressions": 100,
        "ctr": 0.1,
        "position": 5.0,
        "url": "/a",
        "source": "s",
        "volume": 7,
    }
    b = {
        "clicks": 20,
        "impressions": 400,
        "ctr": 0.05,
        "position": 9.5,
        "url": "/b",
        "source": "s",
        "volume": 7,
    }
    assert merged(a, b, a, b) == merged(a, b)


def test_a_later_download_of_the_same_report_is_not_added_to_the_earlier() -> None:
    assert merged({"clicks": 10, "impressions": 100}, {"clicks": 11, "impressions": 120}) == {
        "clicks": 11,
        "impressions": 120,
    }


def test_a_total_is_not_added_to_its_parts() -> None:
    total = {"clicks": 30, "impressions": 450}
    a = {"clicks": 10, "impressions": 100, "url": "/a"}
    b = {"clicks": 20, "impressions": 300, "url": "/b"}
    found = merged(total, a, b)
    assert (found["clicks"], found["impressions"]) == (30, 450)


def test_periods_and_sources_are_not_added_to_each_other() -> None:
    old = {"clicks": 50, "impressions": 500, "period_end": JANUARY, "source": "google_search_console"}
    new = {"clicks": 5, "impressions": 60, "period_end": MARCH, "source": "google_search_console"}
    bing = {"clicks": 1, "impressions": 9, "period_end": MARCH, "source": "bing_webmaster"}
    found = merged(old, new, bing)
    assert (found["clicks"], found["impressions"]) == (5, 60)
    assert found["source"] == "bing_webmaster|google_search_console"


def test_the_position_is_the_best_of_the_latest_period() -> None:
    old = {"position": 2.0, "url": "/old", "period_end": JANUARY}
    new = [
        {"position": 9.0, "url": "/b", "period_end": MARCH},
        {"position": 8.0, "url": "/c", "period_end": MARCH},
    ]
    found = merged(old, *new)
    assert (found["position"], found["url"]) == (8.0, "/c")


def test_missing_is_not_zero_in_sums() -> None:
    assert "clicks" not in merged({"impressions": 5, "url": "/a"}, {"impressions": 6, "url": "/b"})
    assert merged({"clicks": 0, "url": "/a"}, {"clicks": 0, "url": "/b"})["clicks"] == 0


def test_a_cost_in_another_currency_than_the_cpc_is_left_out() -> None:
    found = merged({"cpc": 1.0, "currency": "EUR", "volume": 10}, {"cost": 5.0, "currency": "USD"})
    assert (found["cpc"], found["currency"]) == (1.0, "EUR")
    assert "cost" not in found
    assert merged({"cost": 5.0, "currency": "USD"}, {"volume": 3})["currency"] == "USD"


def test_every_month_is_kept_and_the_later_file_is_believed() -> None:
    first = {
        "period_end": JANUARY,
        "monthly_searches": [{"month": "2025-12", "searches": 10}, {"month": "2026-01", "searches": 20}],
    }
    second = {
        "period_end": MARCH,
        "monthly_searches": [{"month": "2026-01", "searches": 25}, {"month": "2026-02", "searches": None}],
    }
    assert merged(first, second)["monthly_searches"] == [
        {"month": "2025-12", "searches": 10},
        {"month": "2026-01", "searches": 25},
        {"month": "2026-02", "searches": None},
    ]


def test_other_columns_come_from_the_first_row_that_has_them() -> None:
    old = {"period_end": JANUARY, "extra": {"Topic": "shoes", "Tag": "a"}}
    new = {"period_end": MARCH, "extra": {"Topic": "boots", "Tag": None}}
    assert merged(old, new)["extra"] == '{"Topic":"boots","Tag":"a"}'


def test_a_row_alone_stays_as_it_is() -> None:
    row = {
        "clicks": 3,
        "impressions": 9,
        "ctr": 0.3333,
        "conversions": 1.23456789,
        "position": 4.0,
        "source": "a|b",
    }
    assert merged(row) == row


def test_ctr_without_clicks_is_kept() -> None:
    assert merged({"ctr": 0.5}, {"volume": 3}) == {"ctr": 0.5, "volume": 3}


maybe_count = st.none() | st.integers(0, 1000)
some_rows = st.lists(
    st.fixed_dictionaries(
        {
            "keyword": st.sampled_from(["a", "b"]),
            "source": st.sampled_from([None, "x", "y"]),
            "volume": maybe_count,
            "volume_max": maybe_count,
            "cpc": st.none() | st.sampled_from([0.1, 0.7, 2.3]),
            "currency": st.sampled_from([None, "EUR", "USD"]),
            "clicks": maybe_count,
            "impressions": maybe_count,
            "cost": st.none() | st.sampled_from([0.1, 0.2, 0.3]),
            "position": st.none() | st.sampled_from([1.0, 2.5, 40.0]),
            "url": st.sampled_from([None, "/a", "/b"]),
            "match_type": st.sampled_from([None, "exact", "broad"]),
            "period_end": st.sampled_from([None, JANUARY, MARCH]),
            "serp_features": st.none() | st.lists(st.sampled_from(["p", "q"]), max_size=2),
            "monthly_searches": st.none()
            | st.lists(
                st.fixed_dictionaries({"month": st.sampled_from(["2026-01", "2026-02"]), "searches": maybe_count}),
                max_size=2,
                unique_by=lambda pair: pair["month"],
            ),
        }
    ),
    min_size=1,
    max_size=7,
)


def outcome(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return merge_rows(rows(*given)).sort("id").to_dicts()


@settings(max_examples=40, deadline=None)
@given(some_rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_decides_nothing(given_rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = list(given_rows)
    random.shuffle(shuffled)
    assert outcome(shuffled) == outcome(given_rows)


@settings(max_examples=20, deadline=None)
@given(some_rows)
def test_repeated_rows_decide_nothing(given_rows: list[dict[str, Any]]) -> None:
    assert outcome([*given_rows, *given_rows]) == outcome(given_rows)


@settings(max_examples=20, deadline=None)
@given(some_rows)
def test_no_volume_is_larger_than_what_a_row_says(given_rows: list[dict[str, Any]]) -> None:
    for row in outcome(given_rows):
        said = [r["volume"] for r in given_rows if r["keyword"] == row["keyword"]]
        assert row["volume"] in said


@settings(max_examples=60, deadline=None)
@given(some_rows)
def test_columns_that_other_keywords_fill_decide_nothing(given_rows: list[dict[str, Any]]) -> None:
    def without_empty_columns(one: pl.DataFrame) -> pl.DataFrame:
        parts = ("split_by", "part")
        return one.select(name for name in one.columns if name in parts or one[name].null_count() < one.height)

    together = merge_rows(without_empty_columns(rows(*given_rows))).to_dicts()
    for row in together:
        own = rows(*(given for given in given_rows if given["keyword"] == row["keyword"]))
        (alone,) = merge_rows(without_empty_columns(own)).to_dicts()
        assert {name: value for name, value in row.items() if value is not None} == {
            name: value for name, value in alone.items() if value is not None
        }


def test_a_cost_keeps_its_currency_where_an_other_keyword_has_no_cpc_either() -> None:
    dear, cheap = {"keyword": "k", "volume": 9, "currency": "USD"}, {"keyword": "k", "cost": 0.2, "currency": "EUR"}
    for other in ({"keyword": "other"}, {"keyword": "other", "cpc": 1.0, "currency": "USD"}):
        frame = rows(dear, cheap, other)
        frame = frame.select(name for name in frame.columns if name == "part" or frame[name].null_count() < 3)
        found = merge_rows(frame).filter(pl.col("id") == "k").to_dicts()[0]
        assert (found["cost"], found["currency"]) == (0.2, "EUR")
