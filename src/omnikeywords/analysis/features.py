"""What a phrase says besides its intent: question, modifiers, brand, place, year, and the funnel stage they add up to.

Funnel, from the intent and what else is in the phrase:

    awareness       informational, unless the phrase weighs, prices or names a product
    consideration   commercial, unless it states a price or an action; informational that weighs, prices or names a
                    product
    decision        transactional; navigational; commercial with a price or an action

`local` is a phrase that wants something near: "near me", "open now", or a town or region, unless the phrase asks for a
fact about it, how to do something, or the way there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled
from omnikeywords.analysis.intent import Reading, read
from omnikeywords.analysis.lexicon import (
    CLASSES,
    MODIFIER_TYPES,
    QUESTIONS,
    SAYS_BRAND,
    SAYS_LOCAL,
    SAYS_MODIFIER,
    SAYS_QUESTION,
    Lexicon,
    years_of,
)
from omnikeywords.analysis.words import Words
from omnikeywords.model import FUNNELS, INTENTS, Funnel, Intent

__all__ = ["COMMERCIAL_THRESHOLD", "MODIFIER_TYPES", "QUESTIONS", "Features", "Spans", "find"]

# A phrase counts as (also) commercial from this probability on, where labels may be several.
COMMERCIAL_THRESHOLD = 0.7


@dataclass(frozen=True, slots=True)
class Spans:
    """Runs of words in a batch, in order of their first words; more than one, or none, in a phrase."""

    phrase: NDArray[np.intp]  # the phrase (0..N-1) each run is in
    first: NDArray[np.intp]  # its first word (0..W-1)
    count: NDArray[np.intp]  # how many words it has

    def __len__(self) -> int:
        return len(self.phrase)

    def text(self, words: Words) -> list[str]:
        """The runs as they stand in the normalized phrases."""
        text = words.text
        return [
            text[first] if count == 1 else " ".join(text[first : first + count])
            for first, count in zip(self.first.tolist(), self.count.tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Features:
    """Columns of N phrases."""

    intents: NDArray[np.float32]  # (N, 4) probabilities, in the order of model.INTENTS
    intent: NDArray[np.int8]  # index into INTENTS of the likeliest
    evidence: Spans  # what decided the intent
    modifiers: Spans
    modifier_types: NDArray[np.int8]  # one a modifier, index into MODIFIER_TYPES
    question: NDArray[np.int8]  # index into QUESTIONS, -1 none
    branded: NDArray[np.bool_]
    local: NDArray[np.bool_]
    year: NDArray[np.int16]  # the last year named, 0 none
    funnel: NDArray[np.int8]  # index into FUNNELS


def find(words: Words, lexicon: Lexicon, language_index: NDArray[np.int8]) -> Features:
    """The features of N phrases.

    `words` must have the lexicon's column `lexicon`; `language_index` (N,) indexes LANGUAGES, -1 where unknown.
    """
    reading = read(words, lexicon, language_index)
    n = len(words.starts)
    modifiers = np.empty((len(reading.tokens), 2), np.intp)
    says = np.zeros(n, np.uint8)
    question = np.full(n, -1, np.int8)
    dated = np.zeros(n, np.int32)
    found = _look_through(
        words.starts,
        words.counts,
        reading.tokens,
        reading.kind,
        reading.length,
        lexicon.says,
        lexicon.question,
        lexicon.modifier,
        SAYS_QUESTION,
        SAYS_MODIFIER,
        MODIFIER_TYPES.index("year"),
        modifiers,
        says,
        question,
        dated,
    )
    spans = _spans(modifiers[:found], reading)
    return Features(
        intents=reading.probabilities,
        intent=reading.best,
        evidence=_spans(reading.evidence, reading),
        modifiers=spans,
        modifier_types=lexicon.modifier.take(reading.kind.take(spans.first)),
        question=question,
        branded=(says & SAYS_BRAND) != 0,
        local=_IS_LOCAL.take(reading.classes) & ((says & SAYS_LOCAL) != 0),
        year=years_of(dated),
        funnel=_FUNNEL[reading.classes, reading.best],
    )


@compiled
def _look_through(
    starts: NDArray[np.intp],
    counts: NDArray[np.intp],
    tokens: NDArray[np.int32],
    kind: NDArray[np.int16],
    length: NDArray[np.int8],
    kind_says: NDArray[np.uint8],
    kind_question: NDArray[np.int8],
    kind_modifier: NDArray[np.int8],
    asks: int,
    modifies: int,
    dates: int,
    modifiers: NDArray[np.intp],
    says: NDArray[np.uint8],
    question: NDArray[np.int8],
    dated: NDArray[np.int32],
) -> int:
    """Fill the columns from `modifiers` on: phrase and first word of each modifier, all that a phrase says, its
    first question, and the token of its last year; returns the number of modifiers.
    """
    found = 0
    for i in range(len(counts)):
        for at in range(starts[i], starts[i] + counts[i]):
            if length[at] == 0:
                continue
            said = kind_says[kind[at]]
            says[i] |= said
            if said & asks and question[i] < 0:
                question[i] = kind_question[kind[at]]
            if said & modifies:
                modifiers[found, 0] = i
                modifiers[found, 1] = at
                found += 1
                if kind_modifier[kind[at]] == dates:
                    dated[i] = tokens[at]
    return found


def _spans(places: NDArray[np.intp], reading: Reading) -> Spans:
    """The entries at places (S, 2), phrase and first word, as spans."""
    phrase, first = places.T
    return Spans(phrase, first, reading.length.take(first).astype(np.intp))


def _sets_with(*names: str) -> NDArray[np.bool_]:
    """Of every set of classes, whether it has one of these."""
    bits = sum(1 << CLASSES.index(name) for name in names)
    with_any: NDArray[np.bool_] = (np.arange(1 << len(CLASSES)) & bits) != 0
    return with_any


def _local_sets() -> NDArray[np.bool_]:
    """The sets of classes with which a phrase that names a place or nearness wants something there."""
    local: NDArray[np.bool_] = _sets_with("near") | ~_sets_with("ask", "instruct")
    return local


def _funnels() -> NDArray[np.int8]:
    """(sets of classes, 4): the funnel stage of each set with each intent."""
    table = np.zeros((1 << len(CLASSES), len(INTENTS)), np.int8)
    awareness, consideration, decision = map(FUNNELS.index, Funnel)
    weighs = _sets_with("compare", "price", "product", "trade")
    closes = _sets_with("price", "act", "near")
    table[:, INTENTS.index(Intent.INFORMATIONAL)] = np.where(weighs, consideration, awareness)
    table[:, INTENTS.index(Intent.COMMERCIAL)] = np.where(closes, decision, consideration)
    table[:, INTENTS.index(Intent.TRANSACTIONAL)] = decision
    table[:, INTENTS.index(Intent.NAVIGATIONAL)] = decision
    return table


_IS_LOCAL = _local_sets()
_FUNNEL = _funnels()
