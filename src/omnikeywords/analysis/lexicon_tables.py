"""The tables of the lexicons as files: how they are written, read and checked.

Three sorts of table, all tab-separated with a header line; lines that begin with `#` and empty lines are skipped.

`kinds.tsv`, one kind a line: `kind`, `classes` (of CLASSES, separated by spaces), the four intents' weights (natural
logarithms in hundredths, added up over the words of a phrase), `modifier` (of MODIFIER_TYPES), `question` (of
QUESTIONS), `flags` (of FLAGS) and `about`.

`rules.tsv`, one interaction a line: `with` and `without` (classes; all of the first and none of the second must be in
the phrase; words of the class named first are the evidence), the four weights, `about`.

Every other `*.tsv`, entries: `kind`, `languages`, `phrases`. Phrases are separated by commas and have one to five
words; `cheap(|er|est)` stands for `cheap`, `cheaper` and `cheapest`. Case and accents do not matter. Languages are
separated by spaces; a phrase counts whatever the language of the keyword is, unless another language lists it too,
but with `!` behind the language (`de!`) only in that language or where the language cannot be told; `*` is every
language. The kind `none` forgets phrases listed before, so that a folder of one's own can mend the shipped one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import product
from pathlib import Path
from typing import NamedTuple

from omnikeywords.analysis.normalise import fold_batch, normalise_batch
from omnikeywords.errors import InvalidInput
from omnikeywords.model import INTENTS

__all__ = [
    "CLASSES",
    "FLAGS",
    "LEXICON_LANGUAGES",
    "LONG_NAME",
    "MODIFIER_TYPES",
    "MOST_WORDS",
    "QUESTIONS",
    "Entry",
    "Kind",
    "Rule",
    "Tables",
    "read_tables",
    "variants",
]

# What a word does in a phrase; the rules speak of these, and a phrase is the set of its words' classes.
CLASSES: tuple[str, ...] = (
    "other",  # a word that no lexicon knows
    "instruct",  # how to
    "ask",  # wants a fact: what, when, meaning, symptoms
    "compare",  # best, versus, review, how much does it cost
    "price",  # the noun
    "act",  # buy, download, hire, coupon
    "tool",  # converter, template, free, online
    "brand",
    "access",  # login, customer service, official site
    "organisation",  # bank, university, county
    "place",
    "near",  # near me, open now
    "product",  # a thing or service that is sold
    "business",  # a task that companies buy software and services for
    "trade",  # plumber, dentist: done on the spot
    "problem",  # error, repair, care
)
MODIFIER_TYPES: tuple[str, ...] = (
    *("price", "comparison", "quality", "location", "year", "time", "audience", "action"),
    *("format", "condition", "feature", "problem", "access"),
)
QUESTIONS: tuple[str, ...] = ("how", "what", "which", "who", "when", "where", "why", "can", "other")
FLAGS: tuple[str, ...] = (
    "start",  # counts only as the first word of a phrase
    "branded",
    "local",
    "inflects",  # singular and plural mean the same
    "misspelt",  # one letter wrong in a long name still means it
)
LEXICON_LANGUAGES: tuple[str, ...] = ("en", "pt", "es", "fr", "de", "it")

MOST_WORDS = 5
LONG_NAME = 7  # letters; shorter names have too many real words around them to be known misspelt

_BUILT_IN = ("unknown", "number", "year", "money", "percent", "domain", "handle", "brand", "brand_word")

_ALTERNATIVES = re.compile(r"\(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class Kind:
    """What the entries of one kind add to a phrase; a line of `kinds.tsv`."""

    name: str
    classes: int  # bit i is CLASSES[i]
    weights: tuple[float, float, float, float]  # natural logarithms, in the order of INTENTS
    modifier: int  # index into MODIFIER_TYPES, -1 none
    question: int  # index into QUESTIONS, -1 none
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a lexicon: words that are of a kind."""

    words: tuple[str, ...]  # folded
    kind: int
    languages: tuple[str, ...]  # empty: every language
    strict: bool


class Rule(NamedTuple):
    """What kinds that come together in a phrase say of its intent."""

    first: int  # the class that `with` names first: what is evidence of the intent the rule raises
    needed: int
    excluded: int
    weights: tuple[float, ...]


