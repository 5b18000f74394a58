"""Every tool's tables are recognised by their columns, and their cells mean what the tool means by them."""

import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from omnikeywords.errors import UnreadableExport
from omnikeywords.formats import Export, open_export
from omnikeywords.model import Market, Observation

FILES = Path(__file__).parents[1] / "data" / "formats"


def read(source: bytes | str | Path, **options: Any) -> tuple[Export, list[Observation]]:
    if isinstance(source, str):
        source = source.encode()
    with open_export(source, **options) as export:
        return export, [row for batch in export.batches() for row in batch.observations()]


def said(row: Observation, *fields: str) -> tuple[Any, ...]:
    return tuple(getattr(row, field) for field in fields)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Top queries,Clicks,Impressions,CTR,Position", "en"),
        ("Requêtes les plus fréquentes,Clics,Impressions,CTR,Position", "fr"),
        ("Consultas principales,Clics,Impresiones,CTR,Posición", "es"),
        ("Principais consultas,Cliques,Impressões,CTR,Posição", "pt"),
        ("Häufigste Suchanfragen,Klicks,Impressionen,Klickrate,Position", "de"),
        ("Query principali,Clic,Impressioni,CTR,Posizione media", "it"),
        ("Populairste zoekopdrachten,Klikken,Vertoningen,CTR,Positie", "nl"),
        ("Najpopularniejsze zapytania,Kliknięcia,Wyświetlenia,CTR,Pozycja", "pl"),
        ("En popüler sorgular,Tıklama,Görüntüleme,CTR,Ortalama konum", "tr"),
        ("Nejčastější dotazy,Kliknutí,Zobrazení,CTR,Průměrná pozice", "cs"),
        ("Vanligaste sökfrågorna,Klick,Visningar,Klickfrekvens,Genomsnittlig position", "sv"),
        ("上位のクエリ,クリック数,表示回数,CTR,掲載順位", "ja"),
        ("인기 검색어,클릭수,노출수,클릭률,평균 게재순위", "ko"),
        ("热门查询,点击次数,展示次数,点击率,平均排名", "zh"),
        ("Поисковый запрос,Клики,Показы,CTR,Позиция", "ru"),
        ("Mga nangungunang query,Mga click,Mga impression,CTR,Posisyon", "by the place of its columns"),
    ],
)
def test_search_console_is_recognised_in_any_language(header: str, name: str) -> None:
    export, rows = read(f"{header}\nsapatos pretos,12,340,3.53%,8.21\nbotas,0,5,0%,13")
    assert (export.tool, export.report) == ("google_search_console", "queries"), name
    assert [said(row, "keyword", "clicks", "impressions", "ctr", "position", "volume") for row in rows] == [
        ("sapatos pretos", 12, 340, 0.0353, 8.21, None),
        ("botas", 0, 5, 0.0, 13.0, None),
    ]


def test_search_console_says_when_its_export_was_cut() -> None:
    rows = "".join(f"keyword {i},1,10,10%,{i + 1}\n" for i in range(1000))
    export, _ = read("Top queries,Clicks,Impressions,CTR,Position\n" + rows)
    assert any("cuts exports" in warning for warning in export.warnings)


def test_search_console_compared_periods_keep_the_other_period_apart() -> None:
    _, rows = read(FILES / "gsc_en_compare.csv")
    assert said(rows[0], "clicks", "impressions", "ctr", "position") == (50, 1000, 0.05, 6.0)
    assert rows[0].extra["Previous 3 months Clicks"] == "100"


def test_search_console_api_rows_are_dated_and_keep_page_and_country() -> None:
    export, rows = read(
        "query,page,country,device,date,clicks,impressions,ctr,position\n"
        "tenis,https://x.pt/t,prt,MOBILE,2025-02-05,1,4,0.25,3.5\n"
    )
    assert (export.tool, export.report) == ("google_search_console", "search analytics")
    assert said(rows[0], "url", "market", "period_start", "period_granularity", "ctr") == (
        "https://x.pt/t",
        "und-PT",
        date(2025, 2, 5),
        "day",
        0.25,
    )
    assert rows[0].extra == {"device": "MOBILE"}


