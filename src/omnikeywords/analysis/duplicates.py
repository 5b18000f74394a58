"""Near-duplicates: which phrases of a set are one keyword in other spelling, number, order, accents or with a
typo.

Two phrases are near-duplicates for a direct reason between them, never because each resembles a third. Phrases are
taken in the order of their volume (then popularity): each joins the highest-ranking head it is a near-duplicate of, or
else becomes a head. Four keys give the reasons that are symmetric; each is a 64-bit hash made of hashes of pieces of
words, so that a million phrases cost a few passes of compiled loops over arrays:

* the bag of roots: any order, singular or plural, any accepted spelling;
* the same bag without stop words;
* the roots joined without spaces, in order;
* the folded letters joined without spaces, in order.

A typo is a word that no dictionary knows well, at one edit from a commoner word with which the same phrase exists.
`phrase_texts` makes numbers of texts, `phrase_pieces` keys, `corrections` finds what a typo meant, `heads` groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled
from omnikeywords.analysis.compounds import compound_weights
from omnikeywords.analysis.corrections import correct, typos_of
from omnikeywords.analysis.frequency import LANGUAGES, ZIPF_STEPS
from omnikeywords.analysis.heads import join_heads, rank_phrases
from omnikeywords.analysis.language import LanguageModel
from omnikeywords.analysis.phrase_pieces import Pieces, bag_keys, cut, describe, joined_keys
from omnikeywords.analysis.phrase_texts import FEW, Flat, Texts, distinct_phrases, side_by_side
from omnikeywords.analysis.piece_hashes import Classes, classify
from omnikeywords.analysis.roots import ROOT_LANGUAGES, Zipf
from omnikeywords.analysis.scripts import code_points

__all__ = ["REASONS", "Analysed", "Duplicates", "duplicates"]

# Why a member joined its head, by the code in Duplicates.reason; the first that holds. Heads and singles have
# "".
REASONS = (
    "",
    "same",  # the phrase itself once more
    "accents",
    "punctuation",
    "spacing",
    "word order",
    "plural",  # or another inflection, in any order
    "spelling",  # colour and color, in any order
    "stop word",
    "typo",
)
_CODE = {reason: code for code, reason in enumerate(REASONS)}


class Analysed(Protocol):
    """What is needed of an analysis of N phrases."""

    @property
    def normalized(self) -> Sequence[str] | Texts:
        """N normalized phrases, "" for one that could not be used."""

    @property
    def language(self) -> NDArray[np.int8]:
        """N indices into LANGUAGES, -1 where unknown."""

    @property
    def popularity(self) -> NDArray[np.float32]:
        """N numbers, NaN where unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Duplicates:
    """The near-duplicate groups of N phrases: each phrase has a head, which is itself where it is in no
    group.
    """

    head: NDArray[np.intp]  # N, index of a phrase
    reason: NDArray[np.int8]  # N, index into REASONS: why the phrase joined its head

    def __len__(self) -> int:
        """The number of groups of two phrases and more."""
        members = np.flatnonzero(self.head != np.arange(len(self.head)))
        return len(np.unique(self.head[members]))

    @property
    def members(self) -> int:
        """The number of phrases that are a near-duplicate of another."""
        return int((self.head != np.arange(len(self.head))).sum())

    def groups(self) -> Iterator[tuple[int, list[int]]]:
        """Each head with the indices of its members, in the order of the heads; single phrases are left
        out.
        """
        members = np.flatnonzero(self.head != np.arange(len(self.head)))
        members = members[np.argsort(self.head[members], kind="stable")]
        heads, starts = np.unique(self.head[members], return_index=True)
        for head, group in zip(heads.tolist(), np.split(members, starts[1:]), strict=False):
            yield head, group.tolist()


