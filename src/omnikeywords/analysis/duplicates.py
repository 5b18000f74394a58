"""Near-duplicates: which phrases of a set are one keyword in other spelling, number, order, accents or with a
typo.

Two phrases are near-duplicates for a direct reason between them, never because each resembles a third.
Phrases are taken
in the order of their volume (then popularity): each joins the highest-ranking head it is a near-duplicate of,
or else
becomes a head. Four keys give the reasons that are symmetric; each is a 64-bit hash made of hashes of pieces
of words,
so that a million phrases cost a few passes over numpy arrays:

* the bag of roots: any order, singular or plural, any accepted spelling;
* the same bag without stop words;
* the roots joined without spaces, in order;
* the folded letters joined without spaces, in order.

A typo is a word that no dictionary knows well, at one edit from a commoner word with which the same phrase
exists.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.direction import reversed_direction
from omnikeywords.analysis.frequency import LANGUAGES, ZIPF_STEPS
from omnikeywords.analysis.language import LanguageModel
from omnikeywords.analysis.phrase_pieces import (
    STOP_BIT,
    Pieces,
    cut,
    describe,
    kept_apart,
    without_stop_words,
    words_of,
)
from omnikeywords.analysis.piece_hashes import Flat, Hashed
from omnikeywords.analysis.roots import ROOT_LANGUAGES, Zipf
from omnikeywords.analysis.scripts import code_points
from omnikeywords.analysis.typos import REAL, REAL_SPOKEN, find_typos
from omnikeywords.analysis.words import Words

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
    numbered = getattr(analysis, "words", None)
    words, flat = words_of(numbered if isinstance(numbered, Words) else None, row, texts)
    raw, flat = cut(words, flat, texts)
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
    """The row that stands for each distinct phrase, the one with most volume; and which phrase each usable
    row is.
    """
    hashes = np.fromiter(map(hash, analysis.normalized), np.int64, len(analysis.normalized))[usable]
    _, inverse = np.unique(hashes, return_inverse=True)
    best = np.lexsort((usable, _missing_last(volume[usable]), inverse))
    first = np.flatnonzero(np.diff(inverse[best], prepend=-1))
    return usable[best[first]], inverse


def _missing_last(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sort keys that put the largest first and what is missing last."""
    return np.where(np.isnan(numbers), np.inf, -numbers)


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
    known = describe(raw, zipf)
    bag, shorter_bag, joined_roots, joined = np.empty((4, len(texts)), np.uint64)
    for phrases, block in flat.blocks():
        apart = kept_apart(block, known)
        joined_roots[phrases] = block.join(known.root_hash, apart)
        joined[phrases] = block.join(known.folded_hash, apart)
    _open_compounds(flat, known, joined_roots, joined)
    for phrases, block in flat.blocks():
        bag[phrases] = block.bag(known.in_bag[block.ids])
        shorter_bag[phrases] = without_stop_words(block, known, language[phrases])
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
        np.lexsort((lengths, target[rows_by_text] >= 0, _missing_last(popularity[at]), _missing_last(volume[at])))
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


