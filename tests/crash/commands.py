"""Runs commands and processors in processes of their own, so that they may be killed: one parent that forks, loaded
once and told line by line.

    {"args": [...]}                  a command of `okf`; answers how it ended
    {"process": true}                a processor, until no job is left to run
    {..., "kill_after": seconds}     which is killed by SIGKILL when so long has passed
    {..., "settings": {...}}         with these settings, as OKF_CRASH_AT
    {..., "stderr": path}            what it says goes to a file
    {..., "most_pages": n}           on an SQLite database that may not grow beyond so many pages

A chunk is small here, so that a small file has many.
"""

import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, event

from omnikeywords import cli, cli_imports, workflows
from omnikeywords.analysis import Options, analyse
from omnikeywords.finder import Finder
from omnikeywords.ops import configure_logs
from omnikeywords.processor import run_processor
from omnikeywords.settings import Settings

CHUNK = 500


def _run(asked: Mapping[str, Any]) -> int:
    os.environ.update(asked.get("settings", {}))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if "stderr" in asked:
        os.dup2(os.open(asked["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    if "most_pages" in asked:
        event.listen(
            Engine, "connect", lambda made, record: made.execute(f"PRAGMA max_page_count={asked['most_pages']}")
        )
    workflows.CHUNK = CHUNK
    if "args" in asked:
        return cli.run(asked["args"])
    configure_logs("error", "json")
    stop = threading.Event()
    threading.Thread(target=_stop_when_done, args=(stop,), daemon=True).start()
    run_processor(Settings.load(os.environ), stop)
    return 0


def _stop_when_done(stop: threading.Event) -> None:
    finder = Finder(Settings.load(os.environ))
    while any(not job.state.ended for job in finder.jobs.newest()):
        time.sleep(0.02)
    stop.set()


def _fork(asked: Mapping[str, Any]) -> int:
    """Let a child do it; returns how it ended (negative: the signal)."""
    ended_read, ended_write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ended_read)
        code = 1
        try:
            code = _run(asked)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        except Exception:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(ended_write)
    # Its end of the pipe is closed when it ends, whatever becomes of it.
    if not select.select([ended_read], [], [], asked.get("kill_after", 120))[0]:
        os.kill(pid, signal.SIGKILL)
    os.close(ended_read)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    assert cli_imports.app is not None  # its commands are known before the first fork
    analyse(["loaded before the first fork"], Options()).with_near_duplicates()
    for line in sys.stdin:
        began = time.monotonic()
        code = _fork(json.loads(line))
        print(json.dumps([code, time.monotonic() - began]), flush=True)
