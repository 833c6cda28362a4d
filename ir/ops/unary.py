"""Elementwise ops of one input: arithmetic, rounding, trigonometry, activations, cast."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..dtypes import DType
from ..op import Attrs, NoAttrs, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, erf, finish, is_floating, precise, wide
from .checks import Kind, need_choice, need_kind
from .flops import per_output

Infer = Callable[..., TensorType]
Reference = Callable[..., Array]


@dataclass(frozen=True)
class GeluAttrs(Attrs):
    """approximate: "none" (with erf) or "tanh"."""

    approximate: str = "none"


@dataclass(frozen=True)
class LeakyReluAttrs(Attrs):
    alpha: float = 0.01


@dataclass(frozen=True)
class EluAttrs(Attrs):
    alpha: float = 1.0


@dataclass(frozen=True)
class CeluAttrs(Attrs):
    alpha: float = 1.0


@dataclass(frozen=True)
class SeluAttrs(Attrs):
    alpha: float = 1.67326319217681884765625
    gamma: float = 1.05070102214813232421875


@dataclass(frozen=True)
class HardSigmoidAttrs(Attrs):
    alpha: float = 0.2
    beta: float = 0.5


@dataclass(frozen=True)
class ThresholdedReluAttrs(Attrs):
    alpha: float = 1.0


@dataclass(frozen=True)
class ClipAttrs(Attrs):
    """Bounds; None is no bound. Bounds of integer inputs beyond their dtype are no bounds."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class CastAttrs(Attrs):
    to: DType


def _same(op: str, kind: Kind) -> Infer:
    def infer(attrs: Attrs, x: TensorType) -> TensorType:
        need_kind(op, "C1", "x", x, kind)
        return TensorType(x.dtype, x.shape)

    infer.__doc__ = f"Dtype and shape of x.\n\n    C1: x has {kind.value}."
    return infer


def _test(op: str) -> Infer:
    def infer(attrs: Attrs, x: TensorType) -> TensorType:
        """Shape of x, bool.

        C1: x has a float dtype.
        """
        need_kind(op, "C1", "x", x, Kind.FLOAT)
        return TensorType(DType.BOOL, x.shape)

    return infer


def _exact(function: Callable[[Array], Array]) -> Reference:
    """For functions whose float result numpy rounds correctly in the dtype itself."""

    def reference(attrs: Attrs, x: Array) -> Array:
        return finish(function(wide(x)), x.dtype)

    return reference


def _rounded(function: Callable[[Array], Array]) -> Reference:
    """For transcendental functions: in float64, rounded once."""

    def reference(attrs: Attrs, x: Array) -> Array:
        return finish(function(precise(x)), x.dtype)

    return reference


def _predicate(function: Callable[[Array], Array]) -> Reference:
    def reference(attrs: Attrs, x: Array) -> Array:
        return finish(function(wide(x)), np.dtype(bool))

    return reference


def _simple(name: str, kind: Kind, reference: Reference) -> OpDef:
    return OpDef(name, NoAttrs, _same(name, kind), reference, Pattern.ELEMENTWISE, per_output)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _gelu(attrs: GeluAttrs, x: Array) -> Array:
    v = precise(x)
    if attrs.approximate == "tanh":
        inner = np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))
    else:
        inner = finish(erf(np.atleast_1d(v / math.sqrt(2))), v.dtype).reshape(v.shape)
    return finish(0.5 * v * (1 + inner), x.dtype)


def _gelu_infer(attrs: GeluAttrs, x: TensorType) -> TensorType:
    """Dtype and shape of x.

    C1: x has a float dtype.
    C2: approximate is "none" or "tanh".
    """
    need_kind("gelu", "C1", "x", x, Kind.FLOAT)
    need_choice("gelu", "C2", "approximate", attrs.approximate, ("none", "tanh"))
    return TensorType(x.dtype, x.shape)


def _leaky_relu(attrs: LeakyReluAttrs, x: Array) -> Array:
    v = wide(x)
    return finish(np.where(v < 0, attrs.alpha * v, v), x.dtype)


def _elu(attrs: EluAttrs, x: Array) -> Array:
    v = precise(x)
    return finish(np.where(v < 0, attrs.alpha * np.expm1(v), v), x.dtype)


def _celu(attrs: CeluAttrs, x: Array) -> Array:
    v = precise(x)
    below = np.minimum(0, attrs.alpha * np.expm1(v / attrs.alpha))
    return finish(np.maximum(0, v) + below, x.dtype)


def _selu(attrs: SeluAttrs, x: Array) -> Array:
    v = precise(x)
    return finish(attrs.gamma * np.where(v > 0, v, attrs.alpha * np.expm1(v)), x.dtype)


def _hard_sigmoid(attrs: HardSigmoidAttrs, x: Array) -> Array:
    return finish(np.clip(attrs.alpha * precise(x) + attrs.beta, 0, 1), x.dtype)


def _thresholded_relu(attrs: ThresholdedReluAttrs, x: Array) -> Array:
    return finish(np.where(wide(x) > attrs.alpha, x, 0), x.dtype)


def clip_bounds(attrs: ClipAttrs, dtype: DType) -> tuple[float | None, float | None]:
    """The bounds that matter for ``dtype``; ints (rounded inwards) where it is an integer dtype."""
    if dtype.is_float:
        return attrs.min, attrs.max
    info = np.iinfo(dtype.numpy)
    low = None if attrs.min is None or attrs.min <= info.min else math.ceil(attrs.min)
    high = None if attrs.max is None or attrs.max >= info.max else math.floor(attrs.max)
    if low is not None:
        low = min(low, int(info.max))
    if high is not None:
        high = max(high, int(info.min))
    return low, high


