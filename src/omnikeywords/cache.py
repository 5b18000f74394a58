"""What was computed before, kept: in this process's memory, and behind it in Redis what is dear to compute.

An entry is good for one `stamp`, which says what it was computed from (an index's generation, a model's version), for
one generation of its namespace, and for its time. So nothing stale is answered because a message was lost: whoever asks
says what an answer must be of. The exception is meant: where computing fails by no fault of the client, the last answer
is given for a while longer.

    first level     cachebox; bounded by entries and by bytes at once
    second level    a store that processes share, asked only for what is `dear`: a round trip to Redis costs as much as
                    a plain search, so plain searches never wait for it, whatever state it is in
"""

import asyncio
import random
import struct
import time
from collections.abc import Awaitable, Callable, Hashable
from hashlib import blake2b
from typing import Generic, Literal, Protocol, TypeVar

import cachebox

from omnikeywords.ops import counter, gauge

__all__ = ["Cache", "Store"]

V = TypeVar("V")

_requests = counter(
    "okf_cache_requests_total",
    "Look-ups by outcome: hit, miss; shared_hit, where another process had it; stale, given for want of a new answer; "
    "error, where computing failed.",
    ("cache", "outcome"),
)
_entries = gauge("okf_cache_entries", "Entries kept, in all processes.", ("cache",))
_bytes = gauge("okf_cache_bytes", "Bytes that entries are counted as, in all processes.", ("cache",))

_OUTCOMES = ("hit", "miss", "shared_hit", "stale", "error")
_JITTER = 0.1  # of the time to live: what was computed together does not expire together
_STALE_SECONDS = 600.0  # after its time, for which an answer stands in for one that cannot be computed
_OVERHEAD = 250  # bytes of an entry beside its value: key, tuple, place in the table
_DEAR_SECONDS = 0.002  # what took less is computed again sooner than fetched
# The first byte of a stored value: what another version of the program wrote is no value.
_FORMAT = b"\x01"
_HEAD = struct.Struct("<d")  # when it was computed, in seconds since 1970


# Value, size, when it ends by the clock, stamp, generation of its namespace. A plain tuple, of atoms if its value and
# stamp are: the collector of garbage then leaves it alone.
_Entry = tuple[V, int, float, Hashable, int]


class Store(Protocol):
    """The second level. It never raises and never takes long: what it cannot do is a miss, or is left undone."""

    async def get(self, namespace: str, key: bytes) -> tuple[bytes | None, bytes]:
        """The value of this generation of the namespace, if there is one, and a token of the generation."""
        ...

    async def put(self, namespace: str, key: bytes, value: bytes, seconds: float, generation: bytes) -> None:
        """Keep a value that was computed while that was the generation."""
        ...

    async def invalidate(self, namespace: str) -> None:
        """Begin a new generation of a namespace, for every process."""
        ...


