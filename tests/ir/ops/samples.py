"""Sample attributes and inputs for every op: SAMPLES[op] = [(attrs, [array, ...]), ...].

Values are seeded, legal and unambiguous: indices in range, no ties where order is free, domains
where functions are real. Dtypes are f32, f64, integers and bool; HALF_SAMPLES has half floats,
EMPTY_SAMPLES tensors with an axis of size 0.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable

import ml_dtypes
import numpy as np

from leip.ir import Attrs, DType, NoAttrs
from leip.ir.ops import (
    BEGIN,
    END,
    ArgAttrs,
    BatchNormAttrs,
    CastAttrs,
    CeluAttrs,
    ClipAttrs,
    ConcatAttrs,
    ConvAttrs,
    ConvTransposeAttrs,
    CumsumAttrs,
    EluAttrs,
    ExpandAttrs,
    GatherAttrs,
    GatherElementsAttrs,
    GatherNdAttrs,
    GeluAttrs,
    GroupNormAttrs,
    HardSigmoidAttrs,
    InstanceNormAttrs,
    LayerNormAttrs,
    LeakyReluAttrs,
    LrnAttrs,
    MatmulAttrs,
    ModAttrs,
    PadAttrs,
    PoolAttrs,
    RangeAttrs,
    ReduceAttrs,
    RequantizeAttrs,
    ReshapeAttrs,
    ResizeAttrs,
    RmsNormAttrs,
    ScatterElementsAttrs,
    ScatterNdAttrs,
    SeluAttrs,
    SliceAttrs,
    SoftmaxAttrs,
    SplitAttrs,
    ThresholdedReluAttrs,
    TileAttrs,
    TopkAttrs,
    TransposeAttrs,
)

Sample = tuple[Attrs, list[np.ndarray]]

SAMPLES: dict[str, list[Sample]] = {}
HALF_SAMPLES: dict[str, list[Sample]] = {}
EMPTY_SAMPLES: dict[str, list[Sample]] = {}

NO = NoAttrs()
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


def floats(
    *shape: int, low: float = -3.0, high: float = 3.0, dtype: type | np.dtype = np.float32
) -> np.ndarray:
    """Uniform floats; the seed follows from the arguments' order of use within an op."""
    return np.asarray(_rng.uniform(low, high, shape)).astype(dtype)


def integers(
    *shape: int, low: int = -9, high: int = 10, dtype: type | np.dtype = np.int64
) -> np.ndarray:
    """Uniform integers in [low, high); unsigned dtypes start at 0."""
    low = max(low, 0) if np.dtype(dtype).kind == "u" else low
    return np.asarray(_rng.integers(low, high, shape)).astype(dtype)


def bools(*shape: int) -> np.ndarray:
    return np.asarray(_rng.integers(0, 2, shape)).astype(bool)


def distinct(*shape: int, dtype: type | np.dtype = np.float32) -> np.ndarray:
    """A shuffled range: no two equal elements."""
    size = int(np.prod(shape))
    return (_rng.permutation(size) - size // 2).reshape(shape).astype(dtype)


def of(dtype: type | np.dtype, *shape: int) -> np.ndarray:
    """Values of any dtype."""
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return bools(*shape)
    if dtype.kind in "iu":
        return integers(*shape, dtype=dtype)
    return floats(*shape, dtype=dtype)


_rng = np.random.default_rng(0)


def define(op: str) -> Callable[[Callable[[], list[Sample]]], None]:
    """Enter the samples that a function makes; each op has a seed of its own."""

    def enter(make: Callable[[], list[Sample]]) -> None:
        global _rng
        _rng = np.random.default_rng(zlib.crc32(op.encode()))
        samples = SAMPLES.setdefault(op, [])
        samples += [(attrs, [np.asarray(array) for array in arrays]) for attrs, arrays in make()]

    return enter


# -- elementwise -----------------------------------------------------------------------------------

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

# -- reductions ------------------------------------------------------------------------------------

REDUCED: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((7,), (0,)),
    ((3, 5), (1,)),
    ((3, 5), (0,)),
    ((2, 17, 9, 7), (2, 3)),
    ((2, 17, 9, 7), (1,)),
    ((2, 17, 9, 7), (0, 2)),
    ((2, 3, 4), (0, 1, 2)),
    ((2, 3, 4), ()),
    ((), ()),
    ((1, 300), (1,)),
]
for _op in ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod"):
    define(_op)(
        lambda: (
            [
                (ReduceAttrs(axes, keepdims), [floats(*shape, low=-1.2, high=1.5)])
                for (shape, axes), keepdims in itertools.product(REDUCED, (True, False))
            ]
            + [
                (ReduceAttrs((1,)), [of(dtype, 3, 5)])
                for dtype in (np.float64, np.int32, np.int64, np.int8, np.uint8)
            ]
        )
    )
