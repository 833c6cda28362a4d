"""Normalizations: two reduction stages (mean, variance about it), then one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tvm import tirx

from ...ir.types import TensorType
from ..context import Context
from ..half_views import widened
from ..view import Expr, View, bind, const
from . import Compute
from .elements import cast_to
from .reduce import reduce_axes


def _rsqrt(value: Expr, dtype: str) -> Expr:
    return const(1, dtype) / tirx.sqrt(value)


def _mean(total: View, count: int) -> View:
    factor = const(1 / count if count else math.nan, total.dtype)
    return View(
        total.shape, total.dtype, lambda *i: total(*i) * factor, reach=total.reach, cheap=True
    )


def _statistics(
    x: View, axes: Sequence[int], epsilon: float, context: Context
) -> tuple[View, View]:
    """Mean and 1 / sqrt(variance + epsilon) over `axes`, which are 1; the latter as a stage."""
    count = math.prod(x.shape[axis] for axis in axes)

    def small(index: Sequence[Expr]) -> list[Expr]:
        return [0 if axis in axes else i for axis, i in enumerate(index)]

    mean = _mean(reduce_axes(x, axes, "sum", context, "norm_sum"), count)

    def squared(value: Expr, index: Sequence[Expr]) -> Expr:
        return bind(value - mean(*small(index)), lambda d: d * d)

    variance = _mean(reduce_axes(x, axes, "sum", context, "norm_var", squared), count)
    return mean, _inverse(variance, epsilon, context)


def _inverse(variance: View, epsilon: float, context: Context) -> View:
    """1 / sqrt(variance + epsilon): once a row, not once an element."""
    dtype = variance.dtype
    inverse = View(
        variance.shape,
        dtype,
        lambda *i: _rsqrt(variance(*i) + const(epsilon, dtype), dtype),
        reach=variance.reach,
    )
    return context.materialise(inverse, "norm_inv")


def _tail(view: View, indices: Sequence[Expr]) -> Expr:
    return view(*indices[len(indices) - view.rank :])


def _layer_norm(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, scale, bias = (widened(view) for view in inputs)
    first = attrs.axis % x.rank
    axes = range(first, x.rank)
    mean, inverse = _statistics(x, axes, attrs.epsilon, context)
    dtype = out_types[0].dtype.tvm

    def read(*indices: Expr) -> Expr:
        row = [*indices[:first], *[0] * (x.rank - first)]
        normal = (x(*indices) - mean(*row)) * inverse(*row)
        return cast_to(normal * _tail(scale, indices) + _tail(bias, indices), dtype)

    return View(x.shape, dtype, read)


def _rms_norm(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, scale = (widened(view) for view in inputs)
    first = attrs.axis % x.rank
    axes = range(first, x.rank)
    total = reduce_axes(x, axes, "sum", context, "norm_var", lambda v, index: v * v)
    count = math.prod(x.shape[axis] for axis in axes)
    inverse = _inverse(_mean(total, count), attrs.epsilon, context)
    dtype = out_types[0].dtype.tvm

    def read(*indices: Expr) -> Expr:
        row = [*indices[:first], *[0] * (x.rank - first)]
        return cast_to(x(*indices) * inverse(*row) * _tail(scale, indices), dtype)

    return View(x.shape, dtype, read)


def _channel_reach(x: View, *parameters: View) -> tuple[int, ...]:
    """How far x and per-channel parameters [C] can all be read."""
    channels = min([x.reach[1], *(p.reach[0] for p in parameters)])
    return (x.reach[0], channels, *x.reach[2:])


def _instance_norm(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, scale, bias = (widened(view) for view in inputs)
    mean, inverse = _statistics(x, range(2, x.rank), attrs.epsilon, context)
    dtype = out_types[0].dtype.tvm

    def read(*indices: Expr) -> Expr:
        row = [*indices[:2], *[0] * (x.rank - 2)]
        normal = (x(*indices) - mean(*row)) * inverse(*row)
        return cast_to(normal * scale(indices[1]) + bias(indices[1]), dtype)

    return View(x.shape, dtype, read, reach=_channel_reach(x, scale, bias))


def _group_norm(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, scale, bias = (widened(view) for view in inputs)
    size = x.shape[1] // attrs.groups

    def grouped(n: Expr, group: Expr, channel: Expr, *rest: Expr) -> Expr:
        return x(n, group * size + channel, *rest)

    view = View((x.shape[0], attrs.groups, size, *x.shape[2:]), x.dtype, grouped, cheap=x.cheap)
    mean, inverse = _statistics(view, range(2, view.rank), attrs.epsilon, context)
    dtype = out_types[0].dtype.tvm

    def read(*indices: Expr) -> Expr:
        row = [indices[0], indices[1] // size, *[0] * (view.rank - 2)]
        normal = (x(*indices) - mean(*row)) * inverse(*row)
        return cast_to(normal * scale(indices[1]) + bias(indices[1]), dtype)

    return View(x.shape, dtype, read)


def _batch_norm(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, scale, bias, mean, variance = (widened(view) for view in inputs)
    dtype = out_types[0].dtype.tvm

    def read(*indices: Expr) -> Expr:
        c = indices[1]
        factor = scale(c) * _rsqrt(variance(c) + const(attrs.epsilon, x.dtype), x.dtype)
        return cast_to((x(*indices) - mean(c)) * factor + bias(c), dtype)

    reach = _channel_reach(x, scale, bias, mean, variance)
    return View(x.shape, dtype, read, reach=reach)


COMPUTE: dict[str, Compute] = {
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "instance_norm": _instance_norm,
    "group_norm": _group_norm,
    "rms_norm": _rms_norm,
}
