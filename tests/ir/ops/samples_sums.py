"""Samples of ops that sum or search: reductions, conv, matmul, pools, normalizations."""

from __future__ import annotations

import itertools

import numpy as np
from sampling import Sample, bools, define, distinct, floats, integers, of

from leip.ir import DType
from leip.ir.ops import (
    ArgAttrs,
    BatchNormAttrs,
    ConvAttrs,
    ConvTransposeAttrs,
    CumsumAttrs,
    GroupNormAttrs,
    InstanceNormAttrs,
    LayerNormAttrs,
    LrnAttrs,
    MatmulAttrs,
    PoolAttrs,
    ReduceAttrs,
    RequantizeAttrs,
    RmsNormAttrs,
    SoftmaxAttrs,
    TopkAttrs,
)

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
        pool_sample((1, 3, 2, 9), (3, 3), stride=2, ceil=True),
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
