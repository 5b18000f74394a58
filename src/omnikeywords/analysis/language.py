"""The language of a phrase, with an honest confidence, and how common its words are in it.

Each distinct word is evidence: its frequency in the list of every language, the log odds of its letters where
a list lacks it, its script. A phrase adds up the evidence of its words and a prior, as naive Bayes does; a
market is a prior that weighs about as much as one telling word. One more column stands for no language known
here, so that a phrase of strange words ends as `und` and not as a guess.

All evidence is whole steps of 1/64 nat, so that sums are exact.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled
from omnikeywords.analysis.frequency import LANGUAGES, ZIPF_STEPS, FrequencyTable
from omnikeywords.analysis.ngrams import gram_scores
from omnikeywords.analysis.scripts import (
    SCRIPT_LANGUAGES,
    SCRIPTS,
    Codes,
    code_points,
    has_symbols,
    scripts_of,
    split_parts,
)
from omnikeywords.analysis.words import Words
from omnikeywords.model import Market

__all__ = ["LANGUAGES", "ZIPF_STEPS", "Detected", "LanguageModel", "detect", "popularity"]

Floats = NDArray[np.float32]

_UND = len(LANGUAGES)  # the column of no known language
_STEPS = 64  # of evidence in a nat
_NATS = np.float32(np.log(10) / ZIPF_STEPS)  # in one step of a Zipf frequency

# What a word says, in nats. A listed word weighs its log frequency over 10^-9, 3.5 for the rarest to 18 for
# "the".
_UNLISTED = np.float32(4.5)  # where another language lists it: this much, and more where lists are short
_UNLISTED_SHORT = np.float32(5.0)
_DOUBT = np.float32(5.0)  # added to what a listed word weighs, as the frequencies of rare words are chance
_LETTERS = np.float32(0.1)  # n-grams overlap, so they say a fraction of their sum
_LETTERS_AT_MOST = np.float32(2.0)  # names are spelt like other languages: letters never outweigh two words
_CHARACTERS = np.float32(0.4)  # Chinese characters say more, and a phrase of them is one word
_AT_MOST = np.float32(14.0)  # between two languages, from one word
_UND_LISTED = np.float32(4.5)  # a word that some language lists, were the phrase of none of them
_UND_AT_LEAST = np.float32(-1 / 32)
_UND_UNLISTED = np.float32(-1.0)  # a word of no list, against the language its letters fit best
_UND_OTHER_SCRIPT = np.float32(-8.0)
# Names and products stay in Latin letters within other scripts; the other way round hardly ever.
_LATIN_ABROAD = np.float32(-6.0)
_ABROAD = np.float32(-20.0)

# Words of a phrase go together, so they say less than their sum; measured on questions and keywords of 16
# languages.
_TEMPERATURE = 0.75
_STEPS_OF_A_NAT = np.float32(_TEMPERATURE * _STEPS)
_LEAST_CONFIDENCE = 0.2  # below it the answer is und

# The prior without a market: log odds of meeting each language, others 0. Close kin of bigger languages and
# those with short, noisy lists must not take names from them.
_PRIOR: Mapping[str, float] = {
    "en": 0.75,
    "pt": 0.7,
    "es": 0.7,
    "fr": 0.95,
    "de": 0.6,
    "it": -0.8,
    "id": 0.45,
    "fi": 0.5,
    **dict.fromkeys(("nl", "pl", "cs", "ro", "sv", "da", "nb", "hu", "tr", "vi", "uk", "bg"), -2.0),
}
_MARKET = 3.0
_ENGLISH_IN_ANY_MARKET = 1.0

_SAME_AS: Mapping[str, str] = {"no": "nb", "nn": "nb", "iw": "he", "in": "id", "cmn": "zh", "yue": "zh"}
# What people search in where a market names a country alone.
_SPOKEN: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("US", "GB", "AU", "NZ", "IE", "ZA"), ("en",)),
    **dict.fromkeys(("BR", "PT", "AO", "MZ", "CV"), ("pt",)),
    **dict.fromkeys(("ES", "MX", "AR", "CO", "CL", "PE", "VE", "EC", "GT", "CU", "BO", "DO", "HN"), ("es",)),
    **dict.fromkeys(("PY", "SV", "NI", "CR", "PA", "UY", "PR"), ("es",)),
    **dict.fromkeys(("EG", "SA", "AE", "IQ", "JO", "KW", "QA", "OM", "SY", "YE", "LY"), ("ar",)),
    **dict.fromkeys(("MA", "DZ", "TN", "LB"), ("ar", "fr")),
    **dict.fromkeys(("DE", "AT"), ("de",)),
    **dict.fromkeys(("GR", "CY"), ("el",)),
    **dict.fromkeys(("CN", "TW", "HK"), ("zh",)),
    "BD": ("bn",),
    "BE": ("nl", "fr"),
    "BG": ("bg",),
    "CA": ("en", "fr"),
    "CH": ("de", "fr", "it"),
    "CZ": ("cs",),
    "DK": ("da",),
    "FI": ("fi",),
    "FR": ("fr",),
    "HU": ("hu",),
    "ID": ("id",),
    "IL": ("he",),
    "IN": ("hi", "en"),
    "IR": ("fa",),
    "IT": ("it",),
    "JP": ("ja",),
    "KR": ("ko",),
    "LU": ("fr", "de"),
    "NL": ("nl",),
    "NO": ("nb",),
    "PL": ("pl",),
    "RO": ("ro",),
    "RU": ("ru",),
    "SE": ("sv",),
    "TH": ("th",),
    "TR": ("tr",),
    "UA": ("uk", "ru"),
    "VN": ("vi",),
}

_NO_WORD = 255  # stored Zipf frequency of what is no word: it makes a phrase no rarer


@dataclass(frozen=True, slots=True)
class Detected:
    """The languages of N phrases."""

    index: NDArray[np.int8]  # N: index into LANGUAGES, -1 for und
    confidence: Floats  # N: probability that it is right, 0-1; 0 for und


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """What is known of the words of all LANGUAGES."""

    table: FrequencyTable

    @classmethod
    def load(cls, path: Path) -> "LanguageModel":
        """Map the table at `path`; raises LanguageTableMissing where it cannot be used."""
        return cls(FrequencyTable.load(path))

    def word_columns(self, words: list[str]) -> dict[str, NDArray[Any]]:
        """Columns of n distinct words, each a function of its word alone.

        `zipf` uint8 (n, languages + 1): Zipf frequency times ZIPF_STEPS in each language, 0 where unknown;
        the last column is the highest of them. `language` int16 (n, languages + 1): steps of 1/64 nat for each
        language, the likeliest at 0, and last for none of them; all 0 for what has no letters.
        """
        folded = list(map(str.casefold, words))
        codes = code_points(folded)
        scripts = scripts_of(codes)
        zipf, evidence = self._whole_words(codes, scripts)
        # "wi-fi" and "l'oréal" may be listed as they are; if not, their parts are.
        compound = has_symbols(codes) & ~zipf.any(axis=1)
        for row in np.flatnonzero(compound & (scripts == 0)).tolist():
            if folded[row] and not any(map(str.isdigit, folded[row])):
                zipf[row] = _NO_WORD
        rows = np.flatnonzero(compound & (scripts != 0))
        if len(rows):
            zipf[rows], evidence[rows] = self._compounds([folded[row] for row in rows.tolist()])
        return {"zipf": np.concatenate([zipf, zipf.max(axis=1, keepdims=True)], axis=1), "language": evidence}

    @property
    def rarity(self) -> Floats:
        """1/f, in units of 10^9, of each stored Zipf frequency: nan if unknown, 0 for no word."""
        return _rarity()

    def prior(self, market: Market | None) -> NDArray[np.int32]:
        """Log odds of each language, and of none, before any word is seen, in steps of 1/64 nat."""
        return _prior(market)

    def _whole_words(self, codes: Codes, scripts: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
        zipf = self.table.zipf_codes(codes)
        return zipf, _evidence(zipf, scripts, gram_scores(codes, self.table.grams))

    def _compounds(self, words: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
        """Zipf frequencies (as of a phrase) and evidence (the sum) of words by their parts."""
        parts = list(map(_telling_parts, words))
        owners = np.repeat(np.arange(len(words)), list(map(len, parts)))
        codes = code_points([part for several in parts for part in several])
        part_zipf, part_evidence = self._whole_words(codes, scripts_of(codes))
        evidence = np.zeros((len(words), _UND + 1), np.int16)
        np.add.at(evidence, owners, part_evidence)
        rarity = np.zeros((len(words), _UND), np.float32)
        np.add.at(rarity, owners, self.rarity.take(part_zipf))
        zipf = np.zeros((len(words), _UND), np.uint8)
        known = rarity > 0
        zipf[known] = np.clip(_zipf_of(rarity[known]) * ZIPF_STEPS, 1, 254)
        return zipf, evidence


def detect(words: Words, model: LanguageModel, market: Market | None) -> Detected:
    """The language of each of N phrases, and how likely it is to be right.

    The market makes its language likelier, English a little, and rules nothing out.
    """
    n = len(words.starts)
    index = np.empty(n, np.int8)
    confidence = np.empty(n, np.float32)
    _add_up(
        words.ids,
        words.starts,
        words.counts,
        words.columns["language"],
        model.prior(market),
        _odds(),
        index,
        confidence,
    )
    return Detected(index, confidence)


@compiled
def _add_up(
    ids: NDArray[np.intp],
    starts: NDArray[np.intp],
    counts: NDArray[np.intp],
    evidence: NDArray[np.int16],
    prior: NDArray[np.int32],
    odds: NDArray[np.float64],
    index: NDArray[np.int8],
    confidence: Floats,
) -> None:
    """Fill index and confidence of each phrase from the evidence of its words."""
    sums = np.empty(len(prior), np.int32)
    for phrase in range(len(counts)):
        sums[:] = prior
        for word in range(starts[phrase], starts[phrase] + counts[phrase]):
            told = evidence[ids[word]]
            for column in range(len(sums)):
                sums[column] += told[column]
        best = np.argmax(sums)
        total = 0.0
        for column in range(len(sums)):
            total += odds[min(sums[best] - sums[column], len(odds) - 1)]
        # Digits and symbols say nothing of any language, so the column of none is as it was.
        none = len(sums) - 1
        if best == none or sums[none] == prior[none] or 1 / total <= _LEAST_CONFIDENCE:
            index[phrase], confidence[phrase] = -1, 0
        else:
            index[phrase], confidence[phrase] = best, 1 / total


def popularity(words: Words, index: NDArray[np.int8], model: LanguageModel) -> Floats:
    """The Zipf frequency (0-8) of each of N phrases in its language, an estimate: (N,), nan for unknown
    words.

    1/f = the sum of 1/f over its words, which is wordfreq's rule for texts of several words. In a phrase
    without a language (-1) each word counts as in the language that uses it most.
    """
    zipf = np.empty(len(index), np.float32)
    _add_rarity(words.ids, words.starts, words.counts, words.columns["zipf"], model.rarity, index, zipf)
    return zipf


@compiled
def _add_rarity(
    ids: NDArray[np.intp],
    starts: NDArray[np.intp],
    counts: NDArray[np.intp],
    frequency: NDArray[np.uint8],
    rarity: Floats,
    index: NDArray[np.int8],
    zipf: Floats,
) -> None:
    """Fill the Zipf frequency of each phrase from those of its words; the last column of `frequency` is the highest."""
    for phrase in range(len(counts)):
        column = index[phrase] if index[phrase] >= 0 else frequency.shape[1] - 1
        total = 0.0
        for word in range(starts[phrase], starts[phrase] + counts[phrase]):
            total += rarity[frequency[ids[word], column]]
        zipf[phrase] = -np.log10(total) if total else np.nan  # of nothing but symbols: unknown


@functools.cache
def _odds() -> NDArray[np.float64]:
    """e to the power of minus i steps, as far as it counts beside 1."""
    return np.exp(np.arange(40 * _STEPS) / -_STEPS)


@functools.cache
def _rarity() -> Floats:
    rarity = np.power(10.0, np.arange(256) / -ZIPF_STEPS)
    rarity[0] = np.nan
    rarity[_NO_WORD] = 0
    return rarity.astype(np.float32)


def _zipf_of(rarity: Floats) -> Floats:
    zipf: Floats = -np.log10(rarity)
    return zipf


def _telling_parts(word: str) -> list[str]:
    """The parts of a word that may tell its language; of an address none, as it is the same in all."""
    parts = split_parts(word)
    if len(parts) > 1 and "." in word.strip("."):
        return []
    if "'" in word:
        return parts
    # What stands beside digits and symbols is mostly a unit or a model: "5kg", "c++", "x200".
    return [part for part in parts if len(part) > 2 or part[0] > "\u036f"]


@functools.cache
def _script_tables() -> tuple[NDArray[np.bool_], Floats, Floats, Floats, Floats]:
    """Of each script: the languages written in it (scripts, languages), then what its letters weigh, the least they
    say, what its words say of other languages, and of none (nan where that depends on the word), each (scripts,).
    """
    own = np.array([[language in SCRIPT_LANGUAGES[script] for language in LANGUAGES] for script in SCRIPTS])
    weight, least, abroad, none = (
        np.full(len(SCRIPTS), value, np.float32) for value in (_LETTERS, -_LETTERS_AT_MOST, _ABROAD, _UND_OTHER_SCRIPT)
    )
    latin, han, other, common = map(SCRIPTS.index, ("latin", "han", "other", "common"))
    weight[han], least[han] = _CHARACTERS, -_AT_MOST
    abroad[latin], none[latin] = _LATIN_ABROAD, np.nan
    # Georgian, Armenian and the like are of no language known here; digits and symbols of any.
    none[other] = _UND_AT_LEAST
    abroad[common] = none[common] = 0
    return own, weight, least, abroad, none


def _evidence(zipf: NDArray[np.uint8], scripts: NDArray[np.uint8], grams: Floats) -> NDArray[np.int16]:
    """What n words say of each language and of none: (n, languages + 1), in steps below the likeliest."""
    evidence = np.empty((len(zipf), _UND + 1), np.int16)
    _weigh(zipf, scripts, grams, *_script_tables(), _listed_nats(), _unlisted(), evidence)
    return evidence


@compiled
def _weigh(
    zipf: NDArray[np.uint8],
    scripts: NDArray[np.uint8],
    grams: Floats,
    own: NDArray[np.bool_],
    letter_weight: Floats,
    letter_least: Floats,
    abroad: Floats,
    none: Floats,
    listed_nats: Floats,
    unlisted: Floats,
    evidence: NDArray[np.int16],
) -> None:
    """Fill the evidence of each word."""
    languages = zipf.shape[1]
    letters = np.empty(languages, np.float32)
    for word in range(len(zipf)):
        script = scripts[word]
        # Letters count from the language of this script that they fit best.
        fits = top = np.float32(-np.inf)
        listed = False
        for language in range(languages):
            letters[language] = grams[word, language] * letter_weight[script]
            if own[script, language]:
                fits = max(fits, letters[language])
                listed |= zipf[word, language] > 0
        nats = letters
        for language in range(languages):
            nats[language] = max(letters[language] - fits, letter_least[script])
            if listed:
                if zipf[word, language]:
                    nats[language] = listed_nats[zipf[word, language]]
                else:
                    nats[language] += unlisted[language]
            if own[script, language]:
                top = max(top, nats[language])
        for language in range(languages):
            said = max(nats[language] - top, -_AT_MOST) if own[script, language] else abroad[script]
            evidence[word, language] = np.rint(said * _STEPS_OF_A_NAT)
        said = none[script]
        if np.isnan(said):  # it depends on the word
            said = min(max(_UND_LISTED - top, -_AT_MOST), _UND_AT_LEAST) if listed else _UND_UNLISTED
        evidence[word, languages] = np.rint(said * _STEPS_OF_A_NAT)


@functools.cache
def _listed_nats() -> Floats:
    """What each stored Zipf frequency weighs: its log over 10^-9, no less than about _DOUBT."""
    nats: Floats = np.logaddexp(np.arange(256, dtype=np.float32) * _NATS, _DOUBT)
    return nats


@functools.cache
def _unlisted() -> Floats:
    short = frozenset(("ro", "da", "hu", "tr", "id", "vi", "bg", "el", "fa", "hi", "ta", "ko"))
    return np.array([_UNLISTED_SHORT if language in short else _UNLISTED for language in LANGUAGES], np.float32)


@functools.lru_cache(maxsize=1024)
def _prior(market: Market | None) -> NDArray[np.int32]:
    prior = np.array([_PRIOR.get(language, 0.0) for language in LANGUAGES] + [0.0], np.float32)
    if market is not None:
        language = _SAME_AS.get(market.language, market.language)
        spoken = _SPOKEN.get(market.region or "", ()) if language == "und" else (language,)
        expected = [LANGUAGES.index(one) for one in spoken if one in LANGUAGES]
        if expected:
            np.minimum(prior, 0, out=prior)
            prior[LANGUAGES.index("en")] = _ENGLISH_IN_ANY_MARKET
            prior[expected] = _MARKET
    steps = np.rint(prior * _STEPS).astype(np.int32)
    steps.flags.writeable = False
    return steps