class Tables:
    """The tables as read, before they are compiled."""

    def __init__(self) -> None:
        self.kinds: list[Kind] = []
        self.number: dict[str, int] = {}
        self.rules: list[Rule] = []
        self.entries: dict[tuple[tuple[str, ...], str], Entry] = {}

    def read(self, files: Sequence[Traversable | Path]) -> None:
        """Take files in: kinds first, then rules, then entries. Raises InvalidInput for a wrong line."""
        named = {file.name: file for file in files}
        if kinds := named.pop("kinds.tsv", None):
            for where, row in _rows(kinds, _KIND_COLUMNS):
                self._add_kind(_kind(where, row))
        if rules := named.pop("rules.tsv", None):
            self.rules = [
                Rule(
                    _bits(where, row["with"].partition(" ")[0]),
                    _bits(where, row["with"]),
                    _bits(where, row["without"]),
                    _weights(where, row),
                )
                for where, row in _rows(rules, _RULE_COLUMNS)
            ]
        for name in sorted(named):
            self._add_entries(named[name])

    def _add_kind(self, kind: Kind) -> None:
        if kind.name in self.number:
            self.kinds[self.number[kind.name]] = kind
        else:
            self.number[kind.name] = len(self.kinds)
            self.kinds.append(kind)

    def _add_entries(self, file: Traversable | Path) -> None:
        rows: list[tuple[str, int | None, tuple[str, ...], bool]] = []
        phrases: list[str] = []
        owners: list[int] = []
        for where, row in _rows(file, _ENTRY_COLUMNS):
            owners += [len(rows)] * (len(new := list(_phrases(row["phrases"]))))
            phrases += new
            rows.append((where, self._kind_named(where, row["kind"]), *_languages(where, row["languages"])))
        for owner, phrase, words in zip(owners, phrases, _split(phrases), strict=True):
            where, kind, languages, strict = rows[owner]
            if not 0 < len(words) <= MOST_WORDS:
                raise InvalidInput(f"{where}: phrase {phrase!r} has {len(words)} words: write 1 to {MOST_WORDS}")
            if kind is None:
                self._forget(words)
                continue
            for code in languages or ("",):
                self.entries[words, code] = Entry(words, kind, (code,) if code else (), strict)

    def _kind_named(self, where: str, name: str) -> int | None:
        if name == "none":
            return None
        if name not in self.number:
            raise InvalidInput(f"{where}: kind {name!r} is not in kinds.tsv: add it there or use one of its kinds")
        return self.number[name]

    def add_brands(self, brands: Sequence[str]) -> None:
        """List names as brands in every language, whatever they were before."""
        for brand, words in zip(brands, _split(brands), strict=True):
            if not 0 < len(words) <= MOST_WORDS:
                raise InvalidInput(f"brand {brand!r} has {len(words)} words: give names of 1 to {MOST_WORDS}")
            self._forget(words)
            self.entries[words, ""] = Entry(words, self.number["brand"], (), False)

    def check(self) -> None:
        """Raise InvalidInput where a kind that the program itself gives to words is missing."""
        for place, name in enumerate(_BUILT_IN):
            if name not in self.number or (place == 0 and self.number[name] != place):
                raise InvalidInput(f"kinds.tsv: kind {name!r} is missing or moved: it is built in, keep its line")

    def join_names(self) -> None:
        """List names of several words written as one, as people type them."""
        names = {k for k, kind in enumerate(self.kinds) if "branded" in kind.flags}
        for words, code in list(self.entries):
            entry = self.entries[words, code]
            joined = "".join(words)
            if entry.kind in names and len(words) > 1 and len(joined) >= LONG_NAME:
                self.entries.setdefault(((joined,), code), Entry((joined,), entry.kind, entry.languages, entry.strict))

    def add_plurals(self) -> None:
        """List the plurals of entries of several words that inflect: of the last word, and of the first one.

        Of single words, the variants that are part of longer entries: others are looked up when they are met.
        """
        inflects = {k for k, kind in enumerate(self.kinds) if "inflects" in kind.flags}
        for words, code in list(self.entries):
            entry = self.entries[words, code]
            if entry.kind in inflects and len(words) > 1:
                first = (_plural(words[0]), *words[1:])
                for plural in (first, (*words[:-1], _plural(words[-1])), (*first[:-1], _plural(first[-1]))):
                    self.entries.setdefault((plural, code), Entry(plural, entry.kind, entry.languages, entry.strict))
        listed = {words for words, _ in self.entries}
        inside = {word for words in listed for word in words}
        for words, code in list(self.entries):
            entry = self.entries[words, code]
            if entry.kind in inflects and len(words) == 1:
                for variant in inside.intersection(variants(words[0])):
                    if (variant,) not in listed:
                        self.entries[(variant,), code] = Entry((variant,), entry.kind, entry.languages, entry.strict)

    def _forget(self, words: tuple[str, ...]) -> None:
        for code in ("", *LEXICON_LANGUAGES):
            self.entries.pop((words, code), None)


def read_tables(brands: Sequence[str], folder: Path | None) -> Tables:
    """The shipped tables, with those of a folder and brands on top; raises as `Lexicon.load` does."""
    tables = Tables()
    tables.read(_shipped_files())
    if folder is not None:
        if not folder.is_dir():
            raise InvalidInput(f"lexicon folder {str(folder)!r} does not exist: give a folder of .tsv files")
        tables.read(sorted(folder.glob("*.tsv")))
    tables.add_brands(brands)
    tables.check()
    tables.join_names()
    tables.add_plurals()
    return tables


def _split(phrases: Sequence[str]) -> list[tuple[str, ...]]:
    """The words of phrases as they are matched: normalised as keywords are, without accents; none of no keyword."""
    return [tuple(folded.split()) for folded in fold_batch(normalise_batch(phrases)[0])]


_WEIGHT_COLUMNS = tuple(str(intent) for intent in INTENTS)
_KIND_COLUMNS = ("kind", "classes", *_WEIGHT_COLUMNS, "modifier", "question", "flags", "about")
_RULE_COLUMNS = ("with", "without", *_WEIGHT_COLUMNS, "about")
_ENTRY_COLUMNS = ("kind", "languages", "phrases")


