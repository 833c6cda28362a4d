"""Elementwise ops of two or three inputs."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx

from ...ir.types import TensorType
from ..context import Context
from ..half_views import widened
from ..view import Expr, View, bind, const, dtype_of
from . import Compute
from .as_written import as_written
from .elements import (
    FAULT_DIVISION,
    cast_to,
    elementwise,
    is_float,
    is_nan,
    joint_reach,
    maximum,
    minimum,
    read_broadcast,
)

Element = Callable[..., Expr]

EXPONENT_BITS = 8  # of integer powers: 2 ** 64 is 0 already, and 3 ** 255 is no model's business


def _c(value: float, like: Expr) -> Expr:
    return const(value, dtype_of(like))


def _plain(function: Callable[[Expr, Expr], Expr]) -> Element:
    return lambda context, attrs, a, b: function(a, b)


def _as_written(function: Callable[[Expr, Expr], Expr]) -> Element:
    return lambda context, attrs, a, b: as_written(function, a, b)


def _maximum(context: Context, attrs: Any, a: Expr, b: Expr) -> Expr:
    if not is_float(dtype_of(a)):
        return tirx.max(a, b)
    return bind(a, lambda x: bind(maximum(x, b), lambda m: tirx.Select(is_nan(x), x, m)))


def _minimum(context: Context, attrs: Any, a: Expr, b: Expr) -> Expr:
    if not is_float(dtype_of(a)):
        return tirx.min(a, b)
    return bind(a, lambda x: bind(minimum(x, b), lambda m: tirx.Select(is_nan(x), x, m)))


def _nonzero(b: Expr) -> Expr:
    """The divisor, or 1 (and the engine's fault status) where it is 0."""
    if isinstance(b, tirx.IntImm) and b.value:
        return b
    fault = tirx.call_extern(
        "int64", "lre_fault", const(FAULT_DIVISION, "int64"), const(0, "int64")
    )
    dtype = dtype_of(b)
    return bind(
        b,
        lambda d: tirx.if_then_else(
            tirx.EQ(d, _c(0, d)), (fault + const(1, "int64")).astype(dtype), d
        ),
    )


def _signed_divide(function: Callable[[Expr, Expr], Expr], at_minus_one: Element) -> Element:
    """Integer division that cannot trap: x / -1 is -x, also for the lowest number (it wraps)."""

    def divide(context: Context, attrs: Any, a: Expr, b: Expr) -> Expr:
        if dtype_of(a).startswith("uint"):
            return function(a, _nonzero(b))
        if isinstance(b, tirx.IntImm) and b.value not in (0, -1):
            return function(a, b)

        def safe(x: Expr, d: Expr) -> Expr:
            negative = tirx.EQ(d, _c(-1, d))
            return tirx.Select(
                negative,
                at_minus_one(context, attrs, x, d),
                function(x, tirx.Select(negative, _c(1, d), d)),
            )

        return bind(a, lambda x: bind(_nonzero(b), lambda d: safe(x, d)))

    return divide


_integer_div = _signed_divide(tirx.truncdiv, lambda context, attrs, x, d: _c(0, x) - x)
_zero_at_minus_one: Element = lambda context, attrs, x, d: _c(0, x)  # noqa: E731
_integer_fmod = _signed_divide(tirx.truncmod, _zero_at_minus_one)


def _floor_remainder(a: Expr, b: Expr) -> Expr:
    """The remainder with the divisor's sign, from the one with the dividend's."""

    def fixed(r: Expr) -> Expr:
        opposite = tirx.bitwise_xor(r, b) < _c(0, r)
        return tirx.Select(tirx.all(tirx.NE(r, _c(0, r)), opposite), r + b, r)

    return bind(tirx.truncmod(a, b), fixed)


_integer_mod = _signed_divide(_floor_remainder, _zero_at_minus_one)


def _unsigned_or(signed: Element, unsigned: Element) -> Element:
    def element(context: Context, attrs: Any, a: Expr, b: Expr) -> Expr:
        chosen = unsigned if dtype_of(a).startswith("uint") else signed
        return chosen(context, attrs, a, b)

    return element


def _divided(context: Context, attrs: Any, a: Expr, b: Expr) -> Expr:
    if isinstance(b, tirx.FloatImm) and b.value == 0:  # which TVM takes for a mistake
        return a * tirx.const(math.copysign(math.inf, b.value), dtype_of(a))
    return a / b


_float_div = elementwise("div", _divided)
_div_integers = elementwise("div", _integer_div, faulting=True)
_fmod_floats = elementwise("mod", lambda context, attrs, a, b: context.math.libm("fmod", a, b))
_fmod_integers = elementwise("mod", _integer_fmod, faulting=True)
_mod_integers = elementwise("mod", _unsigned_or(_integer_mod, _integer_fmod), faulting=True)


def _div(attrs: Any, inputs: list[View], out_types: Any, context: Context) -> View:
    chosen = _float_div if is_float(inputs[0].dtype) else _div_integers
    result: View = chosen(attrs, inputs, out_types, context)
    return result


def _mod(attrs: Any, inputs: list[View], out_types: Any, context: Context) -> View:
    if is_float(inputs[0].dtype):
        chosen = _fmod_floats
    else:
        chosen = _fmod_integers if attrs.fmod else _mod_integers
    result: View = chosen(attrs, inputs, out_types, context)
    return result


def _constant_power(context: Context, exponent: float) -> Element | None:
    """x to a power that needs no logarithm, or None."""
    table: dict[float, Callable[[Expr], Expr]] = {
        0.0: lambda x: _c(1, x),
        1.0: lambda x: x,
        2.0: lambda x: bind(x, lambda v: v * v),
        3.0: lambda x: bind(x, lambda v: v * v * v),
        4.0: lambda x: bind(x, lambda v: bind(v * v, lambda s: s * s)),
        0.5: lambda x: _of_root(x, lambda root: root, math.inf),
        -0.5: lambda x: _of_root(x, lambda root: _c(1, x) / root, 0.0),
        -1.0: lambda x: _c(1, x) / x,
        -2.0: lambda x: bind(_c(1, x) / x, lambda v: v * v),
    }
    function = table.get(exponent)
    return None if function is None else (lambda context, attrs, x, y: function(x))


def _of_root(x: Expr, function: Callable[[Expr], Expr], lowest: float) -> Expr:
    """A function of sqrt(x), with +0 as the root of -0 and a result of its own for -inf, as pow."""

    def of(v: Expr) -> Expr:
        is_lowest = tirx.EQ(v, _c(-math.inf, v))
        return tirx.Select(is_lowest, _c(lowest, v), function(tirx.abs(tirx.sqrt(v))))

    return bind(x, of)


def _integer_power(context: Context, attrs: Any, x: Expr, y: Expr) -> Expr:
    """Squaring, unrolled; wraps. A negative exponent gives the truncated reciprocal."""
    dtype = dtype_of(x)
    wide_x, wide_y = x.astype("int64"), y.astype("int64")
    one, zero = const(1, "int64"), const(0, "int64")
    bit = const(1, "uint64")

    def power(base: Expr, exponent: Expr, place: int) -> Expr:
        # Unsigned: TVM would multiply signed polynomials out.
        mask = const(1 << place, "uint64")
        odd = tirx.NE(tirx.bitwise_and(exponent, mask), const(0, "uint64"))
        factor = tirx.Select(odd, base, bit)
        if place == EXPONENT_BITS - 1:
            return factor
        return bind(base * base, lambda b: factor * power(b, exponent, place + 1), "square")

    def both(v: Expr, e: Expr) -> Expr:
        odd = tirx.EQ(tirx.bitwise_and(e, one), one)
        minus = tirx.Select(odd, const(-1, "int64"), one)
        reciprocal = tirx.Select(
            tirx.EQ(v, one), one, tirx.Select(tirx.EQ(v, const(-1, "int64")), minus, zero)
        )
        raised = power(v.astype("uint64"), e.astype("uint64"), 0).astype("int64")
        return bind(raised, lambda r: tirx.Select(e < zero, reciprocal, r))

    return bind(wide_x, lambda v: bind(wide_y, lambda e: both(v, e))).astype(dtype)


def _general_power(context: Context, attrs: Any, x: Expr, y: Expr) -> Expr:
    if not is_float(dtype_of(x)) or not is_float(dtype_of(y)):
        result = context.math.libm("pow", x.astype("float64"), y.astype("float64"))
        return result
    wide = "float64" if "float64" in (dtype_of(x), dtype_of(y)) else "float32"
    return context.math.libm("pow", x.astype(wide), y.astype(wide))


def _pow(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    base, exponent = inputs
    element: Element | None = None
    if exponent.scalar is not None and is_float(base.dtype):
        element = _constant_power(context, float(exponent.scalar))
    if element is None:
        floats = is_float(base.dtype) or is_float(exponent.dtype)
        element = _general_power if floats else _integer_power
    result: View = elementwise("pow", element)(attrs, inputs, out_types, context)
    return result


def _prelu(context: Context, attrs: Any, x: Expr, slope: Expr) -> Expr:
    return bind(x, lambda v: tirx.Select(v < _c(0, v), v * slope, v))


def _shift(function: Callable[[Expr, Expr], Expr], right: bool) -> Element:
    """As numpy: a shift by as many bits as there are shifts everything out."""

    def element(context: Context, attrs: Any, a: Expr, b: Expr) -> Expr:
        dtype = dtype_of(a)
        bits = int("".join(filter(str.isdigit, dtype)))
        last = const(bits - 1, dtype)

        def shifted(x: Expr, n: Expr) -> Expr:
            inside = tirx.all(n >= _c(0, n), n <= last)
            amount = tirx.Select(inside, n, last)
            if right and not dtype.startswith("uint"):
                return function(x, amount)  # copies of the sign
            return tirx.Select(inside, function(x, amount), _c(0, x))

        return bind(a, lambda x: bind(b, lambda n: shifted(x, n)))

    return element


def _covers(view: View, shape: Sequence[int], reach: Sequence[int]) -> bool:
    """Whether nothing of a result of this shape and reach is broadcast from the operand."""
    return view.shape == tuple(shape) and all(map(operator.ge, view.reach, reach))


def _where(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    """Both sides are cheap: a Select, which vectorizes. Otherwise still: there is no branch."""
    shape, dtype = out_types[0].shape, out_types[0].dtype.tvm
    wide = [widened(view) for view in inputs]

    def read(*indices: Expr) -> Expr:
        c, a, b = (read_broadcast(view, shape, indices) for view in wide)
        return cast_to(tirx.Select(c, a, b), dtype)

    reach = joint_reach(inputs, shape)
    pads = [view.scalar if view.scalar is not None else view.pad for view in inputs[1:]]
    whole = all(v.scalar is not None or _covers(v, shape, reach) for v in inputs[1:])
    zero = whole and all(pad is not None and pad == 0 for pad in pads)
    return View(shape, dtype, read, reach=reach, pad=pads[0] if zero else None)


def _logic(name: str) -> Element:
    return {
        "and": _plain(tirx.And),
        "or": _plain(tirx.Or),
        "xor": _plain(lambda a, b: tirx.NE(a.astype("int8"), b.astype("int8"))),
    }[name]


def _equal(context: Context, attrs: Any, a: Expr, b: Expr) -> Expr:
    if dtype_of(a) == "bool":
        return tirx.EQ(a.astype("int8"), b.astype("int8"))
    return as_written(tirx.EQ, a, b)


ELEMENTS: dict[str, Element] = {
    "add": _as_written(lambda a, b: a + b),
    "sub": _as_written(lambda a, b: a - b),
    "mul": _as_written(lambda a, b: a * b),
    "maximum": _maximum,
    "minimum": _minimum,
    "prelu": _prelu,
    "equal": _equal,
    "less": _as_written(lambda a, b: a < b),
    "less_equal": _as_written(lambda a, b: a <= b),
    "greater": _as_written(lambda a, b: a > b),
    "greater_equal": _as_written(lambda a, b: a >= b),
    "and": _logic("and"),
    "or": _logic("or"),
    "xor": _logic("xor"),
    "bitwise_and": _plain(tirx.bitwise_and),
    "bitwise_or": _plain(tirx.bitwise_or),
    "bitwise_xor": _plain(tirx.bitwise_xor),
    "shift_left": _shift(tirx.shift_left, right=False),
    "shift_right": _shift(tirx.shift_right, right=True),
}

COMPUTE: dict[str, Compute] = {
    **{op: elementwise(op, element) for op, element in ELEMENTS.items()},
    "div": _div,
    "mod": _mod,
    "pow": _pow,
    "where": _where,
}
