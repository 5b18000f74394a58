"""Sagas: what a kind of job does, step by step, and how each step is undone.

    def append(context: Context) -> dict[str, int]:
        for number, chunk in chunks(context.input["path"], after=context.state or 0):
            with context.transaction() as connection:
                log.append(connection, chunk)
                context.checkpoint(connection, number)
        return {"chunks": number}

    IMPORT = Saga("import", [Step("validate", validate), Step("append", append, undo=withdraw, pivot=True),
                             Step("notify", notify)])

A step's work may run more than once: a worker can die between what it did and the record of it. What it writes in a
`context.transaction()` together with `context.checkpoint` or `context.record` happens once; anything else it does must
be harmless when repeated.

A job that fails, is cancelled or runs out of time before its pivot undoes its steps, the last one first: those that
are done, and one that left a checkpoint. A step that acts outside the database keeps a checkpoint before it does, so
that it is undone even when it failed halfway. After the pivot there is no way back: steps are tried until they succeed
or the job is parked for a person. Without a named pivot, the last step is it.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omnikeywords.errors import (
    DatabaseBusy,
    DatabaseUnavailable,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    UnreadableExport,
)

if TYPE_CHECKING:
    from omnikeywords.jobs.context import Context

__all__ = ["Do", "Retry", "Saga", "Step", "Undo", "is_outage"]

Do = Callable[["Context"], Any]  # returns the step's output, JSON; what it raises is a failed try
Undo = Callable[["Context"], None]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried, how long between, and which errors no further try can mend.

    All is counted anew whenever the step gets on to another checkpoint. When the database is busy or away that is
    nothing of the step's: such tries are counted apart, so that an outage of minutes undoes no work.
    """

    tries: int = 5  # 1 and more
    first_s: float = 0.5  # wait after the first failed try
    factor: float = 2.0  # each wait to the one before
    most_s: float = 60.0  # longest wait
    jitter: float = 0.5  # part of a wait that is left to chance, 0-1, so that jobs do not come back together
    outages: int = 100  # tries that may end because the database is busy or away
    deaths: int = 20  # workers that may die at the step
    never: tuple[type[Exception], ...] = (InvalidInput, UnreadableExport, NotFound, IdempotencyConflict)

    def wait_ms(self, nth: int) -> int:
        """How long to wait after the n-th failed try."""
        whole = min(self.most_s, self.first_s * self.factor ** min(nth - 1, 64))
        return round(whole * (1 - self.jitter * random.random()) * 1000)

    def again(self, error: Exception, nth: int) -> bool:
        """Whether to try once more after `error`, the n-th of its sort."""
        if is_outage(error):
            return nth <= self.outages
        return not isinstance(error, self.never) and nth < self.tries


def is_outage(error: Exception) -> bool:
    """Whether the database, and not the step, is why a try failed."""
    return isinstance(error, DatabaseBusy | DatabaseUnavailable)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a saga."""

    name: str  # stable: it is stored
    do: Do
    undo: Undo | None = None  # None: it leaves nothing behind that matters
    pivot: bool = False  # once it is done there is no way back
    retry: Retry = Retry()


class Saga:
    """A kind of job: its steps in order."""

    def __init__(self, kind: str, steps: Sequence[Step], *, at_once: int | None = None, revocable: bool = True) -> None:
        """`at_once` limits how many jobs of the kind run at a time, all workers of a database together. One that is not
        `revocable` has no way back from its start on.

        Raises ValueError for steps that make no saga.
        """
        self.kind = kind
        self.steps = tuple(steps)
        self.at_once = at_once
        self.revocable = revocable
        self._places = {step.name: place for place, step in enumerate(self.steps)}
        pivots = [place for place, step in enumerate(self.steps) if step.pivot]
        for name in (kind, *self._places):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} names no saga or step: use lower case letters, digits and _")
        if not self.steps or len(self._places) < len(self.steps):
            raise ValueError(f"saga {kind} needs steps, each under a name of its own")
        if len(pivots) > 1:
            raise ValueError(f"saga {kind} has {len(pivots)} pivots: keep one")
        if at_once is not None and at_once < 1:
            raise ValueError(f"saga {kind} may run {at_once} at once: give 1 or more, or None")
        self._pivot = pivots[0] if pivots else len(self.steps) - 1
        if not revocable and any(step.undo for step in self.steps):
            raise ValueError(f"saga {kind} is not revocable: none of its steps is ever undone")
        for step in self.steps[self._pivot + 1 :]:
            if step.undo is not None:
                raise ValueError(f"step {step.name} of saga {kind} comes after the pivot and is never undone")

    def step(self, name: str) -> Step | None:
        """The step of that name."""
        place = self._places.get(name)
        return None if place is None else self.steps[place]

    def is_pivot(self, step: Step) -> bool:
        """Whether there is no way back once that step is done."""
        return self._places[step.name] == self._pivot

    def after(self, step: Step) -> Step | None:
        """The step that follows, or None."""
        place = self._places[step.name] + 1
        return self.steps[place] if place < len(self.steps) else None
