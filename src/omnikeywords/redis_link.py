"""Redis, as caches and limits use it: a cluster or a single server, and never a reason to wait or to fail.

Every call has a deadline of some tens of milliseconds and no exception; what does not come is a miss. After a few
failures the link is cut, and calls go on without it at once. It is made again in the background: connect, learn which
node has what, have every primary answer. So a request never pays for a look at whether Redis is back.

Values belong to a generation of their namespace, a random token kept beside them in the same slot and written into each
value: an invalidation is one token replaced, right for every process at once, and what was computed before it is never
taken for new, whatever is flushed or fails over. Processes hear of it by pub/sub for what they keep themselves; one
that may have missed a message forgets all.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, TypeVar

from redis._parsers import AsyncCommandsParser
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from omnikeywords.breaker import Breaker
from omnikeywords.ledger import Lease
from omnikeywords.ops import counter, gauge, get_logger

__all__ = ["RedisLink"]

T = TypeVar("T")
_Client = Redis | RedisCluster

_calls = counter(
    "okf_redis_calls_total", "Calls to Redis by outcome: ok, failed, late, or cut: not made.", ("outcome",)
)
_up = gauge("okf_redis_up", "Processes whose link to Redis is made.")

_PREFIX = "okf1"  # another layout of keys is another number
_CHANNEL = "okf1:generations"
_SPREAD = 16  # slots that a namespace lies in, so that one of them does not burden one node
_TOKEN_BYTES = 8
_TOKEN_SECONDS = 7 * 24 * 3600  # unused for so long, a token is forgotten, and its values with it
_COMMANDS = ("mget", "set", "publish", "eval", "ping")
_CONNECT_SECONDS = 2.0
_HEARTBEAT_SECONDS = 5.0

# GCRA by the server's clock: the time by which all that was granted is paid for. ARGV: seconds a token, burst, wanted.
# Returns the number granted, those left, and the microseconds until all are there again.
_LEASE = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local interval, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local paid = tonumber(redis.call('GET', KEYS[1]) or '0')
if paid < now then paid = now end
local free = math.floor((now + burst * interval - paid) / interval + 0.000001)
local granted = math.max(0, math.min(wanted, free))
if granted > 0 then
  paid = paid + granted * interval
  redis.call('SET', KEYS[1], string.format('%.6f', paid), 'PX', math.ceil((paid - now) * 1000) + 1)
end
return {granted, free - granted, math.floor((paid - now) * 1000000)}
"""


