"""Word frequencies of every language in one file, memory-mapped: built once, shared by all processes.

The numbers come from wordfreq (Robyn Speer, 2022), whose data is licensed CC BY-SA 4.0. They are never part
of this program: `build_table` makes a table from the installed package and puts a notice of its licence
beside it.

The file is a header of 4,096 bytes (magic, version, lengths, checksums), then sections of 64-byte alignment:
sorted hashes of words, where each word's entries begin, entries (language and Zipf frequency), n-gram log
odds.
"""

import contextlib
import functools
import gzip
import json
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled
from omnikeywords.analysis.ngrams import BUCKETS, gram_counts, gram_log_odds
from omnikeywords.analysis.scripts import (
    LONGEST_WORD,
    SCRIPT_LANGUAGES,
    SCRIPTS,
    Codes,
    code_points,
    fold,
    fold_table,
    hash_rows,
    multipliers,
    scripts_of,
)
from omnikeywords.errors import LanguageTableMissing

__all__ = [
    "LANGUAGES",
    "TABLE_VERSION",
    "ZIPF_STEPS",
    "FrequencyTable",
    "build_table",
    "default_table_path",
]

# Their order is the order of columns, and of preference where nothing else decides.
LANGUAGES: tuple[str, ...] = (
    *("en", "pt", "es", "fr", "de", "it", "nl", "pl", "cs", "ro", "sv", "da", "nb", "fi", "hu", "tr"),
    *("id", "vi", "ru", "uk", "bg", "el", "he", "ar", "fa", "hi", "bn", "ta", "te", "th", "ja", "ko", "zh"),
)

TABLE_VERSION = 3
ZIPF_STEPS = 30  # a Zipf frequency of 4.2 is stored as 126; 0 is unknown

_MAGIC = b"OKFLANG\n"
_HEADER = 4096
_SECTIONS = ("keys", "offsets", "entries", "grams")
_DTYPES = {"keys": np.uint64, "offsets": np.uint32, "entries": np.uint16, "grams": np.int8}

