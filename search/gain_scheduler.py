"""leip's own scheduler: the next batch goes where it may save most of the model's time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .scheduler import TaskState

__all__ = ["GainScheduler"]

FIRST = 0.2  # of the time above the bound that the first batch of a task is expected to save
FADES = 0.6  # of that after each batch that saved nothing
RECENT = 2  # batches whose savings say what the next will save
LEAST_ROOM = 0.03  # of the best time: bounds are for data from memory, and caches are faster
UNKNOWN = 2.0  # times its bound that a task is thought to take before it was measured


class GainScheduler:
    """A `search.scheduler.Scheduler`.

    A task is expected to save a share of what lies between its best time and its bound. The share
    fades with every batch that saved nothing; where batches do save, it is what they saved. All is
    multiplied by how often the task stands in the model.
    """

    def next(self, tasks: Sequence[TaskState]) -> int | None:
        open_tasks = [n for n, task in enumerate(tasks) if task.measured < task.size]
        return max(open_tasks, key=lambda n: (self.gain(tasks[n]), -n), default=None)

    def gain(self, task: TaskState) -> float:
        """Seconds of the model's time that the next batch is expected to save."""
        best = task.best if math.isfinite(task.best) else UNKNOWN * task.bound
        room = max(best - task.bound, LEAST_ROOM * best)
        idle = _idle(task.history)
        hope = FIRST * FADES**idle * room
        return task.weight * max(hope, _recent(task.history) * FADES**idle)


def _idle(history: Sequence[float]) -> int:
    """Batches since the last that saved something."""
    for idle in range(len(history) - 1):
        if history[-1 - idle] < history[-2 - idle]:
            return idle
    return max(len(history) - 1, 0)


def _recent(history: Sequence[float]) -> float:
    """Seconds that a batch saved of late."""
    known = [seconds for seconds in history[-1 - RECENT :] if math.isfinite(seconds)]
    return (known[0] - known[-1]) / (len(known) - 1) if len(known) > 1 else 0.0
