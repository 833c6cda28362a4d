"""Reductions over explicit axes, and argmax/argmin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import tirx

from ...ir import levels
from ...ir.dtypes import DType
from ...ir.ops.reduce import reduced_shape
from ...ir.types import TensorType
from ..context import Context
from ..half import is_half
from ..half_views import widened
from ..view import Expr, View, bind, const, dtype_of
from . import Compute
from .elements import cast_to, is_float, is_nan

__all__ = ["kept_index", "post", "reduce_axes"]

ACCUMULATOR = {"sum": "sum", "mean": "sum", "max": "max", "min": "min", "prod": "prod"}


def reduce_axes(
    x: View,
    axes: Sequence[int],
    combine: str,
    context: Context,
    hint: str,
    element: Callable[[Expr, Sequence[Expr]], Expr] | None = None,
    dtype: str | None = None,
) -> View:
    """A reduction stage of `x` over `axes`, which become 1.

    Args:
        x: What is reduced; half floats are read as float32.
        axes: Counted from the front.
        combine: `sum`, `max`, `min` or `prod`.
        context: Names the stage and chooses its layout.
        hint: Its name.
        element: `element(value, full logical index)`, applied before combining.
        dtype: Dtype of the result (default: that of the widened x).

    Returns:
        View of shape of `x` with 1 at the axes.
    """
    wide = widened(x)
    axes = tuple(sorted(axes))
    shape = reduced_shape(x.shape, axes, True)
    dtype = dtype or wide.dtype

    def source(out: Sequence[Expr], along: Sequence[Expr]) -> Expr:
        index = list(out)
        for axis, variable in zip(axes, along, strict=True):
            index[axis] = variable
        value = wide(*index)
        return element(value, index) if element is not None else value

    type = context.type(dtype, shape)
    reach = tuple(1 if axis in axes else size for axis, size in enumerate(x.reach))
    keeps_zero = element is None and x.pad is not None and x.pad == 0 and reach != shape
    pad = np.zeros((), DType.parse(dtype).numpy) if keeps_zero else None
    extents = [x.shape[axis] for axis in axes]
    if context.row_lanes and type.layout is None and axes == tuple(range(axes[0], x.rank)):
        return context.reduce_row(type, extents, combine, source, hint)
    return context.reduce(type, extents, combine, source, hint, reach=reach, pad=pad)


def kept_index(indices: Sequence[Expr], axes: Sequence[int], keepdims: bool) -> list[Expr]:
    """The index into a reduced tensor whose axes are kept as 1, from one of the op's output."""
    if keepdims:
        return list(indices)
    rank = len(indices) + len(axes)
    rest = iter(indices)
    return [0 if axis in axes else next(rest) for axis in range(rank)]


def post(
    view: View,
    shape: Sequence[int],
    dtype: str,
    index: Callable[[Sequence[Expr]], Sequence[Expr]] | None,
    element: Callable[[Expr], Expr] | None = None,
) -> View:
    """A view of another view: another index, then a function of the element, then a cast."""
    if index is None and element is None and view.dtype == dtype:
        return view

    def read(*indices: Expr) -> Expr:
        value = view(*(index(indices) if index is not None else indices))
        return cast_to(element(value) if element is not None else value, dtype)

    reach = view.reach if index is None else None
    keeps = index is None and element is None
    return View(shape, dtype, read, reach=reach, pad=view.pad if keeps else None, cheap=view.cheap)


def _reduce(name: str) -> Compute:
    combine = ACCUMULATOR[name]

    def compute(
        attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
    ) -> View:
        x, out = inputs[0], out_types[0]
        if not attrs.axes:
            return x
        source, dtype = _numbers(x, name, context.level)
        total = reduce_axes(source, attrs.axes, combine, context, name, dtype=dtype)
        count = math.prod(x.shape[axis] for axis in attrs.axes)
        index = None if attrs.keepdims else (lambda i: kept_index(i, attrs.axes, False))
        element = (lambda v: _mean_of(v, count)) if name == "mean" else None
        result = post(total, out.shape, out.dtype.tvm, index, element)
        if name == "mean" and index is None and total.pad is not None:
            result.pad = total.pad
        return result

    return compute


def _numbers(x: View, name: str, level: int) -> tuple[View, str]:
    """What is accumulated, and in which dtype: bool as uint8, integer means as int64.

    At level 1 a sum of floats has one accumulator: a double, for ten million terms would lose it
    two digits. From level 2 on there are many.
    """
    if x.dtype == "bool":
        return _cast_view(x, "uint8"), "uint8"
    if name == "mean" and not is_float(x.dtype):
        return _cast_view(x, "int64"), "int64"
    if (
        level == levels.ORACLE
        and name in ("sum", "mean")
        and (x.dtype == "float32" or is_half(x.dtype))
    ):
        return _cast_view(x, "float64"), "float64"
    return x, "float32" if is_half(x.dtype) else x.dtype


def _cast_view(x: View, dtype: str) -> View:
    pad = None if x.pad is None else np.asarray(x.pad).astype(dtype)
    return View(
        x.shape, dtype, lambda *i: cast_to(x(*i), dtype), reach=x.reach, pad=pad, cheap=x.cheap
    )


def _mean_of(total: Expr, count: int) -> Expr:
    dtype = dtype_of(total)
    if not is_float(dtype):
        return tirx.truncdiv(total, const(max(count, 1), dtype))
    if count == 0:
        return tirx.const(math.nan, dtype)
    if count & (count - 1) == 0:
        return total * const(1 / count, dtype)  # exact
    return total / const(count, dtype)


def _arg(largest: bool) -> Compute:
    """Two stages: the extremum, then the first (or last) place where it stands."""

    def compute(
        attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
    ) -> View:
        x, out = widened(inputs[0]), out_types[0]
        axis = attrs.axis % x.rank
        size = x.shape[axis]
        best = reduce_axes(x, (axis,), "max" if largest else "min", context, "extremum")
        nowhere = -1 if attrs.last else size

        def place(value: Expr, index: Sequence[Expr]) -> Expr:
            top = best(*(0 if i == axis else j for i, j in enumerate(index)))
            here = tirx.EQ(value, top)
            if is_float(x.dtype):
                here = bind(value, lambda v: tirx.Or(tirx.EQ(v, top), is_nan(v)))
            position = index[axis]
            position = const(position, "int32") if isinstance(position, int) else position
            return tirx.Select(here, position.astype("int32"), const(nowhere, "int32"))

        combine = "max" if attrs.last else "min"
        where = reduce_axes(x, (axis,), combine, context, "place", place, "int32")
        index = None if attrs.keepdims else (lambda i: kept_index(i, (axis,), False))
        return post(where, out.shape, "int64", index)

    return compute


COMPUTE: dict[str, Compute] = {
    **{f"reduce_{name}": _reduce(name) for name in ACCUMULATOR},
    "argmax": _arg(largest=True),
    "argmin": _arg(largest=False),
}
