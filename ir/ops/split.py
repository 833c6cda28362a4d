"""split: consecutive pieces along an axis (the canonical form is slices)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array
from .checks import axis_of


@dataclass(frozen=True)
class SplitAttrs(Attrs):
    """sizes: of the pieces along the axis."""

    axis: int
    sizes: tuple[int, ...]


def _infer(attrs: SplitAttrs, x: TensorType) -> tuple[TensorType, ...]:
    """One output per entry of sizes.

    C1: axis is in [-rank, rank).
    C2: sizes are not negative and add up to the size of the axis.
    """
    axis = axis_of("split", "C1", attrs.axis, x.rank)
    if any(size < 0 for size in attrs.sizes) or sum(attrs.sizes) != x.shape[axis]:
        text = f"sizes {list(attrs.sizes)} do not add up to axis {axis} of {x}"
        raise ConstraintError("split", "C2", text)
    return tuple(
        TensorType(x.dtype, (*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in attrs.sizes
    )


def _reference(attrs: SplitAttrs, x: Array) -> tuple[Array, ...]:
    borders = list(itertools.accumulate(attrs.sizes))[:-1]
    return tuple(np.split(x, borders, axis=attrs.axis))


OPS = (OpDef("split", SplitAttrs, _infer, _reference, Pattern.INJECTIVE),)
