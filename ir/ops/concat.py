"""concat: inputs one after the other along an axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array
from .checks import axis_of, need_same_dtype


@dataclass(frozen=True)
class ConcatAttrs(Attrs):
    axis: int


def _infer(attrs: ConcatAttrs, *inputs: TensorType) -> TensorType:
    """The inputs' dtype and shape, the sizes along the axis added.

    C1: there is at least one input, and all have the same dtype.
    C2: axis is in [-rank, rank).
    C3: all inputs have the same rank and the same sizes on the other axes.
    """
    if not inputs:
        raise ConstraintError("concat", "C1", "there is no input")
    need_same_dtype("concat", "C1", inputs)
    first = inputs[0]
    axis = axis_of("concat", "C2", attrs.axis, first.rank)
    rest = (*first.shape[:axis], *first.shape[axis + 1 :])
    for x in inputs:
        if x.rank != first.rank or (*x.shape[:axis], *x.shape[axis + 1 :]) != rest:
            got = ", ".join(str(value) for value in inputs)
            raise ConstraintError("concat", "C3", f"inputs differ off axis {axis}: {got}")
    total = sum(x.shape[axis] for x in inputs)
    return TensorType(first.dtype, (*first.shape[:axis], total, *first.shape[axis + 1 :]))


def _reference(attrs: ConcatAttrs, *inputs: Array) -> Array:
    return np.concatenate(inputs, axis=attrs.axis)


OPS = (OpDef("concat", ConcatAttrs, _infer, _reference, Pattern.INJECTIVE),)
