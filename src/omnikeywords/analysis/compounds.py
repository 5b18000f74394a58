"""Words that a batch writes together and apart: coronavirus, corona virus."""

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled
from omnikeywords.analysis.phrase_pieces import Pieces
from omnikeywords.analysis.phrase_texts import Flat
from omnikeywords.analysis.piece_hashes import Classes, powers_of_base

__all__ = ["compound_weights"]

_COMPARED = 8  # phrases of one key that are compared with each other
_SHOWN = 2  # phrases that write a compound both ways, before it is believed


def compound_weights(
    flat: Flat, known: Pieces, joined_roots: Classes, joined: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """What each piece weighs in bags, so that compounds and their parts weigh the same.

    Only words for which several phrases show it: then it holds whatever the order of the other words.
    """
    in_bag = known.in_bag.copy()
    counts = np.diff(flat.offsets).astype(np.int32)
    rows = np.flatnonzero(_differing(joined_roots.of, counts)[joined_roots.of])
    # Whatever the order of the phrases: the fewest pieces first, then by a hash that depends on the letters
    # alone.
    rows = rows[np.lexsort((joined[rows], counts[rows], joined_roots.of[rows]))]
    lengths = known.characters.lengths
    powers = powers_of_base(int(lengths.max(initial=0)))
    shown = _compare(
        rows, joined_roots.of, flat.ids, flat.offsets, known.root, known.name_hash, lengths.astype(np.int32), powers
    )
    seen: dict[tuple[int, int, int], set[int]] = {}
    for class_, *parts in zip(*(column.tolist() for column in shown), strict=True):
        whole, first, second = parts
        seen.setdefault((whole, first, second), set()).add(class_)
    best: dict[int, tuple[int, str, str, int, int]] = {}
    for (whole, first, second), classes in seen.items():
        candidate = (len(classes), known.names[first], known.names[second], first, second)
        best[whole] = max(best.get(whole, candidate), candidate)
    summand = np.zeros(len(known.names), np.uint64)
    summand[known.root] = known.root_in_bag
    believed = np.zeros(len(known.names), np.bool_)
    weight = np.zeros(len(known.names), np.uint64)
    for whole, (times, _, _, first, second) in best.items():
        if times >= _SHOWN:
            believed[whole] = True
            weight[whole] = summand[[first, second]].sum()
    of_compound = believed[known.root]
    in_bag[of_compound] = weight[known.root[of_compound]]
    return in_bag


@compiled
def _differing(class_of: NDArray[np.int32], counts: NDArray[np.int32]) -> NDArray[np.bool_]:
    """The classes of phrases that do not all have as many pieces."""
    differing = np.zeros(len(class_of), np.bool_)
    for i in range(len(class_of)):
        if counts[i] != counts[class_of[i]]:
            differing[class_of[i]] = True
    return differing


@compiled
def _compare(
    rows: NDArray[np.intp],
    class_of: NDArray[np.int32],
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    root: NDArray[np.int32],
    name_hash: NDArray[np.uint64],
    lengths: NDArray[np.int32],
    powers: NDArray[np.uint64],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Where two phrases of a class differ first, and one has in two pieces what the other has in one: the class, and
    the roots of the whole and of its parts.
    """
    shown = np.empty((4, len(rows) * _COMPARED), np.int32)
    count = 0
    group = np.empty(_COMPARED, np.int64)
    size = 0
    for at in range(len(rows)):
        row = rows[at]
        if at == 0 or class_of[row] != class_of[rows[at - 1]]:
            size = 0
        for g in range(size):
            longer, shorter = row, group[g]  # rows of a class come by the number of their pieces
            begin, other = offsets[longer], offsets[shorter]
            pieces = offsets[shorter + 1] - other
            if offsets[longer + 1] - begin != pieces + 1:
                continue
            i = 0
            while i < pieces and root[ids[begin + i]] == root[ids[other + i]]:
                i += 1
            if i == pieces:
                continue
            whole, first, second = root[ids[other + i]], root[ids[begin + i]], root[ids[begin + i + 1]]
            joins = name_hash[first] * powers[lengths[second]] + name_hash[second] == name_hash[whole]
            if joins and lengths[first] + lengths[second] == lengths[whole]:
                shown[0, count], shown[1, count], shown[2, count], shown[3, count] = class_of[row], whole, first, second
                count += 1
        if size < _COMPARED:
            group[size] = row
            size += 1
    return shown[0, :count].copy(), shown[1, :count].copy(), shown[2, :count].copy(), shown[3, :count].copy()
