"""When a server is left alone, and who tries whether it is back."""

from omnikeywords.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock) -> Breaker:
    """Opens at 3 failures within 10 s, for 1, 2, 4, at most 5 s."""
    return Breaker(failures=3, within=10, first_wait=1, longest_wait=5, clock=clock, spread=lambda: 0.5)


def opened(clock: Clock) -> Breaker:
    found = breaker(clock)
    for _ in range(3):
        found.failed()
    return found


def test_it_opens_at_so_many_failures_whatever_went_well_between_them() -> None:
    found = breaker(Clock())
    for _ in range(2):
        found.failed()
        found.succeeded()
    assert found.closed
    assert found.allows()
    found.failed()
    assert not found.closed
    assert not found.allows()


def test_failures_of_long_ago_do_not_count() -> None:
    clock = Clock()
    found = breaker(clock)
    for _ in range(6):
        found.failed()
        clock.now += 6
    assert found.closed


def test_one_call_alone_tries_whether_it_is_back() -> None:
    clock = Clock()
    found = opened(clock)
    clock.now += 0.9
    assert not found.allows()
    clock.now += 0.2
    assert [found.allows() for _ in range(3)] == [True, False, False]
    found.succeeded()
    assert found.closed
    assert found.allows()


def test_the_wait_doubles_with_each_failed_try_up_to_a_bound_and_begins_anew_after_one_that_went_well() -> None:
    clock = Clock()
    found = opened(clock)
    waits = []
    for _ in range(4):
        waits.append(found.seconds_left)
        clock.now += found.seconds_left
        assert found.allows()
        found.failed()
    assert waits == [1, 2, 4, 5]
    clock.now += 5
    assert found.allows()
    found.succeeded()
    for _ in range(3):
        found.failed()
    assert found.seconds_left == 1


def test_processes_do_not_all_come_back_at_once() -> None:
    clock = Clock()
    early = Breaker(failures=1, first_wait=4, clock=clock, spread=lambda: 0.0)
    late = Breaker(failures=1, first_wait=4, clock=clock, spread=lambda: 1.0)
    early.failed()
    late.failed()
    assert (early.seconds_left, late.seconds_left) == (3, 5)


def test_it_can_be_opened_at_once() -> None:
    clock = Clock()
    found = breaker(clock)
    found.trip()
    assert not found.allows()
    assert found.seconds_left == 1
