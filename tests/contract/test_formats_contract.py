"""What every export keeps to: one table in many containers gives the same observations."""

import contextlib
import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnikeywords.errors import InvalidOption, OmniKeywordsError, UnreadableExport
from omnikeywords.formats import OBSERVATION_SCHEMA, Export, open_export

FILES = sorted((Path(__file__).parents[1] / "data" / "formats").glob("*.csv"))
HEADER = ["Top queries", "Clicks", "Impressions", "CTR", "Position"]
ROWS: list[list[Any]] = [
    ["pão de queijo", 12, 340, 0.25, 8.21],
    ["a, b", 0, 5, 0.0, 13.0],
    ["é", 3, 4, 0.75, 1.5],
]
EXPECTED = [("pão de queijo", 12, 340, 0.25, 8.21), ("a, b", 0, 5, 0.0, 13.0), ("é", 3, 4, 0.75, 1.5)]


def as_csv(delimiter: str = ",", end: str = "\n") -> str:
    lines = [HEADER] + [[f'"{row[0]}"', row[1], row[2], f"{row[3]:.0%}", row[4]] for row in ROWS]
    return end.join(delimiter.join(map(str, line)) for line in lines) + end


def as_xlsx() -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        for name, rows in (("Chart", [["Date", *HEADER[1:]]]), ("Queries", [HEADER, *ROWS])):
            sheet = book.add_worksheet(name)
            for i, row in enumerate(rows):
                sheet.write_row(i, 0, row)
    return file.getvalue()


def as_parquet() -> bytes:
    file = io.BytesIO()
    pl.DataFrame(ROWS, schema=HEADER, orient="row").write_parquet(file)
    return file.getvalue()


