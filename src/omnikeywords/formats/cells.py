"""Text cells of one column, what they say: missing, lists, currencies, levels, the syntax of Google Ads."""

from collections.abc import Callable

import polars as pl

from omnikeywords.formats.columns import fold
from omnikeywords.formats.numbers import CURRENCIES, MISSING, read_number

__all__ = [
    "ads_keywords",
    "ads_match_types",
    "blank",
    "competition_level",
    "currency_code",
    "mapped",
    "said",
    "split_list",
    "trend",
]

_ADS_KEYWORD = r'^\s*(?:"(.+)"|\[(.+)\])\s*$'
_LEVELS = {
    fold(word): level
    for level, words in {
        "low": "low baixa baixo baja bajo faible gering niedrig bassa basso laag niska düşük nízká låg lav"
        " alacsony низкая низкий 低 낮음",
        "medium": "medium média médio media medio moyenne moyen mittel gemiddeld średnia orta střední medel"
        " middel közepes средняя средний 中 보통",
        "high": "high alta alto élevée élevé hoch hoog wysoka yüksek vysoká hög høy høj magas высокая высокий 高 높음",
    }.items()
    for word in words.split()
}


def competition_level(text: str) -> str | None:
    """low, medium or high, whatever language says it."""
    return _LEVELS.get(fold(text))


def blank(texts: pl.Series) -> pl.Series:
    """Which cells hold nothing, or blanks alone."""
    return texts.is_null() | (texts.str.strip_chars().str.len_bytes() == 0)


_UNSAID = sorted({spelt for text in MISSING for spelt in (text, text.upper(), text.capitalize(), f" {text}")})


def said(texts: pl.Series) -> pl.Series:
    """Texts, null where the cell says that there is nothing."""
    unsaid = texts.is_in(_UNSAID).fill_null(False)
    return pl.select(pl.when(~unsaid).then(texts)).to_series() if unsaid.any() else texts


def mapped(texts: pl.Series, of: Callable[[str], str | None]) -> pl.Series:
    """Each distinct text mapped once."""
    distinct = texts.drop_nulls().unique()
    to = pl.Series([of(text) for text in distinct], dtype=pl.String)
    return texts.replace_strict(distinct, to, default=None, return_dtype=pl.String)


def split_list(texts: pl.Series) -> pl.Series:
    """`a, b` as a list; null for null and for nothing between the commas."""
    tidy = texts.str.replace_all(r"\s*,[\s,]*", ",").str.strip_chars(" ,\t\n")
    return pl.select(pl.when(tidy != "").then(tidy.str.split(","))).to_series()


def currency_code(text: str) -> str | None:
    """The ISO 4217 code that a cell names, by code or by a sign that only one currency has."""
    code = text.strip().upper()
    if code in CURRENCIES:
        return code
    number = read_number(f"{text.strip()} 1")
    return number.currency if number else None


def trend(text: str | None) -> list[int | None]:
    """The counts in a cell such as `34, , 32`; none where one of them is no number."""
    if not text:
        return []
    numbers = [read_number(part, "") for part in text.strip("[] ").split(",")]
    if any(number is None for number in numbers):
        return []
    return [round(n.value) if n is not None and n.value is not None else None for n in numbers]


def ads_match_types(keywords: pl.Series) -> pl.Series:
    """phrase for `"a keyword"`, exact for `[a keyword]`, null for others."""
    # Keywords of Google Ads have no commas: quotes around one with a comma are those of a table.
    quoted = keywords.str.contains(r'^\s*"[^,]+"\s*$')
    exact = keywords.str.contains(r"^\s*\[.+\]\s*$")
    return pl.select(
        pl.when(quoted)
        .then(pl.lit("phrase"))
        .when(exact)
        .then(pl.lit("exact"))
        .otherwise(pl.lit(None, dtype=pl.String))
    ).to_series()


def ads_keywords(keywords: pl.Series) -> pl.Series:
    """Keywords without the quotes or brackets that say their match type."""
    inner = keywords.to_frame("k").select(
        pl.coalesce(pl.col("k").str.extract(_ADS_KEYWORD, 1), pl.col("k").str.extract(_ADS_KEYWORD, 2), pl.col("k"))
    )
    return inner.to_series()
