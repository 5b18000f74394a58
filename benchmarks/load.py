"""A load generator of HTTP/1.1 whose loop is compiled: some eight microseconds of CPU a request, mostly the system's.

    run(port, requests, connections=64, seconds=60)                    closed loop
    run(port, requests, connections=256, seconds=60, rate=7000)        open loop

A closed loop sends the next request of a connection when its last is answered: it finds how much a service can do. An
open loop sends at random moments (Poisson) that are fixed beforehand and never wait for answers. There latency counts
from the moment a request was due, so whatever a slow answer holds up is in the figures: no coordinated omission.

An answer is right when its status is 200. Any other status is refused; a request whose connection failed, whose answer
could not be read or did not come in ten seconds is broken. Neither has a latency, and both are counted.
"""

import ctypes
import platform
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BROKEN", "Load", "Requests", "get", "post", "run"]

TIMEOUT = 10.0  # seconds from the moment a request was sent

# What became of a request, where it got no status.
UNSENT, FLYING, LEFT, BROKEN = 0, 1, 2, 3  # `LEFT` was on its way when the run ended, and was answered

_OK = 200
_WIDTH, _FD = (3, 1) if platform.machine() == "x86_64" else (4, 2)  # `struct epoll_event` in 32-bit words; its data
_AT_ONCE = 64  # events
_DONTWAIT, _NOSIGNAL = 0x40, 0x4000
_SCRATCH = 1 << 18  # bytes read at once

_libc = ctypes.CDLL(None)
_wait, _recv, _send, _clock = _libc.epoll_pwait2, _libc.recv, _libc.send, _libc.clock_gettime
_wait.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
_recv.argtypes = _send.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_recv.restype = _send.restype = ctypes.c_ssize_t
_clock.argtypes = [ctypes.c_int, ctypes.c_void_p]


def get(path: str) -> bytes:
    """A GET request as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes, key: str | None = None) -> bytes:
    """A POST request of JSON as it goes over the wire, with an API key where there is one."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    if key is not None:
        head += f"Authorization: Bearer {key}\r\n"
    return b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body)


