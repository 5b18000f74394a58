"""What a cell cannot mean is in no field: it is kept as it is, and told."""

import math
from datetime import date
from io import BytesIO

import polars as pl
import pytest

from omnikeywords.formats import open_export
from omnikeywords.model import Observation


def read(text: str) -> tuple[list[Observation], list[str]]:
    with open_export(text.encode()) as export:
        rows = [row for batch in export.batches() for row in batch.observations()]
        return rows, export.warnings


def table(field: str, *cells: str, delimiter: str = ",") -> str:
    return f"keyword{delimiter}{field}\n" + "".join(f"k{n}{delimiter}{cell}\n" for n, cell in enumerate(cells))


@pytest.mark.parametrize(
    ("field", "cell"),
    [
        ("volume", "-5"),
        ("volume", "1e30"),
        ("volume", "< 1e30"),
        ("volume", "5%"),
        ("clicks", "-1"),
        ("impressions", "1e16"),
        ("position", "-3"),
        ("position", "0.4"),
        ("position", "1e20"),
        ("position", "5 - 10"),
        ("cpc", "-2"),
        ("cpc", "3%"),
        ("cost", "-0.5"),
        ("conversions", "-1"),
        ("difficulty", "-5"),
        ("difficulty", "500"),
        ("difficulty", "101%"),
    ],
)
def test_a_number_that_a_field_cannot_have_is_kept_in_extra_and_told(field: str, cell: str) -> None:
    rows, warnings = read(table(field, "7", cell, "9"))
    assert [getattr(row, field) for row in rows] == [7, None, 9]
    assert (rows[1].volume_min, rows[1].volume_max) == ((0, None) if cell == "< 1e30" else (None, None))
    assert [dict(row.extra) for row in rows] == [{}, {field: cell}, {}]
    assert len(warnings) == 1
    assert f"column '{field}': 1 cell is " in warnings[0]
    assert f"as '{cell}' in line 3; kept in extra" in warnings[0]


@pytest.mark.parametrize(
    ("field", "cells", "values", "kept"),
    [
        # Above its scale, which is 1 where most are within it, 100 where most are above.
        ("competition index", ("0.3", "0.5", "0.7", "1.5"), [0.3, 0.5, 0.7, None], "1.5"),
        ("competition index", ("30", "50", "0.5", "500"), [0.3, 0.5, 0.005, None], "500"),
        ("competition index", ("30", "50", "-1"), [0.3, 0.5, None], "-1"),
        ("ctr", ("0.03", *["0.05"] * 18, "1.5"), [0.03, *[0.05] * 18, None], "1.5"),
        ("ctr", ("3", "0.5", "250"), [0.03, 0.005, None], "250"),
        ("ctr", ("3%", "50%", "250%"), [0.03, 0.5, None], "250%"),
        ("ctr", ("3%", "-1%"), [0.03, None], "-1%"),
    ],
)
def test_a_share_above_its_scale_is_kept_in_extra(
    field: str, cells: tuple[str, ...], values: list[float | None], kept: str
) -> None:
    rows, warnings = read(table(field, *cells))
    name = field.split()[0]
    assert [getattr(row, name) for row in rows] == pytest.approx(values)
    assert [dict(row.extra) for row in rows if row.extra] == [{field: kept}]
    assert len(warnings) == 1


def test_clicks_and_impressions_tell_the_scale_of_the_rate() -> None:
    rows, _ = read("keyword,clicks,impressions,ctr\na,1,200,0.5\nb,3,400,0.75\nc,20,1000,2\nd,40,1000,4\n")
    assert [row.ctr for row in rows] == pytest.approx([0.005, 0.0075, 0.02, 0.04])
    rows, _ = read("keyword,clicks,impressions,ctr\na,1,2,0.5\nb,3,4,0.75\nc,2,1,2\nd,1,9,8\n")
    assert [row.ctr for row in rows] == [0.5, 0.75, 2.0, None]
    assert rows[3].extra == {"ctr": "8"}


def test_a_count_that_is_not_whole_is_rounded_kept_and_told() -> None:
    rows, warnings = read(table("volume", "1.5", "10", "1.2K", "0.2"))
    assert [row.volume for row in rows] == [2, 10, 1200, 0]
    assert [dict(row.extra) for row in rows] == [{"volume": "1.5"}, {}, {}, {"volume": "0.2"}]
    assert warnings == ["column 'volume': 2 cells are no whole number, rounded, as '1.5' in line 2; kept in extra"]


