"""Lists in pages: each goes on behind the last item of the page before, whose place its cursor holds.

Whoever lists asks for one item more than a page holds, which tells whether there is a next one.
"""

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from omnikeywords.api.problems import Problem

__all__ = ["Moment", "Offset", "Pages", "PlainText", "page"]

# What a place may be made of, so that a cursor of somebody's own making reaches no statement as anything else.
PlainText = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
Offset = Annotated[int, Meta(ge=0, le=2**53)]
Moment = Annotated[datetime, Meta(tz=True)]

T = TypeVar("T")


def page(name: str, items: Sequence[Any], total: int, next_cursor: str | None, exact: bool = True) -> dict[str, Any]:
    """One page of a list."""
    return {name: items, "total": total, "total_is_exact": exact, "next_cursor": next_cursor}


class Pages:
    """The pages of one list: its name in answers, and what the place of an item is made of."""

    def __init__(self, name: str, *kinds: Any) -> None:
        self._name = name
        self._place: Any = tuple[kinds]  # type: ignore[valid-type]

    def behind(self, cursor: str | None) -> tuple[Any, ...] | None:
        """The place behind which a page begins; None: at the list's beginning.

        Raises Problem for a cursor of another list.
        """
        if not cursor:
            return None
        try:
            name, *place = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            if name == self._name:
                found: tuple[Any, ...] = msgspec.convert(place, self._place)
                return found
        except (ValueError, TypeError, msgspec.MsgspecError):
            pass
        raise Problem("invalid_request", "cursor: it is of another list: begin again without it", {"field": "cursor"})

    def page(
        self,
        found: Sequence[T],
        limit: int,
        total: int,
        *,
        place: Callable[[T], tuple[str | int, ...]],
        shown: Callable[[T], Any],
    ) -> dict[str, Any]:
        """The page of at most `limit` items, of which one more was `found` where there is a next page; `place` is that
        of an item, `shown` what of it is answered."""
        items = found[:limit]
        following = self._cursor(*place(items[-1])) if len(found) > limit else None
        return page(self._name, [shown(item) for item in items], total, following)

    def _cursor(self, *place: str | int) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode([self._name, *place])).decode().rstrip("=")