def test_a_spreadsheets_resave_with_semicolons_and_decimal_commas_is_read() -> None:
    export, rows = read(FILES / "gsc_de_semicolon_excel_resave.csv")
    assert export.delimiter == ";"
    assert said(rows[0], "clicks", "impressions", "ctr", "position") == (1234, 45678, 0.027, 12.3)


@pytest.mark.parametrize(
    ("name", "currency", "ranges"),
    [
        (
            "gkp_fr_ranges_utf16.csv",
            "EUR",
            [(100_000, 1_000_000, "low", 0.12), (10_000, 100_000, "medium", 0.4)],
        ),
        ("gkp_pt_utf8.csv", "BRL", [(1000, 10_000, "high", 0.93), (100, 1000, "low", 0.07)]),
    ],
)
def test_planner_ranges_stay_ranges(name: str, currency: str, ranges: list[tuple[Any, ...]]) -> None:
    export, rows = read(FILES / name)
    assert (export.tool, export.currency) == ("google_keyword_planner", currency)
    assert [said(row, "volume_min", "volume_max", "competition_level", "competition") for row in rows] == ranges
    assert {row.volume for row in rows} == {None}


def test_planner_bids_are_read_in_their_locale() -> None:
    _, rows = read(FILES / "gkp_pt_utf8.csv")
    assert [row.cpc for row in rows] == [1234.56, 2.10]
    assert rows[0].extra["Lance na parte superior da página (menores valores)"] == "R$ 1,23"


def test_planner_volumes_of_low_spend_accounts_are_the_ranges_they_stand_for() -> None:
    export, rows = read(FILES / "gkp_en_ranges_preamble_utf16.csv")
    assert [said(row, "volume", "volume_min", "volume_max") for row in rows] == [
        (None, 1000, 10_000),
        (None, None, None),
        (10, None, None),  # it has months, so it is a count
    ]
    assert said(rows[0], "period_start", "period_end") == (date(2025, 5, 1), date(2026, 4, 30))
    assert rows[2].monthly_searches == {"2025-05": 0, "2025-06": 10}
    assert any("low-spend" in warning for warning in export.warnings)
    header = "Keyword\tCurrency\tAvg. monthly searches\tCompetition\tCompetition (indexed value)\n"
    _, buckets = read(header + "a\tUSD\t50\tLow\t1\nb\tUSD\t500000\tHigh\t90\n")
    assert [said(row, "volume", "volume_min", "volume_max") for row in buckets] == [
        (None, 10, 100),
        (None, 100_000, 1_000_000),
    ]
    _, exact = read(header + "a\tUSD\t50\tLow\t1\nb\tUSD\t720\tHigh\t90\n")
    assert [row.volume for row in exact] == [50, 720]


def test_planner_of_spain_has_months_in_its_language() -> None:
    export, rows = read(
        "Keyword Stats 2025-11-11\n1 de octubre de 2024 - 30 de septiembre de 2025\n"
        "Palabra clave\tMoneda\tPromedio de búsquedas mensuales\tCompetencia\tCompetencia (valor indexado)\t"
        "Búsquedas: oct 2024\tBúsquedas: nov 2024\nzapatos\tEUR\t1.300\tMedia\t45\t1.000\t1.600\n"
    )
    assert export.tool == "google_keyword_planner"
    assert said(rows[0], "volume", "competition_level", "competition", "currency", "period_end") == (
        1300,
        "medium",
        0.45,
        "EUR",
        date(2025, 9, 30),
    )
    assert rows[0].monthly_searches == {"2024-10": 1000, "2024-11": 1600}


