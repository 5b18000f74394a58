"""Real exports of other tools, read whole: cells copied by hand from their raw bytes come out as they are.

The files are not ours to ship; OKF_EVAL_DATA names the folder that holds them.
"""

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from omnikeywords.errors import UnreadableExport
from omnikeywords.formats import open_export
from omnikeywords.model import Observation

AHREFS = "ahrefs/google_us_ai-tools_matching-terms_2025-07-08_20-05-24.csv"
SEARCH_TERMS = "google_ads/2025-11-03-search-terms-report.csv"
SEARCH_KEYWORDS = "google_ads/2025-11-06-to-07-search-keyword-report.csv"
PLANNER = "google_keyword_planner/paisadallas_Keyword Stats_es.csv"
SEARCH_CONSOLE = "gsc_en_jfaccioli/Queries.csv"
GAP_XLSX = "semrush/gap.keywords_2025-11-14T22_28_13.691Z.xlsx"
GAP_CSV = "semrush/gap.keywords_2025-11-14T22_31_52.976Z.csv"

MONTHS = [f"2020-{m:02}" for m in (10, 11, 12)] + [f"2021-{m:02}" for m in range(1, 10)]


def months(*searches: int) -> dict[str, int]:
    return dict(zip(MONTHS, searches, strict=True))


