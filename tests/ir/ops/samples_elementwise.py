"""Samples of elementwise ops."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from sampling import NO, Sample, bools, define, floats, integers, of

from leip.ir import Attrs, DType
from leip.ir.ops import (
    CastAttrs,
    CeluAttrs,
    ClipAttrs,
    EluAttrs,
    GeluAttrs,
    HardSigmoidAttrs,
    LeakyReluAttrs,
    ModAttrs,
    SeluAttrs,
    ThresholdedReluAttrs,
)

SHAPES = [(), (1,), (7,), (3, 5), (1, 17, 9, 7)]
PAIRS = [
    ((), ()),
    ((7,), ()),
    ((3, 5), (5,)),
    ((3, 1), (1, 5)),
    ((2, 9, 7, 5), (9, 1, 1)),
    ((1, 16, 6, 6), (1, 16, 6, 6)),
    ((4, 1, 3), (2, 1)),
]

ALL_INTEGERS = [np.int64, np.int32, np.int16, np.int8, np.uint64, np.uint32, np.uint16, np.uint8]
DOMAINS = {
    "log": (0.05, 9),
    "sqrt": (0, 9),
    "rsqrt": (0.05, 9),
    "reciprocal": (0.3, 4),
    "tan": (-1.4, 1.4),
    "asin": (-1, 1),
    "acos": (-1, 1),
    "acosh": (1.1, 9),
    "atanh": (-0.95, 0.95),
}
FLOAT_UNARY = [
    "exp", "log", "erf", "sqrt", "rsqrt", "reciprocal", "floor", "ceil", "round", "sin", "cos",
    "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "tanh", "sigmoid",
    "silu", "mish", "hardswish", "softsign", "softplus",
]  # fmt: skip
UNARY_WITH_ATTRS: dict[str, list[Attrs]] = {
    "gelu": [GeluAttrs(), GeluAttrs("tanh")],
    "leaky_relu": [LeakyReluAttrs(), LeakyReluAttrs(0.25)],
    "elu": [EluAttrs(), EluAttrs(1.7)],
    "celu": [CeluAttrs(), CeluAttrs(0.6)],
    "selu": [SeluAttrs(), SeluAttrs(1.5, 1.25)],
    "hard_sigmoid": [HardSigmoidAttrs(), HardSigmoidAttrs(1 / 6, 0.5)],
    "thresholded_relu": [ThresholdedReluAttrs(), ThresholdedReluAttrs(0.5)],
}


def _unary(op: str) -> list[Sample]:
    low, high = DOMAINS.get(op, (-6, 6))
    samples: list[Sample] = [(NO, [floats(*shape, low=low, high=high)]) for shape in SHAPES]
    return [*samples, (NO, [floats(2, 9, low=low, high=high, dtype=np.float64)])]


for _op in FLOAT_UNARY:
    define(_op)(lambda _op=_op: _unary(_op))  # type: ignore[misc]
define("round")(
    lambda: [(NO, [np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999997, 8388609.0], np.float32)])]
)
define("tanh")(lambda: [(NO, [np.array([-100, -9.5, -1e-4, 0, 1e-4, 9.5, 100], np.float32)])])
define("sigmoid")(lambda: [(NO, [np.array([-120, -20, -1e-4, 0, 20, 120], np.float32)])])
define("softplus")(lambda: [(NO, [np.array([-120, -20, -1e-4, 0, 20, 120], np.float32)])])
define("exp")(lambda: [(NO, [np.array([-110, -87, -1e-4, 0, 1e-4, 88], np.float32)])])
define("erf")(lambda: [(NO, [np.array([-9, -1.25, -1e-4, 0, 0.85, 3, 9], np.float32)])])

for _op, _choices in UNARY_WITH_ATTRS.items():
    define(_op)(
        lambda _choices=_choices: (
            [  # type: ignore[misc]
                (attrs, [floats(*shape, low=-6, high=6)]) for attrs in _choices for shape in SHAPES
            ]
            + [(_choices[0], [floats(2, 9, dtype=np.float64)])]
        )
    )

for _op in ("neg", "abs", "sign", "relu", "identity"):
    define(_op)(lambda: [(NO, [floats(*shape)]) for shape in SHAPES])
    define(_op)(
        lambda _op=_op: [  # type: ignore[misc]
            (NO, [of(dtype, 3, 5)])
            for dtype in (np.float64, *ALL_INTEGERS)
            if _op != "neg" or np.dtype(dtype).kind != "u"
        ]
    )
define("identity")(lambda: [(NO, [bools(3, 5)])])
define("sign")(lambda: [(NO, [np.array([-1.5, 0.0, -0.0, 2.0, np.inf, -np.inf], np.float32)])])
define("not")(lambda: [(NO, [bools(*shape)]) for shape in SHAPES])
define("bitwise_not")(lambda: [(NO, [of(dtype, 3, 5)]) for dtype in ALL_INTEGERS])
for _op in ("isnan", "isinf"):
    define(_op)(
        lambda: (
            [
                (NO, [np.array([[1, np.nan, np.inf], [-np.inf, 0, -2]], dtype)])
                for dtype in (np.float32, np.float64)
            ]
            + [(NO, [np.float32([3.0]).reshape(())])]
        )
    )

define("clip")(
    lambda: (
        [
            (attrs, [floats(*shape, low=-8, high=8)])
            for attrs in (
                ClipAttrs(0.0, 6.0),
                ClipAttrs(min=-1.5),
                ClipAttrs(max=2.25),
                ClipAttrs(),
            )
            for shape in SHAPES
        ]
        + [(ClipAttrs(-2.0, 3.0), [of(dtype, 3, 5)]) for dtype in (np.float64, *ALL_INTEGERS)]
        + [(ClipAttrs(-1e30, 1e30), [integers(7, dtype=np.int32)])]
        + [
            (ClipAttrs(2.0, -1.0), [floats(9)]),
            (ClipAttrs(-1.5, 2.5), [integers(9, dtype=np.int8)]),
        ]
    )
)


def _castable(source: type, to: type) -> np.ndarray:
    values = of(source, 3, 5)
    negative_to_unsigned = np.dtype(to).kind == "u" and np.dtype(source).kind == "f"
    return np.abs(values) if negative_to_unsigned else values


_CASTS = [np.float32, np.float64, np.bool_, *ALL_INTEGERS]
define("cast")(
    lambda: (
        [
            (CastAttrs(DType.from_numpy(to)), [_castable(source, to)])
            for source, to in itertools.product(_CASTS, _CASTS)
        ]
        + [(CastAttrs(DType.I64), [np.array([-1.9, -0.5, 0.5, 1.9, 3e9], np.float32)])]
        + [(CastAttrs(DType.U8), [np.array([-1, 255, 256, 300], np.int32)])]
        + [(CastAttrs(DType.F32), [np.array([2**53 + 1, -(2**40)], np.int64)])]
    )
)


def _pairs(make: Callable[..., np.ndarray], other: Callable[..., np.ndarray]) -> list[Sample]:
    return [(NO, [make(*left), other(*right)]) for left, right in PAIRS]


for _op in ("add", "sub", "mul", "maximum", "minimum"):
    define(_op)(
        lambda: (
            _pairs(floats, floats)
            + [(NO, [of(dtype, 3, 5), of(dtype, 5)]) for dtype in (np.float64, *ALL_INTEGERS)]
        )
    )


def nonzero(*shape: int, dtype: type | np.dtype = np.float32) -> np.ndarray:
    values = of(dtype, *shape)
    small = np.abs(values.astype(np.float64)) < 0.4
    return np.where(small, np.asarray(2).astype(dtype), values).astype(dtype)


define("div")(
    lambda: (
        _pairs(floats, nonzero)
        + [(NO, [of(d, 3, 5), nonzero(5, dtype=d)]) for d in (np.float64, *ALL_INTEGERS)]
        + [(NO, [np.array([7, -7, 7, -7], np.int32), np.array([2, 2, -2, -2], np.int32)])]
    )
)
define("mod")(
    lambda: (
        [
            (ModAttrs(fmod), [of(d, 3, 5), nonzero(5, dtype=d)])
            for fmod in (False, True)
            for d in ALL_INTEGERS
        ]
        + [(ModAttrs(True), [floats(*left), nonzero(*right)]) for left, right in PAIRS]
        + [
            (
                ModAttrs(fmod),
                [np.array([7, -7, 7, -7], np.int32), np.array([3, 3, -3, -3], np.int32)],
            )
            for fmod in (False, True)
        ]
    )
)
define("pow")(
    lambda: _pairs(lambda *s: floats(*s, low=0.1, high=3), floats)
    + [(NO, [floats(3, 5), np.float32(2).reshape(())]), (NO, [floats(3, 5), np.float32([3.0])])]
    + [(NO, [floats(7, low=0, high=4), np.float32([0.5])])]
    + [(NO, [floats(7, dtype=np.float64), np.array(3.0)])]
    + [(NO, [integers(7, dtype=d), integers(7, low=0, high=4, dtype=d)])
       for d in (np.int32, np.int64)]
    + [(NO, [floats(7), integers(7, low=-3, high=4)])]
    + [(NO, [integers(7, low=1, high=5, dtype=np.int32), np.float32([2.0])])]
)  # fmt: skip
define("prelu")(
    lambda: (
        [
            (NO, [floats(*shape), floats(*slope)])
            for shape, slope in [
                ((3, 5), (5,)),
                ((2, 9, 4, 3), (9, 1, 1)),
                ((7,), ()),
                ((2, 3), (2, 3)),
            ]
        ]
        + [(NO, [integers(3, 5, dtype=np.int32), integers(5, dtype=np.int32)])]
    )
)
for _op in ("equal", "less", "less_equal", "greater", "greater_equal"):
    define(_op)(
        lambda: (
            _pairs(
                lambda *s: np.round(floats(*s)).astype(np.float32),
                lambda *s: np.round(floats(*s)).astype(np.float32),
            )
            + [
                (NO, [integers(9, low=-2, high=3, dtype=d), integers(9, low=-2, high=3, dtype=d)])
                for d in ALL_INTEGERS
            ]
            + [(NO, [np.array([np.nan, 1, np.nan, np.inf]), np.array([np.nan, np.nan, 1, np.inf])])]
        )
    )
define("equal")(lambda: [(NO, [bools(3, 5), bools(5)])])
for _op in ("and", "or", "xor"):
    define(_op)(lambda: _pairs(bools, bools))
for _op in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    define(_op)(lambda: [(NO, [of(dtype, 3, 5), of(dtype, 5)]) for dtype in ALL_INTEGERS])
for _op in ("shift_left", "shift_right"):
    define(_op)(
        lambda: [
            (NO, [integers(3, 5, high=100, dtype=d), integers(5, low=0, high=6, dtype=d)])
            for d in ALL_INTEGERS
        ]
    )
define("where")(
    lambda: [(NO, [bools(*c), floats(*a), floats(*b)])
             for c, a, b in [((), (), ()), ((3, 1), (5,), (3, 5)), ((2, 9, 4, 3), (9, 1, 1), ()),
                             ((7,), (7,), (7,)), ((5,), (2, 1, 5), (3, 1))]]
    + [(NO, [bools(3, 5), of(dtype, 3, 5), of(dtype, 5)])
       for dtype in (np.float64, np.bool_, *ALL_INTEGERS)]
)  # fmt: skip
