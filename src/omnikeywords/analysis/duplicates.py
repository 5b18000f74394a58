"""Near-duplicates: which phrases of a set are one keyword in other spelling, number, order, accents or with a typo.

Two phrases are near-duplicates for a direct reason between them, never because each resembles a third. Phrases are taken
in the order of their volume (then popularity): each joins the highest-ranking head it is a near-duplicate of, or else
becomes a head. Four keys give the reasons that are symmetric; each is a 64-bit hash made of hashes of pieces of words,
so that a million phrases cost a few passes over numpy arrays:

* the bag of roots: any order, singular or plural, any accepted spelling;
* the same bag without stop words;
* the roots joined without spaces, in order;
* the folded letters joined without spaces, in order.

A typo is a word that no dictionary knows well, at one edit from a commoner word with which the same phrase exists.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.frequency import LANGUAGES, ZIPF_STEPS
from omnikeywords.analysis.language import LanguageModel
from omnikeywords.analysis.piece_hashes import Flat, Hashed, hash_texts, mix
from omnikeywords.analysis.roots import (
    ROOT_LANGUAGES,
    Zipf,
    directed,
    fold_piece,
    has_s_models,
    inflection_roots,
    keeps_next,
    pieces,
    reversed_direction,
    spelling_root,
    stop_languages,
)
from omnikeywords.analysis.scripts import code_points
from omnikeywords.analysis.typos import REAL, REAL_SPOKEN, find_typos
from omnikeywords.analysis.words import Words, split_words

__all__ = ["REASONS", "Analysed", "Duplicates", "duplicates"]

# Why a member joined its head, by the code in Duplicates.reason; the first that holds. Heads and singles have "".
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
    def normalized(self) -> list[str]:
        """N normalized phrases, "" for one that could not be used."""

    @property
    def language(self) -> NDArray[np.int8]:
        """N indices into LANGUAGES, -1 where unknown."""

    @property
    def popularity(self) -> NDArray[np.float32]:
        """N numbers, NaN where unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Duplicates:
    """The near-duplicate groups of N phrases: each phrase has a head, which is itself where it is in no group."""

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
        """Each head with the indices of its members, in the order of the heads; single phrases are left out."""
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

    `volume` is searches a month, one a phrase, None or NaN where missing. The head of a group is the phrase with most
    volume, else the most popular, else one without a typo, else the shortest, else the first alphabetically. `model`
    is the dictionary that tells plurals and typos from other words; without it fewer are found.

    The order of the phrases changes nothing. Phrases that have nothing to do with a group change it only through how
    often they use its words: that decides what is a typo of what.
    """
    count = len(analysis.normalized)
    head = np.arange(count)
    reason = np.zeros(count, np.int8)
    asked = np.full(count, np.nan)
    if volume is not None:
        asked[:] = [np.nan if v is None else v for v in volume]
    usable = np.flatnonzero(np.fromiter(map(bool, analysis.normalized), bool, count))
    if len(usable) < 2:
        return Duplicates(head, reason)
    row, member_of = _distinct(analysis, usable, asked)
    same = row[member_of] != usable
    head[usable] = row[member_of]
    reason[usable[same]] = _CODE["same"]

    texts = [analysis.normalized[i] for i in row.tolist()]
    language = np.asarray(analysis.language)[row]
    popularity = np.asarray(analysis.popularity, np.float64)[row]
    words, flat = _words_of(analysis, row, texts)
    raw, flat = _cut(words, flat, texts)
    joined, why = _group(texts, raw, flat, language, asked[row], popularity, np.bincount(member_of), model)
    # The rows of one phrase follow the row that stands for it.
    head[usable] = row[joined[member_of]]
    own = ~same
    reason[usable[own]] = why[member_of[own]]
    moved = same & (joined[member_of] != member_of)
    reason[usable[moved]] = why[member_of[moved]]
    return Duplicates(head, reason)


def _distinct(
    analysis: Analysed, usable: NDArray[np.intp], volume: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The row that stands for each distinct phrase, the one with most volume; and which phrase each usable row is."""
    hashes = np.fromiter(map(hash, analysis.normalized), np.int64, len(analysis.normalized))[usable]
    _, inverse = np.unique(hashes, return_inverse=True)
    best = np.lexsort((usable, _missing_last(volume[usable]), inverse))
    first = np.flatnonzero(np.diff(inverse[best], prepend=-1))
    return usable[best[first]], inverse


