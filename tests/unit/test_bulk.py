"""Whole files: batches of any size and kind come out as one, and what is repeated as if it had been said once."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow
import pyarrow.ipc
import pytest
from polars.testing import assert_frame_equal

from omnikeywords import bulk
from omnikeywords.analysis import Options
from omnikeywords.analysts import derive, map_table
from omnikeywords.bulk import Source, analyse_sources
from omnikeywords.formats.write import write_results

ROWS = """Keyword,Country,Volume,KD,URL
running shoes,us,100,40,/a
botas,es,10,,
running shoes,us,300,,/b
,us,1,,
botas,pt,20,,
best tent 2026,,50,10,
Running  Shoes,us,,,/c
botas,es,5,70,
"""


def frames(path: Path, phrases: Sequence[str] = (), columns: Sequence[str] | None = None) -> pl.DataFrame:
    with analyse_sources([Source(path, path.name)], Options(), phrases=phrases, near_duplicates=False) as results:
        return pl.concat(list(results.frames(columns)))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "export.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def test_rows_of_one_keyword_take_the_place_of_the_first(export: Path) -> None:
    found = frames(export)
    assert found.select("keyword", "market", "volume", "vendor_difficulty").rows() == [
        ("running shoes", "und-US", 300, 40.0),
        ("botas", "und-ES", 10, 70.0),
        ("botas", "und-PT", 20, None),
        ("best tent 2026", None, 50, 10.0),
    ]
    assert found["difficulty"].struct.field("score").to_list() == [40.0, 70.0, None, 10.0]
    assert found["id"].n_unique() == 4


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_size_of_batches_changes_nothing(size: int, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phrases = ["", "best tent 2026", "x" * 701]
    whole = frames(export, phrases)
    part = frames(export, phrases, ["volume", "keyword", "market"])
    monkeypatch.setattr(bulk, "BATCH", size)
    assert_frame_equal(frames(export, phrases), whole)
    assert_frame_equal(frames(export, phrases, ["volume", "keyword", "market"]), part)


def test_the_tables_are_the_frames(export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)
    with analyse_sources([Source(export, "e")], Options(), phrases=["", "\x01", "tents"]) as results:
        write_results(results.tables(), tmp_path / "out.parquet", "parquet")
        whole = pl.concat(list(results.frames()))
    assert_frame_equal(pl.read_parquet(tmp_path / "out.parquet"), whole)


def test_each_row_of_a_batch_is_analysed_in_its_market(tmp_path: Path) -> None:
    rows = pyarrow.table(
        {
            "keyword": pyarrow.array(["tents", "", "tents", "botas", "tents"], pyarrow.large_string()),
            "market": pyarrow.array(["en-US", "en-US", None, "pt-PT", "en-US"], pyarrow.large_string()),
            "volume": [1, 2, None, 4, 5],
        }
    )
    with pyarrow.ipc.new_file(str(tmp_path / "observed"), rows.schema) as file:
        file.write_table(rows)
    found = derive(Options(), tmp_path / "observed", tmp_path / "derived")
    table = map_table(tmp_path / "derived")
    assert table["keyword"].to_pylist() == ["tents", "", "tents", "botas", "tents"]
    assert table["market"].to_pylist() == ["en-US", None, None, "pt-PT", "en-US"]
    assert found.errors == 1
    assert found.keys[1] == 0
    assert found.keys[0] == found.keys[4]
    assert len(set(found.keys.tolist())) == 4
