"""Hashes of strings of pieces: of a bag of pieces whatever their order, or of pieces joined in order; and which are
equal.

All are unsigned 64-bit numbers, computed for all phrases of a batch at once. Two of a million different phrases share a
hash once in some 40 million batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled

__all__ = ["BASE", "SEPARATOR", "Characters", "Classes", "classify", "hash_texts", "mix", "powers_of_base"]

BASE = np.uint64(0x9E3779B97F4A7C55)  # odd, so that its powers never vanish modulo 2^64
SEPARATOR = np.uint64(0xD1B54A32D192ED03)  # stands where two pieces must not run together


@dataclass(frozen=True, slots=True, eq=False)
class Characters:
    """The characters of N texts as numbers, end to end."""

    codes: NDArray[np.uint32]
    offsets: NDArray[np.int64]  # N + 1: those of text i are codes[offsets[i]:offsets[i + 1]]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Characters":
        """Those of texts, in their order."""
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=offsets[1:])
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
        return cls(codes.copy(), offsets)  # compiled functions tell arrays that may be written to from others

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Characters of each text."""
        return np.diff(self.offsets)

    def first(self) -> NDArray[np.uint32]:
        """The first character of each text, 0 where it has none."""
        return np.where(self.lengths > 0, np.append(self.codes, np.uint32(0))[self.offsets[:-1]], np.uint32(0))

    def last(self) -> NDArray[np.uint32]:
        """The last character of each text, 0 where it has none."""
        return np.where(self.lengths > 0, np.append(self.codes, np.uint32(0))[self.offsets[1:] - 1], np.uint32(0))


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A permutation of 64 bits without structure (SplitMix64, Steele, Lea, Flood 2014), so that sums do not
    collide.
    """
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hash_texts(texts: Characters) -> NDArray[np.uint64]:
    """Hashes of strings that can be joined: that of `ab` is hash(a) * BASE ** len(b) + hash(b)."""
    letters = mix(texts.codes.astype(np.uint64) + BASE)
    hashes = np.empty(len(texts.offsets) - 1, np.uint64)
    _hash_letters(letters, texts.offsets, hashes)
    return hashes


@compiled
def _hash_letters(letters: NDArray[np.uint64], offsets: NDArray[np.int64], hashes: NDArray[np.uint64]) -> None:
    for i in range(len(hashes)):
        value = np.uint64(0)
        for k in range(offsets[i], offsets[i + 1]):
            value = value * BASE + letters[k]
        hashes[i] = value


def powers_of_base(highest: int) -> NDArray[np.uint64]:
    """BASE to the power of 0, 1, and so on to `highest`; modulo 2 ** 64."""
    powers = np.full(highest + 1, BASE)
    powers[0] = 1
    return np.multiply.accumulate(powers)


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """N keys, with those that are equal in one class, which is known by the first of them."""

    keys: NDArray[np.uint64]  # N
    of: NDArray[np.int32]  # N, the index of the first key that is equal
    repeated: NDArray[np.bool_]  # N, whether another key is equal
    table: NDArray[np.int32]  # index of the first key + 1 by its hash, 0 in free slots

    def find(self, keys: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The class of each of any keys, -1 where it is not among them."""
        found = np.empty(len(keys), np.int32)
        _find_keys(keys, self.keys, self.table, found)
        return found


def classify(keys: NDArray[np.uint64]) -> Classes:
    """The classes of equal keys."""
    of = np.empty(len(keys), np.int32)
    repeated = np.zeros(len(keys), np.bool_)
    # Between a third and two thirds of the slots will be in use.
    table = np.zeros(1 << (3 * len(keys) // 2).bit_length(), np.int32)
    _classify(keys, of, repeated, table)
    return Classes(keys, of, repeated, table)


@compiled
def _slot_of(key: np.uint64, keys: NDArray[np.uint64], table: NDArray[np.int32]) -> np.int64:
    """The slot that a key has in the table, or may have."""
    slot = np.int64((key ^ (key >> np.uint64(32))) & np.uint64(len(table) - 1))
    while table[slot] != 0 and keys[table[slot] - 1] != key:
        slot = (slot + 1) & (len(table) - 1)
    return slot


@compiled
def _classify(
    keys: NDArray[np.uint64], of: NDArray[np.int32], repeated: NDArray[np.bool_], table: NDArray[np.int32]
) -> None:
    for i in range(len(keys)):
        slot = _slot_of(keys[i], keys, table)
        if table[slot] == 0:
            table[slot] = i + 1
        else:
            repeated[i] = repeated[table[slot] - 1] = True
        of[i] = table[slot] - 1


@compiled
def _find_keys(
    wanted: NDArray[np.uint64], keys: NDArray[np.uint64], table: NDArray[np.int32], found: NDArray[np.int32]
) -> None:
    for i in range(len(wanted)):
        found[i] = table[_slot_of(wanted[i], keys, table)] - 1
