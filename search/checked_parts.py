"""Parts of the search, checked: a plugin's may raise anything, or say what makes no sense.

The errors are those of `blame.py`.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from ..schedules.select import default_config
from ..schedules.task import Task
from ..schedules.template import Template, config_text
from .blame import blamed, is_ours, part_error, part_name
from .configs import config_fault, config_of
from .encoding import LONGEST, SHORTEST
from .measurer import Measurer, Outcome, Trial
from .proposer import Proposer, ProposerFactory
from .record import Config, Status
from .scheduler import Scheduler, TaskState
from .space import SearchSpace, SpaceFactory

__all__ = [
    "CheckedMeasurer",
    "CheckedProposer",
    "CheckedScheduler",
    "CheckedSpace",
]


class CheckedSpace:
    """A `SearchSpace` of a template's configs, each once, its default among them.

    UsageError otherwise: while it is made, or when a point is asked for that makes no sense.
    """

    def __init__(self, spaces: SpaceFactory, task: Task, template: Template) -> None:
        self.task, self.template = task.key, template.name
        self._usual = config_of(default_config(template, task))
        self._part: object = spaces
        self._width = -1  # of the features; not known yet
        with blamed("space", spaces):
            self._inner = spaces(task, template)
            if not is_ours(self._inner):  # a function may make one of leip's own
                self._part = self._inner
            self._size = len(self._inner)
            default = self._inner.default
        self.default = self._point(default, "starts from")
        if (start := self.config(self.default)) != self._usual:
            self._fail(f"starts from {_text(start)}, and the default is {_text(self._usual)}")

    def __len__(self) -> int:
        return self._size

    def config(self, point: int) -> Config:
        with blamed("space", self._part):
            config = self._inner.config(point)
        if not isinstance(config, Mapping):
            self._fail(f"gives {config!r:.60} as point {point}, which is no config")
        if fault := config_fault(config, self._usual):
            self._fail(f"gives {dict(config)!r:.80} as point {point}: {fault}")
        with blamed("space", self._part):
            found = self._inner.find(config)
        if found != point:
            self._fail(f"gives {_text(config)} as point {point}, and finds it as {found!r:.20}")
        return config

    def find(self, config: Config) -> int | None:
        if config_fault(config, self._usual):  # of a log, which people may have edited
            return None
        with blamed("space", self._part):
            point = self._inner.find(config)
        return None if point is None else self._point(point, "finds")

    def neighbours(self, point: int) -> Sequence[int]:
        with blamed("space", self._part):
            beside = [*itertools.islice(self._inner.neighbours(point), self._size + 1)]
        return [self._point(each, f"has beside point {point}") for each in beside]

    def features(self, point: int) -> Sequence[float]:
        self.prior(point)  # often one of them
        with blamed("space", self._part):
            row = [float(number) for number in self._inner.features(point)]
        if not all(map(math.isfinite, row)):
            self._fail(f"gives the features {row!r:.60} of point {point}")
        if self._width not in (-1, len(row)):
            self._fail(f"gives {len(row)} features of point {point}, and {self._width} of others")
        self._width = len(row)
        return row

    def prior(self, point: int) -> float:
        with blamed("space", self._part):
            cost = float(self._inner.prior(point))
        if not 0 <= cost < math.inf:
            self._fail(f"gives the cost {cost} of point {point}")
        return cost

    def _point(self, point: Any, what: str) -> int:
        with blamed("space", self._part):
            number = operator.index(point)
        if not 0 <= number < self._size:
            self._fail(f"{what} point {number}, and it has {self._size}")
        return number

    def _fail(self, message: str) -> NoReturn:
        raise part_error("space", self._part, message)


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

    def _fail(self, message: str) -> NoReturn:
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
        if not times or not all(SHORTEST <= seconds <= LONGEST for seconds in times):
            self._fail(f"gives the times {times!r:.60} for what ran")
        return Outcome(Status.OK, times, outcome.message)

    def _fail(self, message: str) -> NoReturn:
        raise part_error("measurer", self._inner, message)


def _text(config: Config) -> str:
    return f"{{{config_text(config)}}}"
