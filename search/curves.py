"""How kernels and the model became faster, iteration by iteration, from the records of a log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .record import Challenge, Config, Measurement, Record

__all__ = ["Curves", "Curve", "curves"]

Curve = list[tuple[int, float]]  # (iteration, seconds from there on)


@dataclass(frozen=True)
class Curves:
    """Times over iterations.

    Attributes:
        tasks: By task key: seconds of what it would be built with.
        model: Seconds of all tasks together, each as often as it stands in the model. A task that
            is not measured yet counts with its default's time, which is known later.
        iterations: Measurements in all.
    """

    tasks: Mapping[str, Curve]
    model: Curve
    iterations: int


def curves(
    records: Iterable[Record], weights: Mapping[str, int], defaults: Mapping[str, Config]
) -> Curves:
    """The curves of these tasks.

    Args:
        records: Of a log, in order.
        weights: How often each task stands in the model, by key.
        defaults: The template's default of each.
    """
    tasks: dict[str, Curve] = {}
    iteration = 0
    for record in records:
        if isinstance(record, Measurement):
            iteration += 1
            key = record.task
            is_default = key in weights and record.config == defaults[key]
            if is_default and record.times and key not in tasks:
                tasks[key] = [(iteration, record.seconds)]
        elif isinstance(record, Challenge) and record.won and record.task in tasks:
            curve = tasks[record.task]
            if record.ratio > 0:
                curve.append((iteration, curve[-1][1] * record.ratio))
    return Curves(tasks, _sum(tasks, weights), iteration)


def _sum(tasks: Mapping[str, Curve], weights: Mapping[str, int]) -> Curve:
    now = {key: curve[0][1] for key, curve in tasks.items()}
    changes = sorted(
        (iteration, key, seconds)
        for key, curve in tasks.items()
        for iteration, seconds in curve[1:]
    )
    if not now:
        return []

    def total() -> float:
        return sum(weights[key] * seconds for key, seconds in now.items())

    model = [(0, total())]
    for iteration, key, seconds in changes:
        now[key] = seconds
        model.append((iteration, total()))
    return model
