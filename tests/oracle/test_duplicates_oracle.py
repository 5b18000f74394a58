"""The hashed, vectorised grouping against an obvious one that compares phrases as strings."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnikeywords.analysis.direction import ALWAYS, KINDS, LEADS, TO_IN
from omnikeywords.analysis.duplicates import duplicates
from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.analysis.roots import ROOT_LANGUAGES, fold_piece, inflection_roots, pieces, spelling_root
from omnikeywords.analysis.stop_words import KEEPS_NEXT, STOP_INSIDE, STOP_LEADING
from omnikeywords.analysis.typos import find_typos


@dataclass
class Phrases:
    normalized: list[str]
    language: np.ndarray
    popularity: np.ndarray


def cut(phrase):
    return [piece for word in phrase.split(" ") for piece in pieces(word)] or [phrase]


def root(piece):
    return spelling_root(inflection_roots([fold_piece(piece)], None)[0])


def bag(phrase):
    return sorted(map(root, cut(phrase)))


def shorter_bag(phrase, language):
    bit = 1 << ROOT_LANGUAGES.index(language)
    parts = cut(phrase)
    stop = [
        bool(STOP_INSIDE.get(part, 0) & bit) and not (i > 0 and fold_piece(parts[i - 1]) in KEEPS_NEXT)
        for i, part in enumerate(parts)
    ]
    kept = stop.count(False)
    if kept < 2:
        stop = [False] * len(parts)
    elif kept < 3:
        stop[0] = stop[0] and bool(STOP_LEADING.get(parts[0], 0) & bit)
        stop[-1] = False
    return sorted(root(part) for part, left_out in zip(parts, stop, strict=True) if not left_out)


def joined(phrase, form):
    text = ""
    parts = [fold_piece(part) for part in cut(phrase)]
    for i, part in enumerate(parts):
        text += form(part)
        if i + 1 < len(parts) and (
            (part[-1].isdigit() and parts[i + 1][0].isdigit()) or parts[i + 1] in "aeiou" or part in "ao"
        ):
            text += "|"
    return text


def meeting(before, after):
    """The shortest end of the first that begins the second."""
    return next((after[:n] for n in range(1, len(before) + 1) if before[-n:] == after[:n]), [])


def swapped(one, other, word):
    """Whether what stands on both sides of a word has changed places."""
    i, j = one.index(word), other.index(word)
    first, second = meeting(one[:i], other[j + 1 :]), meeting(other[:j], one[i + 1 :])
    return bool(first and second) and first != second


def opposite(one, other, language):
    one, other = ([root(part) for part in cut(phrase)] for phrase in (one, other))
    leading = [word for word, lead in LEADS.items() if lead == ALWAYS or language in TO_IN]
    if any(swapped(one, other, word) for word in leading if word in one and word in other):
        return True
    pairs = {(first, second) for first, second in pairwise(one) if KINDS.get(first, 0) & KINDS.get(second, 0)}
    if any((second, first) in pairs and first != second for first, second in pairwise(other)):
        return True
    numbers, others = ([word for word in side if word[0].isdigit()] for side in (one, other))
    return numbers != others and sorted(numbers) == sorted(others)


def slow(texts, popularity, language):
    """The head of each phrase, without a dictionary, and so without typos."""
    order = sorted(
        range(len(texts)),
        key=lambda i: (
            -popularity[i] if popularity[i] is not None else float("inf"),
            len(texts[i]),
            texts[i],
        ),
    )
    units = []
    for i in order:
        for unit in units:
            if bag(texts[i]) == bag(texts[unit[0]]) and not opposite(texts[i], texts[unit[0]], language):
                unit.append(i)
                break
        else:
            units.append([i])
    heads = []
    head = list(range(len(texts)))
    for unit in units:
        mine = {tuple(shorter_bag(texts[i], language)) for i in unit}
        mine |= {joined(texts[i], form) + "," + name for i in unit for name, form in FORMS.items()}
        for theirs, leader in heads:
            if mine & theirs and not opposite(texts[unit[0]], texts[leader], language):
                for i in unit:
                    head[i] = leader
                break
        else:
            heads.append((mine, unit[0]))
            for i in unit:
                head[i] = unit[0]
    return head


FORMS = {"root": root, "letters": fold_piece}
WORDS = {
    "en": "shoe shoes red to london paris the of for and in a day part apart 13 14 1 31 wi-fi wifi wi fi "
    "café cafe colour color color's c++ c# c without vitamin 2 3.5 men woman women dog house english spanish",
    "pt": "bolo bolos de da para sem com e o a avó avô avo são sao lisboa porto pão pães paes tênis tenis 10 100",
    "es": "hotel hoteles en el la de para sin año ano madrid barcelona a mapa rojo roja rojos luz",
}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_both_find_the_same_heads(data):
    language = data.draw(st.sampled_from(sorted(WORDS)))
    word = st.sampled_from(WORDS[language].split())
    phrase = st.lists(word, min_size=1, max_size=5).map(" ".join)
    texts = data.draw(st.lists(phrase, max_size=14, unique=True))
    popularity = data.draw(st.lists(st.sampled_from([None, 1.0, 2.0]), min_size=len(texts), max_size=len(texts)))
    given = Phrases(
        texts,
        np.full(len(texts), LANGUAGES.index(language), np.int8),
        np.array([np.nan if p is None else p for p in popularity], np.float32),
    )
    found = duplicates(given)
    # Without a dictionary a typo needs a word in three phrases and more: these are too short or too alike.
    assert found.head.tolist() == slow(texts, popularity, language)


ALPHABET = "abcde"


def one_edit(word):
    """All words one insertion, deletion, substitution or swap of neighbours away."""
    for i in range(len(word) + 1):
        head, tail = word[:i], word[i:]
        for letter in ALPHABET:
            yield head + letter + tail
            if tail:
                yield head + letter + tail[1:]
        if tail:
            yield head + tail[1:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(ALPHABET, min_size=4, max_size=7), max_size=12, unique=True),
    st.lists(st.text(ALPHABET, min_size=6, max_size=8), max_size=12, unique=True),
)
def test_typos_are_all_words_one_edit_from_a_common_word(unknown, common):
    unknown = [word for word in unknown if word not in common]
    words = unknown + common
    zipf = np.zeros((len(words), len(LANGUAGES)), np.float32)
    zipf[len(unknown) :, LANGUAGES.index("en")] = 5.0
    found = find_typos(words, np.ones(len(words), np.intp), zipf, np.zeros(len(words), bool))
    expected = {
        (word, meant)
        for word in unknown
        for meant in common
        if meant in set(one_edit(word))
        and not (len(word) < 6 and len(word) == len(meant) and word[1:] == meant[1:])  # the first is another
    }
    pairs = {(words[i], words[j]) for i, j in zip(found.typo, found.meant, strict=True)}
    assert pairs <= expected
    for word in {word for word, _ in expected}:  # at most six of each are kept
        assert sum(one == word for one, _ in pairs) == min(6, sum(one == word for one, _ in expected))
