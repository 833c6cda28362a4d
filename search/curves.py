"""How kernels and the model became faster, iteration by iteration, from the records of logs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .configs import Items, items_of
from .record import Challenge, Config, Measurement, Record
from .standing import Standing

__all__ = ["Curve", "CurveTask", "Curves", "curves"]

Curve = list[tuple[int, float]]  # (iteration, seconds from there on)


@dataclass(frozen=True)
class CurveTask:
    """A task whose curve is wanted.

    Attributes:
        weight: How often it stands in the model.
        template: Name of the template that makes it.
        source: Hash of the sources that its kernel depends on: other records do not hold.
        default: The template's default.
    """

    weight: int
    template: str
    source: str
    default: Config

    def has(self, record: Measurement | Challenge) -> bool:
        """Whether a record of this task holds."""
        return (record.template, record.source) == (self.template, self.source)


@dataclass(frozen=True)
class Curves:
    """Times over iterations.

    Attributes:
        tasks: By task key: seconds of what it would be built with. It begins with the default, or
            where the default does not run with the first that does.
        model: Seconds of all tasks together, each as often as it stands in the model. A task that
            is not measured yet counts with its first time, which is known later.
        iterations: Measurements in all.
    """

    tasks: Mapping[str, Curve]
    model: Curve
    iterations: int


def curves(
    records: Iterable[Record], tasks: Mapping[str, CurveTask], earlier: Iterable[Record] = ()
) -> Curves:
    """The curves of these tasks.

    Args:
        records: Of a log, in order.
        tasks: By key.
        earlier: Of other logs that were learnt from: no iterations.
    """
    lines = {key: _Line(task) for key, task in tasks.items()}
    iteration = 0
    for record in earlier:
        _learn(lines, record, iteration)
    for record in records:
        iteration += isinstance(record, Measurement)
        _learn(lines, record, iteration)
    found = {key: line.curve for key, line in lines.items() if line.curve}
    return Curves(found, _sum(found, tasks), iteration)


def _learn(lines: Mapping[str, _Line], record: Record, iteration: int) -> None:
    if isinstance(record, Measurement | Challenge) and record.task in lines:
        lines[record.task].learn(record, iteration)


class _Line:
    """The curve of a task while its records are read."""

    def __init__(self, task: CurveTask) -> None:
        self.curve: Curve = []
        self._task = task
        self._unit: float | None = None  # seconds of a share of 1: the default's, if that runs
        self._seconds: dict[Items, float] = {}
        self._standing = Standing()

    def learn(self, record: Measurement | Challenge, iteration: int) -> None:
        if not self._task.has(record):
            return
        if isinstance(record, Measurement):
            self._measured(record, iteration)
        elif self._standing.learn(record):
            self._won(record, iteration)

    def _measured(self, record: Measurement, iteration: int) -> None:
        key = items_of(record.config)
        self._seconds[key] = min(record.seconds, self._seconds.get(key, math.inf))
        if record.config == self._task.default and record.times and self._unit is None:
            self._unit = record.seconds
            self.curve = [(iteration, record.seconds)]

    def _won(self, record: Challenge, iteration: int) -> None:
        if record.ratio == 0:  # what it ran against does not run: its own time is all there is
            seconds = self._seconds.get(items_of(record.challenger), math.inf)
            if seconds == math.inf:
                return
            self._unit = seconds / self._standing.share
        if self._unit is not None:
            self.curve.append((iteration, self._unit * self._standing.share))


def _sum(found: Mapping[str, Curve], tasks: Mapping[str, CurveTask]) -> Curve:
    now = {key: curve[0][1] for key, curve in found.items()}
    changes = sorted(
        (iteration, key, number, seconds)
        for key, curve in found.items()
        for number, (iteration, seconds) in enumerate(curve[1:])
    )
    if not now:
        return []

    def total() -> float:
        return sum(tasks[key].weight * seconds for key, seconds in now.items())

    model = [(0, total())]
    for iteration, key, _, seconds in changes:
        now[key] = seconds
        model.append((iteration, total()))
    return model
