"""The bucket of each project, by its name alone, everywhere the same.

A project of the first region is in the bucket that its name gives. Those of other regions, and those with a bucket of
their own, are in the book that `placement` keeps and that every process that serves them has learned.
"""

from collections.abc import Mapping
from hashlib import blake2b

__all__ = ["BUCKETS", "OWN", "bucket_of", "hashed", "learn", "region_number_of"]

BUCKETS = 256  # of one region, shared by its projects
OWN = 1 << 20  # from here on: buckets of one project each, BUCKETS regions in turn

# As of the last look at the first server; of the process, as a bucket is not a matter of who asks.
_book: dict[str, int] = {}


def bucket_of(project: str) -> int:
    """The bucket of a project."""
    return _book.get(project) or hashed(project)


def hashed(project: str, region_number: int = 0) -> int:
    """The shared bucket that a name gives in a region: alike many names in each."""
    return region_number * BUCKETS + int.from_bytes(blake2b(project.encode(), digest_size=4).digest(), "big") % BUCKETS


def region_number_of(bucket: int) -> int:
    """The region that a bucket was made for."""
    return (bucket - OWN) % BUCKETS if bucket >= OWN else bucket // BUCKETS


def learn(book: Mapping[str, int]) -> None:
    """Take over what the first server says of the projects that are elsewhere."""
    global _book
    _book = dict(book)