for _op in ("reduce_max", "reduce_min"):
    define(_op)(lambda: [(ReduceAttrs((1,)), [bools(3, 5)])])
for _op in ("argmax", "argmin"):
    define(_op)(
        lambda: (
            [
                (ArgAttrs(axis, keepdims, last), [np.round(floats(*shape)).astype(np.float32)])
                for shape, axis in [((7,), 0), ((3, 5), 1), ((3, 5), -2), ((2, 17, 9, 7), 1)]
                for keepdims, last in itertools.product((True, False), repeat=2)
            ]
            + [(ArgAttrs(-1), [of(d, 3, 5)]) for d in (np.float64, np.int32, np.int8, np.uint8)]
        )
    )
for _op in ("softmax", "log_softmax"):
    define(_op)(
        lambda: (
            [
                (SoftmaxAttrs(axis), [floats(*shape, low=-9, high=9)])
                for shape, axis in [((7,), -1), ((3, 5), 0), ((2, 3, 33), 2), ((2, 5, 4, 3), 1)]
            ]
            + [(SoftmaxAttrs(), [np.array([[1000, 0, -1000], [-1e4, -1e4, -1e4]], np.float32)])]
            + [(SoftmaxAttrs(), [floats(3, 5, dtype=np.float64)])]
        )
    )
define("cumsum")(
    lambda: (
        [
            (CumsumAttrs(axis, exclusive, reverse), [floats(*shape)])
            for shape, axis in [((7,), 0), ((3, 5), -1), ((2, 9, 4), 1)]
            for exclusive, reverse in itertools.product((False, True), repeat=2)
        ]
        + [(CumsumAttrs(1, True, True), [of(d, 3, 5)]) for d in (np.float64, np.int32, np.int64)]
    )
)
define("topk")(
    lambda: (
        [
            (TopkAttrs(k, axis, largest), [distinct(*shape)])
            for shape, axis, k in [((7,), 0, 3), ((3, 50), -1, 5), ((2, 9, 4), 1, 9), ((5,), -1, 0)]
            for largest in (True, False)
        ]
        + [(TopkAttrs(3), [np.array([[2, 1, 2, 2, 0], [1, 1, 1, 1, 1]], np.float32)])]
        + [(TopkAttrs(2, largest=False), [distinct(3, 5, dtype=np.int64)])]
    )
)

# -- conv, matmul, pools ---------------------------------------------------------------------------


