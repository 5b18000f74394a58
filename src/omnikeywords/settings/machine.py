"""What defaults depend on: the cores and the memory that this process may use, and the user's folder."""

import os
import sys
from pathlib import Path

__all__ = ["available_cores", "available_memory", "default_data_dir"]


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
