"""Quantized ops as compositions of float and integer ones."""

from __future__ import annotations

import numpy as np

from ...dtypes import DType
from ...graph import Value
from ..call import Call, Results, Rule
from ..problems import Unsupported
from .conv import integer_conv, with_bias
from .matmul import integer_matmul


def _along(call: Call, value: Value, x: Value) -> Value:
    """A scale or zero point so that it broadcasts with `x`: per tensor, per axis or per block."""
    if value.type.size == 1 and value.rank <= 1:
        return call.reshape(value, ())
    axis = call.axis(call.get_int("axis", 1), x.rank)
    block = call.get_int("block_size", 0)
    if value.rank == 1 and not block:
        return call.reshape(value, (value.shape[0], *(1,) * (x.rank - axis - 1)))
    if value.rank != x.rank:
        raise Unsupported(f"a scale of shape {list(value.shape)} for {x.type}")
    if value.shape[axis] == x.shape[axis]:
        return value
    blocks, size = value.shape[axis], x.shape[axis]
    block = block or -(-size // blocks)
    index = np.arange(size, dtype=np.int64) // block
    return call.op("gather", value, call.constant(index), axis=axis)


def _quantize_linear(call: Call) -> Results:
    x, scale, zero = call[0], call[1], call.optional(2)
    code = call.get_int("output_dtype", 0)
    to = zero.dtype if zero is not None else call.get_dtype("output_dtype") if code else DType.U8
    return quantized(call, x, scale, zero, to)


def quantized(call: Call, x: Value, scale: Value, zero: Value | None, to: DType) -> Value:
    """saturate(round(x / scale) + zero point)."""
    if not to.is_integer:
        raise Unsupported(f"quantization to {to.value}")
    work = DType.F32 if not x.dtype.is_float or to.bits <= 16 else x.dtype
    y = call.op("div", call.cast(x, work), _along(call, call.cast(scale, work), x))
    y = call.op("round", y)
    if zero is not None:
        y = call.op("add", y, _along(call, call.cast(zero, work), x))
    info = np.iinfo(to.numpy)
    return call.cast(call.op("clip", y, min=float(info.min), max=float(info.max)), to)


def _dequantize_linear(call: Call) -> Results:
    x, scale, zero = call[0], call[1], call.optional(2)
    to = call.get_dtype("output_dtype") if call.get_int("output_dtype", 0) else scale.dtype
    return call.cast(dequantized(call, x, scale, zero), to)


def dequantized(call: Call, x: Value, scale: Value, zero: Value | None) -> Value:
    """(x - zero point) * scale, in f32."""
    if x.dtype.is_float:
        raise Unsupported(f"dequantization of {x.dtype.value}")
    y = call.cast(x, DType.F32)
    if zero is not None:
        y = call.op("sub", y, _along(call, call.cast(zero, DType.F32), x))
    return call.op("mul", y, _along(call, call.cast(scale, DType.F32), x))


def _qlinear_conv(call: Call) -> Results:
    """The i32 convolution of x (0..2) and w (3..5) plus bias (8), to y's scale (6), zero (7)."""
    acc = integer_conv(call, call[0], call[3], call[2], call[5])
    acc = with_bias(call, acc, call.optional(8))
    weight_scale = call[4]
    if weight_scale.type.size > 1:
        weight_scale = call.reshape(weight_scale, (acc.shape[1], *(1,) * (acc.rank - 2)))
    scales = [_one(call, call[1]), _one(call, weight_scale), _one(call, call[6])]
    return _requantized(call, acc, scales, 7)


def _qlinear_matmul(call: Call) -> Results:
    """The i32 product of a (0..2) and b (3..5), to y's scale (6) and zero (7)."""
    acc = integer_matmul(call, call[0], call[3], call[2], call[5])
    scales = [call.cast(_one(call, call[i]), DType.F32) for i in (1, 4, 6)]
    if scales[0].rank == 1:  # one per row of a
        scales[0] = call.reshape(scales[0], (scales[0].shape[0], 1))
    return _requantized(call, acc, scales, 7)


def _one(call: Call, scale: Value) -> Value:
    return call.reshape(scale, ()) if scale.type.size == 1 else scale


def _requantized(call: Call, acc: Value, scales: list[Value], zero: int) -> Value:
    factor = call.op("div", call.op("mul", scales[0], scales[1]), scales[2])
    zero_point = call.known_ints(zero, "the zero point")
    if len(zero_point) != 1:
        raise Unsupported("an output with several zero points")
    return call.op("requantize", acc, factor, zero_point=zero_point[0], to=call[zero].dtype)


def _dynamic_quantize_linear(call: Call) -> Results:
    """u8 with scale and zero point from the range of x, which is made to hold 0."""
    x = call[0]
    axes = tuple(range(x.rank))
    nought = call.scalar(0, x)
    high = call.op("maximum", call.op("reduce_max", x, axes=axes, keepdims=False), nought)
    low = call.op("minimum", call.op("reduce_min", x, axes=axes, keepdims=False), nought)
    scale = call.op("div", call.op("sub", high, low), call.scalar(255, x))
    safe = call.op("where", call.op("equal", scale, nought), call.scalar(1, x), scale)
    start = call.op("div", call.op("neg", low), safe)
    zero = call.op("clip", call.op("round", start), min=0.0, max=255.0)
    y = call.op("add", call.op("round", call.op("div", x, safe)), zero)
    y = call.cast(call.op("clip", y, min=0.0, max=255.0), DType.U8)
    return y, scale, call.cast(zero, DType.U8)


RULES: dict[str, Rule] = {
    "QuantizeLinear": _quantize_linear,
    "DequantizeLinear": _dequantize_linear,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "DynamicQuantizeLinear": _dynamic_quantize_linear,
}