def test_google_ads_syntax_and_totals_in_other_languages() -> None:
    export, rows = read(
        "Relatório de palavras-chave\n1 de março de 2025 - 31 de março de 2025\n"
        "Status da palavra-chave;Palavra-chave;Tipo de correspondência;Campanha;"
        "Impressões;Cliques;CTR;Código da moeda;"
        "CPC méd.;Custo\nAtivada;[tênis nike];Correspondência exata;Verão;1.310;12;0,92%;BRL;1,05;12,60\n"
        "Total: conta;;;;1.310;12;0,92%;BRL;1,05;12,60\n"
    )
    assert (export.tool, export.report) == ("google_ads", "search keywords")
    assert said(rows[0], "keyword", "match_type", "impressions", "ctr", "currency", "cpc", "cost") == (
        "tênis nike",
        "exact",
        1310,
        0.0092,
        "BRL",
        1.05,
        12.6,
    )
    assert said(rows[0], "period_start", "period_granularity") == (date(2025, 3, 1), "month")
    assert dict(export.skipped.reasons) == {"total row": 1}


def test_google_ads_insights_have_ranges_of_volume() -> None:
    export, rows = read(
        "Search terms insight report\nNov 6, 2025 - Nov 7, 2025 compared to Nov 4, 2025 - Nov 5, 2025\n"
        "Search category,Search subcategory,Search terms,Impressions,Impressions (Change %),Search volume\n"
        'wreaths,door,door wreath,12," --","1,000 - 10,000"\n'
    )
    assert export.report == "search terms insights"
    assert said(rows[0], "keyword", "impressions", "volume_min", "volume_max", "volume") == (
        "door wreath",
        12,
        1000,
        10_000,
        None,
    )


def test_google_ads_negative_keywords_say_so() -> None:
    export, rows = read(
        'Negative keyword,Keyword or list,Campaign,Level,Match type\n"""free""",Keyword,A,Campaign,Phrase\n'
    )
    assert export.report == "negative keywords"
    assert said(rows[0], "keyword", "match_type") == ("free", "phrase")
    assert any("negative" in warning for warning in export.warnings)


def test_ahrefs_of_2026_has_months_and_keeps_empty_from_zero() -> None:
    text = (
        '"#"\t"Keyword"\t"Country"\t"Difficulty"\t"Volume"\t"CPC"\t"CPS"'
        '\t"Parent Keyword"\t"Last Update"\t"SERP Features"'
        '\t"Global volume"\t"SV trend (12-2025 - 02-2026)"\t"Intents"\n'
        '"1"\t"shoes"\t"gb"\t"0"\t"100"\t""\t""\t"shoe"'
        '\t"2026-03-23 09:22:15"\t"Top stories,AI Overview"\t"900"'
        '\t"34, , 32"\t"Commercial,Branded"\n"2"\t"rare"\t"gb"\t""\t""\t""\t""\t""\t""\t""\t"10"\t""\t""\n'
    )
    export, rows = read(text.encode("utf-16"), name="google_gb_shoes_matching-terms_2026-03-23_10-00-00.csv")
    assert (export.tool, export.report, export.encoding) == ("ahrefs", "matching terms", "utf-16-le")
    assert said(rows[0], "market", "difficulty", "volume", "cpc", "parent_keyword", "serp_features") == (
        "und-GB",
        0.0,
        100,
        None,
        "shoe",
        ["Top stories", "AI Overview"],
    )
    assert rows[0].monthly_searches == {"2025-12": 34, "2026-01": None, "2026-02": 32}
    assert said(rows[1], "difficulty", "volume", "monthly_searches", "vendor_intent") == (
        None,
        None,
        None,
        None,
    )
    assert rows[1].extra["Global volume"] == "10"


def test_ahrefs_site_explorer_reads_current_columns_and_true_flags() -> None:
    _, rows = read(FILES / "ahrefs_site_explorer_organic_utf16.csv")
    assert said(rows[0], "position", "url", "vendor_intent", "volume", "difficulty", "cpc") == (
        7.0,
        "https://example.com/crm",
        ["informational", "commercial"],
        12000,
        80.0,
        12.5,
    )


