"""Elementwise ops of one input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import tirx

from ...ir.dtypes import DType
from ...ir.ops.unary import clip_bounds
from ...ir.types import TensorType
from ..context import Context
from ..view import Expr, View, bind, const, dtype_of
from . import Compute
from .elements import cast_to, elementwise, is_float, is_nan, maximum, minimum

Element = Callable[[Context, Any, Expr], Expr]


def _c(value: float, like: Expr) -> Expr:
    return const(value, dtype_of(like))


def _function(name: str) -> Element:
    return lambda context, attrs, x: context.math.function(name, x)


def _identity(attrs: Any, inputs: list[View], out_types: Any, context: Context) -> View:
    return inputs[0]


def _sign(context: Context, attrs: Any, x: Expr) -> Expr:
    def value(v: Expr) -> Expr:
        zero, one = _c(0, v), _c(1, v)
        below = tirx.Select(v < zero, zero - one, v) if _signed(v) else v  # 0 and NaN stay
        return tirx.Select(v > zero, one, below)

    return bind(x, value)


def _signed(x: Expr) -> bool:
    return not dtype_of(x).startswith("uint")


def _abs(context: Context, attrs: Any, x: Expr) -> Expr:
    if not _signed(x):
        return x
    if is_float(dtype_of(x)):
        return tirx.abs(x)
    return bind(x, lambda v: tirx.Select(v < _c(0, v), _c(0, v) - v, v))


def _relu(context: Context, attrs: Any, x: Expr) -> Expr:
    return maximum(_c(0, x), x)


def _silu(context: Context, attrs: Any, x: Expr) -> Expr:
    return context.math.silu(x)


def _mish(context: Context, attrs: Any, x: Expr) -> Expr:
    """x tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2); x itself where e^x is large."""

    def value(v: Expr) -> Expr:
        e = context.math.exp(minimum(_c(20, v), v))
        ratio = bind(e, lambda t: bind(t * (t + _c(2, v)), lambda n: n / (n + _c(2, v))))
        return v * ratio

    return bind(x, value)


def _hardswish(context: Context, attrs: Any, x: Expr) -> Expr:
    return bind(x, lambda v: v * _unit(v * _c(1 / 6, v) + _c(0.5, v)))


def _unit(x: Expr) -> Expr:
    return minimum(_c(1, x), maximum(_c(0, x), x))


def _gelu(context: Context, attrs: Any, x: Expr) -> Expr:
    def value(v: Expr) -> Expr:
        if attrs.approximate == "tanh":
            inner = context.math.tanh(
                _c(math.sqrt(2 / math.pi), v) * (v + _c(0.044715, v) * v * v * v)
            )
        else:
            inner = context.math.erf(v * _c(math.sqrt(0.5), v))
        return _c(0.5, v) * v * (_c(1, v) + inner)

    return bind(x, value)


def _leaky_relu(context: Context, attrs: Any, x: Expr) -> Expr:
    return bind(x, lambda v: tirx.Select(v < _c(0, v), v * _c(attrs.alpha, v), v))


def _elu(context: Context, attrs: Any, x: Expr) -> Expr:
    def value(v: Expr) -> Expr:
        below = _c(attrs.alpha, v) * context.math.expm1(v)
        return tirx.Select(v < _c(0, v), below, v)

    return bind(x, value)


def _celu(context: Context, attrs: Any, x: Expr) -> Expr:
    def value(v: Expr) -> Expr:
        zero = _c(0, v)
        below = _c(attrs.alpha, v) * context.math.expm1(v / _c(attrs.alpha, v))
        return maximum(zero, v) + minimum(zero, below)

    return bind(x, value)


def _selu(context: Context, attrs: Any, x: Expr) -> Expr:
    def value(v: Expr) -> Expr:
        below = _c(attrs.alpha, v) * context.math.expm1(v)
        return _c(attrs.gamma, v) * tirx.Select(v > _c(0, v), v, below)

    return bind(x, value)


def _hard_sigmoid(context: Context, attrs: Any, x: Expr) -> Expr:
    return bind(x * _c(attrs.alpha, x) + _c(attrs.beta, x), _unit)


def _thresholded_relu(context: Context, attrs: Any, x: Expr) -> Expr:
    return bind(x, lambda v: tirx.Select(v > _c(attrs.alpha, v), v, _c(0, v)))


def _clip(context: Context, attrs: Any, x: Expr) -> Expr:
    low, high = clip_bounds(attrs, DType.parse(dtype_of(x)))
    value = x
    if low is not None:
        value = maximum(_c(low, x), value)
    if high is not None:
        value = minimum(_c(high, x), value)
    return value


def _cast(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, to = inputs[0], attrs.to.tvm

    def read(*indices: Expr) -> Expr:
        return cast_to(x(*indices), to)

    def image(value: Any) -> Any:
        with np.errstate(all="ignore"):
            return None if value is None else np.asarray(value).astype(attrs.to.numpy)[()]

    return View(
        x.shape, to, read, reach=x.reach, pad=image(x.pad), cheap=x.cheap, scalar=image(x.scalar)
    )


ELEMENTS: dict[str, Element] = {
    "neg": lambda context, attrs, x: _c(0, x) - x if not is_float(dtype_of(x)) else -x,
    "abs": _abs,
    "sign": _sign,
    "sqrt": lambda context, attrs, x: tirx.sqrt(x),
    "rsqrt": lambda context, attrs, x: _c(1, x) / tirx.sqrt(x),
    "reciprocal": lambda context, attrs, x: _c(1, x) / x,
    "exp": lambda context, attrs, x: context.math.exp(x),
    "log": lambda context, attrs, x: context.math.log(x),
    "erf": lambda context, attrs, x: context.math.erf(x),
    "floor": lambda context, attrs, x: tirx.floor(x),
    "ceil": lambda context, attrs, x: tirx.ceil(x),
    "round": lambda context, attrs, x: tirx.nearbyint(x),
    "sin": _function("sin"),
    "cos": _function("cos"),
    "tan": _function("tan"),
    "asin": _function("asin"),
    "acos": _function("acos"),
    "atan": _function("atan"),
    "sinh": _function("sinh"),
    "cosh": _function("cosh"),
    "asinh": _function("asinh"),
    "acosh": _function("acosh"),
    "atanh": _function("atanh"),
    "not": lambda context, attrs, x: tirx.Not(x),
    "bitwise_not": lambda context, attrs, x: tirx.bitwise_not(x),
    "isnan": lambda context, attrs, x: is_nan(x),
    "isinf": lambda context, attrs, x: tirx.EQ(tirx.abs(x), tirx.const(math.inf, dtype_of(x))),
    "relu": _relu,
    "tanh": lambda context, attrs, x: context.math.tanh(x),
    "sigmoid": lambda context, attrs, x: context.math.sigmoid(x),
    "silu": _silu,
    "mish": _mish,
    "hardswish": _hardswish,
    "softsign": lambda context, attrs, x: bind(x, lambda v: v / (_c(1, v) + tirx.abs(v))),
    "softplus": lambda context, attrs, x: context.math.softplus(x),
    "gelu": _gelu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "celu": _celu,
    "selu": _selu,
    "hard_sigmoid": _hard_sigmoid,
    "thresholded_relu": _thresholded_relu,
    "clip": _clip,
}

COMPUTE: dict[str, Compute] = {
    **{op: elementwise(op, element) for op, element in ELEMENTS.items()},
    "identity": _identity,
    "cast": _cast,
}
