"""Words of a batch: flat, with the columns of each distinct word."""

import numpy as np

from omnikeywords.analysis.words import Vocabulary


def _lengths(words):
    return {"length": np.array([len(word) for word in words], np.int32)}


def test_words_of_all_phrases_lie_end_to_end():
    words = Vocabulary(_lengths).look_up(["red shoes", "", "blue suede shoes"])
    assert words.text == ["red", "shoes", "", "blue", "suede", "shoes"]
    assert words.starts.tolist() == [0, 2, 3]
    assert words.counts.tolist() == [2, 1, 3]


def test_a_column_is_gathered_for_each_word():
    words = Vocabulary(_lengths).look_up(["red shoes", "a"])
    assert words.take("length").tolist() == [3, 5, 1]


def test_each_distinct_word_is_looked_at_once():
    seen = []

    def make(words):
        seen.extend(words)
        return _lengths(words)

    vocabulary = Vocabulary(make)
    vocabulary.look_up(["red shoes", "red shoes"])
    vocabulary.look_up(["shoes red", "green"])
    assert sorted(seen) == ["", "green", "red", "shoes"]


def test_a_full_vocabulary_begins_again_and_answers_the_same():
    vocabulary = Vocabulary(_lengths, capacity=3)
    first = vocabulary.look_up(["a bb ccc"])
    second = vocabulary.look_up(["dddd bb"])
    assert second.take("length").tolist() == [4, 2]
    assert first.take("length").tolist() == [1, 2, 3]


def test_rows_handed_out_before_the_table_grew_stay_valid():
    vocabulary = Vocabulary(_lengths, capacity=100_000)
    first = vocabulary.look_up(["a bb"])
    vocabulary.look_up([" ".join("x" * (i % 7 + 1) + str(i) for i in range(5000))])
    assert first.take("length").tolist() == [1, 2]


def test_a_batch_of_nothing_has_no_words():
    words = Vocabulary(_lengths).look_up([])
    assert words.text == []
    assert words.take("length").tolist() == words.counts.tolist() == words.starts.tolist() == []
