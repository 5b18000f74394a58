"""Scores: sums of parts that a reader can add up, null where nothing supports them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnikeywords.analysis.score import Weights, score_difficulty, score_opportunity
from omnikeywords.errors import InvalidOption

NAN = math.nan
BUYER = np.array([[0, 0, 0, 1]], np.float32)


def test_difficulty_of_the_source_stands_as_it_is():
    scores = score_difficulty({"difficulty": [43], "competition": [1.0]}, 1, Weights())
    assert scores.score.tolist() == [43]
    assert scores.basis.tolist() == [0]
    assert scores.parts[0, 0] == 43
    assert np.isnan(scores.parts[0, 1:]).all()


def test_difficulty_is_estimated_from_competition_alone():
    scores = score_difficulty({"difficulty": [NAN], "competition": [0.25]}, 1, Weights())
    assert scores.score.tolist() == [25]
    assert scores.basis.tolist() == [1]


def test_difficulty_shares_the_weight_among_what_exists():
    weights = Weights(competition=3, cpc=1, results=0, position=0)
    scores = score_difficulty({"competition": [0.5], "cpc": [50.0]}, 1, weights)
    assert scores.parts[0].tolist()[1:3] == [37.5, 25.0]
    assert scores.score.tolist() == [62.5]


def test_difficulty_without_inputs_is_null_and_not_zero():
    assert score_difficulty(None, 2, Weights()) is None
    assert score_difficulty({"volume": [10, 20]}, 2, Weights()) is None
    scores = score_difficulty({"competition": [0.0, NAN]}, 2, Weights())
    assert scores.score[0] == 0
    assert math.isnan(scores.score[1])
    assert scores.basis.tolist() == [1, -1]


def test_opportunity_needs_volume_or_impressions():
    assert score_opportunity({"position": [3.0]}, 1, Weights(), BUYER, None) is None


def test_opportunity_of_a_volume_and_an_intent_by_hand():
    # demand log10(1000)/5 = 0.6 and value 1 share 0.4 and 0.2: 0.6*66.67 + 33.33
    scores = score_opportunity({"volume": [999]}, 1, Weights(), BUYER, None)
    assert scores.parts[0].tolist()[0] == 40.0
    assert scores.parts[0].tolist()[2] == 33.33
    assert scores.score.tolist() == [73.33]


def test_a_range_counts_by_its_geometric_mean():
    ranged = score_opportunity({"volume_min": [100], "volume_max": [1000]}, 1, Weights(), BUYER, None)
    exact = score_opportunity({"volume": [math.sqrt(100_000)]}, 1, Weights(), BUYER, None)
    assert ranged.score.tolist() == exact.score.tolist()


def test_the_first_page_below_the_top_has_most_headroom():
    weights = Weights(demand=0.0, ease=0, value=0, headroom=1)
    at = score_opportunity({"volume": [10] * 4, "position": [1, 8, 20, 60]}, 4, weights, BUYER.repeat(4, 0), None)
    assert at.score.tolist() == [0, 87.5, 47.5, 3.07]


def test_weights_refuse_what_makes_no_score():
    with pytest.raises(InvalidOption, match="cpc is -1"):
        Weights(cpc=-1)
    with pytest.raises(InvalidOption, match="all 0"):
        Weights(demand=0, ease=0, value=0, headroom=0)
    with pytest.raises(InvalidOption, match="0 to 1"):
        Weights(commercial=3)


def test_what_cannot_be_is_missing():
    assert score_difficulty({"difficulty": [-5, math.inf], "cpc": [-1, NAN]}, 2, Weights()) is None
    assert score_opportunity({"volume": [-5, math.inf]}, 2, Weights(), BUYER.repeat(2, 0), None) is None
    scores = score_difficulty({"difficulty": [-5, 40]}, 2, Weights())
    assert np.isnan(scores.score[0])
    assert scores.score[1] == 40


@pytest.mark.parametrize("values", [["many"], 5, [[1, 2]], [{}], {0: 1}])
def test_a_column_that_is_no_numbers_is_refused(values):
    with pytest.raises(InvalidOption, match="observations 'volume'"):
        score_opportunity({"volume": values}, 1, Weights(), BUYER, None)


def test_a_column_of_another_length_is_refused():
    with pytest.raises(InvalidOption, match="one a phrase"):
        score_difficulty({"cpc": [1.0]}, 2, Weights())


numbers = st.one_of(st.just(NAN), st.floats(0, 1e9))


@given(
    st.lists(st.tuples(numbers, numbers, numbers, numbers, numbers, numbers), min_size=1, max_size=8),
    st.builds(Weights, cpc=st.floats(0, 5), demand=st.floats(0.01, 5), ease=st.floats(0, 5)),
)
def test_every_score_is_the_sum_of_its_parts_and_within_bounds(rows, weights):
    names = ("volume", "competition", "cpc", "results", "position", "difficulty")
    observations = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    n = len(rows)
    difficulty = score_difficulty(observations, n, weights)
    opportunity = score_opportunity(observations, n, weights, np.full((n, 4), 0.25, np.float32), difficulty)
    for scores in (difficulty, opportunity):
        if scores is None:
            continue
        for score, parts in zip(scores.score, scores.parts, strict=True):
            present = [part for part in parts.tolist() if not math.isnan(part)]
            if math.isnan(score):
                assert present == []
            else:
                assert score == round(sum(present), 2)
                assert 0 <= score <= 100
