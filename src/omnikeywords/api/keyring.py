"""Whom to let in: the keys of the database as of a moment ago, in memory, and what a request says beside them.

A thread reads the keys every two seconds, so that a check costs no SQL and a revoked key is refused within five. When
the database is away the keys last read stay valid for 15 minutes; after that nobody with a key is let in, and nobody
without one ever was. A key is looked for by its id, which is no secret, and its hash is compared in a time that tells
nothing of it.

On loopback no key is needed as long as there never was one (`local`): whoever can open a connection there can read the
database too. That is not so of a web page in a browser of that machine, nor of those for whom a proxy calls, so what
comes from them needs a key there as well.
"""

import ipaddress
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hmac import compare_digest
from typing import NamedTuple, NoReturn, Protocol

from omnikeywords.api.caller import LOCAL, NOBODY, Caller
from omnikeywords.api.problems import Headers, Problem
from omnikeywords.catalog.keys import Key, Stamp, hash_of, id_of, is_whole
from omnikeywords.errors import OmniKeywordsError
from omnikeywords.ops import SharedFlag, counter, gauge, get_logger

__all__ = ["Keyring", "Store"]

_failures = counter("okf_key_failures_total", "Requests refused for want of a key that works.", ("reason",))
_age = gauge(
    "okf_keys_age_seconds",
    "Time since the keys were last read, where that is longest ago.",
    over_processes="livemax",
)

_LOOK_SECONDS = 2.0
_KEPT_SECONDS = 15 * 60.0
_NOTE_SECONDS = 60.0

# Asked by machines and people before they have a key, and telling nothing of what is in the catalogue.
_FREE = frozenset({"/health", "/ready", "/metrics", "/docs", "/docs/rapidoc-min.js", "/openapi.json"})
# Answered where no key was ever known and the database is away.
_WITHOUT_DATABASE = frozenset({"/api/v1/analyze"})
_PROXIED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host")

_HOW = "send it as `Authorization: Bearer KEY`; `okf keys create` makes one"


class Store(Protocol):
    """Where keys are kept: catalog.keys.KeyStore."""

    def changes(self, since: Stamp | None) -> tuple[Stamp, list[Key]] | None:
        """All keys and a stamp of them; None where they are those of the stamp that was got before."""
        ...

    def note_used(self, used: Mapping[str, float]) -> None:
        """Keep when keys were used, by id in seconds since 1970."""
        ...

    def close(self) -> None:
        """Give back what it holds, to be opened again when it is used again."""
        ...


class _Known(NamedTuple):
    """A key, ready to be checked."""

    hash: bytes
    caller: Caller
    ends: float  # seconds since 1970; infinite: never
    revoked: bool


_UNKNOWN = _Known(b"\0" * 32, NOBODY, 0.0, True)  # of no key: the hash of none is this


