"""From a phrase as somebody typed or exported it to the phrase that people see and its id is made of.

`normalise` gives Unicode NFC, lower case, one kind of quote, dash and space, and only the punctuation that
carries meaning; `fold` goes on from there to what accents, width and ligatures do not tell apart.

What stays of punctuation, and why, by example:

    c++  c#  .net  node.js  24/7  wi-fi  at&t  l'oréal  1,000  3.5  16:9  $100  100%  18+  #tag  @me  a@b.com
        inside a word, or where a sign belongs to the word beside it (`_tail`, `_lead`)
    6'2"
        feet and inches, unless a quotation that was opened before ends there
    m & s  1 + 1  % of gdp  what is @
        signs that people read aloud as a word stay when they stand alone
    https://x.com/a?b=c
        the inside of an address stays whole
    "phrase"  [exact]  +broad  (aside)  ¿qué?  ...  word-  - word  dyson™
        goes: match types of advertising tools, sentence punctuation, trade marks behind a name

The whole batch is treated as one text, a phrase a line, because Python's string operations then run at C
speed. Lines that hold something unusual (marks to compose, characters beyond the first plane) go apart, so
that one of them does not slow down the others.
"""

import re
import unicodedata
from collections.abc import Sequence

from omnikeywords.analysis.unicode_14 import (
    COMPOSING,
    UNASSIGNED,
    character_class,
    is_unassigned,
    split_unassigned,
)
from omnikeywords.errors import InvalidKeyword

__all__ = ["MAX_BYTES", "fold", "fold_batch", "normalise", "normalise_batch"]

MAX_BYTES = 700  # of a normalized phrase in UTF-8
_MAX_RAW = 4 * MAX_BYTES  # characters; what is longer is refused unread, so that a megabyte costs nothing


def normalise(phrase: object) -> str:
    """The phrase as people see it: at most MAX_BYTES of UTF-8, no control characters, single spaces inside.

    Raises InvalidKeyword where it is no text, nothing is left of it, it is too long or has lone surrogates.
    """
    normalized, errors = normalise_batch((phrase,))
    if errors:
        raise errors[0]
    return normalized[0]


