"""The query language: what people type and paste, and what is made of it."""

import pytest

from omnikeywords.errors import InvalidOption, InvalidQuery
from omnikeywords.search.filters import filter_query
from omnikeywords.search.query import Search, parse
from omnikeywords.search.schema import Terms
from omnikeywords.search.words import alike, split


def parts(search: Search) -> list[tuple[str, str, bool]]:
    return [(part.kind.value, " ".join(part.words), part.excluded) for part in search.parts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("running shoes", [("word", "running", False), ("word", "shoes", False)]),
        ("  Tênis  de CORRIDA ", [("word", "tenis", False), ("word", "de", False), ("word", "corrida", False)]),
        ('"running shoes" red', [("phrase", "running shoes", False), ("word", "red", False)]),
        ("“running shoes”", [("phrase", "running shoes", False)]),
        ("shoes -cheap", [("word", "shoes", False), ("word", "cheap", True)]),
        ('shoes -"for men"', [("word", "shoes", False), ("phrase", "for men", True)]),
        ("run*", [("prefix", "run", False)]),
        ("shoes -run*", [("word", "shoes", False), ("prefix", "run", True)]),
        ("wi-fi", [("word", "wi", False), ("word", "fi", False)]),
        ("c++", [("word", "c++", False)]),
        ("", []),
        ("   ", []),
    ],
)
def test_words_phrases_prefixes_and_exclusions(text: str, expected: list[tuple[str, str, bool]]) -> None:
    found = parse(text)
    assert parts(found) == expected
    assert found.notes == ()


@pytest.mark.parametrize(
    ("text", "words", "note"),
    [
        ('running "shoes', ["running", "shoes"], "the quote at column 9 has no other: it is taken as it is"),
        ('5" screen', ["5", "screen"], "the quote at column 2 has no other: it is taken as it is"),
        ("shoes - nike", ["shoes", "nike"], "- at column 7 is no word: it is left out"),
        ("shoes * nike", ["shoes", "nike"], "* at column 7 is no word: it is left out"),
        ("shoes & nike", ["shoes", "nike"], "& at column 7 is no word: it counts only where a keyword is just that"),
        ("&", ["&"], "& at column 1 is looked for as it is"),
        ("shoes " + "-" * 90, ["shoes"], "-" * 40 + "… at column 7 is no word: it is left out"),
    ],
)
def test_what_people_paste_is_taken_as_it_is_and_said(text: str, words: list[str], note: str) -> None:
    found = parse(text)
    assert [word for part in found.parts for word in part.words] == words
    assert not any(part.excluded for part in found.parts)
    assert found.notes == (note,)


@pytest.mark.parametrize(
    "text", ['"', '""', "-", "--", "*", "-*", '-"', "()", "AND OR NOT", "a:b", "\x00", "[1 TO", "~", "^2", "\\"]
)
def test_nothing_that_fits_is_an_error(text: str) -> None:
    parse(text)


def test_a_query_without_operators_may_be_a_keyword() -> None:
    assert parse("Tênis & Corrida").plain == ("tenis", "&", "corrida")
    assert parse('"tênis corrida"').plain == ()
    assert parse("tênis -corrida").plain == ()


def test_what_is_too_long_is_refused_with_its_column() -> None:
    with pytest.raises(InvalidQuery, match="10,000 characters, at most 500") as found:
        parse("a" * 10_000)
    assert found.value.params["column"] == 501
    with pytest.raises(InvalidQuery, match="more than 32 words, from column 65") as found:
        parse("a " * 33)
    assert found.value.params["column"] == 65


def test_accents_case_and_punctuation_are_gone_from_words() -> None:
    assert split("straße são-paulo don't women's u.s. 3.5") == ["strasse", "sao", "paulo", "dont", "women", "us", "3.5"]


def test_a_word_is_like_its_forms_in_every_language() -> None:
    assert alike("shoes")[0] == "shoes"
    assert "shoe" in alike("shoes")
    for one, other in (("acoes", "acao"), ("hoteis", "hotel"), ("jardins", "jardim"), ("canciones", "cancion")):
        assert set(alike(one)) & set(alike(other))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("colour", "red", "filter 'colour' is unknown: use market, language"),
        ("min_volume", "much", "filter min_volume is 'much': give a number"),
        ("max_position", "nan", "filter max_position is 'nan': give a number"),
        ("words", "two", "filter words is 'two': give a whole number below 10000"),
        ("local", "yes", "filter local is 'yes': use true or false"),
        ("market", "|".join(["pt-BR", *map(str, range(100))]), "filter market has 101 choices: give at most 100"),
    ],
)
def test_a_wrong_filter_is_refused(name: str, value: str, said: str) -> None:
    with pytest.raises(InvalidOption) as found:
        filter_query(name, value, Terms(1))
    assert str(found.value).startswith(said)


@pytest.mark.parametrize("value", ["1e308", "-1e308", "0", "-0.0", "1e-300"])
def test_any_number_may_bound_a_filter(value: str) -> None:
    for name in ("min_difficulty", "max_difficulty", "min_volume", "max_volume"):
        filter_query(name, value, Terms(1))
