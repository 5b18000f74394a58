"""Records: what is shown of a keyword, in a file beside the index that is only ever appended to and read by mapping.

A record holds what sources observed and people said; what is derived is derived when it is shown, by the analysis that
every other answer comes from, so a hit says what GET /keywords/{id} says. A document names the byte its record begins
at. Whatever is replaced stays behind as waste until the index is made anew.

What many keywords have in common lies in a record before theirs, and each says how many bytes before.
"""

import functools
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from omnikeywords.analysis import Options, analyse
from omnikeywords.analysis.ids import keyword_ids
from omnikeywords.analysis.normalise import normalise_batch
from omnikeywords.analysis.score import DIFFICULTY_PARTS, OBSERVED_COLUMNS, OPPORTUNITY_PARTS
from omnikeywords.catalog.derive import OBSERVED_REST
from omnikeywords.catalog.marks import CORRECTABLE, CORRECTED
from omnikeywords.model import Market

__all__ = ["RECORDED", "RecordFile", "Records", "recorded", "to_objects", "to_recorded"]

_LONG = 255  # bytes: from here on the length of a record takes three more bytes
_FURTHEST = 2**16  # bytes back to what it has in common
_NUMBERS = ("volume", "cpc", "competition", "clicks", "impressions", "position")
_COMMON = ("created_at", "market", "source")
# Missing ones at the end are left out, so what most keywords lack comes last.
_FIELDS = (
    *("keyword", *_COMMON, *_NUMBERS, "updated_at", "observed"),
    *("near_duplicate_of", "near_duplicate_reason", "tags", "corrected"),
)
_NOTHING = dict.fromkeys(_FIELDS)
_WHERE = {name: number for number, name in enumerate(_FIELDS)}
# Fields that are shown without an analysis.
RECORDED = frozenset(("keyword", "normalized", "id", "market", "source", *_NUMBERS))
_PARTS = {"difficulty": DIFFICULTY_PARTS, "opportunity": OPPORTUNITY_PARTS}
_DATES = ("period_start", "period_end")
# What scores are made from: columns of a record, and what else was observed by its name there.
_SCORED = tuple(name for name in OBSERVED_COLUMNS if name in _WHERE)
_REST_SCORED = {
    name: "vendor_difficulty" if name == "difficulty" else name for name in OBSERVED_COLUMNS if name not in _WHERE
}


class RecordFile:
    """The file, for the one who appends to it."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("ab")
        self.end = self._file.tell()  # where the next record begins

    def append(self, rows: pl.DataFrame) -> NDArray[np.uint64]:
        """Append the records of rows of the table `keywords`; returns where each begins."""
        times = {name: rows[name].dt.epoch("us").to_list() for name in ("created_at", "updated_at")}
        times["updated_at"] = [
            None if updated == created else updated
            for created, updated in zip(times["created_at"], times["updated_at"], strict=True)
        ]
        columns = {name: times[name] if name in times else rows[name].to_list() for name in _FIELDS}
        commons = zip(*(columns.pop(name) for name in _COMMON), strict=True)
        encode = msgspec.msgpack.Encoder().encode
        known: dict[tuple[Any, ...], int] = {}
        written: list[bytes] = []
        at = []
        for common, row in zip(commons, zip(*columns.values(), strict=True), strict=True):
            there = known.get(common)
            if there is None or self.end - there >= _FURTHEST:
                there = known[common] = self.end
                self.end += _write(written, encode(common))
            last = len(row)
            while row[last - 1] is None:
                last -= 1
            at.append(self.end)
            self.end += _write(written, encode((self.end - there, *row[:last])))
        self._file.write(b"".join(written))
        return np.array(at, np.uint64)

    def sync(self) -> None:
        """See to it that what was appended outlives this process and the machine's power."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write what is left and give the file back."""
        self._file.close()


