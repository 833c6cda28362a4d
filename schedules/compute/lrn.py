"""lrn: a window of squares along the channels.

Where channels stand in blocks, the window of a vector of channels reaches into the blocks beside
it, which no vector load can do. So the squares are stored once more with all channels of a pixel
side by side, a block of zeros before and behind them: there, a window is a few unaligned loads.

    squares[n, h, w, :] = 0…0, x², 0…0        (one block of zeros on each side)
    sum[n, c, h, w] = Σ_k squares[n, h, w, block + c + k - before]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx

from ...ir.dtypes import DType
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
    dtype = x.dtype

    blocks = context.type(dtype, x.shape)
    lanes = blocks.layout.block(1) if blocks.layout is not None else 1
    if max(before, attrs.size - 1 - before) <= lanes and lanes > 1:
        square = _side_by_side(x, lanes, before, context)
    else:
        square = _in_place(x, before)
    total = context.reduce(blocks, [attrs.size], "sum", square, "lrn_sum")

    def read(*indices: Expr) -> Expr:
        base = const(attrs.bias, dtype) + const(attrs.alpha / attrs.size, dtype) * total(*indices)
        return cast_to(
            x(*indices) * _negative_power(base, attrs.beta, context), out_types[0].dtype.tvm
        )

    return View(x.shape, out_types[0].dtype.tvm, read)


Square = Callable[[Sequence[Expr], Sequence[Expr]], Expr]


def _in_place(x: View, before: int) -> Square:
    """x² of a channel of the window, 0 beyond the first and last."""

    def square(out: Sequence[Expr], along: Sequence[Expr]) -> Expr:
        c = out[1] + along[0] - before
        inside = tirx.all(c >= 0, c < x.shape[1])
        return guarded(
            inside, lambda: bind(x(out[0], c, *out[2:]), lambda v: v * v), const(0, x.dtype)
        )

    return square


def _side_by_side(x: View, lanes: int, before: int, context: Context) -> Square:
    """`_in_place`, from a stage of squares in which the channels of a pixel are contiguous."""
    batch, channels, *pixels = x.shape
    held = -(-channels // lanes)  # blocks

    def squared(n: Expr, *index: Expr) -> Expr:
        *pixel, position = index
        block = tirx.floordiv(position, const(lanes, "int32")) - 1
        c = position - lanes
        inside = [block >= 0, block < held]  # the same for all lanes: no masks
        if channels % lanes:
            inside.append(c < channels)
        return guarded(
            tirx.all(*inside), lambda: bind(x(n, c, *pixel), lambda v: v * v), const(0, x.dtype)
        )

    shape = (batch, *pixels, (held + 2) * lanes)
    stage = TensorType(DType.parse(x.dtype), shape)
    squares = context.materialise(View(shape, x.dtype, squared), "lrn_squares", stage)

    def square(out: Sequence[Expr], along: Sequence[Expr]) -> Expr:
        return squares(out[0], *out[2:], lanes + out[1] + along[0] - before)

    return square


def _negative_power(base: Expr, beta: float, context: Context) -> Expr:
    """base ** -beta; the usual 0.75 by square roots."""
    dtype = dtype_of(base)
    if beta == 0.75:
        return bind(tirx.sqrt(base), lambda r: const(1, dtype) / (r * tirx.sqrt(r)))
    return context.math.libm("pow", base, const(-beta, dtype))


COMPUTE: dict[str, Compute] = {"lrn": _lrn}
