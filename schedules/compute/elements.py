"""What computes of elementwise ops share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import tirx

from ...ir import op as ops
from ...ir.types import TensorType
from ..context import Context
from ..half import as_float32, is_half, rounded
from ..half_views import widened
from ..view import Expr, View, bind, const, dtype_of
from . import Compute

__all__ = [
    "broadcast_index",
    "cast_to",
    "elementwise",
    "is_float",
    "is_nan",
    "maximum",
    "minimum",
    "read_broadcast",
]

FAULT_INDEX, FAULT_DIVISION = 1, 2  # runtime/c/plan.h


def is_float(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat"))


def cast_to(value: Expr, dtype: str) -> Expr:
    """As numpy's astype; to bool is `!= 0`."""
    given = dtype_of(value)
    if given == dtype:
        return value
    if given == "bfloat16":
        return cast_to(as_float32(value), dtype)
    if dtype == "bfloat16":
        return bind(cast_to(value, "float32"), rounded)
    if dtype == "bool":
        return tirx.NE(value, const(0, given))
    if given == "bool":  # a Select: see `bind` for what TVM makes of casts of truth values
        return tirx.Select(value, const(1, dtype), const(0, dtype))
    if is_float(given) and not is_float(dtype) and dtype not in ("int64", "uint64"):
        return value.astype("int64").astype(dtype)  # out of range wraps, as the reference says
    return value.astype(dtype)


def broadcast_index(indices: Sequence[Expr], shape: Sequence[int]) -> list[Expr]:
    """The index into an operand of `shape` that broadcasts to where `indices` point."""
    tail = indices[len(indices) - len(shape) :]
    return [0 if size == 1 else index for index, size in zip(tail, shape, strict=True)]


def read_broadcast(view: View, shape: Sequence[int], indices: Sequence[Expr]) -> Expr:
    """An operand's element where `indices` of the broadcast result of `shape` point.

    An axis of size 1 in both that can be read beyond (into pad lanes) is read at the index rather
    than at 0: the result's lanes are then the operand's lanes for the schedule, too.
    """
    first = len(shape) - view.rank
    axes = zip(indices[first:], shape[first:], view.shape, view.reach, strict=True)
    return view(*(0 if own == 1 and (own != size or reach == 1) else index
                  for index, size, own, reach in axes))  # fmt: skip


def elementwise(op: str, element: Callable[..., Expr], *, faulting: bool = False) -> Compute:
    """The compute of an elementwise op.

    Args:
        op: Its name (its reference says what is found in pad lanes).
        element: `element(context, attrs, *operands, views) -> expression`; half floats arrive as
            float32; the result is cast to the output's dtype.
        faulting: The element may not be evaluated outside the logical shape (integer division).
    """

    @functools.wraps(element)
    def compute(
        attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
    ) -> View:
        shape, dtype = out_types[0].shape, out_types[0].dtype.tvm
        wide = [widened(view) for view in inputs]

        def read(*indices: Expr) -> Expr:
            operands = [read_broadcast(view, shape, indices) for view in wide]
            return cast_to(element(context, attrs, *operands), dtype)

        reach = shape if faulting else joint_reach(inputs, shape)
        pad = None
        if reach != shape:
            pad = _pad_value(op, attrs, inputs, shape, reach)
        return View(shape, dtype, read, reach=reach, pad=pad)

    return compute


def joint_reach(inputs: Sequence[View], shape: Sequence[int]) -> tuple[int, ...]:
    """How far all operands can be read along each axis of the (broadcast) result."""
    reach = []
    for axis, size in enumerate(shape):
        limits = []
        for view in inputs:
            own = axis - (len(shape) - view.rank)
            if own >= 0 and view.shape[own] == size and not (size == 1 == view.reach[own]):
                limits.append(view.reach[own])
        reach.append(min(limits) if limits else size)
    return tuple(reach)


def _pad_value(
    op: str, attrs: Any, inputs: Sequence[View], shape: Sequence[int], reach: Sequence[int]
) -> Any:
    """What the op gives where all operands are read beyond their shapes: the reference knows."""
    operands = []
    for view in inputs:
        if view.scalar is not None:
            operands.append(np.asarray(view.scalar))
            continue
        for axis, size in enumerate(shape):
            own = axis - (len(shape) - view.rank)
            if reach[axis] == size:
                continue
            if own < 0 or view.shape[own] != size or view.reach[own] < reach[axis]:
                return None  # broadcast along a padded axis: real values meet the padding
        if view.pad is None:
            return None
        operands.append(np.asarray(view.pad))
    with np.errstate(all="ignore"):
        return ops.get(op).evaluate(attrs, tuple(operands))[0].reshape(-1)[0]


def is_nan(value: Expr) -> Expr:
    """Whether a float is NaN, by its bits: TVM folds `x != x` to false."""
    wide = as_float32(value) if is_half(dtype_of(value)) else value
    bits, mantissa = (64, 52) if dtype_of(wide) == "float64" else (32, 23)
    dtype = f"int{bits}"
    infinity = ((1 << (bits - 1)) - 1) >> mantissa << mantissa
    magnitude = tirx.bitwise_and(tirx.reinterpret(dtype, wide), const((1 << (bits - 1)) - 1, dtype))
    return magnitude > const(infinity, dtype)


def maximum(a: Expr, b: Expr) -> Expr:
    """max(a, b); a NaN in b stays (put a constant first), and costs nothing."""
    if not is_float(dtype_of(b)):
        return tirx.max(a, b)
    return bind(b, lambda y: bind(a, lambda x: tirx.Select(x > y, x, y)))


def minimum(a: Expr, b: Expr) -> Expr:
    """min(a, b); a NaN in b stays (put a constant first)."""
    if not is_float(dtype_of(b)):
        return tirx.min(a, b)
    return bind(b, lambda y: bind(a, lambda x: tirx.Select(x < y, x, y)))