def test_semrush_positions_yield_a_row_for_each_page() -> None:
    export, rows = read(
        "Keyword,Position,Previous position,Search Volume,Keyword Difficulty,CPC,"
        "URL,Traffic,Traffic (%),Traffic Cost,"
        "Competition,Number of Results,Trends,Timestamp,"
        "SERP Features by Keyword,Keyword Intents,Position Type\n"
        "crm,3,4,5400,81,12.5,https://a.com/,90,0.1,1100,0.66,1000000,"
        '"[54,54,67]",2025-09-02,"Sitelinks, Reviews",'
        '"informational, transactional",Organic\n'
        'crm,9,8,5400,81,12.5,https://a.com/b,9,0.01,110,0.66,1000000,"[54,54,67]",2025-09-02,,,Organic\n',
        name="a.com-organic.Positions-us-20250903-2025-09-03T08_00_00Z.csv",
    )
    assert (export.tool, export.report, str(export.market)) == ("semrush", "organic positions", "und-US")
    assert [said(row, "position", "url", "volume", "market", "competition") for row in rows] == [
        (3.0, "https://a.com/", 5400, "und-US", 0.66),
        (9.0, "https://a.com/b", 5400, "und-US", 0.66),
    ]
    assert said(rows[0], "period_start", "currency", "vendor_intent") == (
        date(2025, 9, 2),
        None,
        ["informational", "transactional"],
    )


def test_semrush_magic_strategy_and_api() -> None:
    _, magic = read(FILES / "semrush_kmt_gifts_broad-match_us_2026-05-01.csv")
    assert said(magic[0], "volume", "cpc", "currency", "results", "competition") == (
        40500,
        0.92,
        "USD",
        1_250_000_000,
        1.0,
    )
    assert said(magic[1], "volume", "difficulty", "results", "vendor_intent") == (0, None, None, None)
    export, strategy = read(FILES / "semrush_ksb_clusters_2026-02-13.csv")
    assert str(export.market) == "und-US"
    assert said(strategy[0], "market", "url", "volume") == ("und-US", None, 1900)
    assert strategy[0].extra["Content references"] == '"a.com":"https://a.com/x"\n"b.com":"https://b.com/y"'
    _, api = read(FILES / "semrush_api_semicolon.csv")
    assert said(api[0], "market", "vendor_intent", "difficulty") == (
        "und-US",
        ["informational", "commercial"],
        68.0,
    )
    export, codes = read("Ph;Po;Nq;Cp;Co;Nr;In\ncrm;3;5400;12.5;0.66;1000;1,3\n")
    assert (export.tool, export.report) == ("semrush", "api")
    assert said(codes[0], "keyword", "position", "volume", "vendor_intent") == (
        "crm",
        3.0,
        5400,
        ["informational", "transactional"],
    )


def test_ubersuggest_paid_difficulty_is_competition_and_a_lone_dollar_no_currency() -> None:
    _, bulk = read(FILES / "ubersuggest_bulk.csv")
    assert said(bulk[0], "volume", "cpc", "currency", "competition", "difficulty") == (
        1300,
        2.17,
        None,
        0.96,
        29.0,
    )
    _, ideas = read(FILES / "ubersuggest_suggestions.csv")
    assert said(ideas[0], "cpc", "currency", "vendor_intent") == (2.17, "USD", ["navigational"])
    _, letters = read(
        'No,Keyword,Search Intent,Search Volume,CPC,Paid Difficulty,SEO Difficulty\n1,x,c,"6,1milhoes","R$ 4,81",5,9\n'
    )
    assert said(letters[0], "vendor_intent", "volume", "cpc", "currency") == (
        ["commercial"],
        6_100_000,
        4.81,
        "BRL",
    )
    _, domain = read(FILES / "ubersuggest_domain_overview.csv")
    assert said(domain[0], "keyword", "position", "url") == ("zip kit homes", 1.0, "http://example.com/")


