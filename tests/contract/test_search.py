"""The search index says what the catalogue says, whatever happens to the process that writes it."""

import itertools
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnikeywords.analysis import MODEL_VERSION
from omnikeywords.catalog import changes, marks
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.db import Database, connect
from omnikeywords.errors import IndexBusy, InvalidOption, InvalidQuery, NotReached
from omnikeywords.finder import Finder
from omnikeywords.processor import run_processor
from omnikeywords.search import (
    FACETS,
    SORTS,
    Builder,
    Indexes,
    Request,
    building,
    find,
    group_tree,
    index,
    ngrams,
    related,
    suggest,
    suggesting,
    to_objects,
)
from omnikeywords.settings import Settings
from tests.catalogue import Catalogue
from tests.conftest import Place
from tests.contract.test_read_models import LATER, QUERIES, SEPTEMBER

WAIT = 30  # seconds for what must come
# In one bucket, and so in one index.
SHOP, OTHER = "shop", next(f"other{n}" for n in itertools.count() if bucket_of(f"other{n}") == bucket_of("shop"))


@pytest.fixture(params=["sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def indexes(tmp_path: Path) -> Indexes:
    return Indexes(tmp_path / "search", 8)


@pytest.fixture
def builder(database: Database, indexes: Indexes) -> Iterator[Builder]:
    made = Builder(database, indexes)
    yield made
    made.close()


@pytest.fixture
def shop(database: Database) -> Catalogue:
    made = Catalogue(database, SHOP)
    made.create()
    return made


def phrases(found: Any) -> list[str]:
    return [record[0] for record in found.records]


def search(indexes: Indexes, text: str = "", project: str = SHOP, **how: Any) -> Any:
    view = indexes.of(bucket_of(project)).view(now=True)
    assert view is not None
    return find(view, Request(project, text, **{"limit": 1000, **how}))


def contents(indexes: Indexes, project: str = SHOP) -> list[str]:
    """Everything that an index holds of a project, in the order of its hits."""
    return [repr(record) for record in search(indexes, project=project).records]


def built_anew(database: Database, folder: Path, project: str = SHOP) -> list[str]:
    """The same of an index that is built from the catalogue as it is now."""
    fresh = Indexes(folder, 8)
    builder = Builder(database, fresh)
    builder.build(bucket_of(project))
    builder.close()
    return contents(fresh, project)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql15"], indirect=True)
def test_an_index_follows_everything_that_changes_a_keyword(
    shop: Catalogue, database: Database, indexes: Indexes, builder: Builder, tmp_path: Path
) -> None:
    def tag() -> None:
        with database.write(SHOP) as connection:
            marks.put(connection, SHOP, keyword_id, "ana", tags=["spring"], corrected={"intent": "navigational"})
        shop.follow()

    shop.bring("i1a", SEPTEMBER.encode())
    assert builder.catch_up() == 1
    keyword_id = to_objects(search(indexes, "camisa branca").records, shop.options())[0]["id"]
    steps: list[Callable[[], object]] = [
        lambda: shop.bring("i1b", QUERIES.encode(), name="Queries.csv"),
        shop.regroup,
        tag,
        lambda: shop.bring("i1c", LATER.encode()),
        lambda: shop.change(brands=["tenis"]),
        lambda: shop.change(market="pt-BR"),
        lambda: shop.withdraw("i1a"),
        shop.follow,
        shop.rebuild,
    ]
    for number, step in enumerate(steps):
        step()
        builder.catch_up()
        assert contents(indexes) == built_anew(database, tmp_path / str(number)), number
    assert builder.catch_up() == 0
    assert "camisa branca" not in phrases(search(indexes))  # of the import that was withdrawn
    with database.read() as connection:
        standing = changes.standing(connection, shop.bucket)
    view = indexes.of(shop.bucket).view(now=True)
    assert view is not None
    assert (view.marker.position, view.marker.changes) == (standing.position, standing.number)


def test_nothing_is_left_of_a_project_that_is_deleted(
    shop: Catalogue, database: Database, indexes: Indexes, builder: Builder
) -> None:
    other = Catalogue(database, OTHER)
    other.create()
    other.bring("i2", b"Keyword\nblue shoes\n")
    shop.bring("i1", b"Keyword\nred shoes\n")
    builder.catch_up()
    shop.delete()
    builder.catch_up()
    assert search(indexes).total == 0, "the rows are still there"
    builder.build(shop.bucket)
    assert search(indexes).total == 0
    shop.follow()
    builder.catch_up()
    assert search(indexes).total == 0
    view = indexes.of(shop.bucket).view(now=True)
    assert view is not None
    assert set(view.marker.projects) == {OTHER}
    assert phrases(search(indexes, "shoes", project=OTHER)) == ["blue shoes"]


def test_a_hit_is_the_keyword_object_of_the_catalogue(shop: Catalogue, indexes: Indexes, builder: Builder) -> None:
    shop.bring("i1a", SEPTEMBER.encode())
    shop.bring("i1b", QUERIES.encode(), name="Queries.csv")
    shop.bring("i1c", LATER.encode())
    shop.regroup()
    builder.catch_up()
    expected = {row["id"]: row for row in shop.page(limit=1000).keywords}
    found = to_objects(search(indexes).records, shop.options())
    assert {row["id"]: row for row in found} == expected
    assert len(found) == len(expected) == 16


def test_who_asks_with_one_filter_gets_what_the_catalogue_gives(
    shop: Catalogue, indexes: Indexes, builder: Builder
) -> None:
    shop.bring("i1a", SEPTEMBER.encode())
    shop.bring("i1b", QUERIES.encode(), name="Queries.csv")
    shop.regroup()
    builder.catch_up()
    for name, value in {
        "market": "und-BR|none",
        "language": "pt",
        "intent": "commercial|transactional",
        "funnel": "decision",
        "question": "any",
        "modifier": "quality",
        "source": "google_search_console",
        "import": "i1b",
        "words": "2",
        "local": "false",
        "branded": "true",
        "year": "2026",
        "min_volume": "50",
        "max_volume": "1300",
        "min_difficulty": "40.5",
        "max_difficulty": "41",
        "min_opportunity": "30",
        "max_opportunity": "50",
        "min_position": "3.4",
        "max_position": "8",
        "min_clicks": "2",
        "max_impressions": "300",
    }.items():
        expected = sorted(row["id"] for row in shop.page(limit=1000, filters={name: value}).keywords)
        found = search(indexes, filters={name: value})
        assert sorted(row["id"] for row in to_objects(found.records, shop.options())) == expected, name
        assert found.total == len(expected)
    # A part of the name of a source is none.
    assert shop.page(filters={"source": "google"}).total == search(indexes, filters={"source": "google"}).total == 0


def test_the_best_match_comes_first(shop: Catalogue, indexes: Indexes, builder: Builder) -> None:
    shop.bring("i1", b"Keyword,Volume\nbuy red shoes,900\nred shoe,800\nshoes red,10\nred shoes,5\nblue shoes,999\n")
    builder.catch_up()
    # The phrase, its words in another form or order, all its words and more.
    assert phrases(search(indexes, "red shoes")) == ["red shoes", "red shoe", "shoes red", "buy red shoes"]
    assert phrases(search(indexes, "RED  shoes!")) == ["red shoes", "red shoe", "shoes red", "buy red shoes"]
    assert phrases(search(indexes, '"red shoes"')) == ["buy red shoes", "red shoes"]
    assert phrases(search(indexes, "shoes -red")) == ["blue shoes"]
    assert phrases(search(indexes, "sho* -red")) == ["blue shoes"]
    found = search(indexes, "bleu shoes")
    assert phrases(found) == ["blue shoes"]
    assert found.notes == ("no keyword has exactly these words: some are shown that are spelt almost so",)


def test_a_space_too_many_or_too_few_is_forgiven(shop: Catalogue, indexes: Indexes, builder: Builder) -> None:
    shop.bring("i1", b"Keyword\nbest wifi router\nonline courses\nrunning shoes\n")
    builder.catch_up()
    assert phrases(search(indexes, "wi fi router")) == ["best wifi router"]
    assert phrases(search(indexes, "on line courses")) == ["online courses"]
    assert phrases(search(indexes, "runningshoes")) == ["running shoes"]


ALMOST = "no keyword has exactly these words: some are shown that are spelt almost so"
MISSING = "no keyword has all these words: some are shown that have some of them"


def test_words_that_keywords_have_are_taken_for_right(shop: Catalogue, indexes: Indexes, builder: Builder) -> None:
    """Who mistyped York meant no leather, however much that is searched for."""
    keywords = b"Keyword,Volume\nleather new york,900\nweather channel new york,80\nleather jacket new york,70\n"
    shop.bring("i1", keywords + b"playstation 3,500\nlouvre accommodation para,30\naccommodation in paris,5\n")
    builder.catch_up()
    found = search(indexes, "weather new yrok")
    assert (phrases(found)[0], found.notes) == ("weather channel new york", (ALMOST,))
    assert phrases(search(indexes, "accomodation paris"))[0] == "accommodation in paris"


@pytest.mark.parametrize(
    ("text", "expected", "notes"),
    [
        ("playstaton 3", ["playstation 3"], (ALMOST,)),
        ("playstation 5", ["playstation 3", "playstation 2020"], (MISSING,)),  # not: 3 spelt almost so
        ("playstation 2021", ["playstation 3", "playstation 2020"], (MISSING,)),
        ("c++ tutorial", [], ()),  # not: ca tutorial
    ],
)
def test_a_number_or_a_sign_is_never_another(
    shop: Catalogue, indexes: Indexes, builder: Builder, text: str, expected: list[str], notes: tuple[str, ...]
) -> None:
    shop.bring("i1", b"Keyword,Volume\nplaystation 3,500\nplaystation 2020,50\nca tutorial,9\n")
    builder.catch_up()
    found = search(indexes, text)
    assert (phrases(found), found.notes) == (expected, notes)


def test_some_words_may_be_missing_where_nothing_else_is_found(
    shop: Catalogue, indexes: Indexes, builder: Builder
) -> None:
    shop.bring("i1", OFFERED.encode() + b"get rid of ants,us,70\ncheap red shoes for sale,us,60\nred hats,us,10\n")
    builder.catch_up()
    for text, expected in {
        "how do i get rid of ants": ["get rid of ants"],  # what holds words together counts least
        "buy cheap red shoes": ["cheap red shoes for sale"],  # three of four
        "cheap red boots": ["cheap red shoes for sale"],  # two of three
        "running shoes or boots": ["running shoes", "running shoes for women", "best running shoes"],
        "yellow hats": [],  # one of two would be something else
        '"running boots" hats': [],  # what is quoted must be there
        "how to for the": [],
    }.items():
        found = search(indexes, text)
        assert (phrases(found), found.notes) == (expected, (MISSING,) if expected else ()), text
    first = search(indexes, "women running trousers", limit=1)
    assert first.total == 1
    assert search(indexes, "how do i get rid of ants", sort="volume").total == 1


def test_words_that_hold_others_together_have_no_other_forms(
    shop: Catalogue, indexes: Indexes, builder: Builder
) -> None:
    """The Spanish stemmer makes of como what an address ends with, and of para what is left of Paris."""
    shop.bring("i1", "Keyword\ncómo usar facebook para empresas\nhoteles en paris\nfacebook.com\n".encode())
    builder.catch_up()
    assert phrases(search(indexes, "facebook com")) == ["facebook.com"]
    assert phrases(search(indexes, "paris")) == ["hoteles en paris"]
    assert phrases(search(indexes, "com")) == ["facebook.com"]
    assert phrases(search(indexes, "como usar facebook")) == ["cómo usar facebook para empresas"]


def test_accents_make_no_difference(shop: Catalogue, indexes: Indexes, builder: Builder) -> None:
    shop.bring("i1", "Keyword\ntênis de corrida\npromoções de verão\nniño pequeño\n".encode())
    builder.catch_up()
    for with_accents, without in (
        ("tênis de corrida", "tenis de corrida"),
        ("promoção de verão", "promocao de verao"),
        ("niños pequeños", "ninos pequenos"),
    ):
        one, other = search(indexes, with_accents), search(indexes, without)
        assert phrases(one) == phrases(other) != []
        assert one.notes == other.notes == ()


def test_what_holds_words_together_is_no_group_and_relates_nothing(
    shop: Catalogue, indexes: Indexes, builder: Builder
) -> None:
    shop.bring(
        "i1", b"Keyword,Volume\nhow to tie a tie,9\nhow to tie shoes,8\nhow to fold a shirt,7\nwhat is a tie,6\n"
    )
    builder.catch_up()
    view = indexes.of(shop.bucket).view(now=True)
    assert view is not None
    tree = group_tree(view, Request(SHOP, "", limit=10))
    assert [(group.word, group.keywords) for group in tree.groups] == [
        ("tie", 3),
        ("shoes", 1),
        ("fold", 1),
        ("shirt", 1),
    ]
    of = to_objects(search(indexes, "how to tie a tie").records, shop.options())[0]
    found = related(view, SHOP, of["id"], of["normalized"], 10)
    assert [record[0] for record in found] == ["how to tie shoes", "what is a tie"]


def test_facets_count_what_matches(shop: Catalogue, indexes: Indexes, builder: Builder) -> None:
    shop.bring("i1a", SEPTEMBER.encode())
    builder.catch_up()
    found = search(indexes, "shoes", facets=("language", "market", "year"), limit=1)
    assert found.total == 3
    assert found.facets == {"language": {"en": 3}, "market": {"und-US": 3}, "year": {"2026": 1}}
    assert set(search(indexes, facets=FACETS).facets) == set(FACETS)


OFFERED = """Keyword,Country,Volume
running shoes,us,900
running shoes for women,us,500
running socks,us,300
best running shoes,us,200
red shoes,us,100
ténis de corrida,br,700
tenis de corrida,pt,50
ténis preto,br,90
"""


def test_what_begins_so_is_suggested_the_most_searched_first(
    shop: Catalogue, indexes: Indexes, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.bring("i1", OFFERED.encode())
    builder.catch_up()
    view = indexes.of(shop.bucket).view(now=True)
    assert view is not None
    for sparse in (2000, 1):  # few begin so, many begin so
        monkeypatch.setattr(suggesting, "_SPARSE", sparse)
        for text, expected in {
            "r": ["running shoes", "running shoes for women", "running socks", "red shoes"],
            "running": ["running shoes", "running shoes for women", "running socks"],
            "Running  sho": ["running shoes", "running shoes for women"],
            "tenis": ["ténis de corrida", "ténis preto", "tenis de corrida"],
            "shoes": [],
        }.items():
            assert [record[0] for record in suggest(view, SHOP, text, 10)] == expected, text
    assert [record[0] for record in suggest(view, SHOP, "", 2)] == ["running shoes", "ténis de corrida"]
    assert suggest(view, OTHER, "r", 10) == []


def test_related_keywords_share_words(shop: Catalogue, indexes: Indexes, builder: Builder) -> None:
    shop.bring("i1", OFFERED.encode())
    builder.catch_up()
    view = indexes.of(shop.bucket).view(now=True)
    assert view is not None
    of = to_objects(search(indexes, "best running shoes").records, shop.options())[0]
    found = related(view, SHOP, of["id"], of["normalized"], 10)
    assert [record[0] for record in found] == ["running shoes", "running shoes for women"]


def test_groups_and_ngrams_count_keywords_and_volume(shop: Catalogue, indexes: Indexes, builder: Builder) -> None:
    shop.bring("i1", OFFERED.encode())
    builder.catch_up()
    view = indexes.of(shop.bucket).view(now=True)
    assert view is not None
    tree = group_tree(view, Request(SHOP, "running", limit=2))
    assert (tree.total, tree.tallied) == (4, 4)
    assert [(group.word, group.keywords, group.volume) for group in tree.groups] == [
        ("shoes", 3, 1600),
        ("women", 1, 500),
    ]
    assert [(group.word, group.keywords, group.volume) for group in tree.groups[0].next] == [
        ("women", 1, 500),
        ("best", 1, 200),
    ]
    table = ngrams(view, Request(SHOP, limit=3), 2)
    assert [(row.ngram, row.keywords, row.volume) for row in table.ngrams] == [
        ("running shoes", 3, 1600),
        ("de corrida", 2, 750),
        ("ténis de", 2, 750),
    ]


def test_a_volume_that_nobody_told_is_none_and_no_zero(shop: Catalogue, indexes: Indexes, builder: Builder) -> None:
    shop.bring("i1", b"Keyword,Volume\nred shoes,\nred socks,0\n")
    builder.catch_up()
    view = indexes.of(shop.bucket).view(now=True)
    assert view is not None
    tree = group_tree(view, Request(SHOP, "red"))
    assert [(group.word, group.volume) for group in tree.groups] == [("shoes", None), ("socks", 0)]
    assert [(row.ngram, row.volume) for row in ngrams(view, Request(SHOP), 2).ngrams] == [
        ("red shoes", None),
        ("red socks", 0),
    ]


def test_pages_are_the_whole_list_in_every_order(shop: Catalogue, indexes: Indexes, builder: Builder) -> None:
    # Many with the same volume, and without any.
    rows = [f"shoe number {n},{'' if n % 3 else n % 7 * 10}" for n in range(60)]
    shop.bring("i1", ("Keyword,Volume\n" + "\n".join(rows)).encode())
    builder.catch_up()
    for sort in SORTS:
        for text in ("", "shoes"):
            whole = phrases(search(indexes, text, sort=sort))
            paged, cursor = [], None
            while True:
                found = search(indexes, text, sort=sort, limit=7, cursor=cursor)
                assert found.total == 60
                paged += phrases(found)
                cursor = found.next_cursor
                if cursor is None:
                    break
            assert paged == whole
            assert len(set(whole)) == 60


def test_pages_neither_skip_nor_repeat_while_keywords_come_and_go(
    shop: Catalogue, indexes: Indexes, builder: Builder
) -> None:
    there = [f"shoe number {n}" for n in range(60)]
    shop.bring("i1", ("Keyword,Volume\n" + "\n".join(f"{k},{n % 5 * 10}" for n, k in enumerate(there))).encode())
    builder.catch_up()
    for sort in ("relevance", "volume", "keyword"):
        paged, cursor, page = [], None, 0
        while True:
            found = search(indexes, "shoe", sort=sort, limit=13, cursor=cursor)
            paged += phrases(found)
            cursor = found.next_cursor
            if cursor is None:
                break
            page += 1
            import_id = f"i{sort}{page}"
            shop.bring(import_id, f"Keyword,Volume\nshoe new {sort} {page},{page * 7 % 50}\n".encode())
            builder.catch_up()
            if page % 2:
                shop.withdraw(import_id)
                shop.follow()
                builder.catch_up()
        assert len(set(paged)) == len(paged)
        assert set(there) <= set(paged)


def test_nothing_of_another_project_is_found_however_one_asks(
    database: Database, shop: Catalogue, indexes: Indexes, builder: Builder
) -> None:
    other = Catalogue(database, OTHER)
    other.create()
    other.bring("i2", b"Keyword,Volume\nsecret shoes,5000\nsecrets,7000\nsecret plan 2026,10\n")
    shop.bring("i1", b"Keyword,Volume\nred shoes,5\nplain words,10\n")
    builder.catch_up()
    assert search(indexes, project=OTHER).total == 3
    before = contents(indexes)
    stolen = search(indexes, project=OTHER, limit=1).next_cursor
    tries: list[tuple[str, dict[str, Any]]] = [
        *((text, {}) for text in ("secret", "secrets", "secrte", "secret*", '"secret plan"', "-red", "-red -plain")),
        *((text, {}) for text in (f"p:{OTHER}", f"scope:p:{OTHER}", f'shoes" OR scope:"p:{OTHER}', "* OR *", "a OR b")),
        *(("", {"filters": {"import": value}}) for value in ("i2", "i1|i2", f"i1 OR p:{OTHER}")),
        *(("", {"filters": {name: f"i:i2|p:{OTHER}"}}) for name in ("tag", "source")),
        ("", {"filters": {"min_volume": "1000"}}),
        ("", {"cursor": stolen}),
        *(("", {"sort": sort}) for sort in SORTS),
        *(("shoes", {"sort": sort}) for sort in SORTS),
    ]
    for text, how in tries:
        found = search(indexes, text, facets=FACETS, **how)
        assert not [phrase for phrase in phrases(found) if "secret" in phrase], (text, how)
        assert found.total <= 2
        assert "2026" not in found.facets["year"]
    # What another project has changes neither hits nor their order.
    other.bring("i3", ("Keyword,Volume\n" + "\n".join(f"red shoes {n},9000" for n in range(50))).encode())
    builder.catch_up()
    assert contents(indexes) == before
    assert search(indexes, "red shoes").total == 1


@pytest.mark.parametrize("text", ['"', "-", "*", "()", "a:b", "[1 TO", "~1", "^2", "\\", "é" * 500, "x " * 32, "-a -b"])
def test_nothing_that_people_paste_fails(shop: Catalogue, indexes: Indexes, builder: Builder, text: str) -> None:
    shop.bring("i1", b"Keyword\nred shoes\n")
    builder.catch_up()
    search(indexes, text, facets=("intent",))


def test_what_would_cost_too_much_is_refused_with_its_column(
    shop: Catalogue, indexes: Indexes, builder: Builder
) -> None:
    shop.bring("i1", ("Keyword\n" + "\n".join(f"a{n} shoes" for n in range(1001))).encode())
    builder.catch_up()
    with pytest.raises(InvalidQuery, match=r"a\* at column 7 stands for more than 1,000 words") as found:
        search(indexes, "shoes a*")
    assert found.value.params["column"] == 7
    assert search(indexes, "shoes a1*").total == 112
    with pytest.raises(InvalidOption, match="the cursor is of another list"):
        search(indexes, cursor="bm9uZQ")
    with pytest.raises(InvalidOption, match="facet 'colour' is unknown"):
        search(indexes, facets=("colour",))


def test_one_process_writes_an_index(shop: Catalogue, database: Database, indexes: Indexes, builder: Builder) -> None:
    shop.bring("i1", b"Keyword\nred shoes\n")
    builder.catch_up()
    shop.bring("i2", b"Keyword\nblue shoes\n")
    builder.catch_up()  # and keeps it
    shop.bring("i3", b"Keyword\ngreen shoes\n")
    second = Builder(database, indexes)
    with database.read() as connection:
        newest = changes.standing(connection, shop.bucket)
    with pytest.raises(IndexBusy):
        second.follow(shop.bucket, newest)
    assert second.catch_up() == 0
    assert builder.catch_up() == 1
    assert search(indexes, "shoes").total == 3


def _follow_until_killed(url: str, folder: Path) -> None:
    builder = Builder(connect(url), Indexes(folder, 8))
    while True:
        builder.catch_up()


def test_an_index_is_whole_after_any_kill(shop: Catalogue, place: Place, indexes: Indexes, tmp_path: Path) -> None:
    """What follows is killed while it writes, again and again; the next one goes on from its last commit."""
    dice = random.Random(4)
    spawn = multiprocessing.get_context("spawn")
    for number in range(4):
        process = spawn.Process(target=_follow_until_killed, args=(place.url, tmp_path / "search"), daemon=True)
        process.start()
        for part in range(6):
            rows = "\n".join(f"shoe {number} {part} {n},{n}" for n in range(200))
            shop.bring(f"i{number}{part}", f"Keyword,Volume\n{rows}\n".encode())
        until = time.monotonic() + WAIT
        while (view := indexes.of(shop.bucket).view(now=True)) is None or view.searcher.num_docs < number * 1200:
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.2))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        view = indexes.of(shop.bucket).view(now=True)
        assert view is not None
        found = find(view, Request(SHOP, limit=1000))  # it serves as it was committed
        assert found.total == view.searcher.num_docs - 1
    builder = Builder(shop.database, indexes)
    builder.catch_up()
    builder.close()
    assert search(indexes).total == 4 * 6 * 200
    assert contents(indexes) == built_anew(shop.database, tmp_path / "fresh")


def test_an_index_is_built_anew_while_it_serves(shop: Catalogue, indexes: Indexes, builder: Builder) -> None:
    shop.bring("i1", ("Keyword\n" + "\n".join(f"shoe {n}" for n in range(500))).encode())
    builder.catch_up()
    first = indexes.of(shop.bucket).view(now=True)
    assert first is not None
    failed: list[BaseException] = []
    ending = threading.Event()

    def read() -> None:
        try:
            while not ending.is_set():
                assert search(indexes, "shoe").total == 500
        except BaseException as error:
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(3):
        builder.build(shop.bucket)
    ending.set()
    reader.join()
    assert not failed
    assert find(first, Request(SHOP, "shoe")).total == 500  # who began before goes on
    assert index.current(indexes.folder_of(shop.bucket)) == indexes.folder_of(shop.bucket) / "4"
    assert [path.name for path in indexes.folder_of(shop.bucket).iterdir() if path.is_dir()] == ["4"]


def test_another_version_of_the_analysis_is_built_beside_and_changed_over_to(
    shop: Catalogue, indexes: Indexes, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.bring("i1", b"Keyword\nred shoes\n")
    with monkeypatch.context() as older:
        older.setattr(building, "MODEL_VERSION", "2020.1.1")
        builder.catch_up()
    view = indexes.of(shop.bucket).view(now=True)
    assert view is not None
    assert view.marker.model_version == "2020.1.1"
    assert builder.catch_up() == 1
    assert search(indexes, "shoes").total == 1  # all the time
    builder.close()  # when the build is done
    view = indexes.of(shop.bucket).view(now=True)
    assert view is not None
    assert view.marker.model_version == MODEL_VERSION
    assert builder.catch_up() == 0
    assert search(indexes, "shoes").total == 1


def test_an_index_that_missed_notes_is_built_anew(
    shop: Catalogue, indexes: Indexes, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.bring("i1", b"Keyword\nred shoes\n")
    builder.catch_up()
    monkeypatch.setattr(changes, "_KEPT", 2)
    for number in range(4):
        shop.bring(f"j{number}", f"Keyword\nred shoes {number}\n".encode())
    builder.catch_up()
    builder.close()
    assert search(indexes, "shoes").total == 5
    assert index.current(indexes.folder_of(shop.bucket)) == indexes.folder_of(shop.bucket) / "2"


def test_another_machine_begins_with_a_snapshot_and_follows(
    shop: Catalogue, database: Database, indexes: Indexes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = tmp_path / "snapshots"
    first = Builder(database, indexes, snapshots)
    shop.bring("i1", b"Keyword\nred shoes\nblue shoes\n")
    first.catch_up()
    assert first.take_snapshots(0) == 1
    assert first.take_snapshots(0) == 0  # nothing was written since
    shop.bring("i2", b"Keyword\ngreen shoes\n")
    shop.withdraw("i1")
    shop.follow()
    first.close()
    other = Indexes(tmp_path / "other", 8)
    second = Builder(database, other, snapshots)
    monkeypatch.setattr(second, "build", lambda bucket: pytest.fail("it was built anew"))
    assert second.catch_up() == 1
    second.close()
    assert phrases(search(other)) == ["green shoes"]
    assert contents(other) == built_anew(database, tmp_path / "fresh")


@pytest.mark.parametrize("trouble", ["damaged", "other version"])
def test_a_snapshot_that_cannot_be_used_is_passed_over(
    shop: Catalogue, database: Database, indexes: Indexes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    snapshots = tmp_path / "snapshots"
    first = Builder(database, indexes, snapshots)
    shop.bring("i1", b"Keyword\nred shoes\n")
    first.catch_up()
    first.take_snapshots(0)
    first.close()
    of_bucket = snapshots / str(shop.bucket)
    if trouble == "damaged":
        records = of_bucket / (of_bucket / "latest").read_text() / "records"
        records.write_bytes(records.read_bytes()[:-1] + b"?")
    else:
        manifest = of_bucket / (of_bucket / "latest").read_text() / "manifest.json"
        manifest.write_text(manifest.read_text().replace(MODEL_VERSION, "2020.1.1"))
    other = Indexes(tmp_path / "other", 8)
    second = Builder(database, other, snapshots)
    assert second.catch_up() == 1
    second.close()
    assert phrases(search(other)) == ["red shoes"]


def test_who_asks_before_there_is_an_index_is_told(place: Place, tmp_path: Path) -> None:
    settings = replace(Settings.load({}), data_dir=tmp_path, database_url=place.url, language_table=_table())
    finder = Finder(settings)
    try:
        finder.projects.create("empty", "ana")
        assert finder.searches.find(Request("empty", "shoes")).notes == ()
        started = finder.imports.start(b"Keyword\nred shoes\n", name="k.csv", project=SHOP)
        finder.jobs.run(started.job_id)
        found = finder.searches.find(Request(SHOP, "shoes"))
        assert found.total == 0
        assert found.notes == ("the search index does not hold this project yet: ask again in a moment",)
        finder.searches.catch_up(SHOP)
        found = finder.searches.find(Request(SHOP, "shoes"))
        assert (found.total, found.notes) == (1, ())
    finally:
        finder.close()


def test_what_was_written_is_found_when_one_waits_for_it(place: Place, tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = replace(Settings.load({}), data_dir=data, database_url=place.url, language_table=_table())
    finder = Finder(settings)
    stop = threading.Event()
    processor = threading.Thread(target=run_processor, args=(settings, stop))
    processor.start()
    try:
        started = finder.imports.start(b"Keyword\nred shoes\n", name="k.csv", project=SHOP)
        finder.jobs.run(started.job_id)
        finder.projects.create("empty", "ana")
        finder.searches.wait_for("empty", None, WAIT)
        assert finder.searches.find(Request("empty", "anything")).hits == []
        finder.searches.wait_for(SHOP, None, WAIT)
        found = finder.searches.find(Request(SHOP, "shoes"))
        assert [hit["keyword"] for hit in found.hits] == ["red shoes"]
        assert finder.searches.is_indexed(SHOP)
        finder.keywords.mark(found.hits[0]["id"], SHOP, "ana", tags=["spring"])
        finder.searches.wait_for(SHOP, found.position + 1, WAIT)
        assert finder.searches.find(Request(SHOP, filters={"tag": "spring"})).total == 1
        with pytest.raises(NotReached, match="the search index has not caught up within 0 seconds"):
            finder.searches.wait_for(SHOP, 10**9, 0)
        assert finder.searches.find(Request("default", "anything")).hits == []
    finally:
        stop.set()
        processor.join()
        finder.close()


def _table() -> Path:
    return Settings.load({}).language_table_path
