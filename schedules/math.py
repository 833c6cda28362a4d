"""Transcendental functions on TE expressions.

At level 1, and for float64, these are calls of libm: exact to an ulp, one element at a time. From
level 2 on float32 takes polynomials that vectorize (<= 8 ulp, proven by
tests/schedules/test_math.py over all magnitudes). They keep NaN, and take infinities as IEEE 754
does. Results below 1.7e-38 may be flushed to zero.

Measured with AVX-512, ns an element and core. Zen 4, one thread: exp, tanh, erf 0.23-0.25, sigmoid
0.24, log 0.48, softplus 0.52 (libm: exp 1.9, erf 20, tanh 5.5). Zen 5, two threads: atan, asin,
acos 0.13, cosh, sinh 0.22-0.28, sin 0.40, tan 0.46, acosh, atanh, asinh 0.5-0.7 (libm: asin, acos
7.5, atan 16, tan 20).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tvm import tirx

from .view import Expr, bind, const, dtype_of

__all__ = ["MathLibrary"]

_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_LN2 = 0.69314718055994531  # as float32 1.9e-9 too much: 127 times that is 2 ulp of the exponential
_LOG2E = 1.44269504088896341
_EXP_LOW, _EXP_HIGH = -87.3, 89.0
# exp(r) = 1 + r (1 + r (…)) on |r| <= ln 2 / 2: the least relative error, 1.0e-7, of this degree.
_DOWN = (8.31251547102278e-3, 4.189020069087367e-2, 0.16667114834927654, 0.49999231197653765)
_DOWN_LOW = -88.0  # below -87.7 the exponent is -127, whose bits are those of zero
_DOWN_HIGH = 88.8  # from 88.4 on the exponent is 128, whose bits are those of infinity
_ROUNDING = 12582912.0 + 127.0  # 1.5 * 2^23: a sum with it has the integer part as its last bits

# Eigen's rational approximations: odd numerator, even denominator.
_TANH_LIMIT = 7.90531110763549805
_TANH_ONE = 9.01  # from here on tanh rounds to 1
_TANH_P = (
    -2.76076847742355e-16,
    2.00018790482477e-13,
    -8.60467152213735e-11,
    5.12229709037114e-08,
    1.48572235717979e-05,
    6.37261928875436e-04,
    4.89352455891786e-03,
)
_TANH_Q = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)

_ERF_LIMIT = 3.832506856900711
_ERF_ONE = 3.92  # from here on erf rounds to 1
_ERF_P = (
    0.00022905065861350646,
    0.0034082910107109506,
    0.050955695062380861,
    0.18520832239976145,
    1.128379143519084,
)
_ERF_Q = (
    -1.1791602954361697e-7,
    0.000023547966471313185,
    0.0010179625278914885,
    0.014070470171167667,
    0.11098505178285362,
    0.49746925110067538,
    1.0,
)

# Cephes logf on [sqrt(1/2), sqrt(2)).
_LOG = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)

# 1 / (2 pi) in parts of 29 bits: with the 24 of a float32 their products are exact as float64, and
# so is what they are off the nearest integer. The last one is what is left.
_TURNS = (
    0.15915494272485375,
    3.6704158115630214e-10,
    5.690025167992954e-19,
    1.4703036846932608e-27,
    2.5867171752090537e-36,
    9.458140970740169e-46,
)
_SIN = (2.6057505237986334e-06, -0.0001980959059437737, 0.00833306647837162, -0.16666659712791443)

# SLEEF's minimax polynomials: atan(t) = t + t z P(z) up to 1, asin(t) likewise up to 1/2, z = t^2.
_ATAN = (
    0.00282363896258175373,
    -0.0159569028764963150,
    0.0425049886107444763,
    -0.0748900920152664185,
    0.106347933411598206,
    -0.142027363181114197,
    0.199926957488059998,
    -0.333331018686294556,
)
_ASIN = (0.04197454825, 0.02424046025, 0.04547423869, 0.07495029271, 0.1666677296)
# Cephes' tangent: tan(t) = t + t z P(z) up to pi / 4.
_TAN = (
    9.38540185543e-3,
    3.11992232697e-3,
    2.44301354525e-2,
    5.34112807005e-2,
    1.33387994085e-1,
    3.33331568548e-1,
)
_SINH = (1 / 362880, 1 / 5040, 1 / 120, 1 / 6)  # next term: 1 / 39916800
_SQUARES = 8192.0  # from here on 1 is nothing beside a square

_ARTANH = tuple(1 / (2 * k + 1) for k in range(7, -1, -1))  # next term: 3 ** -16 / 17


def _f(value: float) -> Expr:
    return const(value, "float32")


def _horner(x: Expr, coefficients: Sequence[float]) -> Expr:
    total = _f(coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + _f(coefficient)
    return total


def _clamp(x: Expr, low: float, high: float) -> Expr:
    # Selects rather than min/max: a NaN fails both comparisons and stays.
    high_cut = tirx.Select(x > _f(high), _f(high), x)
    return bind(high_cut, lambda y: tirx.Select(y < _f(low), _f(low), y))


def _power_of_two(n: Expr) -> Expr:
    """2 ** n for an integer-valued float32 n in [-127, 128]; 0 at -127."""
    bits = n.astype("int32") + const(127, "int32")
    return tirx.reinterpret("float32", tirx.shift_left(bits, const(23, "int32")))


def _reduced(x: Expr, body: Callable[[Expr, Expr], Expr]) -> Expr:
    """body(n, r) with x = n ln 2 + r and |r| <= ln 2 / 2."""
    return bind(
        tirx.floor(x * _f(_LOG2E) + _f(0.5)),
        lambda n: bind(x - n * _f(_LN2_HIGH) - n * _f(_LN2_LOW), lambda r: body(n, r)),
    )


def _exp(x: Expr) -> Expr:
    def scaled(n: Expr, r: Expr) -> Expr:
        # Half of 2^n, doubled at the end: 2^128 itself is no float, but 0.7 * 2^128 is.
        value = (_horner(r, _EXP) * r * r + r + _f(1)) * _power_of_two(n - _f(1)) * _f(2)
        return value

    return bind(_clamp(x, _EXP_LOW, _EXP_HIGH), lambda y: _reduced(y, scaled))


def _exp_flushed(x: Expr) -> Expr:
    """exp of -88 to 88.8, to 3 ulp; from 88.4 on infinity, below -87.7 zero."""
    rounded = tirx.call_intrin("float32", "tirx.fma", x, _f(_LOG2E), _f(_ROUNDING))

    def scaled(t: Expr, n: Expr) -> Expr:
        bits = tirx.shift_left(tirx.reinterpret("int32", t), const(23, "int32"))
        power = tirx.reinterpret("float32", bits)
        return bind(x - n * _f(_LN2), lambda r: _horner(r, (*_DOWN, 1.0, 1.0)) * power)

    return bind(rounded, lambda t: bind(t - _f(_ROUNDING), lambda n: scaled(t, n)))


def _exp_down(x: Expr) -> Expr:
    return bind(tirx.Select(x < _f(_DOWN_LOW), _f(_DOWN_LOW), x), _exp_flushed)


def _one_and_exp(x: Expr) -> Expr:
    """1 + exp(-x), for what is divided by it: infinite where the quotient is below 1.7e-38."""
    return bind(_clamp(-x, _DOWN_LOW, _DOWN_HIGH), lambda y: _exp_flushed(y) + _f(1))


def _expm1(x: Expr) -> Expr:
    def scaled(n: Expr, r: Expr) -> Expr:
        return bind(_power_of_two(n), lambda s: (_horner(r, _EXP) * r * r + r) * s + (s - _f(1)))

    return bind(_clamp(x, -80.0, 88.0), lambda y: _reduced(y, scaled))


def _ratio(x: Expr, limit: float, one: float, p: Sequence[float], q: Sequence[float]) -> Expr:
    """An odd function by a ratio of polynomials within `limit`, and exactly 1 or -1 from `one` on:
    what is a little less would be much, times a large number."""
    ratio = bind(
        _clamp(x, -limit, limit),
        lambda y: bind(y * y, lambda z: y * _horner(z, p) / _horner(z, q)),
    )
    return tirx.Select(x >= _f(one), _f(1), tirx.Select(x <= _f(-one), _f(-1), ratio))


def _log(x: Expr) -> Expr:
    """Cephes logf: x = m 2^e with m in [sqrt(1/2), sqrt(2))."""

    def finish(bits: Expr) -> Expr:
        mantissa = tirx.reinterpret(
            "float32",
            tirx.bitwise_or(
                tirx.bitwise_and(bits, const(0x007FFFFF, "int32")), const(0x3F000000, "int32")
            ),
        )
        exponent = tirx.shift_right(bits, const(23, "int32")) - const(126, "int32")

        def poly(m: Expr, e: Expr, small: Expr) -> Expr:
            t = tirx.Select(small, m + m, m) - _f(1)
            n = (e - tirx.Select(small, const(1, "int32"), const(0, "int32"))).astype("float32")
            return bind(t, lambda r: bind(n, lambda k: _log_tail(r, k)))

        return bind(
            mantissa, lambda m: bind(exponent, lambda e: poly(m, e, m < _f(0.707106781186547524)))
        )

    # Subnormals are scaled up by 2^24.
    def whole(tiny: Expr) -> Expr:
        scaled = tirx.Select(tiny, x * _f(16777216.0), x)
        value = bind(tirx.reinterpret("int32", scaled), finish) - tirx.Select(
            tiny, _f(16.635532333438687), _f(0)
        )
        return value

    value = whole(x < _f(1.17549435e-38))
    infinity = tirx.const(float("inf"), "float32")
    value = tirx.Select(x < infinity, value, x)  # +inf and NaN are their own logarithms
    value = tirx.Select(x < _f(0), tirx.const(float("nan"), "float32"), value)
    return tirx.Select(tirx.EQ(x, _f(0)), tirx.const(float("-inf"), "float32"), value)


def _log_tail(r: Expr, k: Expr) -> Expr:
    def tail(z: Expr) -> Expr:
        y = _horner(r, _LOG) * r * z + k * _f(_LN2_LOW) - _f(0.5) * z
        return r + y + k * _f(_LN2_HIGH)

    return bind(r * r, tail)


def _log1p_unit(u: Expr) -> Expr:
    """log(1 + u) for u in [0, 1]: 2 artanh(s) with s = u / (2 + u) <= 1/3, by its series."""
    return bind(
        u / (_f(2) + u),
        lambda s: bind(s * s, lambda z: _f(2) * s * _horner(z, _ARTANH)),
    )


def _turns(x: Expr, body: Callable[[Expr], Expr]) -> Expr:
    """body(t) with t float64, x / (2 pi) - t an integer, for any finite x; NaN for others.

    Exact but for a few 2^-54, whatever x is; no float32 is closer than 2^-32 to a multiple of pi.
    """
    wide = x.astype("float64")

    def added(parts: Sequence[float], total: Expr) -> Expr:
        if not parts:
            return body(total)
        product = wide * const(parts[-1], "float64")
        rest = bind(product, lambda p: p - tirx.nearbyint(p))
        return bind(total + rest, lambda t: added(parts[:-1], t))

    return added(_TURNS[:-1], wide * const(_TURNS[-1], "float64"))


def _sine(x: Expr, ahead: float) -> Expr:
    """The sine of x + 2 pi `ahead`, to 2 ulp."""

    def polynomial(half: Expr, turns: Expr) -> Expr:
        """(-1)^n sin(2 pi (t - n/2)) for the nearest n."""
        rest = (turns - half * const(0.5, "float64")) * const(2 * math.pi, "float64")
        sign = tirx.shift_left(half.astype("int32"), const(31, "int32"))

        def value(r: Expr, z: Expr) -> Expr:
            sine = _horner(z, _SIN) * z * r + r
            bits = tirx.bitwise_xor(tirx.reinterpret("int32", sine), sign)
            return tirx.reinterpret("float32", bits)

        return bind(rest.astype("float32"), lambda r: bind(r * r, lambda z: value(r, z)))

    def of(turns: Expr) -> Expr:
        moved = turns + const(ahead, "float64") if ahead else turns
        return bind(
            moved,
            lambda t: bind(tirx.nearbyint(t * const(2.0, "float64")), lambda h: polynomial(h, t)),
        )

    return _turns(x, of)


def _with_sign(value: Expr, x: Expr) -> Expr:
    """A value that is not negative (or NaN), with the sign of x, of zeros too."""
    sign = tirx.bitwise_and(tirx.reinterpret("int32", x), const(-(1 << 31), "int32"))
    return tirx.reinterpret("float32", tirx.bitwise_or(tirx.reinterpret("int32", value), sign))


def _odd_polynomial(t: Expr, coefficients: Sequence[float]) -> Expr:
    """t + t z P(z) with z = t^2"""
    return bind(t * t, lambda z: _horner(z, coefficients) * (z * t) + t)


def _atan(x: Expr) -> Expr:
    """The arc tangent to 3 ulp: of 1 / |x| where that is smaller, and then off pi / 2."""

    def value(a: Expr) -> Expr:
        far = a > _f(1)
        t = tirx.Select(far, _f(1), a) / tirx.Select(far, a, _f(1))
        near = bind(t, lambda s: _odd_polynomial(s, _ATAN))
        return bind(near, lambda y: tirx.Select(far, _f(math.pi / 2) - y, y))

    return _with_sign(bind(tirx.abs(x), value), x)


def _arc(a: Expr, body: Callable[[Expr, Expr], Expr]) -> Expr:
    """body(a <= 1/2, asin(t)) with t = a up to 1/2 and sqrt((1 - a) / 2) from there on.

    asin(a) is then pi / 2 - 2 asin(t). NaN where a > 1.
    """
    near = a <= _f(0.5)
    half = (_f(1) - a) * _f(0.5)
    square = tirx.Select(near, a * a, half)
    root = tirx.Select(near, a, tirx.sqrt(half))
    found = bind(square, lambda z: bind(root, lambda t: _horner(z, _ASIN) * (z * t) + t))
    return bind(found, lambda y: body(near, y))


def _asin(x: Expr) -> Expr:
    def value(near: Expr, y: Expr) -> Expr:
        return tirx.Select(near, y, _f(math.pi / 2) - (y + y))

    return _with_sign(bind(tirx.abs(x), lambda a: _arc(a, value)), x)


def _acos(x: Expr) -> Expr:
    below = x < _f(0)

    def value(near: Expr, y: Expr) -> Expr:
        close = _f(math.pi / 2) - tirx.Select(below, -y, y)
        twice = y + y
        return tirx.Select(near, close, tirx.Select(below, _f(math.pi) - twice, twice))

    return bind(tirx.abs(x), lambda a: _arc(a, value))


def _tan(x: Expr) -> Expr:
    """The tangent to 4 ulp, from that of what x is off a multiple of pi / 2."""

    def polynomial(quarters: Expr, turns: Expr) -> Expr:
        rest = (turns - quarters * const(0.25, "float64")) * const(2 * math.pi, "float64")
        odd = tirx.bitwise_and(quarters.astype("int32"), const(1, "int32"))
        found = bind(rest.astype("float32"), lambda r: _odd_polynomial(r, _TAN))
        return bind(found, lambda y: tirx.Select(odd > const(0, "int32"), _f(-1) / y, y))

    def of(turns: Expr) -> Expr:
        nearest = tirx.nearbyint(turns * const(4.0, "float64"))
        return bind(nearest, lambda q: polynomial(q, turns))

    return _turns(x, lambda turns: bind(turns, of))


def _half_exp(a: Expr) -> Expr:
    """exp(a) / 2, infinite only where that is."""
    return bind(_exp(a * _f(0.5)), lambda e: (_f(0.5) * e) * e)


def _sinh(x: Expr) -> Expr:
    def value(a: Expr) -> Expr:
        far = bind(_half_exp(a), lambda q: q - _f(0.25) / q)
        near = _odd_polynomial(a, _SINH)
        return tirx.Select(a < _f(1), near, far)

    return _with_sign(bind(tirx.abs(x), value), x)


def _cosh(x: Expr) -> Expr:
    half = bind(tirx.abs(x), _half_exp)
    return bind(half, lambda q: q + _f(0.25) / q)


def _log_of_sum(a: Expr, rest: Expr) -> Expr:
    """log(1 + rest) for rest >= 0, and log(2 a) where a is large (and rest may be anything)."""

    def value(u: Expr) -> Expr:
        large = a >= _f(_SQUARES)
        whole = bind(tirx.Select(large, a, u + _f(1)), _log)
        whole = whole + tirx.Select(large, _f(_LN2), _f(0))
        return tirx.Select(tirx.all(u <= _f(1), a < _f(_SQUARES)), _log1p_unit(u), whole)

    return bind(rest, value)


def _asinh(x: Expr) -> Expr:
    def value(a: Expr) -> Expr:
        square = a * a
        rest = bind(square, lambda z: a + z / (_f(1) + tirx.sqrt(z + _f(1))))
        return _log_of_sum(a, rest)

    return _with_sign(bind(tirx.abs(x), value), x)


def _acosh(x: Expr) -> Expr:
    def value(t: Expr) -> Expr:
        return _log_of_sum(x, t + tirx.sqrt(t * (t + _f(2))))

    legal = bind(x - _f(1), value)
    return tirx.Select(x < _f(1), tirx.const(float("nan"), "float32"), legal)


def _atanh(x: Expr) -> Expr:
    def value(a: Expr) -> Expr:
        near = bind(a * a, lambda z: a * _horner(z, _ARTANH))
        far = _f(0.5) * bind((_f(1) + a) / (_f(1) - a), _log)
        return tirx.Select(a <= _f(1 / 3), near, far)

    return _with_sign(bind(tirx.abs(x), value), x)


# By their names in the C library.
_FAST: dict[str, Callable[[Expr], Expr]] = {
    "atan": _atan,
    "asin": _asin,
    "acos": _acos,
    "sinh": _sinh,
    "cosh": _cosh,
    "asinh": _asinh,
    "acosh": _acosh,
    "atanh": _atanh,
    "cos": lambda x: _sine(x, 0.25),
    # The sine and the tangent of -0 are -0, which no sum is.
    "sin": lambda x: tirx.Select(tirx.EQ(x, _f(0)), x, _sine(x, 0.0)),
    "tan": lambda x: tirx.Select(tirx.EQ(x, _f(0)), x, _tan(x)),
}


class MathLibrary:
    """The functions that element computes use; each takes and gives an expression.

    Args:
        fast: Vectorizable polynomials for float32 (levels 2 and up) rather than libm.
    """

    def __init__(self, fast: bool) -> None:
        self.fast = fast

    def _use_fast(self, x: Expr) -> bool:
        return self.fast and dtype_of(x) == "float32"

    def libm(self, name: str, *args: Expr) -> Expr:
        """A call of the C library: `libm("tanh", x)` is tanhf for float32."""
        dtype = dtype_of(args[0])
        return tirx.call_pure_extern(dtype, name + ("f" if dtype == "float32" else ""), *args)

    def function(self, name: str, x: Expr) -> Expr:
        """A function of angles or hyperbolas, by its name in the C library."""
        return bind(x, _FAST[name]) if self._use_fast(x) else self.libm(name, x)

    def exp(self, x: Expr) -> Expr:
        return bind(x, _exp) if self._use_fast(x) else self.libm("exp", x)

    def exp_down(self, x: Expr) -> Expr:
        """exp(x) for x <= 0 (or NaN): cheaper, as nothing can overflow and 3 ulp do."""
        return bind(x, _exp_down) if self._use_fast(x) else self.libm("exp", x)

    def expm1(self, x: Expr) -> Expr:
        return bind(x, _expm1) if self._use_fast(x) else self.libm("expm1", x)

    def log(self, x: Expr) -> Expr:
        return bind(x, _log) if self._use_fast(x) else self.libm("log", x)

    def tanh(self, x: Expr) -> Expr:
        if not self._use_fast(x):
            return self.libm("tanh", x)
        return bind(x, lambda v: _ratio(v, _TANH_LIMIT, _TANH_ONE, _TANH_P, _TANH_Q))

    def erf(self, x: Expr) -> Expr:
        if not self._use_fast(x):
            return self.libm("erf", x)
        return bind(x, lambda v: _ratio(v, _ERF_LIMIT, _ERF_ONE, _ERF_P, _ERF_Q))

    def sigmoid(self, x: Expr) -> Expr:
        return self._logistic(x, const(1, dtype_of(x)))

    def silu(self, x: Expr) -> Expr:
        """x sigmoid(x)"""
        return bind(x, lambda v: self._logistic(v, v))

    def _logistic(self, x: Expr, numerator: Expr) -> Expr:
        if self._use_fast(x):
            return numerator / _one_and_exp(x)
        return numerator / (const(1, dtype_of(x)) + self.libm("exp", -x))

    def softplus(self, x: Expr) -> Expr:
        """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))."""
        zero = const(0, dtype_of(x))

        def value(v: Expr) -> Expr:
            small = self.exp(-tirx.abs(v))
            tail = bind(small, _log1p_unit) if self._use_fast(v) else self.libm("log1p", small)
            return tirx.Select(v > zero, v, zero) + tail

        return bind(x, value)
