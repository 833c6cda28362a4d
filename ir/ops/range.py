"""range: evenly spaced numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..dtypes import DType
from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish


@dataclass(frozen=True)
class RangeAttrs(Attrs):
    """start, start + delta, ... up to limit, which is not reached."""

    start: float
    limit: float
    delta: float
    dtype: DType


def _infer(attrs: RangeAttrs) -> TensorType:
    """[max(0, ceil((limit - start) / delta))] of dtype.

    C1: dtype is a float or integer dtype.
    C2: delta is not 0, and all three numbers are finite.
    C3: for an integer dtype, all three are whole.
    """
    if attrs.dtype.is_bool:
        raise ConstraintError("range", "C1", f"dtype is {attrs.dtype.short}")
    numbers = (attrs.start, attrs.limit, attrs.delta)
    if attrs.delta == 0 or not all(math.isfinite(number) for number in numbers):
        raise ConstraintError("range", "C2", f"start, limit, delta are {numbers}")
    if attrs.dtype.is_integer and any(number != math.floor(number) for number in numbers):
        raise ConstraintError("range", "C3", f"start, limit, delta are {numbers}")
    return TensorType(attrs.dtype, (_count(attrs),))


def _count(attrs: RangeAttrs) -> int:
    return max(0, math.ceil((attrs.limit - attrs.start) / attrs.delta))


def _reference(attrs: RangeAttrs) -> Array:
    if attrs.dtype.is_integer:
        steps: Array = int(attrs.start) + np.arange(_count(attrs)) * int(attrs.delta)
    else:
        steps = attrs.start + np.arange(_count(attrs), dtype=np.float64) * attrs.delta
    return finish(steps, attrs.dtype.numpy)


OPS = (OpDef("range", RangeAttrs, _infer, _reference, Pattern.INJECTIVE),)
