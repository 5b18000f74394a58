"""Calls that wait at the same moment, worked on in one go: most of the work is the same for one and for many."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Batches"]

Given = TypeVar("Given")
Made = TypeVar("Made")


class Batches(Generic[Given, Made]):
    """Work on the event loop, of all that is given in one turn of it together.

    A call that is alone waits for nobody: its work is done once those that were ready with it have given theirs.
    """

    def __init__(self, work: Callable[[list[Given]], Sequence[Made]], most: int) -> None:
        """`work` makes one thing of each that it is given, of `most` at a time: other calls wait so long."""
        self._work = work
        self._most = most
        self._waiting: list[tuple[Given, asyncio.Future[Made]]] = []

    async def run(self, given: Given) -> Made:
        """What is made of it. Raises what the work raises, of whichever of those that were worked on together."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._run)
        future: asyncio.Future[Made] = loop.create_future()
        self._waiting.append((given, future))
        if len(self._waiting) == self._most:
            self._run()
        return await future

    def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:  # there were so many that they did not wait for the turn
            return
        try:
            made = self._work([given for given, _ in waiting])
        except Exception as error:
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), one in zip(waiting, made, strict=True):
            if not future.done():  # the client has left
                future.set_result(one)
