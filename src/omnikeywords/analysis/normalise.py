"""From a phrase as somebody typed or exported it to the phrase that people see and that its id is made of.

`normalise` gives Unicode NFC, lower case, one kind of quote, dash and space, and only the punctuation that carries
meaning; `fold` goes on from there to what accents, width and ligatures do not tell apart, for matching.

What stays of punctuation, and why, by example:

    c++  c#  .net  node.js  24/7  wi-fi  at&t  l'oréal  1,000  3.5  16:9  $100  100%  18+  #tag  @handle  a@b.com
        inside a word, or where a sign belongs to the word beside it (`_tail`, `_lead`)
    6'2"
        feet and inches, unless a quotation that was opened before ends there
    m & s  1 + 1  % of gdp  what is @
        signs that people read aloud as a word stay when they stand alone
    https://x.com/a?b=c
        the inside of an address stays whole
    "phrase"  [exact]  +broad  (aside)  ¿qué?  ...  word-  - word  dyson™
        goes: match types of advertising tools, sentence punctuation, trade marks behind a name

The whole batch is treated as one text, a phrase a line, because Python's string operations then run at C speed. Lines
that hold something unusual (marks to compose, characters beyond the first plane) go apart, so that one of them does
not slow down the others.
"""

import re
import unicodedata
from collections.abc import Sequence

from omnikeywords.analysis.unicode_14 import COMPOSING, UNASSIGNED, character_class, is_unassigned, split_unassigned
from omnikeywords.errors import InvalidKeyword

__all__ = ["MAX_BYTES", "NORMALISER_VERSION", "fold", "fold_batch", "normalise", "normalise_batch"]

NORMALISER_VERSION = 1  # keyword ids begin with it: another result for any phrase is another version
MAX_BYTES = 700  # of a normalized phrase in UTF-8
_MAX_RAW = 4 * MAX_BYTES  # characters; what is longer is refused unread, so that a megabyte costs nothing


def normalise(phrase: object) -> str:
    """The phrase as people see it: at most MAX_BYTES of UTF-8, no control characters, single spaces inside.

    Raises InvalidKeyword where it is no text, nothing is left of it, it is too long, or it has lone surrogates.
    """
    normalized, errors = normalise_batch((phrase,))
    if errors:
        raise errors[0]
    return normalized[0]


def normalise_batch(phrases: Sequence[object]) -> tuple[list[str], dict[int, InvalidKeyword]]:
    """`normalise` of each of N phrases, "" where it cannot be done, and the errors by index; raises nothing."""
    errors: dict[int, InvalidKeyword] = {}
    if not phrases:
        return [], errors
    try:
        text = "\n".join(phrases)  # type: ignore[arg-type]  # checking each would cost more than the joining
        sound = text.count("\n") == len(phrases) - 1 and (
            len(text) <= _MAX_RAW or max(map(len, phrases)) <= _MAX_RAW  # type: ignore[arg-type]
        )
    except TypeError:
        sound = False
    if not sound:
        text = "\n".join(_joinable(phrases, errors))
    text = text.translate(_ASCII) if text.isascii() else _settle_characters(text, errors)
    text = _RUN.sub(_settle_run, text)
    while "  " in text:
        text = text.replace("  ", " ")
    normalized = text.replace(" \n", "\n").replace("\n ", "\n").strip(" ").split("\n")
    if "" in normalized or len(text) > MAX_BYTES // 4:
        _refuse(normalized, errors)
    return normalized, errors


def _joinable(phrases: Sequence[object], errors: dict[int, InvalidKeyword]) -> list[str]:
    """The phrases without line feeds; empty where they are no text or far too long."""
    lines = []
    for i, phrase in enumerate(phrases):
        line = ""
        if not isinstance(phrase, str):
            errors[i] = InvalidKeyword(
                f"a keyword must be text, not {type(phrase).__name__}: put it in quotes", reason="not_text"
            )
        elif len(phrase) > _MAX_RAW:
            errors[i] = InvalidKeyword(
                f"keyword {phrase[:20]!r}... has {len(phrase)} characters: at most {MAX_BYTES} bytes are allowed",
                reason="too_long",
                limit=MAX_BYTES,
            )
        else:
            line = phrase.replace("\n", " ")
        lines.append(line)
    return lines


