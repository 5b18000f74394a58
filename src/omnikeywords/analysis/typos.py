"""Words at one edit from a commoner word: a letter too many, missing or wrong, or two neighbours in the wrong
order.

A word that the dictionary knows well is never taken for a typo of another, however rare it is in the batch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.analysis.piece_hashes import code_matrix, letter_hashes, mix, powers_of_base
from omnikeywords.analysis.roots import SURNAMES, listed

__all__ = ["REAL", "REAL_SPOKEN", "TypoPairs", "find_typos", "has_s_models"]

REAL = 3.0  # Zipf: what is more frequent is a word, not a typo of another
_VOWELS = np.array([ord(letter) for letter in "aeiouy"], np.uint32)
_ENGLISH = LANGUAGES.index("en")
_SHORTEST = 4  # letters of a word that may be, or have, a typo
REAL_SPOKEN = 2.6  # the same in the language of the phrase, where that is not English

_SHORTEST_ALONE = 5  # where it is the whole phrase
_SHORTEST_FIRST = 6  # where it is the first letter that is another
_LONGEST = 32
_FIRST_GREEK = "\u0370"
_FIRST_UNSUITABLE = "\u0530"  # beyond Latin, Greek and Cyrillic a letter more or less is seldom a slip
_REAL_ELSEWHERE = 4.6  # Zipf: so frequent it is a word in any language's phrases
_CLEARLY = 1.3  # Zipf: how much commoner the meant word is than a typo that the dictionary has too
# Zipf: a typo more frequent than this must be one of spelling, not a slip to another word (sprain, spain)
_KNOWN = 2.3
_RARE = 1.7  # Zipf: less frequent ones may be slips to any commoner word,
_BY_FAR = 2.3  # those between to one that is commoner by so much (not inulin, insulin)
_MEANT = 2.0  # Zipf: a rarer word must show by its phrases that it is one
_MEANT_PHRASES = 3  # how many at least,
_MEANT_TIMES = 2  # and how many for each of the typo's
_SHORT_MEANT = 4.5  # Zipf: three letters below this are not what was meant
_REAL_IN_ITS_OWN = 3.5  # Zipf: more frequent in some language, it is a word of that
_MEANT_BY_FAR = 5.0  # Zipf: what three letters stand for that lost a fourth
_MEANT_BY_SHORT = 4.5  # Zipf: less is not what three letters stand for
_SHORT_REAL = 4.8  # Zipf: three letters above this are a word, not two letters with an s
_SINGULAR_REAL = 3.8  # Zipf: above this it is a word of its own, not one that lost its s
_SHORT_WORD = 3.6  # Zipf: above this three letters with a last s need more words beside them
_CLEARLY_PLURAL = 0.8  # Zipf: how much commoner the word with its s is
_LONG_NUMBER = 6  # characters of a word with a digit, which may be the whole phrase
_FASHIONABLE = np.array([ord("i"), ord("e")], np.uint32)
_BLOCK = 4096  # words whose letters stay in the processor's cache
_CENTURIES = ("17", "18", "19", "20")
_TRIED = 6  # meant words of one typo, the commonest

# Lines of products whose models end in s: iphone 5s is another than iphone 5.
_S_MODELS = frozenset(
    listed(
        "iphone redmi note moto galaxy xiaomi gtx rtx geforce nvidia radeon nikon canon sony pilot "
        "sport xbox windows mi poco lexus porsche bmw model huawei asus zenfone kindle gopro dji "
        "thinkpad oneplus realme oppo vivo nokia motorola playstation"
    )
)


@dataclass(frozen=True, slots=True)
class TypoPairs:
    """Typos with what may have been meant: for each typo its likeliest word first."""

    typo: NDArray[np.intp]  # ascending
    meant: NDArray[np.intp]
    context: NDArray[np.intp]  # words that a phrase must have for the pair to be believed
    of_number: NDArray[np.bool_]  # a number, or a word with one, and the same with an s
    abbreviation: NDArray[np.bool_]  # two letters and the same with an s
    preference: NDArray[np.intp]  # the smaller, the commoner is the meant word among all


def find_typos(
    words: list[str], phrases: NDArray[np.intp], zipf: NDArray[np.float32], inflected: NDArray[np.bool_]
) -> TypoPairs:
    """Pairs among distinct folded words, by their index.

    `phrases` is the number of phrases each word is in, `zipf` its frequency in each of LANGUAGES, 0 where it
    is not in
    the dictionary. English words and the commonest of other languages are no typos; whether the typo is a
    word of the
    language of its phrase is for the caller to see. Nor are `inflected` words: plurals of words.
    """
    english = zipf[:, _ENGLISH]
    known = zipf.max(axis=1, initial=0)
    slips, slip_meant, slip_context = _slips(words, phrases, zipf, inflected)
    added, added_meant = _final_s(words, english)
    typo = np.concatenate([slips, added])
    meant = np.concatenate([slip_meant, added_meant])
    of_number = np.fromiter((not words[i].isalpha() for i in typo.tolist()), bool, len(typo))
    letters = np.fromiter((len(words[i]) for i in typo.tolist()), np.intp, len(typo))
    final_s = np.arange(len(typo)) >= len(slips)
    context = np.where(letters < np.where(of_number, _LONG_NUMBER, _SHORTEST_ALONE), 2, 1)
    context[final_s & ~of_number] = 2
    context[: len(slips)] = np.maximum(slip_context, context[: len(slips)])
    short = (letters < _SHORTEST) & ~of_number
    context[short] = np.where(final_s & (english[typo] < _SHORT_WORD), 2, 3)[short]
    # Commonest in the dictionary, then in the phrases, then in the alphabet: the same whatever the order of
    # phrases.
    candidates, place = np.unique(meant, return_inverse=True)
    alphabetical = np.argsort(np.argsort(np.array([words[i] for i in candidates.tolist()] or [""])))[: len(candidates)]
    order = np.lexsort((alphabetical, -phrases[candidates], -known[candidates]))
    preference = np.empty(len(candidates), np.intp)
    preference[order] = np.arange(len(candidates))
    preference = preference[place]
    by_typo = np.lexsort((preference, typo))
    typo = typo[by_typo]
    first = np.flatnonzero(np.diff(typo, prepend=-1))
    nth = np.arange(len(typo)) - np.repeat(first, np.diff(np.append(first, len(typo))))
    by_typo = by_typo[nth < _TRIED]
    return TypoPairs(
        typo[nth < _TRIED],
        meant[by_typo],
        context[by_typo],
        of_number[by_typo],
        (short & final_s)[by_typo],
        preference[by_typo],
    )


def _slips(
    words: list[str], phrases: NDArray[np.intp], zipf: NDArray[np.float32], inflected: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Pairs one edit apart of which the first is no word, and the second a commoner one; and how many words a
    phrase must have for each to be believed.
    """
    suitable = np.flatnonzero(
        np.fromiter(
            (_SHORTEST - 1 <= len(w) <= _LONGEST and w.isalpha() and _suits(w) for w in words),
            bool,
            len(words),
        )
    )
    if len(suitable) == 0:
        return suitable, suitable, suitable
    codes = code_matrix([words[i] for i in suitable.tolist()])
    often, zipf = phrases[suitable], zipf[suitable]
    english, known, own = zipf[:, _ENGLISH], zipf.max(axis=1), zipf.argmax(axis=1)
    letters = (codes > 0).sum(axis=1)
    wrong = (english < REAL) & (known < _REAL_ELSEWHERE) & ~inflected[suitable]
    right = np.where(letters >= _SHORTEST, (known >= _MEANT) | (often >= _MEANT_PHRASES), english >= _SHORT_MEANT)
    typo, meant, of_spelling, at_first = _one_edit(codes, wrong, right)
    z_typo, z_meant = english[typo], known[meant]
    keep = (z_typo == 0) | (z_meant >= z_typo + _CLEARLY)
    keep &= of_spelling | (z_typo < _RARE) | ((z_typo < _KNOWN) & (z_meant >= z_typo + _BY_FAR))
    keep &= np.where(
        z_meant >= _MEANT,
        often[meant] >= often[typo],
        (often[meant] >= _MEANT_PHRASES) & (often[meant] >= _MEANT_TIMES * often[typo]),
    )
    # A word of another language is a typo of what is common there too, not of its cousin (protocolo, protocol).
    z_own = zipf[typo, own[typo]]
    keep &= (z_own < _REAL_IN_ITS_OWN) | (zipf[meant, own[typo]] >= z_own)
    # Short words, and words whose first letter differs, are easily names; letters before a name are a fashion
    # (isketch, epinions).
    lost_letter = (letters[meant] > letters[typo]) & (z_meant >= _MEANT_BY_FAR)
    keep &= (letters[typo] >= _SHORTEST) | (of_spelling & (z_meant >= _MEANT_BY_SHORT)) | lost_letter
    keep &= ~at_first | (letters[typo] >= _SHORTEST_FIRST) | (z_meant >= _MEANT_BY_SHORT)
    fashion = np.isin(codes[typo, 0], _FASHIONABLE) & (letters[typo] >= letters[meant])
    keep &= ~(at_first & fashion)
    context = np.where(
        (letters[meant] < _SHORTEST) & ~of_spelling,
        3,
        np.where(at_first & (letters[typo] == letters[meant]), 2, 1),
    )
    return suitable[typo[keep]], suitable[meant[keep]], context[keep]


