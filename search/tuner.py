"""The loop of the search: scheduler, proposers, measurer, and who watches."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .checked_parts import CheckedProposer, CheckedScheduler
from .measurer import Measurer, Trial
from .noise import versus
from .proposer import ProposerFactory
from .record import Challenge, Config, Measurement, Status, now
from .scheduler import Scheduler, TaskState
from .space import SearchSpace
from .standing import Standing

__all__ = ["Observer", "TaskResult", "TuneResult", "TuneTask", "Tuner"]

WORTH = 0.99  # of the incumbent's time that a measured config must reach to challenge it
# Standard deviations of the turns' median that a challenger's ratio must be below 1. Fewer than a
# contest asks for: what wins here is judged again, as a part of the tuned object.
DEVIATIONS = 2.0
CHALLENGES = 2  # after a batch; more wait for the next one, or for the end


@dataclass(frozen=True)
class TuneTask:
    """A task to be tuned.

    Attributes:
        space: Its points.
        text: Its canonical text.
        source: Hash of the sources that the template's kernels depend on, for the records.
        weight: How often it stands in the model.
        bound: Seconds that no config can go below.
        known: Records of earlier runs that hold for it: measurements and challenges, in order.
            Those of other templates and of configs that the space has not are passed over.
        seeds: Configs to try right after the default, best first: what was good for it on other
            machines, and for tasks with the same anchor.
    """

    space: SearchSpace
    text: str
    source: str = ""
    weight: int = 1
    bound: float = 0.0
    known: tuple[Measurement | Challenge, ...] = ()
    seeds: tuple[Config, ...] = ()


@dataclass(frozen=True)
class TaskResult:
    """How a task stands at the end.

    Attributes:
        config: The best config: the one that won by most (`Standing`), else the default.
        seconds: Its least time; infinite if it was never measured.
        default_seconds: The default's least time; infinite if it was never measured.
        measured: Points measured, those of earlier runs counted.
        size: Points of the space.
    """

    config: Config
    seconds: float
    default_seconds: float
    measured: int
    size: int

    @property
    def exhausted(self) -> bool:
        return self.measured >= self.size


@dataclass(frozen=True)
class TuneResult:
    """What a run of the tuner came to.

    Attributes:
        tasks: One a task, in order.
        iterations: New measurements.
        ended: Why it ended early; "" if it did not.
    """

    tasks: tuple[TaskResult, ...]
    iterations: int
    ended: str = ""


class Observer(Protocol):
    """Told of everything as it happens; `task` is the position among the tuner's tasks."""

    def measured(self, task: int, record: Measurement) -> None:
        """A new measurement: one iteration."""
        ...

    def challenged(self, task: int, record: Challenge) -> None:
        """Incumbent and challenger ran in turns: no iteration."""
        ...


class Silent:
    """An observer that nobody hears."""

    def measured(self, task: int, record: Measurement) -> None: ...

    def challenged(self, task: int, record: Challenge) -> None: ...


@dataclass
class _State:
    """A task while it is tuned."""

    task: TuneTask
    proposer: CheckedProposer
    best: int  # the point that the task would be built with now
    standing: Standing = field(default_factory=Standing)
    seconds: dict[int, float] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)  # points that lost a challenge
    history: list[float] = field(default_factory=list)
    done: bool = False  # the proposer has nothing left

    @property
    def best_seconds(self) -> float:
        return self.seconds.get(self.best, math.inf)

    def learn(self, point: int, seconds: float) -> None:
        self.seconds[point] = seconds
        self.proposer.tell(point, seconds)

    def settle(self, record: Challenge) -> None:
        """Take over what a challenge said: it knows better than two measurements apart in time."""
        old = self.task.space.find(record.incumbent)
        new = self.task.space.find(record.challenger)
        if new is None:
            return
        if record.ratio > 0 and old in self.seconds:
            self.learn(new, self.seconds[old] * record.ratio)
        elif record.ratio == 0 and not record.won:
            self.learn(new, math.inf)  # it ran once and does not run again
        elif record.ratio == 0 and old in self.seconds:
            self.learn(old, math.inf)
        if not record.won:
            self.lost.add(new)
        elif self.standing.learn(record):
            self.best = new

    def challenger(self) -> int | None:
        """The measured point that should run against the best; of an earlier run, perhaps."""
        enough = self.best_seconds * WORTH
        found = [
            point
            for point, seconds in self.seconds.items()
            if point != self.best and point not in self.lost and seconds < enough
        ]
        return min(found, key=lambda point: (self.seconds[point], point), default=None)

    def seen(self) -> TaskState:
        size = len(self.seconds) if self.done else len(self.task.space)
        return TaskState(
            self.task.weight,
            self.best_seconds,
            self.task.bound,
            len(self.seconds),
            size,
            tuple(self.history),
        )

    def result(self) -> TaskResult:
        space = self.task.space
        return TaskResult(
            space.config(self.best),
            self.best_seconds,
            self.seconds.get(space.default, math.inf),
            len(self.seconds),
            len(space),
        )