class RedisLink:
    """The link of one process and its event loop; `run` makes and keeps it.

    `changed` is called with a namespace that another process invalidated, or None where any may have been.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        seconds: float = 0.05,
        changed: Callable[[str | None], None] = lambda namespace: None,
        breaker: Breaker | None = None,
    ) -> None:
        self._urls = list(urls)
        self._seconds = seconds  # that a call may take
        self._changed = changed
        self._breaker = breaker or Breaker()
        self._client: _Client | None = None
        self._cut = asyncio.Event()
        self._log = get_logger("omnikeywords.redis")
        self._told = True  # whether it was said that the link is cut

    @property
    def made(self) -> bool:
        """Whether calls go through."""
        return self._client is not None

    # ---- the second level of caches: cache.Store

    async def get(self, namespace: str, key: bytes) -> tuple[bytes | None, bytes]:
        """A value, if there is one of the namespace's generation, and the token of that; no token where there is none
        to be had.
        """
        tag = _tag(namespace, key)

        async def read(client: _Client) -> tuple[bytes | None, bytes]:
            found: list[bytes | None] = await client.mget([f"{tag}:g", f"{tag}:{key.hex()}"])  # type: ignore[assignment]
            token, value = found
            if token is None:
                token = secrets.token_bytes(_TOKEN_BYTES)
                if not await client.set(f"{tag}:g", token, nx=True, ex=_TOKEN_SECONDS):
                    return None, b""  # another process has just begun it
            if value is None or value[:_TOKEN_BYTES] != token:
                return None, token
            return value[_TOKEN_BYTES:], token

        return await self._call(read, (None, b""))

    async def put(self, namespace: str, key: bytes, value: bytes, seconds: float, generation: bytes) -> None:
        """Keep a value that was computed while that was the token of its namespace's generation."""
        name = f"{_tag(namespace, key)}:{key.hex()}"

        async def write(client: _Client) -> None:
            await client.set(name, generation + value, px=max(1, round(seconds * 1000)))

        await self._call(write, None)

    async def invalidate(self, namespace: str) -> None:
        """Begin a new generation of a namespace and tell every process. While Redis is away nothing is there to be
        wrong: what is read later is of a stamp, and of no age beyond its bound.
        """

        async def begin(client: _Client) -> None:
            for tag in _tags(namespace):
                await client.set(f"{tag}:g", secrets.token_bytes(_TOKEN_BYTES), ex=_TOKEN_SECONDS)
            await client.execute_command("PUBLISH", _CHANNEL, namespace.encode())

        await self._call(begin, None, patience=20.0)

    # ---- the ledger of limits

    async def lease(self, name: str, interval: float, burst: int, wanted: int) -> Lease | None:
        """Take up to so many tokens of a bucket that gets one each `interval` seconds and holds `burst`; None where
        Redis does not say.
        """

        async def take(client: _Client) -> Lease:
            granted, left, full = await client.eval(_LEASE, 1, f"{_PREFIX}:rate:{name}", interval, burst, wanted)
            return int(granted), int(left), int(full) / 1e6

        return await self._call(take, None)

    # ---- the link

    async def run(self) -> None:
        """Keep the link made, until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._breaker.seconds_left)
                if not self._breaker.allows():
                    continue
                try:
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        client = await self._connect()
                except Exception as error:
                    self._say_cut(error)
                    self._breaker.trip()
                    continue
                self._breaker.succeeded()
                try:
                    await self._serve(client)
                except Exception as error:  # whatever it is, the link must be made again
                    self._say_cut(error)
                    self._breaker.trip()
        finally:
            self._client = None

    async def _serve(self, client: _Client) -> None:
        """Let calls through until the breaker opens or the messages stop."""
        self._cut.clear()
        self._client = client
        _up.set(1)
        if self._told:
            self._log.info("the link to redis is made")
            self._told = False
        listening = asyncio.create_task(self._listen(client))
        cut = asyncio.create_task(self._cut.wait())
        try:
            await asyncio.wait((listening, cut), return_when=asyncio.FIRST_COMPLETED)
            if listening.done() and not listening.cancelled():
                self._say_cut(listening.exception())
                self._breaker.trip()
        finally:
            self._client = None
            _up.set(0)
            listening.cancel()
            cut.cancel()
            await asyncio.wait((listening, cut))
            with suppress(Exception):
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await client.aclose()

    async def _connect(self) -> _Client:
        """A client of whichever server answers first, every primary of which has answered."""
        trouble: Exception | None = None
        for url in self._urls:
            first = Redis.from_url(url, **self._options())
            try:
                about = await first.info("cluster")
            except Exception as error:
                trouble = error
                continue
            finally:
                await first.aclose()
            if not about.get("cluster_enabled"):
                return Redis.from_url(url, **self._options())
            cluster = RedisCluster.from_url(url, **self._options())
            cluster.commands_parser = _Commands()
            try:
                await cluster.initialize()
                await cluster.ping(target_nodes=RedisCluster.PRIMARIES)
            except BaseException:
                await cluster.aclose()
                raise
            return cluster
        assert trouble is not None
        raise trouble

    def _options(self) -> dict[str, Any]:
        # The client must see its own time-out, or it would not learn that a node is gone.
        return {
            "socket_timeout": self._seconds * 0.8,
            "socket_connect_timeout": self._seconds * 0.8,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 1),
        }

    async def _listen(self, client: _Client) -> None:
        """Pass on what other processes invalidate; raises when it cannot be heard any more."""
        pubsub = client.pubsub()
        try:
            await pubsub.subscribe(_CHANNEL)
            self._changed(None)  # whatever was said meanwhile was not heard
            silent = 0
            while silent < 2:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=_HEARTBEAT_SECONDS)
                if message is None:
                    silent += 1
                    await pubsub.ping()
                    continue
                silent = 0
                if message["type"] == "message":
                    self._changed(message["data"].decode())
        finally:
            with suppress(Exception):
                await pubsub.aclose()  # type: ignore[no-untyped-call]
        raise TimeoutError("no answer to a heartbeat")

    async def _call(self, work: Callable[[_Client], Awaitable[T]], otherwise: T, patience: float = 1.0) -> T:
        """What `work` returns; `otherwise` where that fails, takes too long or cannot be tried."""
        client = self._client
        if client is None or not self._breaker.closed:
            _calls.labels("cut").inc()
            return otherwise
        try:
            async with asyncio.timeout(self._seconds * patience):
                found = await work(client)
        except TimeoutError as error:
            self._failed(client, "late", error)
            return otherwise
        except Exception as error:  # whatever a client raises while its cluster changes
            self._failed(client, "failed", error)
            return otherwise
        _calls.labels("ok").inc()
        return found

    def _failed(self, client: _Client, outcome: str, error: Exception) -> None:
        _calls.labels(outcome).inc()
        if client is not self._client:
            return  # of a link that was cut meanwhile: it says nothing of the next one
        self._breaker.failed()
        if not self._breaker.closed:
            self._say_cut(error)
            self._cut.set()

    def _say_cut(self, error: BaseException | None) -> None:
        if not self._told:
            self._log.warning("the link to redis is cut", reason=f"{type(error).__name__}: {error}"[:200])
            self._told = True


class _Commands(AsyncCommandsParser):
    """Which keys a command has, of those that are used here: to read what a server says of all that it knows would
    hold up the event loop, and every request on it, for some twenty milliseconds at each connection.
    """

    async def initialize(self, node: ClusterNode | None = None) -> None:
        """Ask a node."""
        if node is not None:
            self.node = node
        self.commands = await self.node.execute_command("COMMAND", "INFO", *_COMMANDS)


def _tags(namespace: str) -> list[str]:
    """The hash tags of a namespace: keys of one tag lie in one slot."""
    digest = blake2b(namespace.encode(), digest_size=8).hexdigest()
    return [f"{_PREFIX}:{{{digest}-{number:x}}}" for number in range(_SPREAD)]


def _tag(namespace: str, key: bytes) -> str:
    return _tags(namespace)[key[0] % _SPREAD]
