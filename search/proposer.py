"""Who says which points of a task are measured next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .space import SearchSpace

__all__ = ["Proposer"]


class Proposer(Protocol):
    """The search inside one task; one object per task.

    It is told every result (also those of an earlier run, before the first proposal), so that no
    point is measured twice. The same results and seed give the same proposals.
    """

    def propose(self, count: int) -> Sequence[int]:
        """Up to `count` points that were neither measured nor proposed before; none left: empty."""
        ...

    def tell(self, point: int, seconds: float) -> None:
        """A result; infinite if the point is no legal one or failed.

        A point may be told again: with the time that a challenge, where it ran in turns with the
        best one, says is right.
        """
        ...


class ProposerFactory(Protocol):
    """Makes the proposer of a task."""

    def __call__(self, space: SearchSpace, seed: int) -> Proposer: ...
