"""Answers made shorter on the way: which coding a client takes, and the body in it."""

import gzip
import sys
from functools import lru_cache

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["coding_for", "compress", "is_worth_it"]

# The best first, of those a client likes equally; and how hard each tries: on answers of some kilobytes all of them
# take some ten microseconds, and what a higher level saves is not worth a multiple of that.
_LEVELS = {b"zstd": 3, b"br": 4, b"gzip": 4}
_TEXT = (b"application/json", b"application/problem+json", b"text/", b"application/javascript", b"image/svg+xml")


@lru_cache(maxsize=1024)
def coding_for(accepted: bytes | None) -> bytes | None:
    """The coding to send to a client with that Accept-Encoding; None: the body as it is."""
    if not accepted:
        return None
    given: dict[bytes, float] = {}
    for item in accepted.lower().split(b","):
        name, _, parameters = item.partition(b";")
        quality = parameters.replace(b" ", b"").removeprefix(b"q=")
        try:
            given[name.strip()] = float(quality) if quality else 1.0
        except ValueError:
            given[name.strip()] = 0.0
    others = given.get(b"*", 0.0)
    liked = {coding: given.get(coding, others) for coding in _LEVELS}
    best = max(_LEVELS, key=liked.__getitem__)  # the first of equals
    return best if liked[best] > 0 and liked[best] >= given.get(b"identity", 0.0) else None


def is_worth_it(content_type: bytes) -> bool:
    """Whether bodies of that type shrink."""
    return content_type.startswith(_TEXT)


def compress(body: bytes, coding: bytes) -> bytes:
    """The body in one of the codings that `coding_for` names."""
    level = _LEVELS[coding]
    if coding == b"zstd":
        return zstd.compress(body, level)
    if coding == b"br":
        short: bytes = brotli.compress(body, quality=level)
        return short
    return gzip.compress(body, level, mtime=0)
