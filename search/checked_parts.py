"""Parts of the search, checked: a plugin's may raise anything, or say what makes no sense.

Each of these errors names the class and, where it raised, the line. What leip's own parts raise is
a bug of leip, and stays what it is.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import LeipError, UsageError, line_in
from .measurer import Measurer, Outcome, Trial
from .proposer import Proposer, ProposerFactory
from .record import Status
from .scheduler import Scheduler, TaskState
from .space import SearchSpace

__all__ = [
    "CheckedMeasurer",
    "CheckedProposer",
    "CheckedScheduler",
    "blamed",
    "part_error",
    "part_name",
]

_ROOT = __package__.partition(".")[0] if __package__ else ""


class CheckedProposer:
    """A `Proposer` whose points exist and are new. UsageError otherwise."""

    def __init__(self, proposers: ProposerFactory, space: SearchSpace, seed: int) -> None:
        with blamed("proposer", proposers):
            self._inner: Proposer = proposers(space, seed)
        self._size = len(space)
        self._seen: set[int] = set()

    @property
    def name(self) -> str:
        return part_name(self._inner)

    def tell(self, point: int, seconds: float) -> None:
        self._seen.add(point)
        with blamed("proposer", self._inner):
            self._inner.tell(point, seconds)

    def propose(self, count: int) -> Sequence[int]:
        with blamed("proposer", self._inner):
            # one more than were asked for, as there may be no end of them
            some = itertools.islice(self._inner.propose(count), count + 1)
            points = [operator.index(point) for point in some]
        if len(points) > count:
            self._fail(f"proposes more than the {count} points that were asked for")
        for place, point in enumerate(points):
            if not 0 <= point < self._size:
                self._fail(f"proposes point {point} of a space of {self._size} points")
            if point in self._seen:
                self._fail(f"proposes point {point}, which was measured before")
            if point in points[:place]:
                self._fail(f"proposes point {point} twice")
        return points

    def _fail(self, message: str) -> None:
        raise part_error("proposer", self._inner, message)


class CheckedScheduler:
    """A `Scheduler` whose tasks exist and have points left. UsageError otherwise."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._inner = scheduler

    @property
    def name(self) -> str:
        return part_name(self._inner)

    def next(self, tasks: Sequence[TaskState]) -> int | None:
        with blamed("scheduler", self._inner):
            chosen = self._inner.next(tasks)
            index = None if chosen is None else operator.index(chosen)
        if index is None:
            return None
        if not 0 <= index < len(tasks):
            message = f"chooses task {index}, and there are {len(tasks)}, counted from 0"
            raise part_error("scheduler", self._inner, message)
        if tasks[index].measured >= tasks[index].size:
            message = f"chooses task {index}, which has no point left"
            raise part_error("scheduler", self._inner, message)
        return index


class CheckedMeasurer:
    """A `Measurer` that gives one outcome a trial, with times if it ran. UsageError otherwise."""

    def __init__(self, measurer: Measurer) -> None:
        self._inner = measurer

    def measure(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        with blamed("measurer", self._inner):
            outcomes = iter(self._inner.measure(trials))
        for count in range(len(trials)):
            with blamed("measurer", self._inner):
                outcome = next(outcomes, None)
            yield self._checked(outcome, count, len(trials))

    def compare(self, trials: Sequence[Trial]) -> Sequence[Outcome]:
        with blamed("measurer", self._inner):
            outcomes = [*self._inner.compare(trials)][: len(trials)]
        given: list[Outcome | None] = [*outcomes, *[None] * (len(trials) - len(outcomes))]
        return [self._checked(each, count, len(trials)) for count, each in enumerate(given)]

    def close(self) -> None:
        with blamed("measurer", self._inner):
            self._inner.close()

    def _checked(self, outcome: Any, count: int, wanted: int) -> Outcome:
        if outcome is None:
            self._fail(f"gives {count} outcomes for {wanted} trials")
        if not isinstance(outcome, Outcome):
            self._fail(f"gives {outcome!r:.60}, which is no Outcome")
        if not isinstance(outcome.status, Status) or not isinstance(outcome.message, str):
            self._fail(f"gives an {outcome!r:.120}")
        if outcome.status is not Status.OK:
            return Outcome(outcome.status, (), outcome.message)
        with blamed("measurer", self._inner):
            times = tuple(float(seconds) for seconds in outcome.times)
        if not times or not all(0 < seconds < math.inf for seconds in times):
            self._fail(f"gives the times {times!r:.60} for what ran")
        return Outcome(Status.OK, times, outcome.message)

    def _fail(self, message: str) -> None:
        raise part_error("measurer", self._inner, message)


@contextmanager
def blamed(kind: str, part: object) -> Iterator[None]:
    """Turn what a plugin's part raises meanwhile into an error that names it."""
    try:
        yield
    except LeipError:
        raise
    except (Exception, SystemExit) as error:  # whatever it raises is its author's news
        if _module(part).partition(".")[0] == _ROOT:
            raise
        raise part_error(kind, part, f"raises {type(error).__name__}: {error}", error) from error


def part_error(
    kind: str, part: object, message: str, error: BaseException | None = None
) -> UsageError:
    """The error of a part that does what it must not; `error` is what it raised."""
    name, file = part_name(part), getattr(sys.modules.get(_module(part)), "__file__", None) or ""
    line = line_in(error, file) if error is not None else 0
    return UsageError(
        f"the {kind} {name} {message}",
        f"{file}:{line}" if line else file or name,
        "what was measured is in the log; --debug shows where it was called",
    )


def part_name(part: object) -> str:
    """The name of a part's class, or of the function that makes it."""
    part = _without_arguments(part)
    named = part if hasattr(part, "__qualname__") else type(part)
    return str(getattr(named, "__qualname__", ""))


def _module(part: object) -> str:
    return str(getattr(_without_arguments(part), "__module__", ""))


def _without_arguments(part: object) -> object:
    while isinstance(part, functools.partial):
        part = part.func
    return part
