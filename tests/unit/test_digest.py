"""What can be made of a chunk of rows alone, and where it is made."""

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from omnikeywords.analysis import MODEL_VERSION, Options
from omnikeywords.catalog.digest import Digest, Digester, digest
from omnikeywords.catalog.events import Event, EventType, rows_of
from omnikeywords.model import Market

WHEN = datetime(2026, 11, 25, 12, 30, 0, 123456, tzinfo=UTC)
OPTIONS = Options(market=Market.parse("en-US"))


def chunk(rows: dict[str, list[Any]], *, number: int = 0, first_row: int = 0, said_rows: int | None = None) -> Event:
    """An event of import i1a that appended rows."""
    frame = pl.DataFrame(rows).with_columns(split_by=pl.lit(""), part=pl.lit(""))
    payload = {"number": number, "first_row": first_row, "rows": frame.height if said_rows is None else said_rows}
    data = rows_of(frame)
    return Event(7, 3, "shop", "import/i1a", 2, EventType.ROWS_APPENDED, payload, data, "ana", WHEN)


SHOES = {"keyword": ["Buy Shoes", "!!!", "boots"], "volume": [40, 5, None], "results": [None, None, 9]}


def test_rows_are_told_by_their_places_in_the_import_and_those_that_cannot_be_analysed_are_left_out() -> None:
    made = digest(chunk(SHOES, first_row=20_000), OPTIONS)
    assert made.rows.select("bucket", "project", "import_id", "row", "recorded_at", "volume", "rest").rows() == [
        (7, "shop", "i1a", 20_000, WHEN, 40, made.rows["rest"][0]),
        (7, "shop", "i1a", 20_002, WHEN, None, made.rows["rest"][1]),
    ]
    assert '"keyword":"Buy Shoes"' in made.rows["rest"][0]
    assert '"results":9' in made.rows["rest"][1]
    assert made.rows["id"].to_list() == made.state["id"].to_list()


def test_the_state_is_that_of_keywords_of_which_nothing_else_is_known() -> None:
    state = digest(chunk(SHOES, first_row=20_000), OPTIONS).state
    said = ("keyword", "normalized", "market", "language", "words", "intent", "volume", "observed")
    assert state.select(said).rows() == [
        ("Buy Shoes", "buy shoes", "en-US", "en", 2, "transactional", 40, None),
        ("boots", "boots", "en-US", "en", 1, state["intent"][1], None, '{"results":9}'),
    ]
    assert state.select("rows", "created_at", "updated_at").rows() == [
        ("i1a/20000", WHEN, WHEN),
        ("i1a/20002", WHEN, WHEN),
    ]
    assert state["model_version"].unique().to_list() == [MODEL_VERSION]


def test_a_row_of_another_market_is_of_another_keyword() -> None:
    rows = {"keyword": ["boots", "boots", "boots"], "market": [None, "en-GB", "en-US"]}
    made = digest(chunk(rows), OPTIONS)
    assert made.state["market"].to_list() == ["en-US", "en-GB", "en-US"]
    american, british, named = made.rows["id"]
    assert american == named != british


@pytest.fixture
def digester() -> Iterator[Digester]:
    made = Digester(idle_seconds=300)
    yield made
    if made._process is not None:
        made._process.kill()
        made._process.join()
    if made._pipe is not None:
        made._pipe.close()


def large(number: int = 8, rows: dict[str, list[Any]] = SHOES) -> Event:
    """An event that is worth a process: it says that its rows are many."""
    return chunk(rows, number=number, said_rows=10_000)


def started(digester: Digester) -> Digester:
    """Once its process is ready; what was asked for until then was made here."""
    digester.digest(large(), OPTIONS)
    assert digester._pipe is not None
    assert digester._pipe.poll(60)
    return digester


def same(one: Digest, other: Digest) -> None:
    assert_frame_equal(one.rows, other.rows)
    assert_frame_equal(one.state, other.state)
    assert one.options == other.options


def test_small_chunks_and_the_first_of_an_import_start_no_process(digester: Digester) -> None:
    for event in (chunk(SHOES, number=30), large(number=7)):
        same(digester.digest(event, OPTIONS), digest(event, OPTIONS))
    assert digester._process is None


def test_a_process_beside_makes_the_same_and_tells_what_is_wrong(
    digester: Digester, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = digest(large(), OPTIONS)
    broken = large(rows={"volume": [1]})
    started(digester)
    # From here on nothing is made in this process.
    monkeypatch.setattr("omnikeywords.catalog.digest.digest", None)
    same(digester.digest(large(), OPTIONS), here)
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match="keyword"):
        digester.digest(broken, OPTIONS)
    same(digester.digest(large(), OPTIONS), here)


def test_what_a_process_beside_made_is_small_until_it_is_looked_at(digester: Digester) -> None:
    many = large(rows={"keyword": [f"shoes {n}" for n in range(3_000)]})
    started(digester)
    made = digester.digest(many, OPTIONS)
    assert len(pickle.dumps(made)) < made.rows.estimated_size() + made.state.estimated_size()
    same(made, digest(many, OPTIONS))
    same(digest(many, OPTIONS).packed(), made)


def test_where_the_process_is_gone_the_next_is_made_here_and_another_is_started(digester: Digester) -> None:
    gone = started(digester)._process
    assert gone is not None
    gone.kill()
    gone.join()
    same(digester.digest(large(), OPTIONS), digest(large(), OPTIONS))
    assert digester._process is None
    digester.digest(large(), OPTIONS)
    assert digester._process is not None
    assert digester._process.pid != gone.pid


def test_a_process_that_nobody_needs_ends(digester: Digester) -> None:
    digester._idle_seconds = 0.01
    idle = started(digester)._process
    assert idle is not None
    idle.join(60)
    assert idle.exitcode == 0
    same(digester.digest(large(), OPTIONS), digest(large(), OPTIONS))
