"""Ops of ONNX Runtime's own domain that its optimizer writes into exported transformers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...graph import Value
from ..call import Call, Results, Rule
from ..problems import Unsupported
from . import conv, elementwise, matmul, norm, quantize

MICROSOFT = "com.microsoft"


def _gelu(call: Call) -> Results:
    return call.op("gelu", call[0])


def _with_bias(call: Call) -> Value:
    bias = call.optional(1)
    return call[0] if bias is None else call.op("add", call[0], bias)


def _bias_gelu(call: Call) -> Results:
    return call.op("gelu", _with_bias(call))


def _fast_gelu(call: Call) -> Results:
    return call.op("gelu", _with_bias(call), approximate="tanh")


def _quick_gelu(call: Call) -> Results:
    x = call[0]
    scaled = call.op("mul", x, call.scalar(call.get_float("alpha", 1.702), x))
    return call.op("mul", x, call.op("sigmoid", scaled))


def _fused_matmul(call: Call) -> Results:
    if call.get_bool("transBatchA") or call.get_bool("transBatchB"):
        raise Unsupported("transBatchA or transBatchB")
    y = matmul.matmul(call, call[0], call[1], call.get_bool("transA"), call.get_bool("transB"))
    alpha = call.get_float("alpha", 1.0)
    return y if alpha == 1.0 else call.op("mul", y, call.scalar(alpha, y))


_ACTIVATIONS = {
    "": ("identity", ()),
    "Relu": ("relu", ()),
    "Tanh": ("tanh", ()),
    "Sigmoid": ("sigmoid", ()),
    "LeakyRelu": ("leaky_relu", ("alpha",)),
    "Clip": ("clip", ("min", "max")),
    "HardSigmoid": ("hard_sigmoid", ("alpha", "beta")),
}


def _activated(call: Call, y: Value) -> Value:
    name = call.get_str("activation", "")
    if name not in _ACTIVATIONS:
        raise Unsupported(f"activation {name!r}")
    op, fields = _ACTIVATIONS[name]
    values = call.get_floats("activation_params", ())
    return y if op == "identity" else call.op(op, y, **dict(zip(fields, values)))


def _fused_conv(call: Call) -> Results:
    y = conv.with_bias(call, conv.plain_conv(call, call[0], call[1]), call.optional(2))
    if call.optional(3) is not None:
        y = call.op("add", y, call[3])
    return _activated(call, y)


def _fused_gemm(call: Call) -> Results:
    y = matmul.gemm(call)
    assert isinstance(y, Value)
    return _activated(call, y)


def _skip_sum(call: Call, bias: int) -> Value:
    x, skip, extra = call[0], call[1], call.optional(bias)
    total = call.op("add", x, skip)
    return total if extra is None else call.op("add", total, extra)


def _skip_layer_normalization(call: Call) -> Results:
    """Inputs x, skip, gamma, beta, bias; outputs y, mean, 1/deviation, sum."""
    x = _skip_sum(call, 4)
    axis = x.rank - 1
    scale = norm.tail_parameter(call, call.optional(2), x, axis, 1.0)
    shift = norm.tail_parameter(call, call.optional(3), x, axis, 0.0)
    epsilon = call.get_float("epsilon", 1e-12)
    y = call.op("layer_norm", x, scale, shift, axis=-1, epsilon=epsilon)
    if any(call.wanted[1:3]):
        raise Unsupported("its outputs mean or inv_std_var are used")
    return y, None, None, x


def _skip_simplified_layer_normalization(call: Call) -> Results:
    """Inputs x, skip, gamma, bias; outputs y, -, -, sum."""
    x = _skip_sum(call, 3)
    if any(call.wanted[1:3]):
        raise Unsupported("its outputs mean or inv_std_var are used")
    scale = norm.tail_parameter(call, call.optional(2), x, x.rank - 1, 1.0)
    epsilon = call.get_float("epsilon", 1e-5)
    return call.op("rms_norm", x, scale, axis=-1, epsilon=epsilon), None, None, x


def _attention(call: Call) -> Results:
    """Self-attention: x [B, S, H], weights [H, 3H], bias [3H], mask of 0 and 1 [B, S]."""
    x, weights = call[0], call[1]
    if any(call.optional(i) is not None for i in (4, 5, 6)) or any(call.wanted[1:]):
        raise Unsupported("a past state or an attention bias")
    if call.has("qkv_hidden_sizes") or call.get_bool("do_rotary"):
        raise Unsupported("qkv_hidden_sizes or do_rotary")
    heads, (batch, length, _) = call.get_int("num_heads"), x.shape
    width = weights.shape[1] // 3
    size = width // heads
    projected = matmul.matmul(call, x, weights)
    if call.optional(2) is not None:
        projected = call.op("add", projected, call[2])
    q, k, v = (
        call.transpose(call.reshape(part, (batch, length, heads, size)), (0, 2, 1, 3))
        for part in call.add("split", projected, axis=2, sizes=(width,) * 3)
    )
    scores = call.op("matmul", q, k, transpose_b=True)
    scale = call.get_float("scale", 0.0) or size**-0.5
    scores = call.op("mul", scores, call.scalar(scale, scores))
    scores = _masked(call, scores, batch, length)
    context = call.op("matmul", call.op("softmax", scores, axis=-1), v)
    return call.reshape(call.transpose(context, (0, 2, 1, 3)), (batch, length, width))


def _masked(call: Call, scores: Value, batch: int, length: int) -> Value:
    low = call.scalar(call.get_float("mask_filter_value", -10000.0), scores)
    zero = call.scalar(0, scores)
    mask = call.optional(3)
    if mask is not None:
        if mask.shape not in ((batch, length), (batch, length, length)):
            raise Unsupported(f"a mask of shape {list(mask.shape)}")
        middle = () if mask.rank == 3 else (1,)
        mask = call.reshape(mask, (batch, 1, *middle, *mask.shape[1:]))
        off = call.op("equal", mask, call.scalar(0, mask))
        scores = call.op("add", scores, call.op("where", off, low, zero))
    if call.get_bool("unidirectional"):
        ahead = call.constant(np.triu(np.ones((length, length), bool), 1))
        scores = call.op("add", scores, call.op("where", ahead, low, zero))
    return scores


def _tensors(call: Call, count: int, first: int = 0) -> list[Value]:
    """Operands (x, scale, zero point) from `first` on as floats."""
    return [
        quantize.dequantized(call, call[i], call[i + 1], call.optional(i + 2))
        for i in range(first, first + 3 * count, 3)
    ]


def _qlinear_binary(op: str) -> Rule:
    """A quantized op on two quantized tensors, by way of floats."""

    def rule(call: Call) -> Results:
        a, b = _tensors(call, 2)
        return _requantized(call, call.op(op, a, b), 6)

    return rule


def _qlinear_unary(build: Callable[[Call, Value], Value]) -> Rule:
    def rule(call: Call) -> Results:
        (x,) = _tensors(call, 1)
        return _requantized(call, build(call, x), 3)

    return rule


def _requantized(call: Call, y: Value, scale: int) -> Value:
    """`y` in the scale and zero point that are operands `scale` and `scale + 1`."""
    zero = call.optional(scale + 1)
    return quantize.quantized(call, y, call[scale], zero, zero.dtype if zero else call[0].dtype)


def _q_global_average_pool(call: Call, x: Value) -> Value:
    last = call.get_bool("channels_last")
    axes = tuple(range(1, x.rank - 1)) if last else tuple(range(2, x.rank))
    return call.op("reduce_mean", x, axes=axes, keepdims=True)


def _q_leaky_relu(call: Call, x: Value) -> Value:
    return call.op("leaky_relu", x, alpha=call.get_float("alpha", 0.01))


def _qlinear_concat(call: Call) -> Results:
    """Operands: scale and zero point of y, then those triples."""
    parts = _tensors(call, (len(call.inputs) - 2) // 3, 2)
    y = call.op("concat", *parts, axis=call.axis(call.get_int("axis"), parts[0].rank))
    return quantize.quantized(call, y, call[0], call[1], call[1].dtype)


def _q_gemm(call: Call) -> Results:
    """a (0..2), b (3..5), an i32 bias (6) in the scale of the product; y's scale (7), zero (8)."""
    a, b = _tensors(call, 2)
    y = call.op(
        "matmul", a, b,
        transpose_a=call.get_bool("transA"), transpose_b=call.get_bool("transB"),
    )  # fmt: skip
    alpha = call.get_float("alpha", 1.0)
    if alpha != 1.0:
        y = call.op("mul", y, call.scalar(alpha, y))
    if call.optional(6) is not None:
        scale = call.op("mul", call.scalar(alpha, y), call.op("mul", call[1], call[4]))
        y = call.op("add", y, call.op("mul", call.cast(call[6], y.dtype), scale))
    return y if call.optional(7) is None else _requantized(call, y, 7)