class Cache(Generic[V]):
    """A cache of one process.

    `entries` and `most_bytes` bound it together: an entry counts at least as its share of the bytes, so the first of
    both that is reached makes room. Zero bytes keep nothing. Values are immutable, and their `size` in bytes is told.
    """

    def __init__(
        self,
        name: str,
        *,
        policy: Literal["lru", "lfu"],
        entries: int,
        most_bytes: int,
        seconds: float,
        store: Store | None = None,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.seconds = seconds  # an entry lives unless said otherwise
        self.store = store
        self._least = most_bytes // max(1, entries)  # bytes that an entry counts as
        self._most = most_bytes // 16  # of one entry: a few long answers must not push out all others
        kind = cachebox.LRUCache if policy == "lru" else cachebox.LFUCache
        self._kept: cachebox.LRUCache[Hashable, _Entry[V]] | cachebox.LFUCache[Hashable, _Entry[V]] = kind(
            max(1, most_bytes), getsizeof=_size
        )
        self._generations: dict[str, int] = {}
        self._under_way: dict[Hashable, asyncio.Task[V]] = {}
        self._clock = clock
        self._spread = spread
        self._counts = dict.fromkeys(_OUTCOMES, 0)
        self._told = dict.fromkeys(_OUTCOMES, 0)
        self._hits = self._misses = 0

    # ---- one level, for what is computed at once

    def get(self, key: Hashable, stamp: Hashable = None, generation: int = 0) -> V | None:
        """What is kept of that stamp and not too old; None where it must be computed."""
        entry = self._kept.get(key)
        if entry is not None and entry[2] > self._clock() and entry[3] == stamp and entry[4] == generation:
            self._hits += 1
            return entry[0]
        self._misses += 1
        return None

    def put(
        self,
        key: Hashable,
        value: V,
        size: int,
        stamp: Hashable = None,
        generation: int = 0,
        seconds: float | None = None,
    ) -> None:
        """Keep a value of so many bytes, at most that long; too long ones are not kept."""
        size += _OVERHEAD
        if size > self._most:
            return
        lives = (self.seconds if seconds is None else seconds) * (1 - _JITTER * self._spread())
        self._kept.insert(key, (value, max(size, self._least), self._clock() + lives, stamp, generation))

    def stale(self, key: Hashable, generation: int = 0) -> V | None:
        """What stands in where computing fails: the last answer of any stamp, if its time ended not long ago."""
        entry = self._kept.get(key)
        if entry is None or entry[2] + _STALE_SECONDS <= self._clock() or entry[4] != generation:
            return None
        self._counts["stale"] += 1
        return entry[0]

    # ---- both levels, for what takes long

    async def get_or_compute(
        self: "Cache[bytes]",
        key: Hashable,
        seconds: float,
        compute: Callable[[], Awaitable[bytes]],
        *,
        stamp: Hashable = None,
        namespace: str = "",
        dear: bool = False,
        forgives: Callable[[Exception], bool] = lambda error: False,
    ) -> bytes:
        """What is kept under a key, or what `compute` returns, kept for at most so many seconds.

        Calls that ask for the same meanwhile wait for one computation, which goes on where its first caller leaves.
        `dear` things are looked for in the second level too. `namespace` is what `invalidate` names. Keys and stamps
        have a `repr` that is the same in every process.

        Raises what `compute` raises, unless `forgives` says that an older answer may stand in and there is one.
        """
        generation = self._generations.get(namespace, 0)
        place = (namespace, key)
        found = self.get(place, stamp, generation)
        if found is not None:
            return found
        flight = (place, stamp, generation)
        task = self._under_way.get(flight)
        if task is None:
            task = asyncio.create_task(self._find(place, seconds, compute, stamp, generation, dear))
            self._under_way[flight] = task
            task.add_done_callback(lambda done: self._landed(flight, done))
        try:
            return await asyncio.shield(task)
        except Exception as error:
            instead = self.stale(place, self._generations.get(namespace, 0)) if forgives(error) else None
            if instead is None:
                raise
            return instead

    async def invalidate(self, namespace: str) -> None:
        """Let everything of a namespace be computed anew, here at once and in every process that shares the store."""
        self.forget(namespace)
        if self.store is not None:
            await self.store.invalidate(namespace)

    def forget(self, namespace: str | None = None) -> None:
        """The same for this process alone, of one namespace or all: for when another process said so."""
        if namespace is None:
            self._kept.clear()
        else:
            self._generations[namespace] = self._generations.get(namespace, 0) + 1

    def tell(self) -> None:
        """Pass on to the metrics what was counted since: to count each look-up there would cost more than it does."""
        self._counts |= {"hit": self._hits, "miss": self._misses}
        for outcome, count in self._counts.items():
            if count > self._told[outcome]:
                _requests.labels(self.name, outcome).inc(count - self._told[outcome])
                self._told[outcome] = count
        _entries.labels(self.name).set(len(self._kept))
        _bytes.labels(self.name).set(self._kept.current_size())

    def __len__(self) -> int:
        return len(self._kept)

    async def _find(
        self: "Cache[bytes]",
        place: tuple[str, Hashable],
        seconds: float,
        compute: Callable[[], Awaitable[bytes]],
        stamp: Hashable,
        generation: int,
        dear: bool,
    ) -> bytes:
        shared = token = b""
        if dear and self.store is not None:
            # With the stamp: processes may be at different ones, and must not push each other out.
            shared = blake2b(repr((self.name, place[1], stamp)).encode(), digest_size=20).digest()
            stored, token = await self.store.get(place[0], shared)
            if stored is not None and stored[:1] == _FORMAT and len(stored) >= 1 + _HEAD.size:
                (computed,) = _HEAD.unpack_from(stored, 1)
                left = computed + seconds - time.time()
                if 0 < left <= seconds:
                    value = stored[1 + _HEAD.size :]
                    self._counts["shared_hit"] += 1
                    self.put(place, value, len(value), stamp, generation, left)
                    return value
        began = self._clock()
        try:
            value = await compute()
        except Exception:
            self._counts["error"] += 1
            raise
        self.put(place, value, len(value), stamp, generation, seconds)
        if token and self.store is not None and self._clock() - began >= _DEAR_SECONDS:
            head = _FORMAT + _HEAD.pack(time.time())
            await self.store.put(place[0], shared, head + value, seconds, token)
        return value

    def _landed(self, flight: Hashable, done: "asyncio.Task[V]") -> None:
        self._under_way.pop(flight, None)
        if not done.cancelled():
            done.exception()  # seen: whoever waited has it, unless all of them left


def _size(_: Hashable, entry: "_Entry[object]") -> int:
    return entry[1]
