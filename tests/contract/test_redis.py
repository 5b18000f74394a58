"""A real cluster of six: what processes share of it, and what becomes of answers while it dies, hangs, is flushed."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import pytest

from omnikeywords.api.limits import Limits
from omnikeywords.breaker import Breaker
from omnikeywords.cache import Cache
from omnikeywords.redis_link import RedisLink
from omnikeywords.settings import Settings
from tests.servers.ports import free_port
from tests.servers.redis import RedisServers, redis_cluster, redis_server
from tests.servers.redis import until as until_now

T = TypeVar("T")
KEY = b"k" * 20


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """The client library leaves connections to nodes that it has no more use for to the collector of garbage, which is
    to come to them here and not before.
    """
    gc.disable()
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    gc.enable()


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisServers]:
    with redis_cluster() as servers:
        yield servers


@asynccontextmanager
async def linked(
    servers: RedisServers, changed: Callable[[str | None], None] = lambda namespace: None, *, wait: bool = True
) -> AsyncIterator[RedisLink]:
    """The link of one process. It waits for Redis longer than a service would: this machine is busy with tests."""
    breaker = Breaker(first_wait=0.1, longest_wait=0.2)
    link = RedisLink(servers.urls, seconds=0.5, changed=changed, breaker=breaker)
    running = asyncio.create_task(link.run())
    try:
        if wait:
            await until(lambda: link.made)
        yield link
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def in_time(ask: Callable[[], Awaitable[T]], right: Callable[[T], bool], seconds: float = 30.0) -> T:
    """Ask until the answer is right."""
    async with asyncio.timeout(seconds):
        while not right(found := await ask()):
            await asyncio.sleep(0.02)
    return found


def cache(link: RedisLink) -> Cache[bytes]:
    return Cache("test", policy="lfu", entries=1000, most_bytes=10_000_000, seconds=60, store=link)


class Dear:
    """Something that takes long enough to be shared, and counts how often it was computed."""

    def __init__(self) -> None:
        self.computed: list[str] = []

    async def ask(self, kept: Cache[bytes], name: str, stamp: int = 1) -> bytes:
        async def compute() -> bytes:
            self.computed.append(name)
            await asyncio.sleep(0.003)
            return f"{name} of {stamp}".encode()

        return await kept.get_or_compute(name, 60, compute, stamp=stamp, namespace="shop", dear=True)


def test_a_cluster_is_not_asked_for_all_its_commands(cluster: RedisServers) -> None:
    """To read them holds up the event loop, and with it every request, for longer than a search takes."""
    for node in cluster.nodes:
        with node.client() as client:
            client.config_resetstat()

    async def scenario() -> None:
        async with linked(cluster) as link:
            await link.put("shop", KEY, b"value", 60, (await link.get("shop", KEY))[1])
            assert (await link.get("shop", KEY))[0] == b"value"
            await link.invalidate("shop")
            assert (await link.get("shop", KEY))[0] is None
            lease = await link.lease("key", 1.0, 5, 2)
            assert lease is not None
            assert lease[:2] == (2, 3)

    asyncio.run(scenario())
    asked: set[str] = set()
    for node in cluster.nodes:
        with node.client() as client:
            asked |= set(client.info("commandstats"))
    assert "cmdstat_mget" in asked
    assert "cmdstat_command" not in asked


class TestSharing:
    """What one process leaves for the others."""

    def test_what_one_computed_another_finds(self, cluster: RedisServers) -> None:
        async def scenario() -> None:
            dear = Dear()
            async with linked(cluster) as one, linked(cluster) as two:
                assert await dear.ask(cache(one), "shared") == b"shared of 1"
                assert await dear.ask(cache(two), "shared") == b"shared of 1"
                assert dear.computed == ["shared"]
                assert await dear.ask(cache(two), "shared", stamp=2) == b"shared of 2"

        asyncio.run(scenario())

    def test_an_invalidation_reaches_what_others_keep_themselves(self, cluster: RedisServers) -> None:
        async def scenario() -> None:
            dear, heard = Dear(), list[str | None]()
            async with linked(cluster) as one, linked(cluster, heard.append) as two:
                await until(lambda: heard == [None])  # what was said before it listened may have been missed
                assert await dear.ask(cache(two), "gone") == b"gone of 1"
                await one.invalidate("shop")
                await until(lambda: heard == [None, "shop"])
                await dear.ask(cache(two), "gone")
                assert dear.computed == ["gone", "gone"]

        asyncio.run(scenario())

    def test_what_was_computed_before_an_invalidation_or_a_flush_is_never_taken_for_new(
        self, cluster: RedisServers
    ) -> None:
        async def scenario() -> None:
            async with linked(cluster) as link:
                for forget in (lambda: link.invalidate("late"), lambda: asyncio.to_thread(cluster.flush)):
                    _, token = await in_time(lambda: link.get("late", KEY), lambda found: found[1] != b"")
                    await forget()
                    await link.put("late", KEY, b"old", 60, token)
                    assert (await link.get("late", KEY))[0] is None

        asyncio.run(scenario())

    def test_tokens_are_granted_once_whoever_asks(self, cluster: RedisServers) -> None:
        async def scenario() -> None:
            async with linked(cluster) as one, linked(cluster) as two:
                taken = [await link.lease("key", 1000.0, 10, 4) for link in (one, two, one, two)]
                assert [lease and lease[:2] for lease in taken] == [(4, 6), (4, 2), (2, 0), (0, 0)]
                last = taken[-1]
                assert last is not None
                assert 9990 < last[2] <= 10_000

        asyncio.run(scenario())

    def test_limits_of_several_processes_are_one(self, cluster: RedisServers) -> None:
        async def scenario() -> int:
            settings = Settings.load({"OKF_RATE_LIMIT": "0.001/40/exact"})
            async with linked(cluster) as one, linked(cluster) as two:
                replicas = [Limits(settings, None, link) for link in (one, two)]
                through = 0
                for replica in replicas * 30:
                    taken = replica.take("together") or await replica.ask("together")
                    through += taken.problem is None
                return through

        assert asyncio.run(scenario()) == 40


class TestTrouble:
    """Answers stay right, and come, whatever Redis does."""

    def test_nobody_there(self) -> None:
        async def scenario() -> None:
            dear = Dear()
            nowhere = RedisLink([f"redis://127.0.0.1:{free_port()}"], seconds=0.5)
            running = asyncio.create_task(nowhere.run())
            assert await dear.ask(cache(nowhere), "alone") == b"alone of 1"
            assert await nowhere.lease("key", 1.0, 10, 1) is None
            assert not nowhere.made
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

        asyncio.run(scenario())

    def test_a_server_that_is_no_cluster_will_do(self) -> None:
        with redis_server() as alone:

            async def scenario() -> None:
                dear = Dear()
                async with linked(alone) as one, linked(alone) as two:
                    await dear.ask(cache(one), "a")
                    await dear.ask(cache(two), "a")
                    assert dear.computed == ["a"]

            asyncio.run(scenario())

    def test_flushed_while_it_is_used(self, cluster: RedisServers) -> None:
        async def scenario() -> None:
            dear = Dear()
            async with linked(cluster) as one, linked(cluster) as two:
                for number in range(60):
                    if number % 10 == 5:
                        await asyncio.to_thread(cluster.flush)
                    for link in (one, two):
                        assert await dear.ask(cache(link), f"f{number % 20}") == f"f{number % 20} of 1".encode()

        asyncio.run(scenario())

    @pytest.mark.parametrize("how", ["killed", "hanging"])
    def test_a_primary_that_is_gone_costs_no_answer_and_its_replica_takes_its_place(
        self, cluster: RedisServers, how: str
    ) -> None:
        async def scenario() -> None:
            dear = Dear()
            async with linked(cluster) as link:
                await dear.ask(cache(link), "before")
                primary = (await asyncio.to_thread(cluster.primaries))[0]
                if how == "killed":
                    primary.kill()
                else:
                    primary.stop_answering()
                try:
                    # Keys of every slot are asked for until the cluster is whole again, and each is answered rightly.
                    asked = 0
                    while asked < 40 or not link.made:
                        name = f"{how} {asked}"
                        assert await dear.ask(cache(link), name) == f"{name} of 1".encode()
                        asked += 1
                        await asyncio.sleep(0.01)
                    # The link is there for keys of all slots: a value is kept and found again.
                    for number in range(16):
                        key = bytes([number]) * 20

                        async def keep(key: bytes = key) -> bytes | None:
                            _, token = await link.get("whole", key)
                            await link.put("whole", key, b"value", 60, token)
                            return (await link.get("whole", key))[0]

                        await in_time(keep, lambda found: found == b"value")
                finally:
                    if how == "killed":
                        await asyncio.to_thread(primary.start)
                    else:
                        primary.go_on()
                    await asyncio.to_thread(until_now, cluster.healthy, 30)

        asyncio.run(scenario())

    def test_what_is_not_dear_asks_nothing_of_it(self, cluster: RedisServers) -> None:
        async def scenario() -> None:
            async with linked(cluster) as link:
                for node in cluster.nodes:
                    node.stop_answering()
                try:

                    async def plain() -> bytes:
                        return b"plain"

                    # No event of the loop is waited for but the computation's own.
                    kept = cache(link)
                    asking = asyncio.create_task(kept.get_or_compute("plain", 60, plain))
                    for _ in range(5):
                        await asyncio.sleep(0)
                    assert asking.done()
                finally:
                    for node in cluster.nodes:
                        node.go_on()
                    await asyncio.to_thread(until_now, cluster.healthy, 30)

        asyncio.run(scenario())
