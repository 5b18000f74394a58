"""Words that a phrase may be without and still ask the same, by language and by where they stand."""

from omnikeywords.analysis.roots import ROOT_LANGUAGES, listed

__all__ = ["KEEPS_NEXT", "STOP_INSIDE", "STOP_LEADING"]

# Words without which the phrase asks the same. Questions, negations, with, without, to, from, or, vs,
# comparatives and
# quantities are not among them: they ask for something else. Portuguese "no" is left in: in Spanish and
# English it denies.
_STOP_EVERYWHERE = "of for the and de del"
_STOP_INSIDE = {
    "en": "a an in s",
    "pt": "da do das dos e o a os as em na nas nos para",
    "es": "la el los las un una y en para",
    "fr": "le la les du des un une et en pour dans",
    "de": "der die das den dem des ein eine einen einer und für im am",
    "it": "di il lo la gli le un una e dei della delle per in",
}
# At the beginning an article alone may go: "in design" is not "design". At the end nothing: hepatitis a, turn
# in.
_STOP_LEADING = {
    "en": "the a an",
    "pt": "o a os as",
    "es": "el la los las un una",
    "fr": "le la les un une",
    "de": "der die das ein eine",
    "it": "il lo la gli le un una",
}
# What follows these belongs to them and may not be left out: vitamin a deficiency, hepatite e, log in page.
KEEPS_NEXT = frozenset(
    listed(
        "vitamin vitamina hepatitis hepatite type tipo class classe clase grade group grupo plan plano "
        "model modelo series serie team section seccion secao schedule form log sign check plug fill "
        "opt walk built drive stand drop stuff zoom trade cash move come get all tune lock influenza "
        "size galaxy xbox tesla iphone moto"
    )
)


def _stop_bits(everywhere: str, by_language: dict[str, str]) -> dict[str, int]:
    every = (1 << (len(ROOT_LANGUAGES) + 1)) - 1
    bits = dict.fromkeys(everywhere.split(), every)
    for i, language in enumerate(ROOT_LANGUAGES):
        for word in by_language[language].split():
            bits[word] = bits.get(word, 0) | 1 << i
    return bits


# The languages in which a word may be left out as it is written (e, but not é), inside a phrase and at its beginning:
# bit i of each number stands for ROOT_LANGUAGES[i], the bit after them for any other language.
STOP_INSIDE = _stop_bits(_STOP_EVERYWHERE, _STOP_INSIDE)
STOP_LEADING = _stop_bits("the", _STOP_LEADING)
