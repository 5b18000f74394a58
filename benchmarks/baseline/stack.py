"""The guide's stack as a thing that can be measured: PostgreSQL, Redis and two workers, started and filled."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg
from serving import await_answer, cpu_seconds, end, fetch, free_port, samples
from stacks import WORKERS

from tests.servers.postgres import postgres
from tests.servers.redis import redis_server

__all__ = ["Baseline"]

HERE = Path(__file__).parent
SCHEMA = HERE / "schema.sql"

# Lines 383-398 and 747-755 of the guide; what is not among them is as a server is by default.
POSTGRES = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "4MB",
    "maintenance_work_mem": "64MB",
    "checkpoint_completion_target": "0.9",
    "wal_buffers": "16MB",
    "default_statistics_target": "100",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "200",
    "min_wal_size": "1GB",
    "max_wal_size": "4GB",
    "max_worker_processes": "8",
    "max_parallel_workers_per_gather": "4",
    "max_parallel_workers": "8",
    "max_parallel_maintenance_workers": "4",
    "fsync": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
}
# Lines 431-435.
REDIS = {
    "maxmemory": "8gb",
    "maxmemory-policy": "allkeys-lru",
    "save": "900 1 300 10 60 10000",
    "appendonly": "yes",
    "appendfsync": "everysec",
}
LOADED_ON = "2024-07-01"  # within the guide's only partition


class Baseline:
    """FastAPI on two uvloop workers before PostgreSQL and Redis."""

    name = "baseline"

    def __init__(self) -> None:
        self.port = 0
        self._kept = ExitStack()
        self._roots: list[int] = []  # process numbers
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._database = self._kept.enter_context(postgres(settings=POSTGRES))
        (self._redis,) = self._kept.enter_context(redis_server()).nodes
        with self._redis.client() as client:
            for name, value in REDIS.items():
                client.config_set(name, value)
        assert self._database.process is not None
        assert self._redis.process is not None
        self._roots = [self._database.process.pid, self._redis.process.pid]
        with psycopg.connect(self._database.url(), autocommit=True) as connection:
            connection.execute(SCHEMA.read_text(encoding="utf-8"))
        self.port = free_port()
        self._serve()

    def load(self, keywords: Sequence[str]) -> None:
        with psycopg.connect(self._database.url(), autocommit=True) as connection:
            with connection.cursor().copy("COPY keywords (id, keyword, region, created_at) FROM STDIN") as copy:
                for number, keyword in enumerate(keywords):
                    copy.write_row((number, keyword[:255], "BR", LOADED_ON))
            connection.execute("VACUUM ANALYZE keywords")
        with psycopg.connect(self._database.admin_url(), autocommit=True) as connection:
            connection.execute("CHECKPOINT")  # or the disk would still be busy when something is measured

    def restart(self) -> None:
        self._end()
        with self._redis.client() as client:
            client.flushall()
        self._serve()

    def stop(self) -> None:
        self._end()
        self._kept.close()

    def cpu_seconds(self) -> float:
        assert self._process is not None
        return cpu_seconds(self._process.pid, *self._roots)

    def lookups(self) -> Mapping[tuple[str, ...], float]:
        return samples(fetch(self.port, "/metrics")[1], "cache_requests_total")

    def _serve(self) -> None:
        self._counters = tempfile.TemporaryDirectory(prefix="okf-bench-")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "baseline.app:app", "--app-dir", str(HERE.parent)),
                *("--host", "127.0.0.1", "--port", str(self.port), "--workers", str(WORKERS)),
                *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
            ],
            env={
                **os.environ,
                "BASELINE_DATABASE_URL": self._database.url(),
                "BASELINE_REDIS_PORT": str(self._redis.port),
                "PROMETHEUS_MULTIPROC_DIR": self._counters.name,
            },
        )
        await_answer(self.port, "/health", self._process, 180)

    def _end(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None
            self._counters.cleanup()
