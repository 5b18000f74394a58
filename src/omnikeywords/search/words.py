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

__all__ = [
    "FUNCTION_WORDS",
    "STEMMED",
    "Words",
    "alike",
    "is_symbol",
    "set_of",
    "split",
    "stem",
    "stems_of",
    "telling",
]

STEMMED = {
    "en": "english",
    "pt": "portuguese",
    "es": "spanish",
    "fr": "french",
    "de": "german",
    "it": "italian",
    "nl": "dutch",
}
# Words that hold others together, folded: of the languages that have stems. Two keywords that share only these have
# nothing in common; and a stem of them, as `com` of the Spanish `como`, would be another word.
_FUNCTION_WORDS = """
a an the of for and or in on at to from by with without as into about than then if so but not no
is are was were be been am do does did has have had can could will would should
i you he she it we they me my your his her its our their this that these those there up out off over
what which who whom whose when where why how vs s t

o os as um uma uns umas de do da dos das em no na nos nas ao aos por pelo pela para com sem e ou que qual quais quem
quando onde como porque se mais mas eu tu voce ele ela eles elas seu sua meu minha este esta esse essa isso isto ser
sao foi era tem ter

el la los las un una unos unas del al y con sin por lo su sus mi mis se es son fue ser que quien quienes cual cuales
cuando donde como cuanto cuanta cuantos cuantas porque si mas pero esta este esto ese esa eso hay

le les des du une et ou a au aux avec sans pour par dans sur en ce cet cette ces qui que quoi dont quel quelle quels
quelles quand comment pourquoi est sont etait etre il elle ils elles on je tu nous vous son sa ses mon ma mes ne pas d
l c qu n

der die das den dem des ein eine einer eines einem einen und oder fur mit ohne von vom zu zum zur im am an auf aus bei
nach in ist sind war sein wie was wer wen wem wann wo warum welche welcher welches ich du er sie es wir ihr nicht kein
keine

il lo gli i un uno della dello delle degli dei del di da dal dalla nel nella con senza per tra fra e o che chi quale
quali quando dove come perche sono era essere si non al alla alle ai

het een van voor met zonder en of op te in uit bij naar is zijn was wat wie waar wanneer waarom hoe welke dat dit deze
die ik je jij hij zij wij niet geen
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
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
        found = self[word] = stem(word, self._language)
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


def telling(words: Iterable[str]) -> list[str]:
    """The words that say what a phrase is about; all of them where none does."""
    listed = list(words)
    return [word for word in listed if word not in FUNCTION_WORDS] or listed


def is_symbol(word: str) -> bool:
    """Whether a word is of signs alone, as & or --."""
    return not any(map(str.isalnum, word))


@functools.lru_cache(maxsize=65_536)
def stem(word: str, language: str) -> str:
    """The stem of a folded word in a language; the word where that has no stemmer, and where word or stem only hold
    others together: ups is no up.
    """
    if language not in STEMMED or word in FUNCTION_WORDS:
        return word
    found = stems_of([word], language)[word]
    return word if found in FUNCTION_WORDS else found


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
