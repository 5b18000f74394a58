"""What a searcher wants, as probabilities over four intents, and the words that decided it.

The scorer is log-linear: a phrase's four logits are the sum of the weights of its entries' kinds and of the rules for
the set of their classes; softmax makes them probabilities. Nothing depends on the other phrases of a batch, or on
anything but the phrase's words and its language.

The evidence of a phrase are the entries that spoke for the winning intent. They are named only where leaving their
words out lowers that intent's probability: this is computed, by reading the words that are left as a phrase of their
own, not assumed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled
from omnikeywords.analysis.lexicon import Lexicon
from omnikeywords.analysis.lexicon_tables import MOST_WORDS
from omnikeywords.analysis.words import Words
from omnikeywords.model import INTENTS

__all__ = ["Reading", "read"]

# e to the power of minus i hundredths, to the least that float32 holds in full.
_POWERS = np.exp(np.arange(8700) / -100).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the lexicons read in N phrases of W words, and what their searchers want."""

    tokens: NDArray[np.int32]  # (W,) as the lexicons know the words
    kind: NDArray[np.int16]  # (W,) of the entry that begins at a word
    length: NDArray[np.int8]  # (W,) how many words that entry has, 0 at its second and later words
    probabilities: NDArray[np.float32]  # (N, 4) rows sum to 1, in the order of model.INTENTS
    best: NDArray[np.int8]  # (N,) the likeliest intent, the first of equals
    classes: NDArray[np.uint16]  # (N,) the set of classes of each phrase, bit i for lexicon.CLASSES[i]
    evidence: NDArray[np.intp]  # (E, 2) phrase and first word of the entries that decided, in order


def read(words: Words, lexicon: Lexicon, language_index: NDArray[np.int8]) -> Reading:
    """Find the entries in N phrases and what they add up to.

    Of two entries that overlap the longer, then the earlier one stands. `words` must have the lexicon's column
    `lexicon`; `language_index` (N,) indexes LANGUAGES, -1 where unknown.
    """
    tokens = words.columns["lexicon"].take(words.ids)
    n = len(words.starts)
    kind = np.empty(len(tokens), np.int16)
    length = np.empty(len(tokens), np.int8)
    probabilities = np.empty((n, len(INTENTS)), np.float32)
    best = np.empty(n, np.int8)
    classes = np.empty(n, np.uint16)
    evidence = np.empty((len(tokens), 2), np.intp)
    found = _read_phrases(
        tokens,
        words.starts,
        words.counts,
        lexicon.slot_of_language.take(language_index),
        lexicon.single,
        lexicon.begins,
        lexicon.follows,
        lexicon.edges,
        lexicon.targets,
        lexicon.terminal,
        lexicon.weights,
        lexicon.classes,
        lexicon.interactions,
        lexicon.speaks_for,
        _POWERS,
        MOST_WORDS,
        kind,
        length,
        probabilities,
        best,
        classes,
        evidence,
    )
    return Reading(tokens, kind, length, probabilities, best, classes, evidence[:found])


