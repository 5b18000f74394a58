"""Google Ads: Keyword Planner (ideas, forecasts, old layouts) and the reports of campaigns."""

from collections.abc import Sequence

from omnikeywords.formats.columns import Header, Recognised, fold
from omnikeywords.formats.periods import month_of_header

__all__ = ["PLANNER_BUCKETS", "match_type_of", "recognise"]

# A low-spend account sees only these volumes: each is the range it stands for.
PLANNER_BUCKETS: dict[int, tuple[int, int]] = {
    0: (0, 10),
    50: (10, 100),
    500: (100, 1_000),
    5_000: (1_000, 10_000),
    50_000: (10_000, 100_000),
    500_000: (100_000, 1_000_000),
    5_000_000: (1_000_000, 10_000_000),
}


def _names(text: str) -> tuple[str, ...]:
    return tuple(fold(name) for name in text.split(";"))


_LOW_BIDS = _names(
    "Top of page bid (low range); Lance na parte superior da página (menores valores); "
    "Lance no topo da página (intervalo baixo); "
    "Puja por la parte superior de la página (intervalo bajo); "
    "Enchère de haut de page (fourchette basse) "
)
_ADDED = _names(
    "Added/Excluded; Adicionada/Excluída; Adicionado/Excluído; Adicionados/excluídos; Añadida/Excluida; "
    "Agregada/Excluida; Añadido/Excluido; Agregado/Excluido; Ajouté/Exclu; Ajoutés/Exclus; "
    "Hinzugefügt/Ausgeschlossen; Aggiunto/Escluso; Aggiunti/Esclusi; Toegevoegd/Uitgesloten; "
    "Dodane/Wykluczone "
)
_STATUS = _names(
    "Keyword status; Status da palavra-chave; Estado da palavra-chave; Estado de la palabra clave; "
    "État du mot clé; Keyword-Status; Stato parola chiave "
)
_AD_GROUP = _names(
    "Ad group; Campaign; Grupo de anúncios; Campanha; Grupo de anuncios; Campaña; Groupe d'annonces; "
    "Campagne; Anzeigengruppe; Kampagne; Gruppo di annunci; Campagna "
)
_NEGATIVE = _names(
    "Negative keyword; Palavra-chave negativa; Palabra clave negativa; Mot clé à exclure; "
    "Auszuschließendes Keyword; Parola chiave esclusa "
)


def recognise(header: Header, rows: Sequence[Sequence[str]]) -> Recognised | None:
    """Keyword Planner or a report of Google Ads, by its columns."""
    return _planner(header) or _report(header)


def _planner(header: Header) -> Recognised | None:
    months = {i: month for i, cell in enumerate(header.cells) if (month := month_of_header(cell))}
    marks = (
        "currency" in header.fields,
        bool({"competition", "competition_level"} <= header.fields),
        header.any(("three month change", "yoy change", "in account", "in plan", "ad impression share")),
        header.any(("avg monthly searches", "avg monthly searches (exact match only)", "keyword (by relevance)")),
        header.any(_LOW_BIDS),
        any(
            "search" in name or "pesquisas" in name or "busquedas" in name or "recherches" in name
            for name in header.names
        ),
    )
    volumes = header.fields & {"volume", "volume_min", "volume_max"}
    if "keyword" not in header.fields or not (volumes or months) or sum(marks) < 3:
        return None
    found = Recognised("google_keyword_planner", "keyword ideas", months=months, buckets=True, totals=True)
    found.competition_scale = 100.0
    low = header.find(*_LOW_BIDS)
    if low is not None:
        found.fields[low] = None
        found.notes[low] = "the lower bid: cpc is the higher one"
    for i, alias in enumerate(header.aliases):
        if alias and alias[0] == "cpc" and low is not None:
            found.keep.add(i)
            found.notes[i] = "the higher of the two bids, kept in extra too"
    return found


def _report(header: Header) -> Recognised | None:
    if header.has("search category", "search terms") or header.has("search category", "search volume"):
        found = Recognised("google_ads", "search terms insights", totals=True)
        terms = header.find("search terms", "search category")
        if terms is not None:
            found.fields[terms] = "keyword"
        return found
    if header.any(_NEGATIVE) or header.has("keyword or list"):
        found = Recognised("google_ads", "negative keywords", ads_syntax=True, totals=True)
        negative = header.find(*_NEGATIVE)
        if negative is not None:
            found.fields[negative] = "keyword"
        found.keep.update(_columns(header, "match_type"))
        found.warnings.append("these are negative keywords: what the account refuses to be shown for")
        return found
    searched = {"keyword", "match_type"} <= header.fields
    if not searched or not ("impressions" in header.fields or header.any(_ADDED + _STATUS + _AD_GROUP)):
        return None
    report = "search terms" if header.any(_ADDED) else "search keywords"
    found = Recognised("google_ads", report, ads_syntax=report == "search keywords", totals=True)
    found.keep.update(_columns(header, "match_type"))
    return found


def _columns(header: Header, field: str) -> list[int]:
    return [i for i, alias in enumerate(header.aliases) if alias and alias[0] == field]


_MATCH_WORDS = (
    ("exact", ("exact", "exata", "exacta", "genau", "esatta", "exakt", "dokladn", "tam esl")),
    (
        "phrase",
        ("phrase", "frase", "expressao", "expression", "wortgruppe", "a frase", "woordgroep", "do wyrazenia"),
    ),
    ("broad", ("broad", "ampla", "amplia", "large", "weitgehend", "generica", "breed", "przyblizon")),
)


def match_type_of(text: str) -> str:
    """exact, phrase or broad, whatever language or variant a report says it in; else the text itself.

    >>> match_type_of("Phrase match (close variant)"), match_type_of("AI Max")
    ('phrase', 'AI Max')
    """
    folded = fold(text)
    for name, words in _MATCH_WORDS:
        if any(word in folded for word in words):
            return name
    return text