def _refuse(normalized: list[str], errors: dict[int, InvalidKeyword]) -> None:
    """Enter an error for each phrase of which nothing is left or too much."""
    if "" in normalized:
        for i, phrase in enumerate(normalized):
            if not phrase and i not in errors:
                errors[i] = InvalidKeyword(
                    "keyword is empty: it needs at least one letter, digit or symbol", reason="empty"
                )
    if max(map(len, normalized)) > MAX_BYTES // 4:
        for i, phrase in enumerate(normalized):
            if len(phrase) > MAX_BYTES // 4 and (size := len(phrase.encode())) > MAX_BYTES:
                normalized[i] = ""
                errors[i] = InvalidKeyword(
                    f"keyword {phrase[:20]!r}... has {size} bytes: at most {MAX_BYTES} are allowed",
                    reason="too_long",
                    limit=MAX_BYTES,
                )


# ----- characters ----------------------------------------------------------------------------------------------------

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2e3a\u2e3b\ufe58\ufe63\uff0d\u058a\u05be"
_SINGLE_QUOTES = "`´‘’‚‛′‵ʹʻʼʽˈ＇｀\u05f3\u1fef\u1ffd\u0374"
_DOUBLE_QUOTES = "“”„‟″‶«»‹›〝〞〟＂\u05f4"
# Ends of sentences and brackets of all scripts: never part of a word, as ";".
_STOPS = (
    "¡¿‼⁇⁈⁉•‣‥…、。〃､｡；︰？؛؟۔।॥።፣፤፥፦፧፨។៕၊။᠂᠃։\u037e「」『』【】〔〕〖〗〘〙〚〛《》〈〉（）［］｛｝"
    "｟｠｢｣⟨⟩⟪⟫⟦⟧❨❩❪❫❬❭❮❯❰❱❲❳❴❵⁅⁆﴾﴿︵︶︷︸︹︺︻︼︽︾︿﹀﹁﹂﹃﹄\u2329\u232a＜＞｜"
)
_AS_ASCII = dict(zip("，،：！．／⁄∕＼＋﹢＃﹟＆﹠＠﹫％﹪＝＊＿＾", ",,:!.///\\++##&&@@%%=*_^", strict=True))
_SPACES = (
    "\x00-\x09\x0b-\x1f\x7f-\xa0\u1361\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    "\u115f\u1160\u2800\u3164\uffa0"  # letters and a symbol that are blank
    "\ue000-\uf8ff\ufdd0-\ufdef\ufffc\ufffe\uffff"  # private use and noncharacters: nobody can read or type them
)
# Soft hyphen, zero-width spaces, marks of direction, Arabic tatweel, variation selectors (❤ and ❤️ are one keyword).
_DELETED = (
    "\xad\u034f\u061c\u0640\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f"
    "\ufeff\ufff0-\ufffb"
)


def _characters(ranges: str) -> str:
    """Every character of the inside of a class of a regular expression."""
    return re.sub("(.)-(.)", lambda m: "".join(map(chr, range(ord(m[1]), ord(m[2]) + 1))), ranges, flags=re.DOTALL)


_REPLACEMENTS = (
    dict.fromkeys(_DASHES, "-")
    | dict.fromkeys(_SINGLE_QUOTES, "'")
    | dict.fromkeys(_DOUBLE_QUOTES, '"')
    | dict.fromkeys(_STOPS, ";")
    | _AS_ASCII
    | {"·": "·", "\u0387": "·", "～": "〜"}
    | dict.fromkeys(_characters(_SPACES), " ")
    | dict.fromkeys(_characters(_DELETED), "")
)
del _REPLACEMENTS["·"]
# Control characters are spaces, capitals small, all in one pass.
_ASCII = "".join(_REPLACEMENTS.get(chr(i), chr(i).lower()) for i in range(128))
_REPLACED = re.compile("[" + re.escape(_DASHES + _SINGLE_QUOTES + _DOUBLE_QUOTES + _STOPS + "".join(_AS_ASCII))
                       + "\u0387～" + _SPACES + _DELETED + "]")  # fmt: skip

