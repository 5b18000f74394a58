"""Records of quoted text: reading that looks ahead once must say what a reader says that goes letter by letter."""

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnikeywords.formats import records
from omnikeywords.formats.records import Records, read_record

LIMIT = 6  # line ends inside the quotes of a record; the product's is too long for examples


def by_quotes(text: str, at: int, cells: int) -> tuple[list[str], int, bool]:
    """Cells of the record at a place of the text, where it ends, whether its quotes are regular; [] if never closed."""
    row, regular, breaks = [""], True, 0
    quoted = text.startswith('"', at)
    i = at + quoted
    while i < len(text):
        letter, after = text[i], text[i + 1 : i + 2]
        if quoted and letter == '"' and after == '"':
            row[-1] += '"'
            i += 1
        elif quoted and letter == '"' and after in ("", ",", "\n"):
            quoted = False
        elif quoted:
            regular &= letter != '"'
            breaks += letter == "\n"
            row[-1] += letter
        elif letter == "\n":
            return row, i + 1, regular
        elif letter == ",":
            row.append("")
            quoted = after == '"'
            i += quoted
        else:
            row[-1] += letter
        i += 1
    return (row, i, regular) if not quoted else ([], i, regular)


def slow(text: str, at: int, cells: int) -> tuple[list[str], int]:
    """The record at a place of the text by the rules, and how many lines it takes."""
    row, end, regular = by_quotes(text, at, cells)
    taken = text[at:end].removesuffix("\n").count("\n") + 1
    first, *others = text[at:].split("\n")
    if taken - 1 > LIMIT:
        row = []
    several = taken > 1 and bool(row)
    literal = first.split(",")
    second = others[0].split(",") if others else []
    separate = (
        first.count('"') == 1
        and bool(others)
        and others[0].count('"') % 2 == 0
        and len(literal) == len(second) == cells
        and bool(second[0].strip())
        and literal[-1] != '"'
        and (cells > 2 or (cells == 2 and literal[1].strip().isdigit() and second[1].strip().isdigit()))
    )
    if len(row) == cells and not (several and (not regular or separate)):
        return row, taken
    if first.startswith('"') and first.endswith('"') and len(first[1:-1].split('","')) == cells:
        return first[1:-1].split('","'), 1
    if not row or (several and len(literal) == cells):
        return literal, 1
    return row, taken


@pytest.fixture
def short_limit() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_LONGEST_CELL_LINES", LIMIT)
        patch.setattr(records, "_LOOK_FIRST", 2)
        yield


@pytest.mark.usefixtures("short_limit")
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from('ab1,,""\n\n'), max_size=60), cells=st.integers(1, 4))
def test_every_record_is_the_slow_readers(text: str, cells: int) -> None:
    lines = text.split("\n")
    reader = records._RecordReader(lines, ",", cells, final=True, multiline=True)
    place = 0
    for at, line in enumerate(lines):
        row, taken = slow(text, place, cells)
        assert reader.read(at) == (row, at + taken), at
        assert read_record(lines, at, ",", cells) == (row, at + taken), at
        place += len(line) + 1


letters = st.text(st.sampled_from('ab é"\n'), max_size=9)


@settings(max_examples=500, deadline=None)
@given(rows=st.lists(st.lists(letters, min_size=3, max_size=3), min_size=1, max_size=9), always=st.booleans())
def test_what_a_writer_of_csv_writes_is_read_as_the_standard_library_reads_it(
    rows: list[list[str]], always: bool
) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL if always else csv.QUOTE_MINIMAL, lineterminator="\n").writerows(rows)
    read = [tuple(row) for row in csv.reader(io.StringIO(file.getvalue(), newline=""))]
    frame = Records(",", 3).read(file.getvalue(), final=True).frame
    assert frame.fill_null("").rows() == read
