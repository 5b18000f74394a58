import re
import unicodedata
from pathlib import Path

import pytest

from omnikeywords.analysis import unicode_14
from omnikeywords.analysis.normalise import fold, fold_batch, normalise, normalise_batch
from omnikeywords.errors import InvalidKeyword

GOLDEN = Path(__file__).parents[1] / "data" / "normalise_golden.tsv"
ESCAPE = re.compile(r"\\(u[0-9a-f]{4}|U[0-9a-f]{8}|\\)")


def unescape(text: str) -> str:
    return ESCAPE.sub(lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16)), text)


def golden() -> list[tuple[str, str]]:
    header, *lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    assert header == "input\tnormalized"
    return [(unescape(given), unescape(wanted)) for given, wanted in (line.split("\t") for line in lines)]


def test_golden_phrases_never_change() -> None:
    rows = golden()
    assert len(rows) > 2000
    normalized, errors = normalise_batch([given for given, _ in rows])
    made = [f"!{errors[i].params['reason']}" if i in errors else text for i, text in enumerate(normalized)]
    assert [(given, text) for (given, _), text in zip(rows, made, strict=True)] == rows


def test_golden_phrases_alone_are_the_same_as_in_a_batch() -> None:
    for given, wanted in golden()[::7]:
        if wanted.startswith("!"):
            with pytest.raises(InvalidKeyword):
                normalise(given)
        else:
            assert normalise(given) == wanted


@pytest.mark.parametrize(
    "phrase",
    [
        "c++",
        "c#",
        "f#",
        ".net",
        "node.js",
        "24/7",
        "wi-fi",
        "at&t",
        "h & m",
        "1/2",
        "3.5 mm",
        "1,000",
        "$100",
        "100%",
        "50°",
        "@handle",
        "#tag",
        "amazon.com",
        "a@b.com",
        "what's",
        "6'2\"",
        "€",
        "são paulo",
        "l'oréal",
        "straße",
        "https://www.x.com/a?b",
        "18+",
        "o- blood type",
        "i ❤ ny",
        "👍🏽",
        "-5",
        "+44 code",
        "16:9",
        "5* hotel",
    ],
)
def test_what_carries_meaning_stays(phrase: str) -> None:
    assert normalise(phrase) == phrase


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ('"red shoes"', "red shoes"),
        ('"""red shoes"""', "red shoes"),
        ("[red shoes]", "red shoes"),
        ("+red +shoes +42", "red shoes 42"),
        ("Red Shoes?!", "red shoes"),
        ("¿red (shoes)?", "red shoes"),
        ("red – shoes", "red shoes"),
        ("red\u00a0\tshoes\r\n", "red shoes"),
        ("red\u200b sho\u00ades\ufeff", "red shoes"),
        ("Red™ shoes®", "red shoes"),
        ('"iphone 13"', "iphone 13"),
        ("L’ORÉAL", "l'oréal"),
        ("Wi‑Fi", "wi-fi"),
        ("İSTANBUL", "istanbul"),
        ("ΟΔΟΣ ΕΡΜΟΥ", "οδος ερμου"),
        ("sa\u0303o", "são"),
    ],
)
def test_what_only_surrounds_words_goes(given: str, wanted: str) -> None:
    assert normalise(given) == wanted


def test_errors_are_of_the_item_and_say_what_is_wrong() -> None:
    normalized, errors = normalise_batch(["ok", "???", 7, "a" * 701, "x\ud800", None, "é" * 351, "fine", b"raw"])
    assert normalized == ["ok", "", "", "", "", "", "", "fine", ""]
    assert {i: error.params["reason"] for i, error in errors.items()} == {
        1: "empty",
        2: "not_text",
        3: "too_long",
        4: "surrogate",
        5: "not_text",
        6: "too_long",
        8: "not_text",
    }
    assert str(errors[2]) == "a keyword must be text, not int: put it in quotes"
    assert str(errors[3]) == "keyword 'aaaaaaaaaaaaaaaaaaaa'... has 701 bytes: at most 700 are allowed"
    assert "\\ud800" in str(errors[4])


