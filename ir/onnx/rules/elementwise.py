"""Elementwise ops: arithmetic, comparison, logic, activations, casts."""

from __future__ import annotations

import functools

import numpy as np

from ...dtypes import DType
from ...graph import Value
from ..call import Call, Results, Rule
from ..problems import Unsupported

_EXACT_IN_FLOAT = 1 << 53


def _direct(op: str) -> Rule:
    """The IR op with all operands and no attributes."""

    def rule(call: Call) -> Results:
        return call.op(op, *(call[i] for i in range(len(call.inputs))))

    return rule


def _with_floats(op: str, **defaults: float) -> Rule:
    """An IR op whose float attributes have ONNX's names."""

    def rule(call: Call) -> Results:
        fields = {name: call.get_float(name, default) for name, default in defaults.items()}
        return call.op(op, call[0], **fields)

    return rule


def _folded(op: str) -> Rule:
    """An n-ary op as a chain of binary ones."""

    def rule(call: Call) -> Results:
        values = [call[i] for i in range(len(call.inputs))]
        return functools.reduce(lambda a, b: call.op(op, a, b), values)

    return rule


def identity(call: Call) -> Results:
    return call[0]


def _sign_or_round(op: str) -> Rule:
    """Rounding of integers, which some exporters write, changes nothing."""

    def rule(call: Call) -> Results:
        return call.op(op, call[0]) if call[0].dtype.is_float else call[0]

    return rule


def _mean(call: Call) -> Results:
    total = _folded("add")(call)
    assert isinstance(total, Value)
    return call.op("mul", total, call.scalar(1 / len(call.inputs), total))


def _is_inf(call: Call) -> Results:
    found = call.op("isinf", call[0])
    for attribute, comparison in (("detect_positive", "less"), ("detect_negative", "greater")):
        if not call.get_bool(attribute, True):
            found = call.op("and", found, call.op(comparison, call[0], call.scalar(0, call[0])))
    return found


def _mod(call: Call) -> Results:
    """The result has the divisor's sign, with fmod the dividend's."""
    a, b = call[0], call[1]
    if call.get_bool("fmod") or not a.dtype.is_float:
        return call.op("mod", a, b, fmod=call.get_bool("fmod"))
    rest, zero = call.op("mod", a, b, fmod=True), call.scalar(0, a)
    signs_differ = call.op("xor", call.op("less", rest, zero), call.op("less", b, zero))
    moved = call.op("and", signs_differ, call.op("not", call.op("equal", rest, zero)))
    return call.op("where", moved, call.op("add", rest, b), rest)


def _bit_shift(call: Call) -> Results:
    op = {"LEFT": "shift_left", "RIGHT": "shift_right"}.get(call.get_str("direction"))
    if op is None:
        raise Unsupported(f"direction {call.get_str('direction')!r}")
    return call.op(op, call[0], call[1])


def clip(call: Call) -> Results:
    """Opset 6 has the bounds as attributes, 11 as operands."""
    x = call[0]
    if call.opset < 11:
        low = call.get_float("min") if call.has("min") else None
        high = call.get_float("max") if call.has("max") else None
        return call.op("clip", x, min=low, max=high)
    bounds: dict[str, float] = {}
    for index, (name, op) in enumerate((("min", "maximum"), ("max", "minimum")), start=1):
        bound = call.optional(index)
        if bound is None:
            continue
        known = call.known_or_none(index)
        if known is not None and known.size == 1 and _fits_float(known):
            bounds[name] = float(known.reshape(-1)[0])
        else:
            if bounds:  # max goes after min: a min above the max gives the max
                x, bounds = call.op("clip", x, **bounds), {}
            x = call.op(op, x, bound)
    return call.op("clip", x, **bounds) if bounds else x


def _fits_float(known: np.ndarray) -> bool:
    return known.dtype.kind not in "iu" or abs(int(known.reshape(-1)[0])) <= _EXACT_IN_FLOAT


def _gelu(call: Call) -> Results:
    return call.op("gelu", call[0], approximate=call.get_str("approximate", "none"))


def swish(call: Call) -> Results:
    x, alpha = call[0], call.get_float("alpha", 1.0)
    if alpha == 1.0:
        return call.op("silu", x)
    return call.op("mul", x, call.op("sigmoid", call.op("mul", x, call.scalar(alpha, x))))


