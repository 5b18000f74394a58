"""What many keywords have in common: the words and the runs of words in what matches a search, with how many keywords
have them and how much these are searched.

That is counted over the matches themselves, the most searched first, up to a bound; an answer says whether all are in.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from omnikeywords.analysis.normalise import normalise_batch
from omnikeywords.analysis.stop_words import STOP_INSIDE
from omnikeywords.search.filters import any_of
from omnikeywords.search.finding import Asked, Request, check
from omnikeywords.search.index import View
from omnikeywords.search.query import parse
from omnikeywords.search.records import recorded
from omnikeywords.search.words import Words

__all__ = ["MOST_TALLIED", "Group", "NGram", "Tally", "group_tree", "ngrams"]

MOST_TALLIED = 50_000  # keywords
LONGEST_NGRAM = 5
_AT_ONCE = 2000
_NEXT = 10  # next words of a group


@dataclass(frozen=True, slots=True)
class Group:
    """The matches that have a word."""

    word: str
    keywords: int
    volume: int  # of those whose volume is known, all together
    next: list["Group"] = field(default_factory=list)  # the words that most of them have besides


@dataclass(frozen=True, slots=True)
class NGram:
    """Words that follow each other in keywords."""

    ngram: str
    keywords: int
    volume: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted over matches."""

    total: int  # matches
    tallied: int  # of them that were counted, the most searched
    groups: list[Group] = field(default_factory=list)
    ngrams: list[NGram] = field(default_factory=list)


def group_tree(view: View, request: Request) -> Tally:
    """The words of the matches besides those searched for, the most frequent first, each with its next words.

    Words that every phrase may have are no groups. Raises as `finding.find`.
    """
    search = parse(request.text)
    known = {word for part in search.wanted for word in part.words}
    keywords: Counter[str] = Counter()
    volumes: Counter[str] = Counter()
    having: defaultdict[str, list[tuple[frozenset[str], int]]] = defaultdict(list)
    total, tallied = 0, 0
    for total, words, volume in _matches(view, request):  # noqa: B007
        tallied += 1
        telling = frozenset(word for word in words if word not in known and word not in STOP_INSIDE)
        for word in telling:
            keywords[word] += 1
            volumes[word] += volume
            having[word].append((telling, volume))
    groups = []
    for word in _most(keywords, volumes, request.limit):
        beside: Counter[str] = Counter()
        searched: Counter[str] = Counter()
        for others, volume in having[word]:
            for other in others:
                beside[other] += 1
                searched[other] += volume
        del beside[word]
        following = [Group(other, beside[other], searched[other]) for other in _most(beside, searched, _NEXT)]
        groups.append(Group(word, keywords[word], volumes[word], following))
    return Tally(total, tallied, groups=groups)


def ngrams(view: View, request: Request, length: int) -> Tally:
    """The runs of so many words in the matches, the most frequent first. Raises as `finding.find`."""
    keywords: Counter[str] = Counter()
    volumes: Counter[str] = Counter()
    total, tallied = 0, 0
    for total, words, volume in _matches(view, request):  # noqa: B007
        tallied += 1
        for ngram in {" ".join(words[at : at + length]) for at in range(len(words) - length + 1)}:
            keywords[ngram] += 1
            volumes[ngram] += volume
    found = [NGram(ngram, keywords[ngram], volumes[ngram]) for ngram in _most(keywords, volumes, request.limit)]
    return Tally(total, tallied, ngrams=found)


def _most(keywords: Counter[str], volumes: Counter[str], limit: int) -> list[str]:
    """The most frequent, ties by volume and then by letters."""
    return sorted(keywords, key=lambda word: (-keywords[word], -volumes[word], word))[:limit]


def _matches(view: View, request: Request) -> Iterator[tuple[int, list[str], int]]:
    """How many matches there are, and the words and the volume of each, the most searched first."""
    check(request)
    asked = Asked(view, request.project, parse(request.text), request.filters or {})
    query = asked.within([any_of(asked.tiers())])
    result = view.searcher.search(query, MOST_TALLIED, order_by_field="place")
    total: int = result.count  # type: ignore[attr-defined]
    at = view.values("at", [address for _, address in result.hits])
    splitting = Words()
    for start in range(0, len(at), _AT_ONCE):
        records = view.records.read(at[start : start + _AT_ONCE])
        normalized, _ = normalise_batch([record[0] for record in records])
        for record, words in zip(records, splitting.split(normalized), strict=True):
            yield total, words, recorded(record, "volume") or 0
