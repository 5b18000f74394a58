"""Dates and periods as exports write them, in a dozen languages: preambles, month headers, file names."""

import calendar
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from omnikeywords.formats.columns import fold
from omnikeywords.model import Granularity

__all__ = [
    "DayOrder",
    "Period",
    "month_of_header",
    "months_between",
    "period_of_cell",
    "period_of_name",
    "read_day",
    "read_period",
]


@dataclass(frozen=True, slots=True)
class Period:
    """The days a file speaks of, and where that is known from."""

    start: date
    end: date  # inclusive
    granularity: Granularity
    known_from: str  # file | name | argument

    @classmethod
    def of(cls, start: date, end: date, known_from: str) -> "Period":
        """The period of these days: a day, a whole calendar month, or a range."""
        granularity: Granularity = "range"
        if start == end:
            granularity = "day"
        elif (start.year, start.month, start.day) == (end.year, end.month, 1) and (
            end.day == calendar.monthrange(end.year, end.month)[1]
        ):
            granularity = "month"
        return cls(start, end, granularity, known_from)

    def __str__(self) -> str:
        return f"{self.start}" if self.start == self.end else f"{self.start} to {self.end}"


# Months by the beginnings of their folded names; longer beginnings are tried first.
_MONTHS: tuple[tuple[str, ...], ...] = (
    ("jan", "ene", "gen", "janv", "ocak", "oca", "styc", "янв", "led", "sty"),
    ("feb", "fev", "fevr", "subat", "sub", "lut", "фев", "uno", "únor"),
    ("mar", "mars", "maerz", "marz", "mrt", "maart", "mart", "marzec", "мар", "brez"),
    ("apr", "abr", "avr", "nisan", "nis", "kwi", "апр", "dub"),
    ("may", "mai", "maj", "mag", "mei", "мая", "май", "kve", "mayis"),
    ("jun", "juin", "giu", "haziran", "haz", "cze", "июн", "cerven"),
    ("jul", "juil", "lug", "temmuz", "tem", "lip", "июл", "cervenec"),
    ("aug", "ago", "aou", "aout", "agustos", "agu", "sie", "авг", "srp"),
    ("sep", "set", "sept", "eylul", "eyl", "wrz", "сен", "zari"),
    ("oct", "out", "okt", "ott", "ekim", "eki", "paz", "окт", "rij"),
    ("nov", "kasim", "kas", "lis", "ноя", "listop"),
    ("dec", "dez", "dic", "dez", "aralik", "ara", "gru", "дек", "pros"),
)
_BEGINNINGS = sorted(
    ((fold(name), month) for month, names in enumerate(_MONTHS, 1) for name in names),
    key=lambda pair: -len(pair[0]),
)
_WORD = re.compile(r"[^\W\d_]+")


def _month(word: str) -> int | None:
    word = fold(word)
    if len(word) < 3:
        return None
    return next((month for beginning, month in _BEGINNINGS if word.startswith(beginning)), None)


_ISO_DAY = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_ASIAN_DAY = re.compile(r"(\d{4})\s*[年년]\s*(\d{1,2})\s*[月월]\s*(\d{1,2})\s*[日일]")
_SLASH_DAY = re.compile(r"(?<!\d)(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d{2})(?!\d)")
_COMPARED = re.compile(r"compared to|em comparação|en comparación|par rapport|im vergleich|rispetto", re.IGNORECASE)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _spelt_days(text: str) -> list[tuple[int | None, int, int | None]]:
    """Days with a spelt month, as (year, month, day), whatever order their parts stand in."""
    tokens = re.findall(r"\d+|[^\W\d_]+|[-–—]", text)
    at = [(i, month) for i, token in enumerate(tokens) if (month := _month(token)) is not None]
    days: list[tuple[int | None, int, int | None]] = []
    used: set[int] = set()

    def number(i: int, low: int, high: int) -> int | None:
        if 0 <= i < len(tokens) and i not in used and tokens[i].isdecimal() and low <= int(tokens[i]) <= high:
            used.add(i)
            return int(tokens[i])
        return None

    small = {"de", "del", "di", "of", "d", "den", "the", "le", "st", "nd", "rd", "th", "er", "г"}
    for i, month in at:
        before = i - 1
        while before >= 0 and fold(tokens[before]) in small:
            before -= 1
        day = number(before, 1, 31)
        after = i + 1
        if day is None:
            day = number(after, 1, 31)
            if day is not None:
                after += 1
        while after < len(tokens) and fold(tokens[after]) in small:
            after += 1
        days.append((number(after, 1990, 2099), month, day))
    return days


