"""Numbers as people's spreadsheets write them, a column at a time.

What `1.234` means cannot be told from one cell, so it is told from the column (`Marks`): every cell whose
shape leaves no doubt (`12,5`, `1.234,56`, `1,234,567`) is a witness of the column's decimal mark, and only
the doubtful ones are read by it. Plain numbers go through polars at once; the rest is read once a distinct
text.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

__all__ = ["CURRENCIES", "MISSING", "Decimals", "Marks", "Number", "Numbers", "read_number", "read_numbers", "witness"]

_ISO_4217 = (
    "AED ARS AUD BDT BGN BOB BRL CAD CHF CLP CNY COP CRC CZK DKK DOP DZD EGP EUR GBP GTQ HKD HNL HRK HUF "
    "IDR ILS INR JPY KES KRW KWD KZT LKR MAD MXN MYR NGN NIO NOK NZD PAB PEN PHP PKR PLN PYG QAR RON RSD "
    "RUB SAR SEK SGD THB TND TRY TWD UAH USD UYU VES VND ZAR"
)
CURRENCIES = frozenset(_ISO_4217.split())

# Folded texts that say "nothing known"; a missing number stays missing.
_UNKNOWN = (
    "|#n/a|*|+∞|-|--|---|-inf|-∞|.|...|?|desconhecido|desconocido|inconnu"
    "|inf|infinity|n.a.|n.d.|n/a|na|nan|nd|nil|no data|none|not available|null|s/d"
    "|sconosciuto|sem dados|sin datos|unbekannt|unknown|–|—|…|∞"
)
MISSING = frozenset(_UNKNOWN.split("|"))

_SCALES = {
    word: power
    for power, words in {
        3: "k mil mille tsd tys тыс thousand bin tis ribu rb t 千 천",
        4: "万 萬 만",
        5: "lakh lac",
        6: "m mi mio mln mn million millions milhao milhão milhões milhoes millón millon millones "
        "milione milioni mill millionen mlyn млн milyon jt juta miljoen milj mm 백만 百万 ",
        7: "crore cr",
        8: "億 亿 억",
        9: "b bn bi mrd mld md billion bilhões bilhão млрд milliard milliards milliarde milliarden "
        "miliardi milmillones ",
    }.items()
    for word in words.split()
}

# Signs that name one currency. "$", "¥" and "kr" alone name several.
_SIGNS = (
    "US$=USD USD=USD U$S=USD A$=AUD AU$=AUD CA$=CAD C$=CAD NZ$=NZD HK$=HKD S$=SGD NT$=TWD MX$=MXN R$=BRL "
    "€=EUR £=GBP ₹=INR ₽=RUB ₩=KRW ₺=TRY ₴=UAH ₫=VND ₪=ILS ₱=PHP ₦=NGN zł=PLN Kč=CZK CN¥=CNY JP¥=JPY ฿=THB"
)
_CURRENCY_SIGNS = tuple(pair.split("=") for pair in _SIGNS.split())
_SIGN = re.compile(
    "|".join(re.escape(sign) for sign, _ in sorted(_CURRENCY_SIGNS, key=lambda pair: -len(pair[0])))
    + r"|(?<![A-Za-z])[A-Z]{3}(?![A-Za-z])"
)
_SIGN_CODES = dict(pair.split("=") for pair in _SIGNS.split())
_LONE_SIGNS = re.compile(r"[$¥]|(?<![a-z])kr\.?(?![a-z])|(?<![a-z])rs\.?(?![a-z])", re.IGNORECASE)
_SPACES = re.compile(r"[\s\u00a0\u202f\u2009\u2007\u200b\u2060']+|’")
_NUMBER = re.compile(r"([+-]?)(\d[\d.,]*|[.,]\d+)(?:e([+-]?\d{1,2}))?([^\W\d_]*)\.?", re.IGNORECASE)
_GROUPED = re.compile(r"\d{1,3}(?:[.,]\d{2,3})*[.,]\d{3}")  # by thousands, or as in India: 1,00,000
_RANGE = re.compile(r"(?<=[\w.])(?:[–—~〜～−]|-(?=\D?\D?\D?\D?\d)|\b(?:to|a|à|bis|до|至)\b)(?=.*\d)", re.IGNORECASE)
# Spaces go before the words are told from the numbers, so these stand apart first.
_WORD_RANGE = re.compile(r"(?<=[\w.])\s+(?:to|a|à|bis|tot|do|до|ile|and|e|y)\s+(?=\D{0,4}\d)", re.IGNORECASE)
_SPACED_HYPHEN = re.compile(r"(?<=\S)\s+[-–—−]\s+(?=\S)")
_DIGITS = {
    ord(c): str(n)
    for zero in ("٠", "۰", "०", "০", "๐", "０")
    for n, c in enumerate(chr(ord(zero) + i) for i in range(10))
} | {ord("٫"): ".", ord("٬"): ",", ord("٪"): "%", ord("％"): "%", ord("，"): ",", ord("−"): "-"}


@dataclass(slots=True)
class Marks:
    """What is known of a column's decimal mark: the number of witnesses of each."""

    points: int = 0
    commas: int = 0

    @property
    def decimal(self) -> str | None:
        """`.` or `,`, whichever has more witnesses; None without any (or as many of each)."""
        if self.points == self.commas:
            return None
        return "." if self.points > self.commas else ","

    def see(self, texts: Iterable[str]) -> None:
        """Count the witnesses among texts."""
        for text in texts:
            mark = witness(text)
            if mark == ".":
                self.points += 1
            elif mark == ",":
                self.commas += 1

    def __add__(self, other: "Marks") -> "Marks":
        return Marks(self.points + other.points, self.commas + other.commas)