@pytest.mark.parametrize(
    ("cell", "first", "last"),
    [
        ("2025-09-02", date(2025, 9, 2), date(2025, 9, 2)),
        ("2025-09-02T00:00:00", date(2025, 9, 2), date(2025, 9, 2)),
        ("20250902", date(2025, 9, 2), date(2025, 9, 2)),
        ("31/12/2025", date(2025, 12, 31), date(2025, 12, 31)),
        ("12/31/2025", date(2025, 12, 31), date(2025, 12, 31)),
        ("31.12.2025", date(2025, 12, 31), date(2025, 12, 31)),
        ("05/05/2025", date(2025, 5, 5), date(2025, 5, 5)),
        ("Sep 1, 2026", date(2026, 9, 1), date(2026, 9, 1)),
        ("1 de setembro de 2026", date(2026, 9, 1), date(2026, 9, 1)),
        ("2025-02", date(2025, 2, 1), date(2025, 2, 28)),
        ("févr. 2025", date(2025, 2, 1), date(2025, 2, 28)),
        ("2025-02-03 - 2025-02-09", date(2025, 2, 3), date(2025, 2, 9)),
    ],
)
def test_days_and_months_of_rows_are_read(cell: str, first: date, last: date) -> None:
    rows, warnings = read(f'keyword,date,volume\na,"{cell}",1\n')
    assert (rows[0].period_start, rows[0].period_end, rows[0].period_from) == (first, last, "file")
    assert (dict(rows[0].extra), warnings) == ({}, [])


@pytest.mark.parametrize("cell", ["2025-13-45", "01/02/2025", "32/12/2025", "2025-02-30", "soon", "45678"])
def test_a_day_that_is_none_or_not_certain_is_kept_in_extra_and_told(cell: str) -> None:
    rows, warnings = read(f"keyword,date,volume\na,{cell},1\nb,2025-02-03,2\n")
    assert [(row.period_start, dict(row.extra)) for row in rows] == [
        (None, {"date": cell}),
        (date(2025, 2, 3), {}),
    ]
    assert warnings == [f"column 'date': 1 cell is no certain day, as '{cell}' in line 2; kept in extra"]


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_a_number_too_large_to_be_kept_is_kept_in_extra_and_told(kind: str) -> None:
    file = BytesIO()
    if kind == "json":
        file.write(b'[{"keyword": "a", "volume": 1e309, "cpc": 2.5}, {"keyword": "b", "volume": 5, "cpc": -1e400}]')
    else:
        pl.DataFrame({"keyword": ["a", "b"], "volume": [math.inf, 5], "cpc": [2.5, -math.inf]}).write_parquet(file)
    with open_export(file.getvalue(), name=f"a.{kind}") as export:
        rows = [row for batch in export.batches() for row in batch.observations()]
        warnings = export.warnings
    assert [(row.volume, row.cpc, dict(row.extra)) for row in rows] == [
        (None, 2.5, {"volume": "inf"}),
        (5, None, {"cpc": "-inf"}),
    ]
    assert warnings == [
        "column 'volume': 1 cell is no number, as 'inf' in line 1; kept in extra",
        "column 'cpc': 1 cell is no number, as '-inf' in line 2; kept in extra",
    ]


def test_one_certain_day_tells_the_order_of_its_column() -> None:
    rows, _ = read("keyword,date\na,01/02/2025\nb,31/12/2025\n")
    assert [row.period_start for row in rows] == [date(2025, 2, 1), date(2025, 12, 31)]
    rows, _ = read("keyword,date\na,01/02/2025\nb,12/31/2025\n")
    assert [row.period_start for row in rows] == [date(2025, 1, 2), date(2025, 12, 31)]
    rows, _ = read("keyword,date\na,01/02/2025\nb,12/31/2025\nc,31/12/2025\n")
    assert [row.period_start for row in rows] == [None, None, None]
    assert rows[0].extra == {"date": "01/02/2025"}


def test_a_time_of_day_is_kept_beside_the_day() -> None:
    rows, warnings = read("keyword,timestamp\na,2026-03-23 09:22:15\n")
    assert (rows[0].period_start, dict(rows[0].extra)) == (date(2026, 3, 23), {"timestamp": "2026-03-23 09:22:15"})
    assert warnings == []


def test_searches_of_a_month_that_are_no_count_are_kept_in_extra_and_told() -> None:
    rows, warnings = read(
        "Keyword,Currency,Avg. monthly searches,Competition,Searches: Oct 2020,Searches: Nov 2020,Searches: Dec 2020\n"
        "a,EUR,10,Low,few,-5,10 - 100\nb,XXQ,10,Low,1,2,3\n"
    )
    assert [row.monthly_searches for row in rows] == [None, {"2020-10": 1, "2020-11": 2, "2020-12": 3}]
    assert dict(rows[0].extra) == {
        "Searches: Oct 2020": "few",
        "Searches: Nov 2020": "-5",
        "Searches: Dec 2020": "10 - 100",
    }
    assert dict(rows[1].extra) == {"Currency": "XXQ"}
    assert len(warnings) == 3
