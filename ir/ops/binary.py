"""Elementwise ops of two or three inputs, which broadcast as in numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..dtypes import DType
from ..op import Attrs, ConstraintError, NoAttrs, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish, is_floating, precise, wide
from .checks import Kind, broadcast, need_broadcast_to, need_kind, need_same_dtype
from .faults import need_nonzero
from .flops import per_output

Infer = Callable[..., TensorType]
Reference = Callable[..., Array]


@dataclass(frozen=True)
class ModAttrs(Attrs):
    """fmod: the sign of the result is the dividend's (C's fmod), not the divisor's."""

    fmod: bool = False


def _arithmetic(op: str, kind: Kind, result: DType | None = None) -> Infer:
    def infer(attrs: Attrs, a: TensorType, b: TensorType) -> TensorType:
        need_kind(op, "C1", "a", a, kind)
        need_same_dtype(op, "C2", (a, b))
        return TensorType(result or a.dtype, broadcast(op, "C3", a, b))

    gives = "Bool" if result else "The inputs' dtype"
    infer.__doc__ = f"""{gives}, in the broadcast shape.

    C1: a has {kind.value}.
    C2: a and b have the same dtype.
    C3: the shapes broadcast.
    """
    return infer


def _pow_infer(attrs: NoAttrs, base: TensorType, exponent: TensorType) -> TensorType:
    """Dtype of the base, in the broadcast shape.

    C1: the base has a float or integer dtype.
    C2: the exponent has a float or integer dtype.
    C3: the shapes broadcast.
    """
    need_kind("pow", "C1", "the base", base, Kind.NUMBER)
    need_kind("pow", "C2", "the exponent", exponent, Kind.NUMBER)
    return TensorType(base.dtype, broadcast("pow", "C3", base, exponent))


def _mod_infer(attrs: ModAttrs, a: TensorType, b: TensorType) -> TensorType:
    """The inputs' dtype, in the broadcast shape.

    C1: a has a float or integer dtype.
    C2: a and b have the same dtype.
    C3: the shapes broadcast.
    C4: floats need fmod.
    """
    shape = _arithmetic("mod", Kind.NUMBER)(attrs, a, b).shape
    if a.dtype.is_float and not attrs.fmod:
        raise ConstraintError("mod", "C4", f"floats need fmod, got {a}")
    return TensorType(a.dtype, shape)


def _prelu_infer(attrs: NoAttrs, x: TensorType, slope: TensorType) -> TensorType:
    """Type of x.

    C1: x has a float or signed integer dtype.
    C2: x and slope have the same dtype.
    C3: slope broadcasts to the shape of x.
    """
    need_kind("prelu", "C1", "x", x, Kind.SIGNED)
    need_same_dtype("prelu", "C2", (x, slope))
    need_broadcast_to("prelu", "C3", "slope", slope, x)
    return TensorType(x.dtype, x.shape)


def _where_infer(attrs: NoAttrs, c: TensorType, a: TensorType, b: TensorType) -> TensorType:
    """Dtype of a and b, in the broadcast shape of all three.

    C1: c is bool.
    C2: a and b have the same dtype.
    C3: the shapes broadcast.
    """
    need_kind("where", "C1", "c", c, Kind.BOOL)
    need_same_dtype("where", "C2", (a, b))
    return TensorType(a.dtype, broadcast("where", "C3", c, a, b))


def _exact(function: Callable[[Array, Array], Array]) -> Reference:
    """For functions whose float result numpy rounds correctly in the dtype itself."""

    def reference(attrs: Attrs, a: Array, b: Array) -> Array:
        return finish(function(wide(a), wide(b)), a.dtype)

    return reference


def _compare(function: Callable[[Array, Array], Array]) -> Reference:
    def reference(attrs: Attrs, a: Array, b: Array) -> Array:
        return finish(function(wide(a), wide(b)), np.dtype(bool))

    return reference


