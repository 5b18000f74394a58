"""Numbers and days as exports write them."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnikeywords.formats.numbers import Marks, Number, read_number, read_numbers, witness
from omnikeywords.formats.periods import (
    Period,
    month_of_header,
    months_between,
    period_of_name,
    read_day,
    read_period,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,310", 1310.0),
        ("1 310", 1310.0),
        ("1\u00a0310", 1310.0),
        ("1\u202f310", 1310.0),
        ("1’234", 1234.0),
        ("1,00,000", 100000.0),
        ("1.234.567", 1234567.0),
        ("6,1 milhões", 6_100_000.0),
        ("6,1milhoes", 6_100_000.0),
        ("1 mil", 1000.0),
        ("1.2K", 1200.0),
        ("10M", 10_000_000.0),
        ("1,5 Mio.", 1_500_000.0),
        ("3万", 30_000.0),
        ("0,123", 0.123),
        ("-3", -3.0),
        ("(4,50)", -4.5),
        ("1e5", 100_000.0),
        ("١٢٣", 123.0),
        ("٣٫٥", 3.5),
    ],
)
def test_a_number_is_read_whatever_its_locale(text: str, value: float) -> None:
    assert read_number(text) == Number(value=value)


@pytest.mark.parametrize(
    ("text", "value"), [("3.53%", 0.0353), ("12,5 %", 0.125), ("100%", 1.0), ("0%", 0.0), ("-90%", -0.9)]
)
def test_a_percentage_is_the_nearest_fraction(text: str, value: float) -> None:
    assert read_number(text) == Number(value=value, percent=True)


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("R$ 1.234,56", 1234.56, "BRL"),
        ("US$2.17", 2.17, "USD"),
        ("€ 3,20", 3.2, "EUR"),
        ("3,20 €", 3.2, "EUR"),
        ("EUR 3.2", 3.2, "EUR"),
        ("A$4.89", 4.89, "AUD"),
        ("$2.17", 2.17, None),  # which dollar nobody says
        ("kr 12,50", 12.5, None),
    ],
)
def test_a_currency_is_named_only_where_the_sign_names_one(text: str, value: float, currency: str | None) -> None:
    assert read_number(text) == Number(value=value, currency=currency)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("10K – 100K", 10_000.0, 100_000.0),
        ("100 – 1K", 100.0, 1000.0),
        ("10 k – 100 k", 10_000.0, 100_000.0),
        ("1 mil – 10 mil", 1000.0, 10_000.0),
        ("1,000 - 10,000", 1000.0, 10_000.0),
        ("11-50", 11.0, 50.0),
        ("10 a 100", 10.0, 100.0),
        ("١٠ - ١٠٠", 10.0, 100.0),
        ("< 10", 0.0, 10.0),
        ("1M+", 1_000_000.0, None),
    ],
)
def test_a_range_stays_a_range(text: str, low: float, high: float | None) -> None:
    assert read_number(text, "") == Number(low=low, high=high)


@pytest.mark.parametrize("text", ["", " --", "--", "-", "∞", "Unknown", "n/a", "null", "NaN", "no data", "inf"])
def test_what_says_nothing_is_missing_and_not_zero(text: str) -> None:
    assert read_number(text) == Number()


@pytest.mark.parametrize(
    "text", ["abc", "2-3-4", "1.2.3,4,5", "100 - 10", "12 apples", "1.2.3", "2025.01.02", "1" * 400]
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert read_number(text) is None


def test_numbers_that_came_as_numbers_are_finite_or_missing() -> None:
    cells = pl.Series([1.5, float("inf"), float("nan"), None])
    assert read_numbers(cells, ".").value.to_list() == [1.5, None, None, None]


def test_a_doubtful_mark_is_read_by_what_the_column_says() -> None:
    assert [witness(t) for t in ("12,5", "1.234,56", "1.234.567", "1.234", "0.123", "1234.567")] == [
        ",",
        ",",
        ",",
        None,
        ".",
        ".",
    ]
    marks = Marks()
    marks.see(["1.234", "12,5", "7"])
    assert marks.decimal == ","
    assert read_numbers(pl.Series(["1.234", "12,5", "7"]), ",").value.to_list() == [1234.0, 12.5, 7.0]
    assert read_numbers(pl.Series(["1.234", "12.5", "7"]), ".").value.to_list() == [1.234, 12.5, 7.0]
    assert read_numbers(pl.Series(["1.234", "1,234", "7"]), "").value.to_list() == [1234.0, 1234.0, 7.0]


def test_a_column_keeps_missing_ranges_currencies_and_nonsense_apart() -> None:
    numbers = read_numbers(pl.Series(["1,5", None, "--", "R$ 2,00", "10 – 20", "x", "inf"]), ",")
    assert numbers.value.to_list() == [1.5, None, None, 2.0, None, None, None]
    assert numbers.low is not None
    assert numbers.high is not None
    assert numbers.currency is not None
    assert numbers.unreadable is not None
    assert numbers.low.to_list() == [None, None, None, None, 10.0, None, None]
    assert numbers.high.to_list() == [None, None, None, None, 20.0, None, None]
    assert numbers.currency.to_list() == [None, None, None, "BRL", None, None, None]
    assert numbers.unreadable.fill_null(False).to_list() == [False, False, False, False, False, True, False]


texts = st.one_of(
    st.integers(-(10**9), 10**9).map(str),
    st.integers(0, 10**9).map(lambda n: f"{n:,}"),
    st.integers(0, 10**9).map(lambda n: f"{n:,}".replace(",", ".")),
    st.decimals(0, 10**5, places=2).map(str),
    st.decimals(0, 10**5, places=2).map(lambda d: str(d).replace(".", ",")),
    st.sampled_from(["", "--", "x", "1K", "2 – 3", "5%", "nan", "1_000", " 7 ", "1e3", "+4"]),
)


@settings(max_examples=100, deadline=None)
@given(cells=st.lists(texts, max_size=8), decimal=st.sampled_from([".", ",", ""]))
def test_a_column_is_read_as_its_cells_are(cells: list[str], decimal: str) -> None:
    one_by_one = [number.value if (number := read_number(cell, decimal)) else None for cell in cells]
    assert read_numbers(pl.Series(cells, dtype=pl.String), decimal).value.to_list() == one_by_one


@settings(max_examples=100, deadline=None)
@given(number=st.integers(0, 10**12), mark=st.sampled_from([",", ".", " ", "\u00a0", "’"]))
def test_grouped_thousands_are_the_number(number: int, mark: str) -> None:
    assert read_number(f"{number:,}".replace(",", mark), "") == Number(value=float(number))


@pytest.mark.parametrize(
    ("line", "start", "end", "granularity"),
    [
        ("October 1, 2020 - September 30, 2021", date(2020, 10, 1), date(2021, 9, 30), "range"),
        ("1 de agosto de 2025 - 31 de julho de 2026", date(2025, 8, 1), date(2026, 7, 31), "range"),
        ("1 dicembre 2024 - 30 novembre 2025", date(2024, 12, 1), date(2025, 11, 30), "range"),
        ("31 October 2025 - 3 November 2025", date(2025, 10, 31), date(2025, 11, 3), "range"),
        ("Sep 1, 2026 - Sep 13, 2026", date(2026, 9, 1), date(2026, 9, 13), "range"),
        ("Sep 1 - 13, 2026", date(2026, 9, 1), date(2026, 9, 13), "range"),
        ("1. Oktober 2020 – 31. Oktober 2020", date(2020, 10, 1), date(2020, 10, 31), "month"),
        ("1 févr. 2024 - 29 févr. 2024", date(2024, 2, 1), date(2024, 2, 29), "month"),
        ("01/02/2025 - 28/02/2025", date(2025, 2, 1), date(2025, 2, 28), "month"),
        ("2025年1月1日 - 2025年1月31日", date(2025, 1, 1), date(2025, 1, 31), "month"),
        ("3 November 2025", date(2025, 11, 3), date(2025, 11, 3), "day"),
        (
            "Nov 6, 2025 - Nov 7, 2025 compared to Nov 4, 2025 - Nov 5, 2025",
            date(2025, 11, 6),
            date(2025, 11, 7),
            "range",
        ),
    ],
)
def test_a_period_is_read_in_the_languages_of_preambles(line: str, start: date, end: date, granularity: str) -> None:
    period = read_period(line)
    assert period == Period(start, end, granularity, "file")  # type: ignore[arg-type]


@pytest.mark.parametrize("line", ["All Time", "Search terms report", "01/02/2025 - 03/04/2025", "31 February 2025", ""])
def test_a_line_without_a_certain_period_has_none(line: str) -> None:
    assert read_period(line) is None


@pytest.mark.parametrize(
    ("header", "month"),
    [
        ("Searches: Oct 2020", "2020-10"),
        ("Pesquisas: out. de 2025", "2025-10"),
        ("Búsquedas: ene 2025", "2025-01"),
        ("Recherches : juil. 2021", "2021-07"),
        ("Suchanfragen: März 2021", "2021-03"),
        ("2025-10", "2025-10"),
        ("Search volume (09/2024)", "2024-09"),
        ("2026-08-01", None),
        ("Position 2020", None),
        ("Mar 2025 Clicks", None),
        ("Volume", None),
    ],
)
def test_a_month_column_is_known_by_its_header(header: str, month: str | None) -> None:
    assert month_of_header(header) == month


def test_days_and_months_are_found_in_cells_headers_and_names() -> None:
    assert read_day("2026-03-23 09:22:15") == date(2026, 3, 23)
    assert read_day("20250902") == date(2025, 9, 2)
    assert read_day("2026-13-01") is None
    assert months_between("SV trend (11-2024 - 02-2025)") == ("2024-11", "2024-12", "2025-01", "2025-02")
    assert months_between("SV trend") == ()
    assert period_of_name("google_us_shoes_2025-07-08_20-05-24.csv") == Period(
        date(2025, 7, 8), date(2025, 7, 8), "day", "name"
    )
    assert period_of_name("keywords.csv") is None