_WITNESSES = 50  # of a column's decimal mark, after which no more are looked for
_MARKED = re.compile(r"\d*(?:[.,]\d+)+")


def witness(text: str) -> str | None:
    """The decimal mark that a text's shape proves, or None.

    >>> witness("12,5"), witness("1.234,56"), witness("1.234.567"), witness("1.234")
    (',', ',', ',', None)
    """
    match = _MARKED.search(_SPACES.sub("", text))
    if match is None:
        return None
    digits = match[0]
    points, commas = digits.count("."), digits.count(",")
    if points and commas:
        return "." if digits.rfind(".") > digits.rfind(",") else ","
    mark, other = (".", ",") if points else (",", ".")
    if points + commas > 1:
        return other
    before, after = digits.split(mark)
    if len(after) != 3 or len(before) > 3 or not before or before[0] == "0":
        return mark
    return None


@dataclass(frozen=True, slots=True)
class Number:
    """A number or a range as a cell gives it; all None where the cell says that nothing is known."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    percent: bool = False  # the value is what stood before a percent sign, divided by 100
    currency: str | None = None

    @property
    def is_range(self) -> bool:
        """Whether it is a range or a bound, not one number."""
        return self.low is not None or self.high is not None


def read_number(text: str, decimal: str = ".") -> Number | None:
    """Read one cell; None where it is no number at all.

    `decimal` is used where the shape leaves the mark open (`1.234`); "" says that such a mark groups
    thousands. Takes signs of currency, percent, thousands by point, comma, space or apostrophe, words of
    scale (`6,1 milhões`, `10K`) and ranges (`10K – 100K`, `< 10`, `1M+`).
    """
    if not text.isascii():
        text = text.translate(_DIGITS)
    text = text.strip().strip("\u00a0\u202f\u200b\ufeff")
    if text.casefold() in MISSING:
        return Number()
    currency = None
    sign = _SIGN.search(text)
    if sign is not None:
        code = _SIGN_CODES.get(sign[0], sign[0])
        if sign[0] in _SIGN_CODES or code in CURRENCIES:
            currency = code
            text = _SIGN.sub(lambda m: "" if _SIGN_CODES.get(m[0], m[0]) == code else m[0], text)
    text = _LONE_SIGNS.sub("", text)
    percent = "%" in text
    if percent:
        text = text.replace("%", "")
    text = _WORD_RANGE.sub("–", text)
    text = _SPACED_HYPHEN.sub("–", text)
    text = _SPACES.sub("", text)
    if text[:1] in "<≤":
        high = _one(text.lstrip("<≤="), decimal)
        return None if high is None else Number(low=0.0, high=high, percent=percent, currency=currency)
    if text[:1] in ">≥" or text[-1:] == "+":
        low = _one(text.lstrip(">≥=").rstrip("+"), decimal)
        return None if low is None else Number(low=low, percent=percent, currency=currency)
    parts = _RANGE.split(text)
    if len(parts) == 2:
        low, high = _one(parts[0], decimal), _one(parts[1], decimal)
        if low is None or high is None or low > high:
            return None
        return Number(low=low, high=high, percent=percent, currency=currency)
    value = _one(text, decimal, -2 if percent else 0)
    return None if value is None else Number(value=value, percent=percent, currency=currency)


def _one(text: str, decimal: str, power: int = 0) -> float | None:
    if text[:1] == "(" and text[-1:] == ")":  # bookkeepers' minus
        text = "-" + text[1:-1]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, digits, exponent, word = match.groups()
    scale = 0
    if word:
        found = _SCALES.get(word.casefold())
        if found is None:
            return None
        scale = found
    mark = witness(digits)
    if mark is None:
        mark = decimal
        # "1.234" before a word of scale is no count of its own: the mark is the decimal one.
        if word and digits.count(".") + digits.count(",") == 1:
            mark = "." if "." in digits else ","
        if not mark:
            mark = "," if "." in digits else "."
    other = "," if mark == "." else "."
    whole = digits.replace(other, "").replace(mark, ".")
    if whole.count(".") > 1 or (other in digits and not _GROUPED.fullmatch(digits.split(mark)[0])):
        return None
    # One conversion from the decimal text, so that 3.53 % is 0.0353 and not its neighbour.
    number = float(f"{sign}{whole}e{int(exponent or 0) + scale + power}")
    return number if math.isfinite(number) else None


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column read: N values and, where cells had them, bounds, currencies and cells that are no numbers."""

    value: pl.Series  # Float64
    low: pl.Series | None = None  # Float64, where any cell is a range
    high: pl.Series | None = None
    currency: pl.Series | None = None  # String, where any cell names one
    unreadable: pl.Series | None = None  # Boolean, where any cell has text that is no number

    @property
    def is_range(self) -> pl.Series | None:
        """Boolean, where any cell is a range."""
        return None if self.low is None or self.high is None else self.low.is_not_null() | self.high.is_not_null()


