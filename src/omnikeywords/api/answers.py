"""Ready-made answers: a request that was answered before gets the same bytes, before it is read or checked.

The key was checked and the limits were asked before; what an answer depends on beyond the request is part of its key or
of its stamp: whose projects the caller sees, the coding of the body, and what it was computed from. A GET has an ETag,
so that clients and CDNs ask whether theirs is still right and get 304 for an answer.
"""

from collections.abc import Callable, Hashable, Mapping
from hashlib import blake2b

from omnikeywords.api.compression import coding_for
from omnikeywords.api.guard import POLICY, Call, Endpoint, Headers, Reply, encoded
from omnikeywords.api.problems import Problem, problem_of
from omnikeywords.cache import Cache
from omnikeywords.errors import NotFound
from omnikeywords.settings import Settings

__all__ = ["Answers", "Kept", "Remembered", "Stamp"]

# Body, content type, its coding, headers, policy, note of the endpoint.
Kept = tuple[bytes, bytes, bytes | None, Headers, Headers, tuple[str, int] | None]
_VARY = (b"vary", b"accept-encoding, authorization, x-api-key")

_SEEN = 1 << 20
_UNINDEXED_SECONDS = 1.0

# What a search answers from, of a project, as of now: None where that is not an index alone.
Stamp = Callable[[str], Hashable]

# Parameters that ask for an answer of the moment, and those whose answer takes long.
_OF_NOW = frozenset({b"wait", b"index_position"})
_DEAR = frozenset({b"facets", b"sort"})


class Answers:
    """The answers that one process keeps."""

    def __init__(self, kept: Cache[Kept], settings: Settings) -> None:
        self._kept = kept
        self._seen = bytearray(_SEEN)  # eight bits of what was asked last, of each of so many kinds
        self._least = settings.compress_bytes
        edge = settings.edge_seconds
        fresh = b"public, no-cache" if edge == 0 else b"public, max-age=0, s-maxage=%d" % edge
        self._policy: Headers = (POLICY, (b"cache-control", fresh), _VARY)

    def find(self, call: Call, what: Hashable, stamp: Hashable) -> Reply | None:
        """The answer to a call like this one; `what` is all of the call that it depends on."""
        kept = self._kept.get(self._key(call, what), stamp)
        return None if kept is None else _reply(kept)

    async def keep(self, call: Call, what: Hashable, stamp: Hashable, reply: Reply, seconds: float) -> Reply:
        """The reply as it is to be sent; kept if the like was asked before, so that what is asked once costs little."""
        key = self._key(call, what)
        place, mark = divmod(hash(key), _SEEN)
        if self._seen[mark] != place & 255:
            self._seen[mark] = place & 255
            return reply
        accepted = call.headers.get(b"accept-encoding")
        if accepted is not None:
            reply = await encoded(reply, accepted, self._least)
        kept = (reply.body, reply.content_type, reply.coding, reply.headers, reply.kept, reply.note)
        self._kept.put(key, kept, len(reply.body), stamp, seconds=seconds)
        return reply

    def stale(self, call: Call, what: Hashable) -> Reply | None:
        """The last answer to such a call, where a new one cannot be had and that one is not too old."""
        kept = self._kept.stale(self._key(call, what))
        return None if kept is None else _reply(kept)

    def marked(self, reply: Reply) -> Reply:
        """The reply to a GET, with what lets others keep it."""
        return reply._replace(kept=self._policy, headers=(*reply.headers, _etag(reply.body)))

    @staticmethod
    def _key(call: Call, what: Hashable) -> Hashable:
        return (call.caller.sees, what, coding_for(call.headers.get(b"accept-encoding")))


