"""The settings: one table, read from the environment once, at start.

Every setting is an `OKF_` variable; `NAME_FILE` names a file that holds the value instead, as mounted
secrets do. An `OKF_` name that is not in the table is refused, so that a slip of the pen is not silently a
default. `okf settings` prints the table, and `python -m omnikeywords.settings` prints docs/settings.md.
"""

import difflib
import hashlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from omnikeywords.errors import InvalidSetting

__all__ = [
    "TABLE",
    "KeyLimit",
    "Setting",
    "SettingValue",
    "Settings",
    "available_cores",
    "available_memory",
    "default_data_dir",
    "hide_password",
    "settings_page",
]

Parser = Callable[[str], Any]  # text to value; ValueError says what is allowed


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table."""

    name: str  # as in the environment
    field: str  # of Settings
    type: str  # for people: text, path, number, list, one of a few words
    default: Callable[[], Any]
    shown_default: str  # for people; the value itself may depend on the machine
    unit: str  # "" where there is none
    help: str
    parse: Parser
    secret: bool = False  # what is shown of it must not hold its password


@dataclass(frozen=True, slots=True)
class SettingValue:
    """One setting as it stands, for printing."""

    name: str
    value: str  # "" where it is not set
    default: str
    unit: str
    help: str
    given: bool  # from the environment, not the default


class KeyLimit(NamedTuple):
    """How many requests a key may make."""

    rate: float  # a second
    burst: int  # at once
    exact: bool = False  # whether every request is counted where all replicas see it

    def __str__(self) -> str:
        return f"{self.rate:g}/{self.burst}{'/exact' if self.exact else ''}"


def available_cores() -> int:
    """The cores this process may use: its CPU affinity, and the quota of its control group if it has one."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, round(int(quota) / int(period)))
    except (OSError, ValueError):
        pass  # no control group of version 2: affinity is all there is to know
    return max(1, cores)


def available_memory() -> int:
    """The bytes of memory this process may use: the machine's, or those of its control group if that allows fewer."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = 4 << 30  # not told on this system
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            memory = min(memory, int(limit))
    except (OSError, ValueError):
        pass  # no control group of version 2
    return memory


def default_data_dir() -> Path:
    """The folder for this user's data, by the custom of the platform."""
    if sys.platform == "win32":
        parent = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        parent = Path.home() / "Library" / "Application Support"
    else:
        parent = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return parent / "omnikeywords"


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("it must not be empty")
    return text.strip()


def _path(text: str) -> Path:
    return Path(_text(text)).expanduser()


def _whole(least: int, most: int) -> Parser:
    def parse(text: str) -> int:
        try:
            number = int(text.strip().replace("_", ""))
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ValueError(f"give a whole number from {least} to {most}")
        return number

    return parse


def _one_of(*allowed: str) -> Parser:
    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in allowed:
            raise ValueError(f"use {', '.join(allowed[:-1])} or {allowed[-1]}")
        return word

    return parse


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("use on or off")


def _list(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.strip() for item in re.split(r"[,\n]", text) if item.strip()))


def _origins(text: str) -> tuple[str, ...]:
    origins = _list(text)
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
            raise ValueError(f"{origin!r} is no origin: write it as https://example.com, or * for any")
    return origins


def _servers(text: str) -> dict[str, str]:
    found = {}
    for item in _list(text):
        name, equals, url = item.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or "://" not in url:
            raise ValueError("write each as name=postgresql://user:password@host/name")
        if name in found or name == "first":
            raise ValueError(f"{name!r} is the name of another: give each its own")
        found[name] = url
    return found


def _urls(text: str) -> tuple[str, ...]:
    urls = _list(text)
    for url in urls:
        if not re.match(r"rediss?://[^/\s]", url):
            raise ValueError("write each as redis://user:password@host:6379, or rediss:// for TLS")
    if not urls:
        raise ValueError("it must not be empty")
    return urls


def _limit(text: str) -> KeyLimit | None:
    """RATE, RATE/BURST or either with /exact; 0 is none."""
    if text.strip() in ("0", "none"):
        return None
    match = re.fullmatch(r"\s*(\d{1,7}(?:\.\d{1,6})?)(?:/(\d{1,9}))?(/exact)?\s*", text)
    rate = float(match[1]) if match else 0.0
    if match is None or rate == 0 or match[2] in ("0", "00"):
        raise ValueError("write it as requests a second, as 50, or with those at once, as 50/200, or as 50/200/exact")
    return KeyLimit(rate, int(match[2]) if match[2] else max(1, round(2 * rate)), match[3] is not None)


