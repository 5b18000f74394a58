"""Webhooks are signed as the Standard Webhooks say, and sent to no address but those of the open internet."""

import shlex
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest

from omnikeywords.errors import DeliveryFailed, InvalidOption
from omnikeywords.webhooks import Sender, signed_headers
from omnikeywords.webhooks.destination import is_public
from tests.servers.receiver import receiver


def test_signature_is_that_of_the_specifications_example() -> None:
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


NOT_PUBLIC = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2a00::5efe:10.0.0.1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_address_that_is_not_of_the_open_internet_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    sender = Sender(resolve=lambda host, port: ["8.8.8.8", address])
    with pytest.raises(InvalidOption, match="not public"):
        sender.post("https://hooks.example/", {}, b"")


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "192.0.1.1", "100.128.0.1", "2606:4700::1111"])
def test_address_of_the_open_internet_is_allowed(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example/", "https"),
        ("ftp://hooks.example/", "https"),
        ("hooks.example", "https"),
        ("https:///path", "no name"),
        ("https://127.0.0.1/", "not public"),
        ("https://2130706433/", "not public"),
        ("https://0x7f.1/", "not public"),
        ("https://0177.0.0.1/", "not public"),
        ("https://127.1/", "not public"),
        ("https://[::1]/", "not public"),
        ("https://[::ffff:127.0.0.1]/", "not public"),
        ("https://[fe80::1%25eth0]/", "not public"),
        ("https://ana:secret@hooks.example/", "password"),
        ("https://hooks.example/#part", "fragment"),
        ("https://hooks.example:99999/", "cannot be read"),
        ("https://hooks.example/a b", "ASCII"),
        ("https://hooks.example\\@127.0.0.1/", "ASCII"),
        ("https://hooks.exämple/", "ASCII"),
        ("https://hooks.example/" + "x" * 2048, "2048"),
        ("https://localhost/", "not public"),
    ],
)
def test_url_that_cannot_be_sent_to_is_refused_when_it_is_given(url: str, why: str) -> None:
    with pytest.raises(InvalidOption, match=why):
        Sender(resolve=lambda host, port: ["127.0.0.1"]).check(url)


def test_url_whose_name_has_no_address_yet_may_be_given() -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    Sender(resolve=resolve).check("https://hooks.example/")
    with pytest.raises(DeliveryFailed, match=r"'hooks.example' cannot be resolved: name or service not known"):
        Sender(resolve=resolve).post("https://hooks.example/", {}, b"")


def test_http_is_for_this_machine_alone_even_in_tests() -> None:
    sender = Sender(allow_loopback=True, resolve=lambda host, port: ["8.8.8.8"])
    with pytest.raises(InvalidOption, match="use https"):
        sender.check("http://hooks.example/")
    with pytest.raises(InvalidOption, match="not public"):
        Sender(allow_loopback=True).check("http://10.0.0.1/")


def test_name_is_asked_for_once_and_the_address_that_was_checked_is_called() -> None:
    asked = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with receiver() as kept:
        sender = Sender(allow_loopback=True, resolve=resolve)
        assert sender.post(f"http://hooks.example:{kept.port}/a?b=c", {"x": "y"}, b"{}") == 200
    assert asked == ["hooks.example"]
    (headers, body) = kept.received[0]
    assert (kept.paths, body) == (["/a?b=c"], b"{}")
    assert (headers["host"], headers["x"]) == (f"hooks.example:{kept.port}", "y")


def test_redirects_are_not_followed() -> None:
    with receiver() as kept:
        kept.answers = [302]
        kept.headers = {"location": f"http://127.0.0.1:{kept.port}/other"}
        with pytest.raises(DeliveryFailed, match="answered 302, and redirects are not followed"):
            Sender(allow_loopback=True).post(kept.url, {}, b"{}")
    assert kept.paths == ["/hook?to=ana"]


def test_receiver_that_dribbles_its_answer_is_left_at_the_deadline() -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def dribble() -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\n")
                    while not ended.wait(0.02):
                        connection.sendall(b"x: y\r\n")
                except OSError:
                    pass

        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread = threading.Thread(target=dribble)
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(DeliveryFailed, match=r"did not answer within 0\.3 s"):
                Sender(allow_loopback=True, timeout_s=0.3).post(url, {}, b"{}")
        finally:
            ended.set()
            thread.join()
    assert time.monotonic() - began < 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for hooks.example, signed by itself, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        shlex.split(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=hooks.example "
            "-addext subjectAltName=DNS:hooks.example -keyout both.pem -out both.crt"
        ),
        cwd=path.parent,
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


def test_certificate_must_be_that_of_the_name_though_an_address_is_called(certificate: Path) -> None:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    named: list[str | None] = []
    theirs.sni_callback = lambda _socket, name, _context: named.append(name)
    ours = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    sender = Sender(allow_loopback=True, resolve=lambda host, port: ["127.0.0.1"], tls=ours)
    with receiver(theirs) as kept:
        assert sender.post(f"https://hooks.example:{kept.port}/", {}, b"{}") == 200
        with pytest.raises(DeliveryFailed, match=r"certificate of host 'other\.example' cannot be trusted"):
            sender.post(f"https://other.example:{kept.port}/", {}, b"{}")
        with pytest.raises(DeliveryFailed, match=r"certificate of host 'hooks\.example' cannot be trusted"):
            Sender(allow_loopback=True, resolve=lambda host, port: ["127.0.0.1"]).post(
                f"https://hooks.example:{kept.port}/", {}, b"{}"
            )
    assert named == ["hooks.example", "other.example", "hooks.example"]
    assert len(kept.received) == 1
