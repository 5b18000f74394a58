"""Phrases of the same words that go opposite ways: london to paris, paris to london."""

from collections.abc import Sequence
from itertools import pairwise

from omnikeywords.analysis.roots import listed

__all__ = ["directed", "reversed_direction"]

_DIRECTIONS = frozenset(
    listed(
        "to into from than without before after over em para sem sin sans senza ohne nach vers desde "
        "hasta ate antes depois despues"
    )
)
_TO_IN = frozenset(("pt", "es", "fr", "it"))  # where a says to: madrid a barcelona
# Of two of one kind side by side, the first is what one has and the second what one wants: english spanish,
# usd brl, kg lb.
_KINDS = (
    "english spanish portuguese french german italian japanese chinese korean russian arabic latin "
    "hebrew hindi dutch polish turkish greek swedish ingles espanhol espanol portugues frances alemao "
    "aleman italiano japones chines chino coreano russo ruso arabe latim anglais espagnol portugais "
    "francais allemand italien englisch spanisch deutsch",
    "usd eur brl gbp jpy cad aud mxn ars clp cop btc eth dolar dollar euro real peso libra pound yen",
    "kg lb gram g oz pound kilo cm mm inch foot meter km mile m yard mph kmh celsius fahrenheit liter gallon ml cup",
    "jpg jpeg png pdf word excel csv mp3 mp4 wav docx xml json svg webp epub mobi",
    "london paris madrid barcelona lisbon lisboa porto rome roma milan berlin munich amsterdam brussels "
    "vienna prague dublin edinburgh manchester boston chicago miami dallas houston atlanta seattle "
    "denver toronto montreal vancouver sydney melbourne tokyo delhi mumbai bangalore dubai bangkok "
    "singapore brasilia salvador recife fortaleza curitiba florianopolis manaus belem natal goiania "
    "campinas santos valencia sevilla malaga bilbao bogota medellin cali lima cusco santiago valparaiso "
    "guadalajara monterrey cancun quito montevideo",
    # Nouns that each make a thing of the other: a house for dogs, a dog for the house.
    "dog cat bird house boat horse race show chocolate milk coffee tea water sugar bread cake cup pot "
    "glass wine bottle pocket watch card game fish tank finger ring wall light flower garden box lunch "
    "paper bag table",
)
_PAIRED: dict[str, set[int]] = {}
for _kind, _names in enumerate(_KINDS):
    for _name in _names.split():
        _PAIRED.setdefault(_name, set()).add(_kind)


def directed(root: str) -> tuple[bool, bool]:
    """Whether a root gives its phrase a direction by itself, and whether it may do so beside another."""
    return root in _DIRECTIONS or root == "a", root in _PAIRED or root[:1].isdigit()


def reversed_direction(one: Sequence[str], other: Sequence[str], language: str) -> bool:
    """Whether two phrases of the same roots go opposite ways: `london to paris` and `paris to london`.

    So it is where what stands on both sides of a word like to, from, para has changed places, where two
    languages,
    currencies, units, cities or like nouns side by side have, or where two numbers have.
    """
    for word in _DIRECTIONS.intersection(one) | ({"a"} if language in _TO_IN else set()):
        if word in one and word in other and _swapped(one, one.index(word), other, other.index(word)):
            return True
    pairs = {pair for pair in pairwise(one) if _one_kind(*pair)}
    if any((second, first) in pairs and first != second for first, second in pairwise(other)):
        return True
    numbers = [word for word in one if word[:1].isdigit()]
    others = [word for word in other if word[:1].isdigit()]
    return numbers != others and sorted(numbers) == sorted(others)


def _one_kind(first: str, second: str) -> bool:
    return first in _PAIRED and second in _PAIRED and not _PAIRED[first].isdisjoint(_PAIRED[second])


def _swapped(one: Sequence[str], i: int, other: Sequence[str], j: int) -> bool:
    before, after = one[:i], one[i + 1 :]
    left, right = other[:j], other[j + 1 :]
    first, second = _meeting(before, right), _meeting(left, after)
    return bool(first and second) and first != second  # hand to hand stays as it is


def _meeting(before: Sequence[str], after: Sequence[str]) -> Sequence[str]:
    """The shortest end of the first that begins the second; empty where none does."""
    for n in range(1, min(len(before), len(after)) + 1):
        if before[-n:] == after[:n]:
            return after[:n]
    return ()