def _shrink(call: Call) -> Results:
    """x + bias below -lambd, x - bias above lambd, 0 between."""
    x, lambd, bias = call[0], call.get_float("lambd", 0.5), call.get_float("bias", 0.0)
    work = call.cast(x, DType.F32) if not x.dtype.is_float else x
    limits = call.scalar(lambd, work), call.scalar(-lambd, work)
    shift = call.scalar(bias, work)
    above = call.op("where", call.op("greater", work, limits[0]), call.op("sub", work, shift),
                    call.scalar(0, work))  # fmt: skip
    below = call.op("less", work, limits[1])
    return call.cast(call.op("where", below, call.op("add", work, shift), above), x.dtype)


def _prelu(call: Call) -> Results:
    x, slope = call[0], call[1]
    if slope.rank == 1 and x.rank > 2 and slope.shape[0] == x.shape[1] != x.shape[-1]:
        # exporters of old opsets mean one slope per channel
        slope = call.reshape(slope, (slope.shape[0], *(1,) * (x.rank - 2)))
    return call.op("prelu", x, slope)


def _cast(call: Call) -> Results:
    return call.cast(call[0], call.get_dtype("to"))


def _cast_like(call: Call) -> Results:
    return call.cast(call[0], call[1].dtype)


def _dropout(call: Call) -> Results:
    """Inference: the input, and a mask that keeps everything."""
    mode = call.known_or_none(2)
    if call.optional(2) is not None and (mode is None or mode.reshape(-1)[0]):
        raise Unsupported("training_mode is on", "Export the model for inference.")
    x = call[0]
    if len(call.wanted) < 2 or not call.wanted[1]:
        return x
    mask_dtype = DType.BOOL if call.opset >= 10 else x.dtype
    return x, call.op("expand", call.scalar(1, mask_dtype), shape=x.shape)


RULES: dict[str, Rule] = {
    # one operand
    "Abs": _direct("abs"),
    "Acos": _direct("acos"),
    "Acosh": _direct("acosh"),
    "Asin": _direct("asin"),
    "Asinh": _direct("asinh"),
    "Atan": _direct("atan"),
    "Atanh": _direct("atanh"),
    "BitwiseNot": _direct("bitwise_not"),
    "Ceil": _sign_or_round("ceil"),
    "Cos": _direct("cos"),
    "Cosh": _direct("cosh"),
    "Erf": _direct("erf"),
    "Exp": _direct("exp"),
    "Floor": _sign_or_round("floor"),
    "HardSwish": _direct("hardswish"),
    "IsNaN": _direct("isnan"),
    "Log": _direct("log"),
    "Mish": _direct("mish"),
    "Neg": _direct("neg"),
    "Not": _direct("not"),
    "Reciprocal": _direct("reciprocal"),
    "Relu": _direct("relu"),
    "Round": _sign_or_round("round"),
    "Sigmoid": _direct("sigmoid"),
    "Sign": _direct("sign"),
    "Sin": _direct("sin"),
    "Sinh": _direct("sinh"),
    "Softplus": _direct("softplus"),
    "Softsign": _direct("softsign"),
    "Sqrt": _direct("sqrt"),
    "Tan": _direct("tan"),
    "Tanh": _direct("tanh"),
    "LeakyRelu": _with_floats("leaky_relu", alpha=0.01),
    "Elu": _with_floats("elu", alpha=1.0),
    "Celu": _with_floats("celu", alpha=1.0),
    "Selu": _with_floats("selu", alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "HardSigmoid": _with_floats("hard_sigmoid", alpha=0.2, beta=0.5),
    "ThresholdedRelu": _with_floats("thresholded_relu", alpha=1.0),
    "Gelu": _gelu,
    "Swish": swish,
    "Shrink": _shrink,
    "Clip": clip,
    "IsInf": _is_inf,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Identity": identity,
    "Dropout": _dropout,
    # two and more operands
    "Add": _direct("add"),
    "Sub": _direct("sub"),
    "Mul": _direct("mul"),
    "Div": _direct("div"),
    "Pow": _direct("pow"),
    "Mod": _mod,
    "And": _direct("and"),
    "Or": _direct("or"),
    "Xor": _direct("xor"),
    "Equal": _direct("equal"),
    "Greater": _direct("greater"),
    "GreaterOrEqual": _direct("greater_equal"),
    "Less": _direct("less"),
    "LessOrEqual": _direct("less_equal"),
    "BitwiseAnd": _direct("bitwise_and"),
    "BitwiseOr": _direct("bitwise_or"),
    "BitwiseXor": _direct("bitwise_xor"),
    "BitShift": _bit_shift,
    "Max": _folded("maximum"),
    "Min": _folded("minimum"),
    "Sum": _folded("add"),
    "Mean": _mean,
    "PRelu": _prelu,
    "Where": _direct("where"),
}
