"""The normaliser against a slow one that looks at one phrase, and at one character of it, at a time."""

import random
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnikeywords.analysis.normalise import fold, fold_batch, normalise, normalise_batch
from omnikeywords.analysis.unicode_14 import is_unassigned
from omnikeywords.errors import InvalidKeyword

GOLDEN = Path(__file__).parents[1] / "data" / "normalise_golden.tsv"

PUNCTUATION = set("!\"#%&'()*+,-./:;<=>?@[\\]^_`{|}~·・‧©®™℠")
DIGITS = {chr(ord(zero) + i) for zero in "0٠۰०০੦૦୦௦౦೦൦๐໐０" for i in range(10)}
ALIKE = {
    "-": "‐‑‒–—―⁃−⸺⸻﹘﹣－֊־",
    "'": "`´‘’‚‛′‵ʹʻʼʽˈ＇｀׳\u1fef\u1ffd\u0374",
    '"': "“”„‟″‶«»‹›〝〞〟＂״",
    ",": "，،",
    ":": "：",
    "?": "？؟",
    " ": "¡¿",
    "!": "！",
    ".": "．",
    "/": "／⁄∕",
    "\\": "＼",
    "+": "＋﹢",
    "#": "＃﹟",
    "&": "＆﹠",
    "@": "＠﹫",
    "%": "％﹪",
    "=": "＝",
    "*": "＊",
    "_": "＿",
    "^": "＾",
    "·": "\u0387",
    "〜": "～",
    ";": "‼⁇⁈⁉•‣‥…、。〃､｡；︰؛۔।॥።፣፤፥፦፧፨។៕၊။᠂᠃։"
    "\u037e「」『』【】〔〕〖〗〘〙〚〛《》〈〉（）［］｛｝｟｠｢｣"
    "⟨⟩⟪⟫⟦⟧❨❩❪❫❬❭❮❯❰❱❲❳❴❵⁅⁆﴾﴿︵︶︷︸︹︺︻︼︽︾︿﹀﹁﹂﹃﹄\u2329\u232a＜＞｜",
}
ALIKE_OF = {char: plain for plain, chars in ALIKE.items() for char in chars}
INVISIBLE = set(
    "\xad\u034f\u061c\u0640\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u200b\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\ufeff"
)
BLANK = set("\u115f\u1160\u1361\u2800\u3164\uffa0\ufffc")


def one_character(char: str) -> str:
    code = ord(char)
    if char in ALIKE_OF:
        return ALIKE_OF[char]
    if char in INVISIBLE or 0x2060 <= code <= 0x206F or 0xFE00 <= code <= 0xFE0F or 0xFFF0 <= code <= 0xFFFB:
        return ""
    if 0x1BCA0 <= code <= 0x1BCA3 or 0x1D173 <= code <= 0x1D17A:
        return ""
    noncharacter = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
    if char in BLANK or noncharacter or unicodedata.category(char) in ("Cc", "Co", "Zs", "Zl", "Zp"):
        return " "
    return char


def without_stray_joiners(text: str) -> str:
    letters = ((0x620, 0xDFF), (0xF00, 0x109F), (0x1700, 0x18AF), (0x1900, 0x1CFF), (0xA840, 0xABFF))
    emoji = ((0x2190, 0x2BFF), (0x1F000, 0x1FAFF))

    def are(ranges: tuple[tuple[int, int], ...], chars: str) -> bool:
        return len(chars) == 2 and all(any(a <= ord(char) <= b for a, b in ranges) for char in chars)

    out = ""
    i = 0
    while i < len(text):
        j = i
        while j < len(text) and text[j] in "\u200c\u200d":
            j += 1
        if j == i:
            out += text[i]
            i += 1
        else:
            around = text[max(0, i - 1) : i] + text[j : j + 1]
            if are(letters, around) or (text[i] == "\u200d" and are(emoji, around)):
                out += text[i]
            i = j
    return out


