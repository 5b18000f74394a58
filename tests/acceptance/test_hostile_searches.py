"""Whatever is asked of a running service is a good page, or is refused with what is wrong and where."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from omnikeywords.settings import Settings
from tests.acceptance.test_serve import Service, serving, until

KEYWORDS = ["red shoes", "blue shoes", "istanbul tours", "مرحبا بالعالم", "coffee & tea"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    places = {
        "OKF_DATA_DIR": str(folder),
        "OKF_DATABASE_URL": f"sqlite:///{folder}/catalogue.sqlite3",
        "OKF_LANGUAGE_TABLE": str(Settings.load({}).language_table_path),
    }
    with serving("--workers", "1", **places) as running:
        assert running.ask("POST", "/api/v1/imports", {"keywords": KEYWORDS})[0] == 202
        until(lambda: ask(running, "q=")[1].get("total") == len(KEYWORDS), 60)
        yield running


def ask(service: Service, query: str) -> tuple[int, dict[str, object]]:
    status, text = service.ask("GET", f"/api/v1/search?fields=keyword&{query}")
    return status, json.loads(text)


def q(text: str) -> str:
    return urlencode({"q": text})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"red shoes', ["red shoes"]),  # a quote that is never closed
        ('red"shoes"', ["red shoes"]),
        ("-shoes -coffee -istanbul", ["مرحبا بالعالم"]),  # nothing but what is not wanted
        ("red\tshoes\r\n", ["red shoes"]),
        ("red\x07 \x1bshoes", ["red shoes"]),
        ("\u202ered\u202c sho\u200des\ufeff", ["red shoes"]),
        ("بالعالم", ["مرحبا بالعالم"]),
        ("s" + "\u0301" * 300 + "hoes red", ["red shoes"]),
        ("👟 red shoes", ["red shoes"]),
        ("👨‍👩‍👧‍👦" * 60, []),
        ("ＲＥＤ ｓｈｏｅｓ", ["red shoes"]),
        ("İSTANBUL", ["istanbul tours"]),
        ("&", ["coffee & tea"]),
        ("(" * 250 + "\\" * 250, []),
        ('"' * 500, []),
        ("-" * 500, []),
        ("東" * 500, []),
        (" ".join(f"zx{number}qwv" for number in range(32)), []),
    ],
)
def test_what_people_paste_is_a_good_page(service: Service, text: str, found: list[str]) -> None:
    status, answer = ask(service, q(text))
    assert (status, [hit["keyword"] for hit in answer["hits"]]) == (200, found)  # type: ignore[attr-defined]
    assert all(len(note) < 120 for note in answer["notes"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("query", "column", "said"),
    [
        (q("a" * 10_000), 501, "the search has 10,000 characters, at most 500 are allowed: shorten it"),
        (q("w " * 33), 65, "the search has more than 32 words, from column 65 on: leave some out"),
        ("q=red&colour=blue", 22, "filter 'colour' at column 22 of the query is unknown"),
        (q("red") + "".join(f"&f{number}=1" for number in range(1000)), 22, "filter 'f0' at column 22 of the query"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_column(service: Service, query: str, column: int, said: str) -> None:
    status, answer = ask(service, query)
    assert (status, answer["code"]) == (400, "invalid_query")
    assert str(answer["detail"]).startswith(said)
    assert answer["params"]["column"] == column  # type: ignore[index]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("q=%00", "the query is not text in UTF-8, percent-encoded, without U+0000"),
        ("q=%ff%fe", "the query is not text in UTF-8, percent-encoded, without U+0000"),
        ("q=a&" + "&".join(["language=en"] * 1000), "language: it is given twice: give it once"),
        ("q=a&language=" + "%7C".join(["en"] * 1000), "filter language has 1000 choices: give at most 100"),
        ("q=a&cursor=" + "A" * 5000, "the cursor is of another list: begin again without it"),
        ("q=a&limit=" + "9" * 400, "limit: expected int <= 1000"),
        ("q=a&min_volume=nan", "filter min_volume is 'nan': give a number"),
        ("q=a&facets=,", "facet '' is unknown: use language, intent"),
    ],
)
def test_a_wrong_value_is_refused_in_words(service: Service, query: str, said: str) -> None:
    status, answer = ask(service, query)
    assert status == 422
    assert str(answer["detail"]).startswith(said) or str(answer["errors"]).count(said)