def conv_sample(
    x: tuple[int, ...],
    features: int,
    kernel: tuple[int, ...],
    stride: int = 1,
    pad: int | tuple[int, ...] = 0,
    dilation: int = 1,
    groups: int = 1,
    dtype: type = np.float32,
) -> Sample:
    n = len(kernel)
    pads = pad if isinstance(pad, tuple) else (pad,) * (2 * n)
    attrs = ConvAttrs((stride,) * n, pads, (dilation,) * n, groups)
    weight = floats(features, x[1] // groups, *kernel, low=-1, high=1, dtype=dtype)
    return attrs, [floats(*x, low=-1, high=1, dtype=dtype), weight]


define("conv")(
    lambda: (
        [
            conv_sample((1, 3, 23, 23), 16, (7, 7), stride=2, pad=3),
            conv_sample((1, 16, 12, 12), 32, (3, 3), pad=1),
            conv_sample((2, 5, 9, 11), 7, (3, 3), pad=1),
            conv_sample((1, 32, 7, 7), 48, (1, 1)),
            conv_sample((1, 24, 9, 9), 40, (1, 1), stride=2),
            conv_sample((1, 16, 13, 13), 16, (3, 3), stride=2, pad=1, groups=16),
            conv_sample((1, 17, 10, 10), 17, (5, 5), pad=2, groups=17),
            conv_sample((1, 6, 8, 8), 12, (3, 3), pad=1, groups=6),
            conv_sample((1, 32, 8, 8), 32, (3, 3), pad=1, groups=4),
            conv_sample((1, 6, 14, 14), 4, (3, 3), pad=2, dilation=2),
            conv_sample((1, 4, 9, 9), 5, (2, 3), pad=(0, 1, 2, 0)),
            conv_sample((1, 3, 5, 5), 8, (5, 5)),
            conv_sample((1, 3, 4, 4), 4, (3, 3), stride=2, pad=(0, 0, 1, 1)),
            conv_sample((1, 7, 19), 5, (3,), pad=1),
            conv_sample((2, 8, 30), 8, (9,), stride=2, pad=4, groups=8),
            conv_sample((1, 3, 5, 6, 7), 4, (3, 3, 3), pad=1),
            conv_sample((1, 4, 4, 5, 6), 4, (2, 1, 3), stride=2, groups=2),
            conv_sample((1, 3, 6, 6), 4, (3, 3), pad=1, dtype=np.float64),
        ]
        + [
            (ConvAttrs((1, 1), (1, 1, 1, 1), (1, 1)), [of(a, 1, 8, 7, 7), of(b, 6, 8, 3, 3)])
            for a, b in [(np.uint8, np.int8), (np.int8, np.int8), (np.uint8, np.uint8)]
        ]
    )
)


def transpose_sample(
    x: tuple[int, ...],
    features: int,
    kernel: tuple[int, ...],
    stride: int = 1,
    pad: int | tuple[int, ...] = 0,
    dilation: int = 1,
    groups: int = 1,
    extra: tuple[int, ...] = (),
) -> Sample:
    n = len(kernel)
    pads = pad if isinstance(pad, tuple) else (pad,) * (2 * n)
    attrs = ConvTransposeAttrs((stride,) * n, pads, (dilation,) * n, groups, extra)
    weight = floats(x[1], features // groups, *kernel, low=-1, high=1)
    return attrs, [floats(*x, low=-1, high=1), weight]


define("conv_transpose")(
    lambda: [
        transpose_sample((1, 8, 7, 7), 6, (2, 2), stride=2),
        transpose_sample((1, 8, 6, 5), 4, (4, 4), stride=2, pad=1),
        transpose_sample((2, 3, 5, 5), 5, (3, 3)),
        transpose_sample((1, 6, 5, 5), 6, (3, 3), stride=2, pad=1, groups=6, extra=(1, 1)),
        transpose_sample((1, 8, 5, 4), 4, (3, 3), stride=3, groups=2, extra=(2, 0)),
        transpose_sample((1, 4, 5, 5), 3, (3, 3), dilation=2, pad=1),
        transpose_sample((1, 4, 5, 5), 3, (3, 3), stride=2, pad=(0, 1, 2, 1)),
        transpose_sample((1, 5, 9), 4, (3,), stride=2, pad=1),
        transpose_sample((1, 3, 3, 4, 2), 2, (2, 2, 2), stride=2),
        transpose_sample((1, 2, 3, 3), 2, (1, 1), stride=3),
    ]
)
define("matmul")(
    lambda: (
        [
            (MatmulAttrs(ta, tb), [floats(*a, low=-1, high=1), floats(*b, low=-1, high=1)])
            for ta, tb, a, b in [
                (False, False, (5, 7), (7, 3)),
                (True, False, (7, 5), (7, 3)),
                (False, True, (5, 7), (3, 7)),
                (True, True, (7, 5), (3, 7)),
                (False, False, (1, 64), (64, 33)),
                (False, True, (1, 130), (17, 130)),
                (False, False, (33, 48), (48, 64)),
                (False, False, (2, 3, 5, 7), (2, 3, 7, 4)),
                (False, True, (2, 3, 5, 7), (2, 3, 4, 7)),
                (False, False, (2, 9, 7), (7, 4)),
                (False, False, (9, 7), (2, 7, 4)),
                (False, False, (2, 1, 5, 7), (3, 7, 4)),
                (False, False, (1, 1), (1, 1)),
                (False, False, (16, 1), (1, 16)),
            ]
        ]
        + [(MatmulAttrs(), [floats(5, 7, dtype=np.float64), floats(7, 3, dtype=np.float64)])]
        + [(MatmulAttrs(), [of(d, 5, 7), of(d, 7, 3)]) for d in (np.int32, np.int64)]
        + [
            (MatmulAttrs(), [of(a, 2, 5, 70), of(b, 70, 3)])
            for a, b in [(np.uint8, np.int8), (np.int8, np.int8), (np.uint8, np.uint8)]
        ]
    )
)
define("requantize")(
    lambda: [
        (RequantizeAttrs(3, DType.U8), [
            integers(2, 5, 4, 3, low=-4000, high=4000, dtype=np.int32),
            floats(5, 1, 1, low=0.01, high=0.1),
        ]),
        (RequantizeAttrs(-7, DType.I8), [
            integers(9, 5, low=-4000, high=4000, dtype=np.int32), np.float32(0.0421).reshape(()),
        ]),
        (RequantizeAttrs(0, DType.I8), [
            np.array([1, 3, 5, -1, -3, -5, 2**31 - 1, -(2**31), 16777217], np.int32),
            np.float32([0.5]),
        ]),
    ]
)  # fmt: skip


def pool_sample(
    x: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: int = 1,
    pad: int | tuple[int, ...] = 0,
    dilation: int = 1,
    ceil: bool = False,
    include: bool = False,
    dtype: type = np.float32,
) -> Sample:
    n = len(kernel)
    pads = pad if isinstance(pad, tuple) else (pad,) * (2 * n)
    attrs = PoolAttrs(kernel, (stride,) * n, pads, (dilation,) * n, ceil, include)
    return attrs, [of(dtype, *x)]


def _pools() -> list[Sample]:
    return [
        pool_sample((1, 16, 12, 12), (2, 2), stride=2),
        pool_sample((1, 17, 13, 11), (3, 3), stride=2, pad=1),
        pool_sample((2, 3, 13, 13), (3, 3), stride=2, ceil=True),
        pool_sample((1, 3, 12, 12), (3, 3), stride=2, pad=1, ceil=True),
        pool_sample((1, 3, 7, 7), (2, 2), stride=3, pad=1, ceil=True),
        pool_sample((1, 3, 9, 9), (3, 2), pad=(1, 0, 0, 1)),
        pool_sample((1, 3, 11, 11), (3, 3), pad=2, dilation=2),
        pool_sample((1, 2, 7, 7), (7, 7)),
        pool_sample((1, 5, 19), (4,), stride=3, pad=1),
        pool_sample((1, 2, 5, 6, 7), (2, 3, 2), stride=2, pad=1),
        pool_sample((1, 3, 6, 6), (2, 2), stride=2, dtype=np.float64),
    ]


define("max_pool")(
    lambda: [
        *_pools(),
        pool_sample((1, 3, 7, 7), (3, 3), stride=2, pad=1, dtype=np.int8),
        pool_sample((1, 3, 7, 7), (3, 3), stride=2, pad=1, dtype=np.uint8),
    ]
)
define("avg_pool")(
    lambda: [
        *_pools(),
        pool_sample((1, 17, 13, 11), (3, 3), stride=2, pad=1, include=True),
        pool_sample((1, 3, 12, 12), (3, 3), stride=2, pad=1, ceil=True, include=True),
        pool_sample((1, 3, 9, 9), (3, 2), pad=(1, 0, 0, 1), include=True),
        pool_sample((1, 3, 11, 11), (3, 3), pad=2, dilation=2, include=True),
    ]
)
define("lrn")(
    lambda: [
        (LrnAttrs(5), [floats(1, 17, 5, 6)]),
        (LrnAttrs(3, 0.5, 0.6, 1.5), [floats(2, 7, 4)]),
        (LrnAttrs(4, 0.2, 0.75, 2.0), [floats(1, 9, 3, 3)]),
        (LrnAttrs(1, 0.1), [floats(3, 5)]),
    ]
)

# -- normalizations --------------------------------------------------------------------------------


def _affine(*shape: int) -> list[np.ndarray]:
    return [floats(*shape, low=0.5, high=1.5), floats(*shape)]


define("batch_norm")(
    lambda: [
        (BatchNormAttrs(epsilon), [
            floats(*x), *_affine(x[1]), floats(x[1]), floats(x[1], low=0.1, high=2.0),
        ])
        for epsilon in (1e-5, 1e-3)
        for x in [(2, 17, 5, 4), (3, 5), (1, 16, 7), (1, 3, 2, 3, 4)]
    ]
)  # fmt: skip
define("layer_norm")(
    lambda: [
        (LayerNormAttrs(axis, epsilon), [floats(*x), *_affine(*x[axis:])])
        for x, axis, epsilon in [
            ((2, 5, 48), -1, 1e-5), ((2, 5, 33), 2, 1e-12), ((3, 4, 5), 1, 1e-5), ((7,), 0, 1e-5),
        ]
    ]
)  # fmt: skip
define("instance_norm")(
    lambda: [
        (InstanceNormAttrs(), [floats(*x), *_affine(x[1])])
        for x in [(2, 5, 7, 6), (1, 17, 9), (1, 3, 2, 3, 4)]
    ]
)
define("group_norm")(
    lambda: [
        (GroupNormAttrs(groups), [floats(*x), *_affine(x[1])])
        for x, groups in [((2, 6, 5, 4), 3), ((1, 8, 9), 1), ((1, 5, 3, 3), 5)]
    ]
)
define("rms_norm")(
    lambda: [
        (RmsNormAttrs(axis), [floats(*x), floats(*x[axis:])])
        for x, axis in [((2, 5, 48), -1), ((3, 4, 5), 1), ((7,), 0)]
    ]
)

# -- data movement ---------------------------------------------------------------------------------

MOVED = [np.float32, np.float64, np.int64, np.int32, np.int8, np.uint8, np.bool_]

define("concat")(
    lambda: (
        [
            (ConcatAttrs(axis), [floats(*shape) for shape in shapes])
            for axis, shapes in [
                (0, [(3,), (4,)]),
                (1, [(2, 3, 5), (2, 4, 5), (2, 1, 5)]),
                (-1, [(2, 3), (2, 3)]),
                (1, [(1, 16, 4, 4), (1, 17, 4, 4)]),
                (0, [(2, 3)]),
            ]
        ]
        + [(ConcatAttrs(1), [of(d, 3, 2), of(d, 3, 5)]) for d in MOVED]
    )
)
define("split")(
    lambda: (
        [
            (SplitAttrs(axis, sizes), [floats(*shape)])
            for shape, axis, sizes in [
                ((7,), 0, (3, 4)),
                ((2, 12, 5), 1, (4, 4, 4)),
                ((2, 5), -1, (1, 3, 1)),
                ((2, 5), 0, (2,)),
            ]
        ]
        + [(SplitAttrs(1, (2, 3)), [integers(3, 5)])]
    )
)
define("slice")(
    lambda: (
        [
            (SliceAttrs(axes, starts, ends, steps), [floats(*shape)])
            for shape, axes, starts, ends, steps in [
                ((9,), (0,), (2,), (7,), (1,)),
                ((9,), (0,), (1,), (END,), (3,)),
                ((9,), (0,), (-1,), (BEGIN,), (-1,)),
                ((9,), (0,), (-2,), (-9,), (-2,)),
                ((9,), (0,), (100,), (-100,), (-4,)),
                ((3, 9, 5), (1, 2), (-4, 0), (END, 3), (1, 2)),
                ((3, 9, 5), (0, 2), (1, 0), (2, -1), (1, 1)),
                ((1, 16, 8, 8), (2, 3), (1, 0), (END, END), (2, 2)),
                ((2, 3), (), (), (), ()),
            ]
        ]
        + [(SliceAttrs((1,), (1,), (4,), (2,)), [of(d, 3, 5)]) for d in MOVED]
    )
)
define("pad")(
    lambda: (
        [
            (PadAttrs(pads, "constant", value), [floats(*shape)])
            for shape, pads, value in [
                ((4,), (1, 2), 0.0),
                ((3, 5), (0, 2, 1, 0), 1.5),
                ((1, 3, 5, 5), (0, 0, 1, 1, 0, 0, 1, 1), 0.0),
                ((1, 3, 5, 5), (0, 0, 0, 0, 0, 0, 1, 1), -np.inf),
                ((3, 5), (-1, 1, 0, -2), 0.5),
            ]
        ]
        + [(PadAttrs((0, 2, 1, 3), mode), [floats(3, 5)]) for mode in ("reflect", "edge", "wrap")]
        + [(PadAttrs((0, 0, 2, 2, 0, 0, 1, 2), "reflect"), [floats(1, 2, 4, 5)])]
        + [(PadAttrs((1, -1, 1, 2), "edge"), [floats(3, 5)])]
        + [(PadAttrs((1, 0, 0, 2), value=1.0), [of(d, 3, 5)]) for d in MOVED]
    )
)
define("transpose")(
    lambda: [
        (TransposeAttrs(perm), [floats(*shape)])
        for shape, perm in [
            ((), ()), ((7,), (0,)), ((3, 5), (1, 0)), ((2, 3, 4), (2, 0, 1)),
            ((1, 17, 5, 6), (0, 2, 3, 1)), ((2, 5, 3, 4), (0, 2, 1, 3)),
            ((2, 3, 4, 5, 2), (4, 1, 3, 0, 2)),
        ]
    ]
    + [(TransposeAttrs((1, 0)), [of(d, 3, 5)]) for d in MOVED]
)  # fmt: skip
define("reshape")(
    lambda: [
        (ReshapeAttrs(to), [floats(*shape)])
        for shape, to in [
            ((2, 3, 4), (0, -1)), ((2, 3, 4), (4, 6)), ((24,), (2, -1, 3)), ((1,), ()),
            ((), (1, 1)), ((2, 1, 5), (0, 5)), ((1, 8, 3, 3), (0, 2, 4, 3, 3)),
        ]
    ]
    + [(ReshapeAttrs((-1,)), [of(d, 3, 5)]) for d in MOVED]
)  # fmt: skip
define("expand")(
    lambda: [
        (ExpandAttrs(to), [floats(*shape)])
        for shape, to in [
            ((), (2, 3)), ((5,), (3, -1)), ((3, 1), (2, 1, 4)), ((2, 1, 5), (-1, 7, -1)),
            ((2, 3), (2, 3)), ((4, 1), (1,)),
        ]
    ]
    + [(ExpandAttrs((3, 5)), [of(d, 3, 1)]) for d in MOVED]
)  # fmt: skip
define("tile")(
    lambda: (
        [
            (TileAttrs(repeats), [floats(*shape)])
            for shape, repeats in [((), ()), ((3,), (2,)), ((2, 3), (1, 3)), ((2, 1, 3), (2, 2, 2))]
        ]
        + [(TileAttrs((2, 1)), [of(d, 3, 5)]) for d in MOVED]
    )
)
define("gather")(
    lambda: [
        (GatherAttrs(axis), [floats(*shape), integers(*index, low=-shape[axis], high=shape[axis])])
        for shape, axis, index in [
            ((7,), 0, (3,)), ((7,), 0, ()), ((5, 6), 0, (2, 3)), ((5, 6), 1, (4,)),
            ((2, 5, 3), -1, (2, 2)), ((30, 16), 0, (1, 9)), ((2, 5, 3), 1, (1,)),
        ]
    ]
    + [(GatherAttrs(1), [of(d, 3, 5), integers(4, low=0, high=5, dtype=np.int32)]) for d in MOVED]
)  # fmt: skip
define("gather_elements")(
    lambda: [
        (GatherElementsAttrs(axis), [
            floats(*shape), integers(*index, low=-shape[axis], high=shape[axis]),
        ])
        for shape, axis, index in [
            ((7,), 0, (3,)), ((5, 6), 0, (2, 6)), ((5, 6), 1, (4, 9)), ((2, 5, 3), -2, (1, 7, 2)),
        ]
    ]
    + [(GatherElementsAttrs(1), [of(d, 3, 5), integers(3, 2, low=0, high=5, dtype=np.int32)])
       for d in MOVED]
)  # fmt: skip
define("gather_nd")(
    lambda: [
        (GatherNdAttrs(batch), [floats(*shape), integers(*index, low=-2, high=2)])
        for shape, batch, index in [
            ((4, 5), 0, (3, 2)), ((4, 5), 0, (3, 1)), ((4, 5, 3), 0, (2, 2, 2)), ((7,), 0, (1,)),
            ((3, 4, 5), 1, (3, 1)), ((3, 4, 5), 1, (3, 2, 2)), ((2, 3, 4, 5), 2, (2, 3, 1)),
        ]
    ]
    + [(GatherNdAttrs(), [of(d, 3, 5), integers(4, 2, low=0, high=3)]) for d in MOVED]
)  # fmt: skip


def _places(count: int, *sizes: int) -> np.ndarray:
    """`count` distinct index tuples, some negative: [count, len(sizes)]."""
    flat = _rng.permutation(int(np.prod(sizes)))[:count]
    at = np.stack(np.unravel_index(flat, sizes), axis=-1)
    return np.where(_rng.integers(0, 2, at.shape) == 1, at, at - np.array(sizes)).astype(np.int64)


define("scatter_nd")(
    lambda: (
        [
            (ScatterNdAttrs(), [floats(8), _places(4, 8), floats(4)]),
            (ScatterNdAttrs(), [floats(4, 5, 3), _places(2, 4), floats(2, 5, 3)]),
            (ScatterNdAttrs(), [floats(4, 5), _places(6, 4, 5).reshape(2, 3, 2), floats(2, 3)]),
            (ScatterNdAttrs(), [integers(4, 5), _places(3, 4, 5), integers(3)]),
            (ScatterNdAttrs(), [bools(6), _places(3, 6), bools(3)]),
        ]
        + [
            (ScatterNdAttrs(how), [floats(4, 5), integers(9, 2, low=0, high=4), floats(9)])
            for how in ("add", "mul", "min", "max")
        ]
        + [(ScatterNdAttrs("add"), [integers(6), integers(9, 1, low=-6, high=6), integers(9)])]
    )
)
define("scatter_elements")(
    lambda: [
        (ScatterElementsAttrs(0), [floats(8), _places(4, 8).reshape(4), floats(4)]),
        (ScatterElementsAttrs(1), [
            floats(3, 5), np.array([[0, -1], [2, 1], [4, 3]], np.int32), floats(3, 2),
        ]),
        (ScatterElementsAttrs(-2), [floats(5, 3), np.array([[4, 0, -3]]), floats(1, 3)]),
        (ScatterElementsAttrs(0), [integers(5, 2), np.array([[4, 0]]), integers(1, 2)]),
    ]
    + [
        (ScatterElementsAttrs(1, how), [floats(3, 5), integers(3, 9, low=-5, high=5), floats(3, 9)])
        for how in ("add", "mul", "min", "max")
    ]
)  # fmt: skip

# -- resize, range ---------------------------------------------------------------------------------

_GRIDS: list[tuple[tuple[int, ...], tuple[float, ...], tuple[int, ...]]] = [
    ((1, 2, 4, 5), (1.0, 1.0, 2.0, 2.0), ()),
    ((1, 2, 6, 5), (1.0, 1.0, 0.5, 0.6), ()),
    ((1, 2, 4, 5), (), (1, 2, 7, 9)),
    ((1, 2, 9, 8), (), (1, 2, 4, 3)),
    ((1, 3, 4, 4), (1.0, 1.0, 1.5, 3.0), ()),
    ((1, 2, 3, 3), (), (1, 2, 1, 1)),
]
_COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
)  # fmt: skip


def _resizes() -> list[Sample]:
    samples: list[Sample] = []
    for shape, scales, sizes in _GRIDS:
        for coordinate in _COORDINATES:
            for mode in ("nearest", "linear", "cubic"):
                attrs = ResizeAttrs(mode, scales, sizes, coordinate)
                samples.append((attrs, [floats(*shape)]))
        for rounding in ("round_prefer_ceil", "floor", "ceil"):
            attrs = ResizeAttrs("nearest", scales, sizes, "asymmetric", rounding)
            samples.append((attrs, [floats(*shape)]))
        attrs = ResizeAttrs("cubic", scales, sizes, cubic_a=-0.5, exclude_outside=True)
        samples.append((attrs, [floats(*shape)]))
    crop = (0.0, 0.0, 0.2, -0.1, 1.0, 1.0, 0.9, 1.2)
    for mode in ("nearest", "linear"):
        attrs = ResizeAttrs(mode, (), (1, 2, 5, 6), "tf_crop_and_resize", roi=crop,
                            extrapolation_value=7.0)  # fmt: skip
        samples.append((attrs, [floats(1, 2, 8, 7)]))
    samples.append((ResizeAttrs("linear", (1.0, 1.0, 2.5), ()), [floats(1, 3, 7)]))
    samples.append((ResizeAttrs("nearest", (), (6, 4)), [integers(3, 2)]))
    samples.append(
        (ResizeAttrs("nearest", (1.0, 1.0, 2.0, 2.0)), [integers(1, 1, 3, 3, dtype=np.uint8)])
    )
    return samples


define("resize")(_resizes)
define("range")(
    lambda: [
        (RangeAttrs(0.0, 10.0, 3.0, DType.I64), []),
        (RangeAttrs(5.0, -4.0, -2.0, DType.I32), []),
        (RangeAttrs(1.0, 2.0, 0.3, DType.F32), []),
        (RangeAttrs(0.0, 0.0, 1.0, DType.F64), []),
    ]
)

# -- half floats and empty tensors -----------------------------------------------------------------

_HALF: dict[str, tuple[Attrs, list[tuple[int, ...]]]] = {
    "add": (NO, [(3, 5), (5,)]),
    "mul": (NO, [(3, 5), (3, 1)]),
    "div": (NO, [(3, 5), (3, 5)]),
    "maximum": (NO, [(3, 5), (5,)]),
    "less": (NO, [(3, 5), (5,)]),
    "where": (NO, [(3, 5), (3, 5)]),
    "relu": (NO, [(3, 5)]),
    "neg": (NO, [(3, 5)]),
    "exp": (NO, [(3, 5)]),
    "sigmoid": (NO, [(3, 5)]),
    "tanh": (NO, [()]),
    "gelu": (GeluAttrs(), [(3, 5)]),
    "clip": (ClipAttrs(-1.0, 1.0), [(3, 5)]),
    "cast": (CastAttrs(DType.F32), [(3, 5)]),
    "reduce_sum": (ReduceAttrs((1,)), [(3, 50)]),
    "reduce_mean": (ReduceAttrs((1,)), [(3, 50)]),
    "reduce_max": (ReduceAttrs((0,)), [(3, 5)]),
    "argmax": (ArgAttrs(1), [(3, 5)]),
    "softmax": (SoftmaxAttrs(), [(3, 9)]),
    "conv": (ConvAttrs((1, 1), (1, 1, 1, 1), (1, 1)), [(1, 4, 6, 6), (5, 4, 3, 3)]),
    "matmul": (MatmulAttrs(), [(5, 7), (7, 3)]),
    "max_pool": (PoolAttrs((2, 2), (2, 2), (1, 1, 1, 1), (1, 1)), [(1, 3, 6, 6)]),
    "avg_pool": (PoolAttrs((2, 2), (2, 2), (1, 1, 1, 1), (1, 1)), [(1, 3, 6, 6)]),
    "layer_norm": (LayerNormAttrs(), [(3, 9), (9,), (9,)]),
    "concat": (ConcatAttrs(0), [(2, 3), (1, 3)]),
    "pad": (PadAttrs((1, 1), value=0.5), [(3,)]),
    "transpose": (TransposeAttrs((1, 0)), [(3, 5)]),
    "cumsum": (CumsumAttrs(0), [(9,)]),
    "topk": (TopkAttrs(3), [(9,)]),
    "resize": (ResizeAttrs("linear", (1.0, 1.0, 2.0, 2.0)), [(1, 2, 3, 3)]),
}
for _op, (_attrs, _shapes) in _HALF.items():
    _rng = np.random.default_rng(zlib.crc32(_op.encode()))
    for _half in (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)):
        _arrays = [floats(*shape, dtype=_half) for shape in _shapes]
        _arrays = [bools(3, 5), *_arrays] if _op == "where" else _arrays
        HALF_SAMPLES.setdefault(_op, []).append((_attrs, _arrays))

