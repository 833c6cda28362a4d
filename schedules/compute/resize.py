"""resize: per axis a few input positions and weights, one axis inside the other.

Of plain images that are sampled along the innermost axis and others, all axes but the last are
stages of their own (`_by_stages`).

Which positions and weights is known at compile time. They are written as a formula where one
gives the same table, else as a chain of steps; tables that are worth it are stages of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx

from ...ir.ops.resize import axis_taps, outside, positions
from ...ir.types import TensorType
from ..context import Context
from ..half_views import widened
from ..view import Expr, View, const
from . import Compute
from .elements import cast_to

Table = Callable[[Expr], Expr]


def _steps(values: np.ndarray, dtype: str) -> Table:
    """values[i] as a chain of selects over its runs of equal values."""
    starts = [0, *(np.flatnonzero(np.diff(values)) + 1)]

    def read(index: Expr) -> Expr:
        if isinstance(index, int):
            return const(values[index], dtype)
        result = const(values[0], dtype)
        for start in starts[1:]:
            result = tirx.Select(index >= int(start), const(values[start], dtype), result)
        return result

    return read


def _rational(values: np.ndarray) -> Table | None:
    """values[i] as (a i + b) // c, clamped, if small a, b, c give exactly this table."""
    count = len(values)
    low, high = int(values.min()), int(values.max())
    places = np.arange(count)
    for c in range(1, 9):
        for a in range(9):
            for b in range(-2 * c, 2 * c + 1):
                if np.array_equal(np.clip((a * places + b) // c, low, high), values):
                    formula = (a, b, c)
                    return lambda i: _clamped(i, *formula, count, low, high)
    return None


def _clamped(i: Expr, a: int, b: int, c: int, count: int, low: int, high: int) -> Expr:
    value = (i * a + b) // c
    if b // c < low:
        value = tirx.max(value, low)
    if (a * (count - 1) + b) // c > high:
        value = tirx.min(value, high)
    return value


@dataclass(frozen=True)
class _Axis:
    """How one axis is sampled: pairs of position and weight (None: 1)."""

    taps: list[tuple[Table, Table | None]]


def _stage(table: Table, count: int, context: Context, hint: str) -> Table:
    """The table held in memory, so that it is computed once."""
    name = context.name(hint)
    tensor = te.compute((count,), lambda i: table(i), name=name)
    context.record(name, tensor)
    return lambda i: tensor(i)


def _index_table(values: np.ndarray, context: Context) -> Table:
    formula = _rational(values)
    if formula is not None:
        return formula
    return _stage(_steps(values, "int32"), len(values), context, "resize_index")


def _weight_table(values: np.ndarray, dtype: str, context: Context) -> Table:
    if len(np.unique(values)) == 1:
        return lambda i: const(values[0], dtype)
    return _stage(_steps(values, dtype), len(values), context, "resize_weight")


def _axis(attrs: Any, axis: int, size: int, count: int, dtype: str, context: Context) -> _Axis:
    index, weights = axis_taps(attrs, axis, size, count)
    at = positions(attrs, axis, size, count)
    if attrs.mode == "nearest" and size == count and np.array_equal(index[:, 0], np.arange(size)):
        return _Axis([(lambda i: i, None)])
    if attrs.mode == "nearest":
        return _Axis([(_index_table(index[:, 0], context), None)])
    if size == count and np.array_equal(at, np.arange(size)):
        return _Axis([(lambda i: i, None)])
    return _Axis(
        [
            (_index_table(index[:, k], context), _weight_table(weights[:, k], dtype, context))
            for k in range(index.shape[1])
        ]
    )


def _sum(x: View, axes: Sequence[_Axis], indices: Sequence[Expr], *at: Expr) -> Expr:
    """The weighted sum over the taps of all axes, the inner ones inside: w0 (v0 a + v1 b) + …"""
    if len(at) == len(axes):
        return x(*at)
    total: Expr = None
    for index, weight in axes[len(at)].taps:
        i = indices[len(at)]
        term = _sum(x, axes, indices, *at, index(i))
        if weight is not None:
            term = term * weight(i)
        total = term if total is None else total + term
    return total


def _by_stages(
    x: View, axes: list[_Axis], out: TensorType, context: Context
) -> tuple[View, list[_Axis]]:
    """What is to be sampled, and what along each axis: one axis, of stages that did the others.

    Along the innermost stored axis elements are gathered, which takes as long as a dozen sums; so
    that is done for as few rows as there are: after rows become fewer, before they become more.
    Along other axes vectors are read as they stand, and all are of blocked images.
    """
    sampled = [axis for axis, one in enumerate(axes) if len(one.taps) > 1]
    if out.layout is not None or len(sampled) < 2 or sampled[-1] != x.rank - 1:
        return x, axes
    grows = [count >= size for size, count in zip(x.shape, out.shape, strict=True)]
    sampled.sort(key=lambda axis: (grows[axis], -axis if grows[axis] else axis))
    whole = _Axis([(lambda i: i, None)])
    for axis in sampled[:-1]:
        alone = [one if a == axis else whole for a, one in enumerate(axes)]
        shape = [out.shape[a] if a == axis else size for a, size in enumerate(x.shape)]
        x = context.materialise(_sampled(x, alone, shape), "resized")
        axes = [whole if a == axis else one for a, one in enumerate(axes)]
    return x, axes


def _sampled(x: View, axes: list[_Axis], shape: list[int]) -> View:
    return View(shape, x.dtype, lambda *indices: _sum(x, axes, indices))


def _resize(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    out = out_types[0]
    x = inputs[0] if attrs.mode == "nearest" else widened(inputs[0])
    if math.prod(out.shape) == 0:
        return View(out.shape, out.dtype.tvm, lambda *_: const(0, out.dtype.tvm))
    if attrs.mode != "nearest" and not x.cheap:
        x = context.materialise(x, "resize_in")
    axes = [
        _axis(attrs, axis, size, count, x.dtype, context)
        for axis, (size, count) in enumerate(zip(x.shape, out.shape, strict=True))
    ]
    beyond = [
        _steps(outside(attrs, axis, size, count).astype(np.int32), "int32")
        if outside(attrs, axis, size, count).any()
        else None
        for axis, (size, count) in enumerate(zip(x.shape, out.shape, strict=True))
    ]

    x, axes = _by_stages(x, axes, out, context)

    def read(*indices: Expr) -> Expr:
        value = cast_to(_sum(x, axes, indices), out.dtype.tvm)
        fill = const(attrs.extrapolation_value, out.dtype.tvm)
        for table, i in zip(beyond, indices, strict=True):
            if table is not None:
                value = tirx.Select(tirx.NE(table(i), const(0, "int32")), fill, value)
        return value

    same = [size == count for size, count in zip(x.shape, out.shape, strict=True)]
    reach = [r if whole else n for r, whole, n in zip(x.reach, same, out.shape, strict=True)]
    zero = x.pad is not None and x.pad == 0 and not any(beyond)
    return View(out.shape, out.dtype.tvm, read, reach=reach, pad=x.pad if zero else None)


COMPUTE: dict[str, Compute] = {"resize": _resize}
