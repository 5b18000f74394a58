"""Calls that wait at the same moment are worked on in one go."""

import asyncio
from collections.abc import Sequence

import pytest

from omnikeywords.api.batching import Batches


def test_what_comes_in_one_turn_is_worked_on_together_and_each_gets_its_own() -> None:
    batches: list[list[int]] = []

    def double(numbers: Sequence[int]) -> list[int]:
        batches.append(list(numbers))
        return [2 * number for number in numbers]

    async def main() -> list[int]:
        work = Batches(double, most=3)
        first = await asyncio.gather(*(work.run(number) for number in (1, 2, 3, 4)))
        return [*first, await work.run(5)]

    assert asyncio.run(main()) == [2, 4, 6, 8, 10]
    assert batches == [[1, 2, 3], [4], [5]]


def test_what_weighs_more_goes_with_fewer() -> None:
    batches: list[list[str]] = []

    def shout(words: Sequence[str]) -> list[str]:
        batches.append(list(words))
        return [word.upper() for word in words]

    async def main() -> list[str]:
        work = Batches(shout, most=5, weight=len)
        return await asyncio.gather(*(work.run(word) for word in ("red", "at", "shoes", "longest")))

    assert asyncio.run(main()) == ["RED", "AT", "SHOES", "LONGEST"]
    assert batches == [["red", "at"], ["shoes"], ["longest"]]


def test_what_fails_for_one_fails_for_nobody_else() -> None:
    def divide(numbers: Sequence[int]) -> list[float]:
        return [1 / number for number in numbers]

    async def main() -> None:
        work = Batches(divide, most=8)
        failed, made = await asyncio.gather(work.run(0), work.run(4), return_exceptions=True)
        assert isinstance(failed, ZeroDivisionError)
        assert made == 0.25

    asyncio.run(main())


def test_who_leaves_takes_nothing_from_the_others() -> None:
    async def main() -> None:
        work = Batches(lambda given: given, most=8)
        leaves, stays = (asyncio.ensure_future(work.run(word)) for word in ("gone", "here"))
        await asyncio.sleep(0)
        leaves.cancel()
        assert await stays == "here"
        with pytest.raises(asyncio.CancelledError):
            await leaves

    asyncio.run(main())