def duplicates(
    analysis: Analysed,
    *,
    volume: Sequence[float | None] | NDArray[np.float64] | None = None,
    model: LanguageModel | None = None,
) -> Duplicates:
    """Group the near-duplicates among the phrases of an analysis.

    `volume` is searches a month, one a phrase, None or NaN where missing. The head of a group is the phrase
    with most
    volume, else the most popular, else one without a typo, else the shortest, else the first alphabetically.
    `model`
    is the dictionary that tells plurals and typos from other words; without it fewer are found.

    The order of the phrases changes nothing. Phrases that have nothing to do with a group change it only
    through how
    often they use its words: that decides what is a typo of what.
    """
    given = analysis.normalized
    texts = given if isinstance(given, Texts) else Texts.of(given)
    count = len(texts)
    asked = np.full(count, np.nan)
    if volume is not None:
        asked[:] = volume if isinstance(volume, np.ndarray) else [np.nan if v is None else v for v in volume]
    phrases = distinct_phrases(texts)
    usable = phrases.number >= 0
    head = np.arange(count)
    reason = np.zeros(count, np.int8)
    if np.count_nonzero(usable) < 2:
        return Duplicates(head, reason)
    row = _rows(phrases.number, np.where(np.isnan(asked), -np.inf, asked), len(phrases.flat.offsets) - 1)
    raw, flat = cut(phrases, texts, row)
    number = phrases.number[usable]
    columns = _Columns(
        texts,
        row,
        np.bincount(number).astype(np.int32),
        np.diff(phrases.flat.offsets).astype(np.int32),
        np.asarray(analysis.language, np.int8)[row],
        asked[row],
        np.asarray(analysis.popularity, np.float64)[row],
    )
    del phrases  # half of all memory
    joined, why = _group(raw, flat, columns, model)
    # The rows of one phrase follow the row that stands for it.
    head[usable] = row[joined[number]]
    same = np.where(row[number] == np.flatnonzero(usable), 0, _CODE["same"])
    reason[usable] = np.where(joined[number] == number, same, why[number])
    return Duplicates(head, reason)


