"""conv and conv_transpose, as written: one reduction over channels and taps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx

from ...ir.types import TensorType
from ..context import Context
from ..half import is_half
from ..half_views import widened
from ..view import Expr, View, const, guarded
from . import Compute
from .elements import cast_to
from .window import read_padded

__all__ = ["accumulator", "finished", "held", "product"]


def accumulator(out: TensorType) -> str:
    """The dtype that sums of products are kept in."""
    return "float32" if is_half(out.dtype.tvm) else out.dtype.tvm


def product(a: Expr, b: Expr, dtype: str) -> Expr:
    return cast_to(a, dtype) * cast_to(b, dtype)


def finished(view: View, out: TensorType) -> View:
    """The accumulated view in the output's dtype."""
    dtype = out.dtype.tvm
    if view.dtype == dtype:
        return view
    return View(out.shape, dtype, lambda *i: cast_to(view(*i), dtype), reach=view.reach)


def held(view: View, context: Context, hint: str) -> View:
    """The operand, as a stage if reading it is work: it is read many times."""
    return widened(view if view.cheap else context.materialise(view, hint))


def _conv(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, w = (held(v, context, h) for v, h in zip(inputs, ("conv_in", "conv_weight"), strict=True))
    out = out_types[0]
    dtype = accumulator(out)
    spatial = x.rank - 2
    kernel = w.shape[2:]
    features, channels = out.shape[1] // attrs.groups, w.shape[1]
    free = [attrs.pads[i] == 0 and attrs.pads[spatial + i] == 0 for i in range(spatial)]

    def source(index: Sequence[Expr], along: Sequence[Expr]) -> Expr:
        n, m = index[:2]
        c, taps = along[0], along[1:]
        at = [
            index[2 + i] * attrs.strides[i] + taps[i] * attrs.dilations[i] - attrs.pads[i]
            for i in range(spatial)
        ]
        channel = c if attrs.groups == 1 else m // features * channels + c
        value = read_padded(x, (n, channel), at, const(0, x.dtype), free)
        return product(value, w(m, c, *taps), dtype)

    type = context.type(dtype, out.shape)
    total = context.reduce(type, (channels, *kernel), "sum", source, "conv")
    return finished(total, out)


def _conv_transpose(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    """Gathered, not scattered: out[o] sums x[i] w[k] over o + pad = i stride + k dilation."""
    x, w = (held(v, context, h) for v, h in zip(inputs, ("conv_in", "conv_weight"), strict=True))
    out = out_types[0]
    dtype = accumulator(out)
    spatial = x.rank - 2
    features, channels = w.shape[1], x.shape[1] // attrs.groups

    def source(index: Sequence[Expr], along: Sequence[Expr]) -> Expr:
        n, m = index[:2]
        c, taps = along[0], along[1:]
        group = m // features if attrs.groups > 1 else 0
        channel = c + group * channels if attrs.groups > 1 else c
        at, checks = [], []
        for i in range(spatial):
            offset = index[2 + i] + attrs.pads[i] - taps[i] * attrs.dilations[i]
            stride = attrs.strides[i]
            at.append(offset // stride if stride > 1 else offset)
            checks += [offset >= 0, offset < (x.shape[2 + i] - 1) * stride + 1]
            if stride > 1:
                checks.append(tirx.EQ(offset % stride, 0))

        def term() -> Expr:
            return product(x(n, channel, *at), w(channel, m - group * features, *taps), dtype)

        return guarded(tirx.all(*checks), term, const(0, dtype))

    type = context.type(dtype, out.shape)
    total = context.reduce(type, (channels, *w.shape[2:]), "sum", source, "conv_transpose")
    return finished(total, out)


COMPUTE: dict[str, Compute] = {"conv": _conv, "conv_transpose": _conv_transpose}
