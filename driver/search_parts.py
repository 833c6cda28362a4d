"""The parts of the search: plugins', else plain ones until leip's own are there."""

from __future__ import annotations

import random
from typing import Any

from ..codegen.trial import TrialMeasurer
from ..search.configs import config_of
from ..search.measurer import Measurer
from ..search.registry import parts
from ..search.tuner import Tuner
from .tuning import Job


class ListedSpace:
    def __init__(self, task: Any, template: Any) -> None:
        self.task, self.template = task.key, template.name
        self._configs = [config_of(c) for c in template.space(task)]

    def __len__(self) -> int:
        return len(self._configs)

    def config(self, point: int) -> Any:
        return self._configs[point]

    def find(self, config: Any) -> Any:
        return self._configs.index(config) if config in self._configs else None

    default = 0

    def neighbours(self, point: int) -> Any:
        return [p for p in (point - 1, point + 1) if 0 <= p < len(self)]

    def features(self, point: int) -> Any:
        return [float(point)]

    def prior(self, point: int) -> float:
        return 1.0


class RandomProposer:
    def __init__(self, space: Any, seed: int) -> None:
        self.left = list(range(len(space)))
        random.Random(seed).shuffle(self.left)

    def propose(self, count: int) -> Any:
        got, self.left = self.left[:count], self.left[count:]
        return got

    def tell(self, point: int, seconds: float) -> None:
        if point in self.left:
            self.left.remove(point)


class RoundRobin:
    def __init__(self) -> None:
        self.at = -1

    def next(self, tasks: Any) -> Any:
        for i in range(len(tasks)):
            k = (self.at + 1 + i) % len(tasks)
            if tasks[k].measured < tasks[k].size:
                self.at = k
                return k
        return None


def make_space(task: Any, template: Any) -> Any:
    return ListedSpace(task, template)


def make_measurer(job: Job) -> Measurer:
    """What builds and times kernels on this machine, or what a plugin has for that."""
    if (made := parts().measurer) is not None:
        return made()
    weights = sum(n.output.type.nbytes for n in job.graph.nodes() if n.op == "constant")
    return TrialMeasurer(job.pool, cc=job.options.cc, cache=job.cache, model_weights=weights)


def make_tuner(tasks: Any, measurer: Any, recorder: Any, seed: int) -> Any:
    return Tuner(
        tasks,
        measurer,
        (parts().scheduler or RoundRobin)(),
        parts().proposer or RandomProposer,
        observer=recorder,
        seed=seed,
    )
