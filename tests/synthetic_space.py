"""Spaces that need no measuring: a bowl over three knobs, with points that are no legal ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from leip.search.knob_space import TableSpace
from leip.search.measurer import Outcome, Trial
from leip.search.record import Challenge, Config, Measurement, Status

VALUES = (1, 2, 4, 8, 16, 32)
CONFIGS: list[Config] = [
    {"a": a, "b": b, "order": order}
    for a in VALUES
    for b in VALUES
    for order in ("rows", "columns", "tiles")
]
ILLEGAL = {"a": 32, "b": 32}


def bowl(config: Config) -> float:
    """Seconds; the least is at a=8, b=2, rows."""
    if all(config[name] == value for name, value in ILLEGAL.items()):
        return math.inf
    a, b = math.log2(int(config["a"])), math.log2(int(config["b"]))
    slower = {"rows": 1.0, "columns": 1.25, "tiles": 1.6}[str(config["order"])]
    return 1e-3 * slower * (1 + 0.2 * (a - 3) ** 2 + 0.3 * (b - 1) ** 2)


BEST: Config = {"a": 8, "b": 2, "order": "rows"}


def space(start: Config | None = None, *, task: str = "bowl", model: bool = False) -> TableSpace:
    """The bowl; with a model that knows only about `a`, and that wrongly by half."""
    priors = [1 + 0.1 * (math.log2(int(c["a"])) - 3) ** 2 for c in CONFIGS] if model else None
    return TableSpace(task, "bowl__any", CONFIGS, start or CONFIGS[0], priors)


class Watch:
    """An observer that keeps everything."""

    def __init__(self) -> None:
        self.records: list[tuple[int, Measurement | Challenge]] = []

    def measured(self, task: int, record: Measurement) -> None:
        self.records.append((task, record))

    def challenged(self, task: int, record: Challenge) -> None:
        self.records.append((task, record))

    def of(self, kind: type) -> list[Measurement | Challenge]:
        return [record for _, record in self.records if isinstance(record, kind)]


class Pretended:
    """A measurer of the bowl; `scale` by task text makes some tasks longer than others."""

    def __init__(self, scale: dict[str, float] | None = None, turns: int = 5) -> None:
        self.scale = scale or {}
        self.turns = turns
        self.batches: list[list[Config]] = []

    def seconds(self, trial: Trial) -> float:
        return bowl(trial.config) * self.scale.get(trial.task_text, 1.0)

    def measure(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        self.batches.append([trial.config for trial in trials])
        for trial in trials:
            seconds = self.seconds(trial)
            if math.isfinite(seconds):
                yield Outcome(Status.OK, (seconds * 1.5, seconds))
            else:
                yield Outcome(Status.INVALID, message="a and b are too large")

    def compare(self, trials: Sequence[Trial]) -> Sequence[Outcome]:
        return [Outcome(Status.OK, (self.seconds(trial),) * self.turns) for trial in trials]

    def close(self) -> None: ...
