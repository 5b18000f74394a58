"""Sending: one POST to one checked address, bounded in time and in what is read."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from omnikeywords.errors import DeliveryFailed
from omnikeywords.webhooks.destination import Address, Destination, Resolve, allowed_addresses, destination, resolve

__all__ = ["Sender"]

_MOST_READ = 65_536  # bytes of an answer
_MOST_ADDRESSES = 4  # that are tried, one after the other


class Sender:
    """Sends to public https addresses; safe to share between threads."""

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        timeout_s: float = 10.0,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout_s` bounds all of a call but the system's own look-up of names; `allow_loopback` is for tests: this
        machine too, also by http. Without `tls` the system's authorities are trusted.
        """
        self._allow_loopback = allow_loopback
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._tls = tls

    def check(self, url: str) -> None:
        """Refuse a URL that can never be sent to; a name that has no address now may have one later.

        Raises InvalidOption.
        """
        to = destination(url, self._allow_loopback)
        with suppress(OSError):
            allowed_addresses(to, self._allow_loopback, self._resolve)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a body to a URL; returns the status of success. No redirect is followed, no proxy used.

        Raises InvalidOption for a URL that may not be sent to, DeliveryFailed for whatever may go better later.
        """
        to = destination(url, self._allow_loopback)
        try:
            addresses = allowed_addresses(to, self._allow_loopback, self._resolve)
        except OSError as error:
            raise DeliveryFailed(f"host {to.host!r} cannot be resolved: {_said(error)}") from error
        deadline = _Deadline(self._timeout_s)
        try:
            with self._connected(to, addresses, deadline) as connection:
                status = _exchange(connection, to.target, headers, body, deadline)
        except ssl.SSLCertVerificationError as error:
            raise DeliveryFailed(
                f"the certificate of host {to.host!r} cannot be trusted: {error.verify_message}"
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            if deadline.passed:
                raise DeliveryFailed(f"host {to.host!r} did not answer within {self._timeout_s:g} s") from error
            raise DeliveryFailed(f"the connection to host {to.host!r} failed: {_said(error)}") from error
        if not 200 <= status < 300:
            redirect = ", and redirects are not followed" if 300 <= status < 400 else ""
            raise DeliveryFailed(f"the receiver answered {status}{redirect}", status=status)
        return status

    @contextmanager
    def _connected(
        self, to: Destination, addresses: Sequence[Address], deadline: "_Deadline"
    ) -> Iterator[http.client.HTTPConnection]:
        raw = _reached(to, addresses, deadline)
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


def _reached(to: Destination, addresses: Sequence[Address], deadline: "_Deadline") -> socket.socket:
    """A connection to the first address that takes one. Addresses are given as such: nothing is looked up again."""
    tried = addresses[:_MOST_ADDRESSES]
    for left, address in zip(range(len(tried), 0, -1), tried, strict=True):
        try:
            made = socket.create_connection((str(address), to.port), max(0.001, deadline.left / left))
        except OSError:
            if left == 1:
                raise
            continue
        made.settimeout(max(0.001, deadline.left))
        return made
    raise AssertionError("there is an address at least")


def _exchange(
    connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str], body: bytes, deadline: "_Deadline"
) -> int:
    connection.request("POST", target, body, {"connection": "close", **headers})
    response = connection.getresponse()
    if deadline.passed:
        raise TimeoutError  # headers that were cut off look like headers that ended
    with suppress(OSError, http.client.HTTPException):
        response.read(_MOST_READ)  # so that the receiver sees its answer taken; what it says is of no use
    return response.status


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


def _said(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(said.split())[:200].lower()
