"""Near-duplicates: what joins and why, what stays apart, who is the head, and the laws of a set."""

import csv
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnikeywords.analysis import analyse
from omnikeywords.analysis.duplicates import REASONS, Duplicates, duplicates
from omnikeywords.analysis.frequency import LANGUAGES, build_table, default_table_path
from omnikeywords.analysis.language import LanguageModel
from omnikeywords.analysis.phrase_texts import FEW, Texts
from omnikeywords.errors import LanguageTableMissing

DATA = Path(__file__).parent.parent / "data"


@dataclass
class Phrases:
    normalized: list[str]
    language: np.ndarray
    popularity: np.ndarray


def phrases(texts, language="en", popularity=None):
    count = len(texts)
    code = LANGUAGES.index(language) if language in LANGUAGES else -1
    return Phrases(
        list(texts),
        np.full(count, code, np.int8),
        np.full(count, np.nan, np.float32) if popularity is None else np.array(popularity, np.float32),
    )


@pytest.fixture(scope="module")
def model():
    try:
        return LanguageModel.load(default_table_path())
    except LanguageTableMissing:
        build_table(default_table_path())
        return LanguageModel.load(default_table_path())


def read_pairs(name):
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def grouped(texts, **options):
    """Each text with the head's text and the reason."""
    given = phrases(texts, **options)
    found = duplicates(given)
    return {
        text: (texts[head], REASONS[reason]) for text, head, reason in zip(texts, found.head, found.reason, strict=True)
    }


def test_every_written_pair_joins_for_the_reason_given(model):
    missed = []
    for pair in read_pairs("near_duplicate_pairs.tsv"):
        found = duplicates(analyse([pair["a"], pair["b"]]), model=model)
        reason = REASONS[int(found.reason.max())] if found.head[0] == found.head[1] else "apart"
        if reason != pair["reason"]:
            missed.append((pair["a"], pair["b"], pair["reason"], reason))
    assert missed == []


def test_no_hard_pair_joins_alone_nor_among_the_others(model):
    pairs = read_pairs("hard_pairs.tsv")
    assert len(pairs) >= 300
    merged = [
        (pair["a"], pair["b"]) for pair in pairs if len(duplicates(analyse([pair["a"], pair["b"]]), model=model)) > 0
    ]
    everything = analyse([text for pair in pairs for text in (pair["a"], pair["b"])])
    head = duplicates(everything, model=model).head
    merged += [(pair["a"], pair["b"]) for i, pair in enumerate(pairs) if head[2 * i] == head[2 * i + 1]]
    assert merged == []


def test_the_head_has_most_volume():
    found = duplicates(phrases(["red shoe", "red shoes", "shoes red"]), volume=[10, None, 90])
    assert found.head.tolist() == [2, 2, 2]


def test_without_volume_the_head_is_the_most_popular_then_the_shortest_then_the_first():
    texts = ["red shoes", "red shoe", "shoe red"]
    assert duplicates(phrases(texts, popularity=[5.0, 4.0, 4.0])).head.tolist() == [0, 0, 0]
    assert duplicates(phrases(texts)).head.tolist() == [1, 1, 1]


def test_the_same_phrase_again_follows_the_row_with_most_volume():
    found = duplicates(phrases(["red shoe", "blue hat", "red shoe"]), volume=[1, 5, 2])
    assert found.head.tolist() == [2, 1, 2]
    assert [REASONS[code] for code in found.reason] == ["same", "", ""]
    assert list(found.groups()) == [(2, [0])]
    assert len(found) == 1
    assert found.members == 1


def test_unusable_phrases_are_in_no_group():
    found = duplicates(phrases(["", "red shoe", "", "shoe red"]))
    assert found.head.tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("texts", [[], [""], ["one"]])
def test_nothing_to_group(texts):
    found = duplicates(phrases(texts))
    assert found.head.tolist() == list(range(len(texts)))
    assert len(found) == 0
    assert list(found.groups()) == []


def test_a_typo_joins_a_commoner_word_and_never_another_typo(model):
    texts = ["refrigerator filter", "refrigeratorr filter", "refrigeratr filter", "refrigeartor filter"]
    given = analyse(texts)
    found = duplicates(given, model=model)
    assert found.head.tolist() == [0, 0, 0, 0]
    assert [REASONS[code] for code in found.reason] == ["", "typo", "typo", "typo"]
    without = duplicates(analyse(texts[1:]), model=model)
    assert without.head.tolist() == [0, 1, 2]


def test_real_words_are_no_typos(model):
    for a, b in (("pig farm", "fig farm"), ("brown bat", "brown bad"), ("casa nova", "cama nova")):
        assert len(duplicates(analyse([a, b]), model=model)) == 0


def test_short_numbers_and_models_stay_apart(model):
    texts = [
        "iphone 5 case",
        "iphone 5s case",
        "iphone 13 case",
        "iphone 14 case",
        "windows 10",
        "windows 10s",
    ]
    assert len(duplicates(analyse(texts), model=model)) == 0