class Remembered:
    """A GET endpoint that answers from an index, whose answers are kept as long as its `stamp` is the same.

    What takes long is kept in `searches` too, for whoever asks the same in other words, and by them in Redis. What
    fails by no fault of the client is answered by the last answer, if that is not too old.
    """

    def __init__(
        self, path: str, endpoint: Endpoint, stamp: Stamp, answers: Answers, searches: Cache[bytes], *, dear: bool
    ) -> None:
        """`dear` says that every answer takes long, whatever is asked."""
        self._path = path
        self._endpoint = endpoint
        self._stamp = stamp
        self._answers = answers
        self._searches = searches
        self._dear = dear

    async def __call__(self, call: Call) -> Reply:
        """Answer a call. Raises what the endpoint raises."""
        asked = _parameters(call.query)
        project = _project(call, asked)
        if project is None or not _OF_NOW.isdisjoint(asked):
            return await self._endpoint(call)
        stamp = self._stamp(project)
        if stamp is None:
            # The database is asked, which many must not do at once; what it says holds until there is an index.
            return Reply(await self._computed(call, asked, project, None, _UNINDEXED_SECONDS, dear=False))
        what = (self._path, *call.path.values(), call.query)
        reply = self._answers.find(call, what, stamp)
        if reply is None:
            try:
                reply = await self._answer(call, asked, project, stamp)
            except Exception as error:
                instead = self._answers.stale(call, what) if _is_ours(error) else None
                if instead is None:
                    raise
                return instead
            if reply.status != 200 or reply.more is not None:
                return reply
            reply = await self._answers.keep(call, what, stamp, self._answers.marked(reply), self._searches.seconds)
        wanted = call.headers.get(b"if-none-match")
        if wanted is not None and _matches(wanted, reply.headers):
            return reply._replace(body=b"", status=304, coding=None)
        return reply

    async def _answer(self, call: Call, asked: Mapping[bytes, bytes], project: str, stamp: Hashable) -> Reply:
        if not self._dear and _DEAR.isdisjoint(asked) and asked.get(b"q"):
            return await self._endpoint(call)

        return Reply(await self._computed(call, asked, project, stamp, self._searches.seconds, dear=True))

    async def _computed(
        self, call: Call, asked: Mapping[bytes, bytes], project: str, stamp: Hashable, seconds: float, *, dear: bool
    ) -> bytes:
        """The body of an answer, computed once for all who ask the same in other words."""

        async def compute() -> bytes:
            return (await self._endpoint(call)).body

        key = (self._path, *sorted(call.path.items()), *sorted({**asked, b"project": project.encode()}.items()))
        return await self._searches.get_or_compute(
            key, seconds, compute, stamp=stamp, namespace=project, dear=dear, forgives=_is_ours
        )


def _parameters(query: bytes) -> Mapping[bytes, bytes]:
    """By name, as they came; nothing where one is there twice, which is for the endpoint to refuse."""
    pairs = [pair.partition(b"=")[::2] for pair in query.split(b"&") if pair]
    found = dict(pairs)
    return found if len(found) == len(pairs) else {b"wait": b""}


def _project(call: Call, asked: Mapping[bytes, bytes]) -> str | None:
    """Whose keywords; None where the endpoint must say what is wrong."""
    try:
        given = asked.get(b"project")
        return call.caller.project(None if given is None else given.decode("ascii"))
    except (NotFound, Problem, UnicodeDecodeError):
        return None


def _is_ours(error: Exception) -> bool:
    return problem_of(error).status >= 500


def _reply(kept: Kept) -> Reply:
    body, content_type, coding, headers, policy, note = kept
    return Reply(body, 200, content_type, headers, policy, None, coding, note)


def _etag(body: bytes) -> tuple[bytes, bytes]:
    """Weak: the same for every coding of the body."""
    return (b"etag", b'W/"%s"' % blake2b(body, digest_size=12).hexdigest().encode())


def _matches(wanted: bytes, headers: Headers) -> bool:
    tag = dict(headers)[b"etag"].removeprefix(b"W/")
    return wanted.strip() == b"*" or tag in (item.strip().removeprefix(b"W/") for item in wanted.split(b","))
