"""Words at one edit from a commoner word: a letter too many, missing or wrong, or two neighbours in the wrong order.

A word that the dictionary knows well is never taken for a typo of another, however rare it is in the batch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.piece_hashes import code_matrix, letter_hashes, mix, powers_of_base

__all__ = ["SHORTEST_ALONE", "TypoPairs", "find_typos"]

SHORTEST_ALONE = 5  # letters of a typo that is the whole phrase

_SHORTEST = 4  # letters of a word that may be, or have, a typo
_SHORTEST_FIRST = 6  # where it is the first letter that is another
_LONGEST = 32
_FIRST_UNSUITABLE = "\u0530"  # beyond Latin, Greek and Cyrillic a letter more or less is seldom a slip
_REAL = 3.0  # Zipf: what is more frequent is a word, not a typo of another
_CLEARLY = 1.3  # Zipf: how much commoner the meant word is than a typo that the dictionary has too
_MEANT = 2.0  # Zipf: a rarer word must show by its phrases that it is one
_MEANT_PHRASES = 3  # how many at least,
_MEANT_TIMES = 2  # and how many for each of the typo's
_TRIED = 6  # meant words of one typo, the commonest


@dataclass(frozen=True, slots=True)
class TypoPairs:
    """Typos with what may have been meant: for each typo its likeliest word first."""

    typo: NDArray[np.intp]  # ascending
    meant: NDArray[np.intp]
    preference: NDArray[np.intp]  # the smaller, the commoner is the meant word among all


def find_typos(words: list[str], phrases: NDArray[np.intp], zipf: NDArray[np.float32]) -> TypoPairs:
    """Pairs among distinct folded words, by their index.

    `phrases` is the number of phrases each word is in, `zipf` its frequency in the language where it is commonest, 0
    where it is in no dictionary.
    """
    suitable = np.flatnonzero(
        np.fromiter(
            (_SHORTEST <= len(w) <= _LONGEST and w.isalpha() and max(w) < _FIRST_UNSUITABLE for w in words),
            bool,
            len(words),
        )
    )
    if len(suitable) == 0:
        return TypoPairs(suitable, suitable, suitable)
    texts = [words[i] for i in suitable.tolist()]
    codes = code_matrix(texts)
    often = phrases[suitable]
    known = zipf[suitable]
    typo, meant = _one_edit(codes, known < _REAL, (known >= _MEANT) | (often >= _MEANT_PHRASES))
    z_typo, z_meant = known[typo], known[meant]
    keep = (z_typo == 0) | (z_meant >= z_typo + _CLEARLY)
    keep &= np.where(
        z_meant >= _MEANT,
        often[meant] >= often[typo],
        (often[meant] >= _MEANT_PHRASES) & (often[meant] >= _MEANT_TIMES * often[typo]),
    )
    typo, meant = typo[keep], meant[keep]
    # Commonest in the dictionary, then in the phrases, then in the alphabet: the same whatever the order of phrases.
    by_text = np.argsort(np.array(texts), kind="stable")
    alphabetical = np.empty(len(texts), np.intp)
    alphabetical[by_text] = np.arange(len(texts))
    order = np.lexsort((alphabetical, -often, -known))
    place = np.empty(len(texts), np.intp)
    place[order] = np.arange(len(texts))
    by_typo = np.lexsort((place[meant], typo))
    typo, meant = typo[by_typo], meant[by_typo]
    first = np.flatnonzero(np.diff(typo, prepend=-1))
    nth = np.arange(len(typo)) - np.repeat(first, np.diff(np.append(first, len(typo))))
    typo, meant = typo[nth < _TRIED], meant[nth < _TRIED]
    return TypoPairs(suitable[typo], suitable[meant], place[meant])


def _one_edit(
    codes: NDArray[np.uint32], typos: NDArray[np.bool_], meant: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Distinct pairs (typo, meant) of rows that are one edit apart, among the rows that may be the one and the other."""
    here = np.flatnonzero(typos)
    there = np.flatnonzero(meant)
    hash_t, row_t, place_t = _with_one_letter_less(codes[here])
    hash_m, row_m, place_m = _with_one_letter_less(codes[there])
    order = np.argsort(hash_m)
    hash_m = hash_m[order]
    begin = hash_m.searchsorted(hash_t, "left")
    size = hash_m.searchsorted(hash_t, "right") - begin
    k = np.flatnonzero(size)
    size = size[k]
    left = np.repeat(k, size)
    right = order[np.repeat(begin[k] - (np.cumsum(size) - size), size) + np.arange(int(size.sum()))]
    typo, i = here[row_t[left]], place_t[left]
    word, j = there[row_m[right]], place_m[right]
    both = (i >= 0) & (j >= 0)
    gap = np.abs(i - j)
    long = (codes[typo] > 0).sum(axis=1) >= _SHORTEST_FIRST
    swapped = (gap == 1) & (codes[typo, np.maximum(i, 0)] == codes[word, np.maximum(j, 0)])
    fits = np.where(both, ((gap == 0) & ((i > 0) | long)) | swapped, i != j) & (typo != word)
    pairs = np.unique(typo[fits] * len(codes) + word[fits])
    return pairs // len(codes), pairs % len(codes)


def _with_one_letter_less(
    codes: NDArray[np.uint32],
) -> tuple[NDArray[np.uint64], NDArray[np.intp], NDArray[np.intp]]:
    """Hashes of words and of words less one letter, each with the row of the word and the letter's place, -1 for none."""
    count, width = codes.shape
    length = (codes > 0).sum(axis=1)
    letters = np.where(codes > 0, letter_hashes(codes), np.uint64(0))
    powers = powers_of_base(width)
    # Letter i weighs base ** i, so that all letters behind a missing one lose one factor.
    before = np.zeros((count, width + 1), np.uint64)
    np.cumsum(letters * powers[:width], axis=1, out=before[:, 1:])
    behind = np.zeros((count, width + 1), np.uint64)
    behind[:, 1:width] = np.cumsum((letters[:, 1:] * powers[: width - 1])[:, ::-1], axis=1)[:, ::-1]
    row, place = np.nonzero(codes)
    less = before[row, place] + behind[row, place + 1] + (length[row] - 1).astype(np.uint64)
    whole = before[:, width] + length.astype(np.uint64)
    return (
        mix(np.concatenate([whole, less])),
        np.concatenate([np.arange(count), row]),
        np.concatenate([np.full(count, -1), place]),
    )
