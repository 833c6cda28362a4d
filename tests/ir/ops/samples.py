"""Sample attributes and inputs for every op: SAMPLES[op] = [(attrs, [array, ...]), ...].

Values are seeded, legal and unambiguous: indices in range, no ties where order is free, domains
where functions are real. Dtypes are f32, f64, integers and bool; HALF_SAMPLES has half floats,
EMPTY_SAMPLES tensors with an axis of size 0.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import samples_elementwise
import samples_moves
import samples_sums
from sampling import EMPTY_SAMPLES, HALF_SAMPLES, NO, SAMPLES, bools, floats, reseed

from leip.ir import Attrs, DType
from leip.ir.ops import (
    ArgAttrs,
    CastAttrs,
    ClipAttrs,
    ConcatAttrs,
    ConvAttrs,
    ConvTransposeAttrs,
    CumsumAttrs,
    ExpandAttrs,
    GatherAttrs,
    GeluAttrs,
    GroupNormAttrs,
    LayerNormAttrs,
    MatmulAttrs,
    PadAttrs,
    PoolAttrs,
    ReduceAttrs,
    ReshapeAttrs,
    ResizeAttrs,
    SliceAttrs,
    SoftmaxAttrs,
    SplitAttrs,
    TileAttrs,
    TopkAttrs,
    TransposeAttrs,
)

__all__ = ["EMPTY_SAMPLES", "HALF_SAMPLES", "SAMPLES"]

# Importing them filled SAMPLES.
PARTS = (samples_elementwise, samples_sums, samples_moves)

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
    reseed(_op)
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
    "conv": [
        (ConvAttrs((1, 1), (0,) * 4, (1, 1)), [(0, 3, 5, 5), (2, 3, 3, 3)]),
        (ConvAttrs((1, 1), (0,) * 4, (1, 1)), [(1, 3, 5, 5), (0, 3, 3, 3)]),
        (ConvAttrs((1, 1), (1,) * 4, (1, 1)), [(1, 0, 5, 5), (2, 0, 3, 3)]),
    ],
    "conv_transpose": [
        (ConvTransposeAttrs((2, 2), (0,) * 4, (1, 1)), [(0, 3, 5, 5), (3, 2, 2, 2)]),
        (ConvTransposeAttrs((2, 2), (0,) * 4, (1, 1)), [(1, 3, 5, 5), (3, 0, 2, 2)]),
        (ConvTransposeAttrs((2, 2), (0,) * 4, (1, 1)), [(1, 0, 5, 5), (0, 2, 2, 2)]),
        (ConvTransposeAttrs((2, 2), (0,) * 4, (1, 1)), [(1, 3, 0, 5), (3, 2, 4, 4)]),
    ],
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