# Beyond the first plane: the tags of a subdivision's flag stay, other tags and invisible controls go.
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_ASTRAL_FLAG_OR_DELETED = re.compile(
    "(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f)"
    "|[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_ASTRAL_UNREADABLE = re.compile(
    "[" + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0xF0000, 0x10000))
    + "\U000f0000-\U0010ffff]"
)  # fmt: skip

# Zero-width joiners mean something between letters of joining scripts (Persian, Indic) and between emoji.
_JOINERS = re.compile("[\u200c\u200d]+")
_JOINED_LETTER = re.compile("[\u0620-\u085f\u0860-\u08ff\u0900-\u0dff\u0f00-\u109f\u1700-\u18af\u1900-\u1cff\ua840-\uabff]")
_JOINED_EMOJI = re.compile("[\u2190-\u2bff\U0001f000-\U0001faff]")

_FINAL_SIGMA = re.compile("(?<=[\u0300-\u03ff\u1f00-\u1fff])Σ(?![\u0300-\u03ff\u1f00-\u1fff])")
_DOTTED_I = re.compile("i\u0307+")

# A line with one of these is treated apart.
_UNUSUAL = re.compile(
    "[\ud800-\udfff\U00010000-\U0010ffff"
    + character_class(COMPOSING)
    + character_class(UNASSIGNED, last=0xFFFF)
    + "]"
)


def _settle_characters(text: str, errors: dict[int, InvalidKeyword]) -> str:
    """Lower-case NFC lines with one kind of quote, dash and space; a line that is not valid Unicode is emptied."""
    if not _UNUSUAL.search(text):
        return _lower(_join(_replace(text)))
    lines = text.split("\n")
    unusual = [i for i, line in enumerate(lines) if not line.isascii() and _UNUSUAL.search(line)]
    apart = []
    for i in unusual:
        line = lines[i]
        try:
            line.encode()
        except UnicodeEncodeError as error:
            errors[i] = InvalidKeyword(
                f"keyword {line[:20]!r} holds a lone surrogate at {error.start}: repair its encoding",
                reason="surrogate",
                position=error.start,
            )
            line = ""
        apart.append(line)
        lines[i] = ""
    lines = _lower(_join(_replace("\n".join(lines)))).split("\n")
    cleaned = _replace("\n".join(apart))
    if _ASTRAL.search(cleaned):
        cleaned = _ASTRAL_UNREADABLE.sub(" ", _ASTRAL_FLAG_OR_DELETED.sub(r"\1", cleaned))
    parts = split_unassigned(_join(cleaned))
    parts[::2] = map(_lower, parts[::2])
    for i, line in zip(unusual, "".join(parts).split("\n"), strict=True):
        lines[i] = line
    return "\n".join(lines)


def _replace(text: str) -> str:
    return _REPLACED.sub(lambda match: _REPLACEMENTS[match[0]], text)


def _join(text: str) -> str:
    """Only the zero-width joiners that join, each of them single."""
    if "\u200c" not in text and "\u200d" not in text:
        return text
    return _JOINERS.sub(_joiner, text)


def _joiner(match: re.Match[str]) -> str:
    start, end = match.span()
    before, after = match.string[start - 1 : start], match.string[end : end + 1]
    joins = (_JOINED_LETTER.match(before) and _JOINED_LETTER.match(after)) or (
        match[0][0] == "\u200d" and _JOINED_EMOJI.match(before) and _JOINED_EMOJI.match(after)
    )
    return match[0][0] if joins else ""


def _lower(text: str) -> str:
    """NFC in lower case, the same in every version of Unicode."""
    text = unicodedata.normalize("NFC", text)
    # Turkish İ would become i and a dot above it, which nobody types; whether I is ı depends on an unknown market.
    if "İ" in text:
        text = text.replace("İ", "i")
    # str.lower() looks further around a sigma than a word, and what it skips there changes between versions.
    if "Σ" in text:
        text = _FINAL_SIGMA.sub("ς", text).replace("Σ", "σ")
    text = text.lower()
    if "\u0307" in text:
        text = _DOTTED_I.sub("i", text)
    return unicodedata.normalize("NFC", text)  # J̌ has no capital of its own, ǰ is one character


