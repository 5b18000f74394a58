"""Words as arrays of characters: writing systems, forms without accents, and the hash under which tables know
them.

A batch of words is one matrix of code points, a row a word, zeros after its end. Everything that must look at
characters (tables, n-grams, scripts) does so on that matrix, for all words at once.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LONGEST_WORD",
    "SCRIPTS",
    "SCRIPT_LANGUAGES",
    "code_points",
    "fold",
    "fold_table",
    "has_symbols",
    "hash_rows",
    "multipliers",
    "scripts_of",
    "split_parts",
]

Codes = NDArray[np.uint32]

LONGEST_WORD = 40  # characters kept of a word; what is longer is cut and found in no table

# Later scripts win where a word mixes them: kana over Han makes Japanese, anything over Latin is not a
# brand's own.
SCRIPTS: tuple[str, ...] = (
    "common",
    "latin",
    "other",
    "greek",
    "cyrillic",
    "hebrew",
    "arabic",
    "devanagari",
    "bengali",
    "tamil",
    "telugu",
    "thai",
    "han",
    "hangul",
    "kana",
)

# What is written in each script, of the languages told apart here; "han" is also a part of Japanese.
SCRIPT_LANGUAGES: dict[str, tuple[str, ...]] = {
    "common": (),
    "latin": (
        *("en", "pt", "es", "fr", "de", "it", "nl", "pl", "cs"),
        *("ro", "sv", "da", "nb", "fi", "hu", "tr", "id", "vi"),
    ),
    "other": (),
    "greek": ("el",),
    "cyrillic": ("ru", "uk", "bg"),
    "hebrew": ("he",),
    "arabic": ("ar", "fa"),
    "devanagari": ("hi",),
    "bengali": ("bn",),
    "tamil": ("ta",),
    "telugu": ("te",),
    "thai": ("th",),
    "han": ("zh", "ja"),
    "hangul": ("ko",),
    "kana": ("ja",),
}

# Unicode blocks, first and last code point; what is in none of them is common.
_BLOCKS: tuple[tuple[int, int, str], ...] = (
    (0x41, 0x5A, "latin"),
    (0x61, 0x7A, "latin"),
    (0xAA, 0xAA, "latin"),
    (0xBA, 0xBA, "latin"),
    (0xC0, 0xD6, "latin"),
    (0xD8, 0xF6, "latin"),
    (0xF8, 0x2AF, "latin"),
    (0x1E00, 0x1EFF, "latin"),
    (0x370, 0x3FF, "greek"),
    (0x1F00, 0x1FFF, "greek"),
    (0x400, 0x52F, "cyrillic"),
    (0x531, 0x58F, "other"),
    (0x590, 0x5FF, "hebrew"),
    (0x600, 0x6FF, "arabic"),
    (0x700, 0x74F, "other"),
    (0x750, 0x77F, "arabic"),
    (0x780, 0x8FF, "other"),
    (0x900, 0x97F, "devanagari"),
    (0x980, 0x9FF, "bengali"),
    (0xA00, 0xB7F, "other"),
    (0xB80, 0xBFF, "tamil"),
    (0xC00, 0xC7F, "telugu"),
    (0xC80, 0xDFF, "other"),
    (0xE00, 0xE7F, "thai"),
    (0xE80, 0x10FF, "other"),
    (0x1100, 0x11FF, "hangul"),
    (0x1200, 0x1DBF, "other"),
    (0x2C00, 0x2DFF, "other"),
    (0x3005, 0x3007, "han"),
    (0x3040, 0x30FA, "kana"),
    (0x30FC, 0x30FF, "kana"),
    (0x3130, 0x318F, "hangul"),
    (0x31F0, 0x31FF, "kana"),
    (0x3400, 0x9FFF, "han"),
    (0xA000, 0xABFF, "other"),
    (0xAC00, 0xD7A3, "hangul"),
    (0xF900, 0xFAFF, "han"),
    (0xFB50, 0xFDFF, "arabic"),
    (0xFE70, 0xFEFE, "arabic"),
    (0xFF66, 0xFF9F, "kana"),
)

# Marks of Arabic and Hebrew that people leave out are dropped by `fold` only where a letter has them built
# in; the other changes are letters that share a key or are typed for one another.
_TYPED_FOR: dict[str, str] = {
    "أ": "ا",
    "إ": "ا",
    "آ": "ا",
    "ٱ": "ا",
    "ى": "ي",
    "ی": "ي",
    "ې": "ي",
    "ئ": "ي",
    "ک": "ك",
    "ؤ": "و",
    "ة": "ه",
    "ۀ": "ه",
    "ё": "е",
    "ґ": "г",
    "ł": "l",
    "ø": "o",
    "đ": "d",
    "ð": "d",
    "ħ": "h",
    "ı": "i",
    "ŋ": "n",
    "ς": "σ",
}

# Letters with the marks that belong to them, which \w leaves out: accents, points, Indian and Thai vowels.
_PARTS = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0591-\u05c7\u0610-\u065f\u0670\u0900-\u0dff\u0e31-\u0e4e])*")


def code_points(words: Sequence[str]) -> Codes:
    """The characters of n words: (n, m) code points, zeros after the end, m from 1 to LONGEST_WORD.

    Characters beyond the Basic Multilingual Plane become U+FFFF, which belongs to no script.
    """
    width = min(max(map(len, words), default=0), LONGEST_WORD) or 1
    codes = np.array(words, dtype=f"<U{width}").view(np.uint32).reshape(len(words), width)
    np.minimum(codes, 0xFFFF, out=codes)
    return codes


@functools.cache
def multipliers() -> NDArray[np.uint64]:
    """What each place of a word is multiplied with in its hash: (LONGEST_WORD,)."""
    # Weyl's sequence of the golden ratio through the SplitMix64 finaliser: fixed for ever, tables on disk
    # hang on it.
    with np.errstate(over="ignore"):
        z = np.arange(1, LONGEST_WORD + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31)) | np.uint64(1)


def hash_rows(codes: Codes) -> NDArray[np.uint64]:
    """A 64-bit hash of each row of characters, independent of the width of the matrix.

    Multilinear hashing (Carter and Wegman, 1979) modulo 2^64 with fixed odd multipliers: the sum over
    positions of character times multiplier.
    """
    hashes: NDArray[np.uint64] = codes.astype(np.uint64) @ multipliers()[: codes.shape[1]]
    return hashes


@functools.cache
def _script_table() -> NDArray[np.uint8]:
    table = np.zeros(0x10000, np.uint8)
    for first, last, script in _BLOCKS:
        table[first : last + 1] = SCRIPTS.index(script)
    return table


def scripts_of(codes: Codes) -> NDArray[np.uint8]:
    """The script of each row of characters, as an index into SCRIPTS: of several, the last in that order."""
    scripts: NDArray[np.uint8] = _script_table().take(codes).max(axis=1)
    return scripts


@functools.cache
def fold_table() -> Codes:
    """The character that each of the Basic Multilingual Plane is without accents: (65,536,)."""
    table = np.arange(0x10000, dtype=np.uint32)
    for first, last in ((0xC0, 0x24F), (0x386, 0x3FF), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF)):
        for code in range(first, last + 1):
            table[code] = ord(unicodedata.normalize("NFD", chr(code))[0])
    for typed, letter in _TYPED_FOR.items():
        table[ord(typed)] = ord(letter)
    return table


def fold(codes: Codes) -> Codes:
    """The same characters without accents, as hurried people type them: é is e, ł is l, أ is ا."""
    folded: Codes = fold_table().take(codes)
    return folded


def has_symbols(codes: Codes) -> NDArray[np.bool_]:
    """Which rows have a character that is no letter: a digit, a hyphen, an apostrophe, an emoji."""
    symbols: NDArray[np.bool_] = ((_script_table().take(codes) == 0) & (codes != 0)).any(axis=1)
    return symbols


def split_parts(word: str) -> list[str]:
    """The runs of letters in a word: `l'oréal` is l and oréal, `mp3-player` mp and player, `24/7` none."""
    return _PARTS.findall(word)
