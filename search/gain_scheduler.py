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
SURE = 4  # batches that a task of which nothing runs yet gets before all others
UNKNOWN = 2.0  # times its bound that a task is thought to take before it was measured


class GainScheduler:
    """A `search.scheduler.Scheduler`.

    A task is expected to save a share of what lies between its best time and its bound. The share
    fades with every batch that saved nothing; where batches do save, it is what they saved. All is
    multiplied by how often the task stands in the model.

    A task whose default does not run has most to win, and no time to reckon with: it comes first
    until one of its configs runs; from its fifth batch on, it and its like get half of all batches.
    """

    def next(self, tasks: Sequence[TaskState]) -> int | None:
        open_tasks = [n for n, task in enumerate(tasks) if task.measured < task.size]
        broken = [n for n in open_tasks if _nothing_runs(tasks[n])]
        theirs = sum(len(tasks[n].history) for n in broken)
        half = 2 * theirs <= sum(len(task.history) for task in tasks)
        due = [n for n in broken if half or len(tasks[n].history) < SURE]
        if due:
            return min(due, key=lambda n: (len(tasks[n].history), n))
        known = [n for n in open_tasks if n not in broken] or open_tasks
        return max(known, key=lambda n: (self.gain(tasks[n]), -n), default=None)

    def gain(self, task: TaskState) -> float:
        """Seconds of the model's time that the next batch is expected to save."""
        best = task.best if math.isfinite(task.best) else UNKNOWN * task.bound
        room = max(best - task.bound, LEAST_ROOM * best)
        idle = _idle(task.history)
        hope = FIRST * FADES**idle * room
        return task.weight * max(hope, _recent(task.history) * FADES**idle)


def _nothing_runs(task: TaskState) -> bool:
    """Whether configs were measured and none of them gave a time."""
    return task.measured > 0 and not math.isfinite(task.best)


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
