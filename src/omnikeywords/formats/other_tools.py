"""Ubersuggest, SE Ranking, Bing Webmaster Tools, Moz and Mangools; and what is refused by name."""

from collections.abc import Sequence

from omnikeywords.formats.columns import Header, Recognised
from omnikeywords.formats.periods import month_of_header, read_day

__all__ = ["recognise", "refusal"]

_LETTERS = {
    "i": "informational",
    "n": "navigational",
    "c": "commercial",
    "t": "transactional",
    "l": "local",
    "b": "branded",
}


def recognise(header: Header, rows: Sequence[Sequence[str]]) -> Recognised | None:
    """A table of one of these tools, by its columns."""
    for try_tool in (_bing, _ubersuggest, _rank_tracker, _se_ranking, _moz, _mangools):
        found = try_tool(header)
        if found:
            return found
    return None


def _bing(header: Header) -> Recognised | None:
    if header.has("grounding query", "citations"):
        return Recognised("bing_webmaster", "ai performance")
    if header.folded[:1] == ["keyword"] and header.has("impressions", "clicks", "ctr", "avg position"):
        return Recognised("bing_webmaster", "keywords")
    return None


def _ubersuggest(header: Header) -> Recognised | None:
    if not header.has("no") or not header.any(("keyword", "keywords")):
        return None
    if header.has("est visits") or header.has("ranking url", "seo difficulty"):
        return Recognised("ubersuggest", "domain keywords")
    if header.any(("paid difficulty", "pd")) or header.any(("seo difficulty", "sd")):
        report = "keyword ideas" if "vendor_intent" in header.fields else "bulk analysis"
        return Recognised("ubersuggest", report, competition_scale=100.0, intent_codes=_LETTERS)
    return None


def _rank_tracker(header: Header) -> Recognised | None:
    """Positions by day: `<date>, Dynamics, URL` again and again."""
    days = [(i, day) for i, cell in enumerate(header.cells) if (day := read_day(cell))]
    if "keyword" not in header.fields or not days or "dynamics" not in header.names:
        return None
    found = Recognised("se_ranking", "rank tracker")
    for i, day in days:
        url = next((j for j in range(i + 1, min(i + 3, len(header))) if header.folded[j] == "url"), None)
        found.dated_positions.append((i, url, day.isoformat()))
        found.fields[i] = None
        found.notes[i] = "position on that day; the latest there is becomes position"
        if url is not None:
            found.fields[url] = None
    return found


def _se_ranking(header: Header) -> Recognised | None:
    if not header.has("keyword", "search vol"):
        return None
    if header.any(("difficulty", "relevance", "search intent", "kei", "competition", "serp features")):
        report = "related keywords" if "relevance" in header.names else "keyword research"
        return Recognised("se_ranking", report, competition_scale=1.0, intent_codes=_LETTERS)
    return None


def _moz(header: Header) -> Recognised | None:
    if "keyword" not in header.fields or not header.any(("organic ctr", "priority")):
        return None
    if not header.any(("min volume", "monthly volume", "volume", "difficulty")):
        return None
    found = Recognised("moz", "keyword explorer")
    for name in ("organic ctr", "ctr"):
        column = header.find(name)
        if column is not None:
            found.fields[column] = None
            found.notes[column] = "an estimate for the whole results page, not your click-through rate"
    return found


def _mangools(header: Header) -> Recognised | None:
    months = {i: month for i, cell in enumerate(header.cells) if (month := month_of_header(cell))}
    if not header.has("keyword", "cpc") or (not header.any(("ppc", "search volume trend")) and len(months) < 6):
        return None
    if not header.any(("keyword difficulty", "kd", "avg search volume (last known months)", "ppc")):
        return None
    return Recognised("mangools", "keywords", months=months, competition_scale=100.0)


def refusal(header: Header) -> str | None:
    """Why a table of a known tool holds no keywords, or None."""
    if header.has("address") and header.any(("status code", "indexability", "content type")):
        return (
            "this is a Screaming Frog crawl: it lists addresses, not keywords; "
            "export the queries from Search Console instead"
        )
    if header.has("source", "destination") and header.any(("anchor", "alt text", "follow")):
        return "this is a list of links from a crawler, not of keywords"
    if header.has("referring page url") or header.has("referring page title"):
        return "this is a backlinks export, not keywords; export the organic keywords instead"
    return None
