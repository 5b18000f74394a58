"""Ready-made answers: a request that was answered before gets the same bytes, before it is read or checked.

The key was checked and the limits were asked before; what an answer depends on beyond the request is part of its key or
of its stamp: whose projects the caller sees, the coding of the body, and what it was computed from. A GET has an ETag,
so that clients and CDNs ask whether theirs is still right and get 304 for an answer.
"""

from collections.abc import Callable, Hashable
from hashlib import blake2b

from omnikeywords.api.compression import coding_for
from omnikeywords.api.guard import POLICY, Call, Endpoint, Headers, Reply, encoded
from omnikeywords.api.problems import problem_of
from omnikeywords.cache import Cache

__all__ = ["Answers", "Kept"]

Kept = tuple[bytes, bytes, bytes | None, Headers, Headers]  # body, content type, its coding, headers, policy
_VARY = (b"vary", b"accept-encoding, authorization, x-api-key")

_SEEN = 1 << 20

Stamp = Callable[[Call], Hashable]


class Answers:
    """The answers that one process keeps."""

    def __init__(self, kept: Cache[Kept], *, compress_bytes: int, edge_seconds: int = 0) -> None:
        self._kept = kept
        self._seen = bytearray(_SEEN)  # eight bits of what was asked last, of each of so many kinds
        self._least = compress_bytes
        fresh = b"public, no-cache" if edge_seconds == 0 else b"public, max-age=0, s-maxage=%d" % edge_seconds
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
        kept = (reply.body, reply.content_type, reply.coding, reply.headers, reply.kept)
        self._kept.put(key, kept, len(reply.body), stamp, seconds=seconds)
        return reply

    def remembered(self, path: str, endpoint: Endpoint, stamp: Stamp, seconds: float) -> Endpoint:
        """A GET endpoint whose answers are kept as long as `stamp` says the same.

        An answer is kept where it is 200 and its reply has the stamp that it is of; an endpoint that waits for
        something, or answers of the moment, gives none. What fails by no fault of the client is answered by the last
        answer, if that is not too old.
        """

        async def answer(call: Call) -> Reply:
            what = (path, call.query)
            now = stamp(call)
            reply = self.find(call, what, now)
            if reply is None:
                try:
                    reply = await endpoint(call)
                except Exception as error:
                    kept = self._kept.stale(self._key(call, what)) if problem_of(error).status >= 500 else None
                    if kept is None:
                        raise
                    return _reply(kept)
                if reply.status != 200 or reply.stamp is None or reply.more is not None:
                    return reply
                reply = reply._replace(kept=self._policy, headers=(*reply.headers, _etag(reply.body)))
                reply = await self.keep(call, what, reply.stamp, reply, seconds)
            wanted = call.headers.get(b"if-none-match")
            if wanted is not None and _matches(wanted, reply.headers):
                return reply._replace(body=b"", status=304, coding=None)
            return reply

        return answer

    @staticmethod
    def _key(call: Call, what: Hashable) -> Hashable:
        return (call.caller.sees, what, coding_for(call.headers.get(b"accept-encoding")))


def _reply(kept: Kept) -> Reply:
    body, content_type, coding, headers, policy = kept
    return Reply(body, 200, content_type, headers, policy, None, coding)


def _etag(body: bytes) -> tuple[bytes, bytes]:
    """Weak: the same for every coding of the body."""
    return (b"etag", b'W/"%s"' % blake2b(body, digest_size=12).hexdigest().encode())


def _matches(wanted: bytes, headers: Headers) -> bool:
    tag = dict(headers)[b"etag"].removeprefix(b"W/")
    return wanted.strip() == b"*" or tag in (item.strip().removeprefix(b"W/") for item in wanted.split(b","))
