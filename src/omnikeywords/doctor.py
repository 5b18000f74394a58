"""What `okf doctor` looks at: whether this machine and set-up can do the work, and what to do where not."""

import importlib.metadata
import ipaddress
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from omnikeywords import __version__
from omnikeywords.analysis.frequency import FrequencyTable
from omnikeywords.backup import last_taken
from omnikeywords.catalog.keys import KeyStore
from omnikeywords.errors import LanguageTableMissing, OmniKeywordsError, SchemaOutdated
from omnikeywords.settings import Settings, available_cores

__all__ = ["Finding", "examine"]

_GB = 1_000_000_000
_LEAST_MEMORY = 1 * _GB
_LEAST_DISK = 1 * _GB
_LEAST_MONTHS = 2  # with partitions of their own
_MOST_BEHIND = 1_000  # events
_LIBRARIES = (
    "numpy",
    "polars",
    "pyarrow",
    "litestar",
    "granian",
    "msgspec",
    "wordfreq",
    "fastexcel",
    "xlsxwriter",
    "sqlalchemy",
    "psycopg",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    fine: bool
    text: str  # how it is
    advice: str = ""  # what to do where it is not fine


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one finding after the other; nothing is changed."""
    yield Finding("program", True, f"omni-keywords-finder {__version__}")
    yield _python()
    yield _libraries()
    yield _language_table(settings)
    yield _folder("data folder", settings.data_dir)
    yield _folder("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a folder with more room")
    if settings.backup_dir is not None:
        yield _last_backup(settings.backup_dir, settings.backup_max_age_hours)
    yield _memory()
    yield Finding("cores", True, f"{available_cores()} for this process")
    yield _port(settings.host, settings.port)
    yield _keys(settings)
    yield _encoding()
    yield from _catalogue(settings)


def _python() -> Finding:
    machine = f"{platform.system()} {platform.machine()}"
    text = f"{platform.python_implementation()} {platform.python_version()} on {machine}"
    return Finding("python", sys.version_info >= (3, 11), text, "install Python 3.11 or later")


def _libraries() -> Finding:
    versions, missing = [], []
    for name in _LIBRARIES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    text = ", ".join(versions) if not missing else f"missing: {', '.join(missing)}"
    return Finding("libraries", not missing, text, "install the program again: pip install .")


def _language_table(settings: Settings) -> Finding:
    path = settings.language_table_path
    try:
        FrequencyTable.verify(path)
    except LanguageTableMissing as error:
        return Finding("language table", False, str(error), "run `okf warm`")
    return Finding("language table", True, f"{path} ({path.stat().st_size / 1e6:.0f} MB, checksums right)")


def _folder(name: str, folder: Path, advice: str = "free some, or set OKF_DATA_DIR to another folder") -> Finding:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK) or not there.is_dir():
        return Finding(name, False, f"{folder} cannot be written", advice.replace("free some, or ", ""))
    free = shutil.disk_usage(there).free
    return Finding(name, free >= _LEAST_DISK, f"{folder} ({free / _GB:.1f} GB free)", advice)


def _last_backup(folder: Path, most_hours: int) -> Finding:
    """Age of the newest backup, of SQLite or of PostgreSQL; it is not read through."""
    taken = last_taken(folder)
    if taken is None:
        return Finding("last backup", False, f"none in {folder}", "run `okf backup`, or see docs/backup.md")
    hours = (datetime.now(UTC) - taken).total_seconds() / 3600
    return Finding(
        "last backup",
        hours <= most_hours,
        f"{hours:,.1f} hours old, in {folder}",
        f"it should be at most {most_hours} (OKF_BACKUP_MAX_AGE_HOURS): see whether the timer of backups runs",
    )


def _memory() -> Finding:
    advice = "a million keywords take up to 1.5 GB: close something, or analyse less at a time"
    free = _free_memory()
    if free is None:
        return Finding("memory", True, "not told by this system")
    return Finding("memory", free >= _LEAST_MEMORY, f"{free / _GB:.1f} GB free", advice)


def _free_memory() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def _port(host: str, port: int) -> Finding:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # a port that was in use a minute ago is free, as it is for the server
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Finding(
            "port",
            False,
            f"{port} on {host}: {reason}",
            "stop what uses it (an `okf serve`?), or take another by OKF_PORT and OKF_HOST",
        )
    return Finding("port", True, f"{port} on {host} is free")


def _keys(settings: Settings) -> Finding:
    """Whether `okf serve` would find a key where it needs one."""
    store = KeyStore(settings.database)
    try:
        found = store.changes(None)
    except OmniKeywordsError as error:
        return Finding("API keys", False, f"cannot be read: {error}", "nobody is let in until they can be")
    finally:
        store.close()
    keys = found[1] if found else []
    now = datetime.now(UTC)
    number = sum(key.state(now) == "active" for key in keys)
    if number:
        return Finding("API keys", True, f"{number} of {len(keys)} can be used")
    if not keys and settings.require_key == "auto" and _is_loopback(settings.host):
        return Finding("API keys", True, f"none, and {settings.host} needs none until the first is made")
    return Finding("API keys", False, "none can be used", "make one with `okf keys create --name NAME`")


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return ipaddress.ip_address(str(found[0][4][0]).partition("%")[0]).is_loopback


def _catalogue(settings: Settings) -> Iterator[Finding]:
    """The catalogue's database; what cannot be asked of it because of what was found before is left out."""
    from omnikeywords.catalog.migrate import check
    from omnikeywords.catalog.standing import standing_of
    from omnikeywords.db import connect

    database = connect(settings.database)
    try:
        if database.dialect == "sqlite" and not Path(settings.database.removeprefix("sqlite:///")).exists():
            yield Finding("catalogue", True, f"{database.shown_url}: none yet; the first import makes it")
            return
        check(database)
        standing = standing_of(database, datetime.now(UTC).date())
    except SchemaOutdated as error:
        yield Finding("catalogue", database.dialect == "sqlite", str(error), "run `okf migrate`")
        return
    except OmniKeywordsError as error:
        yield Finding("catalogue", False, str(error), "see to the database, or set OKF_DATABASE_URL to another")
        return
    finally:
        database.close()
    yield Finding("catalogue", True, f"{database.shown_url} has the schema of this version")
    if standing.role is not None:
        said = "may see and change everything" if standing.sees_all else "is held to what the program needs"
        advice = "set OKF_DATABASE_URL to a role that does not own the tables and is no superuser: docs/database.md"
        yield Finding("database role", not standing.sees_all, f"{standing.role} {said}", advice)
    if standing.months_ahead is not None:
        text = f"{standing.months_ahead} months, this one and the next, have a partition of their own"
        advice = "run `okf serve` with the processor, which makes them, or SELECT okf_make_partitions(current_date, 4)"
        yield Finding("partitions", standing.months_ahead >= _LEAST_MONTHS, text, advice)
    text = f"{standing.behind:,} events behind the log" if standing.behind else "up with the log"
    yield Finding("read models", standing.behind <= _MOST_BEHIND, text, "run `okf serve`: its processor catches up")
    text = f"{standing.parked:,} parked" if standing.parked else "none parked"
    advice = "`okf events --parked` says why; once that is mended, `okf rebuild` takes them in"
    yield Finding("events", not standing.parked, text, advice)


def _encoding() -> Finding:
    encoding = (getattr(sys.stdout, "encoding", None) or "unknown").lower()
    return Finding(
        "terminal",
        encoding.replace("-", "") == "utf8",
        f"{encoding} text",
        "set PYTHONUTF8=1, or a UTF-8 locale",
    )
