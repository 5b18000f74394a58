"""Sending: one POST to one checked address, and what came of it. Nothing is raised: every failure is an answer."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

from omnikeywords.errors import InvalidOption
from omnikeywords.webhooks.destination import (
    Address,
    Destination,
    Resolve,
    Rules,
    allowed_addresses,
    destination,
    resolve,
)

__all__ = ["Answer", "Sender"]

Dial = Callable[[str, int, float], socket.socket]  # address, port, seconds

_MOST_READ = 65_536  # bytes of an answer
_MOST_ADDRESSES = 4  # that are tried, one after the other


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of sending."""

    status: int | None = None  # None: none came
    error: str | None = None  # why it is no success; None: it is one
    retry_after_s: float | None = None
    refused: bool = False  # by us, before anything was sent: it would be again


class Sender:
    """Sends to public addresses; safe to share between threads."""

    def __init__(
        self,
        rules: Rules | None = None,
        timeout_s: float = 15.0,
        *,
        resolve: Resolve = resolve,
        dial: Dial | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout_s` bounds all of a call but the system's own look-up of names."""
        self.rules = rules or Rules()
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._dial = dial or _dial
        self._tls = tls  # None: the system's authorities, loaded when first needed

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a body to a URL. No redirect is followed, no proxy used, no cookie kept."""
        try:
            to = destination(url, self.rules)
            addresses = allowed_addresses(to, self.rules, self._resolve)
        except InvalidOption as error:
            return Answer(error=str(error), refused=True)
        except OSError as error:
            return Answer(error=f"the host's name cannot be resolved: {_said(error)}")
        deadline = _Deadline(self._timeout_s)
        try:
            with self._connected(to, addresses, deadline) as connection:
                return _exchange(connection, to.target, headers, body)
        except ssl.SSLCertVerificationError as error:
            return Answer(error=f"the host's certificate cannot be trusted: {error.verify_message}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            if deadline.passed:
                return Answer(error=f"no answer within {self._timeout_s:g} s")
            return Answer(error=f"the connection failed: {_said(error)}")

    @contextmanager
    def _connected(
        self, to: Destination, addresses: Sequence[Address], deadline: "_Deadline"
    ) -> Iterator[http.client.HTTPConnection]:
        raw = self._reached(to, addresses, deadline)
        with raw, deadline.watching(raw):
            opened = raw
            if to.scheme == "https":
                context = self._tls or ssl.create_default_context()
                # The name's certificate, though the address was given: who answers must be whom the name means.
                opened = context.wrap_socket(raw, server_hostname=to.host.rstrip("."))
            connection = http.client.HTTPConnection(to.host, to.port)
            connection.default_port = 443 if to.scheme == "https" else 80  # which the Host header leaves out
            connection.auto_open = 0  # it would look the name up again
            connection.sock = opened
            with opened:
                yield connection

    def _reached(self, to: Destination, addresses: Sequence[Address], deadline: "_Deadline") -> socket.socket:
        """A connection to the first address that takes one."""
        tried = addresses[:_MOST_ADDRESSES]
        for number, address in enumerate(tried, 1):
            try:
                made = self._dial(str(address), to.port, max(0.001, deadline.left / (len(tried) - number + 1)))
            except OSError:
                if number == len(tried):
                    raise
                continue
            made.settimeout(max(0.001, deadline.left))
            if ip_address(made.getpeername()[0]) != address:
                made.close()
                raise OSError("another address answered than the one that was checked")
            return made
        raise AssertionError("there is an address at least")


def _exchange(
    connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str], body: bytes
) -> Answer:
    connection.request("POST", target, body, {"connection": "close", **headers})
    response = connection.getresponse()
    with suppress(OSError, http.client.HTTPException):
        response.read(_MOST_READ)  # so that the receiver sees its answer taken; what it says is of no use
    if 200 <= response.status < 300:
        return Answer(response.status)
    said = f"{response.status} {http.client.responses.get(response.status, '')}".strip()
    if 300 <= response.status < 400:
        said += ", and redirects are not followed"
    return Answer(response.status, f"the receiver answered {said}", _retry_after(response.headers.get("retry-after")))


class _Deadline:
    """Ends a connection when its time is over, however slowly it still moves."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._until - time.monotonic()

    @property
    def passed(self) -> bool:
        """Whether the time is over; some of it went by while that was noticed."""
        return self.left < 0.01

    @contextmanager
    def watching(self, connection: socket.socket) -> Iterator[None]:
        """Shut it down at the deadline: each read has a timeout, but a receiver may send a byte now and then."""
        with connection.dup() as same:  # the original is TLS's own from here on

            def end() -> None:
                with suppress(OSError):
                    same.shutdown(socket.SHUT_RDWR)

            timer = threading.Timer(max(0.0, self.left), end)
            timer.daemon = True
            timer.start()
            try:
                yield
            finally:
                timer.cancel()
                timer.join()


def _dial(address: str, port: int, seconds: float) -> socket.socket:
    return socket.create_connection((address, port), seconds)


def _retry_after(text: str | None) -> float | None:
    """Seconds from now that a Retry-After header asks for; None where it asks for nothing that can be read."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _said(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(said.split())[:200].lower()
