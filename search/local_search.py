"""leip's own search inside a task: around the best points, ranked by a cheap model.

The first of every batch has a value of some knob that was not tried yet (of such points the model's
favourite): what the model thinks little of is seen once. Further candidates are the points near the
best ones, the best of the analytic model, and a few from anywhere (restarts). A surrogate learned
from all measurements ranks them, and only those are measured that it expects most of. When a while
has brought nothing, the search looks where it knows least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .space import SearchSpace
from .surrogate import Surrogate, expected_gain

__all__ = ["LocalSearch"]

CENTRES = 4  # best points whose neighbourhood is searched
ELSEWHERE = 32  # points from anywhere among the candidates
MODELLED = 8  # the best of the analytic model among them
FAILED = 2.0  # how much slower than the slowest a point counts that is no legal one
STALE = 4  # measurements without a gain after which one of a batch looks where least is known
GAIN = 0.995  # of the best time: a gain


class LocalSearch:
    """A `search.proposer.Proposer`."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        self._random = np.random.default_rng(seed)
        self._times: dict[int, float] = {}
        self._open: dict[int, None] = dict.fromkeys(range(len(space)))  # a set that keeps its order
        self._best = math.inf
        self._stale = 0
        self._features = np.array([space.features(n) for n in range(len(space))], dtype=np.float64)
        priors = np.array([space.prior(n) for n in range(len(space))], dtype=np.float64)
        self._priors = np.log(np.maximum(priors, 1e-12))
        self._values = [frozenset(space.config(n).items()) for n in range(len(space))]
        self._tried: set[tuple[str, object]] = set()  # values of knobs that were measured

    def tell(self, point: int, seconds: float) -> None:
        self._stale = 0 if seconds < self._best * GAIN else self._stale + 1
        self._times[point] = seconds
        self._best = min(self._times.values())  # a point that is told again may be slower now
        self._open.pop(point, None)
        self._tried |= self._values[point]

    def propose(self, count: int) -> Sequence[int]:
        chosen: list[int] = []
        while self._open and len(chosen) < count:
            point = self._one(chosen)
            del self._open[point]
            chosen.append(point)
        return chosen

    def _one(self, before: list[int]) -> int:
        """The next point of a batch, after those that were chosen before."""
        if not math.isfinite(self._best):
            return min(self._open, key=lambda point: (self._priors[point], point))
        mean, deviation, best = self._guess(before)
        candidates = self._candidates()
        if not before and (untried := self._untried()):
            return min(untried, key=lambda point: (self._priors[point], point))
        if not before and self._stale >= STALE:
            return max(candidates, key=lambda point: (deviation[point], -point))
        some = np.array(candidates)
        gain = expected_gain(mean[some], deviation[some], best)
        order = np.lexsort((some, -gain))
        return int(some[order[0]])

    def _guess(self, before: list[int]) -> tuple[np.ndarray, np.ndarray, float]:
        """(expected log time, deviation) of all points, and log of the best time.

        Points that were chosen and not yet measured are believed to be as expected: what is chosen
        next then is not the same again.
        """
        good = [seconds for seconds in self._times.values() if math.isfinite(seconds)]
        worst = max(good) * FAILED
        measured = list(self._times)
        times = np.array([min(self._times[point], worst) for point in measured])
        if not before:
            self._fit = Surrogate(self._features, self._priors, measured, times)
            return *self._fit.predict(), math.log(self._best)
        times = np.concatenate([times, np.exp(self._fit.predict()[0][before])])
        measured = measured + before
        fit = Surrogate(self._features, self._priors, measured, times, self._fit.reach)
        return *fit.predict(), math.log(self._best)

    def _untried(self) -> list[int]:
        """Open points with a value of some knob that was never measured."""
        return [point for point in self._open if not self._values[point] <= self._tried]

    def _candidates(self) -> list[int]:
        """Open points: near the best ones, the model's favourites, and some from anywhere."""
        found: dict[int, None] = {}
        best = sorted(self._times, key=lambda point: (self._times[point], point))[:CENTRES]
        for centre in best:
            for near in self._space.neighbours(centre):
                found[near] = None
                found.update(dict.fromkeys(self._space.neighbours(near)))
        left = list(self._open)
        found.update(dict.fromkeys(sorted(left, key=lambda p: self._priors[p])[:MODELLED]))
        some = self._random.choice(len(left), size=min(ELSEWHERE, len(left)), replace=False)
        found.update(dict.fromkeys(left[int(n)] for n in some))
        return [point for point in found if point in self._open]