def _missing_last(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sort keys that put the largest first and what is missing last."""
    return np.where(np.isnan(numbers), np.inf, -numbers)


# ----------------------------------------------------------------------------------------------------------- pieces


@dataclass(frozen=True, slots=True)
class _Pieces:
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


def _words_of(analysis: Analysed, rows: NDArray[np.intp], texts: list[str]) -> tuple[list[str], Flat]:
    """The distinct words of some phrases, and the words of each."""
    words = getattr(analysis, "words", None)
    if isinstance(words, Words):  # they are numbered already
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


def _cut(words: list[str], flat: Flat, texts: list[str]) -> tuple[list[str], Flat]:
    """The distinct pieces of phrases, and the pieces of each phrase; one without pieces has its text as a piece."""
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


def _describe(raw: list[str], zipf: Zipf | None) -> _Pieces:
    folded = [piece if piece.isascii() else fold_piece(piece) for piece in raw]
    inflected = inflection_roots(folded, zipf)
    root = list(map(spelling_root, inflected))
    count = len(raw)
    folded_hash = hash_texts(folded)
    root_hash = hash_texts(root)
    inside, leading = zip(*map(stop_languages, raw), strict=True)
    alone, paired = zip(*map(directed, root), strict=True)
    return _Pieces(
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


_STOP_BIT = _stop_bit()


def _without_stop_words(flat: Flat, known: _Pieces, language: NDArray[np.int8]) -> NDArray[np.uint64]:
    """The bag of roots of each phrase without its stop words, where two other words are left."""
    ids, starts, counts = flat.ids, flat.starts, flat.counts
    mask = np.repeat(np.left_shift(1, _STOP_BIT[language]), counts)
    stop = (known.stop_inside[ids] & mask) > 0
    after = np.zeros(len(ids), bool)
    after[1:] = known.keeps_next[ids[:-1]]
    after[starts] = False
    stop &= ~after
    kept = np.add.reduceat((~stop).astype(np.intp), starts)
    stop &= np.repeat(kept >= 2, counts)
    # At the ends of a short phrase they are part of a name (in design, the of), or the rest is cut off (made in).
    short = kept < 3
    begin, end = starts[short], (starts + counts - 1)[short]
    stop[begin] &= (known.stop_leading[ids[begin]] & mask[begin]) > 0
    stop[end] = False
    return flat.bag(np.where(stop, np.uint64(0), known.in_bag[ids]))


def _apart(flat: Flat, known: _Pieces) -> NDArray[np.bool_]:
    """After which pieces a space means something: 1 24 is not 12 4, vitamin a not vitamina, a part not apart."""
    ids = flat.ids
    following = np.roll(ids, -1)
    apart = known.ends_with_digit[ids] & known.starts_with_digit[following]
    apart |= known.lone_vowel[following] | known.lone_article[ids]
    apart[flat.starts + flat.counts - 1] = False
    return apart


# --------------------------------------------------------------------------------------------------------- grouping


def _group(
    texts: list[str],
    raw: list[str],
    flat: Flat,
    language: NDArray[np.int8],
    volume: NDArray[np.float64],
    popularity: NDArray[np.float64],
    times: NDArray[np.intp],
    model: LanguageModel | None,
) -> tuple[NDArray[np.intp], NDArray[np.int8]]:
    """The head of each of N distinct phrases, and why it joined it."""
    zipf = None if model is None else _frequencies(model)
    known = _describe(raw, zipf)
    apart = _apart(flat, known)
    joined_roots = flat.join(known.root_hash, apart)
    _open_compounds(flat, known, joined_roots)
    bag = flat.bag(known.in_bag[flat.ids])
    shorter_bag = _without_stop_words(flat, known, language)
    joined = flat.join(known.folded_hash, apart)
    meant = _typo_of(flat, known, language, shorter_bag, model)
    keys = _Keys(bag, shorter_bag, joined_roots, joined, meant)

    head = np.arange(len(texts))
    rows, classes, target = _related(keys)
    if len(rows) == 0:
        return head, np.zeros(len(texts), np.int8)
    # Alphabetical first, then stable sorts by what matters more.
    rows_by_text = np.array(sorted(range(len(rows)), key=lambda i: texts[rows[i]]), np.intp)
    at = rows[rows_by_text]
    lengths = np.fromiter((len(texts[i]) for i in at.tolist()), np.intp, len(at))
    order = rows_by_text[
        np.lexsort(
            (lengths, target[rows_by_text] >= 0, _missing_last(popularity[at]), _missing_last(volume[at]))
        )
    ]
    ranked = rows[order]
    direction = _Direction(flat, known, language, ranked)
    heads, for_typo = _join(classes[order], target[order], times[ranked], direction)
    head[ranked] = ranked[heads]
    typo = np.zeros(len(texts), bool)
    typo[ranked] = for_typo
    members = np.flatnonzero(head != np.arange(len(texts)))
    reason = np.zeros(len(texts), np.int8)
    if len(members):
        reason[members] = _reasons(texts, flat, known, keys, members, head[members], typo[members])
    return head, reason


def _open_compounds(flat: Flat, known: _Pieces, joined_roots: NDArray[np.uint64]) -> None:
    """Let words that this batch writes together and apart (coronavirus, corona virus) weigh the same in bags.

    Only words for which several phrases show it: then it holds whatever the order of the other words.
    """
    _, class_, size = np.unique(joined_roots, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(size[class_] > 1)
    rows = rows[np.argsort(class_[rows], kind="stable")]
    seen: dict[tuple[int, int, int], set[int]] = {}
    some = flat.of(rows)
    ids, root = some.ids.tolist(), known.root
    group: list[list[int]] = []
    last = -1
    for at, count, number in zip(
        some.starts.tolist(), some.counts.tolist(), class_[rows].tolist(), strict=True
    ):
        if number != last:
            group, last = [], number
        one = ids[at : at + count]
        for other in group:
            longer, shorter = (one, other) if len(one) > len(other) else (other, one)
            if len(longer) != len(shorter) + 1:
                continue
            i = next(
                (i for i, (a, b) in enumerate(zip(longer, shorter, strict=False)) if root[a] != root[b]), -1
            )
            if i >= 0 and root[longer[i]] + root[longer[i + 1]] == root[shorter[i]]:
                seen.setdefault((shorter[i], longer[i], longer[i + 1]), set()).add(number)
        if len(group) < _COMPARED:
            group.append(one)
    by_root: dict[str, tuple[int, int, int]] = {}
    shown: dict[tuple[str, str, str], int] = {}
    for (whole, first, second), classes in seen.items():
        roots = root[whole], root[first], root[second]
        shown[roots] = shown.get(roots, 0) + len(classes)
        by_root[root[whole]] = max(by_root.get(root[whole], (0, 0, 0)), (shown[roots], first, second))
    for i, name in enumerate(root):
        evidence, first, second = by_root.get(name, (0, 0, 0))
        if evidence >= _SHOWN:
            known.in_bag[i] = known.in_bag[[first, second]].sum()


def _frequencies(model: LanguageModel) -> Zipf:
    columns = [LANGUAGES.index(name) for name in ROOT_LANGUAGES]

    def zipf(words: list[str]) -> NDArray[np.float32]:
        found = model.table.zipf_codes(code_points(words))[:, columns]
        return found.astype(np.float32) / np.float32(ZIPF_STEPS)

    return zipf


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of N phrases: equal keys are a reason to group."""

    bag: NDArray[np.uint64]
    shorter_bag: NDArray[np.uint64]
    joined_roots: NDArray[np.uint64]
    joined: NDArray[np.uint64]
    meant: NDArray[np.intp]  # a phrase whose bag this would have without its typo, -1 for none


def _spoken_with() -> NDArray[np.intp]:
    """For each language and, last, for none: the languages whose words its phrases may have."""
    table = [[i, LANGUAGES.index("en")] * 3 for i in range(len(LANGUAGES))]
    for name in ("pt", "es"):  # short phrases are easily taken for the other
        table[LANGUAGES.index(name)] = [LANGUAGES.index(other) for other in ("pt", "es", "en")] * 2
    table.append([LANGUAGES.index(name) for name in ROOT_LANGUAGES])
    return np.array(table)


_SPOKEN_WITH = _spoken_with()


def _typo_of(
    flat: Flat,
    known: _Pieces,
    language: NDArray[np.int8],
    bag: NDArray[np.uint64],
    model: LanguageModel | None,
) -> NDArray[np.intp]:
    """For each phrase, one whose bag it would have were its likeliest typo corrected; -1 where it has none."""
    meant = np.full(len(bag), -1)
    folded = list(dict.fromkeys(known.folded))
    place = dict(zip(folded, range(len(folded)), strict=True))
    of_piece = np.fromiter(map(place.__getitem__, known.folded), np.intp, len(known.folded))
    piece = np.zeros(len(folded), np.intp)
    piece[of_piece[::-1]] = np.arange(len(of_piece))[::-1]
    often = np.bincount(of_piece[flat.ids], minlength=len(folded))
    zipf = np.zeros((len(folded), len(LANGUAGES)), np.float32)
    if model is not None:
        zipf[:] = model.table.zipf_codes(code_points(folded)) / np.float32(ZIPF_STEPS)
    # The plural of a known word is no typo of another word (douches, touches).
    own = [known.root[i] if known.root[i] != known.folded[i] else "" for i in piece.tolist()]
    inflected = np.zeros(len(own), bool)
    if model is not None:
        of_word = zipf > 0
        of_word[:, LANGUAGES.index("en")] = True
        inflected = ((model.table.zipf_codes(code_points(own)) >= REAL * ZIPF_STEPS) & of_word).any(axis=1)
    pairs = find_typos(folded, often, zipf, inflected)
    if len(pairs.typo) == 0:
        return meant
    begin = np.searchsorted(pairs.typo, np.arange(len(folded) + 1))
    tries = np.diff(begin)[of_piece]  # of each piece
    at = np.flatnonzero(tries[flat.ids])
    phrase = np.searchsorted(flat.starts, at, "right") - 1
    count = tries[flat.ids[at]]
    first = begin[of_piece[flat.ids[at]]]
    pair = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(int(count.sum()))
    at, phrase = np.repeat(at, count), np.repeat(phrase, count)
    models = np.add.reduceat(known.has_s_models[flat.ids].astype(np.intp), flat.starts) > 0
    fair = (flat.counts[phrase] >= pairs.context[pair]) & ~(pairs.of_number[pair] & models[phrase])
    at, phrase, pair = at[fair], phrase[fair], pair[fair]
    word = piece[pairs.meant[pair]]
    without = bag[phrase] - known.in_bag[flat.ids[at]]
    # Where a stop word was meant, it may be left out of the other phrase's bag.
    left_out = np.flatnonzero(known.stop_inside[word] & np.left_shift(1, _STOP_BIT[language[phrase]]))
    corrected = np.concatenate([without + known.in_bag[word], without[left_out]])
    at, phrase, pair = (np.concatenate([x, x[left_out]]) for x in (at, phrase, pair))
    order = np.argsort(bag, kind="stable")
    found = np.minimum(np.searchsorted(bag[order], corrected), len(bag) - 1)
    target = order[found]
    exists = (bag[target] == corrected) & (corrected != bag[phrase])
    at, phrase, pair, target = at[exists], phrase[exists], pair[exists], target[exists]
    # It may be a word in the language of the phrase; a typo leads the detection astray, so of the one that was meant.
    spoken = _SPOKEN_WITH[language[target]]
    # English was asked already.
    spoken = np.where(spoken == LANGUAGES.index("en"), -1, spoken)
    common = np.pad(zipf, ((0, 0), (0, 1)))[of_piece[flat.ids[at]][:, None], spoken].max(axis=1, initial=0)
    wrong = common < REAL_SPOKEN
    phrase, target, preference = phrase[wrong], target[wrong], pairs.preference[pair[wrong]]
    best = np.lexsort((preference, phrase))
    best = best[np.flatnonzero(np.diff(phrase[best], prepend=-1))]
    meant[phrase[best]] = target[best]
    return meant


def _related(keys: _Keys) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The phrases that share a key with any other, their class by each key, and the class that they meant.

    Classes are numbers: equal ones for equal keys of one kind, different ones for different kinds.
    """
    columns = []
    alone = np.ones(len(keys.bag), bool)
    above = 0
    for key in (keys.bag, keys.shorter_bag, keys.joined_roots, keys.joined):
        _, class_, size = np.unique(key, return_inverse=True, return_counts=True)
        alone &= size[class_] == 1
        columns.append(class_ + above)
        above += len(size)
    target = np.where(keys.meant >= 0, columns[_MEANT_KEY][keys.meant], -1)
    alone &= target < 0
    wanted = np.zeros(above, bool)
    wanted[target[target >= 0]] = True
    alone &= ~wanted[columns[_MEANT_KEY]]
    rows = np.flatnonzero(~alone)
    return rows, np.stack(columns, axis=1)[rows], target[rows]


_MEANT_KEY = 1  # typos are sought in the bags without stop words
_LARGEST = 150  # rows in a group, unless they are all of the same words
_COMPARED = 8  # phrases of one key that are compared with each other
_SHOWN = 2  # phrases that write a compound both ways, before it is believed


class _Direction:
    """Which of the ranked phrases go opposite ways."""

    def __init__(
        self, flat: Flat, known: _Pieces, language: NDArray[np.int8], ranked: NDArray[np.intp]
    ) -> None:
        some = flat.of(ranked)
        alone = np.add.reduceat(known.gives_direction[some.ids].astype(np.intp), some.starts)
        paired = np.add.reduceat(known.gives_direction_in_pairs[some.ids].astype(np.intp), some.starts)
        self.matters: list[bool] = ((alone > 0) | (paired > 1)).tolist()
        self._flat, self._root, self._language = some, known.root, language[ranked]

    def opposite(self, one: int, other: int) -> bool:
        language = int(self._language[one])
        return reversed_direction(
            self._roots(one), self._roots(other), LANGUAGES[language] if language >= 0 else "und"
        )

    def _roots(self, i: int) -> list[str]:
        start = int(self._flat.starts[i])
        return [self._root[k] for k in self._flat.ids[start : start + int(self._flat.counts[i])].tolist()]


def _join(
    classes: NDArray[np.intp], target: NDArray[np.intp], rows: NDArray[np.intp], direction: _Direction
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The head of each of the ranked phrases, as a rank, and whether it is joined for a typo; `rows` have the phrase.

    Phrases of one bag are one unit, led by the first of them; those that go the opposite way are another unit. A unit
    joins the first head with which it shares a class, else the one that it meant, or that meant it.
    """
    units: dict[int, list[list[int]]] = {}
    in_order: list[list[int]] = []
    matters = direction.matters
    for rank, bag in enumerate(classes[:, 0].tolist()):
        for unit in units.setdefault(bag, []):
            if not (matters[rank] and matters[unit[0]] and direction.opposite(rank, unit[0])):
                unit.append(rank)
                break
        else:
            unit = [rank]
            units[bag].append(unit)
            in_order.append(unit)

    others = classes[:, 1:].tolist()
    meant = target.tolist()
    heads: dict[int, list[int]] = {}  # by class, in order of rank
    meaning: dict[int, list[int]] = {}  # heads that are typos, by the class that was meant
    size: dict[int, int] = {}
    chosen = np.arange(len(classes))
    for_typo = np.zeros(len(classes), bool)

    def first(found: list[int] | None, leader: int, best: int, count: int) -> int:
        for head in found or ():
            if head >= best:
                break
            opposite = matters[leader] and matters[head] and direction.opposite(leader, head)
            if not opposite and size[head] + count <= _LARGEST:
                return head
        return best

    times = rows.tolist()
    for unit in in_order:
        leader = unit[0]
        count = sum([times[rank] for rank in unit])
        own = {class_ for rank in unit for class_ in others[rank]}
        wanted = {meant[rank] for rank in unit if meant[rank] >= 0}
        best = leader
        for class_ in own:
            best = first(heads.get(class_), leader, best, count)
        typo = best == leader
        if typo:
            for class_ in wanted:
                best = first(heads.get(class_), leader, best, count)
            for rank in unit:
                best = first(meaning.get(others[rank][0]), leader, best, count)
        if best == leader:
            size[leader] = count
            for class_ in own:
                heads.setdefault(class_, []).append(leader)
            for class_ in wanted:
                meaning.setdefault(class_, []).append(leader)
        else:
            size[best] += count
            for_typo[unit] = typo
        chosen[unit] = best
    return chosen, for_typo


def _reasons(
    texts: list[str],
    flat: Flat,
    known: _Pieces,
    keys: _Keys,
    members: NDArray[np.intp],
    heads: NDArray[np.intp],
    typo: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """Why each member is a near-duplicate of its head: the least difference that explains it."""
    own, theirs = flat.of(members), flat.of(heads)

    def same_sequence(hashed: Hashed) -> NDArray[np.bool_]:
        one, other = (some.join(hashed, np.ones(len(some.ids), bool)) for some in (own, theirs))
        return one == other

    def same_bag(weights: NDArray[np.uint64]) -> NDArray[np.bool_]:
        return own.bag(weights[own.ids]) == theirs.bag(weights[theirs.ids])

    def spaces(rows: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.fromiter((texts[i].count(" ") for i in rows.tolist()), np.intp, len(rows))

    joined = keys.joined[members] == keys.joined[heads]
    explained = (
        ("punctuation", same_sequence(known.raw_hash)),
        ("accents", same_sequence(known.folded_hash)),
        ("punctuation", joined & (spaces(members) == spaces(heads))),
        ("spacing", joined),
        ("word order", same_bag(known.folded_in_bag)),
        ("plural", same_bag(known.inflected_in_bag)),
        ("spelling", same_bag(known.root_in_bag)),
        ("spacing", same_bag(known.in_bag)),
        ("typo", typo),
        ("stop word", keys.shorter_bag[members] == keys.shorter_bag[heads]),
    )
    # What is left shares letters with its head in some order of its words.
    names = [_CODE[name] for name, _ in explained]
    return np.select([holds for _, holds in explained], names, _CODE["spacing"]).astype(np.int8)
