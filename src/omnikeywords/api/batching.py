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

    def __init__(
        self,
        work: Callable[[Sequence[Given]], Sequence[Made]],
        most: int,
        weight: Callable[[Given], int] = lambda _: 1,
    ) -> None:
        """`work` makes one thing of each that it is given, which must not depend on the others; of `most` at a time,
        counted by their `weight`, as other calls wait so long.
        """
        self._work = work
        self._most = most
        self._weight = weight
        self._waiting: list[tuple[Given, asyncio.Future[Made]]] = []
        self._weighs = 0

    async def run(self, given: Given) -> Made:
        """What is made of it. Raises what the work raises of it."""
        loop = asyncio.get_running_loop()
        weight = self._weight(given)
        if self._weighs + weight > self._most:
            self._run()
        if not self._waiting:
            # It runs after everything that is ready now, the calls that have arrived among it.
            loop.call_soon(self._run)
        future: asyncio.Future[Made] = loop.create_future()
        self._waiting.append((given, future))
        self._weighs += weight
        return await future

    def _run(self) -> None:
        waiting, self._waiting, self._weighs = self._waiting, [], 0
        if waiting:  # else they were too many to wait for their turn
            self._answer(waiting)

    def _answer(self, waiting: Sequence[tuple[Given, asyncio.Future[Made]]]) -> None:
        try:
            made = self._work([given for given, _ in waiting])
        except Exception as error:
            if len(waiting) == 1:
                ((_, future),) = waiting
                if not future.done():
                    future.set_exception(error)
                return
            for one in waiting:  # what fails for one must not fail for the others
                self._answer([one])
            return
        for (_, future), one_made in zip(waiting, made, strict=True):
            if not future.done():  # else the client has left
                future.set_result(one_made)
