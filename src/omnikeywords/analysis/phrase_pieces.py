"""The pieces of the words of many phrases, what near-duplicates need to know of each distinct one, and the keys that
phrases have by their pieces.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled
from omnikeywords.analysis.direction import KINDS, LEADS
from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.analysis.phrase_texts import DistinctPhrases, Flat, Texts
from omnikeywords.analysis.piece_hashes import BASE, SEPARATOR, Characters, hash_texts, mix, powers_of_base
from omnikeywords.analysis.roots import (
    PLAIN_CONTRACTIONS,
    ROOT_LANGUAGES,
    Zipf,
    fold_piece,
    inflection_roots,
    pieces,
    spelling_root,
)
from omnikeywords.analysis.stop_words import KEEPS_NEXT, STOP_INSIDE, STOP_LEADING
from omnikeywords.analysis.typos import S_MODELS

__all__ = ["STOP_BIT", "Pieces", "bag_keys", "cut", "describe", "joined_keys"]

Scalar = TypeVar("Scalar", bound=np.generic)

_VOWELS = "aeiou"
_LONE_VOWELS = frozenset(_VOWELS[i:j] for i in range(5) for j in range(i + 1, 6))
_LONE_ARTICLES = frozenset(("a", "o", "ao"))


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """What is known of each of P distinct pieces.

    Pieces, their folded forms and their roots are names, which are numbered together: equal numbers are equal texts.
    The first P names are the pieces as they are written.
    """

    names: list[str]
    characters: Characters  # of the names
    folded: NDArray[np.int32]  # P names
    root: NDArray[np.int32]  # P names
    name_hash: NDArray[np.uint64]  # of each name
    in_bag: NDArray[np.uint64]  # root, as a summand; the sum of its parts for a compound
    root_in_bag: NDArray[np.uint64]
    inflected_in_bag: NDArray[np.uint64]  # root before spellings were made one
    folded_in_bag: NDArray[np.uint64]
    stop_inside: NDArray[np.int64]  # bits of languages
    stop_leading: NDArray[np.int64]
    keeps_next: NDArray[np.bool_]
    starts_with_digit: NDArray[np.bool_]
    ends_with_digit: NDArray[np.bool_]
    lone_vowel: NDArray[np.bool_]
    lone_article: NDArray[np.bool_]
    has_s_models: NDArray[np.bool_]
    # Of the root:
    is_number: NDArray[np.bool_]  # begins with a digit
    leads: NDArray[np.int8]  # one of LEADS, else 0
    kinds: NDArray[np.int64]  # bits of KINDS


# -------------------------------------------------------------------------------------------------- the pieces


def cut(phrases: DistinctPhrases, texts: Texts, row: NDArray[np.intp]) -> tuple[list[str], Flat]:
    """The distinct pieces of phrases, and the pieces of each phrase; one without pieces has its text as a piece.

    `row` has the text of each distinct phrase.
    """
    words, plain = phrases.words, phrases.plain.copy()
    for word in PLAIN_CONTRACTIONS.intersection(words):
        plain[words.index(word)] = False
    # Most words are their own only piece.
    raw = [words[i] for i in np.flatnonzero(plain).tolist()]
    number = dict(zip(raw, range(len(raw)), strict=True))
    others = np.flatnonzero(~plain)
    parts = [pieces(words[i]) for i in others.tolist()]
    sizes = np.ones(len(words), np.int32)
    sizes[others] = np.fromiter(map(len, parts), np.int32, len(parts))
    begins = np.zeros(len(words) + 1, np.int32)
    np.cumsum(sizes, out=begins[1:])
    of_words = np.empty(begins[-1], np.int32)
    of_words[begins[:-1][plain]] = np.arange(len(raw))
    of_words[np.repeat(~plain, sizes)] = [number.setdefault(piece, len(number)) for part in parts for piece in part]
    offsets = np.zeros(len(row) + 1, np.int64)
    bare = np.flatnonzero(_count_pieces(phrases.flat.ids, phrases.flat.offsets, sizes, offsets))
    alone = [number.setdefault(texts[int(i)], len(number)) for i in row[bare]]
    ids = np.empty(offsets[-1], np.int32)
    _fill_pieces(phrases.flat.ids, phrases.flat.offsets, begins, of_words, np.array(alone, np.int32), ids, offsets)
    return list(number), Flat(ids, offsets)


@compiled
def _count_pieces(
    words: NDArray[np.int32], of_phrase: NDArray[np.int64], sizes: NDArray[np.int32], offsets: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Where the pieces of each phrase begin and end; returns which phrases have none but their text."""
    bare = np.zeros(len(of_phrase) - 1, np.bool_)
    for i in range(len(bare)):
        count = 0
        for k in range(of_phrase[i], of_phrase[i + 1]):
            count += sizes[words[k]]
        bare[i] = count == 0
        offsets[i + 1] = offsets[i] + max(count, 1)
    return bare


