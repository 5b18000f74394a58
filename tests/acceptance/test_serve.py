"""`okf serve` as an operator runs it: real processes on a real port, started, asked, stopped."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from omnikeywords.errors import InvalidOption, LanguageTableMissing, OmniKeywordsError
from omnikeywords.service import serve
from omnikeywords.settings import Settings

OKF = Path(sys.executable).with_name("okf")
ANALYZE = "/api/v1/analyze"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """A running `okf serve`, what it said so far, and ways to ask it."""

    def __init__(self, port: int, process: "subprocess.Popen[str]") -> None:
        self.port = port
        self.process = process
        self.said: list[str] = []
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            headers = {"content-type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self, path: str) -> int:
        """0 where nobody answers."""
        try:
            return self.ask("GET", path)[0]
        except OSError:
            return 0

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(30)
        self._listening.join(5)
        return code

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said]


@contextmanager
def serving(*options: str, before: Sequence[str] = (), **environ: str) -> Iterator[Service]:
    port = free_port()
    command = [*before, str(OKF), "serve", "--port", str(port), *options]
    data = tempfile.TemporaryDirectory(prefix="okf-test-", ignore_cleanup_errors=True)
    settings = {"OKF_DRAIN_DELAY_MS": "0", "OKF_DRAIN_TIMEOUT_MS": "5000", "OKF_LOG_FORMAT": "json"}
    settings |= {"OKF_DATABASE_URL": f"sqlite:///{data.name}/catalogue.sqlite3"} | environ
    process = subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True)
    service = Service(port, process)
    try:
        until(lambda: service.status("/ready") == 200 or process.poll() is not None)
        assert process.poll() is None, service.said
        yield service
    finally:
        if process.poll() is None:
            service.stop()
        process.stderr.close()  # type: ignore[union-attr]
        data.cleanup()


def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for a condition, looking often."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come"
        time.sleep(0.02)


def refused(*options: str, exit: int, **environ: str) -> str:
    """What `okf serve` says where it cannot start, in one line: exit 1, or 2 if it was used wrongly."""
    ended = subprocess.run(
        [str(OKF), "serve", *options],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == exit, ended.stderr
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    return line


def metric(service: Service, line_start: str) -> float:
    text = service.ask("GET", "/metrics")[1]
    found = re.search(rf"^{re.escape(line_start)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving("--workers", "2") as running:
        yield running


class TestRunning:
    """Two workers, one service."""

    def test_the_guide_s_own_calls_are_answered(self, service: Service) -> None:
        status, body = service.ask(
            "POST", ANALYZE, {"keywords": ["python", "docker"], "analysis_type": "comprehensive"}
        )
        assert status == 200
        assert [result["keyword"] for result in json.loads(body)["results"]] == ["python", "docker"]
        assert service.ask("GET", "/health")[0] == 200

    def test_it_says_where_it_is_and_what_to_try(self, service: Service) -> None:
        until(lambda: service.said)
        (ready,) = [event for event in service.events() if event["event"] == "ready"]
        assert ready["url"] == f"http://127.0.0.1:{service.port}"
        assert ready["docs"] == f"http://127.0.0.1:{service.port}/docs"
        assert ready["try_this"].startswith("curl -s ")

    def test_what_it_says_to_try_works(self, service: Service) -> None:
        until(lambda: service.said)
        (ready,) = [event for event in service.events() if event["event"] == "ready"]
        ended = subprocess.run(["sh", "-c", ready["try_this"]], capture_output=True, text=True, check=False)
        if ended.returncode == 127:  # no curl on this machine: the call itself is tested above
            return
        assert len(json.loads(ended.stdout)["results"]) == 2

    def test_a_thousand_connections_at_once_are_all_answered(self, service: Service) -> None:
        def one(number: int) -> int:
            return service.ask("POST", ANALYZE, {"keywords": [f"keyword {number}"]})[0]

        with ThreadPoolExecutor(50) as crowd:
            assert set(crowd.map(one, range(1000))) == {200}

    def test_metrics_of_any_worker_are_those_of_all(self, service: Service) -> None:
        name = 'okf_keywords_analysed_total{analysis_type="basic"}'
        before = metric(service, name)
        with ThreadPoolExecutor(16) as crowd:
            calls = [{"keywords": ["a", "b"], "analysis_type": "basic"}] * 200
            assert {status for status, _ in crowd.map(lambda body: service.ask("POST", ANALYZE, body), calls)} == {200}
        # New connections reach either worker; each must tell the same.
        assert {metric(service, name) for _ in range(12)} == {before + 400}
        # The supervisor, two workers and the processor, which counts as soon as it has started.
        until(lambda: metric(service, "okf_processes") == 4)
        assert metric(service, "process_resident_memory_bytes") > 1e7

    def test_a_second_service_on_its_port_is_refused(self, service: Service) -> None:
        assert refused("--port", str(service.port), exit=1) == (
            f"okf: port {service.port} of 127.0.0.1 is in use: stop what listens there, or give another with --port"
        )

    def test_a_body_that_is_too_long_is_refused_and_the_service_lives(self, service: Service) -> None:
        status, body = service.ask("POST", ANALYZE, {"keywords": ["x" * 5_000_000]})
        assert (status, json.loads(body)["code"]) == (413, "body_too_large")
        assert service.status("/health") == 200

    def test_a_body_in_broken_chunks_is_no_error_of_ours(self, service: Service) -> None:
        head = b"POST %s HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n" % ANALYZE.encode()
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
            client.sendall(head + b"no number\r\n{}")
            assert client.recv(65536).startswith(b"HTTP/1.1 400")


def workers_of(service: Service) -> list[int]:
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    names = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children.split()}
    return [pid for pid, name in names.items() if b"resource_tracker" not in name]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for child processes in /proc")
def test_a_worker_that_dies_is_replaced_and_its_counts_stay() -> None:
    name = 'okf_keywords_analysed_total{analysis_type="comprehensive"}'
    with serving("--workers", "2") as service:
        for _ in range(20):
            service.ask("POST", ANALYZE, {"keywords": ["a"]})
        assert metric(service, name) == 20
        victim, other = workers_of(service)
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in workers_of(service) and len(workers_of(service)) == 2)
        assert other in workers_of(service)
        until(lambda: service.status("/ready") == 200)
        assert metric(service, name) == 20
        until(lambda: metric(service, "okf_processes") == 3)


def test_stopping_says_not_ready_first_and_finishes_what_was_begun() -> None:
    with serving("--workers", "1", OKF_DRAIN_DELAY_MS="700", OKF_LOG_LEVEL="info") as service:
        until(lambda: service.said)
        waiting = socket.create_connection(("127.0.0.1", service.port))
        body = b'{"keywords": ["begun before the end"]}'
        waiting.sendall(
            b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (ANALYZE.encode(), len(body))
            + body[:5]
        )
        service.process.send_signal(signal.SIGTERM)
        until(lambda: service.status("/ready") == 503)
        assert service.ask("POST", ANALYZE, {"keywords": ["still served"]})[0] == 200
        assert service.status("/health") == 200
        until(lambda: service.status("/ready") == 0)  # no new connections
        waiting.sendall(body[5:])
        answer = b""
        while part := waiting.recv(65536):
            answer += part
            if b"begun before the end" in answer:
                break
        waiting.close()
        assert answer.startswith(b"HTTP/1.1 200")
        assert service.process.wait(20) == 0
        said = [event["event"] for event in service.events() if event["logger"] == "omnikeywords.service"]
        assert said == ["ready", "draining", "stopped"]
        assert not [event for event in service.events() if event["level"] in ("warning", "error")]


def test_on_a_terminal_it_speaks_to_people_and_control_c_leaves_nothing_behind(tmp_path: Path) -> None:
    delay = {"OKF_DRAIN_DELAY_MS": "600000", "OKF_LOG_FORMAT": "text", "TMPDIR": str(tmp_path)}
    with serving("--workers", "2", **delay) as service:
        until(lambda: any("Ctrl-C" in line for line in service.said))
        assert re.fullmatch(
            rf"Omni Keywords Finder \S+ serves on http://127\.0\.0\.1:{service.port} \(2 workers\)",
            service.said[0],
        )
        assert f"http://127.0.0.1:{service.port}/docs" in service.said[1]
        assert "curl -s" in service.said[2]
        assert "okf analyze FILE" in service.said[3]
        assert list(tmp_path.glob("okf-serve-*"))
        begun = time.monotonic()
        assert service.stop(signal.SIGINT) == 0
        assert time.monotonic() - begun < 30
        assert service.status("/health") == 0
    assert list(tmp_path.glob("okf-serve-*")) == []


def test_it_ends_with_the_terminal_it_was_started_from(tmp_path: Path) -> None:
    with serving("--workers", "2", TMPDIR=str(tmp_path), OKF_DRAIN_DELAY_MS="600000") as service:
        until(lambda: service.said)
        begun = time.monotonic()
        assert service.stop(signal.SIGHUP) == 0
        assert time.monotonic() - begun < 30
        assert service.status("/health") == 0
        assert [event["event"] for event in service.events()] == ["ready", "stopped"]
    assert list(tmp_path.glob("okf-serve-*")) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for ignored signals in /proc")
def test_it_stays_where_the_terminal_is_not_to_matter() -> None:
    with serving("--workers", "1", before=("nohup",)) as service:
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        ignored = int(re.search(r"SigIgn:\s*(\w+)", status)[1], 16)  # type: ignore[index]
        assert ignored & (1 << (signal.SIGHUP - 1))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for child processes in /proc")
def test_workers_end_when_their_supervisor_is_killed() -> None:
    with serving("--workers", "2") as service:
        workers = workers_of(service)
        service.process.kill()
        service.process.wait(10)
        until(lambda: service.status("/health") == 0)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"roles": "analyser"}, InvalidOption, "role 'analyser' is unknown: use analyzer, search, processor"),
        ({"port": 70_000}, InvalidOption, "port 70000 is none: give 0 to 65535"),
        ({"port": 0, "workers": 0}, InvalidOption, "0 workers cannot serve: give 1 or more"),
        (
            {"host": "no.such.host.invalid"},
            OmniKeywordsError,
            "host 'no.such.host.invalid' is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all networks",
        ),
        (
            {"host": "192.0.2.1"},
            OmniKeywordsError,
            "host '192.0.2.1' is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all networks",
        ),
    ],
)
def test_what_cannot_be_served_is_said_at_once(
    options: dict[str, Any], kind: type[OmniKeywordsError], said: str
) -> None:
    with pytest.raises(OmniKeywordsError) as caught:
        serve(Settings.load({}), **options)
    assert type(caught.value) is kind
    assert str(caught.value) == said


def test_too_few_database_connections_for_its_jobs_are_said_at_once() -> None:
    settings = Settings.load({"OKF_JOB_THREADS": "4", "OKF_DATABASE_CONNECTIONS": "5"})
    with pytest.raises(InvalidOption, match="4 jobs at a time need 6 database connections or more, and there are 5"):
        serve(settings, port=0, workers=1)


def test_a_missing_table_is_said_at_once(tmp_path: Path) -> None:
    places = {"OKF_DATA_DIR": str(tmp_path), "OKF_LANGUAGE_TABLE": str(tmp_path / "none.okflang")}
    with pytest.raises(LanguageTableMissing, match="okf warm"):
        serve(Settings.load(places), port=0, workers=1, roles="analyzer")


def test_a_wrong_setting_is_one_line() -> None:
    said = refused(exit=2, OKF_PORT="many")
    assert said == "okf: OKF_PORT='many' cannot be used: give a whole number from 0 to 65535"


def processors_of(service: Service) -> list[int]:
    """The processes that the service started beside its workers."""
    found = []
    for children in Path(f"/proc/{service.process.pid}/task").glob("*/children"):
        for child in children.read_text().split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def told(service: Service, event: str) -> list[dict[str, Any]]:
    return [one for one in service.events() if one["event"] == event]


def test_a_processor_that_dies_is_replaced_and_none_is_left_in_the_end() -> None:
    with serving("--workers", "1") as service:
        until(lambda: told(service, "job worker started"))
        until(lambda: len(processors_of(service)) == 2)  # one for jobs, one for search indexes
        first = processors_of(service)
        for processor in first:
            os.kill(processor, signal.SIGKILL)
        until(lambda: len(processors_of(service)) == 2 and not set(first) & set(processors_of(service)))
        second = processors_of(service)
        assert service.ask("POST", ANALYZE, {"keywords": ["still here"]})[0] == 200
        assert service.stop() == 0
    assert not any(Path(f"/proc/{processor}").exists() for processor in second)


def test_a_processor_ends_when_its_service_is_killed() -> None:
    with serving("--workers", "1") as service:
        until(lambda: told(service, "job worker started"))
        until(lambda: len(processors_of(service)) == 2)
        processors = processors_of(service)
        service.process.kill()
        for processor in processors:
            until(lambda: not Path(f"/proc/{processor}").exists() or b"Z" in state_of(processor))  # noqa: B023


def state_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except FileNotFoundError:
        return b"Z"


def test_an_analyzer_alone_touches_no_database(tmp_path: Path) -> None:
    catalogue = tmp_path / "catalogue.sqlite3"
    with serving("--workers", "1", "--roles", "analyzer", OKF_DATABASE_URL=f"sqlite:///{catalogue}") as service:
        assert service.ask("POST", ANALYZE, {"keywords": ["best running shoes"]})[0] == 200
        assert processors_of(service) == []
    assert not catalogue.exists()


def test_keywords_are_analysed_while_the_database_is_away() -> None:
    away = f"postgresql://okf:secret@127.0.0.1:{free_port()}/okf"
    with serving("--workers", "1", OKF_DATABASE_URL=away) as service:
        until(lambda: told(service, "the catalogue's database cannot be used"))
        assert service.ask("POST", ANALYZE, {"keywords": ["best running shoes"]})[0] == 200
        assert not any("secret" in line for line in service.said)
