"""Who says which task gets the next iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Scheduler", "TaskState"]


@dataclass(frozen=True)
class TaskState:
    """What is known of a task while the search runs.

    Attributes:
        weight: How often it stands in the model.
        best: Seconds of its best config so far.
        bound: Seconds that no config can go below (flops at peak, or bytes at bandwidth).
        measured: Points measured so far.
        size: Points of its space.
        history: Best seconds after each batch that was given to it, first to last.
    """

    weight: int
    best: float
    bound: float
    measured: int
    size: int
    history: tuple[float, ...]


class Scheduler(Protocol):
    """Gives batches of iterations to tasks."""

    def next(self, tasks: Sequence[TaskState]) -> int | None:
        """Position of the task that gets the next batch; None if all are exhausted."""
        ...
