"""`okf serve`: puts the parts together, starts them, and stops them so that no accepted request is lost.

start   settings and roles are checked, the port is tried, the keys are read, the language table is opened: what is
        wrong is one line and exit 1. Then a folder for what workers share, the processor, the workers, and word to
        the terminal once /ready says yes.
stop    SIGTERM: /ready says no for OKF_DRAIN_DELAY_MS while everything is still served; then workers take
        no new connections and end what is in flight, within OKF_DRAIN_TIMEOUT_MS; the processor gives its
        jobs back. SIGINT, SIGHUP (the terminal was closed) or a second signal goes without the delay.
"""

import contextlib
import errno
import functools
import http.client
import ipaddress
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from omnikeywords import __version__
from omnikeywords.errors import InvalidOption, OmniKeywordsError
from omnikeywords.in_use import InUse
from omnikeywords.ops import Health, SharedFlag, configure_logs, get_logger, server_log_config, share_metrics
from omnikeywords.settings import Settings

if TYPE_CHECKING:
    from omnikeywords.api.keyring import Keyring

__all__ = ["ROLES", "serve"]

# analyzer: /api/v1/analyze, which touches no disk and keeps nothing; search: what is found in search indexes, and these
# kept up; processor: the catalogue, its jobs and read models
ROLES = ("analyzer", "search", "processor")
# Those that have a process of their own beside the HTTP workers: what is imported is to be found soon, so an index does
# not wait for the turn of the interpreter that reads and analyses.
_BESIDE = ("search", "processor")

_CONNECTIONS = 16_384  # of one worker, idle ones included; requests are limited by the guard
_DRAINING = "draining"  # the file of the flag, in the folder that workers share
_LEDGER = "ledger"  # likewise: what the keys spent
_KEYED = "keyed"  # likewise: there is, or was, an API key


def serve(
    settings: Settings,
    *,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    roles: str | None = None,
    program: str = "okf",
) -> None:
    """Serve until a signal says stop; options that are None come from the settings.

    `roles` are names by comma; None is all of them. `program` is how it was called, for what to try next.

    Raises InvalidOption for an unknown role or a number that cannot be, LanguageTableMissing, OmniKeywordsError
    for an address that is not of this machine or a port in use, and for an address that others reach where there is
    no API key; DatabaseBusy while a backup is restored. Exits with 1 where workers keep dying.
    """
    chosen = _roles(roles)
    where = _reserve(settings.host if host is None else host, settings.port if port is None else port)
    number = settings.workers if workers is None else workers
    if number < 1:
        raise InvalidOption(f"{number} workers cannot serve: give 1 or more", workers=number)
    told = _signals_from_here()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="okf-serve-")))
        beside = [role for role in chosen if role in _BESIDE]
        if "processor" in chosen:
            from omnikeywords.jobs import WorkerOptions

            WorkerOptions.of(settings).check(settings.database_connections)
        if number > 1 or beside:
            share_metrics(folder)
        configure_logs(settings.log_level, settings.log_format)
        stack.enter_context(_catalogue_in_use(settings))
        local = where.is_loopback and settings.require_key == "auto"
        _check_keys(settings, folder, local, where, program)
        # Before the workers split off, so that they start at once and share the memory.
        _application(settings, folder, chosen, local)
        server = _Server(settings, where, number, SharedFlag(folder / _DRAINING), program, told)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_die_of_signals)
        with _Processors(settings, beside):
            server.serve(target_loader=functools.partial(_worker, settings, folder, chosen, local), wrap_loader=False)


