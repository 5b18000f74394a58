"""How many requests a key may make: one token each, so many tokens a second, so many at once (GCRA).

One machine alone counts exactly, in a table that its workers share. Where Redis joins several, each worker (a replica)
takes tokens from there in blocks, ahead of need and in the background, so hardly a request waits: it may spend half a
block it has not got yet and hold half a block that it does not need. All of them together are off by at most replicas ×
block. What goes beyond that, and every request of a key whose limit is `exact`, asks Redis. Where Redis does not
answer, each machine keeps the limit by itself.

Answers say how much is left, as draft-ietf-httpapi-ratelimit-headers-10 has it.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from omnikeywords.api.problems import Headers, Problem
from omnikeywords.ledger import Lease, take_tokens
from omnikeywords.ops import counter
from omnikeywords.settings import KeyLimit, Settings

__all__ = ["Limits", "LocalLedger", "SharedLedger", "Taken"]

_limited = counter("okf_requests_limited_total", "Requests refused because their key had made too many.", ("mode",))

_BLOCK_SECONDS = 0.2  # a block is what a key may spend in that time


class LocalLedger(Protocol):
    """What the keys spent on this machine: ledger.Ledger."""

    def take(self, name: str, interval: float, burst: int, wanted: int) -> Lease | None:
        """Take tokens; None where it cannot be said."""
        ...


class SharedLedger(Protocol):
    """What the keys spent everywhere: redis_link.RedisLink."""

    @property
    def made(self) -> bool:
        """Whether it can be asked."""
        ...

    async def lease(self, name: str, interval: float, burst: int, wanted: int) -> Lease | None:
        """Take tokens; None where it cannot be said."""
        ...


class Taken(NamedTuple):
    """Whether a request may go on, and what its answer says of that."""

    headers: Headers
    problem: Problem | None = None  # to be answered instead


class _Bucket:
    """What is known here of one key."""

    __slots__ = (
        "burst",
        "exact",
        "full_at",
        "half",
        "interval",
        "lease_from",
        "leasing",
        "paid",
        "policy",
        "refused_until",
        "tokens",
    )

    def __init__(self, limit: KeyLimit) -> None:
        self.interval = 1 / limit.rate
        self.burst = limit.burst
        self.exact = limit.exact
        self.half = max(1, min(limit.burst, round(limit.rate * _BLOCK_SECONDS)) // 2)  # of a block
        self.policy = b'"key";q=%d;w=%d' % (limit.burst, _whole(limit.burst * self.interval))
        self.paid = 0.0  # by this process alone, where nobody else can be asked
        self.tokens = 0  # leased and not spent; negative where spent ahead
        self.full_at = 0.0  # when all tokens are there again, as last heard
        self.leasing = False
        self.lease_from = 0.0  # not before
        self.refused_until = 0.0


class Limits:
    """The limits of one process. The clock is for tests."""

    def __init__(
        self,
        settings: Settings,
        local: LocalLedger | None = None,
        shared: SharedLedger | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._default = settings.rate_limit
        self._given = settings.rate_limits
        self._local = local
        self._shared = shared
        self._clock = clock
        self._buckets: dict[str, _Bucket | None] = {}
        self._tasks: set[asyncio.Task[bool]] = set()

    def take(self, key: str) -> Taken | None:
        """Count a request of a key; None where `ask` must be."""
        try:
            bucket = self._buckets[key]
        except KeyError:
            bucket = self._buckets[key] = self._bucket(key)
        if bucket is None:
            return _UNLIMITED
        if self._shared is None or not self._shared.made:
            return self._here(key, bucket)
        if bucket.exact:
            return None
        return self._ahead(key, bucket, self._shared)

    async def ask(self, key: str) -> Taken:
        """Count a request that only Redis can let through."""
        bucket, shared = self._buckets[key], self._shared
        assert bucket is not None
        assert shared is not None
        if bucket.exact:
            lease = await shared.lease(key, bucket.interval, bucket.burst, 1)
            return self._here(key, bucket) if lease is None else _taken(bucket, lease, "shared")
        if not await self._lease(key, bucket, shared):
            return self._here(key, bucket)
        now = self._clock()
        if bucket.tokens <= -bucket.half:
            return _refused(bucket, bucket.refused_until - now, "shared")
        bucket.tokens -= 1
        return Taken(_left(bucket, now))

    def _bucket(self, key: str) -> _Bucket | None:
        limit = self._given.get(key, self._default)
        return None if limit is None else _Bucket(limit)

    def _here(self, key: str, bucket: _Bucket) -> Taken:
        """By what was spent on this machine; by this process, if that is not to be had."""
        lease = None if self._local is None else self._local.take(key, bucket.interval, bucket.burst, 1)
        if lease is None:
            bucket.paid, lease = take_tokens(bucket.paid, self._clock(), bucket.interval, bucket.burst, 1)
        return _taken(bucket, lease, "local")

    def _ahead(self, key: str, bucket: _Bucket, shared: SharedLedger) -> Taken | None:
        """By the tokens leased, and some that will be."""
        now = self._clock()
        if now < bucket.refused_until:
            return _refused(bucket, bucket.refused_until - now, "shared")
        if bucket.tokens <= -bucket.half:
            return None  # more at once than may be on credit
        bucket.tokens -= 1
        if bucket.tokens < bucket.half and not bucket.leasing and now >= bucket.lease_from:
            bucket.leasing = True
            task = asyncio.get_running_loop().create_task(self._lease(key, bucket, shared))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return Taken(_left(bucket, now))

    async def _lease(self, key: str, bucket: _Bucket, shared: SharedLedger) -> bool:
        """Take tokens until half a block is there; False where Redis does not answer."""
        wanted = bucket.half - bucket.tokens
        try:
            lease = await shared.lease(key, bucket.interval, bucket.burst, wanted)
        finally:
            bucket.leasing = False
        if lease is None:
            return False
        granted, _, full = lease
        now = self._clock()
        bucket.tokens += granted
        bucket.full_at = now + full
        if granted < wanted:
            # Whoever makes too many requests is not asked about for each of them: half a block may gather first.
            wait = full + (1 - bucket.burst) * bucket.interval
            bucket.lease_from = now + max(wait, bucket.half * bucket.interval)
            if bucket.tokens <= 0:
                bucket.refused_until = bucket.lease_from
        return True


_UNLIMITED = Taken(())


def _taken(bucket: _Bucket, lease: Lease, mode: str) -> Taken:
    granted, left, full = lease
    if granted:
        return Taken(_headers(bucket, left, full))
    return _refused(bucket, full + (1 - bucket.burst) * bucket.interval, mode)


def _left(bucket: _Bucket, now: float) -> Headers:
    """By what was last heard."""
    lacking = max(0.0, bucket.full_at - now)
    left = max(0, math.floor(bucket.burst - lacking / bucket.interval) + bucket.tokens)
    return _headers(bucket, left, lacking)


def _headers(bucket: _Bucket, left: int, full: float) -> Headers:
    return (
        (b"ratelimit-policy", bucket.policy),
        (b"ratelimit", b'"key";r=%d;t=%d' % (min(left, bucket.burst), _whole(full))),
    )


def _whole(seconds: float) -> int:
    """Rounded up, but not for what floating point adds."""
    return math.ceil(seconds - 1e-6)


def _refused(bucket: _Bucket, wait: float, mode: str) -> Taken:
    _limited.labels(mode).inc()
    seconds = max(1, _whole(wait))
    problem = Problem(
        "rate_limited",
        f"your key has made more requests than it may: try again in {seconds} s",
        {"retry_after_seconds": seconds},
        ((b"retry-after", b"%d" % seconds),),
    )
    return Taken(_headers(bucket, 0, seconds), problem)
