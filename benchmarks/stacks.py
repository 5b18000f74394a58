"""What is measured: a service with everything it needs, started for it on ports of this machine.

A stack is the same to every benchmark, ours and the guide's:

    with started(Baseline()) as stack:
        stack.load(keywords)
        ... stack.port, stack.url, stack.cpu_seconds(), stack.lookups()
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote

from serving import await_answer, cpu_seconds, end, environment, fetch, free_port, okf, samples

__all__ = ["WORKERS", "Ours", "Stack", "started"]

WORKERS = 2  # processes that answer requests, in each stack


class Stack(Protocol):
    """A service that can be measured."""

    name: str
    port: int  # known once it is started

    @property
    def url(self) -> str:
        """Where it answers."""
        ...

    def start(self) -> None:
        """Start it with nothing in it and wait until it answers."""
        ...

    def load(self, keywords: Sequence[str]) -> None:
        """Fill it and wait until all of them can be found."""
        ...

    def restart(self) -> None:
        """Start what answers anew, with what was loaded and with cold caches."""
        ...

    def stop(self) -> None:
        """Stop all of it and remove what it kept; does nothing where nothing runs."""
        ...

    def cpu_seconds(self) -> float:
        """What its processes took so far."""
        ...

    def lookups(self) -> Mapping[tuple[str, ...], float]:
        """How often each cache was asked, by its name and what came of it; empty where nothing counts that."""
        ...


_S = TypeVar("_S", bound=Stack)


@contextmanager
def started(stack: _S) -> Iterator[_S]:
    """A running stack, stopped when the block ends."""
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


class Ours:
    """Omni Keywords Finder on SQLite, as `okf serve` starts it."""

    name = "ours"

    def __init__(self) -> None:
        self.port = 0
        self._kept = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._folder = Path(self._kept.enter_context(tempfile.TemporaryDirectory(prefix="okf-bench-")))
        self._environ = {**os.environ, **environment(self._folder)}
        self.port = free_port()
        self._serve()

    def load(self, keywords: Sequence[str]) -> None:
        path = self._folder / "keywords.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["keyword"])
            writer.writerows([keyword] for keyword in keywords)
        subprocess.run(okf("import", "--quiet", str(path)), check=True, env=self._environ, stdout=subprocess.DEVNULL)
        path.unlink()
        self._await_search(keywords[-1])

    def restart(self) -> None:
        self._end()
        self._serve()

    def stop(self) -> None:
        self._end()
        self._kept.close()

    def cpu_seconds(self) -> float:
        assert self._process is not None
        return cpu_seconds(self._process.pid)

    def lookups(self) -> Mapping[tuple[str, ...], float]:
        return samples(fetch(self.port, "/metrics")[1], "okf_cache_requests_total")

    def _serve(self) -> None:
        command = okf("serve", "--port", str(self.port), "--workers", str(WORKERS))
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=self._environ)
        await_answer(self.port, "/ready", self._process, 180)

    def _end(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None

    def _await_search(self, keyword: str) -> None:
        """Wait until the keyword that was imported last is found: what came before it is, then."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            status, text = fetch(self.port, f"/api/v1/search?q={quote(keyword)}")
            if status == 200 and json.loads(text)["total"]:
                return
            time.sleep(0.1)
        sys.exit(f"search does not find {keyword!r} two minutes after its import: {text[:200]}")
