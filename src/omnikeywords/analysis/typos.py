"""Words at one edit from a commoner word: a letter too many, missing or wrong, or two neighbours in the wrong
order.

A word that the dictionary knows well is never taken for a typo of another, however rare it is in the batch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled
from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.analysis.piece_hashes import BASE, Characters, mix, powers_of_base
from omnikeywords.analysis.roots import SURNAMES, listed

__all__ = ["REAL", "REAL_SPOKEN", "S_MODELS", "TypoPairs", "find_typos"]

REAL = 3.0  # Zipf: what is more frequent is a word, not a typo of another
_A, _E, _I, _O, _U, _Y, _S = map(ord, "aeiouys")
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
_CENTURIES = ("17", "18", "19", "20")
_TRIED = 6  # meant words of one typo, the commonest

# Lines of products whose models end in s: iphone 5s is another than iphone 5.
S_MODELS = frozenset(
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
    named = [words[i] for i in candidates.tolist()]
    alphabetical = np.empty(len(candidates), np.intp)
    alphabetical[sorted(range(len(named)), key=named.__getitem__)] = np.arange(len(candidates))
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
    characters = Characters.of([words[i] for i in suitable.tolist()])
    often, zipf = phrases[suitable], zipf[suitable]
    english, known, own = zipf[:, _ENGLISH], zipf.max(axis=1), zipf.argmax(axis=1)
    letters = characters.lengths
    wrong = (english < REAL) & (known < _REAL_ELSEWHERE) & ~inflected[suitable]
    right = np.where(letters >= _SHORTEST, (known >= _MEANT) | (often >= _MEANT_PHRASES), english >= _SHORT_MEANT)
    typo, meant, of_spelling, at_first = _one_edit(characters, wrong, right)
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
    fashion = np.isin(characters.first()[typo], _FASHIONABLE) & (letters[typo] >= letters[meant])
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
    words: Characters, typos: NDArray[np.bool_], meant: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Distinct pairs (typo, meant) of distinct words that are one edit apart, among those that may be the one and
    the other.

    Then, whether it is an edit of those who do not know how to spell: two letters swapped, one doubled or
    not, one
    vowel for another; and whether it is the first letter that is missing, too many or another.
    """
    letters = mix(words.codes.astype(np.uint64) + BASE)
    powers = powers_of_base(int(words.lengths.max(initial=0)))
    there = np.flatnonzero(meant)
    variants = int((words.lengths[there] + 1).sum())
    table = np.full(2 << max(4, variants.bit_length()), -1, np.int32)
    following, word = np.empty((2, variants), np.int32)
    hashes = np.empty(variants, np.uint64)
    place = np.empty(variants, np.int8)
    there_is = np.zeros(len(table), np.uint8)
    meant_words = (there_is, table, following, hashes, word, place)
    _file_variants(letters, words.offsets, powers, there, *meant_words)
    pairs = _pair_variants(words.codes, letters, words.offsets, powers, np.flatnonzero(typos), *meant_words).reshape(
        -1, 4
    )
    return pairs[:, 0], pairs[:, 1], pairs[:, 2] > 0, pairs[:, 3] > 0


@compiled
def _mixed(x: np.uint64) -> np.uint64:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return x ^ (x >> np.uint64(31))


@compiled
def _hash_variants(
    letters: NDArray[np.uint64], begin: int, end: int, powers: NDArray[np.uint64], hashes: NDArray[np.uint64]
) -> None:
    """Hashes of a word, and of the same less its letter i - 1 in place i.

    Letter i weighs base ** i, so that all letters behind a missing one lose one factor.
    """
    length = end - begin
    whole = np.uint64(length)
    less = np.uint64(length - 1)
    for i in range(length):
        whole += letters[begin + i] * powers[i]
        if i > 0:
            less += letters[begin + i] * powers[i - 1]
    hashes[0] = _mixed(whole)
    for i in range(length):
        hashes[i + 1] = _mixed(less)
        less += letters[begin + i] * powers[i]
        if i + 1 < length:
            less -= letters[begin + i + 1] * powers[i]


