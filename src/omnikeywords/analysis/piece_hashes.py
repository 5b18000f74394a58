"""Hashes of strings of pieces: of a bag of pieces whatever their order, or of pieces joined in order.

All are unsigned 64-bit numbers, computed for all phrases of a batch at once. Two of a million different
phrases share a
hash once in some 40 million batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Flat", "Hashed", "code_matrix", "hash_texts", "letter_hashes", "mix", "powers_of_base"]

_BASE = np.uint64(0x9E3779B97F4A7C55)  # odd, so that its powers never vanish modulo 2^64
_BLOCK = 10_000  # phrases
_SEPARATOR = np.uint64(0xD1B54A32D192ED03)  # stands where two pieces must not run together


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A permutation of 64 bits without structure (SplitMix64, Steele, Lea, Flood 2014), so that sums do not
    collide.
    """
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def letter_hashes(codes: NDArray[Any]) -> NDArray[np.uint64]:
    return mix(codes.astype(np.uint64) + _BASE)


def code_matrix(texts: Sequence[str]) -> NDArray[np.uint32]:
    """The characters of texts as numbers, a row a text, filled with zeros."""
    array = np.array(texts, dtype=np.str_)
    return array.view(np.uint32).reshape(len(texts), -1)


@dataclass(frozen=True, slots=True)
class Hashed:
    """Hashes of strings that can be joined: that of `ab` is hash(a) * _BASE ** len(b) + hash(b)."""

    value: NDArray[np.uint64]
    length: NDArray[np.int64]


def hash_texts(texts: Sequence[str]) -> Hashed:
    length = np.fromiter(map(len, texts), np.int64, len(texts))
    value = np.zeros(len(texts), np.uint64)
    # Short ones together: a matrix as wide as the longest word of all would be mostly empty.
    for shortest, longest in ((1, 8), (9, 16), (17, 48), (49, int(length.max(initial=0)))):
        rows = np.flatnonzero((length >= shortest) & (length <= longest))
        if len(rows) == 0:
            continue
        codes = code_matrix([texts[i] for i in rows.tolist()])
        some = value[rows]
        for column in codes.T:
            some = np.where(column > 0, some * _BASE + letter_hashes(column), some)
        value[rows] = some
    return Hashed(value, length)


def powers_of_base(highest: int) -> NDArray[np.uint64]:
    powers = np.full(highest + 1, _BASE)
    powers[0] = 1
    return np.multiply.accumulate(powers)


@dataclass(frozen=True, slots=True)
class Flat:
    """The pieces of phrases end to end."""

    ids: NDArray[np.intp]  # a row of the distinct pieces for each of them
    starts: NDArray[np.intp]  # a phrase
    counts: NDArray[np.intp]  # a phrase, at least 1

    def of(self, rows: NDArray[np.intp]) -> "Flat":
        """The pieces of some phrases alone."""
        counts = self.counts[rows]
        starts = np.cumsum(counts) - counts
        places = np.repeat(self.starts[rows] - starts, counts) + np.arange(int(counts.sum()))
        return Flat(self.ids[places], starts, counts)

    def blocks(self) -> Iterator[tuple[slice, "Flat"]]:
        """The phrases in blocks whose arrays stay in the processor's cache: which phrases, and their
        pieces.
        """
        for begin in range(0, len(self.starts), _BLOCK):
            phrases = slice(begin, begin + _BLOCK)
            starts, counts = self.starts[phrases], self.counts[phrases]
            ids = self.ids[starts[0] : starts[-1] + counts[-1]]
            yield phrases, Flat(ids, starts - starts[0], counts)

    def bag(self, weights: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The sum of its pieces' weights for each phrase, whatever their order."""
        return np.add.reduceat(weights, self.starts)

    def join(self, hashed: Hashed, apart: NDArray[np.bool_] | None = None) -> NDArray[np.uint64]:
        """The hash of the pieces of each phrase joined in order, a separator after those that are `apart`."""
        value = hashed.value[self.ids]
        length = hashed.length[self.ids]
        if apart is not None:
            value = np.where(apart, value * _BASE + _SEPARATOR, value)
            length = length + apart
        end = np.cumsum(length)
        last = end[self.starts + self.counts - 1]
        behind = np.repeat(last, self.counts)
        behind -= end
        powers = powers_of_base(int(behind.max(initial=0)))
        return np.add.reduceat(value * powers[behind], self.starts)
