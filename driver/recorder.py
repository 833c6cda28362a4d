"""What a search finds, on its way into the log and to those who watch."""

from __future__ import annotations

from collections.abc import Sequence

from ..schedules.task import Task
from ..search.configs import config_of
from ..search.history import History
from ..search.log import LogContent, TuningLog
from ..search.machine import Facts
from ..search.record import (
    Challenge,
    LayoutChoice,
    Measurement,
    Status,
    TaskText,
    TransformTime,
    Verdict,
)
from ..search.standing import Standing
from ..search.status import Phase, SearchStatus, TaskStatus
from .tuning import Kernel, Watch

__all__ = ["Recorder"]


class Recorder:
    """The observer of a tuner: every record stands in the log before the next measurement begins.

    Attributes:
        log: Where records go.
        here: The machine that measures.
        history: All that is known of this machine, of other logs too; new records are added.
        status: How far the search is.
        tunable: The kernels of the tuner's tasks, in order.
    """

    def __init__(
        self,
        log: TuningLog,
        others: Sequence[LogContent],
        here: Facts,
        iterations: int,
        watch: Watch,
    ) -> None:
        self.log, self.here = log, here
        self.history = History([*others, log.content], here)
        self.status = SearchStatus(iterations)
        self.tunable: list[Kernel] = []
        self._standings: list[Standing] = []  # of these kernels
        self._watch = watch
        self._texts = {r.task for r in log.content.records if isinstance(r, TaskText)}
        self._before = len(log.content.measurements)

    @property
    def left(self) -> int:
        """Iterations that are left."""
        return self.status.iterations - self.status.done

    @property
    def measurements(self) -> int:
        """How many stand in the log."""
        return self._before + self.status.done

    def add(self, kernel: Kernel, size: int) -> None:
        """Another task of the tuner."""
        self.tunable.append(kernel)
        found = self.history.of(kernel.task, kernel.template)
        status = TaskStatus(kernel.name, kernel.weight, size, found.measured)
        default = found.seconds(config_of(kernel.default))
        if default is not None:
            status.default, status.best = default, default * found.standing.share
        self.status.tasks.append(status)
        self._standings.append(found.standing)

    def say(self, phase: Phase) -> None:
        """Tell those who watch."""
        self.status.phase = phase
        self._watch(self.status)

    def append(self, record: TransformTime | LayoutChoice | Verdict) -> None:
        """A record that is no iteration."""
        self.log.append(record)
        self.history.learn(record)

    def describe(self, task: Task) -> None:
        """Write the text of a task, if it does not stand in the log: records name its key only."""
        if task.key not in self._texts:
            self._texts.add(task.key)
            self.log.append(TaskText(task.key, task.text))

    def measured(self, task: int, record: Measurement) -> None:
        """Of the tuner: a new measurement of one of its tasks."""
        kernel, status = self.tunable[task], self.status.tasks[task]
        status.measured += 1
        if record.config == config_of(kernel.default):
            status.default = record.seconds
            status.best = status.default * self._standings[task].share
        self.status.current = status
        self.count(kernel, record)
        self.say("search")

    def challenged(self, task: int, record: Challenge) -> None:
        """Of the tuner: a config ran in turns with the best one so far."""
        self.log.append(record)
        self.history.learn(record)
        status, standing = self.status.tasks[task], self._standings[task]
        status.wins += record.won
        if standing.learn(record):
            status.best = status.default * standing.share
        self.say("search")

    def count(self, kernel: Kernel, record: Measurement) -> None:
        """A new measurement of any kernel: one iteration."""
        self.describe(kernel.task)
        self.log.append(record)
        self.history.learn(record)
        self.status.done += 1
        self.status.failed += record.status is not Status.OK
