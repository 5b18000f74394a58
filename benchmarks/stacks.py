"""What is measured: services with everything they need, started for it, on ports of this machine.

A stack is the same to every benchmark, ours (`Ours`) and the guide's (`baseline.stack.Baseline`):

    with started(Baseline()) as stack:
        stack.load(keywords)
        ... stack.port, stack.url, stack.cpu_seconds(), stack.lookups()
"""

import csv
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from tests.servers.ports import free_port

__all__ = ["Ours", "Stack", "await_answer", "cpu_seconds", "fetch", "proxied", "running", "started"]

WORKERS = 2
_TICKS = os.sysconf("SC_CLK_TCK")


class Stack(Protocol):
    """A service that can be measured."""

    name: str
    port: int  # known once it is started

    @property
    def url(self) -> str:
        """Where it answers."""
        ...

    def start(self) -> None:
        """Start it with nothing in it, and wait until it answers."""
        ...

    def load(self, keywords: Sequence[str]) -> None:
        """Fill it, and wait until all of them can be found."""
        ...

    def restart(self) -> None:
        """Start its processes anew with what it holds: every cache is cold."""
        ...

    def stop(self) -> None:
        """Stop all of it and remove what it kept."""
        ...

    def cpu_seconds(self) -> float:
        """What all its processes took since they began."""
        ...

    def lookups(self) -> Mapping[str, Mapping[str, float]]:
        """How often each cache was asked, by what came of it; empty where nothing is cached."""
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
        self._environ: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        folder = Path(self._kept.enter_context(tempfile.TemporaryDirectory(prefix="okf-bench-")))
        self.port = free_port()
        self._environ = {
            **os.environ,
            "OKF_DATABASE_URL": f"sqlite:///{folder}/catalogue.sqlite3",
            "OKF_DATA_DIR": str(folder),
            "OKF_DRAIN_DELAY_MS": "0",
        }
        self._folder = folder
        self._serve()

    def load(self, keywords: Sequence[str]) -> None:
        path = self._folder / "keywords.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["keyword"])
            writer.writerows([keyword] for keyword in keywords)
        subprocess.run([*_okf("import"), "--quiet", path], check=True, env=self._environ, stdout=subprocess.DEVNULL)
        path.unlink()
        self._await_search(keywords[-1])

    def _await_search(self, keyword: str) -> None:
        """Imports are handled in their order, so where the last keyword is found all are."""

    def restart(self) -> None:
        self._end()
        self._serve()

    def stop(self) -> None:
        self._end()
        self._kept.close()

    def cpu_seconds(self) -> float:
        assert self._process is not None
        return cpu_seconds(self._process.pid)

    def lookups(self) -> Mapping[str, Mapping[str, float]]:
        return _lookups(fetch(self.port, "/metrics")[1], "okf_cache_requests_total")

    def _serve(self) -> None:
        command = [*_okf("serve"), "--port", str(self.port), "--workers", str(WORKERS)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=self._environ)
        await_answer(self.port, "/ready", self._process, 180)

    def _end(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None
