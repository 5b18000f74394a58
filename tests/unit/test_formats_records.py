"""Delimited text: the quick ways of reading must say what the slow definition says, line for line."""

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omnikeywords.errors import UnreadableExport
from omnikeywords.formats import records
from omnikeywords.formats.records import Records, as_text, read_record
from omnikeywords.formats.sniff import kind_of, sniff_encoding


def rows_of(text: str, cells: int, delimiter: str = ",") -> list[tuple[int, tuple[str, ...]]]:
    block = Records(delimiter, cells).read(text, final=True)
    frame = block.frame.with_columns(pl.all().fill_null(""))
    return list(zip(block.lines, frame.rows(), strict=True))


def test_quoted_cells_hold_delimiters_quotes_and_line_ends() -> None:
    text = 'a,1,x\n"b, c",2,y\n"d ""e""",3,z\n"two\nlines",4,w\nlast,5,v'
    assert rows_of(text, 3) == [
        (1, ("a", "1", "x")),
        (2, ("b, c", "2", "y")),
        (3, ('d "e"', "3", "z")),
        (4, ("two\nlines", "4", "w")),
        (6, ("last", "5", "v")),
    ]


def test_quotes_that_open_nothing_are_text() -> None:
    assert rows_of('5" nails,1,2\n6 "best" of,3,4\n', 3) == [
        (1, ('5" nails', "1", "2")),
        (2, ('6 "best" of', "3", "4")),
    ]


def test_a_quote_that_is_never_closed_swallows_no_rows() -> None:
    assert rows_of('"open,1,2\nb,3,4\nc,5,6\n', 3) == [
        (1, ('"open', "1", "2")),
        (2, ("b", "3", "4")),
        (3, ("c", "5", "6")),
    ]


def test_rows_below_a_quote_left_open_stay_rows_where_its_line_is_one() -> None:
    assert rows_of('""x"",5\nfoo,8\n"multi\nline",9\n', 2) == [
        (1, ('""x""', "5")),
        (2, ("foo", "8")),
        (3, ("multi\nline", "9")),
    ]
    assert rows_of('"x,5\nfoo,8\n"bar",9\n', 2) == [(1, ('"x', "5")), (2, ("foo", "8")), (3, ("bar", "9"))]
    assert rows_of('"x" y,5\nfoo,8\nbar "z",9\n', 2) == [(1, ('"x" y', "5")), (2, ("foo", "8")), (3, ('bar "z"', "9"))]
    # Two lines of one cell, with a comma in each.
    assert rows_of('"shoes, black\nboots, brown",9\n', 2) == [(1, ("shoes, black\nboots, brown", "9"))]


@pytest.mark.parametrize("line", ['"abc def {},12', '"abc "def" {},12', '"abc {},1","b'])
def test_quotes_left_open_in_every_line_are_looked_at_a_few_times_each(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    closing = records._closing

    def counted(text: str, scan: int, delimiter: str) -> tuple[int, bool]:
        nonlocal looked
        looked += 1
        return closing(text, scan, delimiter)

    monkeypatch.setattr(records, "_closing", counted)
    text = "".join(line.format(n) + "\n" for n in range(4000))
    block = Records(",", 2).read(text, final=True)
    assert block.frame.height + len(block.skipped) == 4000
    assert looked < 10 * 4000


def test_quotes_that_nobody_escaped_are_understood_by_the_number_of_cells() -> None:
    text = '"6′ (72")#4" × 8"#","2","0","0%","4"\n"5 inch"","65","2","3.08%","5.9"\n'
    assert rows_of(text, 5) == [
        (1, ('6′ (72")#4" × 8"#', "2", "0", "0%", "4")),
        (2, ('5 inch"', "65", "2", "3.08%", "5.9")),
    ]


def test_every_kind_of_line_end_ends_a_row_outside_quotes() -> None:
    assert rows_of("a,1\r\nb,2\rc,3\nd,4", 2) == [
        (1, ("a", "1")),
        (2, ("b", "2")),
        (3, ("c", "3")),
        (4, ("d", "4")),
    ]
    assert rows_of('a,"1"\r\nb,2\r"c",3\r\n', 2) == [(1, ("a", "1")), (2, ("b", "2")), (3, ("c", "3"))]
    assert rows_of('"x\r\ny",1\r\n"\rz",2\r\n', 2) == [(1, ("x\r\ny", "1")), (3, ("\rz", "2"))]


def test_a_row_with_too_many_cells_is_skipped_with_its_line_unless_they_are_empty() -> None:
    block = Records(",", 2).read("a,1\nb,2,3\nc,4,,\n", final=True)
    assert block.frame.rows() == [("a", "1"), ("c", "4")]
    assert [(row.line, row.reason, row.text) for row in block.skipped] == [
        (2, "unreadable row: 3 cells where the header has 2", "b,2,3")
    ]


cell = st.text(st.sampled_from('ab é,"\n'), max_size=5)
wild = st.text(st.sampled_from('ab,,"\n\n'), max_size=40)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.lists(cell, min_size=3, max_size=3), max_size=6))
@example(rows=[[",,\n", "", "\n"]])  # its first two lines have three cells each, were a quote text
def test_what_a_csv_writer_writes_is_read_back(rows: list[list[str]]) -> None:
    rows = [row for row in rows if any(row)]
    text = "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows)
    assert [row for _, row in rows_of(text, 3)] == [tuple(row) for row in rows]