@compiled
def _fill_pieces(
    words: NDArray[np.int32],
    of_phrase: NDArray[np.int64],
    begins: NDArray[np.int32],
    of_words: NDArray[np.int32],
    alone: NDArray[np.int32],
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
) -> None:
    used = 0
    for i in range(len(offsets) - 1):
        out = offsets[i]
        for k in range(of_phrase[i], of_phrase[i + 1]):
            for piece in range(begins[words[k]], begins[words[k] + 1]):
                ids[out] = of_words[piece]
                out += 1
        if out == offsets[i]:
            ids[out] = alone[used]
            used += 1


def describe(raw: list[str], zipf: Zipf | None) -> Pieces:
    """What is known of distinct pieces."""
    count = len(raw)
    number = dict(zip(raw, range(count), strict=True))

    def numbers(texts: Iterable[str]) -> list[int]:
        return [number.setdefault(text, len(number)) for text in texts]

    folded = np.arange(count, dtype=np.int32)
    accented = [i for i, piece in enumerate(raw) if not piece.isascii()]
    folded[accented] = numbers(fold_piece(raw[i]) for i in accented)
    # From here on for all names: few are accented, and more than one piece may be folded to one name.
    names = list(number)
    inflected = inflection_roots(names, zipf)
    of_name = _changed(names, inflected, numbers)
    names = list(number)
    spelt = _changed(names, list(map(spelling_root, names)), numbers)
    inflected_name = of_name[folded]
    root = spelt[inflected_name]

    names = list(number)
    characters = Characters.of(names)
    name_hash = hash_texts(characters)
    as_summand = mix(name_hash)
    first_is_digit = _digits(characters.first(), names, 0)

    def listed(some: Iterable[str]) -> NDArray[np.bool_]:
        return _column(number, dict.fromkeys(some, True), np.bool_)

    return Pieces(
        names=names,
        characters=characters,
        folded=folded,
        root=root,
        name_hash=name_hash,
        in_bag=as_summand[root],
        root_in_bag=as_summand[root],
        inflected_in_bag=as_summand[inflected_name],
        folded_in_bag=as_summand[folded],
        stop_inside=_column(number, STOP_INSIDE, np.int64)[:count],
        stop_leading=_column(number, STOP_LEADING, np.int64)[:count],
        keeps_next=listed(KEEPS_NEXT)[folded],
        starts_with_digit=first_is_digit[folded],
        ends_with_digit=_digits(characters.last(), names, -1)[folded],
        lone_vowel=listed(_LONE_VOWELS)[folded],
        lone_article=listed(_LONE_ARTICLES)[folded],
        has_s_models=listed(S_MODELS)[root],
        is_number=first_is_digit[root],
        leads=_column(number, LEADS, np.int8)[root],
        kinds=_column(number, KINDS, np.int64)[root],
    )


def _changed(names: list[str], forms: list[str], numbers: Callable[[Iterable[str]], list[int]]) -> NDArray[np.int32]:
    """The number of the form of each name; most are the name itself."""
    of_name = np.arange(len(names), dtype=np.int32)
    changed = [i for i, (name, form) in enumerate(zip(names, forms, strict=True)) if name is not form]
    of_name[changed] = numbers(forms[i] for i in changed)
    return of_name


def _column(number: dict[str, int], listed: Mapping[str, int], dtype: type[Scalar]) -> NDArray[Scalar]:
    """For each name what a list says of it, else 0. Lists are short: they are looked up in the names."""
    column = np.zeros(len(number), dtype)
    for name in number.keys() & listed.keys():
        column[number[name]] = listed[name]
    return column


def _digits(characters: NDArray[np.uint32], names: list[str], place: int) -> NDArray[np.bool_]:
    """Which of some characters, those at a place of the names, are digits of any script."""
    digits = (characters >= ord("0")) & (characters <= ord("9"))
    beyond = np.flatnonzero(characters > 127)
    digits[beyond] = [names[i][place].isdigit() for i in beyond.tolist()]
    return digits


