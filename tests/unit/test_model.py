"""Markets and keyword ids."""

import base64
import hashlib

import pytest

from omnikeywords.analysis.ids import keyword_ids
from omnikeywords.errors import InvalidMarket, InvalidOption
from omnikeywords.model import Market, days_of, keyword_id


@pytest.mark.parametrize(
    ("text", "market", "written"),
    [
        ("pt-BR", Market("pt", "BR"), "pt-BR"),
        ("PT_br", Market("pt", "BR"), "pt-BR"),
        (" en ", Market("en", None), "en"),
        ("und-BR", Market("und", "BR"), "und-BR"),
        ("es-419", Market("es", "419"), "es-419"),
    ],
)
def test_a_market_is_a_language_and_a_region(text, market, written):
    assert Market.parse(text) == market
    assert str(market) == written


@pytest.mark.parametrize("text", ["", "Brazil", "pt-BRA", "p", "pt-BR-x", "55", "pt BR"])
def test_anything_else_is_refused_by_name(text):
    with pytest.raises(InvalidMarket, match="write it as pt-BR") as refused:
        Market.parse(text)
    assert refused.value.params == {"market": text}


@pytest.mark.parametrize(
    "text", ["2026-W10", "2026-W10-3", "20260531", "2026-05-31..", "..2026-05-31", "2026-05-01..2026-W22", "2026-5"]
)
def test_a_period_that_is_written_otherwise_is_refused(text):
    with pytest.raises(InvalidOption, match="give a day as 2026-05-31"):
        days_of(text)


def test_ids_are_frozen():
    assert keyword_id(None, "são paulo") == "k17gdeiaxpk6kt4toclgagsbpd"
    assert keyword_id(Market("pt", "BR"), "são paulo") == "k1i4i3xhcgaa6w47x3jxoldkhi"


def test_an_id_is_base32_of_blake2b_over_market_and_phrase():
    for market, phrase in [(None, "a"), (Market("pt", "BR"), "tênis de corrida"), (Market("ja", None), "東京 天気")]:
        digest = hashlib.blake2b(f"{market or ''}\n{phrase}".encode(), digest_size=15).digest()
        assert keyword_id(market, phrase) == "k1" + base64.b32encode(digest).decode().lower()


def test_ids_of_many_are_those_of_each():
    phrases = ["a", "b", "", "ção"]
    for market in (None, Market("pt", "BR")):
        for count in (0, 1, 4, 50):
            assert keyword_ids(market, phrases * count) == [keyword_id(market, phrase) for phrase in phrases] * count
