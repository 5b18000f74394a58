"""The order of hits is the one that is promised, whichever way the index finds them."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnikeywords.catalog.projects import bucket_of
from omnikeywords.db import Database
from omnikeywords.search import Builder, Indexes, Request, View, find, matching, paging
from tests.catalogue import Catalogue

SHOP = "shop"
WORDS = ["shoe", "shoes", "boot", "boots", "red", "running", "men", "rain"]
QUERIES = [
    "shoe",
    "shoes",
    "red boots",
    "boot red",
    "red shoe men",
    "rain",
    "running shoes rain",
    "redshoe",
    '"red shoes"',
]


@pytest.fixture(params=["sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def keywords() -> dict[str, int]:
    """Keywords of up to three of the words; each volume is a 16th of a doubling from the next, as ranks are."""
    dice = random.Random(1)
    every = [" ".join(some) for size in range(1, 4) for some in itertools.permutations(WORDS, size)]
    return {phrase: round(2 ** (7 + number / 16)) for number, phrase in enumerate(dice.sample(every, 250))}


@pytest.fixture
def view(database: Database, tmp_path: Path, keywords: dict[str, int]) -> Iterator[View]:
    shop = Catalogue(database, SHOP)
    shop.create()
    rows = "".join(f"{phrase},{volume}\n" for phrase, volume in keywords.items())
    shop.bring("i1", f"Keyword,Volume\n{rows}".encode())
    indexes = Indexes(tmp_path / "search", 8)
    builder = Builder(database, indexes)
    builder.catch_up()
    found = indexes.of(bucket_of(SHOP)).view(now=True)
    assert found is not None
    yield found
    builder.close()


def form(word: str) -> str:
    return {"shoes": "shoe", "boots": "boot"}.get(word, word)


def promised(text: str, keywords: dict[str, int]) -> list[str]:
    """All matches in the order of the documentation, by going through every keyword."""
    phrase = text.startswith('"')
    words = text.strip('"').split()

    def tier(keyword: str) -> int | None:
        of = keyword.split()
        if phrase:
            return 0 if f" {' '.join(words)} " in f" {keyword} " else None
        if "".join(of) == "".join(words):
            return 0
        if not {form(word) for word in words} <= {form(word) for word in of}:
            return None
        if len(of) == len(words):
            return 1
        return 2 if set(words) <= set(of) else 3

    tiers = {keyword: found for keyword in keywords if (found := tier(keyword)) is not None}
    return sorted(tiers, key=lambda keyword: (tiers[keyword], -keywords[keyword]))


def pages(view: View, text: str, limit: int, sort: str = "relevance") -> list[str]:
    found, cursor = list[str](), None
    while True:
        page = find(view, Request(SHOP, text, limit=limit, sort=sort, cursor=cursor))
        found += [record[0] for record in page.records]
        cursor = page.next_cursor
        if cursor is None:
            assert page.total == len(found)
            return found


@pytest.mark.parametrize("wide", [3000, 5, 0])
@pytest.mark.parametrize("limit", [1, 10, 1000])
def test_hits_come_in_the_promised_order(
    view: View, keywords: dict[str, int], monkeypatch: pytest.MonkeyPatch, wide: int, limit: int
) -> None:
    monkeypatch.setattr(matching, "_WIDE", wide)
    for text in QUERIES:
        assert pages(view, text, limit) == promised(text, keywords), text


@pytest.mark.parametrize("few", [5000, 7, 1])
def test_the_alphabet_is_the_same_in_parts(
    view: View, keywords: dict[str, int], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(paging, "_FEW", few)
    found = pages(view, "", 9, sort="keyword")
    assert sorted(found) == sorted(keywords)
    assert [phrase.replace(" ", "") for phrase in found] == sorted(phrase.replace(" ", "") for phrase in keywords)


def test_very_many_are_so_many_at_least(view: View, keywords: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    shoes = sum("shoe" in phrase for phrase in keywords)
    found = find(view, Request(SHOP, "shoe"))
    assert (found.total, found.total_is_exact) == (shoes, True)
    monkeypatch.setattr(matching, "_MOST_COUNTED", 20)
    monkeypatch.setattr(matching, "_WIDE", 10)
    found = find(view, Request(SHOP, "shoe"))
    assert not found.total_is_exact
    assert 20 <= found.total <= shoes
