"""The guide's own clients, its Locust user, stress test and k6 script, are answered unchanged by ours and by its stack.

What each sends is written down as its library puts it on the wire; which of them is which stands beside it.
"""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from baseline.stack import Baseline
from stacks import Ours, Stack, started

KEYWORDS = ["python tutorial", "learn javascript", "docker compose", "red running shoes"]

# Library, its headers, method, path, body.
LOCUST = {
    "user-agent": "python-requests/2.32.5",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept": "*/*",
    "connection": "keep-alive",
}
AIOHTTP = {"user-agent": "Python/3.11 aiohttp/3.14.5", "accept-encoding": "gzip, deflate", "accept": "*/*"}
K6 = {"user-agent": "Grafana k6/1.1.0", "accept-encoding": "gzip"}
JSON = {"content-type": "application/json"}


def said(answer: httpx.Response) -> Any:
    """What JSON says, in whichever coding it came: httpx knows less of them than those clients."""
    coding = answer.headers.get("content-encoding")
    return json.loads(zstd.decompress(answer.content) if coding == "zstd" else answer.content)


@pytest.fixture(scope="module", params=[Ours, Baseline], ids=["ours", "baseline"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with started(request.param()) as running:
        running.load(KEYWORDS)
        yield running


@pytest.mark.parametrize(
    ("headers", "keywords", "kind"),
    [
        (LOCUST | JSON, ["javascript", "kubernetes"], "comprehensive"),
        (AIOHTTP | JSON, ["test"], None),
        (K6 | JSON, ["python", "javascript"], "comprehensive"),
    ],
    ids=["Locust", "stress test", "k6"],
)
def test_analyze(stack: Stack, headers: dict[str, str], keywords: list[str], kind: str | None) -> None:
    body = json.dumps({"keywords": keywords} | ({} if kind is None else {"analysis_type": kind}))
    answer = httpx.post(f"{stack.url}/api/v1/analyze", content=body, headers=headers)
    assert answer.status_code == 200
    assert [result["keyword"] for result in said(answer)["results"]] == keywords


@pytest.mark.parametrize(("term", "found"), [("python", 1), ("javascript", 1), ("docker", 1), ("kubernetes", 0)])
def test_search(stack: Stack, term: str, found: int) -> None:
    answer = httpx.get(f"{stack.url}/api/v1/search?q={term}", headers=LOCUST)
    assert answer.status_code == 200
    assert [hit["keyword"] for hit in said(answer)["hits"]] == [text for text in KEYWORDS if term in text]
    assert said(answer)["total"] == found


def test_health(stack: Stack) -> None:
    assert httpx.get(f"{stack.url}/health", headers=LOCUST).status_code == 200


def test_what_the_stress_test_sends_at_once_is_all_answered(stack: Stack) -> None:
    """The guide's asks for a thousand connections; its library opens a hundred, and the rest take turns."""
    limits = httpx.Limits(max_connections=100)
    with httpx.Client(limits=limits, timeout=30) as client, ThreadPoolExecutor(100) as threads:

        def one(_: int) -> int:
            url = f"{stack.url}/api/v1/analyze"
            return client.post(url, content=b'{"keywords": ["test"]}', headers=AIOHTTP | JSON).status_code

        assert set(threads.map(one, range(1000))) == {200}
