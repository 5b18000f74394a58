"""From the text of a setting to its value; what cannot be one is a ValueError that says what is allowed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "KeyLimit",
    "Parser",
    "file_path",
    "items_of",
    "key_limit",
    "key_limits",
    "named_servers",
    "on_or_off",
    "one_of",
    "plain_text",
    "redis_urls",
    "web_origins",
    "whole_number",
]

Parser = Callable[[str], Any]  # text to value; ValueError says what is allowed


class KeyLimit(NamedTuple):
    """How many requests a key may make."""

    rate: float  # a second
    burst: int  # at once
    exact: bool = False  # whether every request is counted where all replicas see it

    def __str__(self) -> str:
        return f"{self.rate:g}/{self.burst}{'/exact' if self.exact else ''}"


def plain_text(text: str) -> str:
    """Text that says something."""
    if not text.strip():
        raise ValueError("it must not be empty")
    return text.strip()


def file_path(text: str) -> Path:
    """A path; ~ is the home folder."""
    return Path(plain_text(text)).expanduser()


def whole_number(least: int, most: int) -> Parser:
    """Reads whole numbers from `least` to `most`; 1_000 is one."""

    def parse(text: str) -> int:
        try:
            number = int(text.strip().replace("_", ""))
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ValueError(f"give a whole number from {least} to {most}")
        return number

    return parse


def one_of(*allowed: str) -> Parser:
    """Reads one of these words, whatever its case."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in allowed:
            raise ValueError(f"use {', '.join(allowed[:-1])} or {allowed[-1]}")
        return word

    return parse


def on_or_off(text: str) -> bool:
    """A switch."""
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("use on or off")


def items_of(text: str) -> tuple[str, ...]:
    """Items by comma or line, each once."""
    return tuple(dict.fromkeys(item.strip() for item in re.split(r"[,\n]", text) if item.strip()))


def web_origins(text: str) -> tuple[str, ...]:
    """Origins of web pages."""
    origins = items_of(text)
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
            raise ValueError(f"{origin!r} is no origin: write it as https://example.com, or * for any")
    return origins


def named_servers(text: str) -> dict[str, str]:
    """URLs of servers by their names."""
    found = {}
    for item in items_of(text):
        name, equals, url = item.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or "://" not in url:
            raise ValueError("write each as name=postgresql://user:password@host/name")
        if name in found or name == "first":
            raise ValueError(f"{name!r} is the name of another: give each its own")
        found[name] = url
    return found


def redis_urls(text: str) -> tuple[str, ...]:
    """URLs of Redis; at least one."""
    urls = items_of(text)
    for url in urls:
        if not re.match(r"rediss?://[^/\s]", url):
            raise ValueError("write each as redis://user:password@host:6379, or rediss:// for TLS")
    if not urls:
        raise ValueError("it must not be empty")
    return urls


def key_limit(text: str) -> KeyLimit | None:
    """RATE, RATE/BURST or either with /exact; 0 is none."""
    if text.strip() in ("0", "none"):
        return None
    match = re.fullmatch(r"\s*(\d{1,7}(?:\.\d{1,6})?)(?:/(\d{1,9}))?(/exact)?\s*", text)
    rate = float(match[1]) if match else 0.0
    if match is None or rate == 0 or (match[2] and int(match[2]) == 0):
        raise ValueError("write it as requests a second, as 50, or with those at once, as 50/200, or as 50/200/exact")
    return KeyLimit(rate, int(match[2]) if match[2] else max(1, round(2 * rate)), match[3] is not None)


def key_limits(text: str) -> dict[str, KeyLimit | None]:
    """Limits by the ids of keys."""
    found = {}
    for item in items_of(text):
        key, equals, limit = (part.strip() for part in item.partition("="))
        if not equals or not key:
            raise ValueError("write each as KEY_ID=50/200, with the id that `okf keys list` shows")
        found[key] = key_limit(limit)
    return found
