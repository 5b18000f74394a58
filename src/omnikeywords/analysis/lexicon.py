"""The lexicons compiled for batches: what each word and each phrase of up to five words says to a searcher's intent.

How the tables are written is told in `lexicon_tables`; `lexicons/PROVENANCE.md` tells where the shipped ones come from.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.analysis.lexicon_tables import (
    CLASSES,
    LEXICON_LANGUAGES,
    LONG_NAME,
    MODIFIER_TYPES,
    QUESTIONS,
    Entry,
    Kind,
    Rule,
    Tables,
    read_tables,
    variants,
)
from omnikeywords.analysis.normalise import fold_batch
from omnikeywords.model import INTENTS

__all__ = [
    "CLASSES",
    "KIND_UNKNOWN",
    "LEXICON_LANGUAGES",
    "MODIFIER_TYPES",
    "QUESTIONS",
    "SAYS_BRAND",
    "SAYS_LOCAL",
    "SAYS_MODIFIER",
    "SAYS_QUESTION",
    "Kind",
    "Lexicon",
    "years_of",
]

_OTHER_LANGUAGE = len(LEXICON_LANGUAGES)
_UNKNOWN_LANGUAGE = _OTHER_LANGUAGE + 1
_LANGUAGE_SLOTS = _UNKNOWN_LANGUAGE + 1
_SLOTS = 2 * _LANGUAGE_SLOTS  # the second half is for words that begin a phrase

# Where LANGUAGES[i] is looked up; -1, the last, is a language that could not be told.
_SLOT_OF_LANGUAGE = np.array(
    [LEXICON_LANGUAGES.index(code) if code in LEXICON_LANGUAGES else _OTHER_LANGUAGE for code in LANGUAGES]
    + [_UNKNOWN_LANGUAGE],
    np.intp,
)

KIND_UNKNOWN = 0  # of a word no lexicon knows

SAYS_QUESTION, SAYS_MODIFIER, SAYS_BRAND, SAYS_LOCAL = 1, 2, 4, 8

_FIRST_YEAR, _YEARS = 1900, 200
_SHAPES = ("number", "money", "percent", "domain", "handle")
_TOKEN_OF_SHAPE = {shape: 1 + _YEARS + i for i, shape in enumerate(_SHAPES)}
_RESERVED_TOKENS = 1 + _YEARS + len(_SHAPES)

_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,:/x×-][0-9]+)*(?:st|nd|rd|th|k|º|ª|o)?\+?")
_MONEY = re.compile(r"(?:r\$|us\$|[$€£¥₹])[0-9][0-9.,]*k?|[0-9][0-9.,]*k?(?:[$€£¥₹])")
_PERCENT = re.compile(r"[0-9]+(?:[.,][0-9]+)?%")
_HANDLE = re.compile(r"@[\w.]{2,}|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_DOMAIN = re.compile(
    r"https?:.*|www\d?[.,].+|(?:[\w-]+[./])+"
    r"(?:com|net|org|gov|edu|mil|info|biz|io|co|ai|app|dev|tv|me|gg|ly|shop|store|online|site|blog|cloud"
    r"|br|pt|es|mx|ar|cl|pe|uk|us|ca|au|nz|ie|in|de|at|ch|fr|be|nl|it|eu|pl|se|no|dk|fi|jp|cn|ru|uy|ec|bo|py|cr)"
    r"(?:[/?:].*)?"
)
_NOT_DOMAINS = frozenset(("asp.net", "vb.net", "ado.net", "ml.net", "st.me"))
_ELISION = re.compile(r"(?:l|d|qu|s|c|un|dell|all|nell|dall|sull)['’](.+)")


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """Compiled lexicons; made by `load`, never changed, safe to share between threads."""

    kinds: tuple[Kind, ...]
    weights: NDArray[np.int32]  # (kinds, 4) natural logarithms in hundredths
    classes: NDArray[np.uint16]  # (kinds,)
    modifier: NDArray[np.int8]  # (kinds,) index into MODIFIER_TYPES, -1 none
    question: NDArray[np.int8]  # (kinds,) index into QUESTIONS, -1 none
    says: NDArray[np.uint8]  # (kinds,) SAYS_ bits: asks, modifies, is a brand, is near
    interactions: NDArray[np.int32]  # (sets of classes, 4): what the rules add, in hundredths
    tokens: dict[str, int]  # of every word of every entry; 0 is any other word
    near_tokens: dict[str, int]  # singulars and plurals of words that inflect
    typos: dict[str, int]  # long brand names with one letter left out
    slot_of_language: NDArray[np.intp]  # the column under which each of LANGUAGES, and last no language, is looked up
    single: NDArray[np.int16]  # (tokens, slots) kind of the word alone; the second half where it begins a phrase
    begins: NDArray[np.bool_]  # (tokens,) may begin a longer entry
    follows: NDArray[np.bool_]  # (tokens,) may go on in one
    speaks_for: NDArray[np.bool_]  # (kinds, 4) may be named as evidence of an intent
    edges: NDArray[np.int64]  # sorted: node * tokens + next token
    targets: NDArray[np.intp]  # node that each edge leads to; nodes below the number of tokens are first words
    terminal: NDArray[np.int16]  # (nodes, slots) kind of the entry that ends here, KIND_UNKNOWN none

    @classmethod
    def load(cls, brands: Sequence[str] = (), folder: Path | None = None) -> "Lexicon":
        """Read and compile the shipped tables, those in `folder`, and `brands` as names that make a phrase branded.

        A folder's `kinds.tsv` adds or replaces kinds, its `rules.tsv` replaces all rules, its entries come on top.
        Raises InvalidInput naming file and line for a table that cannot be read, or the brand that is none.
        """
        return _compile(read_tables(brands, folder))

    def word_columns(self, words: list[str]) -> dict[str, NDArray[np.int32]]:
        """Of n distinct words as normalised: `lexicon` int32 (n,), the token by which the lexicons know the word."""
        look_up = self.tokens.get
        folded = fold_batch(words)
        found = [look_up(word, 0) for word in folded]
        for i, token in enumerate(found):
            if not token:
                found[i] = self._unlisted(folded[i])
        return {"lexicon": np.array(found, np.int32)}

    def _unlisted(self, word: str) -> int:
        """The token of a word that no table lists as it stands: a shape, an inflection, a misspelt brand."""
        if not word:
            return 0
        if token := _token_of_shape(word):
            return token
        if token := self.near_tokens.get(word, 0):
            return token
        if not word.isalpha():
            bare = word.removesuffix("'s").strip("'\"()[]!?.,;:")
            if elided := _ELISION.fullmatch(bare):
                bare = elided[1]
            if bare != word and bare:
                return self.tokens.get(bare, 0) or self.near_tokens.get(bare, 0)
        elif len(word) >= LONG_NAME - 1 and word.isascii():
            if word.endswith("com") and word[:-3] in self.typos:
                return _TOKEN_OF_SHAPE["domain"]
            return self._misspelt(word)
        return 0

    def _misspelt(self, word: str) -> int:
        """The token of a brand one letter away (left out, put in, another, or two swapped), 0 if there is none."""
        typos = self.typos
        if token := typos.get(word, 0):
            return token
        for i in range(1, len(word)):
            if token := typos.get(word[:i] + word[i + 1 :], 0):
                return token
        return 0


def _token_of_shape(word: str) -> int:
    """The token of a year, number, price, percentage, address or handle; 0 for other words."""
    if word[0] in "0123456789$€£¥₹+-" or (word[0] in "ru" and "$" in word[:3]):
        if len(word) == 4 and word.isdigit() and word.isascii() and 0 <= int(word) - _FIRST_YEAR < _YEARS:
            return 1 + int(word) - _FIRST_YEAR
        if _NUMBER.fullmatch(word):
            return _TOKEN_OF_SHAPE["number"]
        if _MONEY.fullmatch(word):
            return _TOKEN_OF_SHAPE["money"]
        if _PERCENT.fullmatch(word):
            return _TOKEN_OF_SHAPE["percent"]
    if "." in word and word not in _NOT_DOMAINS and _DOMAIN.fullmatch(word):
        return _TOKEN_OF_SHAPE["domain"]
    if "@" in word and _HANDLE.fullmatch(word):
        return _TOKEN_OF_SHAPE["handle"]
    return 0


def years_of(tokens: NDArray[np.int32]) -> NDArray[np.int16]:
    """The years that tokens of the kind `year` stand for, 0 for token 0."""
    years = tokens.astype(np.int16)
    years[years != 0] += _FIRST_YEAR - 1
    return years


# ---- compiling ------------------------------------------------------------------------------------------------------

_SPEAKS = 0.2  # a kind speaks for an intent that it raises by more than this above the average of the four


def _compile(tables: Tables) -> Lexicon:
    kinds, number = tables.kinds, tables.number
    tokens: dict[str, int] = {}
    by_words: dict[tuple[str, ...], list[Entry]] = {}
    for entry in tables.entries.values():
        by_words.setdefault(entry.words, []).append(entry)
        for word in entry.words:
            if word not in tokens:
                shape = _token_of_shape(word)
                tokens[word] = shape if 0 < shape <= _YEARS else _RESERVED_TOKENS + len(tokens)
    n_tokens = _RESERVED_TOKENS + len(tokens)

    node_of: dict[tuple[str, ...], int] = {(word,): token for word, token in tokens.items()}
    edges: dict[int, int] = {}
    begins = np.zeros(n_tokens, np.bool_)
    follows = np.zeros(n_tokens, np.bool_)
    for words in by_words:
        for end in range(2, len(words) + 1):
            if words[:end] not in node_of:
                node_of[words[:end]] = n_tokens + len(edges)
                edges[node_of[words[: end - 1]] * n_tokens + tokens[words[end - 1]]] = node_of[words[:end]]
                begins[tokens[words[0]]] = True
                follows[tokens[words[end - 1]]] = True
    # Thousands of phrases are listed alike: in the same languages with the same kinds.
    listings: dict[tuple[tuple[int, tuple[str, ...], bool], ...], int] = {(): 0}
    by_listing = [[KIND_UNKNOWN] * _SLOTS]
    listing_of_node = np.zeros(n_tokens + len(edges), np.intp)
    for words, entries in by_words.items():
        listing = tuple((entry.kind, entry.languages, entry.strict) for entry in entries)
        if listing not in listings:
            listings[listing] = len(by_listing)
            by_listing.append(_kinds_by_slot(entries, kinds))
        listing_of_node[node_of[words]] = listings[listing]
    terminal = np.array(by_listing, np.int16)[listing_of_node]
    single = terminal[:n_tokens].copy()
    terminal[:n_tokens] = KIND_UNKNOWN
    single[1 : 1 + _YEARS] = number["year"]
    for name, token in _TOKEN_OF_SHAPE.items():
        single[token] = number[name]
    for word, token in tokens.items():
        if (word,) not in by_words and (shape := _token_of_shape(word)) > _YEARS:
            single[token] = single[shape]

    inflects = {k for k, kind in enumerate(kinds) if "inflects" in kind.flags}
    misspelt = {k for k, kind in enumerate(kinds) if "misspelt" in kind.flags}
    near: dict[str, int] = {}
    typos: dict[str, int] = {}
    for words, entries in by_words.items():
        if len(words) == 1:
            word, token = words[0], tokens[words[0]]
            if len(word) >= 3 and any(entry.kind in inflects for entry in entries):
                for variant in variants(word):
                    if variant not in tokens:
                        near.setdefault(variant, token)
            if len(word) >= LONG_NAME and any(entry.kind in misspelt for entry in entries):
                for i in range(1, len(word)):
                    typos.setdefault(word[:i] + word[i + 1 :], token)
                typos[word] = token

    keys = np.array(sorted(edges), np.int64)
    return Lexicon(
        kinds=tuple(kinds),
        weights=_hundredths([kind.weights for kind in kinds]),
        classes=np.array([kind.classes for kind in kinds], np.uint16),
        modifier=np.array([kind.modifier for kind in kinds], np.int8),
        question=np.array([kind.question for kind in kinds], np.int8),
        says=np.array([_says(kind) for kind in kinds], np.uint8),
        interactions=_interactions(tables.rules),
        tokens=tokens,
        near_tokens=near,
        typos=typos,
        slot_of_language=_SLOT_OF_LANGUAGE,
        single=single,
        begins=begins,
        follows=follows,
        speaks_for=_speaks_for(kinds, tables.rules),
        edges=keys,
        targets=np.array([edges[int(key)] for key in keys], np.intp),
        terminal=terminal,
    )


def _kinds_by_slot(entries: Sequence[Entry], kinds: list[Kind]) -> list[int]:
    """The kind of one phrase in each slot, from all its entries in the order they were listed."""
    chosen = [KIND_UNKNOWN] * _SLOTS
    for slot in range(_LANGUAGE_SLOTS):
        code = LEXICON_LANGUAGES[slot] if slot < _OTHER_LANGUAGE else None
        own = [e for e in entries if code is not None and code in e.languages]
        everywhere = [e for e in entries if not e.languages]
        borrowed = [e for e in entries if not e.strict or slot == _UNKNOWN_LANGUAGE]
        for i, start in ((slot, False), (slot + _LANGUAGE_SLOTS, True)):
            for entry in (*own, *everywhere, *borrowed):
                if start or "start" not in kinds[entry.kind].flags:
                    chosen[i] = entry.kind
                    break
    return chosen


def _says(kind: Kind) -> int:
    bits = SAYS_QUESTION * (kind.question >= 0) | SAYS_MODIFIER * (kind.modifier >= 0)
    return bits | SAYS_BRAND * ("branded" in kind.flags) | SAYS_LOCAL * ("local" in kind.flags)


def _speaks_for(kinds: list[Kind], rules: list[Rule]) -> NDArray[np.bool_]:
    """(kinds, 4): whether a kind, or a rule for one of its classes, raises an intent above the others."""
    table = np.zeros((len(kinds), len(INTENTS)), np.bool_)
    for k, kind in enumerate(kinds):
        if k == KIND_UNKNOWN:
            continue
        weights = [kind.weights, *(rule.weights for rule in rules if rule.first & kind.classes)]
        for row in weights:
            table[k] |= np.array(row) > max(0.0, sum(row) / len(row)) + _SPEAKS
    return table


def _hundredths(weights: Sequence[tuple[float, ...]]) -> NDArray[np.int32]:
    """Weights as whole numbers, so that their sums do not depend on the order or number of what is summed."""
    hundredths: NDArray[np.int32] = np.rint(np.array(weights) * 100).astype(np.int32)
    return hundredths


def _interactions(rules: list[Rule]) -> NDArray[np.int32]:
    """What the rules add to each set of classes."""
    sets = np.arange(1 << len(CLASSES), dtype=np.uint32)
    table = np.zeros((len(sets), len(INTENTS)), np.int32)
    for rule in rules:
        table[(sets & (rule.needed | rule.excluded)) == rule.needed] += _hundredths([rule.weights])[0]
    return table
