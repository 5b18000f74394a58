"""A service whose Redis dies, hangs or forgets: every search is answered, and rightly."""

import http.client
import json
from collections.abc import Iterator

import pytest

from omnikeywords.settings import Settings
from tests.acceptance.test_serve import Service, metric, serving, until
from tests.servers.redis import RedisServers, redis_cluster

FILE = "query,clicks,impressions\nred shoes,3,90\nblue shoes,2,80\nbuy running shoes,1,70\n"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisServers]:
    with redis_cluster() as servers:
        yield servers


@pytest.fixture(scope="module")
def service(cluster: RedisServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("redis")
    places = {
        "OKF_DATA_DIR": str(folder),
        "OKF_DATABASE_URL": f"sqlite:///{folder}/catalogue.sqlite3",
        "OKF_LANGUAGE_TABLE": str(Settings.load({}).language_table_path),
    }
    with serving("--workers", "1", **places, OKF_REDIS_URL=",".join(cluster.urls)) as running:
        bring(running)
        until(lambda: json.loads(running.ask("GET", search(10))[1]).get("total") == 3, 60)
        until(lambda: metric(running, "okf_redis_up") == 1, 30)
        yield running


def bring(service: Service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    try:
        connection.request("POST", "/api/v1/imports?name=a.csv", FILE, {"content-type": "text/csv"})
        assert connection.getresponse().status == 202
    finally:
        connection.close()


def search(limit: int, more: str = "&facets=intent") -> str:
    """Three hits, however many are allowed: another question each time, with one answer."""
    return f"/api/v1/search?q=shoes&fields=keyword&limit={limit}{more}"


def answers(service: Service, numbers: range) -> set[tuple[int, str]]:
    plain = {service.ask("GET", search(number, "")) for number in numbers}
    dear = {service.ask("GET", search(number)) for number in numbers}
    assert len(plain) == 1
    return dear


@pytest.mark.parametrize("trouble", ["killed", "hanging", "forgetful"])
def test_every_search_is_answered_and_rightly(service: Service, cluster: RedisServers, trouble: str) -> None:
    (right,) = answers(service, range(10, 30))
    assert right[0] == 200
    first = cluster.primaries()[0]

    def hang() -> None:
        for node in cluster.nodes:
            node.stop_answering()

    def go_on() -> None:
        for node in cluster.nodes:
            node.go_on()

    begin, end = {
        "killed": (first.kill, first.start),
        "hanging": (hang, go_on),
        "forgetful": (cluster.flush, lambda: None),
    }[trouble]
    begin()
    try:
        assert answers(service, range(30, 90)) == {right}
    finally:
        end()
    until(cluster.healthy, 60)
    until(lambda: metric(service, "okf_redis_up") == 1, 60)
    assert answers(service, range(90, 110)) == {right}