for _op, _attrs_shapes in {
    "relu": [(NO, [(0, 3)])],
    "add": [(NO, [(0, 3), (3,)]), (NO, [(2, 0), (1, 1)])],
    "gelu": [(GeluAttrs(), [(0,)])],
    "erf": [(NO, [(2, 0)])],
    "cast": [(CastAttrs(DType.I32), [(0, 3)])],
    "reduce_sum": [(ReduceAttrs((1,)), [(3, 0)]), (ReduceAttrs((0,)), [(3, 0)])],
    "reduce_prod": [(ReduceAttrs((1,)), [(3, 0)])],
    "reduce_max": [(ReduceAttrs((1,)), [(3, 0)])],
    "reduce_min": [(ReduceAttrs((1,)), [(3, 0)])],
    "argmax": [(ArgAttrs(1), [(0, 3)])],
    "softmax": [(SoftmaxAttrs(), [(0, 3)]), (SoftmaxAttrs(), [(3, 0)])],
    "matmul": [(MatmulAttrs(), [(0, 3), (3, 2)]), (MatmulAttrs(), [(2, 0), (0, 3)])],
    "conv": [(ConvAttrs((1, 1), (0,) * 4, (1, 1)), [(0, 3, 5, 5), (2, 3, 3, 3)])],
    "max_pool": [(PoolAttrs((2, 2), (2, 2), (0,) * 4, (1, 1)), [(0, 3, 6, 6)])],
    "layer_norm": [(LayerNormAttrs(), [(0, 9), (9,), (9,)])],
    "group_norm": [(GroupNormAttrs(2), [(0, 4, 3), (4,), (4,)])],
    "concat": [(ConcatAttrs(0), [(0, 3), (2, 3)])],
    "split": [(SplitAttrs(0, (0, 2)), [(2, 3)])],
    "slice": [(SliceAttrs((0,), (5,), (2,), (1,)), [(9,)])],
    "pad": [(PadAttrs((1, 0, 0, 2)), [(0, 3)])],
    "transpose": [(TransposeAttrs((1, 0)), [(0, 3)])],
    "reshape": [(ReshapeAttrs((0, -1)), [(2, 0)]), (ReshapeAttrs((3, -1)), [(0, 3)])],
    "expand": [(ExpandAttrs((0, 3)), [(1, 3)])],
    "tile": [(TileAttrs((0, 2)), [(2, 3)])],
    "cumsum": [(CumsumAttrs(0), [(0, 3)]), (CumsumAttrs(1, exclusive=True), [(3, 0)])],
    "topk": [(TopkAttrs(0), [(3, 0)])],
    "resize": [(ResizeAttrs("linear", (1.0, 2.0)), [(0, 3)])],
}.items():
    for _attrs, _shapes in _attrs_shapes:
        EMPTY_SAMPLES.setdefault(_op, []).append((_attrs, [floats(*s) for s in _shapes]))
EMPTY_SAMPLES["gather"] = [(GatherAttrs(), [np.ones((4, 3), np.float32), np.zeros((0,), np.int64)])]
