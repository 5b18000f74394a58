"""The words of a batch as numbers: every distinct word is looked at once, its columns are kept.

Phrases share most of their words, so what costs time (frequency tables, character n-grams, lexicons) is done per
distinct word and gathered per phrase with array indexing. Nothing here knows what the columns mean.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Vocabulary", "Words", "split_words"]

ColumnMaker = Callable[[list[str]], Mapping[str, NDArray[Any]]]


class _Table:
    """Distinct words with their columns; grows, never shrinks, so that readers need no lock."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.columns: dict[str, NDArray[Any]] = {}

    def append(self, words: list[str], columns: Mapping[str, NDArray[Any]]) -> None:
        start = len(self.index)
        end = start + len(words)
        for name, rows in columns.items():
            old = self.columns.get(name)
            if old is None or len(old) < end:
                # Doubling in a new array: a reader that holds the old one still sees all rows it knows of.
                grown = np.zeros((max(1024, 2 * end), *rows.shape[1:]), rows.dtype)
                if old is not None:
                    grown[:start] = old[:start]
                grown[start:end] = rows
                self.columns[name] = grown
            else:
                old[start:end] = rows
        # Only now may a reader find the new words: their rows are there.
        self.index.update(zip(words, range(start, end), strict=True))


@dataclass(frozen=True, slots=True)
class Words:
    """The words of N phrases, end to end: phrase i has `counts[i]` words from `starts[i]` on.

    Every phrase has at least one word; a phrase that could not be used has the empty word alone.
    """

    text: list[str]  # W words
    ids: NDArray[np.intp]  # W rows of the columns
    starts: NDArray[np.intp]  # N
    counts: NDArray[np.intp]  # N
    columns: Mapping[str, NDArray[Any]]  # a row per distinct word, more rows than are in use

    def take(self, name: str) -> NDArray[Any]:
        """Column `name` of each of the W words."""
        taken: NDArray[Any] = self.columns[name].take(self.ids, axis=0)
        return taken


def split_words(normalized: Sequence[str]) -> tuple[list[str], NDArray[np.intp], NDArray[np.intp]]:
    """All words of normalized phrases end to end, with the start and the number of words of each phrase."""
    text = " ".join(normalized).split(" ") if normalized else []
    counts = np.array([phrase.count(" ") for phrase in normalized], np.intp)
    counts += 1
    starts = counts.cumsum()
    starts -= counts
    return text, starts, counts


class Vocabulary:
    """Every word seen so far with its columns; safe to share between threads.

    `make_columns` turns distinct new words into named arrays with one row a word; it must be a pure function of each
    word. At most `capacity` words are kept: then a new table is begun, so memory is bounded and results do not
    depend on what came before.
    """

    def __init__(self, make_columns: ColumnMaker, capacity: int = 300_000) -> None:
        self._make_columns = make_columns
        self._capacity = capacity
        self._table = _Table()
        self._table.append([""], make_columns([""]))  # so that the columns exist from the start
        self._lock = threading.Lock()

    def look_up(self, normalized: Sequence[str]) -> Words:
        """The words of normalized phrases (no leading, trailing or double spaces), new ones learned on the way."""
        text, starts, counts = split_words(normalized)
        table = self._table
        try:
            ids = np.fromiter(map(table.index.__getitem__, text), np.intp, len(text))
        except KeyError:
            table = self._learn(text)
            ids = np.fromiter(map(table.index.__getitem__, text), np.intp, len(text))
        return Words(text, ids, starts, counts, table.columns)

    def _learn(self, text: list[str]) -> _Table:
        distinct = set(text)
        with self._lock:
            table = self._table
            new = sorted(distinct.difference(table.index))
            if len(table.index) + len(new) > self._capacity and table.index:
                table = _Table()
                new = sorted(distinct)
            table.append(new, self._make_columns(new))
            self._table = table
        return table