def _clip(attrs: ClipAttrs, x: Array) -> Array:
    """A minimum above the maximum gives the maximum everywhere, as in ONNX."""
    low, high = clip_bounds(attrs, DType.from_numpy(x.dtype))
    v = wide(x)
    if low is not None:
        v = np.maximum(v, v.dtype.type(low))
    if high is not None:
        v = np.minimum(v, v.dtype.type(high))
    return finish(v, x.dtype)


def _cast_infer(attrs: CastAttrs, x: TensorType) -> TensorType:
    """Shape of x in the dtype `to`. Has no constraints."""
    return TensorType(attrs.to, x.shape)


def _cast(attrs: CastAttrs, x: Array) -> Array:
    """Float to integer truncates, then wraps; integers wrap; to bool is `!= 0`.

    NaN and floats beyond 64-bit integers become unspecified integers, as in ONNX.
    """
    to = attrs.to.numpy
    if attrs.to.is_bool:
        return finish(wide(x) != 0, to)
    if is_floating(x.dtype) and not attrs.to.is_float and attrs.to is not DType.U64:
        return finish(wide(x).astype(np.int64), to)
    return finish(x, to)


def _erf(x: Array) -> Array:
    return erf(np.atleast_1d(x)).reshape(x.shape)


def _with_attrs(name: str, attrs: type[Attrs], reference: Reference) -> OpDef:
    infer = _same(name, Kind.FLOAT)
    return OpDef(name, attrs, infer, reference, Pattern.ELEMENTWISE, per_output)


OPS = (
    # Arithmetic.
    _simple("identity", Kind.ANY, lambda attrs, x: x),
    _simple("neg", Kind.SIGNED, _exact(np.negative)),
    _simple("abs", Kind.NUMBER, _exact(np.abs)),
    _simple("sign", Kind.NUMBER, _exact(np.sign)),
    _simple("sqrt", Kind.FLOAT, _exact(np.sqrt)),
    _simple("rsqrt", Kind.FLOAT, _rounded(lambda x: 1 / np.sqrt(x))),
    _simple("reciprocal", Kind.FLOAT, _exact(lambda x: 1 / x)),
    _simple("exp", Kind.FLOAT, _rounded(np.exp)),
    _simple("log", Kind.FLOAT, _rounded(np.log)),
    _simple("erf", Kind.FLOAT, _rounded(_erf)),
    # Rounding; round is half to even.
    _simple("floor", Kind.FLOAT, _exact(np.floor)),
    _simple("ceil", Kind.FLOAT, _exact(np.ceil)),
    _simple("round", Kind.FLOAT, _exact(np.rint)),
    # Trigonometry.
    _simple("sin", Kind.FLOAT, _rounded(np.sin)),
    _simple("cos", Kind.FLOAT, _rounded(np.cos)),
    _simple("tan", Kind.FLOAT, _rounded(np.tan)),
    _simple("asin", Kind.FLOAT, _rounded(np.arcsin)),
    _simple("acos", Kind.FLOAT, _rounded(np.arccos)),
    _simple("atan", Kind.FLOAT, _rounded(np.arctan)),
    _simple("sinh", Kind.FLOAT, _rounded(np.sinh)),
    _simple("cosh", Kind.FLOAT, _rounded(np.cosh)),
    _simple("asinh", Kind.FLOAT, _rounded(np.arcsinh)),
    _simple("acosh", Kind.FLOAT, _rounded(np.arccosh)),
    _simple("atanh", Kind.FLOAT, _rounded(np.arctanh)),
    # Logic and tests.
    _simple("not", Kind.BOOL, _predicate(np.logical_not)),
    _simple("bitwise_not", Kind.INTEGER, _exact(np.invert)),
    OpDef("isnan", NoAttrs, _test("isnan"), _predicate(np.isnan), Pattern.ELEMENTWISE, per_output),
    OpDef("isinf", NoAttrs, _test("isinf"), _predicate(np.isinf), Pattern.ELEMENTWISE, per_output),
    # Activations.
    _simple("relu", Kind.NUMBER, _exact(lambda x: np.maximum(x, x.dtype.type(0)))),
    _simple("tanh", Kind.FLOAT, _rounded(np.tanh)),
    _simple("sigmoid", Kind.FLOAT, _rounded(sigmoid)),
    _simple("silu", Kind.FLOAT, _rounded(lambda x: x * sigmoid(x))),
    _simple("mish", Kind.FLOAT, _rounded(lambda x: x * np.tanh(softplus(x)))),
    _simple("hardswish", Kind.FLOAT, _rounded(lambda x: x * np.clip(x / 6 + 0.5, 0, 1))),
    _simple("softsign", Kind.FLOAT, _rounded(lambda x: x / (1 + np.abs(x)))),
    _simple("softplus", Kind.FLOAT, _rounded(softplus)),
    OpDef("gelu", GeluAttrs, _gelu_infer, _gelu, Pattern.ELEMENTWISE, per_output),
    _with_attrs("leaky_relu", LeakyReluAttrs, _leaky_relu),
    _with_attrs("elu", EluAttrs, _elu),
    _with_attrs("celu", CeluAttrs, _celu),
    _with_attrs("selu", SeluAttrs, _selu),
    _with_attrs("hard_sigmoid", HardSigmoidAttrs, _hard_sigmoid),
    _with_attrs("thresholded_relu", ThresholdedReluAttrs, _thresholded_relu),
    OpDef("clip", ClipAttrs, _same("clip", Kind.NUMBER), _clip, Pattern.ELEMENTWISE, per_output),
    OpDef("cast", CastAttrs, _cast_infer, _cast, Pattern.ELEMENTWISE, per_output),
)
