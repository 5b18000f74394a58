"""The finder: what one does with keywords, in the words of keyword research. The API, the command line and later the
web pages share these verbs; none of them knows what stands behind. No SQL, no HTTP, nothing printed.

Callers see `Finder`, which analyses, and under it a module a noun: `projects`, `imports`, `keywords`, `searches`,
`jobs`, `webhooks`, `keys`. It hides which of the modules below answers, and that none is loaded before it is needed.
"""

from omnikeywords.finder.catalogue import DEFAULT_PROJECT
from omnikeywords.finder.finder import Finder

__all__ = ["DEFAULT_PROJECT", "Finder"]
