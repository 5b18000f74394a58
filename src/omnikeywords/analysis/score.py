"""Difficulty and opportunity: weighted sums of what was observed, with every part shown.

Both scores run from 0 to 100 and are the plain sum of their parts, which are points: a weight's share times how far its
input goes from 0 to 1. A part whose input is missing has no share and the others divide its weight among them. Where
nothing supports a score it is null. The formulas are this project's own; their constants stand in `Weights` and in
the functions below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnikeywords.errors import InvalidOption

__all__ = [
    "BASES",
    "DIFFICULTY_PARTS",
    "OBSERVED_COLUMNS",
    "OPPORTUNITY_PARTS",
    "Scores",
    "Weights",
    "score_difficulty",
    "score_opportunity",
]

Column = Sequence[Any] | NDArray[Any]

# What `observations` may carry for scoring; any other column is kept by whoever holds it and not looked at here.
OBSERVED_COLUMNS = (
    "volume",
    "volume_min",
    "volume_max",
    "impressions",
    "cpc",
    "competition",
    "difficulty",
    "results",
    "position",
)
BASES = ("observed", "estimated")
DIFFICULTY_PARTS = ("observed", "competition", "cpc", "results", "position")
OPPORTUNITY_PARTS = ("demand", "ease", "value", "headroom")


@dataclass(frozen=True, slots=True)
class Weights:
    """What each part of a score counts; only ratios within a score matter. None may be negative.

    Raises InvalidOption for a negative weight, for one that is no number, and where all of a score's are zero.
    """

    # difficulty, where the source gives none
    competition: float = 0.35
    cpc: float = 0.15
    results: float = 0.2
    position: float = 0.3
    # opportunity
    demand: float = 0.4
    ease: float = 0.25
    value: float = 0.2
    headroom: float = 0.15
    # what a searcher is worth by intent, 0-1, for the part `value`
    informational: float = 0.3
    navigational: float = 0.1
    commercial: float = 0.8
    transactional: float = 1.0

    def __post_init__(self) -> None:
        for item in fields(self):
            weight = getattr(self, item.name)
            if not (isinstance(weight, int | float) and 0 <= weight < float("inf")):
                raise InvalidOption(f"weight {item.name} is {weight!r}: give a number of 0 or more", weight=item.name)
        for names in (DIFFICULTY_PARTS[1:], OPPORTUNITY_PARTS):
            if not any(getattr(self, name) for name in names):
                raise InvalidOption(f"weights {', '.join(names)} are all 0: give at least one of them more")
        for name in ("informational", "navigational", "commercial", "transactional"):
            if getattr(self, name) > 1:
                raise InvalidOption(
                    f"weight {name} is {getattr(self, name)!r}: what an intent is worth runs from 0 to 1"
                )


@dataclass(frozen=True, slots=True)
class Scores:
    """A score of N phrases with its parts; NaN is null."""

    score: NDArray[np.float64]  # N, 0-100, the sum of the row of parts
    parts: NDArray[np.float64]  # N x P, points
    basis: NDArray[np.int8] | None = None  # N, index into BASES, -1 for none; difficulty only


def column(observations: Mapping[str, Column] | None, name: str, n: int) -> NDArray[np.float64] | None:
    """Observed column `name` as floats with NaN for missing, or None where no row has it.

    What cannot be, a negative number or an infinite one, is missing. Raises InvalidOption for a column that is no
    numbers, or not one a phrase.
    """
    values = observations.get(name) if observations is not None else None
    if values is None:
        return None
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidOption(f"observations {name!r} are no numbers ({error}): give one a phrase, or None") from error
    if numbers.shape != (n,):
        raise InvalidOption(f"observations {name!r} has {numbers.size} values for {n} phrases: give one a phrase")
    there = (numbers >= 0) & (numbers < np.inf)
    if not there.any():
        return None
    return numbers if there.all() else np.where(there, numbers, np.nan)


def _share_out(inputs: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points a part, N x P, from inputs of 0-1 (NaN missing) and P weights.

    A row whose present parts all weigh nothing gets no points. Points are cut to hundredths, so that the score is
    exactly what a reader gets by adding up what is shown, and never above 100.
    """
    share = np.where(np.isnan(inputs), 0.0, weights)
    total = share.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        points: NDArray[np.float64] = np.floor(1e4 * inputs * share / total + 1e-6) / 100
    points[total[:, 0] == 0] = np.nan
    return points


