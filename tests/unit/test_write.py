"""Results as files: what is in them, cell by cell, and that they appear whole or not at all."""

import errno
import gc
import io
import json
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import fastexcel
import polars as pl
import pyarrow
import pyarrow.parquet
import pytest

from omnikeywords.errors import InvalidOption
from omnikeywords.formats import write
from omnikeywords.formats.write import (
    FORMATS,
    OBSERVED_FIELDS,
    Format,
    extra_as_text,
    flatten,
    json_lines,
    write_results,
)

FRAME = extra_as_text(
    pl.DataFrame(
        {
            "keyword": ["ténis de corrida", '=HYPERLINK("x")', "@home"],
            "intents": [
                {"informational": 0.25, "commercial": 0.75},
                None,
                {"informational": 1.0, "commercial": 0.0},
            ],
            "modifiers": [[{"type": "price", "text": "barato"}, {"type": "year", "text": "2026"}], [], None],
            "branded": [False, None, True],
            "difficulty": [{"score": 12.5, "parts": {"cpc": None, "results": 12.5}}, None, None],
            "popularity": pl.Series([4.2, None, float("nan")], dtype=pl.Float32),
            "volume": [0, None, 12],
            "serp_features": [["Top | stories", "FAQ"], None, []],
            "monthly_searches": [
                [{"month": "2025-10", "searches": 34}, {"month": "2025-11", "searches": None}],
                [],
                None,
            ],
            "period_end": [date(2025, 11, 30), None, None],
            "extra": [
                {"Ad group": "-1", "Note": None},
                {"Ad group": None, "Note": None},
                {"Ad group": "x", "Note": "y"},
            ],
        }
    )
)


def written(format: write.Format, frame: pl.DataFrame = FRAME, **options: object) -> bytes:
    file = io.BytesIO()
    write_results([frame], file, format, **options)  # type: ignore[arg-type]
    return file.getvalue()


def test_csv_is_flat_and_safe_for_spreadsheets() -> None:
    lines = written("csv").decode().splitlines()
    assert lines == [
        "keyword,intents_informational,intents_commercial,modifiers,branded,difficulty_score,difficulty_parts_cpc,"
        "difficulty_parts_results,popularity,volume,serp_features,monthly_searches,period_end,extra",
        "ténis de corrida,0.25,0.75,price:barato|year:2026,false,12.5,,12.5,4.2,0,Top \\| stories|FAQ,"
        '2025-10:34|2025-11:,2025-11-30,"{""Ad group"":""-1""}"',
        '"\'=HYPERLINK(""x"")",,,,,,,,,,,,,',
        '\'@home,1.0,0.0,,true,,,,NaN,12,,,,"{""Ad group"":""x"",""Note"":""y""}"',
    ]


def test_json_lines_nest_and_never_turn_missing_into_zero() -> None:
    first, second, third = (json.loads(line) for line in json_lines(FRAME))
    assert first == {
        "keyword": "ténis de corrida",
        "intents": {"informational": 0.25, "commercial": 0.75},
        "modifiers": [{"type": "price", "text": "barato"}, {"type": "year", "text": "2026"}],
        "branded": False,
        "difficulty": {"score": 12.5, "parts": {"cpc": None, "results": 12.5}},
        "popularity": 4.2,
        "volume": 0,
        "serp_features": ["Top | stories", "FAQ"],
        "monthly_searches": {"2025-10": 34, "2025-11": None},
        "period_end": "2025-11-30",
        "extra": {"Ad group": "-1"},
    }
    assert second["keyword"] == '=HYPERLINK("x")'
    assert second["volume"] is None
    assert second["extra"] is None
    assert third["popularity"] is None


def test_json_lines_are_one_a_row_and_end_with_a_line_feed() -> None:
    text = written("jsonl").decode()
    assert text.endswith("}\n")
    assert text.count("\n") == 3


def test_parquet_keeps_types() -> None:
    table = pl.read_parquet(written("parquet"))
    assert table.schema["modifiers"] == pl.List(pl.Struct({"type": pl.String, "text": pl.String}))
    assert table.schema["period_end"] == pl.Date
    assert table["keyword"].to_list() == ["ténis de corrida", '=HYPERLINK("x")', "@home"]
    assert table["volume"].to_list() == [0, None, 12]


def test_xlsx_holds_texts_as_texts_and_numbers_as_numbers() -> None:
    sheet = fastexcel.read_excel(written("xlsx")).load_sheet("Keywords").to_polars()
    assert sheet["keyword"].to_list() == ["ténis de corrida", '\'=HYPERLINK("x")', "'@home"]
    assert sheet["volume"].to_list() == [0.0, None, 12.0]
    assert sheet["popularity"].to_list() == [4.2, None, None]
    assert sheet["branded"].to_list() == [False, None, True]


def test_xlsx_goes_on_in_a_next_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "XLSX_ROWS", 2)
    file = io.BytesIO()
    told = write_results([FRAME, FRAME], file, "xlsx")
    book = fastexcel.read_excel(file.getvalue())
    assert book.sheet_names == ["Keywords", "Keywords 2", "Keywords 3"]
    assert [book.load_sheet(name).height for name in book.sheet_names] == [2, 2, 2]
    assert told.rows == 6
    assert told.notes == ["xlsx holds 2 rows a sheet: the rest is in 2 more"]


def test_xlsx_says_which_cells_it_cannot_hold() -> None:
    frame = pl.DataFrame({"keyword": ["a"], "url": ["x" * 32_768]})
    told = write_results([frame], io.BytesIO(), "xlsx")
    assert "1 cells longer than xlsx allows" in told.notes[0]


