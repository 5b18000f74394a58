"""The pieces of the words of many phrases, with what near-duplicates need to know of each distinct one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.direction import directed
from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.analysis.piece_hashes import Flat, Hashed, hash_texts, mix
from omnikeywords.analysis.roots import (
    ROOT_LANGUAGES,
    Zipf,
    fold_piece,
    inflection_roots,
    pieces,
    spelling_root,
)
from omnikeywords.analysis.stop_words import keeps_next, stop_languages
from omnikeywords.analysis.typos import has_s_models
from omnikeywords.analysis.words import Words, split_words

__all__ = ["STOP_BIT", "Pieces", "cut", "describe", "kept_apart", "without_stop_words", "words_of"]


@dataclass(frozen=True, slots=True)
class Pieces:
    """What is known of each distinct piece."""

    folded: list[str]
    root: list[str]
    raw_hash: Hashed
    folded_hash: Hashed
    root_hash: Hashed
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
    gives_direction: NDArray[np.bool_]
    gives_direction_in_pairs: NDArray[np.bool_]


def words_of(words: Words | None, rows: NDArray[np.intp], texts: list[str]) -> tuple[list[str], Flat]:
    """The distinct words of some phrases, and the words of each."""
    if words is not None:  # they are numbered already
        flat = Flat(words.ids, words.starts, words.counts).of(rows)
        place = np.full(int(words.ids.max(initial=0)) + 1, -1)
        place[words.ids] = np.arange(len(words.ids))
        used = np.zeros(len(place), bool)
        used[flat.ids] = True
        number = np.cumsum(used) - 1
        text = words.text
        return [text[i] for i in place[used].tolist()], Flat(number[flat.ids], flat.starts, flat.counts)
    every, starts, counts = split_words(texts)
    index = dict.fromkeys(every, 0)
    index.update(zip(index, range(len(index)), strict=True))
    return list(index), Flat(np.fromiter(map(index.__getitem__, every), np.intp, len(every)), starts, counts)


def cut(words: list[str], flat: Flat, texts: list[str]) -> tuple[list[str], Flat]:
    """The distinct pieces of phrases, and the pieces of each phrase; one without pieces has its text as a
    piece.
    """
    parts: dict[str, int] = {}
    pieces_of_word: list[int] = []
    sizes = np.empty(len(words), np.intp)
    for number, word in enumerate(words):
        found = pieces(word)
        sizes[number] = len(found)
        for piece in found:
            pieces_of_word.append(parts.setdefault(piece, len(parts)))
    size = sizes[flat.ids]
    per_phrase = np.add.reduceat(size, flat.starts)
    begin = np.cumsum(sizes) - sizes
    at = np.repeat(begin[flat.ids] - (np.cumsum(size) - size), size) + np.arange(int(size.sum()))
    piece_ids = np.array(pieces_of_word, np.intp)[at]
    bare = np.flatnonzero(per_phrase == 0)
    if len(bare):
        added = [parts.setdefault(texts[i], len(parts)) for i in bare.tolist()]
        piece_ids = np.insert(piece_ids, (np.cumsum(per_phrase) - per_phrase)[bare], added)
        per_phrase[bare] = 1
    return list(parts), Flat(piece_ids, np.cumsum(per_phrase) - per_phrase, per_phrase)


def describe(raw: list[str], zipf: Zipf | None) -> Pieces:
    folded = [piece if piece.isascii() else fold_piece(piece) for piece in raw]
    inflected = inflection_roots(folded, zipf)
    root = list(map(spelling_root, inflected))
    count = len(raw)
    folded_hash = hash_texts(folded)
    root_hash = hash_texts(root)
    inside, leading = zip(*map(stop_languages, raw), strict=True)
    alone, paired = zip(*map(directed, root), strict=True)
    return Pieces(
        folded,
        root,
        hash_texts(raw),
        folded_hash,
        root_hash,
        mix(root_hash.value),
        mix(root_hash.value),
        mix(hash_texts(inflected).value),
        mix(folded_hash.value),
        np.array(inside, np.int64),
        np.array(leading, np.int64),
        np.fromiter(map(keeps_next, folded), bool, count),
        np.fromiter((piece[:1].isdigit() for piece in folded), bool, count),
        np.fromiter((piece[-1:].isdigit() for piece in folded), bool, count),
        np.fromiter(map("aeiou".__contains__, folded), bool, count),
        np.fromiter(map("ao".__contains__, folded), bool, count),
        np.fromiter(map(has_s_models, root), bool, count),
        np.array(alone, bool),
        np.array(paired, bool),
    )


def _stop_bit() -> NDArray[np.int64]:
    """The bit of `stop_languages` for each language and, last, for none."""
    bit = np.full(len(LANGUAGES) + 1, len(ROOT_LANGUAGES), np.int64)
    for i, name in enumerate(ROOT_LANGUAGES):
        bit[LANGUAGES.index(name)] = i
    return bit


STOP_BIT = _stop_bit()


def without_stop_words(flat: Flat, known: Pieces, language: NDArray[np.int8]) -> NDArray[np.uint64]:
    """The bag of roots of each phrase without its stop words, where two other words are left."""
    ids, starts, counts = flat.ids, flat.starts, flat.counts
    mask = np.repeat(np.left_shift(1, STOP_BIT[language]), counts)
    stop = (known.stop_inside[ids] & mask) > 0
    after = np.zeros(len(ids), bool)
    after[1:] = known.keeps_next[ids[:-1]]
    after[starts] = False
    stop &= ~after
    kept = np.add.reduceat((~stop).astype(np.intp), starts)
    stop &= np.repeat(kept >= 2, counts)
    # At the ends of a short phrase they are part of a name (in design, the of), or the rest is cut off (made
    # in).
    short = kept < 3
    begin, end = starts[short], (starts + counts - 1)[short]
    stop[begin] &= (known.stop_leading[ids[begin]] & mask[begin]) > 0
    stop[end] = False
    return flat.bag(np.where(stop, np.uint64(0), known.in_bag[ids]))


def kept_apart(flat: Flat, known: Pieces) -> NDArray[np.bool_]:
    """After which pieces a space means something: 1 24 is not 12 4, vitamin a not vitamina, a part not
    apart.
    """
    ids = flat.ids
    following = np.roll(ids, -1)
    apart = known.ends_with_digit[ids] & known.starts_with_digit[following]
    apart |= known.lone_vowel[following] | known.lone_article[ids]
    apart[flat.starts + flat.counts - 1] = False
    return apart
