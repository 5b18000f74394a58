"""What callers of `analyse` rely on: each phrase on its own, one result in three shapes, scores that add up."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnikeywords.analysis import MODEL_VERSION, Options, Weights, analyse
from omnikeywords.analysis.tables import to_arrow
from omnikeywords.errors import InvalidOption
from omnikeywords.model import Market, keyword_id

PHRASES = [
    "comprar ténis de corrida",
    "how to choose trail running shoes",
    "zapatillas running mujer baratas",
    "amazon.com login",
    "iphone 13",
    "c++",
    "東京 天気",
    "dentista perto de mim",
    "",
    "best running shoes 2026",
    "ß",
    "qwrtzxv",
    "\x00\x01",
    "nike vs adidas",
    "x" * 701,
]
# Mostly what people type, at times anything at all.
phrase = st.one_of(
    st.lists(
        st.sampled_from(
            ["buy", "comprar", "como", "how", "to", "de", "the", "shoes", "2026", "nike", "near", "me", "c++"]
        ),
        min_size=1,
        max_size=6,
    ).map(" ".join),
    st.sampled_from(PHRASES),
    st.text(max_size=30),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(phrase, min_size=2, max_size=12), st.data())
def test_a_phrase_is_analysed_alike_alone_in_parts_and_in_any_order(phrases, data):
    whole = analyse(phrases).rows()
    cut = data.draw(st.integers(1, len(phrases) - 1))
    assert analyse(phrases[:cut]).rows() + analyse(phrases[cut:]).rows() == whole
    order = data.draw(st.permutations(range(len(phrases))))
    assert analyse([phrases[i] for i in order]).rows() == [whole[i] for i in order]
    assert analyse([phrases[0]]).rows() == [whole[0]]


def _without_nulls_in_parts(row):
    for name in ("difficulty", "opportunity"):
        if row.get(name):
            parts = row[name]["parts"]
            row[name]["parts"] = {part: points for part, points in parts.items() if points is not None}
    return row


@pytest.mark.parametrize("kind", ["basic", "comprehensive"])
@pytest.mark.parametrize("phrases", [PHRASES, PHRASES[:3], []])
def test_rows_arrow_and_polars_say_the_same(kind, phrases):
    observations = {"volume": [10.0] * len(phrases), "position": [4.0] * len(phrases)}
    analysis = analyse(phrases, Options(kind=kind, market=Market("pt", "BR")), observations)
    if kind == "comprehensive":
        analysis = analysis.with_near_duplicates()
    rows = analysis.rows()
    assert len(rows) == len(analysis) == len(phrases)
    assert [_without_nulls_in_parts(row) for row in analysis.to_arrow().to_pylist()] == rows
    assert [_without_nulls_in_parts(row) for row in analysis.to_polars().to_dicts()] == rows


@pytest.mark.parametrize("kind", ["basic", "comprehensive"])
@pytest.mark.parametrize("market", [None, Market("pt", "BR")])
@pytest.mark.parametrize("phrases", [PHRASES, PHRASES[:3], [], ["", "buy cheap shoes in são paulo 2024", "\x01"]])
def test_an_encoded_table_says_the_same(kind, market, phrases):
    observations = {"volume": [10.0] * len(phrases), "position": [4.0] * len(phrases)}
    analysis = analyse(phrases, Options(kind=kind, market=market), observations)
    plain, encoded = to_arrow(analysis), to_arrow(analysis, encoded=True)
    encoded.validate(full=True)
    assert encoded.column_names == plain.column_names
    assert encoded.to_pylist() == plain.to_pylist()
    if phrases == PHRASES[:3]:
        assert to_arrow(analysis, keyword=encoded["keyword"], encoded=True) == encoded


def test_a_keyword_has_every_field_in_the_documented_order():
    (row,) = analyse(["comprar ténis"]).rows()
    assert " ".join(row) == (
        "keyword normalized id market language language_confidence words length question intent intents "
        "funnel modifiers branded local year popularity difficulty opportunity evidence "
        "near_duplicate_of near_duplicate_reason error model_version"
    )


def test_basic_ends_with_the_intents():
    (row,) = analyse(["comprar ténis"], Options(kind="basic")).rows()
    assert " ".join(row) == (
        "keyword normalized id market language language_confidence words length question intent intents "
        "error model_version"
    )


def test_a_bad_item_is_an_error_of_its_own():
    rows = analyse(["nike", "", None, 7, "x" * 800, "\ud800", "adidas"]).rows()
    assert [row["error"] is None for row in rows] == [True, False, False, False, False, False, True]
    assert {row["error"]["code"] for row in rows[1:6]} == {"invalid_keyword"}
    assert rows[1]["normalized"] is rows[1]["intents"] is rows[1]["id"] is None
    assert rows[6]["normalized"] == "adidas"


def test_the_id_is_that_of_the_market_and_the_normalized_phrase():
    (row,) = analyse(["  São  PAULO "], Options(market=Market("pt", "BR"))).rows()
    assert row["normalized"] == "são paulo"
    assert row["market"] == "pt-BR"
    assert row["id"] == keyword_id(Market("pt", "BR"), "são paulo")


def test_length_counts_words():
    lengths = [row["length"] for row in analyse(["a", "a b", "a b c", "a b c d", "a b c d e"]).rows()]
    assert lengths == ["head", "body", "body", "long_tail", "long_tail"]


def test_missing_numbers_are_null_and_never_zero():
    (row,) = analyse(["ténis"]).rows()
    assert row["difficulty"] is None
    assert row["opportunity"] is None
    assert row["year"] is None


def test_scores_of_a_row_recompute_from_its_parts():
    observations = {"volume": [880, None, 10], "competition": [0.4, 0.9, None], "position": [7.2, None, 55]}
    rows = analyse(["buy trail shoes", "trail shoes", "shoes"], Options(), observations).rows()
    assert rows[0]["difficulty"]["basis"] == "estimated"
    assert rows[1]["opportunity"] is None
    for row in rows:
        for score in (row["difficulty"], row["opportunity"]):
            if score is not None:
                assert score["score"] == round(math.fsum(score["parts"].values()), 2)


def test_weights_change_the_score():
    observations = {"volume": [1000], "position": [1]}
    demand_only = Options(weights=Weights(demand=1, ease=0, value=0, headroom=0))
    assert analyse(["shoes"], demand_only, observations).rows()[0]["opportunity"]["score"] == 60.0


def test_user_brands_make_a_phrase_branded():
    phrases = ["zorvex trail jacket", "trail jacket"]
    assert [row["branded"] for row in analyse(phrases).rows()] == [False, False]
    assert [row["branded"] for row in analyse(phrases, Options(brands=("Zorvex",))).rows()] == [True, False]


def test_intents_are_probabilities_and_the_intent_is_the_likeliest():
    for row in analyse(PHRASES[:8]).rows():
        assert sum(row["intents"].values()) == pytest.approx(1, abs=0.001)
        assert row["intents"][row["intent"]] == max(row["intents"].values())


def test_near_duplicates_name_their_head_and_the_reason():
    observations = {"volume": [10, 90, 5]}
    analysis = analyse(["tenis feminino", "tênis femininos", "bola"], Options(), observations)
    rows = analysis.with_near_duplicates().rows()
    assert rows[0]["near_duplicate_of"] == "tênis femininos"
    assert rows[0]["near_duplicate_reason"] == "plural"
    assert rows[1]["near_duplicate_of"] is rows[2]["near_duplicate_of"] is None


def test_an_unknown_kind_is_refused():
    with pytest.raises(InvalidOption, match="'deep' is unknown: use basic or comprehensive"):
        Options(kind="deep")


def test_the_model_version_stands_in_every_row():
    assert {row["model_version"] for row in analyse(PHRASES).rows()} == {MODEL_VERSION}


def test_importing_analysis_needs_only_the_numeric_libraries():
    code = (
        "import sys; before = set(sys.modules); import omnikeywords.analysis; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    # numba reads its own settings with yaml where that is installed; cython's are parts of it.
    parts = {name for name in found if name == "yaml" or "cython" in name}
    assert set(found) - parts == {"numpy", "numba", "llvmlite", "omnikeywords"}


def test_phrases_come_in_whatever_holds_them() -> None:
    import numpy as np
    import polars as pl
    import pyarrow as pa

    expected = [row["id"] for row in analyse(["ténis", "botas"]).rows()]
    for phrases in (
        ("ténis", "botas"),
        (phrase for phrase in ["ténis", "botas"]),
        np.array(["ténis", "botas"]),
        np.array(["ténis", "botas"], dtype=object),
        pl.Series(["ténis", "botas"]),
        pa.array(["ténis", "botas"]),
        {"ténis": 1, "botas": 2},
    ):
        assert [row["id"] for row in analyse(phrases).rows()] == expected


@pytest.mark.parametrize("phrases", ["ténis", b"x"])
def test_a_phrase_that_is_in_no_list_is_refused_and_not_taken_for_its_letters(phrases: object) -> None:
    with pytest.raises(InvalidOption, match="put it in brackets"):
        analyse(phrases)


def test_options_may_be_given_as_text() -> None:
    assert Options(market="pt-BR").market == Market("pt", "BR")
    assert Options(brands=["Acme", "Zenith"]).brands == ("Acme", "Zenith")
    assert Options(language_table="/x").language_table == Path("/x")


def test_brands_that_are_one_text_are_refused_and_not_taken_for_its_letters() -> None:
    with pytest.raises(InvalidOption, match="put them in brackets"):
        Options(brands="Acme")
