"""Intents: what phrases in six languages want, and what is named as evidence."""

from functools import cache

import numpy as np
import pytest

from omnikeywords.analysis.features import Features, find
from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.analysis.lexicon import Lexicon
from omnikeywords.analysis.normalise import normalise_batch
from omnikeywords.analysis.words import Vocabulary, Words
from omnikeywords.model import INTENTS


@cache
def vocabulary() -> tuple[Lexicon, Vocabulary]:
    lexicon = Lexicon.load()
    return lexicon, Vocabulary(lexicon.word_columns)


def read(phrases: list[str], language: str | None = None) -> tuple[Words, Features]:
    lexicon, words_of = vocabulary()
    words = words_of.look_up(normalise_batch(phrases)[0])
    index = LANGUAGES.index(language) if language else -1
    return words, find(words, lexicon, np.full(len(phrases), index, np.int8))


def intent(phrase: str, language: str | None = None) -> str:
    return str(INTENTS[read([phrase], language)[1].intent[0]])


@pytest.mark.parametrize(
    ("phrase", "language"),
    [
        ("how to descale a kettle", "en"),
        ("what is compound interest", "en"),
        ("symptoms of anemia", "en"),
        ("why is the sky blue", "en"),
        ("banana bread recipe", "en"),
        ("weather in chicago", "en"),
        ("gold price today", "en"),
        ("washing machine error code e18", "en"),
        ("how to choose a stroller", "en"),
        ("zzq wuxa", None),
        ("como tirar mancha de vinho", "pt"),
        ("o que é juros compostos", "pt"),
        ("sintomas de dengue", "pt"),
        ("cotação do dólar hoje", "pt"),
        ("como comprar ações", "pt"),
        ("qué es la inflación", "es"),
        ("cómo hacer pan casero", "es"),
        ("receta de tortilla de patatas", "es"),
        ("comment faire des crêpes", "fr"),
        ("was ist photosynthese", "de"),
        ("come fare il tiramisù", "it"),
    ],
)
def test_informational(phrase: str, language: str | None) -> None:
    assert intent(phrase, language) == "informational"


@pytest.mark.parametrize(
    ("phrase", "language"),
    [
        ("facebook", "en"),
        ("gmail login", "en"),
        ("amazon.com", None),
        ("www.straighttalk.com", None),
        ("paypal log in", "en"),
        ("walmart customer service", "en"),
        ("springfield school district", "en"),
        ("university of toledo", "en"),
        ("target store hours", "en"),
        ("facebok", None),
        ("itaú entrar", "pt"),
        ("mercado livre", "pt"),
        ("prefeitura de curitiba", "pt"),
        ("netflix iniciar sesión", "es"),
        ("universidad de granada", "es"),
        ("mercadona horario", "es"),
        ("leboncoin connexion", "fr"),
        ("sparkasse login", "de"),
        ("inps accedi", "it"),
    ],
)
def test_navigational(phrase: str, language: str | None) -> None:
    assert intent(phrase, language) == "navigational"


@pytest.mark.parametrize(
    ("phrase", "language"),
    [
        ("best mattress for back pain", "en"),
        ("iphone 15 vs galaxy s24", "en"),
        ("standing desk", "en"),
        ("bosch dishwasher", "en"),
        ("how much does a wedding photographer cost", "en"),
        ("cheap laptop", "en"),
        ("gift ideas for dad", "en"),
        ("is noom worth it", "en"),
        ("email marketing software", "en"),
        ("melhor notebook para estudar", "pt"),
        ("tênis nike feminino", "pt"),
        ("vale a pena comprar air fryer", "pt"),
        ("quanto custa um implante dentário", "pt"),
        ("mejores auriculares inalámbricos", "es"),
        ("seguro de coche a todo riesgo", "es"),
        ("opiniones colchón emma", "es"),
        ("meilleur aspirateur robot", "fr"),
        ("waschmaschine test", "de"),
        ("migliore macchina del caffè", "it"),
    ],
)
def test_commercial(phrase: str, language: str) -> None:
    assert intent(phrase, language) == "commercial"


@pytest.mark.parametrize(
    ("phrase", "language"),
    [
        ("buy running shoes", "en"),
        ("order pizza online", "en"),
        ("plumber near me", "en"),
        ("locksmith london", "en"),
        ("doordash promo code", "en"),
        ("download vlc", "en"),
        ("iphone 15 price", "en"),
        ("pdf converter", "en"),
        ("apartments for rent in dallas", "en"),
        ("where to buy saffron", "en"),
        ("cheap flights to paris", "en"),
        ("comprar celular", "pt"),
        ("dentista em campinas", "pt"),
        ("cupom de desconto ifood", "pt"),
        ("segunda via conta de luz", "pt"),
        ("vagas de motorista", "pt"),
        ("alquilar piso en madrid", "es"),
        ("descargar whatsapp", "es"),
        ("fontanero cerca de mí", "es"),
        ("pedir cita médico", "es"),
        ("acheter vélo électrique", "fr"),
        ("winterreifen kaufen", "de"),
        ("idraulico vicino a me", "it"),
    ],
)
def test_transactional(phrase: str, language: str) -> None:
    assert intent(phrase, language) == "transactional"


def test_probabilities_are_four_and_sum_to_one() -> None:
    _, features = read(["buy shoes", "zzq", "best price best price", "how to " * 40 + "x"])
    assert features.intents.shape == (4, 4)
    assert features.intents.dtype == np.float32
    assert np.allclose(features.intents.sum(axis=1), 1, atol=1e-6)
    assert np.array_equal(features.intent, features.intents.argmax(axis=1))


@pytest.mark.parametrize(
    ("phrase", "evidence"),
    [
        ("best running shoes for zzq", ["best", "running shoes"]),
        ("gmail login", ["gmail", "login"]),
        ("how to buy bitcoin", ["how to"]),
        ("dentist near me", ["dentist", "near me"]),
        ("zzq wuxa", []),
    ],
)
def test_evidence_is_what_spoke_for_the_intent(phrase: str, evidence: list[str]) -> None:
    words, features = read([phrase], "en")
    assert features.evidence.text(words) == evidence


def test_evidence_is_as_written_in_the_normalized_phrase() -> None:
    words, features = read(["Dentista Perto de Mim", "SAO PAULO hoteis baratos"], "pt")
    assert features.evidence.phrase.tolist() == [0, 0, 1, 1]
    assert features.evidence.text(words) == ["dentista", "perto de mim", "hoteis", "baratos"]


def test_buying_at_a_good_price_is_buying() -> None:
    _, features = read(["buy cheap running shoes", "comprar zapatillas nike baratas", "comprar tênis barato"])
    assert [INTENTS[i] for i in features.intent] == ["transactional"] * 3
    _, features = read(["cheap running shoes", "best place to buy laptops"])
    assert [INTENTS[i] for i in features.intent] == ["commercial"] * 2
