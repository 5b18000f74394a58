"""Search: keywords by what people type, from an index that follows the catalogue.

It hides the engine, the schema, how words are cut and stemmed, commits and merges, how builds change over, and the
order of hits. Callers ask `find` of a view; whoever writes indexes has a `Builder`.
"""

from omnikeywords.search.building import Builder
from omnikeywords.search.finding import FACETS, Found, Request, check, find
from omnikeywords.search.index import Indexes, View
from omnikeywords.search.paging import SORTS
from omnikeywords.search.records import RECORDED, to_objects, to_recorded
from omnikeywords.search.suggesting import phrase_of, related, suggest
from omnikeywords.search.tallying import Group, NGram, Tally, group_tree, ngrams

__all__ = [
    "FACETS",
    "RECORDED",
    "SORTS",
    "Builder",
    "Found",
    "Group",
    "Indexes",
    "NGram",
    "Request",
    "Tally",
    "View",
    "check",
    "find",
    "group_tree",
    "ngrams",
    "phrase_of",
    "related",
    "suggest",
    "to_objects",
    "to_recorded",
]
