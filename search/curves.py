"""How kernels and the model became faster, iteration by iteration, from the records of logs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .record import Challenge, Config, Measurement, Record

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
    found: dict[str, Curve] = {}
    seconds: dict[str, list[tuple[Config, float]]] = defaultdict(list)
    iteration = 0

    def learn(record: Record) -> None:
        if not isinstance(record, Measurement | Challenge):
            return
        key = record.task
        if key not in tasks or not tasks[key].has(record):
            return
        if isinstance(record, Measurement):
            seconds[key].append((record.config, record.seconds))
            if record.config == tasks[key].default and record.times and key not in found:
                found[key] = [(iteration, record.seconds)]
        elif record.won and record.ratio > 0 and key in found:
            found[key].append((iteration, found[key][-1][1] * record.ratio))
        elif record.won and record.ratio == 0:  # what it ran against does not run
            times = [time for config, time in seconds[key] if config == record.challenger]
            if times:
                found.setdefault(key, []).append((iteration, min(times)))

    for record in earlier:
        learn(record)
    for record in records:
        iteration += isinstance(record, Measurement)
        learn(record)
    return Curves(found, _sum(found, tasks), iteration)


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
