"""The ids of a batch of keywords: what `model.keyword_id` defines, many at a time."""

import hashlib
from collections.abc import Sequence

import numpy as np

from omnikeywords.model import KEYWORD_ID_BYTES, KEYWORD_ID_PREFIX, Market, base32

__all__ = ["keyword_ids"]

_FEW = 4  # ids up to which the plain encoder is the faster one
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_TEN_BITS = np.array([(a + b).encode() for a in _DIGITS for b in _DIGITS])  # two digits for each value
_SHIFTS = np.array([6, 4, 2, 0], np.uint16)
_LENGTH = KEYWORD_ID_BYTES * 8 // 5


def keyword_ids(market: Market | None, normalized: Sequence[str]) -> list[str]:
    """`model.keyword_id` of each phrase, in their order."""
    seed = f"{market or ''}\n"
    blake2b, length = hashlib.blake2b, KEYWORD_ID_BYTES
    raw = b"".join([blake2b((seed + phrase).encode(), digest_size=length).digest() for phrase in normalized])
    digits = base32(raw) if len(normalized) <= _FEW else _base32_of_many(raw)
    return [KEYWORD_ID_PREFIX + digits[at : at + _LENGTH] for at in range(0, len(digits), _LENGTH)]


def _base32_of_many(raw: bytes) -> str:
    """`model.base32` of a multiple of five bytes: each five are four times ten bits, and each ten bits two digits."""
    fives = np.frombuffer(raw, np.uint8).reshape(-1, 5).astype(np.uint16)
    tens = ((fives[:, :4] << 8) | fives[:, 1:]) >> _SHIFTS & 1023
    return _TEN_BITS.take(tens).tobytes().decode("ascii")