@compiled
def _file_variants(
    letters: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    powers: NDArray[np.uint64],
    rows: NDArray[np.intp],
    there_is: NDArray[np.uint8],
    table: NDArray[np.int32],
    following: NDArray[np.int32],
    hashes: NDArray[np.uint64],
    word: NDArray[np.int32],
    place: NDArray[np.int8],
) -> None:
    """File the variants of words under their hashes: a slot has the first, each variant the one that follows it.

    `there_is` has a bit for each of eight times as many slots: most hashes that are asked for are not there, and the
    bits stay in the processor's cache.
    """
    out = 0
    for row in rows:
        begin, end = offsets[row], offsets[row + 1]
        _hash_variants(letters, begin, end, powers, hashes[out:])
        for i in range(end - begin + 1):
            slot = np.int64(hashes[out] & np.uint64(len(table) - 1))
            there_is[slot] |= np.uint8(1) << np.uint8(hashes[out] >> np.uint64(61))
            following[out] = table[slot]
            table[slot] = out
            word[out] = row
            place[out] = i - 1
            out += 1


@compiled
def _is_vowel(code: int) -> bool:
    return code in (_A, _E, _I, _O, _U, _Y)


@compiled
def _is_doubled(codes: NDArray[np.uint32], begin: int, end: int, place: int | np.int64) -> bool:
    """Whether the letter at a place (-1 for none) stands beside another of its kind."""
    if place < 0:
        return False
    at = begin + place
    return bool((at > begin and codes[at - 1] == codes[at]) or (at + 1 < end and codes[at + 1] == codes[at]))


@compiled
def _is_last_s(codes: NDArray[np.uint32], begin: int, end: int, place: int | np.int64) -> bool:
    return bool(begin + place == end - 1 and codes[end - 1] == _S)


@compiled
def _pair_variants(
    codes: NDArray[np.uint32],
    letters: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    powers: NDArray[np.uint64],
    rows: NDArray[np.intp],
    there_is: NDArray[np.uint8],
    table: NDArray[np.int32],
    following: NDArray[np.int32],
    hashes: NDArray[np.uint64],
    word: NDArray[np.int32],
    place: NDArray[np.int8],
) -> NDArray[np.int32]:
    """The pairs of `rows` and filed words that share a variant which is one edit of both.

    Four numbers a pair: the typo, what was meant, whether the edit is one of spelling, whether at the first letter.
    """
    pairs = np.empty(4 * 1024, np.int32)
    count = 0
    pair_of = np.full(len(offsets), -1, np.int32)  # of the present typo and each word, if not below `begun`
    variants = np.empty(len(powers) + 1, np.uint64)
    for row in rows:
        begin, end = offsets[row], offsets[row + 1]
        _hash_variants(letters, begin, end, powers, variants)
        begun = count
        for i in range(-1, end - begin):
            hashed = variants[i + 1]
            slot = np.int64(hashed & np.uint64(len(table) - 1))
            if not there_is[slot] >> np.uint8(hashed >> np.uint64(61)) & 1:
                continue
            entry = table[slot]
            while entry >= 0:
                filed = entry
                entry = following[filed]
                if hashes[filed] != hashed:
                    continue
                other, j = np.int64(word[filed]), np.int64(place[filed])
                if other == row or (i >= 0 and j >= 0 and abs(i - j) > 1):
                    continue
                first, last = offsets[other], offsets[other + 1]
                doubled = _is_doubled(codes, begin, end, i) or _is_doubled(codes, first, last, j)
                if i >= 0 and j >= 0:
                    swapped = i != j and codes[begin + i] == codes[first + j]
                    if not swapped and (i != j or (i == 0 and end - begin < _SHORTEST_FIRST)):
                        continue
                    vowel = i == j and _is_vowel(codes[begin + i]) and _is_vowel(codes[first + j])
                    spelt = swapped or vowel or (i == j and doubled)
                elif i < 0:  # a last s is more often lost than meant
                    spelt = doubled or _is_last_s(codes, first, last, j)
                else:
                    spelt = doubled or _is_last_s(codes, begin, end, i)
                pair = np.int64(pair_of[other])
                if pair < begun:
                    if 4 * count == len(pairs):
                        grown = np.empty(2 * len(pairs), np.int32)
                        for k in range(len(pairs)):
                            grown[k] = pairs[k]
                        pairs = grown
                    pair = np.int64(count)
                    count += 1
                    pair_of[other] = pair
                    pairs[4 * pair] = row
                    pairs[4 * pair + 1] = other
                    pairs[4 * pair + 2] = 0
                    pairs[4 * pair + 3] = 1
                pairs[4 * pair + 2] |= spelt
                pairs[4 * pair + 3] &= i < 1 and j < 1
    return pairs[: 4 * count]