@compiled
def _rows(number: NDArray[np.int32], volume: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """The row that stands for each distinct phrase: the first of those with most volume."""
    row = np.full(count, -1, np.intp)
    for i in range(len(number)):
        phrase = number[i]
        if phrase >= 0 and (row[phrase] < 0 or volume[i] > volume[row[phrase]]):
            row[phrase] = i
    return row


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """What is known of each of D distinct phrases besides its pieces."""

    texts: Texts
    row: NDArray[np.intp]  # its text
    times: NDArray[np.int32]  # rows that have it
    words: NDArray[np.int32]  # how many
    language: NDArray[np.int8]
    volume: NDArray[np.float64]
    popularity: NDArray[np.float64]


def _group(
    raw: list[str], flat: Flat, phrases: _Columns, model: LanguageModel | None
) -> tuple[NDArray[np.intp], NDArray[np.int8]]:
    """The head of each of D distinct phrases, and why it joined it."""
    known = describe(raw, None if model is None else _frequencies(model))
    # The pairs hang on the pieces' names alone, and the keys change only what pieces weigh.
    typos, (bag, shorter_bag, joined_roots, joined) = side_by_side(
        lambda: typos_of(flat, known, model),
        lambda: _keys(flat, known, phrases.language),
        worth=len(phrases.row) > FEW,
    )
    meant = correct(flat, known, phrases.language, shorter_bag, typos)

    head = np.arange(len(phrases.row))
    related = meant >= 0
    # What a typo meant is a key, of one phrase perhaps, but all that have it are wanted.
    wanted = np.zeros(len(head), np.bool_)
    wanted[meant[related]] = True
    related |= wanted[shorter_bag.of]
    for key in (bag, shorter_bag, joined_roots, joined):
        related |= key.repeated
    ranked = rank_phrases(
        np.flatnonzero(related), phrases.volume, phrases.popularity, meant >= 0, phrases.texts, phrases.row
    )
    if len(ranked) == 0:
        return head, np.zeros(len(head), np.int8)
    classes = (bag.of, shorter_bag.of, joined_roots.of, joined.of)
    heads, for_typo = join_heads(ranked, classes, meant, phrases.times, flat, known, phrases.language)
    head[ranked] = ranked[heads]
    typo = np.zeros(len(head), np.bool_)
    typo[ranked] = for_typo
    reason = np.zeros(len(head), np.int8)
    _explain(
        head,
        typo,
        phrases.words,
        flat.ids,
        flat.offsets,
        known.folded,
        known.folded_in_bag,
        known.inflected_in_bag,
        known.root_in_bag,
        bag.of,
        shorter_bag.of,
        joined.of,
        reason,
    )
    return head, reason


def _keys(flat: Flat, known: Pieces, language: NDArray[np.int8]) -> tuple[Classes, Classes, Classes, Classes]:
    """The phrases with equal bags, bags without stop words, joined roots and joined letters."""
    joined_roots, joined = map(classify, joined_keys(flat, known))
    known.in_bag[:] = compound_weights(flat, known, joined_roots, joined.keys)
    bag, shorter_bag = map(classify, bag_keys(flat, known, language))
    return bag, shorter_bag, joined_roots, joined


def _frequencies(model: LanguageModel) -> Zipf:
    columns = [LANGUAGES.index(name) for name in ROOT_LANGUAGES]

    def zipf(words: list[str]) -> NDArray[np.float32]:
        found = model.table.zipf_codes(code_points(words))[:, columns]
        return found.astype(np.float32) / np.float32(ZIPF_STEPS)

    return zipf


_PUNCTUATION, _ACCENTS, _SPACING, _WORD_ORDER, _PLURAL, _SPELLING, _STOP_WORD, _TYPO = (
    _CODE[name]
    for name in ("punctuation", "accents", "spacing", "word order", "plural", "spelling", "stop word", "typo")
)


@compiled
def _same_bag(
    weights: NDArray[np.uint64], ids: NDArray[np.int32], offsets: NDArray[np.int64], one: int, other: int
) -> bool:
    difference = np.uint64(0)
    for k in range(offsets[one], offsets[one + 1]):
        difference += weights[ids[k]]
    for k in range(offsets[other], offsets[other + 1]):
        difference -= weights[ids[k]]
    return bool(difference == 0)


@compiled
def _explain(
    head: NDArray[np.intp],
    typo: NDArray[np.bool_],
    words: NDArray[np.int32],
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    folded: NDArray[np.int32],
    folded_in_bag: NDArray[np.uint64],
    inflected_in_bag: NDArray[np.uint64],
    root_in_bag: NDArray[np.uint64],
    bag: NDArray[np.int32],
    shorter_bag: NDArray[np.int32],
    joined: NDArray[np.int32],
    reason: NDArray[np.int8],
) -> None:
    """Fill in why each member is a near-duplicate of its head: the least difference that explains it."""
    for one in range(len(head)):
        other = head[one]
        if other == one:
            continue
        same_pieces = same_folded = offsets[one + 1] - offsets[one] == offsets[other + 1] - offsets[other]
        for k in range(offsets[one + 1] - offsets[one] if same_pieces else 0):
            piece, theirs = ids[offsets[one] + k], ids[offsets[other] + k]
            same_pieces = same_pieces and piece == theirs
            same_folded = same_folded and folded[piece] == folded[theirs]
        if same_pieces:
            reason[one] = _PUNCTUATION
        elif same_folded:
            reason[one] = _ACCENTS
        elif joined[one] == joined[other]:
            reason[one] = _PUNCTUATION if words[one] == words[other] else _SPACING
        elif _same_bag(folded_in_bag, ids, offsets, one, other):
            reason[one] = _WORD_ORDER
        elif _same_bag(inflected_in_bag, ids, offsets, one, other):
            reason[one] = _PLURAL
        elif _same_bag(root_in_bag, ids, offsets, one, other):
            reason[one] = _SPELLING
        elif bag[one] == bag[other]:
            reason[one] = _SPACING
        elif typo[one]:
            reason[one] = _TYPO
        elif shorter_bag[one] == shorter_bag[other]:
            reason[one] = _STOP_WORD
        else:
            # What is left shares letters with its head in some order of its words.
            reason[one] = _SPACING
