"""The hand-labelled yardsticks are whole: counts, labels, balance, no phrase twice."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent / "data"
LANGUAGES = {"en", "es", "pt"}
INTENTS = {"informational", "navigational", "commercial", "transactional"}


def rows_of(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True))


@pytest.fixture(scope="module")
def labelled() -> list[dict[str, str]]:
    return rows_of("intent_labelled.tsv")


@pytest.fixture(scope="module")
def pairs() -> list[dict[str, str]]:
    return rows_of("hard_pairs.tsv")


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("intent_labelled.tsv", ["phrase", "language", "intent"]),
        ("hard_pairs.tsv", ["a", "b", "language", "reason"]),
    ],
)
def test_every_line_has_the_columns_of_the_header_filled_and_trimmed(name: str, columns: list[str]) -> None:
    text = (DATA / name).read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert "\r" not in text
    header, *lines = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    assert header == columns
    for cells in lines:
        assert len(cells) == len(columns), cells
        assert all(cell and cell == " ".join(cell.split()) for cell in cells), cells


def test_four_hundred_phrases_carry_known_labels(labelled: list[dict[str, str]]) -> None:
    assert len(labelled) == 400
    assert {row["language"] for row in labelled} == LANGUAGES
    assert {row["intent"] for row in labelled} == INTENTS


def test_each_language_and_each_intent_has_its_share(labelled: list[dict[str, str]]) -> None:
    cells = Counter((row["language"], row["intent"]) for row in labelled)
    assert len(cells) == 12
    assert all(33 <= count <= 34 for count in cells.values()), cells


def test_no_phrase_is_labelled_twice(labelled: list[dict[str, str]]) -> None:
    counts = Counter(" ".join(sorted(row["phrase"].casefold().split())) for row in labelled)
    assert [phrase for phrase, count in counts.items() if count > 1] == []


def test_phrases_are_keywords_of_one_to_eight_words(labelled: list[dict[str, str]]) -> None:
    lengths = Counter(len(row["phrase"].split()) for row in labelled)
    assert set(lengths) == set(range(1, 9))


def test_each_intent_is_defined_and_no_definition_gives_a_labelled_phrase_away() -> None:
    text = (DATA / "INTENT_DEFINITIONS.md").read_text(encoding="utf-8")
    for intent in INTENTS:
        assert f"\n## {intent.capitalize()}\n" in text
    examples = {part.strip(" .") for part in re.split(r"[(),;:·|\n→]", text)}
    assert examples & {row["phrase"] for row in rows_of("intent_labelled.tsv")} == set()


def test_three_hundred_pairs_in_three_languages(pairs: list[dict[str, str]]) -> None:
    assert Counter(row["language"] for row in pairs) == {"en": 120, "pt": 90, "es": 90}


def test_a_pair_is_two_different_phrases_and_stands_once(pairs: list[dict[str, str]]) -> None:
    sides = [frozenset((row["a"].casefold(), row["b"].casefold())) for row in pairs]
    assert all(len(side) == 2 for side in sides)
    assert [set(side) for side, count in Counter(sides).items() if count > 1] == []


def test_no_phrase_stands_in_two_pairs(pairs: list[dict[str, str]]) -> None:
    counts = Counter((row["language"], row[side].casefold()) for row in pairs for side in ("a", "b"))
    assert [phrase for phrase, count in counts.items() if count > 1] == []