def _add_up(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The score of each row of parts, NaN where all are missing."""
    scores: NDArray[np.float64] = np.round(np.nansum(parts, axis=1), 2)
    scores[np.isnan(parts).all(axis=1)] = np.nan
    return scores


def score_difficulty(observations: Mapping[str, Column] | None, n: int, weights: Weights) -> Scores | None:
    """How hard it is to rank, 0-100, of N phrases; None where no row has an input.

    Observed: the source's own difficulty, alone. Else estimated from what exists, each input taken to 0-1:
    advertisers' competition as it is; cpc as log(1+cpc)/log(51), 1 from 50 on in whatever currency it is; results as
    (log10(results)-4)/6, 0 at ten thousand and 1 at ten thousand millions; the own position as log(p)/log(100), 0 at
    the top and 1 from position 100 on, since a page that already ranks shows that ranking can be done.
    """
    columns = [column(observations, name, n) for name in ("difficulty", "competition", "cpc", "results", "position")]
    if all(values is None for values in columns):
        return None
    missing = np.full(n, np.nan)
    observed, competition, cpc, results, position = (missing if values is None else values for values in columns)
    with np.errstate(invalid="ignore", divide="ignore"):
        inputs = np.column_stack(
            [
                competition,
                np.log1p(np.maximum(cpc, 0)) / np.log(51),
                (np.log10(np.maximum(results, 1)) - 4) / 6,
                np.log(np.maximum(position, 1)) / np.log(100),
            ]
        ).clip(0, 1)
    parts = np.column_stack(
        [
            np.round(observed.clip(0, 100), 2),
            _share_out(inputs, np.array([weights.competition, weights.cpc, weights.results, weights.position])),
        ]
    )
    known = ~np.isnan(observed)
    parts[known, 1:] = np.nan
    score = _add_up(parts)
    basis = np.where(known, 0, np.where(np.isnan(score), -1, 1)).astype(np.int8)
    return Scores(score, parts, basis)


def score_opportunity(
    observations: Mapping[str, Column] | None,
    n: int,
    weights: Weights,
    intents: NDArray[np.float32],
    difficulty: Scores | None,
) -> Scores | None:
    """What a phrase may bring for the effort, 0-100, of N phrases; None where no row has volume or impressions.

    demand: log10(1+v)/5, 1 from a hundred thousand on; v is the volume, else the geometric mean of its range, else
    impressions (a floor: people who searched and did see the page). ease: 1 - difficulty/100. value: what the intents
    are worth, by their probabilities. headroom: (1-1/p) * 0.5^(max(0, p-10)/10) for the own position p: nothing to gain
    at the top, most on the first page's lower half, half as likely with each page further down.
    """
    volume = column(observations, "volume", n)
    low, high = column(observations, "volume_min", n), column(observations, "volume_max", n)
    impressions = column(observations, "impressions", n)
    demand = np.full(n, np.nan) if volume is None else volume
    if low is not None and high is not None:
        demand = np.where(np.isnan(demand), np.sqrt(np.maximum(low, 1) * np.maximum(high, 1)), demand)
    if impressions is not None:
        demand = np.where(np.isnan(demand), impressions, demand)
    if np.isnan(demand).all():
        return None
    position = column(observations, "position", n)
    missing = np.full(n, np.nan)
    p = missing if position is None else np.maximum(position, 1)
    worth = np.array([weights.informational, weights.navigational, weights.commercial, weights.transactional])
    inputs = np.column_stack(
        [
            np.log10(1 + np.maximum(demand, 0)) / 5,
            missing if difficulty is None else 1 - difficulty.score / 100,
            intents @ worth,
            (1 - 1 / p) * 0.5 ** (np.maximum(0, p - 10) / 10),
        ]
    ).clip(0, 1)
    inputs[np.isnan(demand)] = np.nan
    parts = _share_out(inputs, np.array([weights.demand, weights.ease, weights.value, weights.headroom]))
    return Scores(_add_up(parts), parts)