class _Full(io.BytesIO):
    """A disk that is without room once."""

    refused = False

    def write(self, data: Any) -> int:
        if self.refused:
            return super().write(data)
        self.refused = True
        raise OSError(errno.ENOSPC, "No space left on device")


# The standard library's zip file complains when it is collected half written.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("format", FORMATS)
def test_what_the_system_says_against_writing_is_told_as_it_says_it(format: Format) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        write_results([FRAME], _Full(), format)
    assert caught.value.errno == errno.ENOSPC
    del caught
    gc.collect()


def test_columns_nobody_filled_can_be_left_out_of_csv_and_xlsx_only() -> None:
    assert written("csv", omit=("volume", "extra")).decode().splitlines()[0].endswith("monthly_searches,period_end")
    assert "volume" in json.loads(written("jsonl", omit=("volume",)).splitlines()[0])


def test_a_byte_order_mark_comes_once_and_only_if_asked() -> None:
    file = io.BytesIO()
    write_results([FRAME, FRAME], file, "csv", bom=True)
    assert file.getvalue().startswith(b"\xef\xbb\xbfkeyword,")
    assert file.getvalue().count(b"\xef\xbb\xbf") == 1
    assert written("csv").startswith(b"keyword,")


@pytest.mark.parametrize("format", FORMATS)
def test_no_rows_is_a_file_with_its_columns(format: write.Format, tmp_path: Path) -> None:
    path = tmp_path / f"none.{format}"
    assert write_results([FRAME.clear()], path, format).rows == 0
    match format:
        case "jsonl":
            assert path.read_bytes() == b""
        case "csv":
            assert path.read_text().splitlines() == [",".join(flatten(FRAME).columns)]
        case "parquet":
            assert pl.read_parquet(path).columns == FRAME.columns
        case "xlsx":
            assert fastexcel.read_excel(path).load_sheet(0).available_columns()[0].name == "keyword"


def failing() -> Iterator[pl.DataFrame]:
    yield FRAME
    raise RuntimeError("on the way")


@pytest.mark.parametrize("format", FORMATS)
def test_a_failure_leaves_what_was_there_and_nothing_else(format: write.Format, tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_text("before")
    with pytest.raises(RuntimeError, match="on the way"):
        write_results(failing(), path, format)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["results"]


def test_files_get_the_permissions_of_ordinary_files(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    write_results([FRAME], tmp_path / "a.csv", "csv")
    assert (tmp_path / "a.csv").stat().st_mode == ordinary.stat().st_mode


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("target.csv")
    write_results([FRAME], tmp_path / "link.csv", "csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text().startswith("keyword,")


def test_a_folder_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidOption, match=r"cannot write '/nowhere/x.csv' \(no such file or directory\)"):
        write_results([FRAME], Path("/nowhere/x.csv"), "csv")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="it is a folder"):
        write_results([FRAME], tmp_path, "csv")


def test_other_columns_become_json_text_without_those_that_are_empty() -> None:
    frame = pl.DataFrame({"keyword": ["a", "b"], "extra": [{'N "1"': "é\n", "z": None}, {'N "1"': None, "z": None}]})
    assert extra_as_text(frame)["extra"].to_list() == ['{"N \\"1\\"":"é\\n"}', None]


def test_the_sources_difficulty_does_not_take_the_name_of_ours() -> None:
    assert OBSERVED_FIELDS["vendor_difficulty"] == "difficulty"
    assert "difficulty" not in OBSERVED_FIELDS


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
def test_many_frames_are_written_in_their_order(format: write.Format, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "_ROW_GROUP", 7)
    frames = [pl.DataFrame({"keyword": [f"k{10 * n + i}" for i in range(3)]}) for n in range(20)]
    file = io.BytesIO()
    assert write_results(frames, file, format).rows == 60
    file.seek(0)
    read = {"jsonl": pl.read_ndjson, "csv": pl.read_csv, "parquet": pl.read_parquet}[format](file)
    assert read.equals(pl.concat(frames))


def test_parquet_of_dictionaries_reads_as_texts() -> None:
    texts = pl.DataFrame(
        {
            "a": ["x", "y", None],
            "b": [{"c": "x", "d": [{"e": "y"}]}, {"c": "y", "d": []}, None],
        }
    )
    plain = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
    kind = pyarrow.dictionary(pyarrow.int8(), pyarrow.large_string())
    coded = pyarrow.table(
        {
            "a": plain["a"].cast(kind),
            "b": pyarrow.StructArray.from_arrays(
                [
                    pyarrow.array(["x", "y", None], pyarrow.large_string()).cast(kind),
                    pyarrow.LargeListArray.from_arrays(
                        pyarrow.array([0, 1, 1, 1]),
                        pyarrow.StructArray.from_arrays(
                            [pyarrow.array(["y"], pyarrow.large_string()).cast(kind)], names=["e"]
                        ),
                    ),
                ],
                names=["c", "d"],
                mask=pyarrow.array([False, False, True]),
            ),
        }
    )
    file = io.BytesIO()
    write_results([coded], file, "parquet")
    assert pyarrow.parquet.read_schema(file).equals(plain.schema)
    file.seek(0)
    assert pl.read_parquet(file).equals(texts)


def test_a_stream_that_takes_a_part_at_a_time_gets_everything() -> None:
    class Narrow(io.BytesIO):
        def write(self, data: object) -> int:
            return super().write(bytes(memoryview(data)[:100]))  # type: ignore[arg-type]

    narrow = Narrow()
    write_results([FRAME, FRAME], narrow, "jsonl")
    assert narrow.getvalue() == written("jsonl") * 2
