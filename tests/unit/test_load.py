"""The load generator counts what came of every request, and waiting as part of latency."""

import json
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import traffic
from load import BROKEN, Requests, get, run

RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"


@contextmanager
def server(answer: Callable[[int], bytes]) -> Iterator[int]:
    """A server that answers its n-th request with those bytes and hangs up after any that are no whole answer."""
    numbers, lock = iter(range(1, 1_000_000)), threading.Lock()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65536):
                with lock:
                    number = next(numbers)
                text = answer(number)
                self.request.sendall(text)
                if text not in (RIGHT, BUSY):
                    return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """Callers hang up at the end."""

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield running.server_address[1]
        finally:
            running.shutdown()
            thread.join()


def calls(number: int) -> Requests:
    return Requests.repeated(get("/health"), number)


def one_in_a_hundred(text: bytes) -> Callable[[int], bytes]:
    return lambda number: RIGHT if number % 100 else text


def test_every_answer_is_counted() -> None:
    with server(lambda _: RIGHT) as port:
        done = run(port, calls(500), connections=8, seconds=60)
    assert done.statuses() == {200: 500}
    assert done.wrong() == 0
    assert done.seconds < 60  # all were answered before


def test_one_refusal_in_a_hundred_is_one_in_a_hundred() -> None:
    with server(one_in_a_hundred(BUSY)) as port:
        done = run(port, calls(1000), connections=8, seconds=60)
    assert done.statuses() == {200: 990, 503: 10}
    assert done.wrong() == 10
    assert np.count_nonzero(np.isnan(done.latencies)) == 10


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\ncut sho",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 O",
    ],
)
def test_connections_that_fail_and_answers_that_cannot_be_read_are_broken(text: bytes) -> None:
    with server(one_in_a_hundred(text)) as port:
        done = run(port, calls(1000), connections=8, seconds=60)
    assert done.statuses() == {200: 990, BROKEN: 10}


def test_an_open_loop_counts_failures_too() -> None:
    with server(one_in_a_hundred(BUSY)) as port:
        done = run(port, calls(2000), connections=8, seconds=1, rate=500)
    assert done.count() + done.wrong() == len(done.outcomes)  # all that were due
    assert done.wrong() == len(done.outcomes) // 100


def test_an_open_loop_counts_what_a_slow_answer_holds_up() -> None:
    def slow_at_first(number: int) -> bytes:
        if number == 1:
            time.sleep(0.5)
        return RIGHT

    with server(slow_at_first) as port:
        closed = run(port, calls(200), connections=1, seconds=60)
    assert np.count_nonzero(closed.latencies > 0.25) == 1
    with server(slow_at_first) as port:
        scheduled = run(port, calls(1000), connections=1, seconds=1, rate=200)
    # Of some 200 requests those of the first quarter of a second waited a quarter of a second or longer.
    assert np.count_nonzero(scheduled.latencies > 0.25) > 25


def test_the_mix_is_three_analyze_to_two_searches_to_one_health() -> None:
    mix = traffic.mix(60_000, ["a", "b", "c"], ["x", "y"], seed=1)
    shares = np.bincount(mix.kinds) / len(mix)
    assert shares == pytest.approx([3 / 6, 2 / 6, 1 / 6], abs=0.01)
    texts = {bytes(mix.bytes[start:end]) for start, end in zip(mix.starts, mix.ends, strict=True)}
    assert {text.partition(b" HTTP")[0] for text in texts} == {
        b"POST /api/v1/analyze",
        b"GET /api/v1/search?q=x",
        b"GET /api/v1/search?q=y",
        b"GET /health",
    }
    bodies = [json.loads(text.partition(b"\r\n\r\n")[2]) for text in texts if text.startswith(b"POST")]
    assert {tuple(body["keywords"]) for body in bodies} == {(a, b) for a in "abc" for b in "abc"}


def test_popularity_falls_as_the_rank_rises() -> None:
    drawn = np.bincount(traffic.zipf(1_000_000, 1000, np.random.default_rng(1)))
    assert len(drawn) == 1000
    assert drawn[0] / drawn[1] == pytest.approx(2, rel=0.03)
    assert drawn[0] / drawn[9] == pytest.approx(10, rel=0.05)


def test_queries_are_distinct_runs_of_words() -> None:
    assert sorted(traffic.queries(["red car -x", "red car"], seed=1)) == ["car", "red", "red car", "x"][:3]
