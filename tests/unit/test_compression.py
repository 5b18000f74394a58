"""Which coding a client gets, and that it can read it."""

import gzip

import brotli
import pytest

from omnikeywords.api.compression import coding_for, compress, is_worth_it, zstd

BODY = b'{"keyword": "comprar tenis de corrida"}' * 100


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, None),
        (b"", None),
        (b"identity", None),
        (b"deflate, compress", None),
        (b"gzip", b"gzip"),
        (b"gzip, deflate, br, zstd", b"zstd"),
        (b"gzip, deflate, br", b"br"),
        (b"GZIP;q=1.0", b"gzip"),
        (b"br;q=0.5, gzip;q=0.8", b"gzip"),
        (b"zstd;q=0, br;q=0, gzip", b"gzip"),
        (b"*", b"zstd"),
        (b"zstd;q=0, *;q=0.1", b"br"),
        (b"identity, gzip;q=0.5", None),
        (b"gzip;q=nonsense", None),
        (b"gzip ; q = 0.3", b"gzip"),
    ],
)
def test_the_client_gets_what_it_likes_best_and_of_equals_the_shortest(
    accepted: bytes | None, coding: bytes | None
) -> None:
    assert coding_for(accepted) == coding


@pytest.mark.parametrize("coding", [b"zstd", b"br", b"gzip"])
def test_what_is_compressed_can_be_read_and_is_short(coding: bytes) -> None:
    read = {b"zstd": zstd.decompress, b"br": brotli.decompress, b"gzip": gzip.decompress}[coding]
    short = compress(BODY, coding)
    assert read(short) == BODY
    assert len(short) < len(BODY) / 10
    assert compress(BODY, coding) == short


def test_only_text_is_worth_it() -> None:
    assert is_worth_it(b"application/json")
    assert is_worth_it(b"text/csv; charset=utf-8")
    assert not is_worth_it(b"application/vnd.apache.parquet")
    assert not is_worth_it(b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
