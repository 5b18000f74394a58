"""The keys of JSON objects as columns of a table, never too many of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from omnikeywords.formats.columns import Header

__all__ = ["Keys"]

_MOST = 16_384  # what a spreadsheet can hold
_KNOWN = 256  # columns more for keys that name a field, which may come late among many
_REST = "other keys"


class Keys:
    """The keys of objects, in the order they were first seen.

    Every object has a cell in each column, so that objects with keys of their own would take space by the square
    of their number. So only `columns` keys have one, or four times as many as an object has on average; all others
    of an object stand together, as JSON, in one column more.
    """

    def __init__(self, columns: int) -> None:
        self._limit = columns
        self._columns: dict[str, None] = {}
        self._rest: str | None = None

    @property
    def names(self) -> list[str]:
        """The columns so far."""
        return list(self._columns)

    def add(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Take in the keys of more objects."""
        if objects:
            self._limit = max(self._limit, min(4 * sum(map(len, objects)) // len(objects), _MOST))
        for item in objects:
            if not self._columns.keys() >= item.keys():
                for name in item:
                    if name not in self._columns:
                        self._add(name)

    def _add(self, name: str) -> None:
        count = len(self._columns)
        if count < self._limit or (count < self._limit + _KNOWN and Header([name]).fields):
            self._columns[name] = None
        elif self._rest is None:
            self._rest = _REST
            while self._rest in self._columns:
                self._rest += " "
            self._columns[self._rest] = None

    def values(self, objects: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
        """The cells of each column, for objects whose keys were added."""
        return [
            [self._others(item) if name == self._rest else item.get(name) for item in objects] for name in self._columns
        ]

    def _others(self, item: Mapping[str, Any]) -> str | None:
        others = {name: value for name, value in item.items() if name == self._rest or name not in self._columns}
        return json.dumps(others, ensure_ascii=False) if others else None
