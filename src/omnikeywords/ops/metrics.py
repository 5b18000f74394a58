"""Prometheus metrics of one process, or of all worker processes of one machine together.

A part declares what it measures at import, with `counter`, `gauge` or `histogram`. `share_metrics(folder)`,
called before any metric is declared, keeps the numbers in files of that folder, one set a process, and
`render_metrics` then adds them up: whichever worker answers /metrics speaks for all, the dead included.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = [
    "METRICS_CONTENT_TYPE",
    "counter",
    "gauge",
    "histogram",
    "render_metrics",
    "share_metrics",
]

METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the client library reads it when it is first imported

_registry: "CollectorRegistry | None" = None


def share_metrics(folder: Path) -> None:
    """Keep the metrics of this process, and of those it starts, in files of `folder`.

    Raises RuntimeError where a metric was declared already: its numbers would be this process's alone.
    """
    if _registry is not None:
        raise RuntimeError("metrics are shared between processes before the first one is declared")
    os.environ[_FOLDER] = str(folder)


def _own() -> "CollectorRegistry":
    global _registry
    if _registry is None:
        from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

        _registry = CollectorRegistry(auto_describe=True)
        if _FOLDER not in os.environ:
            ProcessCollector(registry=_registry)
            PlatformCollector(registry=_registry)
            GCCollector(registry=_registry)
    return _registry


def counter(name: str, help: str, labels: Sequence[str] = ()) -> "Counter":
    """Declare a count that only grows; its name ends with `_total`."""
    from prometheus_client import Counter

    return Counter(name, help, labels, registry=_own())


def gauge(name: str, help: str, labels: Sequence[str] = (), over_processes: str = "livesum") -> "Gauge":
    """Declare a number that goes up and down; over several processes it is their `livesum`, or `max`."""
    from prometheus_client import Gauge

    mode: Any = over_processes
    return Gauge(name, help, labels, registry=_own(), multiprocess_mode=mode)


def histogram(name: str, help: str, labels: Sequence[str], buckets: Sequence[float]) -> "Histogram":
    """Declare a distribution, counted in buckets up to each of these limits."""
    from prometheus_client import Histogram

    return Histogram(name, help, labels, registry=_own(), buckets=buckets)


def render_metrics() -> bytes:
    """All metrics in Prometheus's text format, of all processes that share them."""
    from prometheus_client import CollectorRegistry, generate_latest

    folder = os.environ.get(_FOLDER)
    if folder is None:
        return generate_latest(_own())
    from prometheus_client.multiprocess import MultiProcessCollector

    _forget_dead_processes(Path(folder))
    together = CollectorRegistry()
    MultiProcessCollector(together, path=folder)  # type: ignore[no-untyped-call]
    together.register(_Workers(Path(folder)))
    return generate_latest(together)


def _pids(folder: Path) -> set[int]:
    """The processes that have ever counted something here."""
    pids = set()
    for file in folder.glob("*.db"):
        digits = file.stem.rpartition("_")[2]
        if digits.isdigit():
            pids.add(int(digits))
    return pids


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _forget_dead_processes(folder: Path) -> None:
    """What a killed worker had in flight is gone with it; what it counted stays."""
    for pid in _pids(folder):
        if not _alive(pid):
            for file in folder.glob(f"gauge_live*_{pid}.db"):
                with suppress(FileNotFoundError):  # another worker was quicker
                    file.unlink()


class _Workers:
    """CPU time and memory of the processes together, where the system tells (Linux)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        ticks = pages = 0
        alive = [pid for pid in _pids(self._folder) if _alive(pid)]
        for pid in alive:
            with suppress(OSError):
                # After the name in parentheses: fields 14 and 15 of proc(5) are CPU time, 24 resident pages.
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
                pages += int(fields[21])
        yield GaugeMetricFamily(
            "okf_processes", "Processes of this service that are alive, its supervisor too.", len(alive)
        )
        if pages:
            yield CounterMetricFamily(
                "process_cpu_seconds",
                "CPU time of the processes of this service that are alive, in seconds.",
                ticks / os.sysconf("SC_CLK_TCK"),
            )
            yield GaugeMetricFamily(
                "process_resident_memory_bytes",
                "Resident memory of the processes of this service, in bytes; shared pages count in each.",
                pages * os.sysconf("SC_PAGE_SIZE"),
            )

    def describe(self) -> Iterable[Any]:
        return ()