def _open_compounds(flat: Flat, known: Pieces, joined_roots: NDArray[np.uint64], joined: NDArray[np.uint64]) -> None:
    """Let words that this batch writes together and apart (coronavirus, corona virus) weigh the same in bags.

    Only words for which several phrases show it: then it holds whatever the order of the other words.
    """
    rows = np.flatnonzero(np.isin(joined_roots, _repeated(joined_roots)))
    _, class_ = np.unique(joined_roots[rows], return_inverse=True)
    # Whatever the order of the phrases: the fewest pieces first, then by a hash that depends on the letters
    # alone.
    order = np.lexsort((joined[rows], flat.counts[rows], class_))
    rows, class_ = rows[order], class_[order]
    seen: dict[tuple[str, str, str], set[int]] = {}
    place = {}
    some = flat.of(rows)
    ids, root = some.ids.tolist(), known.root
    group: list[list[int]] = []
    last = -1
    for at, count, number in zip(some.starts.tolist(), some.counts.tolist(), class_.tolist(), strict=True):
        if number != last:
            group, last = [], number
        one = ids[at : at + count]
        for other in group:
            longer, shorter = (one, other) if len(one) > len(other) else (other, one)
            if len(longer) != len(shorter) + 1:
                continue
            i = next((i for i, (a, b) in enumerate(zip(longer, shorter, strict=False)) if root[a] != root[b]), -1)
            if i >= 0 and root[longer[i]] + root[longer[i + 1]] == root[shorter[i]]:
                parts = root[shorter[i]], root[longer[i]], root[longer[i + 1]]
                place[parts] = longer[i], longer[i + 1]
                seen.setdefault(parts, set()).add(number)
        if len(group) < _COMPARED:
            group.append(one)
    best: dict[str, tuple[int, str, str]] = {}
    for (whole, first, second), classes in seen.items():
        best[whole] = max(best.get(whole, (0, "", "")), (len(classes), first, second))
    weight = {}
    for whole, (shown, first, second) in best.items():
        if shown >= _SHOWN:
            weight[whole] = known.root_in_bag[list(place[whole, first, second])].sum()
    if weight:
        for i, name in enumerate(root):
            if name in weight:
                known.in_bag[i] = weight[name]


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
    known: Pieces,
    language: NDArray[np.int8],
    bag: NDArray[np.uint64],
    model: LanguageModel | None,
) -> NDArray[np.intp]:
    """For each phrase, one whose bag it would have were its likeliest typo corrected; -1 where it has
    none.
    """
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
    inflected: NDArray[np.bool_] = np.zeros(len(own), bool)
    if model is not None:
        of_word = zipf > 0
        of_word[:, LANGUAGES.index("en")] = True
        inflected[:] = ((model.table.zipf_codes(code_points(own)) >= REAL * ZIPF_STEPS) & of_word).any(axis=1)
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
    after_number = (at > flat.starts[phrase]) & known.ends_with_digit[flat.ids[at - 1]]
    fair = flat.counts[phrase] >= pairs.context[pair]
    fair &= ~(pairs.of_number[pair] & models[phrase])  # 5s is another model than 5
    fair &= ~(pairs.abbreviation[pair] & after_number)  # a290 gts is another model than a290 gt
    at, phrase, pair = at[fair], phrase[fair], pair[fair]
    word = piece[pairs.meant[pair]]
    without = bag[phrase] - known.in_bag[flat.ids[at]]
    # Where a stop word was meant, it may be left out of the other phrase's bag.
    left_out = np.flatnonzero(known.stop_inside[word] & np.left_shift(1, STOP_BIT[language[phrase]]))
    corrected = np.concatenate([without + known.in_bag[word], without[left_out]])
    at, phrase, pair = (np.concatenate([x, x[left_out]]) for x in (at, phrase, pair))
    order = np.argsort(bag, kind="stable")
    in_order = bag[order]
    start = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]])
    bags = in_order[start]
    found = np.minimum(np.searchsorted(bags, corrected), len(bags) - 1)
    exists = (bags[found] == corrected) & (corrected != bag[phrase])
    at, phrase, pair, found = at[exists], phrase[exists], pair[exists], found[exists]
    # It may be a word in the language of the phrase; a typo leads the detection astray, so of those that were
    # meant.
    theirs = np.minimum.reduceat(np.where(language < 0, len(LANGUAGES), language)[order], start)
    spoken = _SPOKEN_WITH[theirs[found]]
    spoken = np.where(spoken == LANGUAGES.index("en"), -1, spoken)  # English was asked already
    common = np.pad(zipf, ((0, 0), (0, 1)))[of_piece[flat.ids[at]][:, None], spoken].max(axis=1, initial=0)
    wrong = common < REAL_SPOKEN
    phrase, found, preference = phrase[wrong], found[wrong], pairs.preference[pair[wrong]]
    sizes = np.minimum.reduceat(flat.counts[order], start)
    longer = np.abs(flat.counts[phrase] - sizes[found])  # by stop words
    best = np.lexsort((preference, longer, phrase))
    best = best[np.flatnonzero(np.diff(phrase[best], prepend=-1))]
    meant[phrase[best]] = order[start[found[best]]]
    return meant


def _related(keys: _Keys) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The phrases that share a key with any other, their class by each key, and the class that they meant.

    Classes are numbers: equal ones for equal keys of one kind, different ones for different kinds.
    """
    all_keys = (keys.bag, keys.shorter_bag, keys.joined_roots, keys.joined)
    typo = np.flatnonzero(keys.meant >= 0)
    related = np.zeros(len(keys.bag), bool)
    related[typo] = True
    for key in all_keys:
        related |= np.isin(key, _repeated(key))
    # What a typo meant is a key, of one phrase perhaps, but all that have it are wanted.
    related |= np.isin(all_keys[_MEANT_KEY], all_keys[_MEANT_KEY][keys.meant[typo]])
    rows = np.flatnonzero(related)
    columns = []
    above = 0
    for key in all_keys:
        distinct, class_ = np.unique(key[rows], return_inverse=True)
        columns.append(class_ + above)
        above += len(distinct)
    number = np.cumsum(related) - 1
    meant = keys.meant[rows]
    target = np.where(meant >= 0, columns[_MEANT_KEY][number[meant]], -1)
    return rows, np.stack(columns, axis=1), target


def _repeated(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The distinct values that are there more than once."""
    in_order = np.sort(key)
    same = in_order[1:] == in_order[:-1]
    return np.unique(in_order[1:][same])


_MEANT_KEY = 1  # typos are sought in the bags without stop words
_LARGEST = 150  # rows in a group, unless they are all of the same words
_COMPARED = 8  # phrases of one key that are compared with each other
_SHOWN = 2  # phrases that write a compound both ways, before it is believed


