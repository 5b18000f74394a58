"""What an import has acknowledged is found soon, by whoever searches: chunk by chunk, while the import goes on."""

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

import pytest

from omnikeywords.catalog.migrate import migrate
from omnikeywords.db import connect
from omnikeywords.settings import Settings
from tests.acceptance.test_serve import Service, serving, until
from tests.servers.postgres import postgres

CHUNK = 5_000  # rows that are acknowledged together
LIST = "keyword,volume\n" + "".join(f"number {row} shoes,{row}\n" for row in range(CHUNK + 500))
# Seconds that a search waits for what it is to find; on a quiet machine one of two is enough, see bench_fresh.py.
WAIT = 10


@pytest.fixture(params=["one service", "an indexer of its own"])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Service, Service]]:
    """Who imports, and who searches."""
    places = {
        "OKF_DATA_DIR": str(tmp_path),
        "OKF_DATABASE_URL": f"sqlite:///{tmp_path}/catalogue.sqlite3",
        "OKF_LANGUAGE_TABLE": str(Settings.load({}).language_table_path),
        "OKF_REQUEST_TIMEOUT_MS": "15000",
    }
    with ExitStack() as stack:
        if request.param == "one service":
            service = stack.enter_context(serving("--workers", "2", **places))
            yield service, service
            return
        server = stack.enter_context(postgres(15))
        owner = connect(server.url())
        migrate(owner, app_role="okf_app")
        owner.close()
        places["OKF_DATABASE_URL"] = server.app_url()
        importing = stack.enter_context(serving("--workers", "1", "--roles", "processor", **places))
        searching = stack.enter_context(serving("--workers", "2", "--roles", "search", **places))
        yield importing, searching


def begin_import(service: Service) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    try:
        connection.request("POST", "/api/v1/imports?name=list.csv", LIST, {"content-type": "text/csv"})
        answer = connection.getresponse()
        begun = json.loads(answer.read())
        assert answer.status == 202, begun
        found: str = begun["id"]
        return found
    finally:
        connection.close()


def kept(service: Service, import_id: str) -> int:
    """Rows that an import has acknowledged."""
    status, text = service.ask("GET", f"/api/v1/imports/{import_id}")
    assert status == 200, text
    return int(json.loads(text)["progress"]["rows_kept"] or 0)


def found(service: Service, query: str, **how: int) -> list[str]:
    status, text = service.ask("GET", f"/api/v1/search?{urlencode({'q': query, 'fields': 'keyword', **how})}")
    assert status == 200, text
    return [hit["keyword"] for hit in json.loads(text)["hits"]]


def test_an_acknowledged_chunk_is_found_by_who_waits_for_it(services: tuple[Service, Service]) -> None:
    importing, searching = services
    import_id = begin_import(importing)
    for last in (CHUNK - 1, CHUNK + 499):
        until(lambda: kept(importing, import_id) > last, 60)  # noqa: B023
        assert found(searching, f"number {last} shoes", wait=WAIT) == [f"number {last} shoes"]
    # And by every worker, once one of them has told how far it is: each connection may reach another.
    position = json.loads(searching.ask("GET", "/api/v1/search?q=shoes&fields=keyword")[1])["position"]
    for _ in range(8):
        assert found(searching, f"number {CHUNK + 499} shoes", index_position=position) == [
            f"number {CHUNK + 499} shoes"
        ]
