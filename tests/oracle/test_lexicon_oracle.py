"""The lexicons against a slow reading of their tables, phrase by phrase, word by word; and the laws of evidence."""

import math
import re
from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnikeywords.analysis.features import Features, find
from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.analysis.lexicon import Lexicon
from omnikeywords.analysis.lexicon_tables import CLASSES, LEXICON_LANGUAGES, Entry, Tables, read_tables
from omnikeywords.analysis.words import Vocabulary, Words

LANGUAGE_INDEXES = [-1, *map(LANGUAGES.index, LEXICON_LANGUAGES), LANGUAGES.index("ja")]


@cache
def tables() -> Tables:
    return read_tables((), None)


@cache
def lexicon() -> Lexicon:
    return Lexicon.load()


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary(lexicon().word_columns)


def found(phrases: list[str], language: int | list[int]) -> tuple[Words, Features]:
    words = vocabulary().look_up(phrases)
    index = np.full(len(phrases), language, np.int8) if isinstance(language, int) else np.array(language, np.int8)
    return words, find(words, lexicon(), index)


def slow_kind(words: tuple[str, ...], language: int, first: bool) -> int | None:
    """The kind of a phrase as the head of lexicon_tables tells it."""
    code = LANGUAGES[language] if language >= 0 else None
    listed = [entry for (listed_words, _), entry in by_words().get(words, ()) if listed_words == words]
    own = [e for e in listed if code in e.languages]
    everywhere = [e for e in listed if not e.languages]
    borrowed = [e for e in listed if e.languages and (not e.strict or code is None)]
    for entry in (*own, *everywhere, *borrowed):
        if first or "start" not in tables().kinds[entry.kind].flags:
            return entry.kind
    return None


@cache
def by_words() -> dict[tuple[str, ...], list[tuple[tuple[tuple[str, ...], str], Entry]]]:
    grouped: dict[tuple[str, ...], list[tuple[tuple[tuple[str, ...], str], Entry]]] = {}
    for key, entry in tables().entries.items():
        grouped.setdefault(key[0], []).append((key, entry))
    return grouped


def slow_entries(words: list[str], language: int) -> list[tuple[int, int, int | None]]:
    """(first word, number of words, kind) of a phrase of listed words, in order; the kind None is an unknown word."""
    longer = []
    for start in range(len(words)):
        for length in (5, 4, 3, 2):
            if start + length <= len(words):
                kind = slow_kind(tuple(words[start : start + length]), language, start == 0)
                if kind is not None:
                    longer.append((start, length, kind))
                    break
    taken: set[int] = set()
    entries: list[tuple[int, int, int | None]] = []
    for start, length, kind in sorted(longer, key=lambda entry: (-entry[1], entry[0])):
        if taken.isdisjoint(range(start, start + length)):
            taken.update(range(start, start + length))
            entries.append((start, length, kind))
    for at, word in enumerate(words):
        if at not in taken:
            kind = slow_kind((word,), language, at == 0)
            listed = (word,) in by_words()
            entries.append((at, 1, kind if listed else slow_shape(word)))
    return sorted(entries)


def slow_shape(word: str) -> int | None:
    if re.fullmatch("19[0-9][0-9]|20[0-9][0-9]", word):
        return tables().number["year"]
    return tables().number["number"] if re.fullmatch(r"[0-9]+(-[0-9]+)*(st|nd|rd|th)?", word) else None


def slow_intents(words: list[str], language: int) -> list[float]:
    kinds = [tables().kinds[kind or 0] for _, _, kind in slow_entries(words, language)]
    logits = [sum(kind.weights[i] for kind in kinds) for i in range(4)]
    present = {name for kind in kinds for i, name in enumerate(CLASSES) if kind.classes >> i & 1}
    for rule in tables().rules:
        needed = {name for i, name in enumerate(CLASSES) if rule.needed >> i & 1}
        excluded = {name for i, name in enumerate(CLASSES) if rule.excluded >> i & 1}
        if needed <= present and not excluded & present:
            logits = [a + b for a, b in zip(logits, rule.weights, strict=True)]
    powers = [math.exp(logit - max(logits)) for logit in logits]
    return [power / sum(powers) for power in powers]


@cache
def pieces() -> list[str]:
    return sorted({" ".join(words) for words in by_words()})


# Words that no table lists, in no shape that has a meaning of its own.
UNKNOWN = st.sampled_from(["zzq", "wuxa", "brimbo"])
LISTED_WORD = st.deferred(lambda: st.sampled_from(sorted({w for words in by_words() for w in words})))
PIECE = st.deferred(lambda: st.one_of(st.sampled_from(pieces()), LISTED_WORD, UNKNOWN))
PHRASE = st.lists(PIECE, min_size=1, max_size=5).map(" ".join)
LANGUAGE = st.sampled_from(LANGUAGE_INDEXES)


@settings(max_examples=150, deadline=None)
@given(st.lists(PHRASE, min_size=1, max_size=12), LANGUAGE)
def test_entries_and_intents_equal_the_slow_reading(phrases: list[str], language: int) -> None:
    _, features = found(phrases, language)
    for phrase, probabilities in zip(phrases, features.intents.tolist(), strict=True):
        assert np.allclose(probabilities, slow_intents(phrase.split(" "), language), atol=2e-5), phrase


@settings(max_examples=60, deadline=None)
@given(st.lists(PHRASE, min_size=30, max_size=60), LANGUAGE)
def test_many_phrases_are_read_as_one_alone_is(phrases: list[str], language: int) -> None:
    words, together = found(phrases, language)
    evidence = list(zip(together.evidence.phrase.tolist(), together.evidence.text(words), strict=True))
    modifiers = list(zip(together.modifiers.phrase.tolist(), together.modifiers.text(words), strict=True))
    for i, phrase in enumerate(phrases):
        own_words, alone = found([phrase], language)
        assert np.array_equal(alone.intents[0], together.intents[i])
        assert alone.evidence.text(own_words) == [text for p, text in evidence if p == i]
        assert alone.modifiers.text(own_words) == [text for p, text in modifiers if p == i]
        for column in ("question", "branded", "local", "year", "funnel"):
            assert getattr(alone, column)[0] == getattr(together, column)[i]


@settings(max_examples=300, deadline=None)
@given(st.lists(PHRASE, min_size=1, max_size=30), LANGUAGE)
def test_leaving_the_evidence_out_lowers_the_intent(phrases: list[str], language: int) -> None:
    words, features = found(phrases, language)
    named: dict[int, set[int]] = {}
    spans = features.evidence
    for phrase, first, count in zip(spans.phrase.tolist(), spans.first.tolist(), spans.count.tolist(), strict=True):
        named.setdefault(phrase, set()).update(range(first, first + count))
    for i, gone in named.items():
        start, end = int(words.starts[i]), int(words.starts[i] + words.counts[i])
        rest = [words.text[at] for at in range(start, end) if at not in gone]
        if rest:
            _, without = found([" ".join(rest)], language)
            best = int(features.intent[i])
            assert without.intents[0, best] < features.intents[i, best], (phrases[i], rest)
