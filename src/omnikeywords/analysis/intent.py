"""What a searcher wants, as probabilities over four intents, and the words that decided it.

The scorer is log-linear: a phrase's four logits are the sum of the weights of its entries' kinds and of the rules for
the set of their classes; softmax makes them probabilities. Nothing depends on the other phrases of a batch, or on
anything but the phrase's words and its language.

The evidence of a phrase are the entries that spoke for the winning intent. They are named only where leaving their
words out lowers that intent's probability: this is computed, with the words that are left read anew where they come to
stand side by side, not assumed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.lexicon import KIND_INSIDE, Lexicon, Match, at_start
from omnikeywords.model import INTENTS

__all__ = ["Intents", "find_evidence", "score"]

# e to the power of minus i hundredths, to the least that float32 holds in full. Looked up rather than computed, because
# vectorised exp rounds by where in an array a number stands, and a phrase's result must not depend on its neighbours.
_POWERS = np.exp(np.arange(8700) / -100).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Intents:
    """The intents of N phrases."""

    probabilities: NDArray[np.float32]  # (N, 4), rows sum to 1, in the order of model.INTENTS
    best: NDArray[np.intp]  # (N,) the likeliest, the first of equals
    classes: NDArray[np.uint16]  # (N,) the set of classes of each phrase, bit i for lexicon.CLASSES[i]


def score(kind: NDArray[np.int16], starts: NDArray[np.intp], lexicon: Lexicon) -> Intents:
    """The intents of phrases whose words read as `kind` (W,), phrase i from word `starts[i]` on."""
    classes = np.bitwise_or.reduceat(lexicon.classes.take(kind), starts)
    logits = np.add.reduceat(lexicon.weights.take(kind, axis=0), starts)
    logits += lexicon.interactions.take(classes, axis=0)
    below = np.maximum.reduce(logits, axis=1, keepdims=True) - logits
    probabilities = _POWERS.take(below, mode="clip")
    probabilities /= np.add.reduce(probabilities, axis=1, keepdims=True)
    return Intents(probabilities, below.argmin(axis=1), classes)


def find_evidence(
    intents: Intents,
    match: Match,
    slots: NDArray[np.intp],
    phrase: NDArray[np.intp],
    starts: NDArray[np.intp],
    lexicon: Lexicon,
) -> NDArray[np.intp]:
    """First words (ascending) of the entries that are evidence of their phrase's winning intent.

    `match` and `slots` are of the W words, `phrase` (W,) says which of the N phrases a word belongs to, `starts` (N,)
    where each phrase begins.
    """
    named = lexicon.speaks_for.take(match.kind * len(INTENTS) + intents.best.take(phrase))
    without = score(np.where(named, np.int16(KIND_INSIDE), match.kind), starts, lexicon)
    named &= _lowered(without, intents.best, intents.probabilities).take(phrase)
    first = named.nonzero()[0]
    if len(first) == 0:
        return first
    gone = named
    for step in range(1, match.longest):
        gone[first[match.lengths.take(first) > step] + step] = True
    doubtful = _read_anew(gone, match, phrase, starts, lexicon)
    if len(doubtful):
        kept = _still_lowered(doubtful, gone, intents, match, slots, phrase, starts, lexicon)
        first = first[kept.take(phrase.take(first))]
    return first


def _lowered(without: Intents, best: NDArray[np.intp], before: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether intent `best` (n,) of each of n phrases is less likely in `without` than in `before` (n, 4)."""
    flat = len(INTENTS) * np.arange(len(best))
    flat += best
    lowered: NDArray[np.bool_] = without.probabilities.take(flat) < before.take(flat)
    return lowered


def _read_anew(
    gone: NDArray[np.bool_], match: Match, phrase: NDArray[np.intp], starts: NDArray[np.intp], lexicon: Lexicon
) -> NDArray[np.intp]:
    """Phrases whose remaining words may read otherwise once those of `gone` are left out."""
    after: NDArray[np.intp] = (gone[:-1] > gone[1:]).nonzero()[0] + 1
    if len(after) == 0:
        return after
    after = after[phrase[after] == phrase[after - 1]]
    tokens = match.tokens.take(after)
    after = after[lexicon.follows.take(tokens) | lexicon.start_matters.take(tokens)]
    if len(after) == 0:
        return after
    # The nearest word before the gap that stays, -1 where there is none in the batch.
    left = np.maximum.accumulate(np.where(gone, -1, np.arange(len(gone))))[after - 1]
    joined = (left >= starts[phrase[after]]) & lexicon.follows.take(match.tokens.take(after))
    joined &= lexicon.continues.take(match.tokens.take(left))
    first = (left < starts[phrase[after]]) & lexicon.start_matters.take(match.tokens.take(after))
    doubtful: NDArray[np.intp] = np.unique(phrase[after[joined | first]])
    return doubtful


def _still_lowered(
    doubtful: NDArray[np.intp],
    gone: NDArray[np.bool_],
    intents: Intents,
    match: Match,
    slots: NDArray[np.intp],
    phrase: NDArray[np.intp],
    starts: NDArray[np.intp],
    lexicon: Lexicon,
) -> NDArray[np.bool_]:
    """For all N phrases, False for those in `doubtful` that are as sure of their intent with `gone` left out."""
    chosen = np.zeros(len(starts), np.bool_)
    chosen[doubtful] = True
    stay = (chosen[phrase] & ~gone).nonzero()[0]
    owner = phrase[stay]
    new_starts = np.flatnonzero(np.diff(owner, prepend=-1))
    last = np.append(new_starts[1:], len(stay)) - 1
    read = lexicon.match(match.tokens[stay], at_start(slots[stay], new_starts), last)
    without = score(read.kind, new_starts, lexicon)
    which = owner[new_starts]
    kept = np.ones(len(starts), np.bool_)
    kept[which] = _lowered(without, intents.best[which], intents.probabilities[which])
    return kept
