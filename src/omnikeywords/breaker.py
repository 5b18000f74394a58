"""A breaker: after some failures in a short time a server is left alone for a while, then tried by one call alone."""

import random
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Breaker"]


class Breaker:
    """Closed: calls go through. Open: none does, for a time that doubles with each failed try. Then half open: one call
    is let through, and what becomes of it decides.

    It opens at so many `failures` `within` so many seconds, whatever succeeded between them: a cluster that has lost
    one node of three fails a third of its calls.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        within: float = 10.0,
        first_wait: float = 0.5,
        longest_wait: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._within = within
        self._first, self._longest = first_wait, longest_wait
        self._clock, self._spread = clock, spread
        self._failed: deque[float] = deque(maxlen=failures)  # when
        self._wait = first_wait  # next time it opens
        self._opens_until: float | None = None  # None: closed
        self._trying = False

    @property
    def closed(self) -> bool:
        """Whether calls go through."""
        return self._opens_until is None

    @property
    def seconds_left(self) -> float:
        """Until the next try."""
        return 0.0 if self._opens_until is None else max(0.0, self._opens_until - self._clock())

    def allows(self) -> bool:
        """Whether this call may go through; whoever is told so says `succeeded` or `failed` afterwards."""
        if self._opens_until is None:
            return True
        if self._trying or self._clock() < self._opens_until:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """A call went well."""
        if self._trying:
            self._trying = False
            self._opens_until = None
            self._failed.clear()
            self._wait = self._first

    def failed(self) -> None:
        """A call went wrong, or took too long."""
        now = self._clock()
        if self._trying:
            self._trying = False
            self._open(now)
        elif self._opens_until is None:
            self._failed.append(now)
            if len(self._failed) == self._failed.maxlen and now - self._failed[0] <= self._within:
                self._open(now)

    def trip(self) -> None:
        """Open it at once: the server is known to be away."""
        self._trying = False
        self._open(self._clock())

    def _open(self, now: float) -> None:
        # Processes that lost a server together do not all come back at the same moment.
        self._opens_until = now + self._wait * (0.75 + 0.5 * self._spread())
        self._wait = min(self._longest, self._wait * 2)
        self._failed.clear()
