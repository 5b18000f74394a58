"""Features: question, modifiers, brand, place, year and funnel of phrases."""

from functools import cache

import numpy as np
import pytest

from omnikeywords.analysis.features import MODIFIER_TYPES, QUESTIONS, Features, find
from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.analysis.lexicon import Lexicon
from omnikeywords.analysis.normalise import normalise_batch
from omnikeywords.analysis.words import Vocabulary, Words
from omnikeywords.model import FUNNELS


@cache
def vocabulary(brands: tuple[str, ...] = ()) -> tuple[Lexicon, Vocabulary]:
    lexicon = Lexicon.load(brands)
    return lexicon, Vocabulary(lexicon.word_columns)


def read(phrases: list[str], language: str | None = None, brands: tuple[str, ...] = ()) -> tuple[Words, Features]:
    lexicon, words_of = vocabulary(brands)
    words = words_of.look_up(normalise_batch(phrases)[0])
    index = LANGUAGES.index(language) if language else -1
    return words, find(words, lexicon, np.full(len(phrases), index, np.int8))


@pytest.mark.parametrize(
    ("phrase", "language", "question"),
    [
        ("how to tie a tie", "en", "how"),
        ("what is a roth ira", "en", "what"),
        ("which vitamin is for hair", "en", "which"),
        ("who invented the telephone", "en", "who"),
        ("when is easter", "en", "when"),
        ("where to buy yarn", "en", "where"),
        ("why is my cat sneezing", "en", "why"),
        ("can dogs eat grapes", "en", "can"),
        ("is creatine safe", "en", "other"),
        ("running shoes", "en", None),
        ("como fazer pão", "pt", "how"),
        ("o que é selic", "pt", "what"),
        ("quanto custa um notebook", "pt", "how"),
        ("onde fica o jalapão", "pt", "where"),
        ("por que o céu é azul", "pt", "why"),
        ("qué es el iva", "es", "what"),
        ("cuándo es semana santa", "es", "when"),
        ("dónde comprar lana", "es", "where"),
        ("quién inventó la radio", "es", "who"),
        ("pourquoi le ciel est bleu", "fr", "why"),
        ("warum ist der himmel blau", "de", "why"),
        ("come fare la pasta", "it", "how"),
    ],
)
def test_question(phrase: str, language: str, question: str | None) -> None:
    code = read([phrase], language)[1].question[0]
    assert (QUESTIONS[code] if code >= 0 else None) == question


def test_of_several_questions_the_first_counts() -> None:
    assert QUESTIONS[read(["how to know what is wrong"], "en")[1].question[0]] == "how"


@pytest.mark.parametrize(
    ("phrase", "language", "modifiers"),
    [
        ("best cheap wireless headphones 2024", "en", "comparison:best price:cheap feature:wireless year:2024"),
        ("used cars for sale near me", "en", "condition:used action:for sale location:near me"),
        ("men's running shoes", "en", "audience:men's"),
        ("free pdf editor online", "en", "price:free format:pdf editor format:online"),
        ("hotel in lisbon", "en", ""),
        ("hotel em lisboa barato", "pt", "location:lisboa price:barato"),
        ("tênis infantil promoção", "pt", "audience:infantil price:promoção"),
        ("error code 5", "en", "problem:error code"),
        ("gmail login", "en", "access:login"),
        ("dentist open now", "en", "location:open now"),
        ("luxury watches under $500", "en", "quality:luxury feature:under price:$500"),
        ("events today", "en", "time:today"),
    ],
)
def test_modifiers_with_their_types(phrase: str, language: str, modifiers: str) -> None:
    words, features = read([phrase], language)
    types = [MODIFIER_TYPES[code] for code in features.modifier_types.tolist()]
    found = [f"{kind}:{text}" for kind, text in zip(types, features.modifiers.text(words), strict=True)]
    assert " ".join(found) == modifiers


def test_modifiers_say_which_phrase_they_are_in() -> None:
    words, features = read(["cheap desk", "desk", "new used desk"], "en")
    assert features.modifiers.phrase.tolist() == [0, 2, 2]
    assert features.modifiers.text(words) == ["cheap", "new", "used"]
    assert len(features.modifiers) == 3


@pytest.mark.parametrize("phrase", ["nike shoes", "amazon.com", "@nasa", "iphone 15 case", "itau", "wells fargo atm"])
def test_branded(phrase: str) -> None:
    assert read([phrase])[1].branded[0]


@pytest.mark.parametrize("phrase", ["running shoes", "stainless steel pan", "zzq", "university of zzq"])
def test_not_branded(phrase: str) -> None:
    assert not read([phrase])[1].branded[0]


def test_brands_of_ones_own_make_a_phrase_branded() -> None:
    phrases = ["acme shoes discount", "acme shoe", "shoes"]
    assert read(phrases, "en", ("Acme Shoes",))[1].branded.tolist() == [True, False, False]
    assert not read(phrases, "en")[1].branded.any()


@pytest.mark.parametrize(
    ("phrase", "language"),
    [
        ("coffee shop near me", "en"),
        ("best tacos in spokane", "en"),
        ("dentist open now", "en"),
        ("oil change spokane wa", "en"),
        ("pizzaria perto de mim", "pt"),
        ("dentista em campinas", "pt"),
        ("farmacia de guardia", "es"),
        ("restaurantes sevilla centro", "es"),
        ("friseur in der nähe", "de"),
        ("nearest costco", "en"),
    ],
)
def test_local(phrase: str, language: str) -> None:
    assert read([phrase], language)[1].local[0]


@pytest.mark.parametrize(
    "phrase", ["weather in seattle", "history of chicago", "running shoes", "how big is texas", "wine from france"]
)
def test_not_local(phrase: str) -> None:
    assert not read([phrase], "en")[1].local[0]


def test_year_is_the_last_one_named() -> None:
    phrases = ["best phones 2024", "1999 to 2005", "model 3000", "windows 95", "2025"]
    assert read(phrases)[1].year.tolist() == [2024, 2005, 0, 0, 2025]


@pytest.mark.parametrize(
    ("phrase", "funnel"),
    [
        ("what is photosynthesis", "awareness"),
        ("how to choose a mattress", "consideration"),
        ("best mattress", "consideration"),
        ("standing desk", "consideration"),
        ("buy mattress online", "decision"),
        ("gmail login", "decision"),
        ("plumber near me", "decision"),
        ("best price mattress", "decision"),
    ],
)
def test_funnel(phrase: str, funnel: str) -> None:
    assert FUNNELS[read([phrase], "en")[1].funnel[0]] == funnel


def test_a_phrase_that_could_not_be_used_has_nothing() -> None:
    words, features = read(["", "best desk"])
    assert features.question.tolist() == [-1, -1]
    assert not features.branded.any()
    assert features.evidence.phrase.tolist() == [1, 1]
    assert features.evidence.text(words) == ["best", "desk"]
