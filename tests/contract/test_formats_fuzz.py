"""Whatever bytes are given: they are read, each row kept or skipped, or refused in one line."""

import json
from collections.abc import Callable
from importlib.resources import files

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnikeywords.errors import OmniKeywordsError
from omnikeywords.formats import Export, open_export

SAMPLE = next(p for p in files("omnikeywords.sample").iterdir() if p.name.endswith(".csv")).read_bytes()
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

HEADERS = """keyword; Keyword; query; Top queries; Palavra-chave; Mot clé; クエリ; Ключевое слово; Volume; Clicks
Cliques; Impressions; CTR; Position; CPC (USD); Search Volume; Difficulty; KD %; Country; Competition
Searches: Oct 2020; Trend; SV trend (03-2024 - 02-2026); Intents; Currency; Avg. monthly searches; Date; URL
Match type; Search term; Week; x: (US); id; normalized; extra; model_version; ; Database; Position Type; No; #
monthly_searches; serp_features""".replace("\n", "; ").split("; ")
CELLS = """shoes; tênis; обувь; 靴; a | b; x, y; say "hi"; "; ; -;  --; ∞; 1; 1,310; 1.310,5; 10K – 100K; 50%
2025-01-05; 05/01/2025; R$ 4,81; < 10; true; 1e400; -5; 99999999999999999999; [1,2]; {"a": 1}; [; \0; \u2028
Total: x; 0.1,0.2; us; https://a.com/; keyword; TOP; RISING; Breakout""".replace("\n", "; ").split("; ")


def is_read_or_refused(data: bytes) -> int | None:
    """How many rows are in it; None where it is refused."""
    try:
        export = open_export(data)
    except OmniKeywordsError as error:
        refusal = str(error)
    else:
        refusal = read_through(export)
        if not refusal:
            return export.rows_in
    assert len(refusal.splitlines()) == 1
    return None


def read_through(export: Export) -> str:
    """Why reading was given up; empty where all rows were read."""
    with export:
        export.preview(3)
        try:
            kept = [row for batch in export.batches(7) for row in batch.observations()]
        except OmniKeywordsError as error:
            return str(error)
    assert len(kept) == export.rows_kept == export.rows_in - export.rows_skipped
    assert all(row.keyword for row in kept)
    lines = [row.line for row in kept]
    assert lines == sorted(set(lines))
    assert not {row.line for row in export.skipped} & set(lines)
    assert not any("\n" in warning for warning in export.warnings)
    return ""


@FEW
@given(st.binary(max_size=2000))
def test_bytes_of_any_kind(data: bytes) -> None:
    is_read_or_refused(data)


@FEW
@given(st.text(max_size=500), st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32", "cp1251", "gb18030", "cp932"]))
def test_text_of_any_kind_in_any_encoding(text: str, codec: str) -> None:
    is_read_or_refused(text.encode(codec, "ignore"))


@FEW
@given(st.integers(0, len(SAMPLE)))
def test_the_sample_cut_anywhere_has_the_rows_above_the_cut(cut: int) -> None:
    rows = is_read_or_refused(SAMPLE[:cut])
    above = SAMPLE[:cut].splitlines()
    if len(above) > 2:
        assert rows == len([line for line in above[1:] if line.strip()])


def as_rows(delimiter: str) -> Callable[[list[list[str]]], str]:
    return lambda rows: "\n".join(delimiter.join(row) for row in rows)


def as_markdown(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines[:1], "|---" * len(rows[0]) + "|", *lines[1:]])


def as_objects(rows: list[list[str]]) -> str:
    return "\n".join(json.dumps(dict(zip(rows[0], row, strict=False))) for row in rows[1:])


def as_array(rows: list[list[str]]) -> str:
    return json.dumps([dict(zip(rows[0], row, strict=False)) for row in rows[1:]])


def as_trends(rows: list[list[str]]) -> str:
    return "Category: All\n\nTOP\n" + "\n".join(",".join(row[:2]) for row in rows)


@settings(FEW, max_examples=250)
@given(
    st.sampled_from([*map(as_rows, ",;\t|"), as_markdown, as_objects, as_array, as_trends]),
    st.lists(st.sampled_from(HEADERS), min_size=1, max_size=8),
    st.lists(st.lists(st.sampled_from(CELLS), min_size=1, max_size=9), max_size=12),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1251", "cp1252", "gb18030"]),
)
def test_tables_of_mutated_headers_and_cells(
    written: Callable[[list[list[str]]], str], header: list[str], rows: list[list[str]], end: str, codec: str
) -> None:
    is_read_or_refused(written([header, *rows]).replace("\n", end).encode(codec, "replace"))
