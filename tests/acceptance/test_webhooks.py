"""Webhooks as an operator uses them: made on the command line, sent by the processor, given up, sent again."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from omnikeywords.cli import run
from omnikeywords.cli_output import load_settings
from omnikeywords.processor import run_processor
from tests.acceptance.test_serve import until
from tests.servers.receiver import Receiver, receiver

DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"

Okf = Callable[..., str]


@pytest.fixture
def okf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Okf:
    """Runs a command that ends well on a catalogue of its own; returns what it printed."""
    monkeypatch.setenv("OKF_DATABASE_URL", f"sqlite:///{tmp_path / 'catalogue.sqlite3'}")
    monkeypatch.setenv("OKF_WEBHOOK_ALLOW_LOOPBACK", "on")
    monkeypatch.setenv("OKF_JOB_POLL_MS", "20")
    monkeypatch.chdir(tmp_path)
    Path("may.csv").write_text("keyword,volume\nboots,5\nshoes,7\n", encoding="utf-8")

    def call(*words: str) -> str:
        capsys.readouterr()
        code = run(words)
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out.strip()

    return call


@pytest.fixture
def kept() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@contextmanager
def processing() -> Iterator[None]:
    """A processor at work beside the block."""
    stop = threading.Event()
    processor = threading.Thread(target=run_processor, args=(load_settings(), stop))
    processor.start()
    try:
        yield
    finally:
        stop.set()
        processor.join()


def documented_check() -> Callable[[str, dict[str, str], bytes], bool]:
    """The function that docs/webhooks.md gives to receivers."""
    code = re.search(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    found: Callable[[str, dict[str, str], bytes], bool] = names["is_genuine"]
    return found


def test_the_processor_sends_what_the_documented_check_takes(okf: Okf, kept: Receiver) -> None:
    okf("projects", "create", "shop")
    secret = okf("webhooks", "create", kept.url, "--project", "shop")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    okf("import", "may.csv", "--project", "shop")
    with processing():
        until(lambda: bool(kept.received))
    ((headers, body),) = kept.received
    is_genuine = documented_check()
    assert is_genuine(secret, headers, body)
    assert not is_genuine(secret, headers, body + b" ")
    assert not is_genuine(secret, {**headers, "webhook-timestamp": "1614265330"}, body)
    assert json.loads(body)["data"]["rows"] == 2


def test_no_import_waits_for_a_receiver_that_does_not_answer(
    okf: Okf, kept: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OKF_JOB_THREADS", "1")
    okf("projects", "create", "shop")
    okf("webhooks", "create", kept.url, "--project", "shop")
    okf("import", "may.csv", "--project", "shop")
    kept.go_on.clear()
    with processing():
        until(lambda: bool(kept.received))
        Path("june.csv").write_text("keyword,volume\nsocks,3\n", encoding="utf-8")
        okf("import", "june.csv", "--project", "shop", "--no-wait")
        until(lambda: okf("imports", "list", "--project", "shop").count('"state": "completed"') == 2)
        listed = [json.loads(line) for line in okf("jobs", "list", "--project", "shop").splitlines()]
        assert "running" in {job["state"] for job in listed if job["kind"] == "deliver_webhook"}, "it waits still"
        kept.go_on.set()
        until(lambda: len(kept.received) == 2)


def test_a_dead_letter_is_listed_and_sent_again(okf: Okf, kept: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    okf("projects", "create", "shop")
    okf("webhooks", "create", kept.url, "--project", "shop", "--event", "import.completed")
    (webhook,) = [json.loads(line) for line in okf("webhooks", "list", "--project", "shop").splitlines()]
    assert sorted(webhook) == ["created_at", "events", "id", "project", "url"]
    assert (webhook["url"], webhook["events"]) == (kept.url, ["import.completed"])
    okf("import", "may.csv", "--project", "shop")
    (job_id,) = [
        each["id"]
        for each in map(json.loads, okf("jobs", "list", "--project", "shop").splitlines())
        if each["kind"] == "deliver_webhook"
    ]
    monkeypatch.setenv("OKF_WEBHOOK_ALLOW_LOOPBACK", "off")
    assert run(["jobs", "resume", job_id]) == 1
    (letter,) = [json.loads(line) for line in okf("webhooks", "dead", "--project", "shop").splitlines()]
    assert (letter["job_id"], letter["webhook_id"]) == (job_id, webhook["id"])
    assert "webhooks are sent by https alone" in letter["error"]
    assert kept.received == []

    monkeypatch.setenv("OKF_WEBHOOK_ALLOW_LOOPBACK", "on")
    okf("webhooks", "redeliver", job_id, "--project", "shop")
    okf("jobs", "resume", job_id)
    assert len(kept.received) == 1
    assert okf("webhooks", "dead", "--project", "shop") == ""
    okf("webhooks", "delete", webhook["id"], "--project", "shop")
    assert okf("webhooks", "list", "--project", "shop") == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "http://hooks.example/"), "does not begin with https://"),
        (("create", "https://10.0.0.1/"), "10.0.0.1 is not public"),
        (("create", "https://8.8.8.8/", "--event", "lunch"), "event 'lunch' is unknown: use import.completed"),
        (("create", "https://8.8.8.8/", "--project", "nowhere"), "project 'nowhere' does not exist"),
        (("delete", "w1no"), "webhook 'w1no' does not exist in project 'default'"),
        (("redeliver", "j0"), "j0"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    words: tuple[str, ...],
    said: str,
    okf: Okf,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OKF_WEBHOOK_ALLOW_LOOPBACK")
    okf("projects", "create", "default")
    assert run(["webhooks", *words]) in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
