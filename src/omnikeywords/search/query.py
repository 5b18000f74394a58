"""The query language: what a person types, as parts that must or must not be there.

    running shoes        every word, in any order; accents, case and punctuation never matter
    "running shoes"      these words side by side
    -cheap  -"for men"   without it
    run*                 words that begin so

Nothing that people paste is an error: a quote without an end, a sign that stands alone, symbols are taken as they are,
and a note says so. Only what is too long is refused, with the column where it becomes so.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from omnikeywords.analysis.normalise import normalise
from omnikeywords.errors import InvalidKeyword, InvalidQuery
from omnikeywords.search.words import is_symbol, split

__all__ = ["MOST_CHARACTERS", "MOST_WORDS", "Part", "PartKind", "Search", "parse"]

MOST_CHARACTERS = 500
MOST_WORDS = 32
_MOST_PREFIX = 64
_MOST_SHOWN = 40  # characters


class PartKind(StrEnum):
    """How the words of a part must be there."""

    WORD = "word"
    PHRASE = "phrase"  # side by side
    PREFIX = "prefix"  # begin a word


@dataclass(frozen=True, slots=True)
class Part:
    """Something that a keyword must have, or must not."""

    kind: PartKind
    words: tuple[str, ...]  # folded; one but in phrases
    column: int  # in what was typed, from 1
    excluded: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """What was asked for."""

    text: str  # as typed
    parts: tuple[Part, ...] = ()
    plain: tuple[str, ...] = ()  # all its words, symbols too, where it has no operators: then it may be a keyword
    notes: tuple[str, ...] = field(default=())  # what was taken in another way than it may have been meant

    @property
    def wanted(self) -> tuple[Part, ...]:
        """What must be there."""
        return tuple(part for part in self.parts if not part.excluded)

    @property
    def unwanted(self) -> tuple[Part, ...]:
        """What must not be there."""
        return tuple(part for part in self.parts if part.excluded)


_OPERATOR = re.compile(r'["“”„*]|(?:^|\s)-')
# A quoted phrase with its sign, or what stands between spaces.
_CHUNK = re.compile(r'(?P<sign>-?)"(?P<phrase>[^"]*)"(?=\s|$)|(?P<bare>\S+)')


def parse(text: str) -> Search:
    """Read a query.

    Raises InvalidQuery for one that is too long.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidQuery(
            f"the search has {len(text):,} characters, at most {MOST_CHARACTERS} are allowed: shorten it",
            column=MOST_CHARACTERS + 1,
            characters=len(text),
            limit=MOST_CHARACTERS,
        )
    if not _OPERATOR.search(text):
        return _parse_plain(text)
    text = text.replace("“", '"').replace("”", '"').replace("„", '"')
    parts: list[Part] = []
    symbols: list[Part] = []
    notes: list[str] = []
    operators = False
    count = 0
    for match in _CHUNK.finditer(text):
        column = match.start() + 1
        excluded, kind, words = _read(match, notes, column)
        operators = operators or excluded or kind is not PartKind.WORD
        count += len(words)
        if count > MOST_WORDS:
            raise _too_many(column)
        if not words:
            if match["bare"] and '"' not in match["bare"]:
                notes.append(f"{_cut(match['bare'])} at column {column} is no word: it is left out")
            continue
        if kind is PartKind.PHRASE and len(words) == 1:
            kind = PartKind.WORD if is_symbol(words[0]) else PartKind.PHRASE
        if kind is PartKind.WORD:
            made = [Part(kind, (word,), column, excluded) for word in words]
        else:
            made = [Part(kind, words, column, excluded)]
        for part in made:
            (symbols if all(map(is_symbol, part.words)) else parts).append(part)
    if symbols:
        parts = _without_symbols(parts, symbols, notes)
    return Search(text, tuple(parts), () if operators else _words(text), tuple(notes))


def _parse_plain(text: str) -> Search:
    """Words and no operators: cut once, as a keyword is."""
    words = _words(text)
    chunks = [match.start() + 1 for match in re.finditer(r"\S+", text)]
    # Where each begins, as well as can be told.
    columns = chunks if len(chunks) == len(words) else [chunks[0] if chunks else 1] * len(words)
    if len(words) > MOST_WORDS:
        raise _too_many(columns[MOST_WORDS])
    parts = [Part(PartKind.WORD, (word,), column) for word, column in zip(words, columns, strict=True)]
    symbols = [part for part in parts if is_symbol(part.words[0])]
    notes: list[str] = []
    if symbols:
        parts = _without_symbols([part for part in parts if part not in symbols], symbols, notes)
    return Search(text, tuple(parts), words, tuple(notes))


def _cut(text: str) -> str:
    """As much of a text as a note shows."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _too_many(column: int) -> InvalidQuery:
    return InvalidQuery(
        f"the search has more than {MOST_WORDS} words, from column {column} on: leave some out",
        column=column,
        limit=MOST_WORDS,
    )


def _without_symbols(parts: list[Part], symbols: list[Part], notes: list[str]) -> list[Part]:
    """The parts to look for, where some of what was typed are signs alone."""
    shown = _cut(" ".join(word for part in symbols for word in part.words))
    if any(not part.excluded for part in parts):
        notes.append(f"{shown} at column {symbols[0].column} is no word: it counts only where a keyword is just that")
        return parts
    notes.append(f"{shown} at column {symbols[0].column} is looked for as it is")
    return [Part(PartKind.WORD, part.words, part.column) for part in symbols] + parts


def _read(match: re.Match[str], notes: list[str], column: int) -> tuple[bool, PartKind, tuple[str, ...]]:
    """Whether a chunk is to be left out, how its words must be there, and its words."""
    if match["phrase"] is not None:
        return bool(match["sign"]), PartKind.PHRASE, _words(match["phrase"])
    chunk: str = match["bare"]
    if chunk.count('"') % 2:
        notes.append(f"the quote at column {column + chunk.index(chr(34))} has no other: it is taken as it is")
    excluded = chunk.startswith("-") and len(chunk) > 1 and chunk[1] not in "-*"
    if excluded:
        chunk = chunk[1:]
    if chunk.endswith("*"):
        words = _words(chunk.rstrip("*"))
        if words and not is_symbol(words[-1]) and len(words[-1]) <= _MOST_PREFIX:
            if len(words) == 1:
                return excluded, PartKind.PREFIX, words
            notes.append(f"the * at column {column + len(chunk) - 1} is behind several words: it is taken as it is")
    return excluded, PartKind.PHRASE if excluded and len(_words(chunk)) > 1 else PartKind.WORD, _words(chunk)


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(split(normalise(text)))
    except InvalidKeyword:  # nothing in it can be printed
        return ()
