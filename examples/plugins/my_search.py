"""A search of your own: simulated annealing. Use it with `leip compile … --plugin my_search.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from leip.plugin import register_search
from leip.search.space import SearchSpace

HOT = 0.3  # how much slower a point may be, about, to be walked to in the beginning
COOLING = 0.97  # of the temperature, per measurement


class Annealing:
    """Walks from neighbour to neighbour: downhill always, uphill the less the later it is."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space, self.random = space, np.random.default_rng(seed)
        self.here, self.seconds, self.temperature = space.default, math.inf, HOT
        self.seen: set[int] = set()

    def tell(self, point: int, seconds: float) -> None:
        self.seen.add(point)
        self.temperature *= COOLING
        if seconds < math.inf and self._goes_to(seconds):
            self.here, self.seconds = point, seconds

    def _goes_to(self, seconds: float) -> bool:
        if seconds <= self.seconds:
            return True
        uphill = math.log(seconds / self.seconds)
        return bool(self.random.random() < math.exp(-uphill / self.temperature))

    def propose(self, count: int) -> Sequence[int]:
        chosen = []
        while len(chosen) < count and len(self.seen) < len(self.space):
            beside = [p for p in self.space.neighbours(self.here) if p not in self.seen]
            left = beside or [p for p in range(len(self.space)) if p not in self.seen]
            point = left[int(self.random.integers(len(left)))]
            self.seen.add(point)
            chosen.append(point)
        return chosen


register_search(proposer=Annealing)