class _Direction:
    """Which of the ranked phrases go opposite ways."""

    def __init__(self, flat: Flat, known: Pieces, language: NDArray[np.int8], ranked: NDArray[np.intp]) -> None:
        some = flat.of(ranked)
        alone = np.add.reduceat(known.gives_direction[some.ids].astype(np.intp), some.starts)
        paired = np.add.reduceat(known.gives_direction_in_pairs[some.ids].astype(np.intp), some.starts)
        self.matters: list[bool] = ((alone > 0) | (paired > 1)).tolist()
        self._flat, self._root, self._language = some, known.root, language[ranked]

    def opposite(self, one: int, other: int) -> bool:
        language = int(self._language[one])
        return reversed_direction(self._roots(one), self._roots(other), LANGUAGES[language] if language >= 0 else "und")

    def _roots(self, i: int) -> list[str]:
        start = int(self._flat.starts[i])
        return [self._root[k] for k in self._flat.ids[start : start + int(self._flat.counts[i])].tolist()]


def _settled(classes: NDArray[np.intp], target: NDArray[np.intp], matters: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which phrases are in no class but with phrases of their own bag, so that this is their group."""
    bags = classes[:, 0]
    is_open = matters | (target >= 0) | np.isin(classes[:, _MEANT_KEY], target[target >= 0])
    for class_ in classes[:, 1:].T:
        some_bag = np.zeros(int(class_.max()) + 1, np.intp)
        some_bag[class_] = bags
        shared = np.zeros(len(some_bag), bool)
        shared[class_[some_bag[class_] != bags]] = True
        is_open |= shared[class_]
    open_bag = np.zeros(int(bags.max()) + 1, bool)
    open_bag[bags[is_open]] = True
    return ~open_bag[bags]


def _join(
    classes: NDArray[np.intp], target: NDArray[np.intp], rows: NDArray[np.intp], direction: _Direction
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The head of each of the ranked phrases, as a rank, and whether it is joined for a typo; `rows` have the
    phrase.

    Phrases of one bag are one unit, led by the first of them; those that go the opposite way are another
    unit. A unit joins the first head with which it shares a class, else the one that it meant, or that meant
    it.
    """
    matters = direction.matters
    bags = classes[:, 0]
    leaders = np.full(int(bags.max()) + 1, len(classes))
    np.minimum.at(leaders, bags, np.arange(len(classes)))
    settled = _settled(classes, target, np.array(matters, bool))
    chosen = np.where(settled, leaders[bags], np.arange(len(classes))).tolist()
    for_typo = [False] * len(classes)

    units: dict[int, list[list[int]]] = {}
    in_order: list[list[int]] = []
    open_ranks = np.flatnonzero(~settled)
    for rank, bag in zip(open_ranks.tolist(), bags[open_ranks].tolist(), strict=True):
        for unit in units.setdefault(bag, []):
            if not (matters[rank] and matters[unit[0]] and direction.opposite(rank, unit[0])):
                unit.append(rank)
                break
        else:
            unit = [rank]
            units[bag].append(unit)
            in_order.append(unit)

    others = list(zip(*(column.tolist() for column in classes[:, 1:].T), strict=True))
    meant = target.tolist()
    heads: dict[int, list[int]] = {}  # by class, in order of rank
    meaning: dict[int, list[int]] = {}  # heads that are typos, by the class that was meant
    size: dict[int, int] = {}

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
        if len(unit) == 1:
            count = times[leader]
            own: Collection[int] = others[leader]
            wanted: Collection[int] = (meant[leader],) if meant[leader] >= 0 else ()
        else:
            count = sum([times[rank] for rank in unit])
            own = {class_ for rank in unit for class_ in others[rank]}
            # If one of them has no typo, it is a word of its own, and the others are its plurals.
            wanted = {meant[rank] for rank in unit}
            wanted = () if -1 in wanted else wanted
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
            for rank in unit:
                for_typo[rank] = typo
        for rank in unit:
            chosen[rank] = best
    return np.array(chosen, np.intp), np.array(for_typo, bool)


def _reasons(
    texts: list[str],
    flat: Flat,
    known: Pieces,
    keys: _Keys,
    members: NDArray[np.intp],
    heads: NDArray[np.intp],
    typo: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """Why each member is a near-duplicate of its head: the least difference that explains it."""
    own, theirs = flat.of(members), flat.of(heads)

    def same_sequence(hashed: Hashed) -> NDArray[np.bool_]:
        one, other = (some.join(hashed, np.ones(len(some.ids), bool)) for some in (own, theirs))
        return np.equal(one, other)

    def same_bag(weights: NDArray[np.uint64]) -> NDArray[np.bool_]:
        return np.equal(own.bag(weights[own.ids]), theirs.bag(weights[theirs.ids]))

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
