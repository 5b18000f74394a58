"""Many phrases as one array of bytes, and their distinct words and distinct phrases as numbers.

A million Python strings cost more to walk than everything that near-duplicates do with them: here they are joined
once, and from then on compiled loops read bytes.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled

__all__ = ["FEW", "DistinctPhrases", "Flat", "Texts", "distinct_phrases", "side_by_side"]

One = TypeVar("One")
Other = TypeVar("Other")

FEW = 20_000  # phrases that are not worth a second thread

_FACTOR = np.uint64(0x9E3779B97F4A7C55)  # odd, without structure: a step of a hash
_LOWER = np.uint64(0xFFFFFFFF)
_SPACE = 32
_FIRST_SIZE = 1 << 12  # slots of a table of words, which grows


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """N texts as UTF-8, end to end. Its arrays may be written to, as compiled functions tell these from others."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]  # N + 1: text i is data[offsets[i]:offsets[i + 1]]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Texts":
        """The same texts, from strings."""
        joined = "".join(texts)
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        data = np.frombuffer(joined.encode("utf-8", "surrogatepass"), np.uint8).copy()
        offsets = np.zeros(len(texts) + 1, np.int64)
        if len(data) == len(joined):
            np.cumsum(lengths, out=offsets[1:])
        else:
            _fill_offsets(data, lengths, offsets)
        return cls(data, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> str:
        return self.data[self.offsets[i] : self.offsets[i + 1]].tobytes().decode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """The words, or the pieces, of N phrases end to end."""

    ids: NDArray[np.int32]  # a row of what is distinct for each of them
    offsets: NDArray[np.int64]  # N + 1: those of phrase i are ids[offsets[i]:offsets[i + 1]]


@dataclass(frozen=True, slots=True, eq=False)
class DistinctPhrases:
    """The distinct ones among N phrases, numbered as they first appear; the empty text is none."""

    number: NDArray[np.int32]  # N, -1 for an empty text
    words: list[str]  # distinct words
    plain: NDArray[np.bool_]  # a distinct word: made of ASCII letters and digits alone
    flat: Flat  # the words of each distinct phrase


def distinct_phrases(texts: Texts) -> DistinctPhrases:
    """Number the distinct phrases and words; words stand between single spaces."""
    words, plain, ids, offsets = _words(texts)
    number = np.empty(len(texts), np.int32)
    count = _number_phrases(ids, offsets, np.diff(texts.offsets) > 0, number)
    return DistinctPhrases(number, words, plain, Flat(ids[: offsets[count]], offsets[: count + 1]))


def _words(texts: Texts) -> tuple[list[str], NDArray[np.bool_], NDArray[np.int32], NDArray[np.int64]]:
    """The distinct words, which of them are plain, and the number of each word with where those of a text begin."""
    offsets = np.empty(len(texts) + 1, np.int64)
    ids = np.empty(_count_words(texts.data, texts.offsets, offsets), np.int32)
    middle = len(texts) // 2

    def number(part: slice) -> tuple[list[str], NDArray[np.bool_]]:
        bounds = texts.offsets[part.start : part.stop + 1]
        listed, plain = _number_words(texts.data, bounds, ids[offsets[part.start] : offsets[part.stop]])
        return listed[:-1].tobytes().decode("utf-8", "surrogatepass").split(" ") if len(plain) else [], plain

    (words, plain), (others, theirs) = side_by_side(
        lambda: number(slice(0, middle)), lambda: number(slice(middle, len(texts))), worth=len(texts) > FEW
    )
    numbers = dict(zip(words, range(len(words)), strict=True))
    same = np.array([numbers.setdefault(word, len(numbers)) for word in others], np.int32)
    new = same >= len(words)
    _renumber(ids[offsets[middle] :], same)
    return list(numbers), np.concatenate([plain, theirs[new]]), ids, offsets


def side_by_side(first: Callable[[], One], second: Callable[[], Other], *, worth: bool) -> tuple[One, Other]:
    """What two functions return, the first of which another thread calls where there is enough to do."""
    if not worth:
        return first(), second()
    with ThreadPoolExecutor(1) as aside:
        waiting = aside.submit(first)
        here = second()
        return waiting.result(), here


@compiled
def _fill_offsets(data: NDArray[np.uint8], lengths: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
    """Where texts of so many characters begin and end."""
    at = 0
    for i in range(len(lengths)):
        for _ in range(lengths[i]):
            at += 1
            while at < len(data) and data[at] & 0xC0 == 0x80:
                at += 1
        offsets[i + 1] = at


@compiled
def _count_words(data: NDArray[np.uint8], texts: NDArray[np.int64], offsets: NDArray[np.int64]) -> int:
    """Where the words of each text begin and end among all; returns how many there are."""
    offsets[0] = count = 0
    for i in range(len(texts) - 1):
        for k in range(texts[i], texts[i + 1]):
            count += data[k] == _SPACE
        count += 1
        offsets[i + 1] = count
    return count


@compiled
def _renumber(ids: NDArray[np.int32], numbers: NDArray[np.int32]) -> None:
    for i in range(len(ids)):
        ids[i] = numbers[ids[i]]


@compiled
def _number_words(
    data: NDArray[np.uint8], texts: NDArray[np.int64], ids: NDArray[np.int32]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Fill in the words of texts; returns the distinct words, a space after each, and which of them are plain."""
    size = _FIRST_SIZE
    # A slot holds the number of a word + 1 and in its upper half that of the hash: what differs there needs no look
    # at the letters. At most half of the slots are in use.
    table = np.zeros(size, np.uint64)
    # As if every word were another: what is never written to takes no memory.
    hashes = np.empty(len(ids), np.uint64)
    begins = np.empty(len(ids) + 1, np.int64)
    plain = np.empty(len(ids), np.bool_)
    listed = np.empty(texts[-1] - texts[0] + len(ids), np.uint8)
    begins[0] = 0
    count = np.int64(0)
    out = 0
    begin = texts[0]
    for i in range(len(texts) - 1):
        last = texts[i + 1]
        while True:
            hashed = _FACTOR
            end = begin
            while end < last and data[end] != _SPACE:
                hashed = (hashed ^ np.uint64(data[end])) * _FACTOR
                end += 1
            hashed ^= hashed >> np.uint64(32)
            length = end - begin
            slot = np.int64(hashed & np.uint64(size - 1))
            word = np.int64(-1)
            while table[slot] != 0:
                if table[slot] >> np.uint64(32) == hashed >> np.uint64(32):
                    word = np.int64(table[slot] & _LOWER) - 1
                    first = begins[word]
                    same = begins[word + 1] - first == length + 1
                    k = 0
                    while same and k < length:
                        same = listed[first + k] == data[begin + k]
                        k += 1
                    if same:
                        break
                    word = np.int64(-1)
                slot = (slot + 1) & (size - 1)
            if word < 0:
                word = count
                if 2 * (count + 1) > size:
                    size *= 2
                    table = np.zeros(size, np.uint64)
                    for other in range(count):
                        _insert(table, hashes[other], other)
                at = begins[count]
                plain[count] = length > 0
                for k in range(length):
                    byte = data[begin + k]
                    listed[at + k] = byte
                    plain[count] &= 97 <= byte <= 122 or 48 <= byte <= 57
                listed[at + length] = _SPACE
                begins[count + 1] = at + length + 1
                hashes[count] = hashed
                _insert(table, hashed, count)
                count += 1
            ids[out] = word
            out += 1
            begin = end + 1
            if end >= last:
                break
        begin = last
    return listed[: begins[count]].copy(), plain[:count].copy()


@compiled
def _insert(table: NDArray[np.uint64], hashed: np.uint64, number: int | np.int64) -> None:
    slot = np.int64(hashed & np.uint64(len(table) - 1))
    while table[slot] != 0:
        slot = (slot + 1) & (len(table) - 1)
    table[slot] = (hashed & ~_LOWER) | np.uint64(number + 1)


@compiled
def _number_phrases(
    ids: NDArray[np.int32], offsets: NDArray[np.int64], usable: NDArray[np.bool_], number: NDArray[np.int32]
) -> int:
    """Number the distinct usable phrases, and leave their words alone in `ids` and `offsets`; returns how many."""
    size = 4
    while 2 * size < 3 * len(usable):
        size *= 2
    table = np.zeros(size, np.uint64)  # as that of words, but up to two thirds of it may be in use
    count = 0
    begin = offsets[0]
    out = 0
    for i in range(len(usable)):
        end = offsets[i + 1]
        number[i] = -1
        if usable[i]:
            hashed = np.uint64(end - begin)
            for k in range(begin, end):
                hashed = (hashed ^ np.uint64(ids[k])) * _FACTOR
                hashed ^= hashed >> np.uint64(32)
            slot = np.int64(hashed & np.uint64(size - 1))
            while table[slot] != 0:
                if table[slot] >> np.uint64(32) == hashed >> np.uint64(32):
                    phrase = np.int64(table[slot] & _LOWER) - 1
                    first = offsets[phrase]
                    same = offsets[phrase + 1] - first == end - begin
                    k = 0
                    while same and k < end - begin:
                        same = ids[first + k] == ids[begin + k]
                        k += 1
                    if same:
                        number[i] = phrase
                        break
                slot = (slot + 1) & (size - 1)
            if number[i] < 0:
                # What is kept moves down over what was left out; it never overtakes what is still to be read.
                for k in range(begin, end):
                    ids[out] = ids[k]
                    out += 1
                table[slot] = (hashed & ~_LOWER) | np.uint64(count + 1)
                number[i] = count
                count += 1
                offsets[count] = out
        begin = end
    return count
