"""Phrases as bytes and numbers: what is distinct, and what comes back out."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnikeywords.analysis.phrase_texts import FEW, Texts, distinct_phrases
from omnikeywords.analysis.piece_hashes import Characters, classify, hash_texts, powers_of_base

WORD = st.text("abü€😀 ", max_size=4)


def phrase_words(texts):
    """The number of each phrase, and the words of each distinct phrase."""
    found = distinct_phrases(Texts.of(texts))
    ids, offsets = found.flat.ids.tolist(), found.flat.offsets.tolist()
    words = [[found.words[i] for i in ids[a:b]] for a, b in pairwise(offsets)]
    return found.number.tolist(), words


def test_phrases_are_numbered_as_they_first_appear_and_empty_ones_are_none():
    assert phrase_words(["red shoe", "", "são paulo", "red shoe", "shoe"]) == (
        [0, -1, 1, 0, 2],
        [["red", "shoe"], ["são", "paulo"], ["shoe"]],
    )
    assert phrase_words([]) == ([], [])
    assert phrase_words(["", ""]) == ([-1, -1], [])


def test_plain_words_are_ascii_letters_and_digits():
    found = distinct_phrases(Texts.of(["mp3 wi-fi é  x"]))
    assert found.words == ["mp3", "wi-fi", "é", "", "x"]
    assert found.plain.tolist() == [True, False, False, False, True]


def test_more_words_than_a_table_begins_with_and_enough_for_two_threads():
    count = FEW + 10_000
    texts = [f"{number} é{number % 1000}" for number in range(count)]
    number, words = phrase_words([*texts, *texts[::-1]])
    assert number == [*range(count), *range(count)[::-1]]
    assert [" ".join(phrase) for phrase in words] == texts


@given(st.lists(st.lists(WORD, max_size=3).map(" ".join), max_size=8))
def test_texts_come_back_as_they_were(texts):
    held = Texts.of(texts)
    assert [held[i] for i in range(len(held))] == texts


@settings(deadline=None)
@given(st.lists(st.lists(WORD, max_size=3).map(" ".join), max_size=8))
def test_numbers_are_equal_where_texts_are(texts):
    number, words = phrase_words(texts)
    distinct = list(dict.fromkeys(text for text in texts if text))
    assert number == [distinct.index(text) if text else -1 for text in texts]
    assert words == [text.split(" ") for text in distinct]


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=40), st.integers(0, 5))
def test_equal_keys_are_one_class_that_is_found(keys, other):
    classes = classify(np.array(keys, np.uint64))
    assert classes.of.tolist() == [keys.index(key) for key in keys]
    assert classes.repeated.tolist() == [keys.count(key) > 1 for key in keys]
    expected = keys.index(other) if other in keys else -1
    assert classes.find(np.array([other, *keys], np.uint64)).tolist() == [expected, *classes.of]


@settings(deadline=None)
@given(WORD, WORD)
def test_the_hash_of_joined_texts_is_joined_from_their_hashes(one, other):
    first, second, both = hash_texts(Characters.of([one, other, one + other]))
    with np.errstate(over="ignore"):
        assert first * powers_of_base(len(other))[-1] + second == both
