"""Under load, what is kept is what would be computed: ten thousand answers, each compared with that of a service that
keeps nothing.
"""

import http.client
import itertools
import json
import random
import re
import threading
from pathlib import Path
from urllib.parse import quote

from omnikeywords.settings import Settings
from tests.acceptance.test_serve import Service, serving, until

ASKED = 10_000
CLIENTS = 4
WORDS = ["red", "blue", "running", "shoes", "boots", "coats", "for", "men", "cheap", "best", "buy", "rain"]
PHRASES = [" ".join(words) for words in itertools.permutations(WORDS, 2)]

Question = tuple[str, str, bytes | None]


def questions() -> list[Question]:
    made: list[Question] = []
    for number, phrase in enumerate(PHRASES):
        asked = quote(phrase)
        made.append(("GET", f"/api/v1/search?q={asked}&limit=3", None))
        made.append(("GET", f"/api/v1/search?q={quote(phrase[:-1])}&facets=intent,language&fields=keyword", None))
        made.append(("GET", f"/api/v1/suggest?q={asked[:5]}&limit={1 + number % 9}", None))
        body = {"keywords": [phrase, PHRASES[-number]], "analysis_type": "basic" if number % 2 else "comprehensive"}
        made.append(("POST", "/api/v1/analyze", json.dumps(body).encode()))
    made.append(("GET", "/api/v1/search?q=nothing%20at%20all", None))
    return made


def answer(connection: http.client.HTTPConnection, question: Question) -> tuple[int, bytes]:
    method, path, body = question
    connection.request(method, path, body, {"content-type": "application/json"})
    found = connection.getresponse()
    return found.status, found.read()


def bring(service: Service) -> None:
    rows = "".join(f"{phrase},{number}\n" for number, phrase in enumerate(PHRASES))
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    try:
        connection.request(
            "POST", "/api/v1/imports?name=a.csv", f"Keyword,Volume\n{rows}", {"content-type": "text/csv"}
        )
        assert connection.getresponse().status == 202
    finally:
        connection.close()

    def indexed() -> bool:
        found = json.loads(service.ask("GET", "/api/v1/search?wait=5&limit=1")[1])
        return bool(found.get("total") == len(PHRASES))

    until(indexed, 60)


def test_ten_thousand_answers_are_those_that_would_be_computed(tmp_path: Path) -> None:
    places = {
        "OKF_DATA_DIR": str(tmp_path),
        "OKF_DATABASE_URL": f"sqlite:///{tmp_path}/catalogue.sqlite3",
        "OKF_LANGUAGE_TABLE": str(Settings.load({}).language_table_path),
    }
    asked = questions()
    wrong: list[tuple[Question, tuple[int, bytes]]] = []
    sockets: list[int] = []
    with serving("--workers", "1", **places) as keeping:
        bring(keeping)
        with serving("--workers", "1", "--roles", "analyzer,search", **places, OKF_CACHE_BYTES="0") as plain:
            connection = http.client.HTTPConnection("127.0.0.1", plain.port, timeout=20)
            right = [answer(connection, question) for question in asked]
            connection.close()
        assert {status for status, _ in right} == {200}
        # Some are asked often, most now and then.
        weights = [1 / (1 + rank) for rank in range(len(asked))]

        def ask(seed: int) -> None:
            dice = random.Random(seed)
            order = dice.sample(range(len(asked)), len(asked))
            connection = http.client.HTTPConnection("127.0.0.1", keeping.port, timeout=20)
            connection.connect()
            assert connection.sock is not None
            sockets.append(connection.sock.getsockname()[1])
            for chosen in dice.choices(order, weights, k=ASKED // CLIENTS):
                given = answer(connection, asked[chosen])
                if given != right[chosen]:
                    wrong.append((asked[chosen], given))
            # The one connection was kept alive for all of them.
            assert connection.sock is not None
            sockets.append(connection.sock.getsockname()[1])
            connection.close()

        clients = [threading.Thread(target=ask, args=(seed,)) for seed in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert wrong[:3] == []
        assert sorted(sockets) == sorted([*set(sockets), *set(sockets)])
        assert len(sockets) == 2 * CLIENTS
        hits = re.findall(
            r'^okf_cache_requests_total{.*outcome="hit".*} (\S+)$', keeping.ask("GET", "/metrics")[1], re.M
        )
        assert sum(map(float, hits)) > ASKED / 4