def test_se_ranking_dashes_are_missing_and_the_latest_known_position_is_dated() -> None:
    _, related = read(FILES / "seranking_related.csv")
    assert said(related[0], "difficulty", "volume", "competition", "vendor_intent") == (
        61.0,
        8100,
        0.54,
        ["informational", "commercial"],
    )
    assert said(related[1], "difficulty", "volume", "cpc", "competition") == (None, None, None, None)
    export, tracked = read(FILES / "seranking_rank_tracker.csv")
    assert export.report == "rank tracker"
    assert said(tracked[0], "position", "url", "period_start", "volume") == (
        4.0,
        "https://example.de/a",
        date(2026, 8, 1),
        880,
    )


def test_bing_quotes_and_impossible_numbers_are_read_and_told() -> None:
    export, rows = read(FILES / "example.com_KeywordReport_7_18_2026_bing.csv")
    assert export.tool == "bing_webmaster"
    assert rows[1].keyword == 'cb06#TAB#6′ (72")#TAB#4" × 8"#TAB#165 lbs'
    assert said(rows[2], "position", "ctr") == (632.0, 0.0)
    odd, _ = read('"Keyword","Impressions","Clicks","CTR","Avg. Position"\n"a","1","2","200%","3"\n')
    assert sum("100 %" in warning or "more clicks" in warning for warning in odd.warnings) == 2


def test_moz_and_mangools_by_their_names() -> None:
    export, rows = read(
        "Keyword,Min Volume,Max Volume,Difficulty,Organic CTR,Priority\nshoes,11,50,33,71,40\nrare,no data,,,,\n"
    )
    assert export.tool == "moz"
    assert said(rows[0], "volume", "volume_min", "volume_max", "difficulty", "ctr") == (
        None,
        11,
        50,
        33.0,
        None,
    )
    assert rows[0].extra == {"Organic CTR": "71", "Priority": "40"}
    export, rows = read(
        "Keyword,Avg. Search Volume (Last Known Months),CPC,PPC,Keyword Difficulty,Search volume (09/2024)\n"
        "shoes,500,1.2,80,33,480\n"
    )
    assert export.tool == "mangools"
    assert said(rows[0], "volume", "competition", "difficulty", "monthly_searches") == (
        500,
        0.8,
        33.0,
        {"2024-09": 480},
    )


def test_any_table_with_a_keyword_column_is_read() -> None:
    export, rows = read("Grupo;Palavra-chave;Volume de buscas;KD %;Nota\nA;tênis;1.300;45%;bom\nB;bota;900;;\n")
    assert (export.tool, export.report) == ("plain", "keyword table")
    assert [said(row, "keyword", "volume", "difficulty", "extra") for row in rows] == [
        ("tênis", 1300, 45.0, {"Grupo": "A", "Nota": "bom"}),
        ("bota", 900, None, {"Grupo": "B"}),
    ]
    assert [(column.header, column.field) for column in export.columns] == [
        ("Grupo", None),
        ("Palavra-chave", "keyword"),
        ("Volume de buscas", "volume"),
        ("KD %", "difficulty"),
        ("Nota", None),
    ]


def test_a_list_is_one_keyword_a_line_with_ads_syntax_understood() -> None:
    export, rows = read('running shoes\n\nshoes, red\n"phrase match"\n[exact match]\n5" pipe\n')
    assert (export.report, export.delimiter) == ("keyword list", None)
    assert [said(row, "line", "keyword", "match_type") for row in rows] == [
        (1, "running shoes", None),
        (3, "shoes, red", None),
        (4, "phrase match", "phrase"),
        (5, "exact match", "exact"),
        (6, '5" pipe', None),
    ]


def test_a_table_without_a_header_is_read_by_what_its_columns_hold() -> None:
    export, rows = read("1200,running shoes,0.5\n300,trail shoes,0.7\n")
    assert [said(row, "line", "keyword") for row in rows] == [(1, "running shoes"), (2, "trail shoes")]
    assert rows[0].extra == {"column 1": "1200", "column 3": "0.5"}
    assert any("no header" in warning for warning in export.warnings)