_RULES: dict[str, Rule] = {
    "Gelu": _gelu,
    "BiasGelu": _bias_gelu,
    "FastGelu": _fast_gelu,
    "QuickGelu": _quick_gelu,
    "FusedMatMul": _fused_matmul,
    "FusedConv": _fused_conv,
    "FusedGemm": _fused_gemm,
    "LayerNormalization": norm.layer_normalization,
    "SimplifiedLayerNormalization": norm.rms_normalization,
    "SkipLayerNormalization": _skip_layer_normalization,
    "SkipSimplifiedLayerNormalization": _skip_simplified_layer_normalization,
    "Attention": _attention,
    "QuantizeLinear": quantize.RULES["QuantizeLinear"],
    "DequantizeLinear": quantize.RULES["DequantizeLinear"],
    "MatMulInteger": matmul.RULES["MatMulInteger"],
    "QLinearAdd": _qlinear_binary("add"),
    "QLinearMul": _qlinear_binary("mul"),
    "QLinearSigmoid": _qlinear_unary(lambda call, x: call.op("sigmoid", x)),
    "QLinearLeakyRelu": _qlinear_unary(_q_leaky_relu),
    "QLinearGlobalAveragePool": _qlinear_unary(_q_global_average_pool),
    "QLinearConcat": _qlinear_concat,
    "QGemm": _q_gemm,
    "Identity": elementwise.identity,
}

RULES: dict[tuple[str, str], Rule] = {(MICROSOFT, name): rule for name, rule in _RULES.items()}