def _div(attrs: NoAttrs, a: Array, b: Array) -> Array:
    """Integer division truncates towards zero."""
    if is_floating(a.dtype):
        return finish(wide(a) / wide(b), a.dtype)
    need_nonzero("div", b)
    quotient = a // b
    inexact = quotient * b != a
    return finish(quotient + (inexact & ((a < 0) != (b < 0))), a.dtype)


def _mod(attrs: ModAttrs, a: Array, b: Array) -> Array:
    if not is_floating(a.dtype):
        need_nonzero("mod", b)
    return finish(np.fmod(wide(a), wide(b)) if attrs.fmod else np.mod(a, b), a.dtype)


def _pow(attrs: NoAttrs, base: Array, exponent: Array) -> Array:
    """With a float among the operands in float64, then cast; integer powers wrap.

    An integer to a negative integer power is its truncated reciprocal (0 to one: 0).
    """
    if is_floating(base.dtype) or is_floating(exponent.dtype):
        x, y = precise(base), precise(exponent)
        # numpy takes sqrt for a scalar 0.5, which differs from pow for -inf and -0
        rooted = (y == 0.5) & ((x == 0) | (x == -np.inf))
        return finish(np.where(rooted, np.abs(x), np.power(x, y)), base.dtype)
    wrapped = np.power(base.astype(np.int64), np.maximum(exponent, 0).astype(np.int64))
    odd = exponent.astype(np.int64) % 2 != 0
    reciprocal = np.where(base == 1, 1, np.where(wide(base) == -1, np.where(odd, -1, 1), 0))
    return finish(np.where(exponent < 0, reciprocal, wrapped), base.dtype)


def _prelu(attrs: NoAttrs, x: Array, slope: Array) -> Array:
    v = wide(x)
    return finish(np.where(v < 0, v * wide(slope), v), x.dtype)


def _where(attrs: NoAttrs, c: Array, a: Array, b: Array) -> Array:
    return finish(np.where(c, a, b), a.dtype)


def _simple(name: str, infer: Infer, reference: Reference) -> OpDef:
    return OpDef(name, NoAttrs, infer, reference, Pattern.ELEMENTWISE, per_output)


def _number(name: str, function: Callable[[Array, Array], Array]) -> OpDef:
    return _simple(name, _arithmetic(name, Kind.NUMBER), _exact(function))


def _comparison(name: str, function: Callable[[Array, Array], Array], kind: Kind) -> OpDef:
    return _simple(name, _arithmetic(name, kind, DType.BOOL), _compare(function))


def _bits(name: str, function: Callable[[Array, Array], Array]) -> OpDef:
    return _simple(name, _arithmetic(name, Kind.INTEGER), _exact(function))


OPS = (
    _number("add", np.add),
    _number("sub", np.subtract),
    _number("mul", np.multiply),
    _simple("div", _arithmetic("div", Kind.NUMBER), _div),
    OpDef("mod", ModAttrs, _mod_infer, _mod, Pattern.ELEMENTWISE, per_output),
    _simple("pow", _pow_infer, _pow),
    # A NaN on either side gives NaN.
    _number("maximum", np.maximum),
    _number("minimum", np.minimum),
    _simple("prelu", _prelu_infer, _prelu),
    _comparison("equal", np.equal, Kind.ANY),
    _comparison("less", np.less, Kind.NUMBER),
    _comparison("less_equal", np.less_equal, Kind.NUMBER),
    _comparison("greater", np.greater, Kind.NUMBER),
    _comparison("greater_equal", np.greater_equal, Kind.NUMBER),
    _comparison("and", np.logical_and, Kind.BOOL),
    _comparison("or", np.logical_or, Kind.BOOL),
    _comparison("xor", np.logical_xor, Kind.BOOL),
    _bits("bitwise_and", np.bitwise_and),
    _bits("bitwise_or", np.bitwise_or),
    _bits("bitwise_xor", np.bitwise_xor),
    # A shift by as many bits as there are, or more, shifts everything out (in copies of the sign).
    _bits("shift_left", np.left_shift),
    _bits("shift_right", np.right_shift),
    _simple("where", _where_infer, _where),
)
