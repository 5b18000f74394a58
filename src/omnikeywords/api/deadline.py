"""How long a request has been under way: its deadline covers the time in which it waited for its turn.

A proxy may say when a request came to it, as `X-Request-Start: t=1700000000.123` (seconds, or milli- or microseconds,
since 1970): then the time in its queue and in the sockets counts too. What is said of the future counts for nothing.
"""

import re
import time
from collections.abc import Mapping
from contextvars import ContextVar

__all__ = ["begin", "waited"]

_began: ContextVar[float] = ContextVar("began")  # of the request that is answered, by time.monotonic
_START = re.compile(rb"(?:t=)?([0-9]{9,17})(\.[0-9]{1,9})?")


def begin(headers: Mapping[bytes, bytes]) -> float:
    """A request begins to be answered: the seconds that it has waited already."""
    said = headers.get(b"x-request-start")
    before = 0.0 if said is None else _since(said)
    _began.set(time.monotonic() - before)
    return before


def waited() -> float:
    """Seconds since the request that is answered here came; 0 where none is."""
    began = _began.get(None)
    return 0.0 if began is None else time.monotonic() - began


def _since(said: bytes) -> float:
    match = _START.fullmatch(said.strip())
    if match is None:
        return 0.0
    whole, part = match[1], match[2] or b""
    unit = {3: 1e3, 6: 1e6}.get(len(whole) - 10, 1.0)
    return max(0.0, time.time() - float(whole + part) / unit)
