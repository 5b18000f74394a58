"""Who calls: a name for the log, what they may do, and in which projects."""

from dataclasses import dataclass, field

from omnikeywords.api.problems import Problem
from omnikeywords.catalog.keys import SCOPES, Scope
from omnikeywords.errors import NotFound
from omnikeywords.finder import DEFAULT_PROJECT

__all__ = ["LOCAL", "NOBODY", "SCOPES", "Caller", "Scope"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever a request is from."""

    name: str  # who did it, for events and logs
    scope: Scope = "read"
    projects: frozenset[str] | None = None  # None: all of them
    key: str = ""  # the id of the key, if there is one
    sees: str = field(init=False)  # the same for callers to whom the same question has the same answer

    def __post_init__(self) -> None:
        """Names of projects hold neither sign."""
        sees = "*" if self.projects is None else "|".join(sorted(self.projects))
        object.__setattr__(self, "sees", sees)

    def project(self, asked: str | None = None) -> str:
        """The project that a request is about: the one asked for, else the caller's only one, else `default`.

        Raises NotFound for one that is not the caller's, as for one that does not exist, and Problem where none was
        asked for and it is not clear which.
        """
        if asked is None:
            asked = next(iter(self.projects)) if self.projects and len(self.projects) == 1 else DEFAULT_PROJECT
            if self.projects and asked not in self.projects:
                raise Problem(
                    "invalid_request",
                    f"project: your key is for several projects: name one of {', '.join(sorted(self.projects))}",
                    {"field": "project"},
                )
        if self.projects is not None and asked not in self.projects:
            raise NotFound(f"project {asked!r} does not exist", project=asked)
        return asked

    def must(self, scope: Scope) -> None:
        """Raises Problem where the caller may not do what needs that scope."""
        if SCOPES.index(scope) > SCOPES.index(self.scope):
            raise Problem(
                "forbidden",
                f"this needs a key with scope {scope}, and yours has {self.scope}",
                {"needed": scope, "scope": self.scope},
            )


LOCAL = Caller("local", "admin")  # an embedded service on loopback asks for no key
NOBODY = Caller("nobody", "read", frozenset())  # who asks for what is there for all, as /health