class Keyring:
    """The keys of one process.

    `local` says that no key is needed while there never was one. `keyed` is set once there was, for all processes of
    the service; `origins` are the web origins that may call. The clocks are for tests.
    """

    def __init__(
        self,
        store: Store,
        *,
        local: bool,
        keyed: SharedFlag,
        origins: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        look_every: float = _LOOK_SECONDS,
    ) -> None:
        self._store = store
        self._local = local
        self._keyed = keyed
        self._clock = clock
        self._wall = wall
        self._every = look_every
        self._is_here = lru_cache(256)(_Here(origins))
        self._known: Mapping[bytes, _Known] | None = None  # None: never read
        self._stamp: Stamp | None = None
        self._read_at = -math.inf  # by the clock
        self._trouble: str | None = None  # why the last look failed
        self._used: dict[str, float] = {}  # since it was last noted
        self._noted_at = clock()
        self._guesses = _Guesses()
        self._log = get_logger("omnikeywords.api.keys")
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    # ---- the check, on the event loop

    def admit(self, path: str, headers: Mapping[bytes, bytes], client: str) -> Caller:
        """Who makes a request.

        Raises Problem: `unauthorized` where a key is missing or does not work, `too_many_failures` where one address
        goes on with unknown ones, `database_unavailable` where the keys are not known.
        """
        given = headers.get(b"authorization")
        if given is not None and given[:7].lower() == b"bearer ":
            key = given[7:].strip()
        elif (named := headers.get(b"x-api-key")) is not None:
            key = named
        else:
            return self._without_key(path, headers)
        if path in _FREE:
            return NOBODY
        known = self._known
        if known is None or self._clock() - self._read_at > _KEPT_SECONDS:
            raise self._away()
        key_id = id_of(key)
        found = known.get(key_id, _UNKNOWN)
        if not compare_digest(found.hash, hash_of(key)):
            self._refuse(client, key)
        now = self._wall()
        if found.revoked:
            self._fail("revoked", "the key was revoked")
        if found.ends <= now:
            self._fail("expired", "the key has expired")
        self._used[key_id.decode()] = now
        return found.caller

    def _without_key(self, path: str, headers: Mapping[bytes, bytes]) -> Caller:
        if path in _FREE:
            return NOBODY
        why = "a key is needed"
        if self._local and not self._keyed:
            # Before it is known whether there is a key, only what needs no database: the rest could not be answered.
            if self._known is None and path not in _WITHOUT_DATABASE:
                raise self._away()
            if not any(name in headers for name in _PROXIED) and self._is_here(
                headers.get(b"host"), headers.get(b"origin")
            ):
                return LOCAL
            why = "a key is needed by whoever does not call this machine by its own name, as localhost"
        _failures.labels("missing").inc()
        raise _unauthorized(f"{why}: {_HOW}", b"")

    def _refuse(self, client: str, key: bytes) -> NoReturn:
        """Refuse what nobody was ever given: a slip, or a guess."""
        wait, last = self._guesses.add(client, self._clock())
        if wait:
            _failures.labels("limited").inc()
            seconds = math.ceil(wait)
            raise Problem(
                "too_many_failures",
                f"too many unknown keys from this address: try again in {seconds} s",
                {"retry_after_seconds": seconds},
                ((b"retry-after", b"%d" % seconds),),
            )
        if last:
            self._log.warning("many keys of one address are unknown", client=client)
        if not is_whole(key):
            self._fail("malformed", "the key is mistyped or not whole: its checksum is not right")
        self._fail("unknown", "the key is unknown")

    def _fail(self, reason: str, said: str) -> NoReturn:
        _failures.labels(reason).inc()
        raise _unauthorized(f"{said}: {_HOW}", b', error="invalid_token"')

    def _away(self) -> Problem:
        return Problem(
            "database_unavailable",
            "the keys cannot be read, so nobody is let in: try again in some seconds",
            headers=((b"retry-after", b"5"),),
        )

    # ---- what is known, in a thread

    @property
    def trouble(self) -> str | None:
        """Why the keys could not be read when it was last tried; None where they could."""
        return self._trouble

    @property
    def usable(self) -> int:
        """How many keys let somebody in now."""
        now = self._wall()
        return sum(not key.revoked and key.ends > now for key in (self._known or {}).values())

    def check(self) -> str | None:
        """What /ready has to say of the keys."""
        fresh = self._known is not None and self._clock() - self._read_at <= _KEPT_SECONDS
        if fresh or (self._local and not self._keyed):
            return None
        return "the keys are not known: the database cannot be read"

    def look(self) -> None:
        """Read the keys, if they have changed. What goes wrong is logged, and the keys known before stay."""
        began = self._clock()
        try:
            found = self._store.changes(self._stamp)
        except OmniKeywordsError as error:
            self._could_not(str(error))
            return
        except Exception as error:  # a fault of ours must not keep revoked keys alive unnoticed
            self._could_not(f"{type(error).__name__}: {error}")
            return
        if found is not None:
            stamp, keys = found
            if keys:
                self._keyed.set()
            self._known = {key.id.encode(): _ready(key) for key in keys}
            self._stamp = stamp
        self._read_at = began
        _age.set(0)
        if self._trouble is not None:
            self._trouble = None
            self._log.info("the keys can be read again")

    def _could_not(self, reason: str) -> None:
        age = self._clock() - self._read_at
        if age < math.inf:
            _age.set(age)
        if self._trouble is None:
            if self._known is not None:
                then = "those known stay valid for 15 minutes"
            elif self._local and not self._keyed:
                then = "none was ever known, so analyze is answered without one, and nothing else"
            else:
                then = "nobody is let in"
            self._log.warning("the keys cannot be read", reason=reason, consequence=then)
        self._trouble = reason

    def start(self) -> None:
        """Follow the database in a thread, until `stop`."""
        self._thread = threading.Thread(target=self._follow, name="keys", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, when it has kept what was used last."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def release(self) -> None:
        """Give back what is open, as before processes split off."""
        self._store.close()

    def _follow(self) -> None:
        while True:
            self.look()
            if self._clock() - self._noted_at >= _NOTE_SECONDS:
                self.note_used()
            if self._ending.wait(self._every):
                break
        self.note_used()
        self._store.close()

    def note_used(self) -> None:
        """Keep when keys were last used; what cannot be kept now is tried again with the next."""
        self._noted_at = self._clock()
        used, self._used = self._used, {}
        if not used or self._trouble is not None:
            self._used = {**used, **self._used}
            return
        try:
            self._store.note_used(dict(used))
        except Exception as error:  # to know when a key was used is worth no more than a line
            self._log.info("the use of keys could not be kept", reason=str(error))
            self._used = {**used, **self._used}


def _ready(key: Key) -> _Known:
    # With the id: two keys may have one name.
    caller = Caller(f"{key.name} ({key.id})", key.scope, key.projects or None, key.id)
    ends = math.inf if key.expires_at is None else key.expires_at.timestamp()
    return _Known(key.hash, caller, ends, key.revoked_at is not None)


def _unauthorized(detail: str, more: bytes) -> Problem:
    headers: Headers = ((b"www-authenticate", b'Bearer realm="omnikeywords"' + more),)
    return Problem("unauthorized", detail, headers=headers)


class _Here:
    """Whether a request without a key is from a program of this machine that means it.

    A web page can have a browser call this address, under a name of its own that leads here, or from an origin of its
    own. Programs name this machine and no origin.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def __call__(self, host: bytes | None, origin: bytes | None) -> bool:
        if host is not None and not _is_loopback(host):
            return False
        if origin is None or b"*" in self._origins or origin in self._origins:
            return True
        return _is_loopback(origin.partition(b"://")[2])


def _is_loopback(host: bytes) -> bool:
    """Whether `name`, `name:port` or `[address]:port` is of this machine alone."""
    text = host.decode("latin-1").lower()
    name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class _Guesses:
    """How often an address sent keys that nobody has: some at once, then one every second (GCRA).

    Not that a key could be guessed, but whoever tries is to be seen and to cost little. Keys that work are never held
    up: behind a proxy all come from one address.
    """

    AT_ONCE = 60
    SECONDS = 1.0
    MOST = 10_000  # addresses remembered; those that guessed longest ago are forgotten first

    def __init__(self) -> None:
        self._paid: dict[str, float] = {}  # address to the time by which its guesses are forgotten

    def __len__(self) -> int:
        return len(self._paid)

    def add(self, client: str, now: float) -> tuple[float, bool]:
        """One more guess: the seconds to wait, 0 for none, and whether the next one would have to wait."""
        address = _network(client)
        paid = max(self._paid.pop(address, now), now)
        wait = paid + self.SECONDS - now - self.AT_ONCE * self.SECONDS
        if wait <= 0:
            paid += self.SECONDS
        self._paid[address] = paid
        if len(self._paid) > self.MOST:
            del self._paid[next(iter(self._paid))]
        return max(0.0, wait), paid + self.SECONDS - now > self.AT_ONCE * self.SECONDS


def _network(client: str) -> str:
    """Whom an address stands for: of IPv6 a whole network of 64 bits, which one machine has to itself."""
    if ":" not in client:
        return client
    try:
        address = ipaddress.IPv6Address(client.partition("%")[0])
    except ValueError:
        return client
    return str(address.ipv4_mapped or ipaddress.IPv6Address(int(address) >> 64 << 64))
