"""Language detection: search phrases of six languages, scripts, markets, honesty, and laws of a batch."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnikeywords.analysis.frequency import build_table, default_table_path
from omnikeywords.analysis.language import (
    LANGUAGES,
    ZIPF_STEPS,
    Detected,
    LanguageModel,
    detect,
    popularity,
)
from omnikeywords.analysis.words import Vocabulary
from omnikeywords.errors import LanguageTableMissing
from omnikeywords.model import Market

PHRASES = {
    "pt": """
        tênis de corrida masculino
        tenis feminino barato
        como tirar mancha de café
        receita de bolo de cenoura
        melhor celular custo benefício
        passagens aéreas baratas para lisboa
        o que é marketing digital
        onde comprar móveis usados
        academia perto de mim
        seguro de carro preço
        conserto de geladeira
        sapato social marrom
        quanto custa um dentista
        cadeira de escritório ergonômica
        vestido de festa longo
        aluguel de apartamento mobiliado
        dor de cabeça todo dia
        geladeira em promoção
        ração para cachorro
        previsão do tempo amanhã
        emprestimo pessoal online
        horário de funcionamento do banco
        curso de inglês gratuito
        bolsas de couro artesanais
        calça jeans cintura alta
    """,
    "es": """
        zapatillas de correr hombre
        como hacer pan casero
        mejores hoteles en madrid
        seguro de coche barato
        alquiler de pisos en valencia
        recetas fáciles para cenar
        cuanto cuesta un abogado
        dolor de espalda baja
        ordenador portátil barato
        vuelos baratos a londres
        qué es el marketing digital
        peluquería cerca de mí
        ofertas de trabajo desde casa
        lavadora no centrifuga
        vestidos de fiesta largos
        aprender inglés gratis
        comprar muebles de segunda mano
        mejor móvil calidad precio
        sillas de oficina baratas
        cómo quitar manchas de vino
        juguetes para perros pequeños
        reparacion de lavadoras
        pronostico del tiempo mañana
        préstamos rápidos sin aval
        regalos para el día de la madre
    """,
    "en": """
        running shoes for women
        best budget laptop
        how to fix a leaking tap
        plumber near me
        cheap flights to tokyo
        what is content marketing
        used cars under 5000
        chocolate chip cookie recipe
        office chair with lumbar support
        car insurance quotes
        winter jackets on sale
        how much does a website cost
        dog food for puppies
        side effects of ibuprofen
        apartments for rent downtown
        crm software for small business
        wedding dress ideas
        why is my wifi slow
        tomorrow's weather
        learn spanish online free
        hiking boots waterproof
        coffee machine repair
        birthday gifts for dad
        cheap office furniture
        yoga classes for beginners
    """,
    "fr": """
        chaussures de course femme
        meilleur ordinateur portable pas cher
        comment enlever une tache de vin
        recette gâteau au chocolat
        assurance voiture jeune conducteur
        location appartement meublé paris
        billets d'avion pas chers
        qu'est-ce que le marketing
        plombier près de chez moi
        mal de dos que faire
        canapé convertible en cuir
        cours d'anglais en ligne
        horaires d'ouverture la poste
        robe de soirée longue
        emploi à domicile
        machine à café à grains
        idées cadeaux pour maman
        prix d'un dentiste
        vélo électrique d'occasion
        croquettes pour chien
    """,
    "de": """
        laufschuhe damen günstig
        wie viel kostet ein zahnarzt
        wohnung mieten berlin
        gebrauchtwagen kaufen
        rezept apfelkuchen einfach
        kaffeemaschine mit mahlwerk
        bester laptop unter 500 euro
        was ist suchmaschinenoptimierung
        klempner in der nähe
        rückenschmerzen was tun
        flüge nach mallorca
        bürostuhl ergonomisch
        kfz versicherung vergleichen
        abendkleid lang
        hundefutter für welpen
        englisch lernen kostenlos
        öffnungszeiten sparkasse
        winterjacke herren
        waschmaschine schleudert nicht
        geschenke zum muttertag
    """,
    "it": """
        scarpe da corsa donna
        miglior telefono economico
        come togliere macchie di vino
        ricetta torta al cioccolato
        assicurazione auto preventivo
        affitto appartamento milano
        voli economici per parigi
        cosa è il marketing digitale
        idraulico vicino a me
        mal di schiena rimedi
        divano letto in pelle
        corso di inglese gratis
        orari di apertura poste
        vestiti da cerimonia lunghi
        lavoro da casa
        macchina del caffè
        regali per la festa della mamma
        quanto costa un dentista
        bici elettrica usata
        cibo per cani
    """,
}

ALL = [(phrase.strip(), language) for language, lines in PHRASES.items() for phrase in lines.strip().split("\n")]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    path = default_table_path()
    try:
        return LanguageModel.load(path)
    except LanguageTableMissing:
        build_table(path)
        return LanguageModel.load(path)


@pytest.fixture(scope="module")
def vocabulary(model: LanguageModel) -> Vocabulary:
    return Vocabulary(model.word_columns)


@pytest.fixture(scope="module")
def said(model: LanguageModel, vocabulary: Vocabulary) -> "Said":
    return Said(model, vocabulary)


class Said:
    """What is said of phrases, as language codes."""

    def __init__(self, model: LanguageModel, vocabulary: Vocabulary) -> None:
        self.model, self.vocabulary = model, vocabulary

    def detected(self, phrases: Sequence[str], market: str | None = None) -> Detected:
        words = self.vocabulary.look_up(phrases)
        return detect(words, self.model, Market.parse(market) if market else None)

    def languages(self, phrases: Sequence[str], market: str | None = None) -> list[str]:
        return [LANGUAGES[i] if i >= 0 else "und" for i in self.detected(phrases, market).index.tolist()]

    def language(self, phrase: str, market: str | None = None) -> str:
        return self.languages([phrase], market)[0]

    def popularity(self, phrase: str, language: str | None) -> float:
        index = np.array([LANGUAGES.index(language) if language else -1], np.int8)
        return float(popularity(self.vocabulary.look_up([phrase]), index, self.model)[0])


def _wrong(said: Said, market: str | None = None) -> list[tuple[str, str]]:
    answers = said.languages([phrase for phrase, _ in ALL], market)
    return [(phrase, answer) for (phrase, language), answer in zip(ALL, answers, strict=True) if answer != language]


def test_the_list_of_phrases_is_long_enough_to_mean_something() -> None:
    assert len(ALL) >= 120
    assert len({phrase for phrase, _ in ALL}) == len(ALL)


def test_search_phrases_of_six_languages_are_told_apart(said: Said) -> None:
    wrong = _wrong(said)
    assert len(wrong) <= 4, wrong


@pytest.mark.parametrize("market", ["pt-BR", "es-ES", "en-US", "fr-FR", "de-DE", "it-IT"])
def test_clear_phrases_keep_their_language_in_any_market(said: Said, market: str) -> None:
    wrong = _wrong(said, market)
    assert len(wrong) <= 8, wrong


@pytest.mark.parametrize(
    ("phrase", "language"),
    [
        ("купить кроссовки", "ru"),
        ("купити кросівки", "uk"),
        ("евтини самолетни билети онлайн", "bg"),
        ("φθηνά παπούτσια", "el"),
        ("נעלי ריצה", "he"),
        ("أفضل مطعم قريب", "ar"),
        ("خرید کفش ورزشی", "fa"),
        ("सस्ते जूते", "hi"),
        ("সস্তা জুতা", "bn"),
        ("மலிவான காலணிகள்", "ta"),
        ("చౌక బూట్లు", "te"),
        ("รองเท้าวิ่งราคาถูก", "th"),
        ("ランニングシューズ おすすめ", "ja"),
        ("東京のホテル", "ja"),
        ("운동화 추천", "ko"),
        ("便宜的跑步鞋", "zh"),
        ("便宜的機票", "zh"),
        ("goedkope hardloopschoenen kopen", "nl"),
        ("tanie buty do biegania", "pl"),
        ("levné běžecké boty", "cs"),
        ("pantofi ieftini de alergat", "ro"),
        ("billiga löparskor herr", "sv"),
        ("halvat juoksukengät netistä", "fi"),
        ("olcsó futócipő vásárlás", "hu"),
        ("ucuz koşu ayakkabısı", "tr"),
        ("harga sepatu lari murah", "id"),
        ("giày chạy bộ giá rẻ", "vi"),
    ],
)
def test_other_languages_and_scripts_are_told(said: Said, phrase: str, language: str) -> None:
    assert said.language(phrase) == language


@pytest.mark.parametrize("phrase", ["2024", "24/7", "iphone 13", "nike", "hotel", "🍕", "", "სასტუმრო", "$100", "h&m"])
def test_what_tells_no_language_is_und_with_no_confidence(said: Said, phrase: str) -> None:
    detected = said.detected([phrase])
    assert detected.index.tolist() == [-1]
    assert detected.confidence.tolist() == [0.0]


@pytest.mark.parametrize("phrase", ["2024", "24/7", "", "სასტუმრო"])
def test_a_market_gives_no_language_to_what_has_no_words_of_it(said: Said, phrase: str) -> None:
    assert said.language(phrase, "pt-BR") == "und"


def test_a_market_decides_between_kin(said: Said) -> None:
    assert said.language("sistema judicial", "pt-BR") == "pt"
    assert said.language("sistema judicial", "es-MX") == "es"


@pytest.mark.parametrize(
    ("market", "language"),
    [("pt-BR", "pt"), ("und-BR", "pt"), ("und-MX", "es"), ("und-US", "en"), ("no-NO", "nb"), ("de", "de")],
)
def test_a_brand_takes_the_language_of_its_market(said: Said, market: str, language: str) -> None:
    assert said.language("nike", market) == language


def test_a_market_of_an_unknown_language_or_country_changes_nothing(said: Said) -> None:
    phrases = [phrase for phrase, _ in ALL]
    plain = said.detected(phrases)
    for market in ("sw-KE", "und-ZZ"):
        np.testing.assert_array_equal(said.detected(phrases, market).confidence, plain.confidence)


@pytest.mark.parametrize(
    ("typed", "language"),
    [("tenis feminino em promocao", "pt"), ("receta de jamon iberico", "es"), ("cote d'azur pas cher", "fr")],
)
def test_accents_left_out_do_not_matter(said: Said, typed: str, language: str) -> None:
    assert said.language(typed) == language


def test_names_in_latin_letters_do_not_turn_a_phrase_of_another_script(said: Said) -> None:
    assert said.language("iphone 15 pro max купить") == "ru"
    assert said.language("python とは") == "ja"


@pytest.mark.parametrize("word", ["amazon.com.br", "www.nike.com", "c++", "mp3", "5kg"])
def test_addresses_units_and_models_say_nothing_of_a_language_unless_listed(model: LanguageModel, word: str) -> None:
    columns = model.word_columns([word])
    assert np.ptp(columns["language"][0]) == 0 or columns["zipf"].any()


def test_confidence_is_a_probability_and_clear_phrases_have_much_of_it(said: Said) -> None:
    confidence = said.detected([phrase for phrase, _ in ALL]).confidence
    assert confidence.dtype == np.float32
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert np.median(confidence) > 0.95


def test_what_may_be_two_languages_is_said_with_less_confidence(said: Said) -> None:
    ambiguous, clear = said.detected(["sistema judicial", "conserto de geladeira"]).confidence.tolist()
    assert ambiguous < 0.8 < 0.95 < clear


def test_a_phrase_among_many_is_told_as_it_is_alone(said: Said) -> None:
    long = " ".join(phrase for phrase, _ in ALL[:12])
    phrases = [phrase for phrase, _ in ALL] * 3 + [long]
    together = said.detected(phrases)
    alone = [said.detected([phrase]) for phrase in (*phrases[:40], long)]
    expected = np.concatenate([one.confidence for one in alone])
    np.testing.assert_array_equal(np.append(together.confidence[:40], together.confidence[-1]), expected)
    assert together.index[-1] == alone[-1].index[0] == LANGUAGES.index("pt")


_texts = st.lists(
    st.text("abcãçñéüя東ア ", min_size=1, max_size=12).map(lambda text: " ".join(text.split())),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(phrases=_texts, seed=st.randoms(use_true_random=False))
def test_the_order_of_a_batch_changes_no_answer(said: Said, phrases: list[str], seed: object) -> None:
    order = list(range(len(phrases)))
    seed.shuffle(order)  # type: ignore[attr-defined]
    straight = said.detected(phrases)
    shuffled = said.detected([phrases[i] for i in order])
    np.testing.assert_array_equal(shuffled.index, straight.index[order])
    np.testing.assert_array_equal(shuffled.confidence, straight.confidence[order])


@settings(max_examples=25, deadline=None)
@given(words=st.lists(st.text(min_size=0, max_size=50), min_size=1, max_size=8, unique=True))
def test_columns_of_a_word_are_its_own(model: LanguageModel, words: list[str]) -> None:
    together = model.word_columns(words)
    for row, word in enumerate(words):
        for name, alone in model.word_columns([word]).items():
            np.testing.assert_array_equal(together[name][row], alone[0])


def test_no_phrases_have_no_languages(said: Said) -> None:
    assert said.languages([]) == []


def test_the_popularity_of_a_word_is_its_zipf_frequency(said: Said) -> None:
    # wordfreq gives "música" 5.56 in Portuguese.
    assert said.popularity("música", "pt") == pytest.approx(5.56, abs=0.03)


def test_a_phrase_is_rarer_than_its_rarest_word(said: Said) -> None:
    # "música" 5.56 and "clássica" 4.14: 1 / (10^-5.56 + 10^-4.14) is 10^4.12.
    assert said.popularity("música clássica", "pt") == pytest.approx(4.12, abs=0.05)


def test_a_phrase_with_an_unknown_word_has_no_popularity(said: Said) -> None:
    assert np.isnan(said.popularity("música xyzzyqwx", "pt"))
    assert np.isnan(said.popularity("", None))


def test_without_a_language_a_word_counts_where_it_is_commonest(said: Said) -> None:
    by_language = [said.popularity("nike", language) for language in LANGUAGES]
    assert said.popularity("nike", None) == pytest.approx(np.nanmax(by_language))


def test_a_lone_symbol_makes_no_phrase_rarer(said: Said) -> None:
    assert said.popularity("salt & pepper", "en") == said.popularity("salt pepper", "en")
    assert np.isnan(said.popularity("&", "en"))


def test_a_compound_is_as_popular_as_its_parts_together(said: Said) -> None:
    assert said.popularity("música-clássica", "pt") == pytest.approx(
        said.popularity("música clássica", "pt"), abs=1.1 / ZIPF_STEPS
    )