_UNLISTED = frozenset({"te", "th"})  # wordfreq has no list: their script alone tells them
_LARGEST = frozenset({"en", "pt", "es", "fr", "de", "it"})
# Words rarer than these Zipf frequencies stay out of the table, to keep it small.
_RAREST_OF_LARGEST = 1.5
_RAREST = 2.0
# People leave accents out this often, at a guess; where nearly every word has some, the bare forms of rare
# words would be mistaken for words of other languages.
_BARE = 0.2
_BARE_IN = {"vi": 0.02, "cs": 0.1, "hu": 0.1}
_SPELT_OUT = {
    "de": {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"},
    "da": {"æ": "ae", "ø": "oe", "å": "aa"},
    "nb": {"æ": "ae", "ø": "oe", "å": "aa"},
    "fr": {"œ": "oe", "æ": "ae"},
}
_TRADITIONAL = 0.3  # wordfreq counts Chinese in simplified characters alone
_ZERO = ord("0")
_FIRST_DECADE, _LAST_DECADE = 195, 204  # years of our time
_BLOCK = 65_536  # words at a time, to bound memory
_GRAM_TOTAL = 1_000_000.0
_GRAM_SMOOTHING = 0.05
_SHARED = frozenset(script for script, languages in SCRIPT_LANGUAGES.items() if len(languages) > 1) | {"kana"}
_GRAM_WORDS = 100_000  # words a language from which its n-grams are counted

_NOTICE = """\
The file {name} is derived from the word frequency lists of wordfreq {version}
(Robyn Speer, https://github.com/rspeer/wordfreq, doi:10.5281/zenodo.7199437).

Those lists are licensed under the Creative Commons Attribution-ShareAlike 4.0 licence
(https://creativecommons.org/licenses/by-sa/4.0/), and so is this file. It was changed from them: rare words
are left out, words are hashed, forms without accents are added, frequencies are rounded, character n-grams
are counted. They draw on Wikipedia, OpenSubtitles, the Google Books Ngrams, SUBTLEX, OSCAR, NewsCrawl,
Twitter, Reddit and others; wordfreq's README names each with its authors.
"""

Progress = Callable[[str, int, int], None]


def default_table_path() -> Path:
    """Where the table lives unless a setting says otherwise: the platform's folder for a user's data."""
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return folder / "omnikeywords" / f"language-{TABLE_VERSION}.okflang"


@dataclass(frozen=True, slots=True)
class FrequencyTable:
    """The table as arrays over the mapped file."""

    keys: NDArray[np.uint64]  # K sorted hashes of words
    offsets: NDArray[np.uint32]  # K + 1: entries of word k are offsets[k] to offsets[k + 1]
    entries: NDArray[np.uint16]  # language << 8 | Zipf frequency * ZIPF_STEPS
    grams: NDArray[np.int8]  # (BUCKETS, languages) log odds of character n-grams

    @classmethod
    def load(cls, path: Path) -> "FrequencyTable":
        """Map the file; nothing is read but its header.

        Raises LanguageTableMissing where there is no file, or it is damaged, cut short or of another version.
        """
        lengths = _read_header(path)["lengths"]
        mapped = np.memmap(path, np.uint8, "r")
        start = _HEADER
        arrays = {}
        for name in _SECTIONS:
            arrays[name] = np.asarray(mapped[start : start + lengths[name]]).view(_DTYPES[name])
            start = _aligned(start + lengths[name])
        return cls(arrays["keys"], arrays["offsets"], arrays["entries"], arrays["grams"].reshape(BUCKETS, -1))

    @staticmethod
    def verify(path: Path) -> None:
        """Read the whole file and compare its checksums; raises LanguageTableMissing where they differ."""
        header = _read_header(path)
        with path.open("rb") as file:
            start = _HEADER
            for name in _SECTIONS:
                file.seek(start)
                if zlib.crc32(file.read(header["lengths"][name])) != header["checksums"][name]:
                    raise _unusable(path, "is damaged")
                start = _aligned(start + header["lengths"][name])

    def zipf_codes(self, codes: Codes) -> NDArray[np.uint8]:
        """Zipf frequency times ZIPF_STEPS of each word in each language: (n, languages), 0 where unlisted.

        `codes` are the characters of n words. A word no list has is looked up without its accents, a number
        by its shape (wordfreq counts all of four digits together), shared among the numbers of that shape.
        """
        zipf = np.zeros((len(codes), len(LANGUAGES)), np.uint8)
        _look_up(codes, self.keys, self.offsets, self.entries, multipliers(), fold_table(), _number_steps(), zipf)
        return zipf


@functools.cache
def _number_steps() -> NDArray[np.int16]:
    """How much rarer one number is than its shape, in steps of Zipf, by its number of digits; 0 for a year of our time.

    Years of our time share the four digits among a hundred of them; else all numbers of a length are alike.
    """
    return np.array([2, *np.minimum(np.arange(1, LONGEST_WORD + 1), 8)], np.int16) * np.int16(ZIPF_STEPS)


@compiled
def _look_up(
    codes: Codes,
    keys: NDArray[np.uint64],
    offsets: NDArray[np.uint32],
    entries: NDArray[np.uint16],
    multipliers: NDArray[np.uint64],
    folds: Codes,
    number_steps: NDArray[np.int16],
    zipf: NDArray[np.uint8],
) -> None:
    """Write what is listed of each word into its row of `zipf`."""
    for word in range(len(codes)):
        row = codes[word]
        key = np.uint64(0)
        folded = np.uint64(0)
        shape = np.uint64(0)
        length = digits = decade = 0
        while length < len(row) and row[length]:
            code = row[length]
            key += np.uint64(code) * multipliers[length]
            folded += np.uint64(folds[code]) * multipliers[length]
            shape += np.uint64(_ZERO) * multipliers[length]
            digits += _ZERO <= code < _ZERO + 10
            if length < 3:
                decade = decade * 10 + int(code) - _ZERO
            length += 1
        if _enter(key, keys, offsets, entries, zipf[word]):
            continue
        if length == 0 or digits < length:
            _enter(folded, keys, offsets, entries, zipf[word])
        elif _enter(shape, keys, offsets, entries, zipf[word]):
            of_our_time = length == 4 and _FIRST_DECADE <= decade <= _LAST_DECADE
            rarer = number_steps[0 if of_our_time else length]
            for language in range(zipf.shape[1]):
                listed = zipf[word, language]
                zipf[word, language] = listed - rarer if listed > rarer else min(listed, 1)


@compiled
def _enter(
    key: np.uint64,
    keys: NDArray[np.uint64],
    offsets: NDArray[np.uint32],
    entries: NDArray[np.uint16],
    zipf: NDArray[np.uint8],
) -> bool:
    """Write the entries of the word with this hash into `zipf` (languages,); returns whether there are any."""
    place = np.searchsorted(keys, key)
    if place == len(keys) or keys[place] != key:
        return False
    for entry in entries[offsets[place] : offsets[place + 1]]:
        zipf[entry >> 8] = entry & 0xFF
    return True


def build_table(path: Path, progress: Progress | None = None) -> None:
    """Make the table from the installed wordfreq, in some 15 seconds; `progress` is told (stage, done, of).

    The file appears whole or not at all, so that processes may build it at the same time.
    """
    import wordfreq

    lists: list[tuple[NDArray[np.uint64], NDArray[np.uint8]]] = []
    grams = np.zeros((BUCKETS, len(LANGUAGES)), np.float32)
    for number, language in enumerate(LANGUAGES):
        if progress:
            progress("words", number, len(LANGUAGES))
        if language not in _UNLISTED:
            words, frequencies = _word_list(language, wordfreq.get_frequency_list(language))
            wordfreq.get_frequency_list.cache_clear()  # it would keep every list in memory
            lists.append(_entries(language, words, frequencies))
            grams[:, number] = _grams(language, words, frequencies)
        else:
            lists.append((np.zeros(0, np.uint64), np.zeros(0, np.uint8)))
    if progress:
        progress("words", len(LANGUAGES), len(LANGUAGES))
        progress("table", 0, 1)
    sections = _merge(lists)
    sections["grams"] = gram_log_odds(grams, _GRAM_SMOOTHING)
    path.parent.mkdir(parents=True, exist_ok=True)
    notice = _NOTICE.format(name=path.name, version=_wordfreq_version())
    _write(path.with_name(path.name + ".NOTICE.txt"), [notice.encode()])
    _write(path, _file(sections))
    if progress:
        progress("table", 1, 1)


def _wordfreq_version() -> str:
    from importlib.metadata import version

    return version("wordfreq")


def _word_list(language: str, bins: list[list[str]]) -> tuple[list[str], NDArray[np.float64]]:
    """Words and frequencies from wordfreq's bins: the words of bin i have a frequency of 10^(-i/100)."""
    rarest = _RAREST_OF_LARGEST if language in _LARGEST else _RAREST
    bins = bins[: int((9 - rarest) * 100) + 1]
    words = []
    sizes = []
    for group in bins:
        kept = [w for w in group if len(w) <= LONGEST_WORD and _is_kept(w)]
        words += kept
        sizes.append(len(kept))
    return words, np.repeat(10.0 ** (np.arange(len(bins)) / -100), sizes)


def _is_kept(word: str) -> bool:
    """Whether a word is looked up as it is, not by its shape as numbers of several digits are: "0000"."""
    return len(word) == 1 or not any(map(str.isdigit, word)) or not word.strip("0")


def _entries(
    language: str, words: list[str], frequencies: NDArray[np.float64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Hashes and stored Zipf frequencies of a language's words and of the other forms they are typed in."""
    keys = [np.zeros(0, np.uint64)]
    counted = [np.zeros(0)]
    for start in range(0, len(words), _BLOCK):
        block = slice(start, start + _BLOCK)
        codes = code_points(words[block])
        folded = fold(codes)
        changed = np.flatnonzero((codes != folded).any(axis=1))
        keys += [hash_rows(codes), hash_rows(folded[changed])]
        counted += [frequencies[block], frequencies[block][changed] * _BARE_IN.get(language, _BARE)]
    if language == "zh":
        spelling, share = _traditional(), _TRADITIONAL
    else:
        spelling, share = {ord(a): b for a, b in _SPELT_OUT.get(language, {}).items()}, _BARE
    spelt = [word.translate(spelling) for word in words] if spelling else words
    changed = np.flatnonzero([a != b for a, b in zip(spelt, words, strict=True)])
    keys.append(hash_rows(code_points([spelt[i] for i in changed])))
    counted.append(frequencies[changed] * share)
    # A form counts all that it may stand for: "musica" is some of "música" besides what was seen as such.
    distinct, index = np.unique(np.concatenate(keys), return_inverse=True)
    total = np.bincount(index, np.concatenate(counted))
    zipf = np.rint((np.log10(total) + 9) * ZIPF_STEPS)
    kept = zipf >= _RAREST_OF_LARGEST * ZIPF_STEPS
    return distinct[kept], zipf[kept].clip(1, 255).astype(np.uint8)


@functools.cache
def _traditional() -> dict[int, str]:
    """One traditional character for each simplified one that has any, from wordfreq's own mapping."""
    import msgpack  # type: ignore[import-untyped]  # comes with wordfreq
    import wordfreq

    # Not from wordfreq.chinese, which wants a segmenter that nothing here needs.
    with gzip.open(Path(wordfreq.__file__).parent / "data" / "_chinese_mapping.msgpack.gz") as file:
        simplified: dict[int, str] = msgpack.load(file, raw=False, strict_map_key=False)
    # Several characters were merged into one: the first in Unicode's order is nearly always the commonest.
    pairs = sorted(simplified.items(), reverse=True)
    return {ord(simple): chr(code) for code, simple in pairs if len(simple) == 1}


def _grams(language: str, words: list[str], frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts of the n-grams of a language, the same total for each; none where its script is its own."""
    words, frequencies = words[:_GRAM_WORDS], frequencies[:_GRAM_WORDS]
    if language == "zh":
        words = words + [word.translate(_traditional()) for word in words]
        frequencies = np.concatenate([frequencies, frequencies * _TRADITIONAL])
    shared = [script for script in SCRIPTS if language in SCRIPT_LANGUAGES[script] and script in _SHARED]
    codes = code_points(words)
    # An unknown word is like the rare ones, so a common word must not outweigh hundreds of them.
    weights = np.sqrt(np.sqrt(frequencies))
    scripts = scripts_of(codes)
    kept = np.isin(scripts, [SCRIPTS.index(script) for script in shared])
    counts = gram_counts(codes[kept], weights[kept].astype(np.float32))
    counts *= _GRAM_TOTAL / max(counts.sum(), 1.0)
    return counts


def _merge(lists: list[tuple[NDArray[np.uint64], NDArray[np.uint8]]]) -> dict[str, NDArray[Any]]:
    """One sorted list of distinct words with the entries of each."""
    keys = np.concatenate([keys for keys, _ in lists])
    entries = np.concatenate([number << 8 | zipf.astype(np.uint16) for number, (_, zipf) in enumerate(lists)])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    offsets = np.append(first, len(keys)).astype(np.uint32)
    return {"keys": keys[first], "offsets": offsets, "entries": entries[order].astype(np.uint16)}


def _aligned(position: int) -> int:
    return -(-position // 64) * 64


def _file(sections: Mapping[str, NDArray[Any]]) -> list[bytes]:
    blocks = {name: np.ascontiguousarray(sections[name]).tobytes() for name in _SECTIONS}
    body: list[bytes] = []
    for block in blocks.values():
        body += [block, b"\0" * (_aligned(len(block)) - len(block))]
    header = json.dumps(
        {
            "version": TABLE_VERSION,
            "languages": LANGUAGES,
            "size": _HEADER + sum(map(len, body)),
            "lengths": {name: len(block) for name, block in blocks.items()},
            "checksums": {name: zlib.crc32(block) for name, block in blocks.items()},
        }
    ).encode()
    head = _MAGIC + zlib.crc32(header).to_bytes(4, "little") + len(header).to_bytes(4, "little") + header
    return [head.ljust(_HEADER, b"\0"), *body]


def _write(path: Path, blocks: list[bytes]) -> None:
    """Write a file beside its final place and rename it, so that no reader ever sees half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with open(handle, "wb") as file:
            file.writelines(blocks)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _unusable(path: Path, why: str) -> LanguageTableMissing:
    return LanguageTableMissing(f"language table {str(path)!r} {why}: build it with okf warm", path=str(path))


def _read_header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
            size = file.seek(0, os.SEEK_END)
    except FileNotFoundError as error:
        raise _unusable(path, "does not exist") from error
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror})") from error
    if len(head) < _HEADER or not head.startswith(_MAGIC):
        raise _unusable(path, "is not a language table")
    checksum = int.from_bytes(head[8:12], "little")
    text = head[16 : 16 + int.from_bytes(head[12:16], "little")]
    if zlib.crc32(text) != checksum:
        raise _unusable(path, "is damaged")
    header: dict[str, Any] = json.loads(text)
    if header["version"] != TABLE_VERSION or tuple(header["languages"]) != LANGUAGES:
        raise _unusable(path, f"is of version {header['version']}, not {TABLE_VERSION}")
    if header["size"] != size:
        raise _unusable(path, f"is cut short: {size} bytes of {header['size']}")
    return header
