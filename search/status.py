"""How far a search is: what a live view shows."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Phase", "SearchStatus", "TaskStatus"]

Phase = Literal["start", "layouts", "search", "comparing", "done"]  # in this order

FIRST = 8  # iterations that begin with loading and references: no time is foretold from them


@dataclass
class TaskStatus:
    """One task while it is tuned.

    Attributes:
        name: For people.
        weight: How often it stands in the model.
        size: Points of its space.
        measured: Those measured, in earlier runs too.
        default: Seconds of the template's default; infinite while unknown.
        best: Seconds of what the task would be built with now.
        wins: Challenges that were won.
    """

    name: str
    weight: int
    size: int
    measured: int = 0
    default: float = math.inf
    best: float = math.inf
    wins: int = 0

    @property
    def gain(self) -> float:
        """The part of the default's time that is saved."""
        known = math.isfinite(self.best) and math.isfinite(self.default)
        return 1 - self.best / self.default if known and self.default else 0.0


@dataclass
class SearchStatus:
    """A search while it runs.

    Attributes:
        iterations: What was asked for.
        tasks: All that have more than one point.
        done: New measurements.
        failed: Those of them that gave no time.
        current: The task measured last.
        phase: What goes on.
        started: Of `time.perf_counter`.
    """

    iterations: int
    tasks: list[TaskStatus] = field(default_factory=list)
    done: int = 0
    failed: int = 0
    current: TaskStatus | None = None
    phase: Phase = "search"
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Since the search began."""
        return time.perf_counter() - self.started

    @property
    def left(self) -> float:
        """Seconds that the iterations left take at the speed so far; infinite at the start.

        There may be fewer configs than iterations.
        """
        if self.done < FIRST:
            return math.inf
        left = self.iterations - self.done
        if self.tasks:
            left = min(left, sum(max(0, task.size - task.measured) for task in self.tasks))
        return self.seconds / self.done * left

    @property
    def default(self) -> float:
        """Seconds of all measured tasks with their defaults."""
        return sum(t.weight * t.default for t in self.tasks if math.isfinite(t.default))

    @property
    def best(self) -> float:
        """Seconds of the same tasks with the best configs so far."""
        return sum(
            t.weight * min(t.best, t.default) for t in self.tasks if math.isfinite(t.default)
        )

    @property
    def gain(self) -> float:
        """The part of the defaults' time that is saved."""
        return 1 - self.best / self.default if self.default else 0.0
