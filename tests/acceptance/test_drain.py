"""Stopping under load: every request that was sent to the service is answered."""

import http.client
import json
import signal
import threading
from dataclasses import dataclass, field

import pytest

from tests.acceptance.test_serve import ANALYZE, Service, serving, until

CLIENTS = 16
BODY = json.dumps({"keywords": ["comprar ténis de corrida", "how to choose trail running shoes"]}).encode()


@dataclass
class Load:
    """Clients that ask all the time, each over one connection, until they are told to let go of it."""

    service: Service
    answered: int = 0
    released: int = 0
    failures: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        self.threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(60)

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=30)
        while True:
            try:
                connection.request("POST", ANALYZE, BODY, {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.failures.append(repr(error))
                return
            with self._lock:
                self.answered += 1
                if answer.status != 200:
                    self.failures.append(str(answer.status))
                if answer.getheader("connection") == "close":
                    self.released += 1
                    connection.close()
                    return


@pytest.mark.parametrize("processes", ["1", "2"])
def test_stopping_under_load_fails_no_request(processes: str) -> None:
    with serving("--workers", processes, "--roles", "analyzer", OKF_DRAIN_DELAY_MS="2000") as service:
        load = Load(service)
        load.start()
        until(lambda: load.answered > 20 * CLIENTS)
        assert load.released == 0  # connections are kept while nothing is wrong
        assert service.stop(signal.SIGTERM) == 0
        load.join()
    assert load.failures == []
    assert load.released == CLIENTS