# ---------------------------------------------------------------------------------------------------- the keys


def joined_keys(flat: Flat, known: Pieces) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The hashes of the roots of each phrase, and of its folded letters, joined in order without spaces."""
    joined_roots, joined = np.empty((2, len(flat.offsets) - 1), np.uint64)
    lengths = known.characters.lengths.astype(np.int32)
    powers = powers_of_base(int(lengths.max(initial=0)) + 1)
    marks = known.ends_with_digit * 1 + known.starts_with_digit * 2 + known.lone_vowel * 4 + known.lone_article * 8
    roots = (known.name_hash[known.root], lengths[known.root])
    letters = (known.name_hash[known.folded], lengths[known.folded])
    _join_pieces(flat.ids, flat.offsets, *roots, *letters, marks.astype(np.uint8), powers, joined_roots, joined)
    return joined_roots, joined


@compiled
def _join_pieces(
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    root: NDArray[np.uint64],
    root_length: NDArray[np.int32],
    folded: NDArray[np.uint64],
    folded_length: NDArray[np.int32],
    marks: NDArray[np.uint8],
    powers: NDArray[np.uint64],
    joined_roots: NDArray[np.uint64],
    joined: NDArray[np.uint64],
) -> None:
    """Hash the pieces of each phrase joined in order, a separator where a space means something: 1 24 is not 12 4,
    vitamin a not vitamina, a part not apart.

    `marks` has for each piece: 1 ends with a digit, 2 starts with one, 4 is a vowel alone, 8 is an article alone.
    """
    for i in range(len(joined)):
        roots = letters = np.uint64(0)
        before = 0
        for k in range(offsets[i], offsets[i + 1]):
            piece = ids[k]
            mark = marks[piece]
            if k > offsets[i] and ((before & 1 and mark & 2) or mark & 4 or before & 8):
                roots = roots * BASE + SEPARATOR
                letters = letters * BASE + SEPARATOR
            roots = roots * powers[root_length[piece]] + root[piece]
            letters = letters * powers[folded_length[piece]] + folded[piece]
            before = mark
        joined_roots[i], joined[i] = roots, letters


def _stop_bit() -> NDArray[np.int64]:
    """The bit of the stop words for each language and, last, for none."""
    bit = np.full(len(LANGUAGES) + 1, len(ROOT_LANGUAGES), np.int64)
    for i, name in enumerate(ROOT_LANGUAGES):
        bit[LANGUAGES.index(name)] = i
    return bit


STOP_BIT = _stop_bit()


def bag_keys(flat: Flat, known: Pieces, language: NDArray[np.int8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The bag of roots of each phrase, and the same without its stop words, where two other words are left."""
    bag, shorter_bag = np.empty((2, len(language)), np.uint64)
    mask = np.left_shift(1, STOP_BIT[language])
    stop = (known.stop_inside, known.stop_leading, known.keeps_next)
    _add_pieces(flat.ids, flat.offsets, known.in_bag, *stop, mask, bag, shorter_bag)
    return bag, shorter_bag


@compiled
def _add_pieces(
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    in_bag: NDArray[np.uint64],
    stop_inside: NDArray[np.int64],
    stop_leading: NDArray[np.int64],
    keeps_next: NDArray[np.bool_],
    mask: NDArray[np.int64],
    bag: NDArray[np.uint64],
    shorter_bag: NDArray[np.uint64],
) -> None:
    for i in range(len(bag)):
        begin, end = offsets[i], offsets[i + 1]
        whole = np.uint64(0)
        kept = end - begin
        for k in range(begin, end):
            whole += in_bag[ids[k]]
            if stop_inside[ids[k]] & mask[i] and not (k > begin and keeps_next[ids[k - 1]]):
                kept -= 1
        bag[i] = shorter_bag[i] = whole
        if kept < 2 or kept == end - begin:
            continue
        for k in range(begin, end):
            stop = stop_inside[ids[k]] & mask[i] and not (k > begin and keeps_next[ids[k - 1]])
            # At the ends of a short phrase they are part of a name (in design, the of), or the rest is cut off (made
            # in).
            if kept < 3 and (k == end - 1 or (k == begin and not stop_leading[ids[k]] & mask[i])):
                stop = False
            if stop:
                shorter_bag[i] -= in_bag[ids[k]]
