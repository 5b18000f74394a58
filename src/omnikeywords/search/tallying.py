"""What many keywords have in common: the words and the runs of words in what matches a search, with how many keywords
have them and how much these are searched.

That is counted over the matches themselves, the most searched first, up to a bound; an answer says whether all are in.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass, field

from omnikeywords.analysis.normalise import normalise_batch
from omnikeywords.search.finding import Request, check
from omnikeywords.search.index import View
from omnikeywords.search.matching import Asked, matches_of
from omnikeywords.search.query import parse
from omnikeywords.search.records import recorded
from omnikeywords.search.words import FUNCTION_WORDS, Words, alike

__all__ = ["LONGEST_NGRAM", "MOST_TALLIED", "Group", "NGram", "Tally", "group_tree", "ngrams"]

MOST_TALLIED = 50_000  # keywords
LONGEST_NGRAM = 5  # words
_AT_ONCE = 2000
_NEXT = 10  # next words of a group


@dataclass(frozen=True, slots=True)
class Group:
    """The matches that have a word."""

    word: str
    keywords: int
    volume: int | None  # of those whose volume is known, all together; None where it is of none
    next: list["Group"] = field(default_factory=list)  # the words that most of them have besides


@dataclass(frozen=True, slots=True)
class NGram:
    """Words that follow each other in keywords."""

    ngram: str
    keywords: int
    volume: int | None  # as of a group


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted over matches."""

    total: int  # matches
    tallied: int  # of them that were counted, the most searched
    groups: list[Group] = field(default_factory=list)
    ngrams: list[NGram] = field(default_factory=list)


def group_tree(view: View, request: Request) -> Tally:
    """The words of the matches besides those searched for, the most frequent first, each with its next words.

    Words that only hold others together are no groups. Raises as `finding.find`.
    """
    search = parse(request.text)
    known = {term for part in search.wanted for word in part.words for term in alike(word)}
    tells = _Tells(known)
    keywords: Counter[str] = Counter()
    volumes: Counter[str] = Counter()
    having: defaultdict[str, list[tuple[frozenset[str], int | None]]] = defaultdict(list)
    matches = _Matches(view, request)
    for words, volume in matches.each():
        telling = frozenset(filter(tells.__getitem__, words))
        for word in telling:
            keywords[word] += 1
            if volume is not None:
                volumes[word] += volume
            having[word].append((telling, volume))
    groups = []
    for word in _most(keywords, volumes, request.limit):
        beside: Counter[str] = Counter()
        searched: Counter[str] = Counter()
        for others, volume in having[word]:
            for other in others:
                beside[other] += 1
                if volume is not None:
                    searched[other] += volume
        del beside[word]
        following = [
            Group(matches.spelt[other], beside[other], searched.get(other)) for other in _most(beside, searched, _NEXT)
        ]
        groups.append(Group(matches.spelt[word], keywords[word], volumes.get(word), following))
    return Tally(matches.total, matches.tallied, groups=groups)


def ngrams(view: View, request: Request, length: int) -> Tally:
    """The runs of so many words in the matches, the most frequent first. Raises as `finding.find`."""
    keywords: Counter[str] = Counter()
    volumes: Counter[str] = Counter()
    matches = _Matches(view, request)
    for words, volume in matches.each():
        for ngram in {" ".join(words[at : at + length]) for at in range(len(words) - length + 1)}:
            keywords[ngram] += 1
            if volume is not None:
                volumes[ngram] += volume
    found = [
        NGram(" ".join(matches.spelt[word] for word in ngram.split(" ")), keywords[ngram], volumes.get(ngram))
        for ngram in _most(keywords, volumes, request.limit)
    ]
    return Tally(matches.total, matches.tallied, ngrams=found)


def _most(keywords: Counter[str], volumes: Counter[str], limit: int) -> list[str]:
    """The most frequent, ties by volume and then by letters."""
    return sorted(keywords, key=lambda word: (-keywords[word], -volumes[word], word))[:limit]


class _Tells(dict[str, bool]):
    """Whether a word is a group of its own, found out when it is first met: one that was searched for is none."""

    def __init__(self, known: Set[str]) -> None:
        super().__init__()
        self._known = known

    def __missing__(self, word: str) -> bool:
        found = self[word] = word not in FUNCTION_WORDS and (not self._known or self._known.isdisjoint(alike(word)))
        return found


class _Matches:
    """What matches a search, the most searched first."""

    def __init__(self, view: View, request: Request) -> None:
        check(request)
        asked = Asked(view, request.project, parse(request.text), request.filters or {})
        query = asked.within([matches_of(asked.tiers())])
        result = view.searcher.search(query, MOST_TALLIED, order_by_field="place")
        self._view = view
        self._found = [address for _, address in result.hits]
        self.total: int = result.count  # type: ignore[attr-defined]
        self.tallied = len(self._found)
        self.spelt: dict[str, str] = {}  # each word as the most searched keyword spells it

    def each(self) -> Iterator[tuple[list[str], int | None]]:
        """The words and the volume of each, None where it is not known."""
        splitting = Words()
        for start in range(0, len(self._found), _AT_ONCE):
            records = self._view.records_at(self._found[start : start + _AT_ONCE])
            normalized, _ = normalise_batch([record[0] for record in records])
            for record, phrase, words in zip(records, normalized, splitting.split(normalized), strict=True):
                for word, spelt in zip(words, splitting.spelt(phrase, words), strict=True):
                    self.spelt.setdefault(word, spelt)
                yield words, recorded(record, "volume")
