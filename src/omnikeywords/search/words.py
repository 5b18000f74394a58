"""Words as the index has them and as a query asks for them: folded, without punctuation, and their stems.

Both sides are made by the same functions, so accents, case and punctuation can never tell them apart. Stems are made
of folded words, for the same reason. A keyword has its words, and beside them the stem of each in its own language; of
a query nobody knows the language, so it asks for the stems in all of them.
"""

import functools
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import tantivy

from omnikeywords.analysis.normalise import fold_batch
from omnikeywords.analysis.roots import pieces

__all__ = ["STEMMED", "Words", "alike", "is_symbol", "set_of", "split", "stem", "stems_of"]

STEMMED = {
    "en": "english",
    "pt": "portuguese",
    "es": "spanish",
    "fr": "french",
    "de": "german",
    "it": "italian",
    "nl": "dutch",
}
_REMEMBERED = 500_000  # distinct words; then it begins anew


class _Pieces(dict[str, tuple[str, ...]]):
    """The parts of each folded word, found out when it is first met."""

    def __missing__(self, word: str) -> tuple[str, ...]:
        found = self[word] = pieces(word) or (word,)
        return found


class _Stems(dict[str, str]):
    """The stem of each word of a language."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self._language = language

    def __missing__(self, word: str) -> str:
        found = self[word] = stems_of([word], self._language)[word]
        return found


class Words:
    """Splits and stems phrases, remembering each distinct word; one a thread."""

    def __init__(self) -> None:
        self._pieces = _Pieces()
        self._stems = {language: _Stems(language) for language in STEMMED}

    def split(self, normalized: Sequence[str]) -> Iterator[list[str]]:
        """The words of each phrase, in their order; a word of nothing but punctuation is that punctuation."""
        known = self._pieces
        if len(known) > _REMEMBERED:
            known.clear()
        parts_of = known.__getitem__
        for phrase in fold_batch(normalized):
            yield list(chain.from_iterable(map(parts_of, phrase.split())))

    def spelt(self, normalized: str, words: Sequence[str]) -> Sequence[str]:
        """The words of a phrase with their accents; as they are where its parts are others without."""
        if normalized.isascii():
            return words
        parts = [part for word in normalized.split() for part in (pieces(word) or (word,))]
        return parts if len(parts) == len(words) else words

    def stemmed(
        self, normalized: Sequence[str], languages: Sequence[str | None]
    ) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
        """The words of each phrase, and their stems in its language; the words where that has no stemmer."""
        for known in self._stems.values():
            if len(known) > _REMEMBERED:
                known.clear()
        stems_in = {language: known.__getitem__ for language, known in self._stems.items()}.get
        for words, language in zip(self.split(normalized), languages, strict=True):
            stem_of = stems_in(language or "")
            yield words, words if stem_of is None else list(map(stem_of, words))


def split(normalized: str) -> list[str]:
    """The words of one phrase, as `Words.split` has them."""
    return [part for word in fold_batch([normalized])[0].split() for part in (pieces(word) or (word,))]


def is_symbol(word: str) -> bool:
    """Whether a word is of signs alone, as & or --."""
    return not any(map(str.isalnum, word))


@functools.lru_cache(maxsize=65_536)
def stem(word: str, language: str) -> str:
    """The stem of a folded word in a language; the word where that has no stemmer."""
    return stems_of([word], language)[word] if language in STEMMED else word


@functools.lru_cache(maxsize=65_536)
def alike(word: str) -> tuple[str, ...]:
    """The stems that keywords of any language have for a word, each once: by one of them all its forms are found."""
    return tuple(dict.fromkeys((word, *(stem(word, language) for language in STEMMED))))


def set_of(stems: Sequence[str]) -> str:
    """Stems as one term, the same in whatever order they stand."""
    return ",".join(sorted(stems))


def stems_of(words: Iterable[str], language: str) -> dict[str, str]:
    """The stem of each folded word."""
    listed = list(words)
    shown = [_PORTUGUESE_PLURAL.sub(_singular, word) for word in listed] if language == "pt" else listed
    stems = _analyser(language).analyze(" ".join(shown))
    assert len(stems) == len(listed)
    return dict(zip(listed, stems, strict=True))


# Plurals that the stemmer leaves apart: promoções and promoção, hotéis and hotel, jardins and jardim.
_PORTUGUESE_PLURAL = re.compile(r"(?<=..)(?:[ao]es|[aeo]is|ns)$")
_SINGULARS = {"aes": "ao", "oes": "ao", "ais": "al", "eis": "el", "ois": "ol", "ns": "m"}


def _singular(match: re.Match[str]) -> str:
    return _SINGULARS[match[0]]


_analysers = threading.local()


def _analyser(language: str) -> tantivy.TextAnalyzer:
    found: tantivy.TextAnalyzer | None = getattr(_analysers, language, None)
    if found is None:
        builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
        found = builder.filter(tantivy.Filter.stemmer(STEMMED[language])).build()
        setattr(_analysers, language, found)
    return found
