"""Phrases as they would be without their typo, where that is another phrase of the batch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled
from omnikeywords.analysis.frequency import LANGUAGES, ZIPF_STEPS
from omnikeywords.analysis.language import LanguageModel
from omnikeywords.analysis.phrase_pieces import STOP_BIT, Pieces
from omnikeywords.analysis.phrase_texts import Flat
from omnikeywords.analysis.piece_hashes import Classes
from omnikeywords.analysis.roots import ROOT_LANGUAGES
from omnikeywords.analysis.scripts import code_points
from omnikeywords.analysis.typos import REAL, REAL_SPOKEN, TypoPairs, find_typos

__all__ = ["Typos", "correct", "typos_of"]

_ENGLISH = LANGUAGES.index("en")


def _spoken_with() -> NDArray[np.intp]:
    """For each language and, last, for none: the languages whose words its phrases may have."""
    table = [[i, _ENGLISH] * 3 for i in range(len(LANGUAGES))]
    for name in ("pt", "es"):  # short phrases are easily taken for the other
        table[LANGUAGES.index(name)] = [LANGUAGES.index(other) for other in ("pt", "es", "en")] * 2
    table.append([LANGUAGES.index(name) for name in ROOT_LANGUAGES])
    return np.array(table)


_SPOKEN_WITH = _spoken_with()


@dataclass(frozen=True, slots=True, eq=False)
class Typos:
    """The distinct folded forms of pieces, by their place, and which of them may be typos of which."""

    of_piece: NDArray[np.intp]  # the place of each piece's folded form
    folded: NDArray[np.intp]  # the name of each
    zipf: NDArray[np.float32]  # the frequency of each in each of LANGUAGES
    pairs: TypoPairs


def typos_of(flat: Flat, known: Pieces, model: LanguageModel | None) -> Typos:
    """Which pieces may be typos of which, whatever the phrases."""
    of_piece, folded = _distinct(known.folded, len(known.names))
    words = [known.names[i] for i in folded.tolist()]
    often = np.zeros(len(folded), np.intp)
    np.add.at(often, of_piece, np.bincount(flat.ids, minlength=len(of_piece)))
    zipf = np.zeros((len(folded), len(LANGUAGES)), np.float32)
    inflected = np.zeros(len(folded), np.bool_)
    if model is not None:
        zipf[:] = model.table.zipf_codes(code_points(words)) / np.float32(ZIPF_STEPS)
        # The plural of a known word is no typo of another word (douches, touches).
        root = np.zeros(len(folded), np.int32)
        root[of_piece] = known.root
        rows = np.flatnonzero(root != folded)
        of_word = zipf[rows] > 0
        of_word[:, _ENGLISH] = True
        singular = code_points([known.names[i] for i in root[rows].tolist()])
        inflected[rows] = ((model.table.zipf_codes(singular) >= REAL * ZIPF_STEPS) & of_word).any(axis=1)
    return Typos(of_piece, folded, zipf, find_typos(words, often, zipf, inflected))


def correct(flat: Flat, known: Pieces, language: NDArray[np.int8], bags: Classes, typos: Typos) -> NDArray[np.int32]:
    """For each phrase, the class of bags (those without stop words) that it would be in were its likeliest typo
    corrected; -1 where it has none.
    """
    corrected_class = np.full(len(language), -1, np.int32)
    of_piece, folded, zipf, pairs = typos.of_piece, typos.folded, typos.zipf, typos.pairs
    if len(pairs.typo) == 0:
        return corrected_class
    # Of each folded form: as a summand, and whether it is a stop word in any of its spellings.
    in_bag = np.empty(len(folded), np.uint64)
    in_bag[of_piece] = known.in_bag
    stop_inside = np.zeros(len(folded), np.int64)
    np.bitwise_or.at(stop_inside, of_piece, known.stop_inside)

    begin = np.searchsorted(pairs.typo, np.arange(len(folded) + 1))
    tries = np.diff(begin)[of_piece]  # of each piece
    at = np.flatnonzero((tries > 0)[flat.ids])
    phrase = np.searchsorted(flat.offsets, at, "right") - 1
    count = tries[flat.ids[at]]
    first = begin[of_piece[flat.ids[at]]]
    pair = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(int(count.sum()))
    at, phrase = np.repeat(at, count), np.repeat(phrase, count)
    after_number = (at > flat.offsets[phrase]) & known.ends_with_digit[flat.ids[at - 1]]
    counts = np.diff(flat.offsets)
    fair = counts[phrase] >= pairs.context[pair]
    fair &= ~(pairs.abbreviation[pair] & after_number)  # a290 gts is another model than a290 gt
    numbers = np.flatnonzero(pairs.of_number[pair])
    fair[numbers] &= ~_has_any(flat, known.has_s_models, phrase[numbers])  # 5s is another model than 5
    at, phrase, pair = at[fair], phrase[fair], pair[fair]

    meant = pairs.meant[pair]
    without = bags.keys[phrase] - known.in_bag[flat.ids[at]]
    # Where a stop word was meant, it may be left out of the other phrase's bag.
    left_out = np.flatnonzero(stop_inside[meant] & np.left_shift(1, STOP_BIT[language[phrase]]))
    found = bags.find(np.concatenate([without + in_bag[meant], without[left_out]]))
    at, phrase, pair = (np.concatenate([x, x[left_out]]) for x in (at, phrase, pair))
    exists = (found >= 0) & (found != bags.of[phrase])
    at, phrase, pair, found = at[exists], phrase[exists], pair[exists], found[exists]
    # It may be a word in the language of the phrase; a typo leads the detection astray, so of those that were
    # meant.
    theirs, shortest = _of_classes(bags.of, np.where(language < 0, np.int8(len(LANGUAGES)), language), flat.offsets)
    spoken = _SPOKEN_WITH[theirs[found]]
    spoken = np.where(spoken == _ENGLISH, -1, spoken)  # English was asked already
    common = np.pad(zipf, ((0, 0), (0, 1)))[of_piece[flat.ids[at]][:, None], spoken].max(axis=1, initial=0)
    wrong = common < REAL_SPOKEN
    phrase, found, preference = phrase[wrong], found[wrong], pairs.preference[pair[wrong]]
    longer = np.abs(counts[phrase] - shortest[found])  # by stop words
    best = np.lexsort((preference, longer, phrase))
    best = best[np.flatnonzero(np.diff(phrase[best], prepend=-1))]
    corrected_class[phrase[best]] = found[best]
    return corrected_class


def _distinct(names: NDArray[np.int32], count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The place of each name among the distinct ones, and these; there are `count` names in all."""
    used = np.zeros(count, np.bool_)
    used[names] = True
    return (np.cumsum(used) - 1)[names], np.flatnonzero(used)


def _has_any(flat: Flat, marked: NDArray[np.bool_], phrases: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether each of some phrases has a marked piece."""
    return np.array([marked[flat.ids[flat.offsets[i] : flat.offsets[i + 1]]].any() for i in phrases.tolist()], np.bool_)


@compiled
def _of_classes(
    class_of: NDArray[np.int32], language: NDArray[np.int8], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """The first language and the fewest pieces of the phrases of each class, which is known by one of them."""
    first = language.copy()
    fewest = offsets[1:] - offsets[:-1]
    for i in range(len(class_of)):
        first[class_of[i]] = min(first[class_of[i]], language[i])
        fewest[class_of[i]] = min(fewest[class_of[i]], offsets[i + 1] - offsets[i])
    return first, fewest