def as_zip(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", ".", 1) if "." not in name else name, data)
    return file.getvalue()


def as_tabs() -> bytes:
    metrics = b",Clicks,Impressions,CTR,Position\n"
    return as_zip(
        **{
            "Chart.csv": b"Date" + metrics + b"2025-02-01,1,2,50%,1\n2025-02-28,1,2,50%,1\n",
            "Pages.csv": b"Top pages" + metrics + b"https://x.pt/,1,2,50%,1\n",
            "Queries.csv": as_csv().encode(),
            "Devices.csv": b"Device" + metrics + b"Mobile,1,2,50%,1\n",
            "Filters.csv": b"Filter,Value\nSearch type,Web\n",
        }
    )


JSON_LINES = "\n".join(
    '{"query": "%s", "clicks": %d, "impressions": %d, "ctr": %s, "position": %s, "device": "x"}' % tuple(row)  # noqa: UP031
    for row in ROWS
)

CONTAINERS: dict[str, Callable[[], bytes]] = {
    "csv": lambda: as_csv().encode(),
    "csv with CRLF and a mark": lambda: as_csv(end="\r\n").encode("utf-8-sig"),
    "csv of an old Mac": lambda: as_csv(end="\r").encode(),
    "tsv": lambda: as_csv("\t").encode(),
    "semicolons": lambda: as_csv(";").encode(),
    "utf-16": lambda: as_csv("\t").encode("utf-16"),
    "utf-16 without a mark": lambda: as_csv("\t").encode("utf-16-le"),
    "Windows-1252": lambda: as_csv().encode("cp1252"),
    "gzip": lambda: gzip.compress(as_csv().encode()),
    "zip of all tabs": as_tabs,
    "zip of a spreadsheet": lambda: as_zip(**{"export.xlsx": as_xlsx()}),
    "xlsx": as_xlsx,
    "parquet": as_parquet,
    "json lines": lambda: JSON_LINES.encode(),
    "json array": lambda: ("[" + JSON_LINES.replace("\n", ",") + "]").encode(),
}


class Pipe(io.RawIOBase):
    """Bytes that come a few at a time and never again, as from another program."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 100) if size > 0 else size)


def frame_of(export: Export, size: int = 10_000) -> pl.DataFrame:
    frames = [batch.frame for batch in export.batches(size)]
    return pl.concat(frames) if frames else pl.DataFrame()


@pytest.mark.parametrize("name", CONTAINERS)
def test_one_table_gives_the_same_observations_in_every_container(name: str) -> None:
    data = CONTAINERS[name]()
    for source in (data, cast(BinaryIO, Pipe(data))):
        with open_export(source) as export:
            frame = frame_of(export)
            assert export.tool == "google_search_console"
            assert frame.select("keyword", "clicks", "impressions", "ctr", "position").rows() == EXPECTED
            assert {k: v for k, v in frame.schema.items() if k != "extra"} == OBSERVATION_SCHEMA
            assert (export.rows_in, export.rows_kept, export.rows_skipped) == (3, 3, 0)


def test_a_zip_of_tabs_names_them_and_takes_the_period_from_its_days() -> None:
    with open_export(as_tabs()) as export:
        assert export.container == "zip: Queries.csv"
        frame = frame_of(export)
        told = " ".join(export.warnings)
    assert all(tab in told for tab in ("Chart.csv", "Pages.csv", "Devices.csv", "Filters.csv"))
    assert frame["period_start"].to_list() == [date(2025, 2, 1)] * 3
    assert frame["period_granularity"].to_list() == ["month"] * 3


def test_a_sheet_goes_on_in_sheets_with_the_same_header() -> None:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        for name, rows in (
            ("Keywords", [["keyword", "volume"], ["a", 1]]),
            ("Keywords 2", [["keyword", "volume"], ["b", 2]]),
        ):
            sheet = book.add_worksheet(name)
            for i, row in enumerate(rows):
                sheet.write_row(i, 0, row)
    with open_export(file.getvalue()) as export:
        assert frame_of(export).select("keyword", "volume", "line").rows() == [("a", 1, 2), ("b", 2, 2)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_batches_of_any_size_hold_the_same_rows(path: Path) -> None:
    if path.name == "gsc_pt_Paginas.csv":
        with pytest.raises(UnreadableExport, match="pages"):
            open_export(path)
        return
    with open_export(path) as whole, open_export(path) as split:
        one = frame_of(whole)
        two = frame_of(split, size=1)
        assert one.equals(two)
        assert whole.rows_in == whole.rows_kept + whole.rows_skipped == one.height + whole.rows_skipped
    with open_export(path) as shown:
        assert shown.preview(1).equals(one.head(1))
        assert frame_of(shown).equals(one)


def test_rows_that_are_no_keywords_are_skipped_with_line_and_reason() -> None:
    text = as_csv() + "  ,1,2,50%,1\n" + as_csv() + '"x",1,2,3%,1,too,many\n'
    with open_export(text.encode()) as export:
        assert frame_of(export).height == 6
        assert [(row.line, row.reason.split(":")[0]) for row in export.skipped] == [
            (5, "empty keyword"),
            (6, "repeated header"),
            (10, "unreadable row"),
        ]
        assert (export.rows_in, export.rows_kept, export.rows_skipped) == (9, 6, 3)


def test_skipped_rows_are_all_counted_and_the_first_ten_thousand_kept() -> None:
    with open_export(("keyword,volume\n" + "a,1\n" + ",2\n" * 12_000).encode()) as export:
        assert frame_of(export).height == 1
        assert len(export.skipped) == 10_000
        assert export.skipped.total == export.rows_skipped == 12_000
        assert dict(export.skipped.reasons) == {"empty keyword": 12_000}


def test_columns_that_come_later_in_json_lines_are_kept() -> None:
    lines = [f'{{"keyword": "k{i}", "volume": {i}}}' for i in range(60_000)]
    lines += ['{"keyword": "late", "note": "new", "tags": ["a", "b"]}', "not json", '{"volume": 3}', "[1]"]
    with open_export("\n".join(lines).encode()) as export:
        rows = [row for batch in export.batches() for row in batch.observations()]
        assert dict(export.skipped.reasons) == {"unreadable row": 2, "empty keyword": 1}
    assert rows[-1].keyword == "late"
    assert rows[-1].extra == {"note": "new", "tags": '["a", "b"]'}
    assert rows[0].extra == {}
    assert rows[59_999].volume == 59_999


def test_numbers_beyond_all_measure_in_a_json_array_stay_text() -> None:
    data = b'[{"keyword": "a", "volume": 1%s}, {"keyword": "b", "volume": 2.5e1}]' % (b"0" * 400)
    with open_export(data) as export:
        assert frame_of(export).select("keyword", "volume").rows() == [("a", None), ("b", 25)]


def test_json_that_is_no_text_or_nested_without_end_is_skipped_and_the_rest_read() -> None:
    halves = b'[{"keyword": "a\\ud800"}, {"keyword": "b"}, {"\\udfff": 1}]'
    deep = b'{"keyword": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b'}\n{"keyword": "b"}\n'
    for data, skipped in ((halves, [1, 3]), (deep, [1])):
        with open_export(data) as export:
            assert frame_of(export)["keyword"].to_list() == ["b"]
            assert [row.line for row in export.skipped] == skipped
            assert set(export.skipped.reasons) == {"unreadable row"}


def test_parquet_columns_of_any_type_are_read_or_kept_as_text() -> None:
    table = pa.table(
        {
            "keyword": pa.array([b"caf\xc3\xa9", b"caf\xe9 bar", None]).cast(pa.binary()),
            "volume": pa.array([Decimal(10), None, Decimal(30)], pa.decimal256(60, 2)),
            "cpc": pa.array([Decimal("1.25"), None, None], pa.decimal128(10, 2)),
            "held": pa.array([90, None, 1], pa.duration("s")),
            "list": pa.array([[1, None], None, []]),
            "pair": pa.array([{"a": b"x"}, None, {"a": None}]),
            "word": pa.array(["x", None, "y"]).dictionary_encode(),
            "bytes": pa.array([b"ab", None, b"cd"], pa.binary(2)),
            "seen": pa.array([date(2025, 1, 2), None, None]),
            "none": pa.nulls(3),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    with open_export(file.getvalue()) as export:
        frame = frame_of(export)
        assert export.rows_skipped == 1
    assert frame.select("keyword", "volume", "cpc").rows() == [("café", 10, 1.25), ("café bar", None, None)]
    assert frame["extra"][0] == {
        "held": "0:01:30",
        "list": "[1, null]",
        "pair": '{"a": "x"}',
        "word": "x",
        "bytes": "ab",
        "seen": "2025-01-02",
        "none": None,
    }


def test_a_parquet_page_that_does_not_fit_its_dictionary_is_damage() -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"keyword": ["a b", "c d"] * 50}), file, compression="none")
    data = file.getvalue()
    words = data.index(b"a b")
    for at in range(words, data.index(b"ARROW:schema")):
        with contextlib.suppress(UnreadableExport), open_export(data[:at] + b"\xff" + data[at + 1 :]) as export:
            frame_of(export)


def test_a_header_alone_is_no_error() -> None:
    with open_export(b"Top queries,Clicks,Impressions,CTR,Position") as export:
        assert list(export.batches()) == []
        assert export.rows_in == 0
        assert any("no rows" in warning for warning in export.warnings)


def test_an_export_is_read_once_and_a_given_stream_stays_open() -> None:
    stream = io.BytesIO(as_csv().encode())
    with open_export(stream) as export:
        frame_of(export)
        with pytest.raises(InvalidOption, match="open it again"):
            export.batches()
    assert not stream.closed


def test_the_period_a_person_gives_stands_over_the_files() -> None:
    with open_export(as_tabs(), period=(date(2024, 1, 1), date(2024, 1, 7))) as export:
        frame = frame_of(export)
    assert frame.select("period_start", "period_end", "period_from").row(0) == (
        date(2024, 1, 1),
        date(2024, 1, 7),
        "argument",
    )


def as_book(sheets: dict[str, list[list[Any]]], hidden: str = "") -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for i, row in enumerate(rows):
                sheet.write_row(i, 0, row)
            if name == hidden:
                sheet.hide()
    return file.getvalue()


def test_a_hidden_sheet_is_read_only_for_want_of_another() -> None:
    notes, old, new = [["Made in May"]], [["keyword"], ["old"]], [["keyword"], ["new"]]
    with open_export(as_book({"Notes": notes, "Old": old, "New": new}, hidden="Old")) as export:
        assert frame_of(export)["keyword"].to_list() == ["new"]
        assert export.warnings == [
            "sheets without keywords were left out: Notes",
            "more sheets with keywords were left out: Old; save each as a file",
        ]
    with open_export(as_book({"Notes": notes, "Old": old}, hidden="Old")) as export:
        assert frame_of(export)["keyword"].to_list() == ["old"]


def test_a_sheet_with_another_header_is_told_of() -> None:
    sheets = {"May": [["keyword", "volume"], ["a", 1]], "June": [["keyword", "cpc"], ["b", 2]]}
    with open_export(as_book(sheets)) as export:
        assert frame_of(export)["keyword"].to_list() == ["a"]
        assert export.warnings == ["more sheets with keywords were left out: June; save each as a file"]


def test_what_stands_beside_a_table_is_kept() -> None:
    book = as_book({"A": [["keyword", "volume"], ["a", 1, "", "note"]], "B": [["keyword", "volume"], ["b", 2]]})
    for data in (b"keyword,volume,,\na,1,,note\nb,2,,\n", book):
        with open_export(data) as export:
            frame = frame_of(export)
            assert frame.select("keyword", "volume").rows() == [("a", 1), ("b", 2)]
            assert frame["extra"].struct.field("column 4").to_list() == ["note", None]
            assert export.rows_skipped == 0


def far_cell() -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.write_column(0, 0, ["keyword", "a"])
        sheet.write(1_048_575, 16_383, "x")
    return file.getvalue()


def lying_zip() -> bytes:
    data = bytearray(as_zip(**{"Queries.csv": as_csv().encode()}))
    at = data.rfind(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 1 << 30)
    return bytes(data)


def moved_zip() -> bytes:
    """A zip whose directory says that its file begins before the archive does."""
    data = as_zip(**{"Queries.csv": as_csv().encode()})
    return data[:-22] + data[-22:-6] + struct.pack("<I", struct.unpack("<I", data[-6:-2])[0] + 9) + data[-2:]


def broken_zip(packing: int) -> bytes:
    """A zip with wrong bytes in the middle of its file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        archive.writestr("Queries.csv", as_csv() + "".join(f"word {i},1,2,50%,3\n" for i in range(9000)))
    data = bytearray(file.getvalue())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    return bytes(data)


DAMAGED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "half a zip": lambda: as_tabs()[:300],
    "a zip of a file without a name": lambda: as_zip(**{".x": b"x"}).replace(b".x", b"\0x"),
    "a zip that begins before itself": moved_zip,
    "a broken zip": lambda: broken_zip(zipfile.ZIP_DEFLATED),
    "a broken zip of bzip2": lambda: broken_zip(zipfile.ZIP_BZIP2),
    "a broken zip of LZMA": lambda: broken_zip(zipfile.ZIP_LZMA),
    "a zip that says it holds 1 GiB": lying_zip,
    "a zip bomb": lambda: as_zip(**{"q.csv": b"keyword\n" + b"a\n" * (60 << 20)}),
    "a zip of nothing readable": lambda: as_zip(**{"a.png": b"x"}),
    "a zip of pages alone": lambda: as_zip(
        **{"Pages.csv": b"Top pages,Clicks,Impressions,CTR,Position\nhttps://x,1,2,50%,1\n"}
    ),
    "half a spreadsheet": lambda: as_xlsx()[:3000],
    "a spreadsheet with a cell at the very end": far_cell,
    "an encrypted spreadsheet": lambda: (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le")
    ),
    "half a Parquet file": lambda: as_parquet()[:-30],
    "half a gzip": lambda: gzip.compress(as_csv().encode())[:-20],
    "an image": lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "binary junk": lambda: bytes(range(256)) * 20,
    "one endless line": lambda: b"a" * (9 << 20),
    "half a JSON array": lambda: b'[{"keyword": "a"}, {"keyw',
    "a JSON array nested without end": lambda: b'[{"keyword": ' * 50_000,
    "objects of ever new keys": lambda: b"".join(b'{"%d":1}\n' % i for i in range(20_000)),
    "a hundred thousand columns": lambda: ",".join(["keyword", *map(str, range(100_000))]).encode() + b"\nx\n",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_read_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UnreadableExport) as refusal, open_export(DAMAGED[name]()) as export:
        frame_of(export)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableExport, match="folder"):
        open_export(tmp_path)
    with pytest.raises(UnreadableExport, match="does not exist"):
        open_export(tmp_path / "none.csv")


SEEDS = [path.read_bytes() for path in FILES] + [as_tabs(), as_xlsx(), as_parquet(), JSON_LINES.encode()]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(
        st.tuples(
            st.floats(0, 1),
            st.sampled_from([b"", b'"', b",", b"\n", b"\r", b"\0", b"\xff", b";", b"\t", b"{", b"\xef\xbb\xbf"]),
        ),
        max_size=6,
    ),
    keep=st.floats(0.05, 1),
)
def test_damage_is_read_or_refused_and_never_crashes(
    seed: bytes, edits: list[tuple[float, bytes]], keep: float
) -> None:
    data = bytearray(seed[: int(len(seed) * keep)])
    for place, what in edits:
        at = int(place * len(data))
        data[at : at + 1] = what
    try:
        with open_export(bytes(data)) as export:
            rows = sum(len(batch) for batch in export.batches())
            assert rows == export.rows_kept == export.rows_in - export.rows_skipped
    except OmniKeywordsError as error:
        refusal = str(error)
    else:
        refusal = ""
    assert "\n" not in refusal