# ----- punctuation ---------------------------------------------------------------------------------------------------

_CONTEXTUAL = "!\"#%&'()*+,-./:;<=>?@[\\]^_`{|}~·・‧©®™℠"
_RUN = re.compile(f"[{re.escape(_CONTEXTUAL)}]+")
_SPACE_OR_CONTEXTUAL = frozenset(" \n" + _CONTEXTUAL)
# Alone between two words, these hold them together; "c++" and the like come from `_tail`.
_GLUE = frozenset("'-./&_=@+^!*·・‧")
_BETWEEN_DIGITS = frozenset(",:")
_READ_ALOUD = frozenset("&+%#@=©®™℠")
_SOFT = dict.fromkeys(map(ord, ".,'\"!?:;\\"))
_JOINTS = frozenset("-/&+@_=")
_DIGITS = frozenset(
    chr(zero + i)
    for zero in (0x30, 0x660, 0x6F0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50, 0xED0, 0xFF10)
    for i in range(10)
)
_SINGLE_LETTER = re.compile(f"(?:^|[ \n{re.escape(_CONTEXTUAL)}])[a-z]$")
_GRADE = re.compile(f"(?:^|[ \n{re.escape(_CONTEXTUAL)}])(?:[abcdo]|ab|rh)$")  # blood groups and school marks
# The beginning of a word that is a web address: a scheme, www, or a domain with a path; what follows is all of it.
_ADDRESS = re.compile(r"[^a-z0-9]*((?:[a-z]{2,10}://|www\.|[a-z0-9]+(?:[.-][a-z0-9]+)*\.[a-z]{2,}/)[^\"<>]*)$")
_LEADING = re.compile(r"(?:^|[(\[{\"',/|<])(\.|[#@])$")
_LEADING_TO_DIGIT = re.compile(r"(?:^|[(\[{\"',/|<])([-+]\.?|\.|[#@])$")


def _settle_run(match: re.Match[str]) -> str:
    """What stays of a run of punctuation, given the characters around it."""
    run, text = match[0], match.string
    start, end = match.span()
    left, right = text[start - 1 : start], text[end : end + 1]
    after_word, before_word = left not in " \n", right not in " \n"  # "" at an end is in every string
    if after_word and before_word:
        if run in _GLUE or (run in _BETWEEN_DIGITS and left in _DIGITS and right in _DIGITS):
            return run
        if "\u0590" < left < "\u0600" and "\u0590" < right < "\u0600" and run in ('"', "''"):
            return '"'  # Hebrew abbreviations
        if _address(text, start, run + right):
            return run
    elif not (after_word or before_word):
        return run if run in _READ_ALOUD else ""
    run = run.replace("''", '"')
    kept = _tail(text, start, left, run, before_word) if after_word else ""
    if not before_word:
        return kept
    if not after_word:
        return _lead(run, right)
    rest = run[len(kept) :]
    if not rest or rest in _GLUE:
        return kept + rest
    joint = rest.translate(_SOFT)
    if joint in _JOINTS or (joint and not joint.strip(joint[0]) and joint[0] in "-/_"):
        return kept + joint[0]  # u.s.-mexico, and\/or, --
    if not rest.strip("*"):
        return run  # f**k
    return f"{kept} {_lead(rest, right)}"


def _tail(text: str, start: int, left: str, run: str, before_word: bool) -> str:
    """The beginning of a run that belongs to the word before it: c++, c#, 100%, 6'2", 5*, o-."""
    sign = run[0]
    if sign == "+":
        return run[:2] if run.startswith("++") else "+"
    if left in _DIGITS:
        if sign in "%*" or (sign in "'\"" and not _opened(text, start, sign)):
            return sign
    if sign == "#" and _SINGLE_LETTER.search(text, max(0, start - 2), start):
        return sign
    if run == "-" and not before_word and _GRADE.search(text, max(0, start - 3), start):
        return sign
    if sign == ")" and "(" in _address(text, start, ""):
        return sign  # ...wikipedia.org/wiki/python_(language)
    return ""


def _lead(run: str, right: str) -> str:
    """The end of a run that belongs to the word after it: .net, #tag, @handle, -5, +44."""
    found = (_LEADING_TO_DIGIT if right in _DIGITS else _LEADING).search(run)
    return found[1] if found else ""


