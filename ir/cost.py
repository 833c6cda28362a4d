"""What kernels and layout transforms cost: the protocols that passes optimize over."""

from __future__ import annotations

from typing import Protocol

from .graph import Node
from .layout import Layout
from .types import TensorType


class CostModel(Protocol):
    """Modelled times, in nanoseconds, as integers so that sums are exact and results reproducible.

    Measured times may only come from a tuning log: the same input must give the same bytes.
    """

    def kernel(self, kernel: Node, layout: Layout | None) -> int:
        """Time of a kernel node if its images stand in `layout` (None: plain).

        Differences between layouts count, and how they compare with transforms. 0: nothing runs,
        the kernel only says where its results stand (`ir/pieces.py`).
        """
        ...

    def transform(self, type: TensorType, layout: Layout | None) -> int:
        """Time of converting a value of `type` (plain or blocked) to `layout`."""
        ...


class KernelCost(Protocol):
    """Modelled times of kernels whose layouts have been chosen."""

    def as_it_is(self, kernel: Node) -> int | None:
        """Nanoseconds of a kernel node in the layouts that its values have; None: unknown."""
        ...