def normalise_batch(phrases: Sequence[object]) -> tuple[list[str], dict[int, InvalidKeyword]]:
    """`normalise` of each of N phrases, "" where it cannot be done, and the errors by index."""
    errors: dict[int, InvalidKeyword] = {}
    if not phrases:
        return [], errors
    try:
        text = "\n".join(phrases)  # type: ignore[arg-type]  # checking each would cost more than the joining
        longest = len(text) if len(text) <= MAX_BYTES else max(map(len, phrases))  # type: ignore[arg-type]
        sound = longest <= _MAX_RAW and text.count("\n") == len(phrases) - 1
    except TypeError:
        sound = False
    if not sound:
        text = "\n".join(_joinable(phrases, errors))
        longest = _MAX_RAW
    if text.isascii():
        text = text.translate(_ASCII)
    else:
        text = _settle_characters(text, errors)
        longest *= 12  # no character becomes more than three, of four bytes each
    text = _settle_punctuation(text)
    while "  " in text:
        text = text.replace("  ", " ")
    normalized = text.replace(" \n", "\n").replace("\n ", "\n").strip(" ").split("\n")
    if "" in normalized or longest > MAX_BYTES:
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
    for i in [i for i, phrase in enumerate(normalized) if len(phrase) > MAX_BYTES // 4]:
        phrase = normalized[i]
        if (size := len(phrase.encode())) > MAX_BYTES:
            normalized[i] = ""
            errors[i] = InvalidKeyword(
                f"keyword {phrase[:20]!r}... has {size} bytes: at most {MAX_BYTES} are allowed",
                reason="too_long",
                limit=MAX_BYTES,
            )


# ----- characters -------------------------------------------------------------------------------------------

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2e3a\u2e3b\ufe58\ufe63\uff0d\u058a\u05be"
_SINGLE_QUOTES = "`´‘’‚‛′‵ʹʻʼʽˈ＇｀\u05f3\u1fef\u1ffd\u0374"
_DOUBLE_QUOTES = "“”„‟″‶«»‹›〝〞〟＂\u05f4"
# Ends of sentences and brackets of all scripts: never part of a word, as ";".
_STOPS = (
    "‼⁇⁈⁉•‣‥…、。〃､｡；︰؛۔।॥።፣፤፥፦፧፨។៕၊။᠂᠃։\u037e「」『』【】〔〕〖〗〘〙〚〛《》〈〉（）［］｛｝"
    "｟｠｢｣⟨⟩⟪⟫⟦⟧❨❩❪❫❬❭❮❯❰❱❲❳❴❵⁅⁆﴾﴿︵︶︷︸︹︺︻︼︽︾︿﹀﹁﹂﹃﹄\u2329\u232a＜＞｜"
)
_AS_ASCII = dict(zip("，،：！？؟．／⁄∕＼＋﹢＃﹟＆﹠＠﹫％﹪＝＊＿＾", ",,:!??.///\\++##&&@@%%=*_^", strict=True))
_SPACES = (
    "\x00-\x09\x0b-\x1f\x7f-\xa0\u1361\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    "¡¿\u115f\u1160\u2800\u3164\uffa0"  # the latter are letters and a symbol, but blank
    "\ue000-\uf8ff\ufdd0-\ufdef\ufffc\ufffe\uffff"  # private use, noncharacters: nobody can read them
)
# Soft hyphen, zero-width spaces, marks of direction, Arabic tatweel, variation selectors (a heart is the same
# keyword with one and without).
_DELETED = (
    "\xad\u034f\u061c\u0640\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f"
    "\ufeff\ufff0-\ufffb"
)


def _characters(ranges: str) -> str:
    """Every character of the inside of a class of a regular expression."""
    return re.sub("(?s)(.)-(.)", lambda m: "".join(map(chr, range(ord(m[1]), ord(m[2]) + 1))), ranges)


_REPLACEMENTS = (
    dict.fromkeys(_DASHES, "-")
    | dict.fromkeys(_SINGLE_QUOTES, "'")
    | dict.fromkeys(_DOUBLE_QUOTES, '"')
    | dict.fromkeys(_STOPS, ";")
    | _AS_ASCII
    | {"\u0387": "·", "～": "〜"}
    | dict.fromkeys(_characters(_SPACES), " ")
    | dict.fromkeys(_characters(_DELETED), "")
)
# Control characters are spaces, capitals small, all in one pass.
_ASCII = "".join(_REPLACEMENTS.get(chr(i), chr(i).lower()) for i in range(128))
_REPLACED = re.compile(f"[{re.escape(''.join(_REPLACEMENTS))}]")

# Beyond the first plane: the tags of a subdivision's flag stay, other tags and invisible controls go.
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_ASTRAL_FLAG_OR_DELETED = re.compile(
    "(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f)"
    "|[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_NONCHARACTERS = "".join(f"{chr(last - 1)}{chr(last)}" for last in range(0x1FFFF, 0xF0000, 0x10000))
_ASTRAL_UNREADABLE = re.compile(f"[{_NONCHARACTERS}\U000f0000-\U0010ffff]")

# Zero-width joiners mean something between letters of joining scripts (Persian, Indic) and between emoji.
_JOINERS = re.compile("[\u200c\u200d]+")
_JOINED_LETTER = re.compile("[\u0620-\u0dff\u0f00-\u109f\u1700-\u18af\u1900-\u1cff\ua840-\uabff]")
_JOINED_EMOJI = re.compile("[\u2190-\u2bff\U0001f000-\U0001faff]")

_FINAL_SIGMA = re.compile("(?<=[\u0300-\u03ff\u1f00-\u1fff])Σ(?![\u0300-\u03ff\u1f00-\u1fff])")
_DOTTED_I = re.compile("i\u0307+")

# A line with one of these is treated apart.
_UNUSUAL = re.compile(
    "[\ud800-\udfff\U00010000-\U0010ffff"
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670"  # marks that are often out of order
    + character_class(COMPOSING)
    + character_class(UNASSIGNED, last=0xFFFF)
    + "]"
)


def _settle_characters(text: str, errors: dict[int, InvalidKeyword]) -> str:
    """Lower-case NFC lines with one kind of quote, dash and space; what is not valid Unicode is emptied."""
    if len(text) < 500 and not _UNUSUAL.search(text):
        return _lower(_replace(text))  # too little for a division to pay
    lines = text.split("\n")
    beyond_ascii = [i for i, line in enumerate(lines) if not line.isascii()]
    apart = [lines[i] for i in beyond_ascii]
    for i in beyond_ascii:
        lines[i] = ""
    lines = "\n".join(lines).translate(_ASCII).split("\n")
    settled = _settle_lines(apart, beyond_ascii, errors)
    for i, line in zip(beyond_ascii, settled, strict=True):
        lines[i] = line
    return "\n".join(lines)


def _settle_lines(lines: list[str], indexes: list[int], errors: dict[int, InvalidKeyword]) -> list[str]:
    """What `_settle_characters` does to lines beyond ASCII, which have these indexes in the batch."""
    text = "\n".join(lines)
    if not _UNUSUAL.search(text):
        return _lower(_replace(text)).split("\n")
    unusual = [i for i, line in enumerate(lines) if _UNUSUAL.search(line)]
    for i in unusual:
        try:
            lines[i].encode()
        except UnicodeEncodeError as error:
            errors[indexes[i]] = InvalidKeyword(
                f"keyword {lines[i][:20]!r} holds a lone surrogate at {error.start}: repair its encoding",
                reason="surrogate",
                position=error.start,
            )
            lines[i] = ""
    apart = _replace("\n".join([lines[i] for i in unusual]))
    if _ASTRAL.search(apart):
        apart = _ASTRAL_UNREADABLE.sub(" ", _ASTRAL_FLAG_OR_DELETED.sub(r"\1", apart))
    parts = split_unassigned(apart)
    parts[::2] = map(_lower, parts[::2])
    settled = "".join(parts).split("\n")
    for i in unusual:
        lines[i] = ""
    lines = _lower(_replace("\n".join(lines))).split("\n")
    for i, line in zip(unusual, settled, strict=True):
        lines[i] = line
    return lines


def _replace(text: str) -> str:
    return _REPLACED.sub(lambda match: _REPLACEMENTS[match[0]], text)


def _joiner(match: re.Match[str]) -> str:
    start, end = match.span()
    before, after = match.string[start - 1 : start], match.string[end : end + 1]
    joins = (_JOINED_LETTER.match(before) and _JOINED_LETTER.match(after)) or (
        match[0][0] == "\u200d" and _JOINED_EMOJI.match(before) and _JOINED_EMOJI.match(after)
    )
    return match[0][0] if joins else ""


def _lower(text: str) -> str:
    """NFC in lower case, the same in every version of Unicode."""
    composed = text = unicodedata.normalize("NFC", text)
    if "\u200c" in text or "\u200d" in text:
        # Without a joiner between them marks may change places, and then stand beside another joiner.
        while (joined := _JOINERS.sub(_joiner, text)) != text:
            text = unicodedata.normalize("NFC", joined)
    # Turkish İ would become i and a dot above it, which nobody types. I becomes i, the market being unknown.
    if "İ" in text:
        text = text.replace("İ", "i")
    # str.lower() looks further around a sigma than a word, and what it skips there changes between versions.
    if "Σ" in text:
        text = _FINAL_SIGMA.sub("ς", text).replace("Σ", "σ")
    text = text.lower()
    if "\u0307" in text:
        text = _DOTTED_I.sub("i", text)
    if text == composed:
        return composed
    return unicodedata.normalize("NFC", text)  # ǰ is one character, its capital is two


# ----- punctuation ------------------------------------------------------------------------------------------

_CONTEXTUAL = "!\"#%&'()*+,-./:;<=>?@[\\]^_`{|}~·・‧©®™℠"
# Punctuation is searched for in bytes, one a character: many times as fast as by a regular expression.
_BEYOND_LATIN_1 = "・‧™℠"
_SETTLED: dict[str, str] = {}  # what stays of a run, with a character on each side
_IS_CONTEXTUAL = bytes(chr(i) in _CONTEXTUAL and chr(i) != "?" for i in range(256))
_SPACE_OR_CONTEXTUAL = frozenset(" \n" + _CONTEXTUAL)
# Alone between two words, these hold them together; "c++" and the like come from `_tail`.
_GLUE = frozenset("'-./&_=@+^!*·・‧")
_TAILS = frozenset("+%*'\"#-)")
_BETWEEN_DIGITS = frozenset(",:")
_READ_ALOUD = "[&+%#@=©®™℠]"
_ALONE = re.compile(r"(?:(S)|\((S)\)|\[(S)\]|\"(S)\"|'(S)')[?!.,;:]*".replace("S", _READ_ALOUD))
_SOFT = dict.fromkeys(map(ord, ".,'\"!?:;\\"))
_JOINTS = frozenset("-/&+@_=")
_DIGITS = frozenset(chr(zero + i) for zero in map(ord, "0٠۰०০੦૦୦௦౦೦൦๐໐０") for i in range(10))
_SINGLE_LETTER = re.compile(f"(?:^|[ \n{re.escape(_CONTEXTUAL)}])[a-z]$")
_GRADE = re.compile(f"(?:^|[ \n{re.escape(_CONTEXTUAL)}])(?:[abcdo]|ab|rh)$")  # blood groups and school marks
# A word that is a web address from its scheme, www, or domain with a path on.
_ADDRESS = re.compile(r"[^a-z0-9]*((?:[a-z]{2,10}://|www\.|[a-z0-9]+(?:[.-][a-z0-9]+)*\.[a-z]{2,}/)[^\"<>]*)$")
_LEADING = re.compile(r"(?:^|[(\[{\"',/|<])(\.|[#@])$")
_LEADING_TO_DIGIT = re.compile(r"(?:^|[(\[{\"',/|<])([-+]\.?|[.%#@])$")
_BROAD_MATCH = re.compile(r"(?:^|[ \n])\+[^ \n0-9+.]")  # as in "+red +shoes +42"


def _settle_punctuation(text: str) -> str:
    """Lines with only the punctuation that carries meaning; spaces may be left over."""
    text = f"{text}\n".replace("?\n", "\n")  # by far the most frequent
    # "?" is what encode() writes for characters that Latin-1 does not have.
    same_length = text.replace("?", "!")
    for sign in _BEYOND_LATIN_1:
        same_length = same_length.replace(sign, "!")
    marked = same_length.encode("latin-1", "replace").translate(_IS_CONTEXTUAL)
    start = marked.find(1)
    if start < 0:
        return text[:-1]
    pieces: list[str] = []
    end = 0
    find, look_up = marked.find, _SETTLED.get
    while start >= 0:
        before, end = end, find(0, start)
        kept = look_up(text[start - 1 : end + 1])
        if kept is None:
            kept = _settle_run(text, start, end)
        pieces += text[before:start], kept
        start = find(1, end)
    pieces.append(text[end:-1])
    return "".join(pieces)


def _settle_run(text: str, start: int, end: int) -> str:
    """What stays of a run of punctuation, given the characters around it."""
    run = text[start:end]
    left, right = text[start - 1 : start] or "\n", text[end]
    after_word, before_word = left not in " \n", right not in " \n"
    kept = _settle_between(text, start, left, run, right, after_word, before_word)
    near = run in _GLUE if after_word and before_word else not after_word or run[0] not in _TAILS
    if near and "+" not in run:  # nothing further away had a say: the next such run is looked up
        if len(_SETTLED) >= 10_000:
            _SETTLED.clear()
        _SETTLED[left + run + right] = kept
    return kept


def _settle_between(text: str, start: int, left: str, run: str, right: str, after_word: bool, before_word: bool) -> str:
    if after_word and before_word:
        if run in _GLUE or (run in _BETWEEN_DIGITS and left in _DIGITS and right in _DIGITS):
            return run
        if "\u0590" < left < "\u0600" and "\u0590" < right < "\u0600" and run in ('"', "''"):
            return '"'  # Hebrew abbreviations
        if _address(text, start, run + right):
            return run
    elif not (after_word or before_word):
        alone = _ALONE.fullmatch(run)
        return alone[alone.lastindex or 0] if alone else ""
    run = run.replace("''", '"')
    kept = _tail(text, start, left, run, before_word) if after_word and run[0] in _TAILS else ""
    if not before_word:
        return kept
    if not after_word:
        return _lead(text, start, run, right)
    rest = run[len(kept) :]
    if not rest or rest in _GLUE:
        return kept + rest
    joint = rest.translate(_SOFT)
    if joint in _JOINTS or (joint and not joint.strip(joint[0]) and joint[0] in "-/_"):
        return kept + joint[0]  # u.s.-mexico, and\/or, --
    if not rest.strip("*"):
        return run  # f**k
    return f"{kept} {_lead(text, start, rest, right)}"


def _tail(text: str, start: int, left: str, run: str, before_word: bool) -> str:
    """The beginning of a run that belongs to the word before it: c++, c#, 100%, 6'2", 5*, o-."""
    sign = run[0]
    if sign == "+":
        return run[:2] if run.startswith("++") else "+"
    if left in _DIGITS and (sign in "%*" or (sign in "'\"" and not _opened(text, start, sign))):
        return sign
    if sign == "#" and _SINGLE_LETTER.search(text, max(0, start - 2), start):
        return sign
    if sign == "-" and not before_word and run[:2] != "--" and _GRADE.search(text, max(0, start - 3), start):
        return sign
    if sign == ")" and "(" in _address(text, start, ""):
        return sign  # ...wikipedia.org/wiki/python_(language)
    return ""


def _lead(text: str, start: int, run: str, right: str) -> str:
    """The end of a run that belongs to the word after it: .net, #tag, @handle, -5, +44, %50."""
    found = (_LEADING_TO_DIGIT if right in _DIGITS else _LEADING).search(run)
    if not found:
        return ""
    if found[1][0] == "+" and _BROAD_MATCH.search(text, *_line(text, start)):
        return found[1][1:]
    return found[1]


def _line(text: str, start: int) -> tuple[int, int]:
    """Where the line around `start` begins, its line feed before it included, and where it ends."""
    return max(text.rfind("\n", 0, start), 0), text.index("\n", start)


def _opened(text: str, start: int, quote: str) -> bool:
    """Whether a quotation began earlier in the line with this quote, which may end at `start`."""
    line = text.rfind("\n", 0, start) + 1
    found = text.find(quote, line, start)
    while found >= 0:
        if found == line or text[found - 1] in _SPACE_OR_CONTEXTUAL:
            return True
        found = text.find(quote, found + 1, start)
    return False


def _address(text: str, start: int, more: str) -> str:
    """What stands between the last space and `start`, and `more`, if it is a web address, else ""."""
    word = max(text.rfind(" ", 0, start), text.rfind("\n", 0, start)) + 1
    found = _ADDRESS.match(text[word:start] + more)
    return found[1] if found else ""


# ----- folding ----------------------------------------------------------------------------------------------

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
# Marks that are accents or optional points: Latin, Greek and Cyrillic; Hebrew and Arabic points; Devanagari's
# nukta, often left out in typing. Vowel signs, Thai and Lao tone marks and Japanese dakuten make other words.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u1ab0-\u1ace\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f"
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u093c]+"
)
# Letters of their own on every keyboard that has them (мой is not мои); for ё most people write е.
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
    folded = folded.strip(" ")  # NFKC makes a space and a mark of a spacing accent
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
    """A normalized phrase without what writers leave out: NFKC, case folding, no accents, plain letters.

    "são" and "sao", "straße" and "strasse", full and normal width, "أحمد" and "احمد" come out alike; "мой"
    and "мои", "か" and "が", Indic and Thai vowels stay apart. Punctuation and spaces stay. Folding twice is
    folding once. A phrase of accents alone folds to nothing.
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
