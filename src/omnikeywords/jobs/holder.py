"""Names of workers, from which another worker on the same machine can tell that one is dead.

A lease must pass before a job is taken from a worker that only went silent. But a worker whose process no longer
exists on this very machine needs no waiting for: so a command that was killed goes on at once when it is given again.
Where the system does not tell enough (no /proc), nobody is taken for dead, and the lease decides.
"""

import itertools
import os
import socket
from collections.abc import Iterable
from pathlib import Path

__all__ = ["dead_holders", "holder_name"]

_PROC = Path("/proc")
_UNKNOWN = "-"
_numbers = itertools.count(1)  # a process may run several workers, one after the other


def holder_name() -> str:
    """A name for a worker of this process: machine, boot, process namespace, process id, its start, a number."""
    return f"{_place()}/{os.getpid()}/{_start_of(os.getpid()) or _UNKNOWN}/{next(_numbers)}"


def dead_holders(names: Iterable[str]) -> list[str]:
    """Those of the named workers whose process was on this machine and is no more."""
    place = _place()
    dead = []
    for name in names:
        where, pid, start = ("///" + name).rsplit("/", 3)[:3]
        if where.lstrip("/") != place or _UNKNOWN in (start, *place.split("/")):
            continue
        if pid.isdecimal() and _start_of(int(pid)) != start:
            dead.append(name)
    return dead


def _place() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()[:8]
        namespace = os.readlink(_PROC / "self/ns/pid").strip("pid:[]")
    except OSError:
        boot = namespace = _UNKNOWN
    return f"{socket.gethostname().replace('/', '_')}/{boot}/{namespace}"


def _start_of(pid: int) -> str | None:
    """When a process began, in ticks since boot; None where there is none, or only its remains."""
    try:
        # After the name in parentheses: field 3 of proc(5) is the state, field 22 the start.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]