def test_a_table_of_markdown_is_read() -> None:
    export, rows = read(
        "# Keywords\n\n| Keyword | Volume | Note |\n|:---|---:|:-:|\n| shoes, red | 1,300 | `x` |\n"
        '| a \\| b | 20 | |\n| "c" | | y |\n\n'
    )
    assert (export.container, export.delimiter, export.rows_in) == ("markdown", "|", 3)
    assert [said(row, "line", "keyword", "volume", "extra") for row in rows] == [
        (5, "shoes, red", 1300, {"Note": "`x`"}),
        (6, "a | b", 20, {}),
        (7, '"c"', None, {"Note": "y"}),
    ]
    _, rows = read("| keyword |\r\n|---|\r\n| shoes |\r\n| boots |\r\n")
    assert [said(row, "line", "keyword") for row in rows] == [(3, "shoes"), (4, "boots")]
    _, rows = read("keyword | volume\n--- | ---\nshoes | 10\n")
    assert [said(row, "keyword", "volume") for row in rows] == [("shoes", 10)]
    with pytest.raises(UnreadableExport, match="'name', 'age'"):
        read("| name | age |\n|---|---|\n| Jo | 3 |\n")


def test_only_rows_of_its_table_are_read_from_a_note() -> None:
    export, rows = read(
        "| name | age |\n|---|---|\n| Jo | 3 |\n\n## Mine\n| keyword | volume |\n| - | - |\n| a | 1 |\nb | 2\n\n"
        "Source: me | you\n\n| keyword | volume |\n|---|---|\n| c | 3 |\n| d | 4 | x |\n\n| city | people |\n"
    )
    assert [said(row, "line", "keyword", "volume") for row in rows] == [(8, "a", 1), (9, "b", 2), (15, "c", 3)]
    assert [(row.line, row.reason) for row in export.skipped] == [
        (11, "below the table"),
        (13, "repeated header"),
        (16, "unreadable row: 3 cells where the header has 2"),
        (18, "below the table"),
    ]
    assert export.rows_in == 7


TRENDS = """Category: All categories

TOP
best running shoes,100
"nike, running shoes",84
on shoes,<1

RISING
hoka running shoes,"+2,950%"
best running shoes,Breakout
"""


def test_related_queries_of_trends_keep_their_figures_apart_from_volumes() -> None:
    export, rows = read(TRENDS)
    assert (export.tool, export.report) == ("google_trends", "related queries")
    assert [said(row, "line", "keyword", "volume", "extra") for row in rows] == [
        (4, "best running shoes", None, {"top": "100"}),
        (5, "nike, running shoes", None, {"top": "84"}),
        (6, "on shoes", None, {"top": "<1"}),
        (9, "hoka running shoes", None, {"rising": "+2,950%"}),
        (10, "best running shoes", None, {"rising": "Breakout"}),
    ]
    assert (export.rows_in, export.rows_skipped, export.warnings) == (5, 0, [])
    export, rows = read("Category: All categories\n\nTOP\n\nRISING\n")
    assert rows == []
    assert export.warnings == ["the table has a header and no rows"]


def test_a_list_with_the_words_of_trends_stays_a_list() -> None:
    _, rows = read("best shoes\nTOP\nred shoes\n")
    assert [row.keyword for row in rows] == ["best shoes", "TOP", "red shoes"]


