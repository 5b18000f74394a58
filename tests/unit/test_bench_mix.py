"""What the benchmark of the mix makes of counters and runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from bench_mix import RATIOS, Measured, figures, hit_rates
from serving import cpu_seconds, samples

SCRAPE = """# HELP okf_cache_requests_total Look-ups of a cache.
# TYPE okf_cache_requests_total counter
okf_cache_requests_total{cache="search_results",result="hit"} 30.0
okf_cache_requests_total{cache="search_results",result="miss"} 10.0
okf_cache_requests_total_more{cache="search_results",result="miss"} 7.0
process_cpu_seconds_total 1.5
"""


def test_samples_are_read_from_a_scrape() -> None:
    assert samples(SCRAPE, "okf_cache_requests_total") == {
        ("search_results", "hit"): 30,
        ("search_results", "miss"): 10,
    }
    assert samples(SCRAPE, "process_cpu_seconds_total") == {(): 1.5}
    assert samples(SCRAPE, "nothing") == {}


def test_a_hit_rate_is_that_of_the_time_between() -> None:
    before = {("a", "hit"): 10.0, ("a", "miss"): 10.0, ("b", "hit"): 5.0}
    after = {("a", "hit"): 16.0, ("a", "stale"): 2.0, ("a", "miss"): 11.0, ("a", "error"): 1.0, ("b", "hit"): 5.0}
    assert hit_rates(before, after, least=0) == {"a": pytest.approx(0.8)}
    assert hit_rates(before, after, least=10) == {}


def test_figures_are_medians_with_their_spread_and_ratios_of_medians() -> None:
    ours, baseline = Measured(), Measured()
    for value in (14_000.0, 20_000.0, 16_000.0):
        ours.add("mix", value, "requests/s")
    for value in (400.0, 500.0, 300.0):
        baseline.add("mix", value, "requests/s")
    for wrong in (0, 2, 0):
        ours.add("mix: wrong", wrong, "requests")
    for name in set(RATIOS) - {"mix"}:
        ours.add(name, 3)
        baseline.add(name, 2)
    found = {figure.name: figure for figure in figures({"baseline": baseline, "ours": ours}, 3)}
    assert found["ours: mix"].value == 16_000
    assert found["ours: mix"].reached
    assert found["ours: mix"].note == "1.4e+04 to 2e+04 in 3 runs"
    assert found["baseline: mix"].value == 400
    assert found["ours to baseline: mix"].value == 40
    assert found["ours: mix: wrong"].value == 2  # a median would hide it
    assert not found["ours: mix: wrong"].reached
    assert found["ours to baseline: search, the same again"].value == 1.5


def test_cpu_time_is_that_of_a_process_and_all_below_it() -> None:
    busy = "import time\nwhile time.process_time() < 0.5: pass\n"
    script = (
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])\nprint('done', flush=True)\ninput()"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"done\n"
        assert 0.4 <= cpu_seconds(parent.pid) < 5
        assert cpu_seconds(parent.pid) <= cpu_seconds(os.getpid())
    finally:
        parent.communicate(b"\n", timeout=10)
