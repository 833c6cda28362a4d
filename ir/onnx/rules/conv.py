"""Convolutions."""

from __future__ import annotations

import math

from ...dtypes import DType
from ...graph import Value
from ..call import Call, Results, Rule
from ..problems import Unsupported
from .windows import check_spatial, halves, window_of

_EXACT_IN_F32 = 1 << 24


def conv(call: Call) -> Results:
    return with_bias(call, plain_conv(call, call[0], call[1]), call.optional(2))


def plain_conv(call: Call, x: Value, w: Value) -> Value:
    """The convolution that a node's attributes describe, without bias."""
    _check_kernel(call, x, w)
    strides, pads, dilations = window_of(call, x.shape[2:], w.shape[2:])
    x, pads = without_negative_pads(call, x, pads)
    return call.op(
        "conv", x, w, strides=strides, pads=pads, dilations=dilations,
        groups=call.get_int("group", 1),
    )  # fmt: skip


def with_bias(call: Call, y: Value, bias: Value | None) -> Value:
    if bias is None:
        return y
    if bias.shape != (y.shape[1],):
        raise Unsupported(
            f"the bias has shape {list(bias.shape)} for {y.shape[1]} channels",
            "The model is not valid ONNX.",
        )
    return call.op("add", y, call.reshape(bias, (y.shape[1], *(1,) * (y.rank - 2))))


def without_negative_pads(
    call: Call, x: Value, pads: tuple[int, ...]
) -> tuple[Value, tuple[int, ...]]:
    """Negative pads cut the input."""
    if all(pad >= 0 for pad in pads):
        return x, pads
    n = len(pads) // 2
    cuts = (0, 0, *(min(p, 0) for p in pads[:n]), 0, 0, *(min(p, 0) for p in pads[n:]))
    return call.op("pad", x, pads=cuts), tuple(max(p, 0) for p in pads)


def _check_kernel(call: Call, x: Value, w: Value) -> None:
    check_spatial(x)
    if w.rank != x.rank:
        raise Unsupported(
            f"operands of shapes {list(x.shape)} and {list(w.shape)}",
            "The model is not valid ONNX.",
        )
    stated = call.get_ints("kernel_shape", w.shape[2:])
    if stated != w.shape[2:]:
        raise Unsupported(
            f"kernel_shape {list(stated)} is not that of the weight, {list(w.shape[2:])}",
            "The model is not valid ONNX.",
        )


def conv_transpose(call: Call) -> Results:
    x, w = call[0], call[1]
    _check_kernel(call, x, w)
    n = x.rank - 2
    strides = call.get_ints("strides", (1,) * n)
    dilations = call.get_ints("dilations", (1,) * n)
    extra = call.get_ints("output_padding", (0,) * n)
    pads = call.get_ints("pads", (0,) * (2 * n))
    auto = call.get_str("auto_pad", "NOTSET")
    # without pads every axis of the output has this size
    full = [
        strides[i] * (x.shape[2 + i] - 1) + extra[i] + (w.shape[2 + i] - 1) * dilations[i] + 1
        for i in range(n)
    ]
    if call.has("output_shape") or auto in ("SAME_UPPER", "SAME_LOWER"):
        same = tuple(x.shape[2 + i] * strides[i] for i in range(n))
        wanted = call.get_ints("output_shape", same)[-n:]
        totals = [max(0, f - o) for f, o in zip(full, wanted)]
        pads = halves(totals, auto == "SAME_UPPER")
        # an output that is larger than what the input makes grows at its ends
        extra = tuple(e + max(0, o - f) for e, o, f in zip(extra, wanted, full))
    elif auto == "VALID":
        pads = (0,) * (2 * n)
    if any(pad < 0 for pad in pads):
        raise Unsupported(f"negative pads {list(pads)}")
    y = call.op(
        "conv_transpose", x, w, strides=strides, dilations=dilations,
        pads=pads, groups=call.get_int("group", 1), output_padding=extra,
    )  # fmt: skip
    return with_bias(call, y, call.optional(2))


def _conv_integer(call: Call) -> Results:
    return integer_conv(call, call[0], call[1], call.optional(2), call.optional(3))


def integer_conv(
    call: Call, x: Value, w: Value, x_zero: Value | None, w_zero: Value | None
) -> Value:
    """The exact i32 convolution of (x - x_zero) with (w - w_zero); pads are x_zero."""
    if is_zero(x_zero) and is_zero(w_zero):
        return plain_conv(call, x, w)
    terms = math.prod(w.shape[1:])
    # products of two bytes summed in floats that hold them exactly
    work = DType.F32 if terms << 16 <= _EXACT_IN_F32 else DType.F64
    x, w = call.cast(x, work), call.cast(w, work)
    if x_zero is not None:
        x = call.op("sub", x, call.cast(x_zero, work))
    if w_zero is not None:
        per_filter = w_zero.rank == 1 and w_zero.shape[0] > 1
        zero = call.reshape(w_zero, (w_zero.type.size, *(1,) * (w.rank - 1)) if per_filter else ())
        w = call.op("sub", w, call.cast(zero, work))
    return call.cast(plain_conv(call, x, w), DType.I32)


def is_zero(value: Value | None) -> bool:
    """Whether a zero point is absent or a constant 0."""
    return value is None or (value.is_constant and not value.array.any())


RULES: dict[str, Rule] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "ConvInteger": _conv_integer,
}
