"""How many requests a key may make, counted here, counted for all, and with nobody to ask."""

import asyncio
import multiprocessing
from pathlib import Path

import pytest

from omnikeywords.api.limits import Limits, Taken
from omnikeywords.ledger import Lease, Ledger, take_tokens
from omnikeywords.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Everywhere:
    """What Redis knows of the keys; it can be away."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.paid: dict[str, float] = {}
        self.made = True
        self.silent = False
        self.calls = 0

    async def lease(self, name: str, interval: float, burst: int, wanted: int) -> Lease | None:
        self.calls += 1
        if self.silent:
            return None
        self.paid[name], lease = take_tokens(self.paid.get(name, 0.0), self.clock.now, interval, burst, wanted)
        return lease


def limits(clock: Clock, shared: Everywhere | None = None, ledger: Ledger | None = None, **environ: str) -> Limits:
    return Limits(Settings.load(environ), ledger, shared, clock)


def passed(found: Limits, key: str, requests: int) -> int:
    """How many of so many requests at once may go on."""
    return sum(allowed(found.take(key)) for _ in range(requests))


def allowed(taken: Taken | None) -> bool:
    assert taken is not None
    return taken.problem is None


class TestOneProcess:
    """GCRA, exactly."""

    def test_a_burst_goes_through_and_then_one_at_a_time(self) -> None:
        clock = Clock()
        found = limits(clock, OKF_RATE_LIMIT="10/20")
        assert passed(found, "k", 30) == 20
        clock.now += 0.1
        assert passed(found, "k", 5) == 1
        clock.now += 1
        assert passed(found, "k", 30) == 10
        clock.now += 3600
        assert passed(found, "k", 30) == 20

    def test_two_seconds_worth_at_once_if_not_said(self) -> None:
        assert passed(limits(Clock(), OKF_RATE_LIMIT="10"), "k", 50) == 20

    def test_each_key_has_its_own(self) -> None:
        found = limits(Clock(), OKF_RATE_LIMIT="1/2", OKF_RATE_LIMITS="big=100/50, free=none")
        assert (passed(found, "small", 60), passed(found, "big", 60), passed(found, "free", 60)) == (2, 50, 60)

    def test_a_key_without_a_limit_is_told_nothing(self) -> None:
        assert limits(Clock(), OKF_RATE_LIMITS="other=1").take("k") == Taken(())

    def test_answers_say_how_much_is_left_and_when_all_is_there_again(self) -> None:
        clock = Clock()
        found = limits(clock, OKF_RATE_LIMIT="10/20")
        first = found.take("k")
        assert first is not None
        assert first.headers == ((b"ratelimit-policy", b'"key";q=20;w=2'), (b"ratelimit", b'"key";r=19;t=1'))
        passed(found, "k", 18)
        last = found.take("k")
        assert last is not None
        assert last.headers[1] == (b"ratelimit", b'"key";r=0;t=2')

    def test_a_refusal_says_when_to_come_back(self) -> None:
        found = limits(Clock(), OKF_RATE_LIMIT="0.1/1")
        passed(found, "k", 1)
        refused = found.take("k")
        assert refused is not None
        assert refused.problem is not None
        assert refused.problem.status == 429
        assert refused.problem.headers == ((b"retry-after", b"10"),)
        assert refused.headers[1] == (b"ratelimit", b'"key";r=0;t=10')
        assert refused.problem.params == {"retry_after_seconds": 10}


class TestOneMachine:
    """Workers count in one table."""

    def test_together_they_allow_what_one_would(self, tmp_path: Path) -> None:
        clock = Clock()
        ledgers = [Ledger(tmp_path / "ledger", clock=clock) for _ in range(3)]
        workers = [limits(clock, ledger=ledger, OKF_RATE_LIMIT="10/20") for ledger in ledgers]
        assert sum(passed(worker, "k", 15) for worker in workers) == 20
        clock.now += 0.5
        assert sum(passed(worker, "k", 15) for worker in workers) == 5

    def test_processes_that_take_at_once_take_each_token_once(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger"
        context = multiprocessing.get_context("spawn")
        with context.Pool(3) as pool:
            taken = pool.map(_take_many, [path] * 3)
        assert sum(taken) == 500

    def test_a_place_whose_key_owes_nothing_is_another_s(self, tmp_path: Path) -> None:
        clock = Clock()
        ledger = Ledger(tmp_path / "ledger", places=1, clock=clock)
        assert ledger.take("a", 1.0, 1, 1) == (1, 0, 1.0)
        assert ledger.take("b", 1.0, 1, 1) is None
        clock.now += 1
        assert ledger.take("b", 1.0, 1, 1) == (1, 0, 1.0)


def _take_many(path: Path) -> int:
    ledger = Ledger(path)
    # A token in a million seconds: what is granted is of the burst alone.
    return sum((ledger.take("k", 1e6, 500, 1) or (0,))[0] for _ in range(1000))


class TestManyMachines:
    """Tokens leased in blocks from what all share."""

    def test_replicas_are_off_by_no_more_than_a_block_each(self) -> None:
        async def scenario() -> None:
            clock = Clock()
            everywhere = Everywhere(clock)
            replicas = [limits(clock, everywhere, OKF_RATE_LIMIT="100/200") for _ in range(4)]  # a block is 20
            through = 0
            for _ in range(1000):  # ten seconds, four times as many requests as may
                clock.now += 0.01
                for replica in replicas:
                    through += allowed(replica.take("k") or await replica.ask("k"))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            assert 200 + 1000 - 4 * 20 <= through <= 200 + 1000 + 4 * 20
            assert everywhere.calls < 800  # of 4,000 requests

        asyncio.run(scenario())

    def test_a_quiet_key_is_never_refused(self) -> None:
        async def scenario() -> int:
            clock = Clock()
            replica = limits(clock, Everywhere(clock), OKF_RATE_LIMIT="100/200")
            through = 0
            for _ in range(500):
                clock.now += 0.02
                through += allowed(replica.take("k"))
                await asyncio.sleep(0)
            return through

        assert asyncio.run(scenario()) == 500

    def test_a_burst_at_once_goes_through_whole(self) -> None:
        async def scenario() -> int:
            clock = Clock()
            replica = limits(clock, Everywhere(clock), OKF_RATE_LIMIT="1/50")
            return sum([allowed(replica.take("k") or await replica.ask("k")) for _ in range(80)])

        assert 50 <= asyncio.run(scenario()) <= 51

    def test_an_exact_limit_asks_for_every_request(self) -> None:
        async def scenario() -> tuple[int, int]:
            clock = Clock()
            everywhere = Everywhere(clock)
            replicas = [limits(clock, everywhere, OKF_RATE_LIMIT="10/7/exact") for _ in range(3)]
            through = 0
            for replica in replicas * 5:
                assert replica.take("k") is None
                through += allowed(await replica.ask("k"))
            return through, everywhere.calls

        assert asyncio.run(scenario()) == (7, 15)

    def test_where_redis_is_silent_the_machine_keeps_the_limit_by_itself(self) -> None:
        async def scenario() -> tuple[int, int]:
            clock = Clock()
            everywhere = Everywhere(clock)
            everywhere.silent = True
            leased = limits(clock, everywhere, OKF_RATE_LIMIT="10/20")
            exact = limits(clock, everywhere, OKF_RATE_LIMIT="10/20/exact")
            through = 0
            for _ in range(100):
                through += allowed(leased.take("k") or await leased.ask("k"))
                await asyncio.sleep(0)
            asked = 0
            for _ in range(100):
                assert exact.take("k") is None
                asked += allowed(await exact.ask("k"))
            return through, asked

        # A block of two: one request was let through on credit.
        assert asyncio.run(scenario()) == (21, 20)

    def test_where_redis_is_away_nothing_is_asked_of_it(self) -> None:
        clock = Clock()
        everywhere = Everywhere(clock)
        everywhere.made = False
        assert passed(limits(clock, everywhere, OKF_RATE_LIMIT="10/20/exact"), "k", 30) == 20
        assert everywhere.calls == 0


@pytest.mark.parametrize(
    ("paid", "wanted", "granted", "left"), [(0.0, 1, 1, 9), (0.0, 99, 10, 0), (1000.5, 9, 5, 0), (1001.0, 1, 0, 0)]
)
def test_gcra(paid: float, wanted: int, granted: int, left: int) -> None:
    """A bucket of 10 that gets one each tenth of a second, at 1000 s."""
    new, lease = take_tokens(paid, 1000.0, 0.1, 10, wanted)
    assert lease[:2] == (granted, left)
    assert new == pytest.approx(max(paid, 1000.0) + granted * 0.1)
    assert lease[2] == pytest.approx(new - 1000.0)
