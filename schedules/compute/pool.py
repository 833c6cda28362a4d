"""max_pool and avg_pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import tirx

from ...ir.ops.pool import window_counts
from ...ir.types import TensorType
from ..context import Context
from ..half_views import widened
from ..view import Expr, View, const, identity_of
from . import Compute
from .elements import cast_to
from .window import read_padded


def window_read(attrs: Any, x: View, out: Sequence[int], fill: Expr) -> Any:
    """`source(out index, taps)` of a pooling window over x, padded with `fill`."""
    spatial = x.rank - 2
    last = [
        (out[2 + i] - 1) * attrs.strides[i]
        + (attrs.kernel[i] - 1) * attrs.dilations[i]
        - attrs.pads[i]
        for i in range(spatial)
    ]
    free = [attrs.pads[i] == 0 and last[i] < x.shape[2 + i] for i in range(spatial)]

    def source(index: Sequence[Expr], taps: Sequence[Expr]) -> Expr:
        at = [
            index[2 + i] * attrs.strides[i] + taps[i] * attrs.dilations[i] - attrs.pads[i]
            for i in range(spatial)
        ]
        return read_padded(x, index[:2], at, fill, free)

    return source


def _pool_reach(x: View, shape: Sequence[int]) -> tuple[int, ...]:
    return (*x.reach[:2], *shape[2:])


def pool_source(inputs: list[View], context: Context) -> View:
    """The input, as a stage if reading it is work (a window reads everything several times)."""
    view = inputs[0]
    return widened(view if view.cheap else context.materialise(view, "pool_in"))


def _max_pool(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, out = pool_source(inputs, context), out_types[0]
    source = window_read(attrs, x, out.shape, identity_of("max", x.dtype))
    type = context.type(x.dtype, out.shape)
    reach = _pool_reach(x, out.shape)
    pad = x.pad if x.pad is not None and x.pad == 0 else None
    view = context.reduce(type, attrs.kernel, "max", source, "max_pool", reach=reach, pad=pad)
    return _finished(view, out)


def _avg_pool(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, out = pool_source(inputs, context), out_types[0]
    source = window_read(attrs, x, out.shape, const(0, x.dtype))
    type = context.type(x.dtype, out.shape)
    reach = _pool_reach(x, out.shape)
    pad = x.pad if x.pad is not None and x.pad == 0 else None
    total = context.reduce(type, attrs.kernel, "sum", source, "avg_pool", reach=reach, pad=pad)
    factors = inverse_counts(attrs, x.shape[2:])

    def read(*indices: Expr) -> Expr:
        value = total(*indices)
        for axis, table in enumerate(factors):
            value = value * _pick(table, indices[2 + axis], x.dtype)
        return cast_to(value, out.dtype.tvm)

    return View(out.shape, out.dtype.tvm, read, reach=total.reach, pad=total.pad)


def inverse_counts(attrs: Any, size: Sequence[int]) -> list[np.ndarray]:
    """Per spatial axis, 1 / the number of elements that count, for every window."""
    return [1.0 / np.maximum(counts, 1) for counts in window_counts(attrs, size)]


def _pick(table: np.ndarray, index: Expr, dtype: str) -> Expr:
    """table[index]: a constant almost everywhere, other values at the borders."""
    values, counts = np.unique(table, return_counts=True)
    common = values[np.argmax(counts)]
    result = const(common, dtype)
    for position in np.flatnonzero(table != common):
        here = index == int(position)
        result = tirx.Select(here, const(table[position], dtype), result)
    return result


def _finished(view: View, out: TensorType) -> View:
    if view.dtype == out.dtype.tvm:
        return view
    return View(
        out.shape,
        out.dtype.tvm,
        lambda *i: cast_to(view(*i), out.dtype.tvm),
        reach=view.reach,
        pad=None if view.pad is None else np.zeros((), out.dtype.numpy),
    )


COMPUTE: dict[str, Compute] = {"max_pool": _max_pool, "avg_pool": _avg_pool}
