"""Uploads to `okf serve`: what was accepted outlives whoever accepted it, and a long one takes no memory."""

import http.client
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from omnikeywords.settings import Settings
from tests.acceptance.test_serve import Service, serving, until
from tests.conftest import Places

ROWS = 20_000


def upload(service: Service, content: bytes, query: str = "") -> tuple[int, str, Any]:
    """Status, Location and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        connection.request("POST", f"/api/v1/imports{query}", content)
        answer = connection.getresponse()
        return answer.status, answer.getheader("location") or "", json.loads(answer.read())
    finally:
        connection.close()


def get(service: Service, path: str) -> Any:
    return json.loads(service.ask("GET", path)[1])


def test_an_accepted_import_outlives_the_process_and_the_folder_of_whoever_accepted_it(
    places: Places, tmp_path: Path
) -> None:
    shared = {
        "OKF_DATABASE_URL": places.migrated("postgresql18").url,
        "OKF_LANGUAGE_TABLE": str(Settings.load({}).language_table_path),
        "OKF_JOB_LEASE_MS": "2000",
    }
    folder = tmp_path / "accepting"
    folder.mkdir()
    content = b"keyword,note\n" + b"".join(b"trail shoes number %d,%s\n" % (i, b"x" * 60) for i in range(ROWS))
    with serving("--workers", "1", before=("setsid",), OKF_DATA_DIR=str(folder), TMPDIR=str(folder), **shared) as first:
        status, where, begun = upload(first, content, "?project=shop")
        os.killpg(first.process.pid, signal.SIGKILL)  # the supervisor, its workers and its processor
        first.process.wait(10)
        shutil.rmtree(folder)
    assert (status, begun["state"]) == (202, "running")
    with serving("--workers", "1", OKF_DATA_DIR=str(tmp_path / "other"), **shared) as second:
        before = get(second, where)
        assert before["job_state"] != "completed"  # the first one did not get to it
        until(lambda: get(second, where)["job_state"] == "completed", 60)
        done = get(second, where)
        assert (done["state"], done["progress"]["rows_kept"], done["progress"]["rows_skipped"]) == (
            "completed",
            ROWS,
            0,
        )
        status, lines = second.ask("GET", "/api/v1/export?project=shop&format=csv")
        assert (status, len(lines.splitlines())) == (200, ROWS + 1)


def test_an_upload_of_a_hundred_megabytes_is_never_in_memory(tmp_path: Path) -> None:
    with serving("--workers", "1") as service:
        upload(service, b"keyword\nshoes\n")  # what is loaded with the first one
        before = peaks(service)
        status, _, begun = upload(service, bytes(100_000_000))
        assert (status, begun["name"]) == (202, "upload")
        grown = {pid: peak - before[pid] for pid, peak in peaks(service).items()}
        assert max(grown.values()) < 32_000_000, grown


def peaks(service: Service) -> dict[int, int]:
    """The most memory that each worker ever had, in bytes, by process id."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            command = status.with_name("cmdline").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if int(fields["PPid"]) == service.process.pid and b"multiprocessing" not in command:
            found[int(fields["Pid"])] = int(fields["VmHWM"].split()[0]) * 1024
    assert found
    return found