def test_spaces_between_digits_and_single_vowels_count():
    result = grouped(["1 24", "12 4", "vitamin a", "vitamina", "a part", "apart", "wi fi", "wifi"])
    assert {text for text, (head, _) in result.items() if head != text} == {"wi fi"}


@pytest.mark.parametrize(
    ("one", "other", "language", "opposite"),
    [
        ("flight london to paris", "flight paris to london", "en", True),
        ("flight london to paris", "london to paris flight", "en", False),
        ("new york to los angeles", "los angeles to new york", "en", True),
        ("hand to hand combat", "combat hand to hand", "en", False),
        ("how to learn english", "learn english how to", "en", False),
        ("voo lisboa para porto", "voo porto para lisboa", "pt", True),
        ("madrid a barcelona", "barcelona a madrid", "es", True),
        ("madrid a barcelona", "barcelona a madrid", "en", False),
        ("english spanish dictionary", "spanish english dictionary", "en", True),
        ("usd brl", "brl usd", "en", True),
        ("usd kg", "kg usd", "en", False),
        ("2 in 1", "1 in 2", "en", True),
        ("2 in 1 tablet", "tablet 2 in 1", "en", False),
        ("dog house", "house dog", "en", True),
        ("red shoe", "shoe red", "en", False),
    ],
)
def test_what_goes_the_opposite_way_stays_apart(one, other, language, opposite):
    assert (len(duplicates(phrases([one, other], language=language))) == 0) is opposite


def test_stop_words_fall_by_language_and_not_at_the_ends_of_short_names():
    assert grouped(["bolo de cenoura", "bolo cenoura"], language="pt")["bolo de cenoura"] == (
        "bolo cenoura",
        "stop word",
    )
    for texts in (["the office", "office"], ["hepatitis a", "hepatitis"], ["in design", "design"]):
        assert all(text == head for text, (head, _) in grouped(texts).items())
    assert all(text == head for text, (head, _) in grouped(["no puedo dormir", "puedo dormir"]).items())


def test_a_compound_seen_written_both_ways_is_one_in_any_order():
    texts = [
        "airfryer recipes",
        "air fryer recipes",
        "airfryer oven",
        "air fryer oven",
        "best airfryer",
        "fryer air best",
    ]
    assert grouped(texts)["fryer air best"][0] == "best airfryer"
    assert grouped(texts[-2:])["fryer air best"][0] == "fryer air best"


def test_more_than_a_hundred_and_fifty_rows_are_never_one_group_unless_all_have_the_same_words():
    texts = ["head word"] + [("head " + "the " * i + "word") for i in range(1, 200)]
    found = duplicates(phrases(texts))
    assert np.bincount(found.head).max() <= 150


def test_a_set_large_enough_for_two_threads_groups_as_a_small_one():
    texts = sorted({text for pair in read_pairs("near_duplicate_pairs.tsv") for text in (pair["a"], pair["b"])})
    others = [f"q{number} z{number}" for number in range(FEW)]
    small, large = duplicates(phrases(texts)), duplicates(phrases([*texts, *others]))
    assert small.members > 100
    assert large.head.tolist() == [*small.head, *range(len(texts), len(texts) + FEW)]
    assert large.reason.tolist() == [*small.reason, *[0] * FEW]


def test_texts_may_be_given_as_bytes():
    given = phrases(["red shoe", "", "shoes red", "café", "cafe"])
    as_bytes = Phrases(Texts.of(given.normalized), given.language, given.popularity)
    assert duplicates(as_bytes).head.tolist() == duplicates(given).head.tolist() == [0, 1, 0, 4, 4]


VOCABULARY = """
    shoe shoes red to london paris the of for air fryer airfryer a 13 14 wi-fi wifi café cafe colour color
"""
WORDS = st.sampled_from(VOCABULARY.split())
PHRASE = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(PHRASE, max_size=25, unique=True), st.randoms(use_true_random=False))
def test_the_order_of_the_phrases_changes_nothing(texts, shuffle):
    mixed = list(texts)
    shuffle.shuffle(mixed)
    assert grouped(texts) == grouped(mixed)


@settings(max_examples=60, deadline=None)
@given(st.lists(PHRASE, max_size=25))
def test_heads_are_heads_and_members_have_a_reason(texts):
    found = duplicates(phrases(texts))
    assert isinstance(found, Duplicates)
    assert (found.head[found.head] == found.head).all()
    assert ((found.reason > 0) == (found.head != np.arange(len(texts)))).all()
    assert sum(len(group) for _, group in found.groups()) == found.members


def test_a_large_shuffled_set_groups_alike(model):
    pairs = read_pairs("near_duplicate_pairs.tsv")
    texts = sorted({text for pair in pairs for text in (pair["a"], pair["b"])})
    mixed = random.Random(3).sample(texts, len(texts))
    results = []
    for order in (texts, mixed):
        given = analyse(order)
        found = duplicates(given, model=model)
        results.append({order[i]: (order[head], int(found.reason[i])) for i, head in enumerate(found.head)})
    assert results[0] == results[1]
