"""How much memory that nobody uses a process keeps."""

import os
import platform
import subprocess
import sys

import pytest

from omnikeywords.ops import keep_little_memory

# Prints by how many bytes a process has grown after it freed large blocks between which small ones stay.
GROWN = """
import os, sys
from omnikeywords.ops import keep_little_memory
if sys.argv[1] == "little":
    keep_little_memory()

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

small = []
def work():
    large = []
    for _ in range(40):
        large.append(b"x" * 3_000_000)
        small.append(b"y" * 5_000)

before = held()
for _ in range(3):
    work()
print(held() - before)
"""


def grown(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", GROWN, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library decides for itself")
def test_large_blocks_go_back_to_the_system_when_they_are_free() -> None:
    assert grown("little") < 10_000_000
    # Without it they are kept, or this would prove nothing.
    assert grown("as it is") > 20_000_000


def test_what_an_operator_chose_for_polars_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_RJEM_MALLOC_CONF", "narenas:7")
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())  # a C library without a choice
    keep_little_memory()
    assert os.environ["_RJEM_MALLOC_CONF"] == "narenas:7"