def test_no_phrases_are_no_results() -> None:
    assert normalise_batch([]) == ([], {})
    assert fold_batch([]) == []


def test_the_limit_is_of_the_normalized_bytes() -> None:
    assert normalise(" " * 400 + "a" * 700 + "?") == "a" * 700
    assert normalise("É" * 350) == "é" * 350
    # Two code points each after composition rules have taken them apart: 6 bytes.
    with pytest.raises(InvalidKeyword, match="702 bytes"):
        normalise("\u0958" * 117)


def test_what_is_far_too_long_is_refused_unread() -> None:
    _, errors = normalise_batch(["a b " * 250_000, "short"])
    assert list(errors) == [0]
    assert str(errors[0]).startswith("keyword 'a b a b a b a b a b '... has 1000000 characters")


def test_code_points_that_unicode_14_did_not_know_are_left_alone() -> None:
    # Capitals of Unicode 16.0 and a face of 15.0, between letters that do change.
    assert normalise("É\ua7cbÉ \u1c89 \U0001fae8Ü") == "é\ua7cbé \u1c89 \U0001fae8ü"
    assert fold("\ua7cbé") == "\ua7cbe"


@pytest.mark.parametrize(
    ("phrase", "folded"),
    [
        ("são paulo", "sao paulo"),
        ("straße", "strasse"),
        ("smørrebrød", "smorrebrod"),
        ("łódź", "lodz"),
        ("cœur", "coeur"),
        ("ığdır", "igdir"),
        ("điện thoại", "dien thoai"),
        ("ñandú", "nandu"),
        ("οδός", "οδοσ"),
        ("ёлка", "елка"),
        ("мой", "мой"),
        ("її", "її"),
        ("أحمد إلى آخر", "احمد الي اخر"),
        ("قُرْآن", "قران"),
        ("کتاب‌های", "كتابهاي"),
        ("۱۲۳ ٤٥ ६७", "123 45 67"),
        ("बाज़ार की", "बाजार की"),
        ("น้ำผึ้ง", "น้ําผึ้ง"),
        ("ガンダム", "ガンダム"),
        ("ｶﾞﾝﾀﾞﾑ", "ガンダム"),
        ("ｗｉ-ｆｉ ５", "wi-fi 5"),
        ("한국어", "한국어"),
        ("½ m²", "1/2 m2"),
        ("№ 5", "no 5"),
        ("l'oréal wi-fi c++", "l'oreal wi-fi c++"),
    ],
)
def test_folding_forgets_accents_and_keeps_words_apart(phrase: str, folded: str) -> None:
    assert fold(phrase) == folded


def test_a_batch_folds_as_its_items() -> None:
    phrases = ["são", "plain", "", "ｶﾞ ñ", "c++", "straße 5"]
    assert (
        fold_batch(phrases) == [fold(phrase) for phrase in phrases] == ["sao", "plain", "", "ガ n", "c++", "strasse 5"]
    )


def test_the_table_of_unassigned_code_points_is_that_of_unicode_14() -> None:
    assigned_later = unicodedata.unidata_version != "14.0.0"
    for code in range(0x110000):
        char = chr(code)
        settled = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF or code == 0x2065
        settled = settled or 0xFFF0 <= code <= 0xFFF8 or 0xE0000 <= code <= 0xE0FFF
        unassigned = unicodedata.category(char) == "Cn" and not settled
        if assigned_later:
            assert unicode_14.is_unassigned(char) >= unassigned
        else:
            assert unicode_14.is_unassigned(char) == unassigned


def test_only_the_composing_characters_are_changed_by_composition() -> None:
    composing = {code for a, b in unicode_14.ranges(unicode_14.COMPOSING) for code in range(a, b + 1)}
    for code in range(0x10000):
        if 0xD800 <= code < 0xE000 or unicode_14.is_unassigned(chr(code)):
            continue
        pair = unicodedata.decomposition(chr(code)).split()
        if len(pair) == 2 and pair[0][0] != "<" and unicodedata.normalize("NFC", chr(code)) == chr(code):
            assert int(pair[1], 16) in composing
        if unicodedata.normalize("NFC", chr(code)) != chr(code):
            assert code in composing
