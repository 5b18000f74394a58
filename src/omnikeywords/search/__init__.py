"""Search: keywords by what people type, from an index that follows the catalogue.

It hides the engine, the schema, how words are cut and stemmed, commits and merges, how builds change over, and the
order of hits. Callers ask `find` of a view; whoever writes indexes has a `Builder`.
"""

from omnikeywords.search.building import Builder
from omnikeywords.search.finding import FACETS, SORTS, Found, Request, check, find
from omnikeywords.search.index import Indexes, View
from omnikeywords.search.records import RECORDED, to_objects, to_recorded

__all__ = [
    "FACETS",
    "RECORDED",
    "SORTS",
    "Builder",
    "Found",
    "Indexes",
    "Request",
    "View",
    "check",
    "find",
    "to_objects",
    "to_recorded",
]