class Tuner:
    """Gives iterations to tasks until there are none left of either.

    Args:
        tasks: What to tune; equal tasks once, with their weight.
        measurer: Builds and runs.
        scheduler: Says which task gets the next batch.
        proposers: Makes the search inside a task.
        observer: Is told of every result before the next measurement begins.
        seed: Of all random choices.
        batch: Points that are built together.
        clock: Gives the time stamps of the records.
    """

    def __init__(
        self,
        tasks: Sequence[TuneTask],
        measurer: Measurer,
        scheduler: Scheduler,
        proposers: ProposerFactory,
        *,
        observer: Observer | None = None,
        seed: int = 0,
        batch: int = 4,
        clock: Callable[[], str] = now,
    ) -> None:
        self._measurer, self._scheduler = measurer, CheckedScheduler(scheduler)
        self._observer: Observer = observer if observer is not None else Silent()
        self._batch, self._clock = batch, clock
        self._states = [self._begin(task, proposers, seed) for task in tasks]

    def run(self, iterations: int) -> TuneResult:
        """Measure so many new points, or all that are left.

        May be interrupted by any exception, KeyboardInterrupt among them: what the observer was
        told of holds, and `result` gives it.

        Raises:
            UsageError: The scheduler or a proposer is a plugin's, and does what it must not.
        """
        left = iterations
        while left > 0:
            index = self._scheduler.next([state.seen() for state in self._states])
            if index is None:
                break
            left -= self._turn(index, min(left, self._batch))
        for index, state in enumerate(self._states):
            self._challenges(index, len(state.seconds))
        return self.result(iterations - left, self._why_no_more() if left else "")

    def result(self, iterations: int = 0, ended: str = "") -> TuneResult:
        """How things stand now."""
        return TuneResult(tuple(s.result() for s in self._states), iterations, ended)

    def _why_no_more(self) -> str:
        """Why there are iterations left that nobody wants."""
        if not self._states:
            return "no kernel has a config beside its default"
        left = [s for s in self._states if len(s.seconds) < len(s.task.space)]
        if not left:
            return "every config of every kernel is measured"
        points = sum(len(s.task.space) - len(s.seconds) for s in left)
        beside = f"while {points} configs of {len(left)} kernels are not measured"
        if not all(state.done for state in left):
            return f"the scheduler {self._scheduler.name} chose no kernel any more, {beside}"
        return f"the proposer {left[0].proposer.name} proposed no more, {beside}"

    # --- one task -----------------------------------------------------------------------------

    def _begin(self, task: TuneTask, proposers: ProposerFactory, seed: int) -> _State:
        """The state of a task after what is known of it."""
        space = task.space
        own = int(hashlib.sha256(f"{seed} {space.task}".encode()).hexdigest()[:12], 16)
        state = _State(task, CheckedProposer(proposers, space, own), space.default)
        for record in task.known:
            if record.template != space.template:
                continue
            if isinstance(record, Challenge):
                state.settle(record)
            elif (point := space.find(record.config)) is not None:
                state.learn(point, min(record.seconds, state.seconds.get(point, math.inf)))
        return state

    def _turn(self, index: int, count: int) -> int:
        """Measure up to `count` points of a task; how many there were."""
        state = self._states[index]
        space = state.task.space
        points = self._next_points(state, count)
        if not points:
            state.done = True
            return 0
        outcomes = self._measurer.measure([self._trial(state, point) for point in points])
        for point, outcome in zip(points, outcomes, strict=True):
            config = space.config(point)
            record = outcome.measurement(
                space.task, space.template, state.task.source, config, self._clock()
            )
            state.learn(point, record.seconds)
            self._observer.measured(index, record)
        self._challenges(index, CHALLENGES)
        state.history.append(state.best_seconds)
        return len(points)

    def _next_points(self, state: _State, count: int) -> list[int]:
        """The default and the seeds before all others."""
        space = state.task.space
        found = [space.default, *(space.find(config) for config in state.task.seeds)]
        first = [p for p in dict.fromkeys(found) if p is not None and p not in state.seconds]
        if first:
            return first[:count]
        return list(state.proposer.propose(count))

    def _challenges(self, index: int, most: int) -> None:
        """Let points that were measured to be faster than the best one prove it, fastest first."""
        for _ in range(most):
            point = self._states[index].challenger()
            if point is None:
                return
            self._challenge(index, point)

    def _challenge(self, index: int, point: int) -> None:
        """Run the incumbent and a point in turns; the point wins beyond the noise only."""
        state = self._states[index]
        space = state.task.space
        ratio, noise, won = 0.0, 0.0, True  # nothing to compare with: the incumbent does not run
        if state.best_seconds < math.inf:
            trials = [self._trial(state, state.best), self._trial(state, point)]
            old, new = self._measurer.compare(trials)
            if new.status is not Status.OK:
                won = False
            elif old.status is Status.OK:
                ratios = [after / before for before, after in zip(old.times, new.times)]
                ratio, noise = versus(ratios, DEVIATIONS)
                won = ratio < 1.0 - noise
        record = Challenge(
            task=space.task,
            template=space.template,
            source=state.task.source,
            incumbent=space.config(state.best),
            challenger=space.config(point),
            ratio=ratio,
            noise=noise,
            won=won,
            stamp=self._clock(),
        )
        state.settle(record)
        self._observer.challenged(index, record)

    def _trial(self, state: _State, point: int) -> Trial:
        space = state.task.space
        return Trial(state.task.text, space.template, space.config(point))
