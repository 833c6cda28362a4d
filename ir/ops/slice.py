"""slice: every step-th element of some axes, as Python's slices count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array
from .checks import need_axes, need_count

END = 2**63 - 1
"""As an end with a positive step: to the end of the axis, whatever its size."""

BEGIN = -(2**63)
"""As an end with a negative step: to the beginning of the axis, its first element included."""


@dataclass(frozen=True)
class SliceAttrs(Attrs):
    """Per entry of axes. Negative starts and ends count from the end; all are clamped."""

    axes: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    steps: tuple[int, ...]


def slice_ranges(attrs: SliceAttrs, shape: Sequence[int]) -> list[range]:
    """Which elements are taken, for every axis of the input."""
    ranges = [range(size) for size in shape]
    for axis, start, end, step in zip(attrs.axes, attrs.starts, attrs.ends, attrs.steps):
        ranges[axis] = range(*slice(start, end, step).indices(shape[axis]))
    return ranges


def _infer(attrs: SliceAttrs, x: TensorType) -> TensorType:
    """Dtype of x, sizes as Python's slices give.

    C1: axes are distinct and in [0, rank).
    C2: starts, ends and steps have one entry per axis.
    C3: no step is 0.
    """
    need_axes("slice", "C1", attrs.axes, x.rank)
    for name, values in (("starts", attrs.starts), ("ends", attrs.ends), ("steps", attrs.steps)):
        need_count("slice", "C2", name, values, len(attrs.axes))
    if 0 in attrs.steps:
        raise ConstraintError("slice", "C3", f"a step is 0 in {list(attrs.steps)} for {x}")
    return TensorType(x.dtype, tuple(len(taken) for taken in slice_ranges(attrs, x.shape)))


def _reference(attrs: SliceAttrs, x: Array) -> Array:
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(attrs.axes, attrs.starts, attrs.ends, attrs.steps):
        index[axis] = slice(start, end, step)
    return np.asarray(x[tuple(index)])


OPS = (OpDef("slice", SliceAttrs, _infer, _reference, Pattern.INJECTIVE),)