def _shipped_files() -> list[Traversable]:
    folder = resources.files(__package__) / "lexicons"
    return [file for file in folder.iterdir() if file.name.endswith(".tsv")]


def _rows(file: Traversable | Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """The lines of a table as (file and line, values by column)."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file.name}: byte {error.start} is not UTF-8: save the file as UTF-8") from error
    header: tuple[str, ...] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = tuple(cell.strip() for cell in line.split("\t"))
        where = f"{file.name} line {number}"
        if header is None:
            unknown = [cell for cell in cells if cell not in columns]
            missing = [column for column in columns if column not in cells]
            if unknown:
                raise InvalidInput(f"{where}: column {unknown[0]!r} is unknown: use {', '.join(columns)}")
            if missing:
                raise InvalidInput(f"{where}: column {missing[0]!r} is missing: the header is {', '.join(columns)}")
            header = cells
        elif len(cells) > len(header):
            raise InvalidInput(f"{where}: {len(cells)} cells under {len(header)} columns: separate them by single tabs")
        else:
            yield where, dict(zip(header, cells + ("",) * (len(header) - len(cells)), strict=True))


def _languages(where: str, text: str) -> tuple[tuple[str, ...], bool]:
    """Language codes, none for `*`, and whether the entries apply in these alone."""
    codes = text.split()
    languages = tuple(code.removesuffix("!") for code in codes if code != "*")
    for code in languages:
        if code not in LEXICON_LANGUAGES:
            raise InvalidInput(f"{where}: language {code!r} is unknown: use {' '.join(LEXICON_LANGUAGES)} or *")
    if not codes:
        raise InvalidInput(f"{where}: languages are missing: use {' '.join(LEXICON_LANGUAGES)} or *")
    return languages, any(code.endswith("!") for code in codes)


def _kind(where: str, row: dict[str, str]) -> Kind:
    if not row["kind"] or row["kind"] == "none":
        raise InvalidInput(f"{where}: kind {row['kind']!r} cannot be a name: choose another")
    flags = frozenset(row["flags"].split())
    for flag in flags.difference(FLAGS):
        raise InvalidInput(f"{where}: flag {flag!r} is unknown: use {', '.join(FLAGS)}")
    return Kind(
        row["kind"],
        _bits(where, row["classes"]),
        _weights(where, row),
        _index(where, "modifier", row["modifier"], MODIFIER_TYPES),
        _index(where, "question", row["question"], QUESTIONS),
        flags,
    )


def _bits(where: str, text: str) -> int:
    bits = 0
    for name in text.split():
        bits |= 1 << _index(where, "class", name, CLASSES)
    return bits


def _index(where: str, what: str, name: str, allowed: tuple[str, ...]) -> int:
    if not name:
        return -1
    if name not in allowed:
        raise InvalidInput(f"{where}: {what} {name!r} is unknown: use {', '.join(allowed)}")
    return allowed.index(name)


def _weights(where: str, row: dict[str, str]) -> tuple[float, float, float, float]:
    values = []
    for column in _WEIGHT_COLUMNS:
        text = row[column] or "0"
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not -20 <= value <= 20:
            raise InvalidInput(f"{where}: {column} {text!r} is no weight: write a number from -20 to 20")
        values.append(value)
    return values[0], values[1], values[2], values[3]


def _phrases(text: str) -> Iterator[str]:
    """The phrases of a cell, with `a(b|c)` written out."""
    for item in text.split(","):
        if "(" not in item:
            if item.strip():
                yield item
            continue
        parts = _ALTERNATIVES.split(item)
        yield from map("".join, product(*(part.split("|") if i % 2 else [part] for i, part in enumerate(parts))))


def _plural(word: str) -> str:
    """The regular plural of a noun in English, Portuguese or Spanish; of what ends in s, the word itself."""
    if word.endswith("s"):
        return word
    if word.endswith("ao"):
        return word[:-2] + "oes"
    return word + "s"


def variants(word: str) -> Iterator[str]:
    """Singulars and plurals of an English, Portuguese, Spanish, French or Italian noun, as far as letters tell."""
    if word.endswith("s"):
        # A singular of three letters is mostly another word: tiles, til.
        if len(word) >= 5:
            yield word[:-1]
        if word.endswith("es") and len(word) >= 6:
            yield word[:-2]
        if word.endswith("ies"):
            yield word[:-3] + "y"
        if word.endswith("oes"):
            yield word[:-3] + "ao"
    else:
        yield word + "s"
        if word.endswith(("s", "x", "z", "ch", "sh", "r", "n", "l", "d", "o")):
            yield word + "es"
        if word.endswith("y"):
            yield word[:-1] + "ies"
        if word.endswith("ao"):
            yield word[:-2] + "oes"
        if word.endswith(("al", "el", "il", "ol")):
            yield word[:-1] + "is"
        if word.endswith("m"):
            yield word[:-1] + "ns"
        if word.endswith("z"):
            yield word[:-1] + "ces"