def _suits(word: str) -> bool:
    # What is Latin and still has an accent after folding has it for its meaning.
    return word.isascii() or (min(word) >= _FIRST_GREEK and max(word) < _FIRST_UNSUITABLE)


def _final_s(words: list[str], english: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs that differ by a last s which no plural explains: `near mes`, `chapter 11s`, `las vega`; no
    decades.
    """
    index = {word: i for i, word in enumerate(words)}
    zipf = english.tolist()
    typo, meant = [], []
    for i, word in enumerate(words):
        if not word.endswith("s"):
            continue
        j = index.get(word[:-1], -1)
        if j < 0:
            continue
        if not word.isalpha():
            decade = (
                word[:-1].isdigit()
                and word[-2] == "0"
                and ((len(word) == 3 and word[0] != "1") or (len(word) == 5 and word[:2] in _CENTURIES))
            )
            if not decade and word[-2].isalnum():
                typo.append(i)
                meant.append(j)
        elif len(word) == 3 and zipf[i] < _SHORT_REAL:
            typo.append(i)
            meant.append(j)
        elif len(word) > 3 and (
            word in SURNAMES or (zipf[j] < _SINGULAR_REAL and zipf[i] >= zipf[j] + _CLEARLY_PLURAL)
        ):
            typo.append(j)
            meant.append(i)
    return np.array(typo, np.intp), np.array(meant, np.intp)


def _one_edit(
    codes: NDArray[np.uint32], typos: NDArray[np.bool_], meant: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]:
    """Distinct pairs (typo, meant) of rows that are one edit apart, among the rows that may be the one and
    the other.

    Then, whether it is an edit of those who do not know how to spell: two letters swapped, one doubled or
    not, one
    vowel for another; and whether it is the first letter that is missing, too many or another.
    """
    here = np.flatnonzero(typos)
    there = np.flatnonzero(meant)
    hash_t, row_t, place_t = _with_one_letter_less(codes[here])
    hash_m, row_m, place_m = _with_one_letter_less(codes[there])
    by_hash = np.argsort(hash_t)  # searched in order, neighbours are found in the cache
    hash_t, row_t, place_t = hash_t[by_hash], row_t[by_hash], place_t[by_hash]
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
    likely = (typo != word) & ((i < 0) | (j < 0) | (np.abs(i - j) < 2))
    typo, i, word, j = typo[likely], i[likely], word[likely], j[likely]
    both = (i >= 0) & (j >= 0)
    gap = np.abs(i - j)
    long = (codes[typo] > 0).sum(axis=1) >= _SHORTEST_FIRST
    swapped = (gap == 1) & (codes[typo, np.maximum(i, 0)] == codes[word, np.maximum(j, 0)])
    vowels = np.isin(codes, _VOWELS)
    vowel = (gap == 0) & vowels[typo, np.maximum(i, 0)] & vowels[word, np.maximum(j, 0)]
    # A last s is more often lost than meant.
    plural = ~both & np.where(i < 0, _is_last_s(codes, word, j), _is_last_s(codes, typo, i))
    doubled = _doubled(codes, typo, i) | _doubled(codes, word, j)
    first = np.maximum(i, j) == 0
    fits = np.where(both, ((gap == 0) & ((i > 0) | long)) | swapped, i != j)
    spelt = np.where(both, swapped | vowel | ((gap == 0) & doubled), doubled | plural)
    pairs, pair = np.unique(typo[fits] * len(codes) + word[fits], return_inverse=True)
    of_spelling = np.zeros(len(pairs), bool)
    of_spelling[pair[spelt[fits]]] = True
    at_first = np.ones(len(pairs), bool)
    at_first[pair[~first[fits]]] = False
    return pairs // len(codes), pairs % len(codes), of_spelling, at_first


def _is_last_s(codes: NDArray[np.uint32], row: NDArray[np.intp], place: NDArray[np.intp]) -> NDArray[np.bool_]:
    behind = codes[row, np.minimum(place + 1, codes.shape[1] - 1)]
    last = (behind == 0) | (place + 1 == codes.shape[1])
    found: NDArray[np.bool_] = last & (codes[row, np.maximum(place, 0)] == ord("s"))
    return found


def _doubled(codes: NDArray[np.uint32], row: NDArray[np.intp], place: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether the letter at a place (-1 for none) stands beside another of its kind."""
    letter = codes[row, np.maximum(place, 0)]
    before = codes[row, np.maximum(place - 1, 0)]
    behind = codes[row, np.minimum(place + 1, codes.shape[1] - 1)]
    beside_behind = (letter == behind) & (place + 1 < codes.shape[1])
    found: NDArray[np.bool_] = (place >= 0) & (((place > 0) & (letter == before)) | beside_behind)
    return found


def _with_one_letter_less(
    codes: NDArray[np.uint32],
) -> tuple[NDArray[np.uint64], NDArray[np.intp], NDArray[np.intp]]:
    """Hashes of words and of words less one letter, each with the row of the word and the letter's place, -1
    for none.
    """
    parts = [_shorter_by_one(codes[begin : begin + _BLOCK]) for begin in range(0, len(codes), _BLOCK)]
    if not parts:
        return np.zeros(0, np.uint64), np.zeros(0, np.intp), np.zeros(0, np.intp)
    return (
        np.concatenate([hashes for hashes, _, _ in parts]),
        np.concatenate([row + number * _BLOCK for number, (_, row, _) in enumerate(parts)]),
        np.concatenate([place for _, _, place in parts]),
    )


def _shorter_by_one(
    codes: NDArray[np.uint32],
) -> tuple[NDArray[np.uint64], NDArray[np.intp], NDArray[np.intp]]:
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


def has_s_models(root: str) -> bool:
    """Whether a root names products of which a number with an s is another than the number."""
    return root in _S_MODELS
