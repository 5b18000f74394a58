"""Compiled loops: the same function with and without a folder to keep them in."""

from pathlib import Path

import numba
import numpy as np
import pytest

from omnikeywords.analysis import compiler


def count_above(values: np.ndarray, least: int) -> int:
    found = 0
    for value in values:
        if value > least:
            found += 1
    return found


def test_a_compiled_loop_gives_what_the_loop_gives() -> None:
    assert compiler.compiled(count_above)(np.array([1, 5, 7]), 4) == 2


def test_where_nothing_can_be_kept_the_process_compiles_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def njit(cache: bool = False, **options: object) -> object:
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'count_above': no locator available for file 'x.py'")
        return numba.njit(**options)

    monkeypatch.setattr(compiler, "njit", njit)
    assert compiler.compiled(count_above)(np.array([1, 5, 7]), 4) == 2
    assert asked == [True, False]


def test_division_by_zero_is_that_of_numpy() -> None:
    @compiler.compiled
    def divide(a: float, b: float) -> float:
        return a / b

    assert divide(1.0, 0.0) == np.inf


def test_who_waits_is_told_once_that_a_loop_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))  # nothing was kept by an earlier run
    told: list[str] = []
    loop = compiler.compiled(count_above)
    with compiler.told_of_compiling(lambda: told.append("compiling")):
        loop(np.array([1, 5, 7]), 4)
        loop(np.array([1.5, 5.5]), 4)
    assert told == ["compiling"]
    # One that was compiled before is taken from the disk.
    again = compiler.compiled(count_above)
    with compiler.told_of_compiling(lambda: told.append("again")):
        assert again(np.array([1, 5, 7]), 4) == 2
    assert told == ["compiling"]