def lower(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    while (joined := unicodedata.normalize("NFC", without_stray_joiners(text))) != text:
        text = joined
    out = ""
    for i, char in enumerate(text):
        if char == "İ":
            out += "i"
        elif char == "Σ":
            begun = re.search("[\u0300-\u03ff\u1f00-\u1fff]$", text[:i])
            goes_on = re.match("[\u0300-\u03ff\u1f00-\u1fff]", text[i + 1 :])
            out += "ς" if begun and not goes_on else "σ"
        else:
            out += char.lower()
    while "i\u0307" in out:
        out = out.replace("i\u0307", "i")
    return unicodedata.normalize("NFC", out)


def is_word(char: str) -> bool:
    return char not in ("", " ") and char not in PUNCTUATION


def address(word: str) -> str:
    found = re.match("[^a-z0-9]*(.*)", word)
    rest = found[1] if found else ""
    begins = re.match(r"[a-z]{2,10}://", rest) or rest.startswith("www.")
    begins = begins or re.match(r"[a-z0-9]+([.-][a-z0-9]+)*\.[a-z]{2,}/", rest)
    return rest if begins and not re.search('["<>]', rest) else ""


def between(phrase: str, start: int, run: str) -> str:
    end = start + len(run)
    left, right = phrase[start - 1 : start].strip(), phrase[end : end + 1].strip()
    word = phrase[:start].split(" ")[-1]
    if not left and not right:
        sign = run.rstrip("?!.,;:")
        if len(sign) == 3 and sign[0] + sign[2] in ("()", "[]", '""', "''"):
            sign = sign[1]
        return sign if len(sign) == 1 and sign in "&+%#@=©®™℠" else ""
    if left and right:
        if run in set("'-./&_=@+^!*·・‧"):
            return run
        if run in set(",:") and left in DIGITS and right in DIGITS:
            return run
        if run in ('"', "''") and all(0x590 < ord(c) < 0x600 for c in left + right):
            return '"'
        if address(word + run + right):
            return run
    run = run.replace("''", '"')
    kept = ""
    if left:
        before = re.split(f"[ {re.escape(''.join(PUNCTUATION))}]", phrase[:start])[-1]
        quoted = any(char == run[0] and not (i and is_word(phrase[i - 1])) for i, char in enumerate(phrase[:start]))
        if run[:2] == "++":
            kept = "++"
        elif (
            run[0] == "+"
            or (left in DIGITS and run[0] in "%*")
            or (left in DIGITS and run[0] in "'\"" and not quoted)
            or (run[0] == "#" and re.fullmatch("[a-z]", before))
            or (run[0] == "-" and run[:2] != "--" and not right and before in ("a", "b", "c", "d", "o", "ab", "rh"))
            or (run[0] == ")" and "(" in address(word))
        ):
            kept = run[0]
    if not right:
        return kept
    rest = run[len(kept) :]
    space = ""
    if left:
        if not rest or rest in set("'-./&_=@+^!*·・‧"):
            return kept + rest
        joint = "".join(c for c in rest if c not in ".,'\"!?:;\\")
        if joint and joint == joint[0] * len(joint) and (joint[0] in "-/_" or joint in set("&+@=")):
            return kept + joint[0]
        if set(rest) == {"*"}:
            return kept + rest
        space = " "
    for length in (2, 1):
        sign, before = rest[-length:], rest[:-length]
        if len(sign) < length or (before and before[-1] not in "([{\"',/|<"):
            continue
        if sign in (".", "#", "@") or (right in DIGITS and sign in ("-", "+", "-.", "+.", "%")):
            broad = sign[0] == "+" and re.search(r"(^| )\+[^ 0-9+.]", phrase)
            return kept + space + (sign[1:] if broad else sign)
    return kept + space


def slow(phrase: object) -> str:
    """The normalized phrase, or "!" and the reason of its error."""
    if not isinstance(phrase, str):
        return "!not_text"
    if len(phrase) > 2800:
        return "!too_long"
    if any(0xD800 <= ord(char) <= 0xDFFF for char in phrase):
        return "!surrogate"
    text = "".join(one_character(char) for char in phrase)
    flag = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f"
    parts = re.split(f"({flag})", text)
    parts[::2] = ["".join(c for c in part if not 0xE0000 <= ord(c) <= 0xE0FFF) for part in parts[::2]]
    segments = [""]
    for char in "".join(parts):
        if is_unassigned(char):
            segments += [char, ""]
        else:
            segments[-1] += char
    segments[::2] = map(lower, segments[::2])
    text = "".join(segments)
    out = ""
    i = 0
    while i < len(text):
        j = i
        while j < len(text) and text[j] in PUNCTUATION:
            j += 1
        if j == i:
            out += text[i]
            i += 1
        else:
            out += between(text, i, text[i:j])
            i = j
    result = " ".join(word for word in out.split(" ") if word)
    if not result:
        return "!empty"
    return result if len(result.encode()) <= 700 else "!too_long"


def fast(phrases: list[str]) -> list[str]:
    normalized, errors = normalise_batch(phrases)
    assert all(normalized[i] == "" for i in errors)
    return [f"!{errors[i].params['reason']}" if i in errors else text for i, text in enumerate(normalized)]


def golden_inputs() -> list[str]:
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()[1:]
    escape = re.compile(r"\\(u[0-9a-f]{4}|U[0-9a-f]{8}|\\)")
    inputs = (line.split("\t")[0] for line in lines)
    return [escape.sub(lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16)), text) for text in inputs]


