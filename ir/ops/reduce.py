"""Reductions over explicit axes, and argmax/argmin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..dtypes import DType
from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish, is_floating, precise, wide
from .checks import Kind, axis_of, need_axes, need_kind
from .flops import per_input

Infer = Callable[..., TensorType]


@dataclass(frozen=True)
class ReduceAttrs(Attrs):
    """axes: counted from the front; none of them reduces nothing."""

    axes: tuple[int, ...]
    keepdims: bool = True


@dataclass(frozen=True)
class ArgAttrs(Attrs):
    """last: among equals take the last one."""

    axis: int
    keepdims: bool = True
    last: bool = False


def reduced_shape(shape: Sequence[int], axes: Sequence[int], keepdims: bool) -> tuple[int, ...]:
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _reduction(op: str, kind: Kind) -> Infer:
    def infer(attrs: ReduceAttrs, x: TensorType) -> TensorType:
        need_kind(op, "C1", "x", x, kind)
        need_axes(op, "C2", attrs.axes, x.rank)
        return TensorType(x.dtype, reduced_shape(x.shape, attrs.axes, attrs.keepdims))

    infer.__doc__ = f"""Dtype of x; the axes become 1 or go.

    C1: x has {kind.value}.
    C2: axes are distinct and in [0, rank).
    """
    return infer


def _arg_infer(op: str) -> Infer:
    def infer(attrs: ArgAttrs, x: TensorType) -> TensorType:
        """Positions along the axis, i64.

        C1: x has a float or integer dtype.
        C2: axis is in [-rank, rank).
        C3: the axis is not empty.
        """
        need_kind(op, "C1", "x", x, Kind.NUMBER)
        axis = axis_of(op, "C2", attrs.axis, x.rank)
        if x.shape[axis] == 0:
            raise ConstraintError(op, "C3", f"axis {axis} of {x} is empty")
        return TensorType(DType.I64, reduced_shape(x.shape, (axis,), attrs.keepdims))

    return infer


def _sum(attrs: ReduceAttrs, x: Array) -> Array:
    """Integers wrap in their own dtype."""
    wider = np.float64 if is_floating(x.dtype) else x.dtype
    total = np.sum(wide(x), axis=attrs.axes, dtype=wider, keepdims=attrs.keepdims)
    return finish(total, x.dtype)


def _prod(attrs: ReduceAttrs, x: Array) -> Array:
    wider = np.float64 if is_floating(x.dtype) else x.dtype
    total = np.prod(wide(x), axis=attrs.axes, dtype=wider, keepdims=attrs.keepdims)
    return finish(total, x.dtype)


def _mean(attrs: ReduceAttrs, x: Array) -> Array:
    """Integer means truncate towards zero."""
    count = int(np.prod([x.shape[axis] for axis in attrs.axes], dtype=np.int64))
    if is_floating(x.dtype):
        total = np.sum(wide(x), axis=attrs.axes, dtype=np.float64, keepdims=attrs.keepdims)
        return finish(np.divide(total, count), x.dtype)
    total = np.sum(x, axis=attrs.axes, keepdims=attrs.keepdims, dtype=np.int64)
    return finish(np.trunc(precise(total) / max(count, 1)).astype(np.int64), x.dtype)


def _limits(dtype: np.dtype) -> tuple[float, float]:
    """Lowest and highest value."""
    if is_floating(dtype):
        return -np.inf, np.inf
    if dtype == np.bool_:
        return False, True
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _max(attrs: ReduceAttrs, x: Array) -> Array:
    """The maximum of nothing is the lowest value."""
    low, _ = _limits(x.dtype)
    return finish(np.max(wide(x), axis=attrs.axes, keepdims=attrs.keepdims, initial=low), x.dtype)


def _min(attrs: ReduceAttrs, x: Array) -> Array:
    _, high = _limits(x.dtype)
    return finish(np.min(wide(x), axis=attrs.axes, keepdims=attrs.keepdims, initial=high), x.dtype)


def _arg(choose: Callable[..., Array]) -> Callable[[ArgAttrs, Array], Array]:
    def reference(attrs: ArgAttrs, x: Array) -> Array:
        v = wide(x)
        if attrs.last:
            flipped = choose(np.flip(v, attrs.axis), axis=attrs.axis, keepdims=attrs.keepdims)
            return finish(x.shape[attrs.axis] - 1 - flipped, np.dtype(np.int64))
        index = choose(v, axis=attrs.axis, keepdims=attrs.keepdims)
        return finish(index, np.dtype(np.int64))

    return reference


def _define(name: str, kind: Kind, reference: Callable[[ReduceAttrs, Array], Array]) -> OpDef:
    infer = _reduction(name, kind)
    return OpDef(name, ReduceAttrs, infer, reference, Pattern.REDUCTION, per_input)


OPS = (
    _define("reduce_sum", Kind.NUMBER, _sum),
    _define("reduce_mean", Kind.NUMBER, _mean),
    _define("reduce_max", Kind.ANY, _max),
    _define("reduce_min", Kind.ANY, _min),
    _define("reduce_prod", Kind.NUMBER, _prod),
    OpDef("argmax", ArgAttrs, _arg_infer("argmax"), _arg(np.argmax), Pattern.REDUCTION, per_input),
    OpDef("argmin", ArgAttrs, _arg_infer("argmin"), _arg(np.argmin), Pattern.REDUCTION, per_input),
)
