"""What the letters of a word say of its language: log odds of character n-grams, kept in a hashed table.

A gram of one to five characters, word ends included, falls into one of BUCKETS rows; a row holds one
number a language. Grams never met fall, mostly, into empty rows, which say nothing.
"""

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.compiler import compiled
from omnikeywords.analysis.scripts import Codes

__all__ = ["BUCKETS", "GRAM_UNIT", "gram_counts", "gram_log_odds", "gram_scores"]

BUCKETS = 1 << 18
GRAM_UNIT = 1 / 16  # nats that one step of the stored int8 stands for

_ORDERS = 5
_SHIFT = np.uint64(64 - 18)
_KEYS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA24BAED4963EE407],
    np.uint64,
)
# From here on (Han, kana, Hangul) a character says as much as a syllable elsewhere: pairs are enough.
_FIRST_WIDE = 0x2E80


def _buckets(codes: Codes) -> NDArray[np.intp]:
    """The buckets of all grams of each row: (n, 5 * (m + 2)), bucket 0 where there is no such gram."""
    n, m = codes.shape
    # A zero before the word and one after it stand for its ends; more before it let every order look back.
    padded = np.zeros((n, m + 2 + _ORDERS), np.uint64)
    padded[:, _ORDERS : _ORDERS + m] = codes
    buckets = np.zeros((n, _ORDERS, m + 2), np.intp)
    last = padded[:, _ORDERS - 1 : _ORDERS + m + 1]
    mixed = np.zeros((n, m + 2), np.uint64)
    inside = np.ones((n, m + 2), bool)  # no end of the word between the first and the last character
    for order in range(_ORDERS):
        back = padded[:, _ORDERS - 1 - order : _ORDERS + m + 1 - order]
        mixed = (mixed + back + np.uint64(order + 1)) * _KEYS[order]
        mixed ^= mixed >> np.uint64(29)
        known = inside & ((back != 0) | (last != 0)) if order else back != 0
        if order > 1:
            known &= last < _FIRST_WIDE
        buckets[:, order] = np.where(known, (mixed * _KEYS[0]) >> _SHIFT, 0)
        if order:
            inside = inside & (back != 0)
    return buckets.reshape(n, -1)


def gram_counts(codes: Codes, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """How often each bucket is met in the words of a language, each counted `weights` times: (BUCKETS,)."""
    counts = np.zeros(BUCKETS)
    for start in range(0, len(codes), 16_384):
        buckets = _buckets(codes[start : start + 16_384])
        repeated = np.repeat(weights[start : start + 16_384], buckets.shape[1])
        counts += np.bincount(buckets.ravel(), repeated, BUCKETS)
    counts[0] = 0
    return counts


def gram_log_odds(counts: NDArray[np.float32], smoothing: float) -> NDArray[np.int8]:
    """Turn counts (BUCKETS, languages) into log odds of each language against all, in units of GRAM_UNIT.

    Every language is given the same total, `smoothing` is added to each count, and the mean of a row is taken
    off: what all languages share says nothing.
    """
    odds = np.log(counts + smoothing)
    odds -= odds.mean(axis=1, keepdims=True)
    odds /= GRAM_UNIT
    np.clip(np.rint(odds, out=odds), -127, 127, out=odds)
    odds[0] = 0
    stored: NDArray[np.int8] = odds.astype(np.int8)
    return stored


def gram_scores(codes: Codes, log_odds: NDArray[np.int8]) -> NDArray[np.float32]:
    """The sum of log odds, in nats, over all grams of each word: (n, languages)."""
    sums = np.zeros((len(codes), log_odds.shape[1]), np.int32)
    _add_odds(codes, log_odds, sums)
    scores = sums.astype(np.float32)
    scores *= GRAM_UNIT
    return scores


@compiled
def _add_odds(codes: Codes, log_odds: NDArray[np.int8], sums: NDArray[np.int32]) -> None:
    """Add the log odds of the grams of each word to its row of sums: those of `_buckets`, a gram at a time."""
    for word in range(len(codes)):
        row = codes[word]
        length = 0
        while length < len(row) and row[length]:
            length += 1
        # Place 0 is the end before the word, 1 to length are its characters, length + 1 is the end after it.
        for place in range(length + 2 if length else 0):
            last = np.uint64(row[place - 1]) if 0 < place <= length else np.uint64(0)
            mixed = np.uint64(0)
            for order in range(min(_ORDERS, place + 1)):
                first = place - order
                back = np.uint64(row[first - 1]) if 0 < first <= length else np.uint64(0)
                mixed = (mixed + back + np.uint64(order + 1)) * _KEYS[order]
                mixed ^= mixed >> np.uint64(29)
                if order > 1 and last >= _FIRST_WIDE:
                    break
                if back or (order and last):
                    odds = log_odds[np.intp((mixed * _KEYS[0]) >> _SHIFT)]
                    for language in range(len(odds)):
                        sums[word, language] += odds[language]
                if order and not back:
                    break