@compiled
def _read_phrases(
    tokens: NDArray[np.int32],
    starts: NDArray[np.intp],
    counts: NDArray[np.intp],
    slots: NDArray[np.intp],
    single: NDArray[np.int16],
    begins: NDArray[np.bool_],
    follows: NDArray[np.bool_],
    edges: NDArray[np.int64],
    targets: NDArray[np.intp],
    terminal: NDArray[np.int16],
    weights: NDArray[np.int32],
    kind_classes: NDArray[np.uint16],
    interactions: NDArray[np.int32],
    speaks_for: NDArray[np.bool_],
    powers: NDArray[np.float32],
    most_words: int,
    kind: NDArray[np.int16],
    length: NDArray[np.int8],
    probabilities: NDArray[np.float32],
    best: NDArray[np.int8],
    classes: NDArray[np.uint16],
    evidence: NDArray[np.intp],
) -> int:
    """Fill the columns from `kind` on, as `Reading` explains them; returns the number of entries in `evidence`."""
    longest = 0
    for i in range(len(counts)):
        longest = max(longest, counts[i])
    rest = np.empty(longest, tokens.dtype)
    rest_kind = np.empty(longest, kind.dtype)
    rest_length = np.empty(longest, length.dtype)
    logits = np.empty(probabilities.shape[1], np.int64)
    rest_probabilities = np.empty(probabilities.shape[1], probabilities.dtype)
    found = 0
    for i in range(len(counts)):
        start, end = starts[i], starts[i] + counts[i]
        _find_entries(
            tokens[start:end],
            slots[i],
            single,
            begins,
            follows,
            edges,
            targets,
            terminal,
            most_words,
            kind[start:end],
            length[start:end],
        )
        classes[i], best[i] = _score(
            kind[start:end], length[start:end], weights, kind_classes, interactions, powers, logits, probabilities[i]
        )
        # Leave out every entry that speaks for the winner, and read what is left as a phrase of its own.
        named = left = 0
        at = start
        while at < end:
            if speaks_for[kind[at], best[i]]:
                evidence[found + named, 0] = i
                evidence[found + named, 1] = at
                named += 1
            else:
                rest[left : left + length[at]] = tokens[at : at + length[at]]
                left += length[at]
            at += length[at]
        if named:
            _find_entries(
                rest[:left],
                slots[i],
                single,
                begins,
                follows,
                edges,
                targets,
                terminal,
                most_words,
                rest_kind[:left],
                rest_length[:left],
            )
            _score(
                rest_kind[:left],
                rest_length[:left],
                weights,
                kind_classes,
                interactions,
                powers,
                logits,
                rest_probabilities,
            )
            if rest_probabilities[best[i]] < probabilities[i, best[i]]:
                found += named
    return found


@compiled
def _find_entries(
    tokens: NDArray[np.int32],
    slot: np.intp,
    single: NDArray[np.int16],
    begins: NDArray[np.bool_],
    follows: NDArray[np.bool_],
    edges: NDArray[np.int64],
    targets: NDArray[np.intp],
    terminal: NDArray[np.int16],
    most_words: int,
    kind: NDArray[np.int16],
    length: NDArray[np.int8],
) -> None:
    """Fill kind and length of each word of one phrase; its first word is looked up in the second half of slots."""
    n = len(tokens)
    at_start = slot + single.shape[1] // 2
    several = False
    for at in range(n):
        kind[at] = single[tokens[at], slot if at else at_start]
        length[at] = 1
        if at + 1 < n and begins[tokens[at]] and follows[tokens[at + 1]]:
            several = True
    if not several:
        return
    # Longest first: an entry stands where none of its words belongs to one that stands already.
    longest = np.ones(n, np.int8)
    kinds = np.zeros(n, np.int16)
    for at in range(n - 1):
        if begins[tokens[at]] and follows[tokens[at + 1]]:
            node = np.int64(tokens[at])
            for last in range(at + 1, min(n, at + most_words)):
                key = node * len(begins) + tokens[last]
                edge = np.searchsorted(edges, key)
                if edge == len(edges) or edges[edge] != key:
                    break
                node = targets[edge]
                ending = terminal[node, slot if at else at_start]
                if ending:
                    longest[at], kinds[at] = last - at + 1, ending
    for size in range(most_words, 1, -1):
        for at in range(n - 1):
            if longest[at] == size:
                free = True
                for word in range(at, at + size):
                    free = free and length[word] == 1
                if free:
                    kind[at], length[at] = kinds[at], size
                    length[at + 1 : at + size] = 0


@compiled
def _score(
    kind: NDArray[np.int16],
    length: NDArray[np.int8],
    weights: NDArray[np.int32],
    kind_classes: NDArray[np.uint16],
    interactions: NDArray[np.int32],
    powers: NDArray[np.float32],
    logits: NDArray[np.int64],
    probabilities: NDArray[np.float32],
) -> tuple[np.uint16, np.intp]:
    """Fill the probabilities of one phrase; returns the set of its classes and its likeliest intent."""
    classes = np.uint16(0)
    for at in range(len(kind)):
        if length[at]:
            classes |= kind_classes[kind[at]]
    logits[:] = interactions[classes]
    for at in range(len(kind)):
        if length[at]:
            for intent in range(len(logits)):
                logits[intent] += weights[kind[at], intent]
    best = np.argmax(logits)
    total = np.float32(0)
    for intent in range(len(logits)):
        probabilities[intent] = powers[min(logits[best] - logits[intent], len(powers) - 1)]
        total += probabilities[intent]
    for intent in range(len(logits)):
        probabilities[intent] /= total
    return classes, best
