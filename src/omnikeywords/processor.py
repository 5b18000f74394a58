"""The processor: the process beside the HTTP workers that runs jobs and keeps the read models up with the log.

It needs nothing but the database: several of them, on several machines, share the work. Where the database is away it
waits for it, and says so; whoever answers small calls does not notice.
"""

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from omnikeywords.bulk import seldom_collected
from omnikeywords.errors import DatabaseBusy, DatabaseUnavailable, OmniKeywordsError, SchemaOutdated, UnknownEvent
from omnikeywords.finder import Finder
from omnikeywords.jobs import Saga, WorkerOptions, arm_crash_point, run_worker
from omnikeywords.ops import configure_logs, gauge, get_logger, keep_little_memory
from omnikeywords.search import Builder
from omnikeywords.settings import Settings
from omnikeywords.workflows import Workflows

__all__ = ["process", "run_processor"]

_LONGEST_PAUSE = 0.5  # seconds between looks at the log
_SNAPSHOT_SECONDS = 600.0
_INDEX_PAUSE = 0.2  # seconds between looks at what was written
_RETRY = 5.0  # seconds until a database that was away is tried again
_PARTITIONS_AHEAD = 4  # months, on PostgreSQL
_DAY = 86_400.0
_GIVES_WAY = 5  # of 19: whoever waits for an answer on the same cores goes first

_behind = gauge(
    "okf_follower_lag_events",
    "Events of the log that the read models do not hold yet, of the bucket that is furthest behind.",
    ("server",),
    over_processes="livemax",
)
_log = get_logger("omnikeywords.processor")


def process(settings: Settings, parent: int, roles: Sequence[str]) -> None:
    """What the processor's own process runs, until SIGTERM or the end of its parent."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent decides
    configure_logs(settings.log_level, settings.log_format)
    keep_little_memory()
    if hasattr(os, "nice"):
        os.nice(_GIVES_WAY)
    threading.Thread(target=_end_with_parent, args=(parent, stop), name="parent", daemon=True).start()
    with seldom_collected():
        run_processor(settings, stop, roles)


def run_processor(settings: Settings, stop: threading.Event, roles: Sequence[str] = ("search", "processor")) -> None:
    """Run jobs and follow the log until `stop` is set; then let jobs come to a checkpoint and give them back.

    With the role `search` alone it only keeps this machine's search indexes up with what others do.
    """
    finder = Finder(settings)
    arm_crash_point(settings.crash_at)
    serving: dict[str, threading.Thread] = {}
    try:
        while not stop.is_set():
            try:
                servers = finder.catalogue.fleet.databases()
            except (DatabaseUnavailable, DatabaseBusy, SchemaOutdated) as error:
                _log.warning("the catalogue's database cannot be used", reason=str(error))
                stop.wait(_RETRY)
                continue
            for server in servers:
                if server not in serving:
                    serving[server] = threading.Thread(target=_serve, args=(finder, server, stop, roles), name=server)
                    serving[server].start()
            stop.wait(_RETRY)
        for thread in serving.values():
            thread.join()
    finally:
        finder.close()


def _serve(finder: Finder, server: str, stop: threading.Event, roles: Sequence[str]) -> None:
    """Do it for one server, whatever becomes of the others."""
    workflows = finder.catalogue.fleet.workflows(server)
    with ExitStack() as stack:
        if "search" in roles:
            builder = Builder(workflows.database, finder.searches.indexes, finder.settings.search_snapshots)
            stack.callback(builder.close)
            for thread in (
                threading.Thread(target=_index, args=(builder, server, stop), name=f"index-{server}"),
                threading.Thread(target=_copy, args=(builder, stop), name=f"copy-{server}"),
            ):
                thread.start()
                stack.callback(thread.join)
        if "processor" in roles:
            _work(finder, workflows, server, stop)


def _work(finder: Finder, workflows: Workflows, server: str, stop: threading.Event) -> None:
    """Run the jobs of a server, and keep its read models up."""
    followed = threading.Thread(target=_follow, args=(workflows, server, stop), name=f"follow-{server}")
    followed.start()
    options = WorkerOptions.of(finder.settings)
    deliveries = workflows.deliveries.saga
    # In threads of its own: receivers that answer slowly, or never, are waited for by no import.
    sent = threading.Thread(
        target=_run_jobs,
        args=(workflows, server, [deliveries], stop, replace(options, listen=False)),
        name=f"deliver-{server}",
    )
    sent.start()
    _run_jobs(workflows, server, [saga for saga in workflows.sagas if saga is not deliveries], stop, options)
    sent.join()
    followed.join()


def _run_jobs(
    workflows: Workflows, server: str, sagas: Sequence[Saga], stop: threading.Event, options: WorkerOptions
) -> None:
    """Run jobs of these kinds; a worker that fails is begun again, as nobody would see that one is missing."""
    while not stop.is_set():
        try:
            run_worker(workflows.database, sagas, stop, options)
        except OmniKeywordsError as error:
            _log.error("the job worker failed", server=server, reason=str(error))
            stop.wait(_RETRY)
        except Exception as error:
            _log.error("the job worker failed", server=server, exc_info=error)
            stop.wait(_RETRY)


def _follow(workflows: Workflows, server: str, stop: threading.Event) -> None:
    """Keep the read models of a server up with its log, and what the log needs in place."""
    pause = 0.0
    next_care = 0.0
    while not stop.wait(pause):
        try:
            moved = workflows.catch_up(stop.is_set)
            _behind.labels(server).set(workflows.lag())
            pause = 0.02 if moved else min(_LONGEST_PAUSE, max(pause, 0.01) * 2)
            if time.monotonic() >= next_care:
                workflows.make_partitions(datetime.now(UTC).date(), _PARTITIONS_AHEAD)
                workflows.forget_abandoned_uploads(datetime.now(UTC) - timedelta(seconds=_DAY))
                begun = workflows.derive_outdated()
                if begun:
                    _log.info("keywords of another version are derived anew", projects=begun)
                next_care = time.monotonic() + _DAY
        except (DatabaseUnavailable, DatabaseBusy, UnknownEvent) as error:
            _log.warning("the read models cannot follow", server=server, reason=str(error))
            pause = _RETRY
        except OmniKeywordsError as error:
            _log.error("the read models cannot follow", server=server, reason=str(error))
            pause = _RETRY
        except Exception as error:  # nobody would see that this thread is missing
            _log.error("the read models cannot follow", server=server, exc_info=error)
            pause = _RETRY


def _index(builder: Builder, server: str, stop: threading.Event) -> None:
    """Keep the search indexes of a server's buckets up with its read models."""
    pause = 0.0
    while not stop.wait(pause):
        try:
            pause = 0.02 if builder.catch_up(stop.is_set) else _INDEX_PAUSE
        except OmniKeywordsError as error:
            _log.warning("the search indexes cannot follow", server=server, reason=str(error))
            pause = _RETRY
        except Exception as error:  # of the engine or of the disk; what serves goes on serving
            _log.error("the search indexes cannot follow", server=server, exc_info=error)
            pause = _RETRY


def _copy(builder: Builder, stop: threading.Event) -> None:
    """Keep the snapshots of indexes up, beside what is searched: to copy a large one takes seconds."""
    while not stop.wait(_INDEX_PAUSE):
        builder.take_snapshots(_SNAPSHOT_SECONDS)


def _end_with_parent(parent: int, stop: threading.Event) -> None:
    """A processor whose service was killed would go on with nobody to stop it."""
    while os.getppid() == parent:
        time.sleep(1)
    stop.set()
