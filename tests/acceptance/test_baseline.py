"""The guide's own stack, which ours is measured against, answers as the guide says."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from baseline.stack import Baseline
from bench_mix import RATIOS, Corpus, Measured, measure
from load import Requests, get, run
from serving import fetch
from stacks import started

KEYWORDS = ["python tutorial", "learn python", "docker compose", "red running shoes"]


@pytest.fixture(scope="module")
def baseline() -> Iterator[Baseline]:
    with started(Baseline()) as stack:
        stack.load(KEYWORDS)
        yield stack


def asked(stack: Baseline, path: str, body: dict[str, Any] | None = None) -> Any:
    status, text = fetch(stack.port, path, None if body is None else json.dumps(body).encode())
    assert status == 200, text
    return json.loads(text)


def lookups(stack: Baseline, cache: str) -> dict[str, float]:
    return {result: count for (name, result), count in stack.lookups().items() if name == cache}


def test_it_is_alive(baseline: Baseline) -> None:
    assert asked(baseline, "/health") == {"status": "ok"}


def test_it_finds_what_it_holds_by_stem(baseline: Baseline) -> None:
    found = asked(baseline, "/api/v1/search?q=shoe")
    assert [hit["keyword"] for hit in found["hits"]] == ["red running shoes"]
    assert {hit["keyword"] for hit in asked(baseline, "/api/v1/search?q=python")["hits"]} == set(KEYWORDS[:2])
    assert asked(baseline, "/api/v1/search?q=kubernetes")["hits"] == []


def test_it_analyses_by_our_analysis(baseline: Baseline) -> None:
    body = {"keywords": ["buy red shoes", "how to learn python"], "analysis_type": "comprehensive"}
    results = asked(baseline, "/api/v1/analyze", body)["results"]
    assert [result["keyword"] for result in results] == ["buy red shoes", "how to learn python"]
    assert [result["intent"] for result in results] == ["transactional", "informational"]
    assert asked(baseline, "/api/v1/analyze", {"keywords": ["test"]})["results"][0]["keyword"] == "test"


def test_both_levels_of_its_cache_hit_and_are_cold_after_a_restart(baseline: Baseline) -> None:
    baseline.restart()
    assert set(lookups(baseline, "search_results").values()) == {0.0}
    run(baseline.port, Requests.repeated(get("/api/v1/search?q=docker"), 100), connections=1, seconds=60)
    run(baseline.port, Requests.repeated(get("/api/v1/search?q=docker"), 400), connections=16, seconds=60)
    counted = lookups(baseline, "search_results")
    assert counted["miss"] == 1  # one worker asked PostgreSQL, the other found it in Redis
    assert counted["redis"] <= 1
    assert counted["local"] + counted["redis"] == 499


def test_a_run_of_the_benchmark_measures_it(baseline: Baseline) -> None:
    measured = Measured()
    measure(baseline, Corpus(KEYWORDS, ["python", "docker"], ["red", "shoes", "learn", "red running"]), 1, 0, measured)
    assert set(RATIOS) <= set(measured.values)
    assert all(measured.median(name) > 0 for name in RATIOS)
    assert {name: sum(each) for name, each in measured.values.items() if name.endswith(": wrong") and sum(each)} == {}
    assert measured.median("analyze, the same 2 keywords again: found in keyword_cache") > 90  # per cent


def test_what_its_processes_took_is_known(baseline: Baseline) -> None:
    before = baseline.cpu_seconds()
    run(baseline.port, Requests.repeated(get("/health"), 2000), connections=4, seconds=60)
    assert 0 < before < baseline.cpu_seconds()
