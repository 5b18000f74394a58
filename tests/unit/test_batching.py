"""Calls that wait at the same moment are worked on in one go."""

import asyncio

import pytest

from omnikeywords.api.batching import Batches


def test_what_comes_in_one_turn_is_worked_on_together_and_each_gets_its_own() -> None:
    batches: list[list[int]] = []

    def double(numbers: list[int]) -> list[int]:
        batches.append(numbers)
        return [2 * number for number in numbers]

    async def main() -> list[int]:
        work = Batches(double, most=3)
        first = await asyncio.gather(*(work.run(number) for number in (1, 2, 3, 4)))
        return [*first, await work.run(5)]

    assert asyncio.run(main()) == [2, 4, 6, 8, 10]
    assert batches == [[1, 2, 3], [4], [5]]


def test_what_fails_is_told_to_all_and_those_who_come_later_are_served() -> None:
    def divide(numbers: list[int]) -> list[float]:
        return [1 / number for number in numbers]

    async def main() -> None:
        work = Batches(divide, most=8)
        failed = await asyncio.gather(work.run(0), work.run(4), return_exceptions=True)
        assert [type(error) for error in failed] == [ZeroDivisionError, ZeroDivisionError]
        assert await work.run(4) == 0.25

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
