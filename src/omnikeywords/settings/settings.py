"""The settings as they stand: the environment, read against the table."""

import difflib
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnikeywords.errors import InvalidSetting
from omnikeywords.settings.table import TABLE, Setting
from omnikeywords.settings.values import KeyLimit

__all__ = ["SettingValue", "Settings", "hide_password", "settings_page"]

_BY_NAME = {setting.name: setting for setting in TABLE}
# Of the project's own checks, not of the program.
_NOT_OURS = frozenset({"OKF_EVAL_DATA"})
# Kubernetes puts these into every pod of a namespace with a Service called okf or okf-something.
_SERVICE_LINK = re.compile(
    r"OKF(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+")


@dataclass(frozen=True, slots=True)
class SettingValue:
    """One setting as it stands, for printing."""

    name: str
    value: str  # "" where it is not set
    default: str
    unit: str
    help: str
    given: bool  # from the environment, not the default


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