# By file: tool, report, rows kept, rows of totals; then by line, what its cells say.
GOLDEN: dict[str, tuple[str, str, int, int, dict[int, dict[str, Any]]]] = {
    AHREFS: (
        "ahrefs",
        "matching terms",
        2272,
        0,
        {
            8: {
                "keyword": "#1 ai porn generators ❤️ free ai nude undress ai tools undressaitool.ai",
                "volume": 3400,
                "difficulty": None,
                "cpc": None,
                "parent_keyword": None,
                "vendor_intent": None,
            },
            25: {
                "volume": 1300,
                "difficulty": 24.0,
                "cpc": None,
                "parent_keyword": "ghibli ai",
                "serp_features": None,
            },
            300: {
                "keyword": "cool ai tools",
                "market": "und-US",
                "volume": 200,
                "difficulty": 57.0,
                "cpc": 1.6,
                "currency": None,
                "parent_keyword": "best ai",
                "serp_features": ["Sitelinks", "Video preview"],
                "vendor_intent": ["informational", "non-branded", "non-local"],
                "period_start": date(2025, 7, 8),
            },
            801: {"volume": 100, "difficulty": 9.0, "cpc": 2.0, "parent_keyword": "ai game generator"},
            1444: {
                "volume": 70,
                "difficulty": 59.0,
                "cpc": None,
                "parent_keyword": "predictive analytics tools",
            },
            2000: {
                "keyword": "ai-content-marketing-tools",
                "volume": 50,
                "difficulty": None,
                "cpc": 7.0,
                "vendor_intent": ["informational", "commercial", "non-branded", "non-local"],
            },
            2273: {
                "keyword": "best free ai tools for teachers",
                "volume": 50,
                "difficulty": 56.0,
                "clicks": None,
            },
        },
    ),
    SEARCH_TERMS: (
        "google_ads",
        "search terms",
        36,
        3,
        {
            5: {
                "keyword": "christmas ornament our first christmas",
                "clicks": 1,
                "impressions": 1,
                "ctr": 1.0,
                "cpc": 3.24,
                "cost": 3.24,
                "currency": "AUD",
                "match_type": "phrase",
                "conversions": 0.0,
                "period_start": date(2025, 10, 31),
                "period_end": date(2025, 11, 3),
            },
            7: {"match_type": "broad", "cpc": 1.57, "cost": 1.57, "volume": None},
            15: {
                "keyword": "ashland christmas decorations",
                "clicks": 2,
                "ctr": 2.0,
                "cpc": 3.47,
                "cost": 6.94,
            },
            20: {"match_type": "exact", "cpc": 4.35, "currency": "AUD"},
            33: {
                "keyword": "grapevine wreath 24 inch",
                "clicks": 0,
                "impressions": 1,
                "ctr": 0.0,
                "cpc": 0.0,
            },
        },
    ),
    SEARCH_KEYWORDS: (
        "google_ads",
        "search keywords",
        91,
        8,
        {
            4: {
                "keyword": "stylish christmas wreaths",
                "match_type": "phrase",
                "clicks": 1,
                "impressions": 6,
                "ctr": 0.1667,
                "cost": 3.82,
                "currency": "AUD",
                "cpc": None,
                "url": "https://beliefsinwreaths.com.au/collections/christmas-wreaths",
                "period_start": date(2025, 11, 6),
                "period_end": date(2025, 11, 7),
            },
            5: {
                "keyword": "christmas online shopping",
                "match_type": "broad",
                "clicks": 0,
                "impressions": 0,
                "ctr": None,
                "cost": 0.0,
            },
            13: {"keyword": "handcrafted christmas centrepiece", "match_type": "phrase", "ctr": None},
            94: {"keyword": "premium christmas wreath", "impressions": 0, "conversions": 0.0},
        },
    ),
    PLANNER: (
        "google_keyword_planner",
        "keyword ideas",
        2214,
        0,
        {
            4: {
                "keyword": "cambio aceite",
                "volume": 10,
                "volume_min": None,
                "volume_max": None,
                "currency": "USD",
                "competition_level": None,
                "competition": None,
                "cpc": None,
                "monthly_searches": months(0, 10, 0, 10, 10, 0, 0, 0, 10, 0, 0, 0),
                "period_start": date(2020, 10, 1),
                "period_end": date(2021, 9, 30),
                "period_granularity": "range",
            },
            7: {
                "keyword": "taller mecanico",
                "volume": 50,
                "competition_level": "low",
                "competition": 0.04,
                "monthly_searches": months(30, 40, 30, 40, 20, 30, 30, 140, 50, 40, 50, 90),
            },
            11: {
                "volume": 20,
                "competition": 0.18,
                "monthly_searches": months(20, 10, 20, 20, 10, 20, 20, 30, 30, 10, 10, 30),
            },
            12: {"keyword": "cambio de aceite y filtro", "competition_level": "high", "competition": 0.86},
            401: {
                "keyword": "taller pintura coches",
                "volume": None,
                "monthly_searches": None,
                "currency": "USD",
            },
            1501: {"keyword": "reparaciones de coches", "volume": 0, "monthly_searches": months(*[0] * 12)},
            2217: {"keyword": "reparar cristal estrellado auto", "volume": None, "competition_level": None},
        },
    ),
    SEARCH_CONSOLE: (
        "google_search_console",
        "queries",
        795,
        0,
        {
            2: {
                "keyword": "adelphi living",
                "clicks": 255,
                "impressions": 765,
                "ctr": 0.3333,
                "position": 1.06,
                "volume": None,
                "period_start": None,
            },
            17: {"clicks": 1, "impressions": 434, "ctr": 0.0023, "position": 8.61},
            299: {
                "keyword": "perth disability service provider and participant connection expo 2021, \n"
                "perth convention and exhibition centre, 11 june",
                "clicks": 0,
                "impressions": 11,
                "position": 10.0,
            },
            479: {"impressions": 3, "position": 80.67},
            611: {"keyword": 'ndis provider"', "position": 2.0},
            650: {"keyword": '"ndis aged care', "impressions": 1, "position": 6.0},
            702: {"keyword": '"houses"', "position": 58.0, "match_type": None},
            798: {"keyword": "live in specialist care", "ctr": 0.0, "position": 276.0},
        },
    ),
    GAP_XLSX: (
        "semrush",
        "keyword gap",
        1481,
        0,
        {
            2: {
                "keyword": "lamborghini",
                "volume": 110000,
                "difficulty": 73.0,
                "cpc": 0.77,
                "competition": 0.82,
                "results": 207000000,
                "position": None,
                "currency": None,
            },
            50: {"volume": 2400, "difficulty": 55.0, "cpc": 1.38, "competition": 0.91, "results": 27700000},
            701: {"volume": 170, "difficulty": 54.0, "cpc": 0.0, "competition": 0.05, "results": 38700000},
            1482: {
                "keyword": "v12 vantage s for sale",
                "volume": 90,
                "difficulty": 12.0,
                "cpc": 0.16,
                "competition": 0.91,
                "results": 89,
            },
        },
    ),
    GAP_CSV: (
        "semrush",
        "keyword gap",
        1481,
        0,
        {
            3: {
                "keyword": "rolls royce",
                "vendor_intent": ["informational", "navigational"],
                "volume": 90500,
                "difficulty": 88.0,
                "cpc": 0.95,
                "competition": 0.53,
                "results": 158000000,
                "position": None,
            },
            60: {"keyword": "rolls royce motor cars", "volume": 2400, "cpc": 1.1, "competition": 0.15},
            258: {"keyword": "aston martin dbx concept price", "vendor_intent": None, "difficulty": 26.0},
            700: {"volume": 170, "cpc": 0.38, "competition": 1.0, "results": 13000000},
            1100: {"keyword": "how much is lambo urus", "cpc": 0.0, "volume": 110},
            1482: {"vendor_intent": ["transactional"], "difficulty": 12.0, "results": 89},
        },
    ),
}