_KNOWN_AT_MOST = 50_000  # distinct texts remembered a column


def read_numbers(texts: pl.Series, decimal: str, known: dict[str, Number | None] | None = None) -> Numbers:
    """Read a String column of N cells; `known` remembers texts of the column from batch to batch.

    `known` must be used with one `decimal` only.
    """
    name = texts.name
    if texts.dtype != pl.String:
        value = texts.cast(pl.Float64, strict=False)
        # NaN is how some tools say that nothing is known; an infinity was a number larger than any that can be kept.
        endless = value.is_infinite()
        finite = pl.select(pl.when(value.is_finite()).then(value)).to_series().rename(name)
        return Numbers(finite, unreadable=endless if endless.any() else None)
    quick = texts.cast(pl.Float64, strict=False)
    doubtful = quick.is_null() & texts.is_not_null()
    if decimal != ".":
        doubtful |= texts.str.contains(r"\.\d{3}$")
    if quick.is_nan().any() or quick.is_infinite().any():
        doubtful |= ~quick.is_finite()
    if not doubtful.any():
        return Numbers(quick)
    known = {} if known is None else known
    distinct = texts.filter(doubtful).unique().to_list()
    if len(known) > _KNOWN_AT_MOST:
        known.clear()
    for text in distinct:
        if text not in known:
            known[text] = read_number(text, decimal)
    read = [known[text] for text in distinct]

    def column(values: list[float | None] | list[str | None], dtype: pl.DataType) -> pl.Series:
        table = pl.Series(values, dtype=dtype)
        return texts.replace_strict(pl.Series(distinct, dtype=pl.String), table, default=None, return_dtype=dtype)

    none = Number()
    cells = [number or none for number in read]
    slow = column([number.value for number in cells], pl.Float64())
    value = pl.select(pl.when(doubtful).then(slow).otherwise(quick)).to_series().rename(name)
    low = high = currency = unreadable = None
    if any(number.is_range for number in cells):
        low = column([number.low for number in cells], pl.Float64())
        high = column([number.high for number in cells], pl.Float64())
    if any(number.currency for number in cells):
        currency = column([number.currency for number in cells], pl.String())
    if any(number is None for number in read):
        bad = [text for text, number in zip(distinct, read, strict=True) if number is None]
        unreadable = texts.is_in(bad)
    return Numbers(value, low, high, currency, unreadable)


class Decimals:
    """The decimal mark of each column of a table, as its cells prove it."""

    def __init__(self, columns: Mapping[int, bool], *, everywhere: str) -> None:
        """`columns` are those with numbers, and whether these are counts, which have no decimals unless a cell proves
        that they have; `everywhere` is the mark of other numbers where no cell of the table proves one."""
        self._columns = columns
        self._everywhere = everywhere
        self._marks: dict[int, Marks] = {}

    def learn(self, frame: pl.DataFrame) -> None:
        """Look for witnesses in the columns whose mark is not settled yet."""
        for column, counts in self._columns.items():
            texts = frame[str(column)]
            if texts.dtype != pl.String:
                continue
            marks = self._marks.setdefault(column, Marks())
            if marks.points + marks.commas >= _WITNESSES:
                continue
            if counts and texts.cast(pl.Int64, strict=False).null_count() == texts.null_count():
                continue
            marked = texts.filter(texts.str.contains(r"\d[.,]\d"))
            if len(marked):
                marks.see(marked.unique(maintain_order=True).head(1000).to_list())

    def of(self, column: int) -> str:
        """The mark of a column; empty where its numbers have no decimals."""
        own = self._marks.get(column, Marks()).decimal
        if own:
            return own
        if self._columns[column]:
            return ""
        return sum(self._marks.values(), Marks()).decimal or self._everywhere