def _limits(text: str) -> dict[str, KeyLimit | None]:
    found = {}
    for item in _list(text):
        key, equals, limit = (part.strip() for part in item.partition("="))
        if not equals or not key:
            raise ValueError("write each as KEY_ID=50/200, with the id that `okf keys list` shows")
        found[key] = _limit(limit)
    return found


def _number(name: str, default: int, least: int, most: int, unit: str, help: str, field: str | None = None) -> Setting:
    return Setting(
        name,
        field or name.removeprefix("OKF_").lower(),
        f"number, {least} to {most}",
        lambda: default,
        str(default),
        unit,
        help,
        _whole(least, most),
    )


TABLE: tuple[Setting, ...] = (
    Setting(
        "OKF_DATA_DIR",
        "data_dir",
        "path",
        default_data_dir,
        "the user data folder of the platform",
        "",
        "Folder of everything this program keeps.",
        _path,
    ),
    Setting(
        "OKF_LANGUAGE_TABLE",
        "language_table",
        "path",
        lambda: None,
        "language-VERSION.okflang in OKF_DATA_DIR",
        "",
        "The word-frequency table that `okf warm` builds.",
        _path,
    ),
    Setting(
        "OKF_DATABASE_URL",
        "database_url",
        "text",
        lambda: None,
        "catalogue.sqlite3 in OKF_DATA_DIR",
        "",
        "Database of the catalogue: sqlite:////path or postgresql://user:password@host/name.",
        _text,
        secret=True,
    ),
    Setting(
        "OKF_DATABASE_OWNER_URL",
        "database_owner_url",
        "text",
        lambda: None,
        "OKF_DATABASE_URL",
        "",
        "The same database as the role that owns its tables, for `okf migrate`; on PostgreSQL another role than the "
        "program's.",
        _text,
        secret=True,
    ),
    Setting(
        "OKF_BACKUP_DIR",
        "backup_dir",
        "path",
        lambda: None,
        "none",
        "",
        "Folder of backups: where `okf backup` puts them, and where `okf doctor` looks for the last.",
        _path,
    ),
    _number(
        "OKF_BACKUP_MAX_AGE_HOURS",
        26,
        1,
        8760,
        "hours",
        "Age of the last backup from which on `okf doctor` calls it a problem.",
    ),
    Setting(
        "OKF_DATABASE_READ_URL",
        "database_read_url",
        "text",
        lambda: None,
        "none",
        "",
        "A standby of the server of OKF_DATABASE_URL: lists, history and exports are read there if it is up to date.",
        _text,
        secret=True,
    ),
    Setting(
        "OKF_DATABASE_SERVERS",
        "database_servers",
        "list of name=URL, by comma or line",
        dict,
        "none",
        "",
        "Further PostgreSQL servers that the catalogue lies on, as `okf servers` says; the same list everywhere.",
        _servers,
        secret=True,
    ),
    Setting(
        "OKF_REGION",
        "region",
        "text",
        lambda: "default",
        "default",
        "",
        "Region of the server of OKF_DATABASE_URL, where there are servers in several.",
        _text,
    ),
    _number("OKF_DATABASE_CONNECTIONS", 5, 1, 1000, "connections", "Most database connections of one process."),
    _number("OKF_OPEN_INDEXES", 64, 1, 4096, "indexes", "Most search indexes that one process has open."),
    Setting(
        "OKF_SEARCH_SNAPSHOTS",
        "search_snapshots",
        "path",
        lambda: None,
        "",
        "",
        "Folder, shared by machines, to which search indexes are copied every ten minutes, and with which a machine "
        "without any begins.",
        _path,
    ),
    _number("OKF_STATEMENT_TIMEOUT_MS", 10_000, 10, 600_000, "ms", "Longest that one database statement may take."),
    _number("OKF_LOCK_TIMEOUT_MS", 5000, 10, 600_000, "ms", "Longest that a transaction waits for another."),
    _number("OKF_JOB_THREADS", 2, 1, 64, "jobs", "Jobs that one worker process runs at a time."),
    _number(
        "OKF_JOB_LEASE_MS",
        30_000,
        300,
        600_000,
        "ms",
        "Time after which a worker that was not heard of is taken for dead and its jobs go to another.",
    ),
    _number("OKF_JOB_POLL_MS", 500, 10, 60_000, "ms", "Longest that an idle worker waits between looks for a job."),
    _number("OKF_JOB_RETENTION_DAYS", 30, 1, 36_500, "days", "Days for which ended jobs are remembered."),
    Setting(
        "OKF_WEBHOOK_ALLOW_LOOPBACK",
        "webhook_allow_loopback",
        "on or off",
        lambda: False,
        "off",
        "",
        "Let webhooks go to this machine, by http too. For tests: never where strangers may add webhooks.",
        _switch,
    ),
    Setting(
        "OKF_BRANDS",
        "brands",
        "list, by comma or line",
        lambda: (),
        "none",
        "",
        "Names that make a keyword branded, besides those known already.",
        _list,
    ),
    Setting(
        "OKF_HOST",
        "host",
        "text",
        lambda: "127.0.0.1",
        "127.0.0.1",
        "",
        "Address `okf serve` listens on.",
        _text,
    ),
    _number("OKF_PORT", 8080, 0, 65_535, "", "Port `okf serve` listens on; 0 takes any free one."),
    Setting(
        "OKF_WORKERS",
        "workers",
        "number, 1 to 256",
        available_cores,
        "the cores this process may use",
        "processes",
        "Processes that answer requests.",
        _whole(1, 256),
    ),
    _number("OKF_BACKLOG", 1024, 128, 65_535, "connections", "Connections that may wait to be accepted."),
    _number(
        "OKF_MAX_IN_FLIGHT",
        512,
        1,
        100_000,
        "requests",
        "Requests one worker works on at a time; more are answered 503 before their body is read, all but searches and "
        "short bodies from three quarters of it on.",
    ),
    _number(
        "OKF_SHED_LAG_MS",
        1000,
        10,
        60_000,
        "ms",
        "Time that requests wait for their turn from which on, if it lasts, a growing part of them is answered 503.",
    ),
    _number(
        "OKF_THREADS",
        2,
        1,
        64,
        "threads",
        "Threads of one worker for calls of more than 50 keywords; smaller ones need none.",
    ),
    _number(
        "OKF_QUEUE",
        32,
        0,
        10_000,
        "calls",
        "Calls of more than 50 keywords that may wait for a thread; more are 503.",
    ),
    _number(
        "OKF_REQUEST_TIMEOUT_MS",
        10_000,
        10,
        600_000,
        "ms",
        "Time in which a request is to be answered, from when it came.",
    ),
    _number("OKF_MAX_BODY_BYTES", 4_194_304, 1024, 1_073_741_824, "bytes", "Longest request body."),
    _number(
        "OKF_MAX_UPLOAD_BYTES", 2_147_483_648, 1024, 1_099_511_627_776, "bytes", "Longest file that is taken to import."
    ),
    _number("OKF_ANALYZE_MAX_KEYWORDS", 1000, 1, 100_000, "keywords", "Most keywords in one call of analyze."),
    _number(
        "OKF_DRAIN_DELAY_MS",
        1000,
        0,
        600_000,
        "ms",
        "Time after SIGTERM in which /ready says no and all is still served: load balancers turn away.",
    ),
    _number(
        "OKF_DRAIN_TIMEOUT_MS",
        20_000,
        1000,
        600_000,
        "ms",
        "After that: time for requests in flight to finish before workers are killed.",
    ),
    Setting(
        "OKF_REDIS_URL",
        "redis_urls",
        "list of URLs, by comma or line",
        lambda: (),
        "none",
        "",
        "Redis or Valkey, some nodes of a cluster or one server: what processes share of caches and limits.",
        _urls,
        secret=True,
    ),
    _number(
        "OKF_REDIS_TIMEOUT_MS", 50, 1, 10_000, "ms", "Longest that anything waits for Redis; then it goes without."
    ),
    Setting(
        "OKF_RATE_LIMIT",
        "rate_limit",
        "RATE or RATE/BURST, with /exact or not",
        lambda: None,
        "none",
        "requests/s",
        "Requests a key may make a second and at once; two seconds' worth at once if not said.",
        _limit,
    ),
    Setting(
        "OKF_RATE_LIMITS",
        "rate_limits",
        "list of KEY_ID=RATE/BURST, by comma or line",
        dict,
        "none",
        "requests/s",
        "The same for single keys, by their id; none lets one off.",
        _limits,
    ),
    Setting(
        "OKF_CACHE_BYTES",
        "cache_bytes",
        "number, 0 to 1099511627776",
        lambda: min(available_memory() // 8, 1 << 30),
        "an eighth of the memory this process may use, at most 1 GiB",
        "bytes",
        "Memory for what was computed before, of all workers of a machine together; 0 keeps nothing.",
        _whole(0, 1 << 40),
    ),
    _number("OKF_KEYWORD_CACHE_SECONDS", 3600, 1, 604_800, "s", "Longest that an analysed keyword is kept."),
    _number(
        "OKF_KEYWORD_CACHE_ENTRIES",
        1_000_000,
        1,
        1_000_000_000,
        "keywords",
        "Most analysed keywords kept by one worker, if OKF_CACHE_BYTES has room; the least recently used go first.",
    ),
    _number("OKF_SEARCH_RESULTS_SECONDS", 1800, 1, 604_800, "s", "Longest that the results of a search are kept."),
    _number(
        "OKF_SEARCH_RESULTS_ENTRIES",
        500_000,
        1,
        1_000_000_000,
        "searches",
        "Most results kept by one worker, if OKF_CACHE_BYTES has room; the least often used go first.",
    ),
    _number(
        "OKF_EDGE_SECONDS",
        0,
        0,
        3600,
        "s",
        "Time for which a CDN may answer a search without asking whether it is still right; 0: it always asks.",
    ),
    _number("OKF_COMPRESS_BYTES", 1024, 1, 1_073_741_824, "bytes", "Length from which on answers are sent compressed."),
    Setting(
        "OKF_REQUIRE_KEY",
        "require_key",
        "auto or always",
        lambda: "auto",
        "auto",
        "",
        "Whether callers need an API key: auto asks for none on a loopback address until the first key is made.",
        _one_of("auto", "always"),
    ),
    Setting(
        "OKF_CORS_ORIGINS",
        "cors_origins",
        "list, by comma or line",
        lambda: (),
        "none",
        "",
        "Web origins whose pages may call the API from a browser; * for any.",
        _origins,
    ),
    Setting(
        "OKF_ACCESS_LOG",
        "access_log",
        "on or off",
        lambda: False,
        "off",
        "",
        "Log a line for every request.",
        _switch,
    ),
    Setting(
        "OKF_LOG_LEVEL",
        "log_level",
        "debug, info, warning or error",
        lambda: "info",
        "info",
        "",
        "Least severity that `okf serve` logs.",
        _one_of("debug", "info", "warning", "error"),
    ),
    Setting(
        "OKF_LOG_FORMAT",
        "log_format",
        "json or text",
        lambda: "text" if sys.stderr is not None and sys.stderr.isatty() else "json",
        "text on a terminal, else json",
        "",
        "How logs are written, to stderr.",
        _one_of("json", "text"),
    ),
    Setting(
        "OKF_CRASH_AT",
        "crash_at",
        "text",
        lambda: None,
        "none",
        "",
        "For tests: the named point, or its n-th passage as name:n, at which a process kills itself.",
        _text,
    ),
)

_BY_NAME = {setting.name: setting for setting in TABLE}
# Of the project's own checks, not of the program.
_NOT_OURS = frozenset({"OKF_EVAL_DATA"})
# Kubernetes puts these into every pod of a namespace with a Service called okf or okf-something.
_SERVICE_LINK = re.compile(
    r"OKF(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, typed; see TABLE for what each means."""

    data_dir: Path
    language_table: Path | None  # None: `language_table_path` says where
    database_url: str | None  # None: `database` says where
    database_owner_url: str | None
    backup_dir: Path | None
    backup_max_age_hours: int
    database_read_url: str | None
    database_servers: Mapping[str, str] = field(hash=False)  # name to URL
    region: str
    database_connections: int
    open_indexes: int
    search_snapshots: Path | None
    statement_timeout_ms: int
    lock_timeout_ms: int
    job_threads: int
    job_lease_ms: int
    job_poll_ms: int
    job_retention_days: int
    webhook_allow_loopback: bool
    brands: tuple[str, ...]
    host: str
    port: int
    workers: int
    backlog: int
    max_in_flight: int
    shed_lag_ms: int
    threads: int
    queue: int
    request_timeout_ms: int
    max_body_bytes: int
    max_upload_bytes: int
    analyze_max_keywords: int
    drain_delay_ms: int
    drain_timeout_ms: int
    redis_urls: tuple[str, ...]
    redis_timeout_ms: int
    rate_limit: KeyLimit | None
    rate_limits: Mapping[str, KeyLimit | None] = field(hash=False)  # by the id of the key
    cache_bytes: int
    keyword_cache_seconds: int
    keyword_cache_entries: int
    search_results_seconds: int
    search_results_entries: int
    edge_seconds: int
    compress_bytes: int
    require_key: str
    cors_origins: tuple[str, ...]
    access_log: bool
    log_level: str
    log_format: str
    crash_at: str | None
    given: frozenset[str] = frozenset()  # names that the environment set

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> "Settings":
        """Read all settings.

        Raises InvalidSetting for an unknown `OKF_` name, a value outside what is allowed, a `_FILE` that
        cannot be read, and a setting that is given both ways.
        """
        texts = dict(_texts(environ))
        values = {s.field: _parsed(s, texts[s.name]) if s.name in texts else s.default() for s in TABLE}
        return cls(**values, given=frozenset(texts))

    @property
    def language_table_path(self) -> Path:
        """Where the language table is, or would be built."""
        if self.language_table is not None:
            return self.language_table
        from omnikeywords.analysis.frequency import default_table_path

        return self.data_dir / default_table_path().name

    @property
    def database(self) -> str:
        """URL of the catalogue's database."""
        return self.database_url or f"sqlite:///{self.data_dir / 'catalogue.sqlite3'}"

    @property
    def search_folder(self) -> Path:
        """Where the search indexes of this catalogue are: beside the SQLite file, or in the data folder, those of each
        PostgreSQL database apart."""
        path = self.database.partition("?")[0]
        if path.startswith("sqlite:///"):
            return Path(path.removeprefix("sqlite:///")).with_suffix(".search")
        name = hashlib.blake2b(hide_password(self.database).encode(), digest_size=6).hexdigest()
        return self.data_dir / "search" / name

    def rows(self) -> list[SettingValue]:
        """Every setting as it stands, in the order of the table."""
        return [
            SettingValue(
                s.name,
                _shown(getattr(self, s.field), hide_password if s.secret else str),
                s.shown_default,
                s.unit,
                s.help,
                s.name in self.given,
            )
            for s in TABLE
        ]


def hide_password(url: str) -> str:
    """A URL without its password, for people and logs."""
    # Whatever a password holds, as signs that should have been written as %2F or %40, and in what is no URL too.
    url = re.sub(r"^([\w+]*:/+[^:@]*|(?![\w+]+:/)[^:@]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"(?i)([?&][a-z]*password=)[^&]*", r"\1***", url)


def _shown(value: object, shown: Callable[[str], str]) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={shown(str(item or 'none'))}" for name, item in value.items())
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple) and not isinstance(value, KeyLimit):
        return ", ".join(map(shown, value))
    return shown(str(value))


def _texts(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """The settings that the environment gives, as (name, text)."""
    texts = []
    for name, text in sorted(environ.items()):
        if not name.startswith("OKF_") or name in _NOT_OURS or _SERVICE_LINK.fullmatch(name):
            continue
        if name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(text):
            continue
        if name in _BY_NAME:
            texts.append((name, text))
            continue
        setting = _BY_NAME.get(name.removesuffix("_FILE"))
        if setting is None or not name.endswith("_FILE"):
            raise InvalidSetting(f"{name} is not a setting{_hint(name)}", setting=name)
        if setting.name in environ:
            raise InvalidSetting(f"{setting.name} and {name} are both set: keep one of them", setting=setting.name)
        try:
            texts.append((setting.name, Path(text).read_text(encoding="utf-8").strip()))
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidSetting(
                f"{name}: cannot read {text!r} ({_reason(error)}): name a readable text file",
                setting=name,
                value=text,
            ) from error
    return texts


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else (error.strerror or "error").lower()


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name.removesuffix("_FILE"), _BY_NAME, n=1, cutoff=0.7)
    return f": did you mean {near[0]}?" if near else ": `okf settings` lists those there are"


def _parsed(setting: Setting, text: str) -> Any:
    try:
        return setting.parse(text)
    except ValueError as error:
        unit = f" ({setting.unit})" if setting.unit else ""
        raise InvalidSetting(
            f"{setting.name}={text!r} cannot be used: {error}{unit}", setting=setting.name, value=text
        ) from error


_PAGE_HEAD = """# Settings

Settings are environment variables, read once, at start. `okf settings` prints how each stands.

- A value may also come from a file: `NAME_FILE` names it, as mounted secrets need. Not both.
- An `OKF_` name that is not listed here is refused with a hint, and so is a value outside what is allowed.
- The variables Kubernetes adds for a Service called `okf` are left aside.
- Options of a command (`okf serve --port 9000`) come before settings.

| setting | value | default | meaning |
|---|---|---|---|
"""


def settings_page() -> str:
    """The text of docs/settings.md."""
    lines = (f"| `{s.name}` | {s.type}{f' {s.unit}' if s.unit else ''} | {s.shown_default} | {s.help} |" for s in TABLE)
    return _PAGE_HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