@pytest.fixture(scope="module")
def folder() -> Path:
    value = os.environ.get("OKF_EVAL_DATA")
    if not value:
        pytest.fail("set OKF_EVAL_DATA to the folder of evaluation data: real exports are in its formats/")
    return Path(value) / "formats"


@pytest.mark.parametrize("name", GOLDEN)
def test_cells_read_by_hand_come_out_of_real_exports(folder: Path, name: str) -> None:
    tool, report, kept, totals, cells = GOLDEN[name]
    with open_export(folder / name) as export:
        rows = {row.line: row for batch in export.batches() for row in batch.observations()}
        assert (export.tool, export.report) == (tool, report)
        assert export.rows_kept == kept
        assert dict(export.skipped.reasons) == ({"total row": totals} if totals else {})
        assert export.rows_in == export.rows_kept + export.rows_skipped
    said = {line: {field: getattr(rows[line], field) for field in fields} for line, fields in cells.items()}
    assert said == cells
    assert sum(map(len, cells.values())) >= 20
    assert all(row.source == tool for row in rows.values())


def test_the_same_table_as_csv_and_as_spreadsheet_says_the_same(folder: Path) -> None:
    def keywords(name: str) -> dict[str, Observation]:
        with open_export(folder / name) as export:
            return {row.keyword: row for batch in export.batches() for row in batch.observations()}

    of_csv, of_sheet = keywords(GAP_CSV), keywords(GAP_XLSX)
    fields = ("volume", "difficulty", "cpc", "competition", "results", "vendor_intent")
    differ = [
        keyword
        for keyword in of_csv.keys() & of_sheet.keys()
        if any(getattr(of_csv[keyword], field) != getattr(of_sheet[keyword], field) for field in fields)
    ]
    assert of_csv.keys() & of_sheet.keys()
    assert differ == []


def test_every_column_of_every_row_is_understood_or_kept(folder: Path) -> None:
    with open_export(folder / GAP_CSV) as export:
        row = next(row for batch in export.batches() for row in batch.observations() if row.line == 60)
    assert row.extra == {
        "grange.co.uk": "14",
        "hrowen.co.uk": "4",
        "grange.co.uk (pages)": "https://www.grange.co.uk/rolls-royce/new-cars",
        "hrowen.co.uk (pages)": "https://www.hrowen.co.uk/rolls-royce/model-range/",
    }


def test_every_file_is_read_with_hardly_a_row_skipped_or_refused_in_a_line(folder: Path) -> None:
    refused = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".csv", ".xlsx"):
            continue
        try:
            with open_export(path) as export:
                rows = sum(len(batch) for batch in export.batches())
                assert export.tool != "plain", path.name
                assert rows == export.rows_kept
                data_rows = export.rows_in - export.skipped.reasons["total row"]
                assert data_rows - export.rows_kept <= 0.005 * data_rows, path.name
        except UnreadableExport as error:
            refused[path.name] = str(error)
    assert list(refused) == ["gsc_pt_Paginas.csv"]
    assert "\n" not in refused["gsc_pt_Paginas.csv"]
