"""Samples of ops that move data: slices, gathers, scatters, resize."""

from __future__ import annotations

import numpy as np
from sampling import Sample, bools, define, floats, integers, of, permutation

from leip.ir import DType
from leip.ir.ops import (
    BEGIN,
    END,
    ConcatAttrs,
    ExpandAttrs,
    GatherAttrs,
    GatherElementsAttrs,
    GatherNdAttrs,
    PadAttrs,
    RangeAttrs,
    ReshapeAttrs,
    ResizeAttrs,
    ScatterElementsAttrs,
    ScatterNdAttrs,
    SliceAttrs,
    SplitAttrs,
    TileAttrs,
    TransposeAttrs,
)

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
    flat = permutation(int(np.prod(sizes)))[:count]
    at = np.stack(np.unravel_index(flat, sizes), axis=-1)
    return np.where(integers(*at.shape, low=0, high=2) == 1, at, at - np.array(sizes))


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
