"""Words cut down to what near-duplicates share: pieces without punctuation, accents folded, plural and gender
undone.

Everything here is a function of one word alone (and of the frequency dictionary), so it is done once for each
distinct
word of a batch. A root is a key, not a lemma to show: it only has to be equal for forms of one word and
different for
other words, whatever the language of the phrase, because short phrases are often ascribed to a neighbouring
language.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.normalise import fold

__all__ = [
    "PLAIN_CONTRACTIONS",
    "ROOT_LANGUAGES",
    "SURNAMES",
    "Zipf",
    "fold_piece",
    "inflection_roots",
    "listed",
    "pieces",
    "spelling_root",
]

# Frequencies of words on the Zipf scale, one column a language, 0 where a language does not have the word.
Zipf = Callable[[list[str]], NDArray[np.float32]]

ROOT_LANGUAGES = ("en", "pt", "es", "fr", "de", "it")  # those with stop words of their own


def listed(text: str) -> list[str]:
    """The words of a list, which stand between spaces."""
    return text.split()


# ----------------------------------------------------------------------------------------------------- pieces

_KEPT = frozenset("+%$€£¥₹&")  # symbols that change what is meant: c++, c#, 50%, $100
_BETWEEN_DIGITS = frozenset(".,/:×'\"")  # 3.5, 24/7, 16:9
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?")  # u.s., e.p.a
_CLOSING = frozenset('?!"”)]')
_APOSTROPHES = frozenset("'’ʼ`´")
# Where the letters alone would make another word (he'll, we're, i'd), or where two words hide in one.
_CONTRACTIONS = {
    "what's": ("what", "is"),
    "whats": ("what", "is"),
    "who's": ("who", "is"),
    "where's": ("where", "is"),
    "wheres": ("where", "is"),
    "when's": ("when", "is"),
    "how's": ("how", "is"),
    "he'll": ("he", "will"),
    "she'll": ("she", "will"),
    "we'll": ("we", "will"),
    "i'll": ("i", "will"),
    "we're": ("we", "are"),
    "i'd": ("i", "would"),
    "he'd": ("he", "would"),
    "she'd": ("she", "would"),
    "we'd": ("we", "would"),
}
_SCHEME = frozenset(("https", "http", "www"))
PLAIN_CONTRACTIONS = frozenset(filter(str.isalnum, _CONTRACTIONS))  # words of letters alone that are two pieces


def pieces(word: str) -> tuple[str, ...]:
    """The parts of a normalized word between its punctuation: `wi-fi` gives wi, fi; `amazon.com` amazon, com.

    Symbols that change the meaning stay (c++, c#, .net, 100%, $5), numbers stay whole (3.5, 24/7; 1,000 is
    1000), an
    apostrophe joins (don't is dont) and a possessive one goes (women's is women). May be empty.
    """
    if word.isalnum():
        return _CONTRACTIONS.get(word) or (word,)
    hyphenated = word.replace("-", " ").split()
    if "".join(hyphenated).isalnum():  # nine of ten words that are cut
        return _without_scheme(hyphenated)
    if _DOTTED.fullmatch(word):
        return (word.replace(".", ""),)
    if word.endswith("s") and word[-2:-1] in _CLOSING and word[-3:-2].isalpha():
        word = word[:-1]  # "charades"s
    out = []
    last = len(word) - 1
    for i, char in enumerate(word):
        if char.isalnum():
            out.append(char)
            continue
        before = word[i - 1] if i else ""
        after = word[i + 1] if i < last else ""
        if char in _BETWEEN_DIGITS and before.isdigit() and after.isdigit():
            thousands = char == "," and word[i + 1 : i + 4].isdigit() and not word[i + 4 : i + 5].isdigit()
            out.append("" if thousands else char)
        elif char in _APOSTROPHES:
            out.append("'")
        elif char == "#":
            out.append("#" if before else "")  # c#, but #hashtag is hashtag
        elif char in _KEPT:
            out.append(char)
        elif char == ".":
            out.append("." if not before and after.isalpha() else " ")  # .net is not net
        else:
            category = unicodedata.category(char)
            # Marks belong to their letter (Indic, Thai, Arabic), emoji are words, format characters are
            # nothing.
            if category[0] == "M" or (category == "So" and char not in "™®©℠°"):
                out.append(char)
            elif category not in ("Cf", "So"):
                out.append(" ")
    parts: list[str] = []
    for part in "".join(out).split():
        if "'" in part or "&" in part:
            parts.extend(_unquoted(part))
        else:
            parts.append(part)
    return _without_scheme(parts)


def _without_scheme(parts: list[str]) -> tuple[str, ...]:
    """The parts of a word, without those with which addresses begin."""
    if len(parts) > 1:
        parts = [part for part in parts if part not in _SCHEME] or parts
    return tuple(parts)


def _unquoted(part: str) -> tuple[str, ...]:
    """A part of a word without its apostrophes and ampersands."""
    part = part.strip("'&")
    if part in _CONTRACTIONS:
        return _CONTRACTIONS[part]
    if part.endswith("'s") and len(part) > 3:
        part = part[:-2]
    sides = part.split("&")
    if len(sides) > 1 and min(map(len, sides)) > 2:  # black&white, but h&m, at&t, r&b
        return tuple(side.replace("'", "") for side in sides)
    bare = part.replace("'", "").replace("&", "")
    return (bare,) if bare else ()


# ---------------------------------------------------------------------------------------------------- accents

# Accents are left out when people type in a hurry, so folding them is right nearly always. Not here: with and
# without,
# or with another accent, these are two things that people look for. Plurals are added below.
_MEANT = (
    "avó avô vovó vovô cocô pará pelé romã maiô camelô sabiá babá cará purê "  # pt
    "año papá mamá caña peña campaña montaña pestaña moño cañón cañon soñar cuña sueño seña doña "  # es
    "péché pâté côté tâche jeûne maïs mûr dû "  # fr
    "schön drücken zählen fördern möchte würde hätte könnte "  # de
    "rosé exposé lamé papà metà però"  # en, it
)
_LAZY = frozenset(("sueño", "seña", "purê", "dû", "mûr"))  # nobody looks for the other word


def _meant() -> dict[str, str]:
    forms = {}
    for word in _MEANT.split():
        if word not in _LAZY:
            root = {"cañon": "cañón", "papà": "papá"}.get(word, word)
            forms[word] = forms[word + "s"] = root
    return forms


_ACCENT_MEANT = _meant()


def fold_piece(piece: str) -> str:
    """A piece without case and accents, except where the accent makes another word (avó, avô; año, ano)."""
    if piece.isascii() or piece in _ACCENT_MEANT:
        return piece
    return fold(piece)


# ------------------------------------------------------------------------------------------------- inflection

# Words that end in s and are not, or do not only mean, the plural of what is left without it.
# In a single word another name (roberts, robert), beside others the same name without its end.
SURNAMES = frozenset(
    listed(
        "williams adams edwards rogers stevens peters phillips evans roberts richards hughes jones "
        "simmons andrews daniels michaels matthews myers sanders parsons watkins jenkins hawkins "
        "collins owens davis harris lewis thomas james"
    )
)
_NO_PLURAL = frozenset(
    listed(
        "kudos news lens bus gas plus bias canvas atlas christmas always perhaps sometimes besides upstairs "
        "downstairs jeans arms physics ethics mathematics series species goods customs glasses windows "
        "sims does goes was has his this its us as is yes thus ours yours theirs mars paris texas "
        "kansas dallas arkansas vegas athens wales brussels naples honduras maldives netherlands dubois "
        "illinois los angeles cannes nantes charles chris louis lucas nicholas jonas elias marcos "
        "carlos jesus matias pms ems cms als ims mms ros tms aps ibs nfs abs ads aids cops ups sas ios "
        "windows bbs gps sms dns css rss aws pos cvs hbs dhs gms ips lcs adidas levis asus airbus nexus "
        "lexus lotus venus taurus prius focus campus walgreens kohls mcdonalds starbucks"
        # Portuguese, Spanish, and both
        "mais menos antes depois alias apos atras tras demais jamais seis dois duas tres dez gratis "
        "lapis tenis onibus virus atlas oasis oculos ferias pires simples cais gas mes paris pais reis "
        "deus minas gerais campinas palmas manaus santos campos guarulhos canoas pelotas torres barros "
        "ramos soares neves dias reais lunes martes miercoles jueves viernes crisis tesis analisis "
        "dosis entonces lejos gracias gafas costas ademas quizas dias buenos aires caracas juros nos "
        "vos eles los las les des mes ses tus sus mis dos das aos nas esposas celos"
    )
)
_PLURAL_OF_SHORT = {
    "tvs": "tv", "pcs": "pc", "cds": "cd", "kgs": "kg", "lbs": "lb", "rvs": "rv", "djs": "dj", "ids": "id",
}  # fmt: skip
# Plurals, and a few genders, that no ending tells.
_IRREGULAR = {
    "men": "man", "mens": "man", "women": "woman", "womens": "woman", "children": "child",
    "childrens": "child", "childs": "child", "feet": "foot", "teeth": "tooth", "geese": "goose",
    "mice": "mouse", "people": "person", "persons": "person", "peoples": "person", "mices": "mouse",
    "teeths": "tooth", "feets": "foot", "oxen": "ox", "dice": "die", "wives": "wife", "knives": "knife",
    "halves": "half", "criteria": "criterion", "phenomena": "phenomenon", "analyses": "analysis",
    "theses": "thesis", "crises": "crisis", "indices": "index", "matrices": "matrix", "vertices": "vertex",
    "quizzes": "quiz", "buses": "bus", "busses": "bus", "gases": "gas", "lenses": "lens",
    "canvases": "canvas", "viruses": "virus", "series": "series", "serie": "series", "yeux": "oeil",
    "schuhe": "schuh", "manner": "mann", "frauen": "frau", "hauser": "haus", "bucher": "buch",
    "uomini": "uomo", "donne": "donna", "scarpe": "scarpa", "caes": "cao", "paes": "pao", "maes": "mae",
    "alemaes": "alemao", "mulheres": "mulher", "mujeres": "mujer", "paises": "pais", "meses": "mes",
    "funis": "funil", "fosseis": "fossil", "faceis": "facil", "dificeis": "dificil", "uteis": "util",
    "moveis": "movel", "repteis": "reptil", "portateis": "portatil", "texteis": "textil",
    "volateis": "volatil", "estereis": "esteril", "feis": "fiel", "fieis": "fiel", "leaves": "leaf",
    "shelves": "shelf", "loaves": "loaf", "taxes": "tax", "leis": "lei", "reyes": "rey", "leyes": "ley",
    "bueyes": "buey", "jerseys": "jersey",
}  # fmt: skip
# Adjectives of shop searches whose gender follows the noun; elsewhere -o and -a are two things (porto,
# porta).
_ADJECTIVE_STEMS = listed(
    "feminin masculin femenin barat brasileir pret branc vermelh amarel rox blanc negr roj amarill "
    "morad rosad dourad dorad prateid platead gratuit usad automatic eletric electric eletronic "
    "electronic hidraulic esportiv deportiv pequen economic complet caseir caser elasticad bordad "
    "estampad decorad personalizad mobiliad amueblad sintetic organic ortopedic modern antig clasic "
    "classic rapid nov nuev magnetic ceramic cromad pintad mecanic domestic importad seminov american "
    "italian mexican argentin chilen colombian peruan"
)
_GENDER = {stem + "a": stem + "o" for stem in _ADJECTIVE_STEMS}

# Ending of a plural, with the endings its singular may have, the likeliest first. Accents are folded already.
_ENDINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("oes", ("ao", "oe", "o")),
    ("aes", ("ao", "ae")),
    ("eis", ("el", "ei")),
    ("ais", ("al", "ai")),
    ("ois", ("ol", "oi")),
    ("uis", ("ul", "ui")),
    ("eaux", ("eau",)),
    ("aux", ("al", "au", "ail")),
    ("eux", ("eu",)),
    ("ies", ("y", "ie")),
    ("ves", ("ve", "f", "fe")),
    ("ces", ("ce", "z")),
    ("shes", ("sh", "she")),
    ("ches", ("ch", "che")),
    ("sses", ("ss", "sse")),
    ("xes", ("x", "xe")),
    ("zes", ("z", "ze")),
    ("ses", ("se", "s")),
    ("ens", ("en", "em")),
    ("ins", ("in", "im")),
    ("ons", ("on", "om")),
    ("uns", ("un", "um")),
    ("es", ("e", "")),
    ("is", ("il", "i")),
    ("ungen", ("ung",)),
    ("heiten", ("heit",)),
    ("keiten", ("keit",)),
    ("innen", ("in",)),
    ("s", ("",)),
)
_ENDINGS_BY_TWO = {
    two: tuple(entry for entry in _ENDINGS if entry[0].endswith(two) or two.endswith(entry[0]))
    for two in {ending[-2:] for ending, _ in _ENDINGS if len(ending) > 1}
}
_ENDINGS_OF_ONE = tuple(entry for entry in _ENDINGS if len(entry[0]) == 1)
_LAST = frozenset("sxn")
# What needs no look at endings: words that are no plurals stand for themselves.
_LISTED = (
    _PLURAL_OF_SHORT
    | {word: word for word in _NO_PLURAL | SURNAMES if word[-1:] in _LAST}
    | _GENDER
    | _IRREGULAR
    | _ACCENT_MEANT
)
_DOMINANT = 1.0  # languages within this of the word's best are those it may be a word of
_RARER = 1.8  # a singular may be that much rarer than its plural (Zipf), or it is another word
_KNOWN = 2.5  # a word below this is no evidence of its own form
_AS_COMMON = 0.3  # a singular rarer than its plural by no more is the likely one
# for rare plurals, the likely singular may be rarer than another by so much (micheles, michele)
_ALMOST = 1.5
_RARE_SHORT = 3.2  # three letters above this are a word of their own (gas, gps)
_COMMONER_SHORT = 0.8  # by so much two letters must be commoner than with an s


def _singulars(word: str) -> list[str]:
    if len(word) < 4:
        return [word[:-1]] if word.endswith("s") else []
    for ending, replacements in _ENDINGS_BY_TWO.get(word[-2:], _ENDINGS_OF_ONE):
        if word.endswith(ending):
            stem = word[: len(word) - len(ending)]
            return [stem + replacement for replacement in replacements if len(stem + replacement) > 2]
    return []


def _without_plural(word: str) -> str:
    """The number, or the word with a number in it, of which this is the plural by its ending alone; else
    itself.
    """
    number = word[:-1]
    if not word.endswith("s"):
        return word
    # 2015s, 747s; but 90s and 1960s are decades, and 5s or d300s another model than 5 or d300.
    if number.isdigit():
        return number if len(number) > 2 and number[-1] != "0" else word
    return number if word[-4:].isalpha() and word[-2] not in "sui" else word


def inflection_roots(folded: Sequence[str], zipf: Zipf | None) -> list[str]:
    """The singular (of adjectives in a closed list, the masculine) of distinct folded pieces; else the piece
    itself.

    Which singular is meant is read from the frequencies: `zipf` gives those of any words (n, languages);
    without it a word only loses its s. A known word whose candidate is unknown or far rarer in the languages
    it
    belongs to is no plural (texas, glass, lápis); one that is unknown loses its s.
    """
    roots = list(folded)
    asked: list[int] = []  # index into folded, a row per candidate
    candidates: list[str] = []
    for i, word in enumerate(roots):
        form = _LISTED.get(word)
        if form is not None:
            roots[i] = form
        elif word[-1:] in _LAST:
            if not word.isalpha():
                roots[i] = _without_plural(word)
                continue
            if len(word) < 3 or word.endswith("ss"):
                continue
            for singular in _singulars(word):
                asked.append(i)
                candidates.append(singular)
    if asked:
        _choose(roots, np.array(asked), candidates, zipf)
    return roots


def _choose(roots: list[str], asked: NDArray[np.intp], candidates: list[str], zipf: Zipf | None) -> None:
    first = np.flatnonzero(np.r_[True, asked[1:] != asked[:-1]])
    words = [roots[i] for i in asked[first]]
    if zipf is None:
        frequency = np.zeros((len(words) + len(candidates), 1), np.float32)
    else:
        frequency = zipf(words + candidates)
    sizes = np.diff(np.r_[first, len(asked)])
    word = np.repeat(frequency[: len(words)], sizes, axis=0)
    candidate = frequency[len(words) :]
    best = word.max(axis=1, keepdims=True)
    own = (word >= best - _DOMINANT) & (word > 0)
    near = own & (candidate >= word - _RARER)
    fits = np.where(near, candidate, 0).max(axis=1)
    sure = (near & (candidate >= word - _AS_COMMON)).any(axis=1)
    # A word too rare to judge is taken as the plural of whatever candidate is known best.
    rare = best[:, 0] < _KNOWN
    fits = np.where(rare, np.maximum(fits, candidate.max(axis=1)), fits)
    short = (best[:, 0] < _RARE_SHORT) & (candidate >= word + _COMMONER_SHORT).any(axis=1) & (fits > _KNOWN)
    # The likeliest by the ending that is about as common as the plural, else the commonest.
    places = np.arange(len(asked))
    most = np.maximum.reduceat(fits, first)
    commonest = np.minimum.reduceat(np.where(fits == np.repeat(most, sizes), places, len(asked)), first)
    surest = np.minimum.reduceat(np.where(sure, places, len(asked)), first)
    likeliest = rare[first] & (fits[first] > 0) & (fits[first] >= most - _ALMOST)
    chosen = np.where(surest < len(asked), surest, np.where(likeliest, first, commonest))
    unknown = best[first, 0] == 0 if zipf is not None else np.zeros(len(first), np.bool_)
    columns = (asked[first], chosen, fits[chosen] > 0, short[first], rare[first], unknown)
    for plural, (i, k, fitting, may_be_short, is_rare, is_unknown) in zip(
        words, zip(*(column.tolist() for column in columns), strict=True), strict=True
    ):
        if fitting or len(plural) < 4:
            if len(plural) > 3 or may_be_short:
                roots[i] = _GENDER.get(candidates[k], candidates[k])
        # Nobody knows it: then the same with and without s is likelier one word than two.
        elif is_rare and plural.endswith("s") and (is_unknown or plural[-2] not in "ui"):
            roots[i] = plural[:-1]


# --------------------------------------------------------------------------------------------------- spelling

# British to American, European Portuguese to Brazilian, and habits of typing; whole roots, then beginnings.
_SPELLINGS = {
    "grey": "gray", "centre": "center", "theatre": "theater", "metre": "meter", "litre": "liter",
    "fibre": "fiber", "sombre": "somber", "calibre": "caliber", "lustre": "luster", "spectre": "specter",
    "sabre": "saber", "kilometre": "kilometer", "millimetre": "millimeter", "centimetre": "centimeter",
    "catalogue": "catalog", "dialogue": "dialog", "analogue": "analog", "programme": "program",
    "jewellery": "jewelry", "jeweller": "jeweler", "tyre": "tire", "pyjama": "pajama", "doughnut": "donut",
    "plough": "plow", "licence": "license", "defence": "defense", "offence": "offense",
    "practise": "practice", "moustache": "mustache", "yoghurt": "yogurt", "whisky": "whiskey",
    "omelette": "omelet", "ageing": "aging", "judgement": "judgment", "mum": "mom", "thru": "through",
    "nite": "night", "aluminium": "aluminum", "cosy": "cozy", "sceptic": "skeptic", "mould": "mold",
    "axe": "ax", "travelling": "traveling", "traveller": "traveler", "travelled": "traveled",
    "modelling": "modeling", "cancelled": "canceled", "cancelling": "canceling", "labelling": "labeling",
    "counselling": "counseling", "counsellor": "counselor", "fuelled": "fueled", "levelling": "leveling",
    "marvellous": "marvelous", "enrol": "enroll", "enrolment": "enrollment", "fulfil": "fulfill",
    "instalment": "installment", "skilful": "skillful", "anaemia": "anemia", "paediatric": "pediatric",
    "paediatrician": "pediatrician", "orthopaedic": "orthopedic", "encyclopaedia": "encyclopedia",
    "foetus": "fetus", "oestrogen": "estrogen", "diarrhoea": "diarrhea", "haemorrhoid": "hemorrhoid",
    "leukaemia": "leukemia", "anaesthesia": "anesthesia", "gynaecologist": "gynecologist",
    "gynaecology": "gynecology", "oesophagus": "esophagus", "manoeuvre": "maneuver", "analyse": "analyze",
    "paralyse": "paralyze", "cheque": "check", "ok": "okay", "versus": "vs", "accao": "acao",
    "facto": "fato", "optimo": "otimo", "projecto": "projeto", "contacto": "contato", "director": "diretor",
    "directora": "diretora", "actual": "atual", "objectivo": "objetivo", "baptismo": "batismo",
    "humido": "umido", "registo": "registro", "electricista": "eletricista", "eletrico": "electrico",
    "electronico": "eletronico", "colectivo": "coletivo", "seleccao": "selecao", "direccao": "direcao",
    "proteccao": "protecao", "infeccao": "infecao", "coleccao": "colecao", "fraccao": "fracao",
    "redaccao": "redacao", "inspeccao": "inspecao", "lectivo": "letivo", "excepto": "exceto",
    "adopcao": "adocao", "recepcao": "rececao", "loiro": "louro", "catorze": "quatorze",
    "dezanove": "dezenove", "dezasseis": "dezesseis", "dezassete": "dezessete", "xampu": "shampoo",
    "champo": "shampoo", "pra": "para", "cabelereiro": "cabeleireiro", "mussarela": "mucarela",
    "setiembre": "septiembre", "jardin": "jardim", "sicologia": "psicologia", "sicologo": "psicologo",
    "oscuro": "obscuro",
}  # fmt: skip
_BEGINNINGS = {
    beginning + "our": beginning + "or"
    for beginning in (
        listed("col flav fav hon lab neighb behavi arm harb rum hum od parl sav vap endeav splend glam tum")
    )
}
_BY_LETTERS = {beginning[:4]: (beginning, other) for beginning, other in _BEGINNINGS.items()}
_IZE = ("ize", "ized", "izer", "izing", "ization", "izational")


def spelling_root(root: str) -> str:
    """The one spelling that stands for all spellings of a root: colour is color, organize is organise."""
    found = _SPELLINGS.get(root)
    if found is not None:
        return found
    if len(root) > 4:
        pair = _BY_LETTERS.get(root[:4])
        if pair is not None and root.startswith(pair[0]):
            return pair[1] + root[len(pair[0]) :]
        if len(root) > 6 and root.endswith(_IZE):
            at = root.rindex("iz")
            return root[: at + 1] + "s" + root[at + 2 :]
    return root