@settings(max_examples=200, deadline=None)
@given(text=wild, cells=st.integers(1, 4))
def test_the_quick_ways_say_what_the_definition_says(text: str, cells: int) -> None:
    lines = text.removesuffix("\n").split("\n")
    slow, at = [], 0
    while at < len(lines):
        record = read_record(lines, at, ",", cells)
        assert record is not None
        row, after = record
        surplus = any(cell.strip() for cell in row[cells:])
        if lines[at] != "" and not surplus:
            slow.append((at + 1, tuple(row[:cells]) + ("",) * (cells - len(row))))
        at = after
    assert rows_of(text, cells) == slow


@settings(max_examples=100, deadline=None)
@given(text=wild, cut=st.integers(0, 40))
def test_where_the_pieces_are_cut_changes_nothing(text: str, cut: int) -> None:
    whole = rows_of(text, 3)
    end = text.rfind("\n", 0, cut) + 1
    reader = Records(",", 3)
    blocks = [reader.read(text[:end], final=False)] if end else []
    if text[end:] or not blocks:
        blocks.append(reader.read(text[end:], final=True))
    else:
        blocks.append(reader.read("", final=True))
    rows = [
        (line, row)
        for block in blocks
        for line, row in zip(block.lines, block.frame.with_columns(pl.all().fill_null("")).rows(), strict=True)
    ]
    assert rows == whole


def test_numbers_as_text_have_a_point_only_where_they_need_one() -> None:
    assert as_text(pl.Series([26.0, 0.5, None, 1e20])).to_list() == ["26", "0.5", None, "1e+20"]


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (b"\xef\xbb\xbfa", "utf-8"),
        ("é".encode(), "utf-8"),
        ("caf\u00e9".encode("cp1252"), "cp1252"),
        ("\ufeffabc".encode("utf-16-le"), "utf-16-le"),
        ("\ufeffabc".encode("utf-16-be"), "utf-16-be"),
        ("keyword\tvolume\n".encode("utf-16-le"), "utf-16-le"),
        ("keyword\tvolume\n".encode("utf-16-be"), "utf-16-be"),
        ("é\né\nã\n".encode() + "é\n".encode("cp1252"), "utf-8"),
    ],
)
def test_the_encoding_is_told_by_the_bytes(head: bytes, codec: str) -> None:
    assert sniff_encoding(head, whole=True).codec == codec


def test_a_character_cut_at_the_end_of_the_head_is_no_error() -> None:
    assert sniff_encoding("cafés".encode()[:4], whole=False).codec == "utf-8"


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"", "empty"),
        (b"%PDF-1.7", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"Rar!\x1a\x07", "RAR"),
        (b"SQLite format 3\0", "SQLite"),
    ],
)
def test_what_cannot_hold_keywords_is_refused_by_name(head: bytes, says: str) -> None:
    with pytest.raises(UnreadableExport, match=says):
        kind_of(head)


def test_a_keyword_that_begins_like_an_image_is_text() -> None:
    assert kind_of(b"BMW x5\nBM parts\n") == "text"
    assert kind_of(b"ID3 tag editor\n") == "text"
