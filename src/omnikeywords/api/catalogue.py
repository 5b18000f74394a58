"""What the endpoints of the catalogue share: the finder, the threads in which SQL waits, what callers may reach.

Nothing here touches the database before a request needs it, so that a service whose database is away still analyses.
"""

import re
import threading
import time
from typing import Any

import msgspec

from omnikeywords.api.caller import Scope
from omnikeywords.api.guard import Call, Headers, Reply
from omnikeywords.api.schemas import PARTS
from omnikeywords.api.threads import Threads
from omnikeywords.errors import NotFound, OmniKeywordsError
from omnikeywords.finder import Finder
from omnikeywords.ops import Check
from omnikeywords.settings import Settings

__all__ = [
    "DATABASE_PROBLEMS",
    "Catalogue",
    "allowed",
    "database_check",
    "json_reply",
    "part_of",
]

# Problems that every endpoint of the catalogue may have.
DATABASE_PROBLEMS = (
    "unauthorized",
    "forbidden",
    "not_found",
    "deadline_exceeded",
    "database_unavailable",
    "database_busy",
    "schema_outdated",
)

_EXPORTS = 2  # at a time, in one process
_encode = msgspec.json.Encoder().encode


class Catalogue:
    """The finder behind threads."""

    def __init__(self, finder: Finder, settings: Settings) -> None:
        self.finder = finder
        self.settings = settings
        self.seconds = settings.request_timeout_ms / 1000
        self.threads = Threads(
            "catalogue",
            settings.database_connections,
            settings.queue,
            self.seconds,
            busy="too many calls of the catalogue",
            advice="",
        )
        # An export holds its thread for as long as its client takes, so they have their own.
        self.exports = Threads("export", _EXPORTS, 0, 24 * 3600, busy="too many exports", advice="")

    def close(self) -> None:
        """Let running calls end and drop those that wait."""
        self.threads.close()
        self.exports.close()


def database_check(finder: Finder, every_seconds: float = 2.0) -> Check:
    """A check for /ready of whether the catalogue's database can be used.

    It answers at once with what a thread found out last; a look that is older than `every_seconds` begins a new one.
    """
    return _DatabaseCheck(finder, every_seconds)


class _DatabaseCheck:
    def __init__(self, finder: Finder, every_seconds: float) -> None:
        self._finder = finder
        self._every = every_seconds
        self._trouble: str | None = "not looked at yet"
        self._looked = float("-inf")
        self._looking = threading.Lock()

    def __call__(self) -> str | None:
        if time.monotonic() - self._looked > self._every and self._looking.acquire(blocking=False):
            threading.Thread(target=self._look, name="database-check", daemon=True).start()
        return self._trouble

    def _look(self) -> None:
        try:
            self._finder.catalogue.check()
        except OmniKeywordsError as error:
            self._trouble = str(error)
        except Exception as error:  # whatever it is, the database is of no use
            self._trouble = f"it cannot be used: {type(error).__name__}"
        else:
            self._trouble = None
        finally:
            self._looked = time.monotonic()
            self._looking.release()


def allowed(call: Call, scope: Scope, asked: str | None) -> str:
    """The project that a request is about, once it is clear that whoever calls may do that there."""
    project = call.caller.project(asked)  # first: of another's it is not even said what it would take
    call.caller.must(scope)
    return project


def part_of(call: Call, name: str) -> str:
    """A part of the path.

    Raises NotFound for what nothing can be called.
    """
    text = call.path[name]
    if not re.fullmatch(PARTS[name].pattern, text):
        shown = text.encode("unicode_escape").decode()[:100]
        raise NotFound(f"{PARTS[name].noun} {shown!r} does not exist", **{name: shown})
    return text


def json_reply(value: Any, status: int = 200, headers: Headers = ()) -> Reply:
    """An answer in JSON."""
    return Reply(_encode(value), status, headers=headers)
