"""Words to their pieces and roots: punctuation, accents, inflection, spelling."""

import numpy as np
import pytest

from omnikeywords.analysis.roots import fold_piece, inflection_roots, pieces, spelling_root
from omnikeywords.analysis.stop_words import STOP_INSIDE, STOP_LEADING


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("shoes", ("shoes",)),
        ("wi-fi", ("wi", "fi")),
        ("amazon.com", ("amazon", "com")),
        ("www.amazon.com", ("amazon", "com")),
        ("node.js", ("node", "js")),
        (".net", (".net",)),
        ("c++", ("c++",)),
        ("c#", ("c#",)),
        ("#python", ("python",)),
        ("100%", ("100%",)),
        ("$5", ("$5",)),
        ("3.5", ("3.5",)),
        ("24/7", ("24/7",)),
        ("1,000", ("1000",)),
        ("10-20", ("10", "20")),
        ("f-150", ("f", "150")),
        ("women's", ("women",)),
        ("don't", ("dont",)),
        ("l'oréal", ("loréal",)),
        ("what's", ("what", "is")),
        ("he'll", ("he", "will")),
        ("at&t", ("att",)),
        ("black&white", ("black", "white")),
        ("u.s.", ("us",)),
        ("x™", ("x",)),
        ("हिन्दी", ("हिन्दी",)),
        ("-", ()),
    ],
)
def test_a_word_is_cut_at_its_punctuation_but_not_at_its_meaning(word, expected):
    assert pieces(word) == expected


def test_accents_are_folded_unless_they_make_another_word():
    assert fold_piece("são") == "sao"
    assert fold_piece("música") == "musica"
    assert len({fold_piece("avó"), fold_piece("avô"), fold_piece("avo")}) == 3
    assert fold_piece("año") != fold_piece("ano")
    assert fold_piece("papá") != fold_piece("papa")


def _dictionary(frequencies):
    def zipf(words):
        return np.array([[frequencies.get(word, 0.0)] for word in words], np.float32)

    return zipf


def test_a_plural_becomes_the_singular_that_the_dictionary_knows_best():
    zipf = _dictionary(
        {"shoes": 4.9, "shoe": 4.4, "sho": 2.0, "colores": 4.4, "color": 5.0, "botoes": 3.8, "botao": 4.2}
        | {"flores": 4.7, "flor": 4.7, "boxes": 4.2, "box": 5.0, "hoteis": 4.0, "hotel": 5.0}
    )
    words = ["shoes", "colores", "botoes", "flores", "boxes", "hoteis"]
    assert inflection_roots(words, zipf) == ["shoe", "color", "botao", "flor", "box", "hotel"]


def test_a_known_word_without_a_known_singular_is_no_plural():
    zipf = _dictionary({"texas": 5.0, "glass": 5.0, "onus": 3.0, "basis": 4.5})
    words = ["texas", "glass", "onus", "basis", "news", "lens", "paris", "tenis", "lapis", "onibus", "adidas"]
    assert inflection_roots(words, zipf) == words


def test_an_unknown_word_loses_its_s():
    assert inflection_roots(["zorblats"], _dictionary({})) == ["zorblat"]


def test_numbers_lose_an_s_only_where_it_makes_no_other_number():
    words = ["2015s", "747s", "90s", "1960s", "5s", "d300s", "4kidstvs"]
    assert inflection_roots(words, None) == ["2015", "747", "90s", "1960s", "5s", "d300s", "4kidstv"]


def test_irregular_plurals_and_adjectives_of_two_genders():
    assert inflection_roots(["men", "women", "children", "feet", "paes", "feminina", "roja"], None) == [
        "man",
        "woman",
        "child",
        "foot",
        "pao",
        "feminino",
        "rojo",
    ]


@pytest.mark.parametrize(
    ("root", "other"),
    [
        ("colour", "color"),
        ("favourite", "favorite"),
        ("organize", "organise"),
        ("organization", "organisation"),
        ("jewellery", "jewelry"),
        ("grey", "gray"),
        ("contacto", "contato"),
        ("projecto", "projeto"),
    ],
)
def test_spellings_of_one_word_share_a_root(root, other):
    assert spelling_root(root) == spelling_root(other)


def test_stop_words_are_of_their_language_and_place():
    assert STOP_INSIDE["da"] & 0b10  # Portuguese
    assert not STOP_INSIDE["da"] & 0b1  # English
    for word in ("é", "not", "without"):
        assert word not in STOP_INSIDE
    for word in ("da", "é", "not", "without"):
        assert word not in STOP_LEADING