def read_period(text: str, known_from: str = "file") -> Period | None:
    """The period in a line such as `October 1, 2020 - September 30, 2021` or `1 a 31 de julho de 2026`.

    None where there is none, or where day and month cannot be told apart (`01/02/2025`). Of two that are
    compared, the first.
    """
    text = _COMPARED.split(text)[0]
    days = [_day(*map(int, found)) for found in _ISO_DAY.findall(text) + _ASIAN_DAY.findall(text)]
    if not days:
        days = _slash_days(text)
    if not days:
        spelt = _spelt_days(text)
        if not spelt or len(spelt) > 2:
            return None
        named = [int(found) for found in _YEAR.findall(text)]
        year = next((year for year, _, _ in reversed(spelt) if year), named[-1] if named else None)
        if year is None:
            return None
        days = []
        for n, (own, month, day) in enumerate(spelt):
            at = own or year
            if day is None:
                day = calendar.monthrange(at, month)[1] if n == len(spelt) - 1 and len(spelt) == 2 else 1
            days.append(_day(at, month, day))
        if len(spelt) == 1 and spelt[0][2] is None:
            days.append(_day(year, spelt[0][1], calendar.monthrange(year, spelt[0][1])[1]))
        elif len(spelt) == 1:
            # "Sep 1 - 13, 2026" and "1 - 13 September 2026" name the month once.
            numbers = [int(n) for n in re.findall(r"(?<!\d)\d{1,2}(?!\d)", text)]
            if len(numbers) == 2 and re.search(r"\d\s*[-–—]\s*\d", text):
                days = [_day(year, spelt[0][1], numbers[0]), _day(year, spelt[0][1], numbers[1])]
    if not days or None in days or len(days) > 2:
        return None
    start, end = days[0], days[-1]
    if start is None or end is None or start > end:
        return None
    return Period.of(start, end, known_from)


def _slash_days(text: str) -> list[date | None]:
    found = [tuple(map(int, parts)) for parts in _SLASH_DAY.findall(text)]
    if not found or len(found) > 2:
        return []
    month_first = any(second > 12 for _, second, _ in found)
    day_first = any(first > 12 for first, _, _ in found)
    if month_first == day_first and any(first != second for first, second, _ in found):
        return []
    days = []
    for first, second, year in found:
        year += 2000 if year < 100 else 0
        days.append(_day(year, first, second) if month_first else _day(year, second, first))
    return days


def read_day(text: str) -> date | None:
    """The day a cell begins with: `2025-09-02`, `2026-03-23 09:22:15`, `20250902`."""
    match = _ISO_DAY.match(text.strip())
    if match:
        return _day(*map(int, match.groups()))
    match = re.match(r"(20\d\d)(\d\d)(\d\d)(?!\d)", text.strip())
    return _day(*map(int, match.groups())) if match else None


_NUMBERED_DAY = re.compile(r"\s*(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?!\d)")
_AFTER_DAY = re.compile(r"(?:[T\s]\s*\d{1,2}:\d\d.*|[T\s]*)")  # a time of day, which a period has not


@dataclass(slots=True)
class DayOrder:
    """Whether a column writes the day before the month, as far as its cells prove it."""

    day_first: bool = False  # seen 31/12/2025
    month_first: bool = False  # seen 12/31/2025

    def see(self, texts: Iterable[str]) -> None:
        """Look for proofs among texts."""
        for text in texts:
            if match := _NUMBERED_DAY.match(text):
                first, second = int(match[1]), int(match[3])
                self.day_first |= 12 < first <= 31 and 1 <= second <= 12
                self.month_first |= 12 < second <= 31 and 1 <= first <= 12


