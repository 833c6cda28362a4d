"""lrn: a window of squares along the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx

from ...ir.ops.lrn import channel_window
from ...ir.types import TensorType
from ..context import Context
from ..half_views import widened
from ..view import Expr, View, bind, const, dtype_of, guarded
from . import Compute
from .elements import cast_to


def _lrn(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x = widened(context.materialise(inputs[0], "lrn_in") if not inputs[0].cheap else inputs[0])
    before, _ = channel_window(attrs)
    channels, dtype = x.shape[1], x.dtype

    def square(out: Sequence[Expr], along: Sequence[Expr]) -> Expr:
        c = out[1] + along[0] - before
        inside = tirx.all(c >= 0, c < channels)
        return guarded(
            inside, lambda: bind(x(out[0], c, *out[2:]), lambda v: v * v), const(0, dtype)
        )

    total = context.reduce(context.type(dtype, x.shape), [attrs.size], "sum", square, "lrn_sum")

    def read(*indices: Expr) -> Expr:
        base = const(attrs.bias, dtype) + const(attrs.alpha / attrs.size, dtype) * total(*indices)
        return cast_to(
            x(*indices) * _negative_power(base, attrs.beta, context), out_types[0].dtype.tvm
        )

    return View(x.shape, out_types[0].dtype.tvm, read)


def _negative_power(base: Expr, beta: float, context: Context) -> Expr:
    """base ** -beta; the usual 0.75 by square roots."""
    dtype = dtype_of(base)
    if beta == 0.75:
        return bind(tirx.sqrt(base), lambda r: const(1, dtype) / (r * tirx.sqrt(r)))
    return context.math.libm("pow", base, const(-beta, dtype))


COMPUTE: dict[str, Compute] = {"lrn": _lrn}
