"""Which phrase heads each phrase: the best is first, and each joins the first head that it has a reason to join."""

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled
from omnikeywords.analysis.direction import ALWAYS, TO_IN
from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.analysis.phrase_pieces import Pieces
from omnikeywords.analysis.phrase_texts import Flat, Texts

__all__ = ["join_heads", "rank_phrases"]

_LARGEST = 150  # rows in a group, unless they are all of the same words
_SAYS_TO = np.array([name in TO_IN for name in LANGUAGES] + [False])  # whether a is a direction; last, no language


# ------------------------------------------------------------------------------------------------- the ranking


def rank_phrases(
    phrases: NDArray[np.intp],
    volume: NDArray[np.float64],
    popularity: NDArray[np.float64],
    has_typo: NDArray[np.bool_],
    texts: Texts,
    rows: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Some phrases in the order in which they may be heads: the one with most volume, else the most popular (what is
    missing last), else without a typo, else the shortest, else the first alphabetically.

    `rows` has the text of each phrase.
    """
    last_volume, last_popularity = (
        np.where(np.isnan(numbers), np.inf, -numbers)[phrases] for numbers in (volume, popularity)
    )
    text = rows[phrases]
    begins, ends = texts.offsets[text], texts.offsets[text + 1]
    order = np.arange(len(phrases))
    lengths = _count_characters(texts.data, begins, ends)
    _sort(last_volume, last_popularity, has_typo[phrases], lengths, texts.data, begins, ends, order)
    return phrases[order]


@compiled
def _count_characters(data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int32]:
    lengths = np.zeros(len(begins), np.int32)
    for i in range(len(begins)):
        for k in range(begins[i], ends[i]):
            lengths[i] += data[k] & 0xC0 != 0x80
    return lengths


@compiled
def _precedes(
    one: int,
    other: int,
    volume: NDArray[np.float64],
    popularity: NDArray[np.float64],
    has_typo: NDArray[np.bool_],
    lengths: NDArray[np.int32],
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> bool:
    if volume[one] != volume[other]:
        return bool(volume[one] < volume[other])
    if popularity[one] != popularity[other]:
        return bool(popularity[one] < popularity[other])
    if has_typo[one] != has_typo[other]:
        return bool(has_typo[other])
    if lengths[one] != lengths[other]:
        return bool(lengths[one] < lengths[other])
    # UTF-8 is in the order of the characters.
    length = ends[one] - begins[one]
    for k in range(min(length, ends[other] - begins[other])):
        if data[begins[one] + k] != data[begins[other] + k]:
            return bool(data[begins[one] + k] < data[begins[other] + k])
    return bool(length < ends[other] - begins[other])


@compiled
def _sort(
    volume: NDArray[np.float64],
    popularity: NDArray[np.float64],
    has_typo: NDArray[np.bool_],
    lengths: NDArray[np.int32],
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    order: NDArray[np.intp],
) -> None:
    """Merge sort, as the distinct phrases have a strict order."""
    count = len(order)
    source, target = order.copy(), order
    width = 1
    passes = 0
    while width < count or passes % 2 == 0:
        for begin in range(0, count, 2 * width):
            middle, end = min(begin + width, count), min(begin + 2 * width, count)
            left, right = begin, middle
            for out in range(begin, end):
                if left < middle and (
                    right >= end
                    or not _precedes(
                        source[right], source[left], volume, popularity, has_typo, lengths, data, begins, ends
                    )
                ):
                    target[out] = source[left]
                    left += 1
                else:
                    target[out] = source[right]
                    right += 1
        source, target = target, source
        width *= 2
        passes += 1


# ---------------------------------------------------------------------------------------------------- the heads


def join_heads(
    ranked: NDArray[np.intp],
    classes: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
    target: NDArray[np.int32],
    rows: NDArray[np.int32],
    flat: Flat,
    known: Pieces,
    language: NDArray[np.int8],
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The head of each of R ranked phrases, as a rank, and whether it is joined for a typo.

    Of all phrases: `classes` by the bag, the bag without stop words, the joined roots and the joined letters; `target`
    the class of bags without stop words that was meant, -1 for none; `rows` how many rows have the phrase.

    Phrases of one bag are one unit, led by the first of them; those that go the opposite way are another unit. A unit
    joins the first head with which it shares a class, else the one that it meant, or that meant it.
    """
    chosen = np.empty(len(ranked), np.intp)
    for_typo = np.zeros(len(ranked), np.bool_)
    bag, own, wanted = (np.empty(shape, np.int32) for shape in (len(ranked), (len(ranked), 3), len(ranked)))
    count = _number_classes(ranked, *classes, target, bag, own, wanted)
    words = (flat.ids, flat.offsets, known.root, known.leads, known.kinds, known.is_number)
    says_to = _SAYS_TO[language]
    matters = _matters(ranked, *words)
    _join(bag, own, wanted, rows[ranked], count, ranked, matters, *words, says_to, chosen, for_typo)
    return chosen, for_typo


@compiled
def _number_classes(
    ranked: NDArray[np.intp],
    bag: NDArray[np.int32],
    shorter_bag: NDArray[np.int32],
    joined_roots: NDArray[np.int32],
    joined: NDArray[np.int32],
    target: NDArray[np.int32],
    bag_of: NDArray[np.int32],
    own: NDArray[np.int32],
    wanted: NDArray[np.int32],
) -> int:
    """Number the classes of ranked phrases from 0 on: bags by themselves, all others together, with what was meant.

    Returns how many others there are.
    """
    number = np.full(len(bag), -1, np.int32)
    bags = 0
    for rank in range(len(ranked)):
        class_ = bag[ranked[rank]]
        if number[class_] < 0:
            number[class_] = bags
            bags += 1
        bag_of[rank] = number[class_]
    others = 0
    for n in range(3):
        number[:] = -1
        for rank in range(len(ranked)):
            class_ = (shorter_bag if n == 0 else joined_roots if n == 1 else joined)[ranked[rank]]
            if number[class_] < 0:
                number[class_] = others
                others += 1
            own[rank, n] = number[class_]
        if n == 0:
            for rank in range(len(ranked)):
                meant = target[ranked[rank]]
                wanted[rank] = number[meant] if meant >= 0 else np.int32(-1)
    return others


@compiled
def _matters(
    phrases: NDArray[np.intp],
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    root: NDArray[np.int32],
    leads: NDArray[np.int8],
    kinds: NDArray[np.int64],
    is_number: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which phrases have words that may give them a direction."""
    matters = np.zeros(len(phrases), np.bool_)
    for i in range(len(phrases)):
        paired = 0
        for k in range(offsets[phrases[i]], offsets[phrases[i] + 1]):
            matters[i] |= leads[ids[k]] != 0
            paired += kinds[ids[k]] != 0 or is_number[ids[k]]
        matters[i] |= paired > 1
    return matters


@compiled
def _meeting(ids: NDArray[np.int32], root: NDArray[np.int32], begin: int, end: int, start: int, stop: int) -> int:
    """The length of the shortest end of the first pieces that begins the second; 0 where none does."""
    for n in range(1, min(end - begin, stop - start) + 1):
        k = 0
        while k < n and root[ids[end - n + k]] == root[ids[start + k]]:
            k += 1
        if k == n:
            return n
    return 0


@compiled
def _count_root(ids: NDArray[np.int32], root: NDArray[np.int32], begin: int, end: int, wanted: int) -> int:
    count = 0
    for k in range(begin, end):
        count += root[ids[k]] == wanted
    return count


@compiled
def _opposite(
    one: int,
    other: int,
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    root: NDArray[np.int32],
    leads: NDArray[np.int8],
    kinds: NDArray[np.int64],
    is_number: NDArray[np.bool_],
    says_to: NDArray[np.bool_],
) -> bool:
    """Whether two phrases of the same roots go opposite ways: `london to paris` and `paris to london`.

    So it is where what stands on both sides of a word like to, from, para has changed places, where two languages,
    currencies, units, cities or like nouns side by side have, or where two numbers have.
    """
    begin, end = offsets[one], offsets[one + 1]
    start, stop = offsets[other], offsets[other + 1]
    for i in range(begin, end):
        lead = leads[ids[i]]
        if lead == 0 or (lead != ALWAYS and not says_to[one]):
            continue
        word = root[ids[i]]
        j = start
        while j < stop and root[ids[j]] != word:
            j += 1
        if j == stop or _count_root(ids, root, begin, i, word) > 0:
            continue
        first = _meeting(ids, root, begin, i, j + 1, stop)
        second = _meeting(ids, root, start, j, i + 1, end)
        if first and second:  # hand to hand stays as it is
            same = first == second
            for k in range(first if same else 0):
                same = same and root[ids[j + 1 + k]] == root[ids[i + 1 + k]]
            if not same:
                return True
    for i in range(begin, end - 1):
        first, second = ids[i], ids[i + 1]
        if kinds[first] & kinds[second] and root[first] != root[second]:
            for j in range(start, stop - 1):
                if root[ids[j]] == root[second] and root[ids[j + 1]] == root[first]:
                    return True
    moved = False
    numbers = 0
    j = start
    for i in range(begin, end):
        if is_number[ids[i]]:
            numbers += 1
            while j < stop and not is_number[ids[j]]:
                j += 1
            moved = moved or j >= stop or root[ids[j]] != root[ids[i]]
            j += 1
    if not moved:
        return False  # or there are more of them in the other
    for j in range(start, stop):
        numbers -= is_number[ids[j]]
    if numbers != 0:
        return False
    for i in range(begin, end):
        if is_number[ids[i]]:
            number = root[ids[i]]
            if _count_root(ids, root, begin, end, number) != _count_root(ids, root, start, stop, number):
                return False
    return True


@compiled
def _join(
    bag: NDArray[np.int32],
    own: NDArray[np.int32],
    wanted: NDArray[np.int32],
    rows: NDArray[np.int32],
    classes: int,
    ranked: NDArray[np.intp],
    matters: NDArray[np.bool_],
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    root: NDArray[np.int32],
    leads: NDArray[np.int8],
    kinds: NDArray[np.int64],
    is_number: NDArray[np.bool_],
    says_to: NDArray[np.bool_],
    chosen: NDArray[np.intp],
    for_typo: NDArray[np.bool_],
) -> None:
    """Fill in the heads, and what is joined for a typo. `own` is (R, 3): the classes of each rank but its bag;
    `wanted` the class that it meant.
    """
    count = len(bag)
    # Units by the rank of their leader; those of a bag, and the ranks of a unit, are chains in order of rank.
    first_of_bag = np.full(bag.max() + 1, -1, np.int32)
    next_unit = np.full(count, -1, np.int32)
    next_rank = np.full(count, -1, np.int32)
    last_rank = np.full(count, -1, np.int32)
    for rank in range(count):
        last = -1
        unit = first_of_bag[bag[rank]]
        while unit >= 0:
            if not (matters[rank] and matters[unit]) or not _opposite(
                ranked[rank], ranked[unit], ids, offsets, root, leads, kinds, is_number, says_to
            ):
                break
            last = unit
            unit = next_unit[unit]
        if unit >= 0:
            next_rank[last_rank[unit]] = rank
            last_rank[unit] = rank
        else:
            last_rank[rank] = rank
            if last < 0:
                first_of_bag[bag[rank]] = rank
            else:
                next_unit[last] = rank

    # Heads by class, and heads that are typos by the class that was meant: chains in order of rank.
    first_link = np.full((2, classes), -1, np.int32)
    last_link = np.full((2, classes), -1, np.int32)
    next_link = np.full(4 * count, -1, np.int32)
    head_of = np.empty(4 * count, np.int32)
    links = 0
    size = np.zeros(count, np.int64)
    for leader in range(count):
        if last_rank[leader] < 0:
            continue  # it follows another leader
        wants = True
        rank = leader
        while rank >= 0:
            size[leader] += rows[rank]
            # If one of them has no typo, it is a word of its own, and the others are its plurals.
            wants = wants and wanted[rank] >= 0
            rank = next_rank[rank]
        best = leader
        typo = False
        for turn in range(2):
            if turn == 1 and best < leader:
                break
            typo = turn == 1
            rank = leader
            while rank >= 0:
                # First what shares a class; then what it meant, and what meant it.
                for n in range(3 if turn == 0 else 2):
                    if turn == 0:
                        link = first_link[0, own[rank, n]]
                    elif n == 0:
                        link = first_link[0, wanted[rank]] if wants else np.int32(-1)
                    else:
                        link = first_link[1, own[rank, 0]]
                    while link >= 0 and head_of[link] < best:
                        head = head_of[link]
                        if size[head] + size[leader] <= _LARGEST and not (
                            matters[leader]
                            and matters[head]
                            and _opposite(
                                ranked[leader], ranked[head], ids, offsets, root, leads, kinds, is_number, says_to
                            )
                        ):
                            best = head
                        link = next_link[link]
                rank = next_rank[rank]
        if best < leader:
            size[best] += size[leader]
        rank = leader
        while rank >= 0:
            chosen[rank] = best
            for_typo[rank] = typo and best < leader
            for n in range(4 if best == leader else 0):
                kind = 1 if n == 3 else 0
                if n == 3 and not wants:
                    continue
                class_ = wanted[rank] if n == 3 else own[rank, n]
                last = last_link[kind, class_]
                if last >= 0 and head_of[last] == leader:
                    continue
                head_of[links] = leader
                if last < 0:
                    first_link[kind, class_] = links
                else:
                    next_link[last] = links
                last_link[kind, class_] = links
                links += 1
            rank = next_rank[rank]