class Requests:
    """Requests in the order they are sent: each is one of `texts`, and each text is of a kind, a small number."""

    def __init__(self, texts: Sequence[bytes], kinds: Sequence[int], order: NDArray[np.int64]) -> None:
        ends = np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)))
        starts = np.concatenate([[0], ends[:-1]])
        self.bytes = np.frombuffer(b"".join(texts), dtype=np.uint8)
        self.starts, self.ends = starts[order], ends[order]
        self.kinds = np.asarray(kinds, dtype=np.int8)[order]

    @classmethod
    def distinct(cls, texts: Sequence[bytes]) -> "Requests":
        """Each text once, in their order."""
        return cls(texts, np.zeros(len(texts), dtype=np.int8), np.arange(len(texts)))

    @classmethod
    def repeated(cls, text: bytes, number: int) -> "Requests":
        """One text so many times."""
        return cls([text], [0], np.zeros(number, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends)


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a run."""

    seconds: float
    generator: float  # seconds of CPU that the generator itself took
    kinds: NDArray[np.int8]  # of each request that was sent or due
    outcomes: NDArray[np.int16]  # their statuses, or LEFT, or BROKEN
    latencies: NDArray[np.float64]  # seconds; NaN where the status is not 200

    def count(self, kind: int | None = None) -> int:
        """Right answers."""
        return int(np.count_nonzero(self._of(kind) & (self.outcomes == _OK)))

    def rate(self, kind: int | None = None) -> float:
        """Right answers a second."""
        return self.count(kind) / self.seconds

    def wrong(self, kind: int | None = None) -> int:
        """Requests refused or broken."""
        return int(np.count_nonzero(self._of(kind) & (self.outcomes != _OK) & (self.outcomes != LEFT)))

    def statuses(self, kind: int | None = None) -> dict[int, int]:
        """How many requests ended with each status; `BROKEN` stands for those that got none."""
        values, counts = np.unique(self.outcomes[self._of(kind)], return_counts=True)
        return {int(value): int(count) for value, count in zip(values, counts, strict=True) if value != LEFT}

    def milliseconds(self, percentile: float, kind: int | None = None) -> float:
        """The latency that so many percent of right answers kept; NaN where there are none."""
        values = self.latencies[self._of(kind) & (self.outcomes == _OK)]
        return float(np.percentile(values, percentile)) * 1000 if len(values) else float("nan")

    @property
    def generator_cores(self) -> float:
        """How much of one core the generator took."""
        return self.generator / self.seconds

    def _of(self, kind: int | None) -> NDArray[np.bool_]:
        return np.ones(len(self.kinds), dtype=bool) if kind is None else self.kinds == kind


class _Lines:
    """Connections to one port, each with at most one request on its way, as the compiled loop sees them."""

    def __init__(self, port: int, count: int) -> None:
        self._address = ("127.0.0.1", port)
        self._sockets: list[socket.socket] = []
        self.poll = select.epoll()
        self.fd = np.zeros(count, dtype=np.int32)
        self.line = np.zeros(65_536, dtype=np.int32)  # by file descriptor
        self.request = np.full(count, -1, dtype=np.int64)  # which is on its way
        self.sent = np.zeros(count)  # when
        self.wanted = np.zeros(count, dtype=np.int64)  # bytes of its answer that are still to come; 0 before its head
        self.status = np.zeros(count, dtype=np.int16)  # of its answer
        for line in range(count):
            self._sockets.append(self._connected())
            self._note(line)

    def reconnect(self, line: int) -> None:
        """Another connection in place of one that is no use."""
        self._sockets[line].close()  # which ends that it is watched, too
        self._sockets[line] = self._connected()
        self._note(line)

    def close(self) -> None:
        """Close all."""
        for each in self._sockets:
            each.close()
        self.poll.close()

    def _connected(self) -> socket.socket:
        try:
            new = socket.create_connection(self._address, timeout=TIMEOUT)
        except OSError as error:
            sys.exit(f"load: port {self._address[1]} takes no connection any more: {error}")
        new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return new

    def _note(self, line: int) -> None:
        fd = self._sockets[line].fileno()
        self.poll.register(fd, select.EPOLLIN)
        self.fd[line] = fd
        self.line[fd] = line
        self.request[line] = -1
        self.wanted[line] = 0


def run(port: int, requests: Requests, *, connections: int, seconds: float, rate: float | None = None) -> Load:
    """Load a service of this machine for so many seconds: in a closed loop, or in an open one at `rate` a second.

    In a closed loop what is on its way at the end counts only where it fails, and a service that has answered all
    requests sooner ends the run. In an open loop every request that was due counts; those that no connection could take
    in time are broken.
    """
    total = len(requests)
    outcomes = np.zeros(total, dtype=np.int16)
    latencies = np.full(total, np.nan)
    due = np.zeros(total)
    if rate is not None:
        due += np.cumsum(np.random.default_rng(total).exponential(1 / rate, total))
        if due[-1] < seconds:
            sys.exit(f"load: {total} requests are too few for {seconds:g} s at {rate:g} a second")
    lines = _Lines(port, connections)
    sent = np.zeros(1, dtype=np.int64)
    scratch = np.zeros(_SCRATCH, dtype=np.uint8)

    def drive(number: int, end: float) -> int:
        """Go on until so many are sent or the time has come; returns a line to be connected anew, or -1."""
        return _drive(
            *(lines.poll.fileno(), lines.fd, lines.line, lines.request, lines.sent, lines.wanted, lines.status),
            *(requests.bytes, requests.starts, requests.ends, due, outcomes, latencies, sent),
            *(number, end, rate is not None, scratch),
        )

    try:
        drive(0, 0.0)  # which compiles it
        cpu, begun = time.process_time(), time.monotonic()
        due += begun
        number = total if rate is None else int(np.searchsorted(due, begun + seconds))
        end = begun + seconds + (0.0 if rate is None else TIMEOUT)
        while (failed := drive(number, end)) >= 0:
            lines.reconnect(failed)
        cpu, took = time.process_time() - cpu, time.monotonic() - begun
    finally:
        lines.close()
    number = int(sent[0]) if rate is None else number
    outcomes = outcomes[:number]
    outcomes[(outcomes == UNSENT) | (outcomes == FLYING)] = BROKEN
    return Load(min(seconds, took), cpu, requests.kinds[:number], outcomes, latencies[:number])


@njit
def _now(clock: NDArray[np.int64]) -> float:
    _clock(1, clock.ctypes.data)  # CLOCK_MONOTONIC, that of time.monotonic()
    return clock[0] + clock[1] * 1e-9


@njit
def _head(data: NDArray[np.uint8], size: int) -> tuple[int, int, int]:
    """Status, length of the head and of the body of an answer; a status of 0 where its head cannot be read."""
    name = b"content-length:"
    body, start = -1, 0
    for i in range(size - 1):
        if data[i] != 13 or data[i + 1] != 10:
            continue
        if i == start:  # the empty line
            if body < 0 or i < 12:
                return 0, 0, 0
            return (data[9] - 48) * 100 + (data[10] - 48) * 10 + data[11] - 48, i + 2, body
        matches = i - start > len(name)
        for j in range(len(name)):
            if not matches:
                break
            matches = (data[start + j] | 32) == name[j] or data[start + j] == name[j]
        if matches:
            body = 0
            for j in range(start + len(name), i):
                if data[j] != 32:
                    body = body * 10 + data[j] - 48
        start = i + 2
    return 0, 0, 0


@njit(nogil=True)
def _drive(
    poll: int,
    fds: Any,
    lines: Any,
    request: Any,
    sent: Any,
    wanted: Any,
    status: Any,
    texts: Any,
    starts: Any,
    ends: Any,
    due: Any,
    outcomes: Any,
    latencies: Any,
    following: Any,
    number: int,
    end: float,
    scheduled: bool,
    scratch: Any,
) -> int:
    """Send and receive until the end; returns the line to be connected anew before it goes on, or -1."""
    clock, wait = np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64)
    count = len(request)
    events = np.zeros((_AT_ONCE, _WIDTH), dtype=np.int32)
    flying = np.sum(request >= 0)
    turn = 0
    look = 0.0
    while True:
        now = _now(clock)
        over = now >= end or following[0] >= number
        if over and flying == 0:
            return -1
        # Free lines take turns, so that all of them, and the processes behind them, are used alike.
        while not over and flying < count and due[following[0]] <= now:
            while request[turn] >= 0:
                turn = (turn + 1) % count
            this = following[0]
            following[0] += 1
            start = starts[this]
            request[turn], sent[turn] = this, now
            outcomes[this] = FLYING
            size = ends[this] - start
            if _send(fds[turn], texts[start:].ctypes.data, size, _DONTWAIT | _NOSIGNAL) != size:
                outcomes[this] = BROKEN
                return turn
            flying += 1
            over = following[0] >= number
        pause = 1.0
        if scheduled and not over and flying < count:
            pause = min(pause, max(due[following[0]] - now, 0.0))
        wait[0], wait[1] = int(pause), int((pause - int(pause)) * 1e9)
        ready = _wait(poll, events.ctypes.data, _AT_ONCE, wait.ctypes.data, 0)
        now = _now(clock)
        for event in range(ready):
            line = lines[events[event, _FD]]
            this = request[line]
            size = _recv(fds[line], scratch.ctypes.data, len(scratch), _DONTWAIT)
            if size > 0 and this >= 0 and wanted[line] == 0:
                code, head, body = _head(scratch, size)
                status[line] = code
                wanted[line] = head + body
            if size <= 0 or this < 0 or status[line] < 100:
                if this >= 0:
                    outcomes[this] = BROKEN
                return line
            wanted[line] -= size
            if wanted[line] > 0:
                continue
            if wanted[line] < 0:  # more than was promised
                outcomes[this] = BROKEN
                return line
            outcomes[this] = status[line]
            if status[line] == _OK:
                if now > end and not scheduled:
                    outcomes[this] = LEFT
                else:
                    latencies[this] = now - (due[this] if scheduled else sent[line])
            request[line] = -1
            flying -= 1
        if now > look:
            look = now + 0.5
            for line in range(count):
                if request[line] >= 0 and now - sent[line] > TIMEOUT:
                    outcomes[request[line]] = BROKEN
                    return line
