"""Points at random: what every other search has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .space import SearchSpace

__all__ = ["RandomSearch"]


class RandomSearch:
    """A `search.proposer.Proposer` that goes through the space in a random order."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(space))
        self._left = dict.fromkeys(int(point) for point in order)

    def tell(self, point: int, seconds: float) -> None:
        self._left.pop(point, None)

    def propose(self, count: int) -> Sequence[int]:
        chosen = list(self._left)[:count]
        for point in chosen:
            del self._left[point]
        return chosen