# What meets in keywords, and what is treated specially.
PIECES = [
    *"aabco59 .,-+#@/&'\"()<>:?!*=_%;^\\|~`§é¿’“”…–·™®°€éＷ：。\u3000\xa0\t\n",
    *["www.", "http://", "x.com/", "++", "''", "--", "...", " +", "rh-", "ab-", " - "],
    *["İ", "Σ", "Α", "σ", "ß", "J", "i", "\u0301", "\u0307", "\u0323", "\u030c", "ё", "й", "\u0306"],
    *[
        "\u200c",
        "\u200d",
        "\ufe0f",
        "\u200b",
        "\u0640",
        "م",
        "ی",
        "צ",
        "क",
        "\u093c",
        "\u09c7",
        "\u09be",
        "か",
        "\u3099",
    ],
    *[
        "❤",
        "👩",
        "🏴",
        "\U000e0067\U000e0062\U000e007f",
        "\ud800",
        "\ue000",
        "\uffff",
        "\ua7cb",
        "\U0001fae8",
    ],
]
PHRASES = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=9).map("".join),
    st.text(st.characters(codec="utf-8").filter(lambda c: not is_unassigned(c)), max_size=8),
)


def test_golden_phrases_agree() -> None:
    phrases = golden_inputs()
    assert fast(phrases) == [slow(phrase) for phrase in phrases]


@settings(max_examples=300, deadline=None)
@given(st.lists(PHRASES, min_size=1, max_size=12))
def test_a_batch_agrees_phrase_by_phrase(phrases: list[str]) -> None:
    assert fast(phrases) == [slow(phrase) for phrase in phrases]


def test_random_punctuation_agrees() -> None:
    draw = random.Random(20251)
    phrases = ["".join(draw.choices(PIECES, k=draw.randint(1, 9))) for _ in range(8000)]
    phrases += ["".join(draw.choices("ab5 .,-+#@/&'\"():?!*%", k=draw.randint(2, 12))) for _ in range(8000)]
    assert fast(phrases) == [slow(phrase) for phrase in phrases]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the oracle's categories are those of Unicode 14.0")
def test_every_character_agrees_alone_and_between_letters() -> None:
    known = [
        chr(code)
        for code in (
            *range(0x3400),
            *range(0xA000, 0xAC00),
            *range(0xD7F0, 0x11000),
            *range(0x1D000, 0x20000),
        )
    ]
    phrases = known + [f"a{char}5" for char in known if not char.isalnum()]
    assert fast(phrases) == [slow(phrase) for phrase in phrases]


@settings(max_examples=200, deadline=None)
@given(st.lists(PHRASES, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_an_item_is_the_same_in_any_batch(phrases: list[str], draw: random.Random) -> None:
    together = dict(zip(phrases, fast(phrases), strict=True))
    draw.shuffle(phrases)
    assert fast(phrases) == [together[phrase] for phrase in phrases]
    assert [fast([phrase])[0] for phrase in phrases] == [together[phrase] for phrase in phrases]


@settings(max_examples=400, deadline=None)
@given(st.one_of(PHRASES, st.text(max_size=12)))
def test_normalising_and_folding_twice_is_once(phrase: str) -> None:
    try:
        once = normalise(phrase)
    except InvalidKeyword:
        return
    assert normalise(once) == once
    assert fold(fold(once)) == fold(once)


def test_every_character_normalised_and_folded_twice_is_once() -> None:
    # Planes 4 to 13 are unassigned, 15 and 16 private.
    codes = (*range(0x40000), *range(0xE0000, 0xE2000), *range(0xFFFF0, 0x100010))
    once, _ = normalise_batch([f"{before}{chr(code)}" for before in ("", "e ") for code in codes])
    kept = sorted(set(once))
    assert fast(kept)[1:] == kept[1:]
    assert kept[0] == ""
    folded = fold_batch(kept)
    assert fold_batch(folded) == folded


@settings(max_examples=200, deadline=None)
@given(st.one_of(PHRASES, st.text(max_size=12)))
def test_nothing_unprintable_and_no_stray_space_comes_out(phrase: str) -> None:
    text = normalise_batch([phrase])[0][0]
    assert text == " ".join(text.split(" "))
    assert text == text.strip()
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Co", "Zl", "Zp") for char in text)
    assert len(text.encode()) <= 700


@settings(max_examples=200, deadline=None)
@given(PHRASES)
def test_composed_and_decomposed_text_is_the_same_keyword(phrase: str) -> None:
    assert fast([unicodedata.normalize("NFD", phrase)]) == fast([unicodedata.normalize("NFC", phrase)])