class Records:
    """The file as it was when it was mapped, for everybody else; what is appended later is not seen."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.size = file.seek(0, 2)
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""
        self._decode = msgspec.msgpack.Decoder(list[Any]).decode

    def read(self, at: Sequence[int]) -> list[list[Any]]:
        """The records that begin at these bytes; trailing missing values are left out."""
        found = []
        for start in at:
            back, keyword, *rest = self._at(start)
            found.append([keyword, *self._at(start - back), *rest])
        return found

    def _at(self, start: int) -> list[Any]:
        raw = self._bytes
        length, first = raw[start], start + 1
        if length == _LONG:
            length, first = int.from_bytes(raw[first : first + 3], "little"), first + 3
        return self._decode(raw[first : first + length])


def _write(written: list[bytes], record: bytes) -> int:
    """Put a record behind others; returns how many bytes it takes."""
    length = len(record)
    head = bytes((length,)) if length < _LONG else bytes((_LONG,)) + length.to_bytes(3, "little")
    written.append(head + record)
    return len(head) + length


def recorded(record: Sequence[Any], name: str) -> Any:
    """One value of a record."""
    number = _WHERE[name]
    return record[number] if number < len(record) else None


def to_recorded(records: Sequence[Sequence[Any]], fields: Sequence[str], market: Market | None) -> list[dict[str, Any]]:
    """Fields of RECORDED of the keyword objects of records; `market` is that of whose source names none."""
    shown = [{name: recorded(record, name) if name in _WHERE else None for name in fields} for record in records]
    if "normalized" in fields or "id" in fields:
        normalized, _ = normalise_batch([record[0] for record in records])
        for row, record, phrase in zip(shown, records, normalized, strict=True):
            own = recorded(record, "market")
            if "normalized" in row:
                row["normalized"] = phrase
            if "id" in row:
                row["id"] = keyword_ids(market if own is None else Market.parse(own), [phrase])[0]
    return shown


def to_objects(records: Sequence[Sequence[Any]], options: Options) -> list[dict[str, Any]]:
    """Records as the keyword objects that the catalogue makes of the same rows."""
    by_market: dict[str | None, list[int]] = {}
    filled = [{**_NOTHING, **dict(zip(_FIELDS, record, strict=False))} for record in records]
    for i, row in enumerate(filled):
        by_market.setdefault(row["market"], []).append(i)
    made: list[dict[str, Any]] = [{} for _ in records]
    for market, indexes in by_market.items():
        chosen = [filled[i] for i in indexes]
        rest = [_rest(row["observed"]) for row in chosen]
        in_market = options if market is None else _in_market(options, market)
        rows = analyse([row["keyword"] for row in chosen], in_market, _observations(chosen, rest)).rows()
        for i, row, more, derived in zip(indexes, chosen, rest, rows, strict=True):
            made[i] = _object(derived, row, more)
    return made


@functools.lru_cache(maxsize=1024)
def _in_market(options: Options, market: str) -> Options:
    return replace(options, market=Market.parse(market))


def _observations(rows: Sequence[Mapping[str, Any]], rest: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]] | None:
    """The columns from which scores are made, as far as any row has them."""
    columns = {name: [row[name] for row in rows] for name in _SCORED}
    if any(row["observed"] is not None for row in rows):
        columns.update({name: [row[_REST_SCORED[name]] for row in rest] for name in _REST_SCORED})
    there = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    return there or None


def _object(derived: dict[str, Any], row: Mapping[str, Any], rest: Mapping[str, Any]) -> dict[str, Any]:
    said = dict.fromkeys(CORRECTED)
    if row["corrected"]:
        said |= msgspec.json.decode(row["corrected"])
        derived.update({name: said[name] for name in CORRECTABLE if said[name] is not None})
    for name, parts in _PARTS.items():
        if derived[name] is not None:
            derived[name]["parts"] = dict.fromkeys(parts) | derived[name]["parts"]
    derived["near_duplicate_of"] = row["near_duplicate_of"]
    derived["near_duplicate_reason"] = row["near_duplicate_reason"]
    derived["tags"] = msgspec.json.decode(row["tags"]) if row["tags"] else []
    derived["corrected"] = said
    derived["source"] = row["source"]
    for name in _NUMBERS:
        derived[name] = row[name]
    derived.update(rest)
    derived["created_at"] = _time(row["created_at"])
    derived["updated_at"] = _time(row["updated_at"] or row["created_at"])
    return derived


def _rest(observed: str | None) -> dict[str, Any]:
    """What was observed and has no column of its own, with nulls for the rest."""
    if observed is None:
        return dict.fromkeys(OBSERVED_REST)
    rest: dict[str, Any] = dict.fromkeys(OBSERVED_REST) | msgspec.json.decode(observed)
    for name in _DATES:
        if rest[name] is not None:
            rest[name] = date.fromisoformat(rest[name])
    return rest


@functools.lru_cache(maxsize=4096)  # keywords of a chunk came at the same time
def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(microsecond=microseconds % 1_000_000)