@pytest.mark.parametrize(
    ("codec", "text", "keyword"),
    [
        ("cp1251", "Поисковый запрос;Клики;Показы;CTR;Позиция\nкупить обувь;1;10;10%;2\n", "купить обувь"),
        ("cp1251", "Ключевое слово;Клики\nобувь;1\n", "обувь"),
        ("cp932", "上位のクエリ,クリック数,表示回数,CTR,掲載順位\n靴,1,2,50%,1\n", "靴"),
        ("gb18030", "关键词,点击次数\n跑步鞋,1\n", "跑步鞋"),
        ("cp949", "키워드,클릭수\n운동화,1\n", "운동화"),
        ("cp1250", "Słowo kluczowe;Kliknięcia\nbuty dziecięce łódź;1\n", "buty dziecięce łódź"),
        ("cp1254", "Anahtar kelime;Tıklama\nşehir ayakkabısı;1\n", "şehir ayakkabısı"),
        ("cp1253", "λέξη-κλειδί;clicks\nπαπούτσια;1\n", "παπούτσια"),
        ("cp1252", "Mot clé;Clics\nchaussures d\u2019été \u2013 œuf;1\n", "chaussures d\u2019été \u2013 œuf"),
        ("cp1252", "Palavra-chave;Cliques;Impressões;CTR;Posição\ntênis;1;2;50%;1\n", "tênis"),
        ("cp1252", "Häufigste Suchanfragen;Klicks;Impressionen;CTR;Position\nmüsli;1;2;50%;1\n", "müsli"),
        ("mac_roman", "Consultas principales;Clics;Impresiones;CTR;Posición\nniños;1;2;50%;1\n", "niños"),
    ],
)
def test_a_header_in_a_code_page_tells_which_one(codec: str, text: str, keyword: str) -> None:
    export, rows = read(text.encode(codec))
    assert (export.encoding, [said(row, "keyword", "clicks") for row in rows]) == (codec, [(keyword, 1)])
    assert f"read as {'Windows-1252' if codec == 'cp1252' else codec}" in export.warnings[0]


def test_the_market_a_person_gives_takes_the_country_of_each_row() -> None:
    text = "keyword,country\na,us\nb,br\nc,\nd,atlantis\n"
    given = {market: [row.market for row in read(text, market=Market.parse(market))[1]] for market in ("en", "pt-BR")}
    assert given == {
        "en": ["en-US", "en-BR", "en", "en"],
        "pt-BR": ["und-US", "pt-BR", "pt-BR", "pt-BR"],
    }
    _, rows = read(text)
    assert [row.market for row in rows] == ["und-US", "und-BR", None, None]
    assert rows[3].extra == {"country": "atlantis"}


def test_a_cell_that_is_no_number_is_kept_and_told() -> None:
    export, rows = read("keyword,volume\na,10\nb,lots\nc,--\n")
    assert [row.volume for row in rows] == [10, None, None]
    assert [dict(row.extra) for row in rows] == [{}, {"volume": "lots"}, {}]
    assert any("'lots' in line 3" in warning for warning in export.warnings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '"Address","Content Type","Status Code","Indexability"\n"https://a.com/","text/html","200","Indexable"\n',
            "Screaming Frog",
        ),
        ("Name,Email\nJo,jo@x.com\nAl,al@x.com\n", "'Name', 'Email'"),
        ("Páginas mais visitadas,Cliques,Impressões,CTR,Posição\nhttps://x.pt/,1,2,50%,1\n", "pages"),
        ("Country,Clicks,Impressions,CTR,Position\nBrazil,1,2,50%,1\n", "countries"),
        ("https://a.com/1\nhttps://a.com/2\nhttps://a.com/3\n", "addresses"),
        ("<!DOCTYPE html><html></html>", "HTML"),
        (
            "Category: All categories\n\nWeek,running shoes: (United States)\n2025-01-05,67\n2025-01-12,71\n",
            "Google Trends",
        ),
        ("Categoria: Todas\n\nMês,tênis: (Brasil),bota: (Brasil)\n2025-01,67,3\n2025-02,71,<1\n", "over time"),
        ("Category: All\n\nRegion,shoes: (25/11/2025 - 25/11/2026)\nOregon,100\n", "by region"),
        ("Some words about a shop that " * 9, "running text"),
        ("\n  \n", "empty"),
        ('{\n "keyword": "x"\n}', "one object a line"),
    ],
)
def test_what_holds_no_keywords_is_refused_in_a_line_that_helps(text: str, says: str) -> None:
    with pytest.raises(UnreadableExport) as refusal:
        read(text)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_keyword_table_that_begins_with_its_countries_is_no_table_of_countries() -> None:
    text = "Country,Keyword,Clicks,Impressions,CTR,Position\nbr,boots,1,2,50%,3\n"
    with open_export(io.BytesIO(text.encode()), name="keywords.csv") as export:
        (batch,) = export.batches()
    assert batch.frame["keyword"].to_list() == ["boots"]