def period_of_cell(text: str, order: DayOrder) -> Period | None:
    """The day, month or range that a cell of a table names; None where it names none, or its order is not certain."""
    for pattern in (_ISO_DAY, _NUMBERED_DAY):
        match = pattern.match(text.strip())
        if match is None or not _AFTER_DAY.fullmatch(text.strip()[match.end() :]):
            continue
        if pattern is _ISO_DAY:
            day = _day(*map(int, match.groups()))
        else:
            first, second, year = int(match[1]), int(match[3]), int(match[4])
            if first != second and order.day_first == order.month_first:
                return None
            day = _day(year, first, second) if order.month_first else _day(year, second, first)
        return Period.of(day, day, "file") if day else None
    day = read_day(text) if text.strip().isdecimal() else None
    if day:
        return Period.of(day, day, "file")
    month = month_of_header(text)
    if month:
        year, number = int(month[:4]), int(month[5:])
        return Period.of(date(year, number, 1), date(year, number, calendar.monthrange(year, number)[1]), "file")
    return read_period(text)


_NAME_DAY = re.compile(r"(?<!\d)(20\d\d)[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(?!\d)")


def period_of_name(name: str) -> Period | None:
    """The last day that a file name holds: `google_us_shoes_2025-07-08_20-05-24.csv`."""
    found = _NAME_DAY.findall(name)
    day = _day(*map(int, found[-1])) if found else None
    return Period.of(day, day, "name") if day else None


_NUMERIC_MONTH = re.compile(r"(?<!\d)(?:(\d{1,2})[-/.](\d{4})|(\d{4})[-/.](\d{1,2}))(?![-/.]?\d)")
_YEAR = re.compile(r"(?<!\d)(20\d\d|19\d\d)(?!\d)")
_SEARCHES = frozenset(
    fold(word)
    for word in (
        "searches",
        "search",
        "volume",
        "pesquisas",
        "buscas",
        "búsquedas",
        "recherches",
        "suchanfragen",
        "ricerche",
        "zoekopdrachten",
        "wyszukiwania",
        "aramalar",
        "запросы",
        "de",
        "del",
        "in",
        "en",
        "em",
        "di",
        "of",
        "for",
    )
)


def month_of_header(header: str) -> str | None:
    """The month of a column of searches: `Searches: Oct 2020`, `Pesquisas: out. de 2020` give `2020-10`.

    None where the header says anything else besides.
    """
    if not any(c.isdigit() for c in header):
        return None
    words = _WORD.findall(header)
    months = [month for word in words if fold(word) not in _SEARCHES and (month := _month(word))]
    others = [word for word in words if fold(word) not in _SEARCHES and _month(word) is None]
    if others:
        return None
    numeric = _NUMERIC_MONTH.search(header)
    if numeric and not months:
        month = int(numeric[1] or numeric[4])
        year = int(numeric[2] or numeric[3])
        rest = _NUMERIC_MONTH.sub("", header, count=1)
        return f"{year}-{month:02}" if 1 <= month <= 12 and not re.search(r"\d", rest) else None
    years = _YEAR.findall(header)
    if len(months) == 1 and len(years) == 1 and not re.search(r"\d", _YEAR.sub("", header)):
        return f"{years[0]}-{months[0]:02}"
    return None


def months_between(text: str) -> tuple[str, ...]:
    """Every month of a range such as `SV trend (03-2024 - 02-2026)`, in order; empty where there is none."""
    found = [(int(m[1] or m[2]), int(m[0] or m[3])) for m in _NUMERIC_MONTH.findall(text)]
    if len(found) != 2 or not all(1 <= month <= 12 for _, month in found):
        return ()
    (first_year, first), (last_year, last) = found
    start, end = first_year * 12 + first - 1, last_year * 12 + last - 1
    if not 0 <= end - start < 600:
        return ()
    return tuple(f"{n // 12}-{n % 12 + 1:02}" for n in range(start, end + 1))
