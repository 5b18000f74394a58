"""Threads for what may not run on the event loop: a few, with a bounded queue and a deadline."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from omnikeywords.api.deadline import waited
from omnikeywords.api.problems import Problem

__all__ = ["Threads"]

T = TypeVar("T")


class Threads:
    """A pool of one process. Its threads are made when they are first needed, after workers have split off."""

    def __init__(self, name: str, threads: int, queue: int, seconds: float, *, busy: str, advice: str) -> None:
        """`busy` says of what there are too many, `advice` what a client may do besides trying again."""
        self._name = name
        self._threads = threads
        self._room = threads + queue  # for calls, running and waiting
        self._seconds = seconds
        self._pool: ThreadPoolExecutor | None = None
        self._busy = Problem(
            "overloaded", f"{busy} at once: try again in a second{advice}", headers=((b"retry-after", b"1"),)
        )
        self._late = f"no answer within {seconds:g} seconds: try again{advice}"

    async def run(self, work: Callable[..., T], *given: Any, **more: Any) -> T:
        """What `work` returns.

        Raises Problem where too many calls wait already, or the request has taken too long since it came; the work goes
        on then, unless it has not begun.
        """
        if self._room <= 0:
            raise self._busy
        return await self._run(self._seconds - waited(), work, *given, **more)

    async def go_on(self, work: Callable[..., T], *given: Any, **more: Any) -> T:
        """The same for a part of a request that was let in already: it waits, however many others do, and has the whole
        time for itself.
        """
        return await self._run(self._seconds, work, *given, **more)

    async def _run(self, seconds: float, work: Callable[..., T], *given: Any, **more: Any) -> T:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
        self._room -= 1
        loop = asyncio.get_running_loop()
        job = self._pool.submit(work, *given, **more)

        def make_room(_: Future[T]) -> None:
            # When the thread is done, not when the client stops waiting: the deadline frees no thread.
            with suppress(RuntimeError):  # the loop is closed: the process is ending
                loop.call_soon_threadsafe(self._add_room)

        job.add_done_callback(make_room)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job), max(0.0, seconds))
        except TimeoutError:
            if not job.cancel() and job.done() and not job.cancelled():
                return job.result()  # it is the work itself that says so, or it was done this moment
            raise Problem(
                "deadline_exceeded", self._late, {"timeout_seconds": self._seconds}, ((b"retry-after", b"1"),)
            ) from None

    def close(self) -> None:
        """Let running calls end and drop those that wait."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _add_room(self) -> None:
        self._room += 1
