"""What a cache keeps, for how long, and what it never gives."""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest

from omnikeywords.cache import Cache
from omnikeywords.errors import DatabaseUnavailable, InvalidInput


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Shared:
    """A second level, as other processes left it."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.asked: list[str] = []
        self.token = b"generation"

    async def get(self, namespace: str, key: bytes) -> tuple[bytes | None, bytes]:
        self.asked.append(f"get {namespace}")
        return self.values.get(key), self.token

    async def put(self, namespace: str, key: bytes, value: bytes, seconds: float, generation: bytes) -> None:
        self.asked.append(f"put {namespace} {seconds:g}")
        if generation == self.token:
            self.values[key] = value

    async def invalidate(self, namespace: str) -> None:
        self.asked.append(f"invalidate {namespace}")
        self.values.clear()


def cache(
    clock: Clock,
    *,
    policy: Literal["lru", "lfu"] = "lru",
    entries: int = 1000,
    most_bytes: int = 1_000_000,
    seconds: float = 100,
    spread: float = 0.0,
    store: Shared | None = None,
) -> Cache[bytes]:
    return Cache(
        "test",
        policy=policy,
        entries=entries,
        most_bytes=most_bytes,
        seconds=seconds,
        store=store,
        clock=clock,
        spread=lambda: spread,
    )


def answering(value: bytes, calls: list[bytes]) -> Callable[[], Awaitable[bytes]]:
    async def compute() -> bytes:
        calls.append(value)
        return value

    return compute


def failing(error: Exception) -> Callable[[], Awaitable[bytes]]:
    async def compute() -> bytes:
        raise error

    return compute


class TestOneLevel:
    """Put and get."""

    def test_what_is_kept_is_given_until_its_time_is_over(self) -> None:
        clock = Clock()
        kept = cache(clock, seconds=100)
        kept.put("a", b"1", 1)
        clock.now += 99.9
        assert kept.get("a") == b"1"
        clock.now += 0.1
        assert kept.get("a") is None

    def test_of_another_stamp_it_is_not_given(self) -> None:
        kept = cache(Clock())
        kept.put("a", b"1", 1, ("model 1", 7))
        assert kept.get("a", ("model 1", 7)) == b"1"
        assert kept.get("a", ("model 1", 8)) is None
        assert kept.get("a", ("model 2", 7)) is None
        assert kept.get("a") is None

    def test_lives_differ_by_a_tenth_and_never_go_beyond_their_bound(self) -> None:
        clock = Clock()
        short, full = cache(clock, seconds=100, spread=1.0), cache(clock, seconds=100, spread=0.0)
        short.put("a", b"1", 1)
        full.put("a", b"1", 1)
        clock.now += 90.5
        assert (short.get("a"), full.get("a")) == (None, b"1")

    def test_the_least_recently_used_goes_first(self) -> None:
        kept = cache(Clock(), entries=16, most_bytes=16 * 1000)
        for name in range(16):
            kept.put(name, b"x", 1)
        kept.get(0)
        kept.put(16, b"x", 1)
        assert kept.get(0) == b"x"
        assert kept.get(1) is None
        assert len(kept) == 16

    def test_the_least_often_used_goes_first(self) -> None:
        kept = cache(Clock(), policy="lfu", entries=16, most_bytes=16 * 1000)
        for name in range(16):
            kept.put(name, b"x", 1)
            if name != 9:
                kept.get(name)
        kept.put(16, b"x", 1)
        assert [name for name in range(16) if kept.get(name) is None] == [9]

    def test_bytes_bound_it_as_well_as_entries(self) -> None:
        kept = cache(Clock(), entries=1_000_000, most_bytes=100_000)
        for name in range(1000):
            kept.put(name, b"x" * 750, 750)  # 1,000 with what an entry takes beside its value
        assert len(kept) == 100

    def test_what_would_push_out_too_much_is_not_kept(self) -> None:
        kept = cache(Clock(), most_bytes=160_000)
        kept.put("long", b"x" * 10_000, 10_000)
        kept.put("short", b"x" * 9_000, 9_000)
        assert kept.get("long") is None
        assert kept.get("short") is not None

    def test_no_bytes_keep_nothing(self) -> None:
        kept = cache(Clock(), most_bytes=0)
        kept.put("a", b"1", 1)
        assert kept.get("a") is None


class TestComputing:
    """Get or compute."""

    def test_what_is_kept_is_not_computed_again(self) -> None:
        kept, calls = cache(Clock()), []  # type: ignore[var-annotated]

        async def scenario() -> list[bytes]:
            return [await kept.get_or_compute("a", 10, answering(b"1", calls)) for _ in range(3)]

        assert asyncio.run(scenario()) == [b"1"] * 3
        assert calls == [b"1"]

    def test_many_that_ask_for_the_same_wait_for_one_computation(self) -> None:
        kept, calls, go = cache(Clock()), [], asyncio.Event()  # type: ignore[var-annotated]

        async def slow() -> bytes:
            calls.append(1)
            await go.wait()
            return b"1"

        async def scenario() -> list[bytes]:
            asking = [asyncio.create_task(kept.get_or_compute("a", 10, slow)) for _ in range(50)]
            await asyncio.sleep(0)
            go.set()
            return await asyncio.gather(*asking)

        assert asyncio.run(scenario()) == [b"1"] * 50
        assert calls == [1]

    def test_a_computation_goes_on_where_its_first_caller_leaves(self) -> None:
        kept, go = cache(Clock()), asyncio.Event()

        async def slow() -> bytes:
            await go.wait()
            return b"1"

        async def scenario() -> bytes:
            first = asyncio.create_task(kept.get_or_compute("a", 10, slow))
            await asyncio.sleep(0)
            second = asyncio.create_task(kept.get_or_compute("a", 10, slow))
            await asyncio.sleep(0)
            first.cancel()
            go.set()
            return await second

        assert asyncio.run(scenario()) == b"1"

    def test_after_a_failure_it_is_computed_anew(self) -> None:
        kept, calls = cache(Clock()), []  # type: ignore[var-annotated]

        async def scenario() -> bytes:
            with pytest.raises(DatabaseUnavailable):
                await kept.get_or_compute("a", 10, failing(DatabaseUnavailable("away")))
            return await kept.get_or_compute("a", 10, answering(b"1", calls))

        assert asyncio.run(scenario()) == b"1"

    def test_where_computing_fails_the_last_answer_stands_in_for_ten_minutes(self) -> None:
        clock, calls = Clock(), []  # type: ignore[var-annotated]
        kept = cache(clock)
        away = failing(DatabaseUnavailable("away"))

        def forgives(error: Exception) -> bool:
            return isinstance(error, DatabaseUnavailable)

        async def scenario() -> None:
            await kept.get_or_compute("a", 10, answering(b"1", calls), stamp=7)
            assert await kept.get_or_compute("a", 10, away, stamp=8, forgives=forgives) == b"1"
            clock.now += 10 + 599
            assert await kept.get_or_compute("a", 10, away, stamp=8, forgives=forgives) == b"1"
            with pytest.raises(InvalidInput):
                await kept.get_or_compute("a", 10, failing(InvalidInput("bad")), stamp=8, forgives=forgives)
            clock.now += 1
            with pytest.raises(DatabaseUnavailable):
                await kept.get_or_compute("a", 10, away, stamp=8, forgives=forgives)

        asyncio.run(scenario())

    def test_what_was_invalidated_is_computed_anew_and_stands_in_for_nothing(self) -> None:
        kept, calls = cache(Clock(), store=Shared()), []  # type: ignore[var-annotated]

        async def ask(namespace: str, value: bytes) -> bytes:
            return await kept.get_or_compute("a", 10, answering(value, calls), namespace=namespace)

        async def scenario() -> None:
            assert await ask("shop", b"1") == b"1"
            assert await ask("other", b"2") == b"2"
            await kept.invalidate("shop")
            with pytest.raises(DatabaseUnavailable):
                await kept.get_or_compute(
                    "a", 10, failing(DatabaseUnavailable("away")), namespace="shop", forgives=lambda error: True
                )
            assert await ask("shop", b"3") == b"3"
            assert await ask("other", b"4") == b"2"

        asyncio.run(scenario())

    def test_what_was_computed_before_an_invalidation_is_not_kept_after_it(self) -> None:
        kept, calls, go = cache(Clock()), [], asyncio.Event()  # type: ignore[var-annotated]

        async def slow() -> bytes:
            await go.wait()
            return b"old"

        async def scenario() -> bytes:
            asking = asyncio.create_task(kept.get_or_compute("a", 10, slow, namespace="shop"))
            await asyncio.sleep(0)
            await kept.invalidate("shop")
            go.set()
            await asking
            return await kept.get_or_compute("a", 10, answering(b"new", calls), namespace="shop")

        assert asyncio.run(scenario()) == b"new"


class TestTwoLevels:
    """With a store that processes share."""

    def test_only_what_is_dear_is_looked_for_there(self) -> None:
        store, calls = Shared(), []  # type: ignore[var-annotated]
        kept = cache(Clock(), store=store)
        asyncio.run(kept.get_or_compute("a", 10, answering(b"1", calls)))
        assert store.asked == []

    def test_what_took_over_two_milliseconds_is_put_there_and_found_by_another_process(self) -> None:
        store, clock, calls = Shared(), Clock(), []  # type: ignore[var-annotated]

        async def slow() -> bytes:
            clock.now += 0.003
            return b"1"

        async def scenario() -> bytes:
            await cache(clock, store=store).get_or_compute("a", 60, slow, stamp=3, namespace="shop", dear=True)
            other = cache(clock, store=store)
            return await other.get_or_compute("a", 60, answering(b"2", calls), stamp=3, namespace="shop", dear=True)

        assert asyncio.run(scenario()) == b"1"
        assert calls == []
        assert store.asked == ["get shop", "put shop 60", "get shop"]

    def test_of_another_stamp_it_is_not_taken_from_there(self) -> None:
        store, clock, calls = Shared(), Clock(), []  # type: ignore[var-annotated]

        async def slow() -> bytes:
            clock.now += 0.003
            return b"old"

        async def scenario() -> bytes:
            await cache(clock, store=store).get_or_compute("a", 60, slow, stamp=3, dear=True)
            other = cache(clock, store=store)
            return await other.get_or_compute("a", 60, answering(b"new", calls), stamp=4, dear=True)

        assert asyncio.run(scenario()) == b"new"

    def test_what_was_quick_is_not_worth_the_way(self) -> None:
        store, calls = Shared(), []  # type: ignore[var-annotated]
        asyncio.run(cache(Clock(), store=store).get_or_compute("a", 10, answering(b"1", calls), dear=True))
        assert store.values == {}

    @pytest.mark.parametrize(
        "stored",
        [
            b"",
            b"\x01",
            b"\x02" + struct.pack("<d", time.time()) + b"of a newer version",
            b"\x01" + struct.pack("<d", time.time() - 61) + b"too old",
            b"\x01" + struct.pack("<d", time.time() + 3600) + b"of a clock that is wrong",
        ],
        ids=["empty", "cut", "newer", "old", "future"],
    )
    def test_what_is_not_as_it_should_be_is_computed_anew(self, stored: bytes) -> None:
        class Odd(Shared):
            async def get(self, namespace: str, key: bytes) -> tuple[bytes | None, bytes]:
                return stored, self.token

        calls: list[bytes] = []
        kept = cache(Clock(), store=Odd())
        assert asyncio.run(kept.get_or_compute("a", 60, answering(b"1", calls), dear=True)) == b"1"
        assert calls == [b"1"]
