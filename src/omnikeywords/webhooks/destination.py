"""Where webhooks may be sent: to public https addresses.

A tenant chooses the URL and this program calls it from within a private network, so what is refused here is what the
tenant could not reach from outside. A name says nothing: its addresses are looked up once, all of them must be public,
and the connection is made to one of those that were checked. A name that answers otherwise a moment later is never
asked that second time.
"""

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from omnikeywords.errors import InvalidOption

__all__ = ["Address", "Destination", "Resolve", "allowed_addresses", "destination", "is_public", "resolve"]

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[str]]  # host, port; addresses as text

_URL_LENGTH = 2048
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
_DEFAULT_PORTS = {"https": 443, "http": 80}

# Of the IANA registries of special purpose, and what clouds answer for their machines' sake.
_NOT_PUBLIC_4 = [
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; metadata of Alibaba Cloud at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own services for a machine
        "169.254.0.0/16",  # link-local; metadata of nearly every cloud at 169.254.169.254
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; metadata of Oracle Cloud at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # relays to 6to4
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
]
# Of version 6 only what is given out as global unicast is public. Outside it lie loopback, link-local, unique local
# (with fd00:ec2::254, metadata of AWS), multicast, IPv4-mapped and IPv4-compatible addresses, and NAT64, whose
# 64:ff9b:: leads to any IPv4 address.
_GLOBAL_6 = ip_network("2000::/3")
_NOT_PUBLIC_6 = [
    ip_network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo with an IPv4 address in it, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, with an IPv4 address in it
        "2620:4f:8000::/48",
        "3fff::/20",  # documentation
    )
]
_ISATAP = (0x00005EFE, 0x02005EFE)  # the third quarter of an address that ends with one of version 4


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL taken apart."""

    scheme: str
    host: str  # a name, or an address without brackets
    port: int
    target: str  # path and query


def destination(url: str, allow_loopback: bool) -> Destination:
    """What a URL names, without looking anything up.

    Raises InvalidOption for one that is malformed, or could not be sent to whatever its host's addresses are.
    """
    if len(url) > _URL_LENGTH or not re.fullmatch(r"[!-\[\]-~]+", url):
        raise InvalidOption(
            f"URL {url[:100]!r} cannot be used: write it in ASCII without spaces, {_URL_LENGTH} at most"
        )
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        literal = _literal(parts.hostname or "")
    except ValueError as error:
        raise InvalidOption(f"URL {url!r} cannot be read: {error}") from error
    schemes = ("https", "http") if allow_loopback else ("https",)
    if parts.scheme not in schemes:
        raise InvalidOption(f"URL {url!r} does not begin with https://: webhooks are sent by https alone")
    if "@" in parts.netloc:
        raise InvalidOption("the URL has a user or a password: put what the receiver must know into its path or query")
    if "#" in url:
        raise InvalidOption(f"URL {url!r} has a fragment, which is never sent: leave out what follows #")
    host = parts.hostname or ""
    if literal is None and not _HOST.fullmatch(host):
        raise InvalidOption(f"host {host!r} of the URL is no name: write a name of another script as xn--...")
    if literal is not None:
        _check(literal, str(literal), allow_loopback)
    target = parts.path or "/"
    return Destination(parts.scheme, host, port, f"{target}?{parts.query}" if parts.query else target)


def allowed_addresses(to: Destination, allow_loopback: bool, resolve: Resolve) -> list[Address]:
    """The addresses of a destination, each of which may be connected to.

    One that may not refuses all: an honest name has no such mixture. Raises InvalidOption where that is so, OSError
    where the host has no address.
    """
    addresses = list(dict.fromkeys(ip_address(text) for text in resolve(to.host, to.port)))
    if not addresses:
        raise OSError(f"host {to.host!r} has no address")
    for address in addresses:
        # What a private name stands for is not told to whoever gave it.
        _check(address, f"an address of {to.host!r}", allow_loopback)
        if not _is_loopback(address) and to.scheme != "https":
            raise InvalidOption(f"host {to.host!r} is not this machine: use https")
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id is not None or address not in _GLOBAL_6:
        return False
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return False
    return not any(address in network for network in _NOT_PUBLIC_6)


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, by the system; its resolver bounds how long that takes. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[0]) for _, _, _, _, where in found]


def _literal(host: str) -> Address | None:
    """The address that a host is already, in any spelling: 2130706433 and 0x7f.1 are 127.0.0.1."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host)) if re.fullmatch(r"[0-9A-Fa-fxX.]+", host) else None
    except OSError:
        return None


def _check(address: Address, what: str, allow_loopback: bool) -> None:
    if not (is_public(address) or (allow_loopback and _is_loopback(address))):
        raise InvalidOption(f"{what} is not public: webhooks go to addresses of the open internet alone")


def _is_loopback(address: Address) -> bool:
    # Not as Python has it: ::ffff:127.0.0.1 is none to the versions that call it one.
    return address.is_loopback and not (isinstance(address, IPv6Address) and address.ipv4_mapped)