def _opened(text: str, start: int, quote: str) -> bool:
    """Whether a quotation with this quote began earlier in the line, so that the one at `start` may end it."""
    line = text.rfind("\n", 0, start) + 1
    found = text.find(quote, line, start)
    while found >= 0:
        if found == line or text[found - 1] in _SPACE_OR_CONTEXTUAL:
            return True
        found = text.find(quote, found + 1, start)
    return False


def _address(text: str, start: int, more: str) -> str:
    """What stands between the last space and `start`, and `more`, from where a web address begins; "" for none."""
    word = max(text.rfind(" ", 0, start), text.rfind("\n", 0, start)) + 1
    found = _ADDRESS.match(text[word:start] + more)
    return found[1] if found else ""


# ----- folding -------------------------------------------------------------------------------------------------------

# Letters that no decomposition takes apart, as people without them on the keyboard write them.
_PLAIN = {
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "ħ": "h",
    "ı": "i",
    "ŧ": "t",
    "ŋ": "n",
    "ĸ": "k",
    "ƒ": "f",
    "ə": "e",
    "♯": "#",
    "\u2044": "/",
    # Arabic: what keyboards and Persian, Urdu and Egyptian habit write for one another.
    "ٱ": "ا",
    "ى": "ي",
    "ی": "ي",
    "ې": "ي",
    "ک": "ك",
    "ة": "ه",
    "ە": "ه",
    "ہ": "ه",
    "ھ": "ه",
    "\u200c": "",
    "\u200d": "",
}
# Marks that are accents or optional points: Latin, Greek and Cyrillic; Hebrew and Arabic points; Devanagari's nukta,
# often left out in typing. Vowel signs, tone marks of Thai and Lao, and Japanese dakuten make other words: they stay.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u0652\u0656-\u065f"
    "\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u093c\u1ab0-\u1ace\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f]+"
)
# Letters of their own on every keyboard that has them (мой is not мои); ё is not among them: most write е for it.
_WHOLE = frozenset("йїўѓќ")
_ALEFS = frozenset("أإآ")
_NON_ASCII = re.compile("[^\x00-\x7f]+")


class _Folds(dict[int, str]):
    """The folding of each character, found out when it is first met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        folded = self[code] = char if is_unassigned(char) else _fold_character(char)
        return folded


def _fold_character(char: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).casefold())
    if char not in " " and folded.startswith(" "):
        folded = folded.lstrip(" ")  # a spacing accent: NFKC makes a space and a mark of it
    plain = []
    for part in folded:
        if part in _WHOLE:
            plain.append(part)
            continue
        if part in _ALEFS:
            plain.append("ا")
            continue
        decomposed = unicodedata.normalize("NFD", part)
        stripped = unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed))
        for letter in stripped:
            letter = _PLAIN.get(letter, letter)
            plain.append(str(unicodedata.decimal(letter, letter)) if len(letter) == 1 else letter)
    return "".join(plain)


_FOLDS = _Folds()


def fold(text: str) -> str:
    """A normalized phrase without what writers leave out: NFKC, case folding, no accents, plain Latin letters.

    "são" and "sao", "straße" and "strasse", "ｗｉ－ｆｉ" and "wi-fi", "أحمد" and "احمد" come out alike; "мой" and "мои",
    "か" and "が", Indic and Thai vowels stay apart. Punctuation and spaces stay. Folding twice is folding once.
    """
    if text.isascii():
        return text
    return fold_batch([text])[0]


def fold_batch(normalized: Sequence[str]) -> list[str]:
    """`fold` of each of N normalized phrases."""
    text = "\n".join(normalized)
    if not text.isascii():
        text = _NON_ASCII.sub(_fold_run, text)
        while "  " in text:
            text = text.replace("  ", " ")
        text = text.replace(" \n", "\n").replace("\n ", "\n").strip(" ")
    return text.split("\n") if normalized else []


def _fold_run(match: re.Match[str]) -> str:
    folded = match[0].translate(_FOLDS)
    # Half-width kana and jamo compose only beside each other.
    return folded if folded.isascii() else unicodedata.normalize("NFC", folded)