def _signals_from_here() -> list[int]:
    """The signals to end that come from now on, as they come, until the server has handlers of its own.

    They raise too, but what is raised in the callback of a library may end there.
    """
    told: list[int] = []

    def noting(before: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], object]:
        def note(number: int, frame: FrameType | None) -> object:
            told.append(number)
            return before(number, frame)

        return note

    for number in (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        before = signal.getsignal(number)
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(number, noting(before))
    return told


@contextlib.contextmanager
def _catalogue_in_use(settings: Settings) -> Iterator[None]:
    """No backup is restored under a service, not even before a process of it first needs the catalogue."""
    from omnikeywords.db import connect

    path = connect(settings.database).path
    in_use = InUse(path) if path is not None else None
    if in_use is not None:
        in_use.begin()
    try:
        yield
    finally:
        if in_use is not None:
            in_use.end()


def _roles(given: str | None) -> tuple[str, ...]:
    roles = ROLES if given is None else tuple(role.strip() for role in given.split(","))
    for role in roles:
        if role not in ROLES:
            raise InvalidOption(f"role {role!r} is unknown: use {', '.join(ROLES)}", role=role, allowed=list(ROLES))
    return roles


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def _reserve(host: str, port: int) -> _Address:
    """The address to listen on, port 0 resolved.

    The server lets processes share a port, so a second service would be heard as the first: refused here.
    """
    if not 0 <= port <= 65_535:
        raise InvalidOption(f"port {port} is none: give 0 to 65535", port=port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
            bound = probe.getsockname()
    except PermissionError as error:
        raise OmniKeywordsError(
            f"port {port} is not allowed to this user: give one from 1024 on, as --port 8080", port=port
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OmniKeywordsError(
                f"port {port} of {host} is in use: stop what listens there, or give another with --port",
                host=host,
                port=port,
            ) from error
        raise OmniKeywordsError(
            f"host {host!r} is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all networks",
            host=host,
        ) from error
    return _Address(bound[0], bound[1])


@functools.cache
def _keyring(settings: Settings, folder: Path, local: bool) -> "Keyring":
    """Whom to let in, as of now; each worker follows it from there."""
    from omnikeywords.api.keyring import Keyring
    from omnikeywords.catalog.keys import KeyStore

    keyring = Keyring(
        KeyStore(settings.database), local=local, keyed=SharedFlag(folder / _KEYED), origins=settings.cors_origins
    )
    keyring.look()
    keyring.release()
    return keyring


def _check_keys(settings: Settings, folder: Path, local: bool, where: _Address, program: str) -> None:
    """Refuse an address that others reach where nobody could be told from anybody.

    While the database is away that is not known: the service starts, and lets nobody in until it is.
    """
    keyring = _keyring(settings, folder, local)
    if local or keyring.trouble is not None or keyring.usable:
        return
    how = f"make one with `{program} keys create --name NAME`"
    if where.is_loopback:
        get_logger("omnikeywords.service").warning("no key works, so nobody is let in", advice=how)
        return
    raise OmniKeywordsError(
        f"host {where.host} can be reached from elsewhere and there is no API key: {how}, or listen on 127.0.0.1",
        host=where.host,
    )


@functools.cache
def _application(settings: Settings, folder: Path, roles: tuple[str, ...], local: bool) -> Any:
    """The application and all that answering needs, in memory; made once, before workers split off."""
    from omnikeywords.analysis import MODEL_VERSION, load_models
    from omnikeywords.api import Catalogue, Search, create_app, database_check
    from omnikeywords.finder import Finder
    from omnikeywords.ledger import Ledger

    finder = Finder(settings)
    load_models(finder.options())

    def warm() -> None:
        finder.analyse(["how to choose trail running shoes", "comprar ténis de corrida"])

    checks = Health(SharedFlag(folder / _DRAINING))
    if "analyzer" not in roles:
        # Who serves analyze too goes on with that while the database is away.
        checks.register("database", database_check(finder))
    return create_app(
        finder,
        settings,
        version=__version__,
        model_version=MODEL_VERSION,
        warm=warm,
        checks=checks,
        keys=_keyring(settings, folder, local),
        catalogue=Catalogue(finder, settings) if "processor" in roles else None,
        ledger=Ledger(folder / _LEDGER) if settings.rate_limit or settings.rate_limits else None,
        search=Search(finder, settings) if "search" in roles else None,
    )


def _worker(settings: Settings, folder: Path, roles: tuple[str, ...], local: bool) -> Any:
    """What a worker calls in its own process to get the application."""
    configure_logs(settings.log_level, settings.log_format)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), name="parent", daemon=True).start()
    return _application(settings, folder, roles, local)


def _die_of_signals() -> None:
    """Until a worker has its own handlers: those it was split off with would note a signal and go on."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it comes to the supervisor too, which decides


def _end_with_parent(parent: int) -> None:
    """A worker whose supervisor was killed would go on serving, and hold the port, with nobody to stop it."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


class _Processors:
    """Keeps a processor running for each role, in processes of their own, and stops them in the end."""

    def __init__(self, settings: Settings, roles: Sequence[str]) -> None:
        self._settings = settings
        self._ending = threading.Event()
        self._running: dict[str, SpawnProcess] = {}
        self._threads = [
            threading.Thread(target=self._keep, args=(role,), name=f"keep-{role}", daemon=True) for role in roles
        ]

    def __enter__(self) -> Self:
        """Start them, and another one whenever one dies."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let them come to a checkpoint, for as long as the settings say, then end them; jobs go on elsewhere."""
        self._ending.set()
        until = time.monotonic() + self._settings.drain_timeout_ms / 1000
        running = list(self._running.values())
        for process in running:
            process.terminate()
        for process in running:
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _keep(self, role: str) -> None:
        spawn = multiprocessing.get_context("spawn")  # not split off: the service has threads
        while not self._ending.is_set():
            process = spawn.Process(target=_process, args=(self._settings, os.getpid(), [role]), name=f"okf-{role}")
            process.start()
            self._running[role] = process
            process.join()
            if not self._ending.is_set():
                get_logger("omnikeywords.service").error("a processor ended", role=role, code=process.exitcode)
                self._ending.wait(1)


def _process(settings: Settings, parent: int, roles: Sequence[str]) -> None:
    """What the processor's own process runs."""
    # Imported there alone: what it measures must not be declared here before the numbers are shared.
    from omnikeywords.processor import process

    process(settings, parent, roles)


class _Server(MPServer):
    """The server, draining before it stops and saying when it is ready."""

    def __init__(
        self, settings: Settings, where: _Address, workers: int, draining: SharedFlag, program: str, told: Sequence[int]
    ) -> None:
        super().__init__(
            "omnikeywords.service",
            address=where.host,
            port=where.port,
            interface=Interfaces.ASGI,
            workers=workers,
            loop=Loops.auto,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=settings.request_timeout_ms),
            websockets=False,
            backlog=settings.backlog,
            backpressure=_CONNECTIONS,
            log_level=LogLevels.warning if settings.log_level != "error" else LogLevels.error,
            log_dictconfig=server_log_config(settings.log_level, settings.log_format),
            log_access=False,
            respawn_failed_workers=True,
            respawn_interval=0.1,
            workers_kill_timeout=max(1, settings.drain_timeout_ms // 1000),
        )
        self._where = where
        self._draining = draining
        self._program = program
        self._told = told
        self._delay = settings.drain_delay_ms / 1000
        self._text = settings.log_format == "text"
        self._signal = 0
        self._hurry = threading.Event()
        self._log = get_logger("omnikeywords.service")

    def signal_handler_interrupt(self, signum: int = 0, *rest: object) -> None:
        if self._signal:
            self._hurry.set()
        self._signal = signum
        super().signal_handler_interrupt(signum, *rest)  # type: ignore[no-untyped-call]

    def signal_handler_reload(self, signum: int = 0, *rest: object) -> None:
        # The server would start new workers, and nobody could see or stop it any more.
        self.signal_handler_interrupt(signum, *rest)

    def startup(self, *given: object) -> None:
        meant_to_stay = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nohup
        super().startup(*given)  # type: ignore[no-untyped-call]
        if meant_to_stay:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if self._told:
            self.signal_handler_interrupt(self._told[0])
        threading.Thread(target=self._announce, name="announce", daemon=True).start()

    def shutdown(self, exit_code: int = 0) -> None:
        self._draining.set()
        if self._signal == signal.SIGTERM and self._delay:
            self._log.info("draining", seconds=self._delay)
            self._hurry.wait(self._delay)
        threading.Thread(target=self._insist, name="insist", daemon=True).start()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]
        self._log.info("stopped")

    def _insist(self) -> None:
        """Say it again: the event loop of a worker loses a signal that comes just before it runs."""
        while self.wrks:
            time.sleep(1)
            for worker in list(self.wrks):
                worker.terminate()  # type: ignore[no-untyped-call]

    def _announce(self) -> None:
        """Wait until a worker says that it is ready, and tell."""
        while not self._is_ready():
            if self.interrupt_signal or self._hurry.wait(0.05):
                return
        url = self._where.url
        call = (
            f"curl -s {url}/api/v1/analyze -H 'content-type: application/json' "
            """-d '{"keywords": ["comprar ténis de corrida", "how to choose trail running shoes"]}'"""
        )
        if not self._text:
            self._log.info(
                "ready", url=url, docs=f"{url}/docs", try_this=call, workers=self.workers, version=__version__
            )
            return
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        lines: Iterable[str] = (
            f"Omni Keywords Finder {__version__} serves on {url} ({workers})",
            f"  read and try the API   {url}/docs",
            f"  a first call           {call}",
            f"  a file of your own     {self._program} analyze FILE",
            "  stop                   Ctrl-C",
        )
        print(*lines, sep="\n", file=sys.stderr, flush=True)

    def _is_ready(self) -> bool:
        host, _, port = self._where.url.removeprefix("http://").rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=2)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
