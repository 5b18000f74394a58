"""Phrases of the same words that go opposite ways: london to paris, paris to london."""

from omnikeywords.analysis.roots import listed

__all__ = ["ALWAYS", "IN_SOME_LANGUAGES", "KINDS", "LEADS", "TO_IN"]

_DIRECTIONS = frozenset(
    listed(
        "to into from than without before after over em para sem sin sans senza ohne nach vers desde "
        "hasta ate antes depois despues"
    )
)
TO_IN = frozenset(("pt", "es", "fr", "it"))  # where a says to: madrid a barcelona
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


def _leads() -> dict[str, int]:
    return dict.fromkeys(_DIRECTIONS, ALWAYS) | {"a": IN_SOME_LANGUAGES}


def _kinds() -> dict[str, int]:
    kinds: dict[str, int] = {}
    for i, names in enumerate(_KINDS):
        for name in names.split():
            kinds[name] = kinds.get(name, 0) | 1 << i
    return kinds


ALWAYS, IN_SOME_LANGUAGES = 1, 2
LEADS = _leads()  # roots that give their phrase a direction by themselves, in every language or in those of TO_IN
KINDS = _kinds()  # roots that may give one beside another of their kind: a bit a kind
