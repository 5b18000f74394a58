"""Parquet files put together from row groups: what any reader sees is what pyarrow writes in one go."""

import io

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnikeywords.formats.row_groups import RowGroups, read_struct, write_struct

TABLE = pa.table(
    {
        "keyword": [f"keyword {n}" for n in range(1000)],
        "score": [None if n % 7 == 0 else n / 3 for n in range(1000)],
        "texts": [["a", str(n)] if n % 3 else None for n in range(1000)],
        "parts": [{"x": n, "y": None} for n in range(1000)],
        "nothing": pa.nulls(1000, pa.string()),
    }
)


def in_one_go(table: pa.Table, rows: int = 1000, **options: object) -> memoryview:
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=rows, **options)
    return file.getbuffer()


def joined(*parts: memoryview) -> io.BytesIO:
    file = io.BytesIO()
    groups = RowGroups(file)
    for part in parts:
        groups.add(part)
    groups.close()
    return file


@pytest.mark.parametrize("options", [{}, {"write_page_index": True}, {"bloom_filter_options": {"keyword": True}}])
def test_a_joined_file_reads_as_one_written_whole(options: dict[str, object]) -> None:
    file = joined(*(in_one_go(TABLE.slice(first, 300), **options) for first in (0, 300, 600, 900)))
    whole = pq.ParquetFile(io.BytesIO(in_one_go(TABLE, 300, **options)))
    read = pq.ParquetFile(file)
    assert read.read() == TABLE
    assert read.schema_arrow == whole.schema_arrow
    assert read.metadata.num_rows == 1000
    assert [read.metadata.row_group(n).num_rows for n in range(4)] == [300, 300, 300, 100]
    for n in range(4):
        assert read.read_row_group(n) == TABLE.slice(300 * n, 300)
        for column in range(read.metadata.num_columns):
            told, expected = (file.metadata.row_group(n).column(column) for file in (read, whole))
            assert told.statistics == expected.statistics
            if not options:  # else indices stand between the parts
                assert told.data_page_offset == expected.data_page_offset
    file.seek(0)
    assert pl.read_parquet(file).to_dicts() == TABLE.to_pylist()


def test_parts_may_have_several_row_groups_or_none() -> None:
    empty = TABLE.slice(0, 0)
    file = joined(in_one_go(empty), in_one_go(TABLE, 400), in_one_go(TABLE, 1000))
    assert pq.read_table(file) == pa.concat_tables([TABLE, TABLE])
    assert pq.read_table(joined(in_one_go(empty))) == empty


def test_a_footer_is_written_as_it_was_read() -> None:
    data = bytes(in_one_go(TABLE, 100, write_page_index=True))
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8]
    fields, end = read_struct(footer)
    assert end == length
    assert write_struct(fields) == footer


def test_every_type_of_the_protocol_is_read_and_written() -> None:
    fields = {
        1: (1, None),
        2: (2, None),
        3: (3, 200),
        4: (4, -300),
        40: (6, 2**40),
        41: (7, 0.5),
        42: (8, b"x" * 300),
        43: (9, (5, list(range(-10, 10)))),
        44: (9, (1, [1, 2])),
        45: (12, {7: (5, 0)}),
    }
    assert read_struct(write_struct(fields)) == (fields, len(write_struct(fields)))
    with pytest.raises(ValueError, match="a Parquet footer has a value of type 11"):
        read_struct(b"\x1b\x00\x00")
