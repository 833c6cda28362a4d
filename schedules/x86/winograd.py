"""The transforms of Winograd's minimal filtering F(m x m, 3 x 3), m = 2 or 4, and its weights.

    Y = Aᵀ [ Σ over channels of (G w Gᵀ) ⊙ (Bᵀ d B) ] A

A patch `d` of m + 2 pixels square gives a tile `Y` of m x m results with (m + 2)² products a
channel instead of 9 m². Bᵀ and Aᵀ are applied as butterflies, with what their rows have in common
written out in the same terms, so that it is computed once: 12 and 10 instructions a vector for
m = 4. G is applied at compile time, in float64.

Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import tirx

from ...ir.dtypes import DType
from ...ir.types import TensorType
from ..template import Pack
from ..view import const
from .conv_shape import ConvShape

__all__ = ["TILES", "input_transform", "output_transform", "weight_transform", "winograd_pack"]

TILES = (2, 4)  # m
_G = {
    2: ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    4: (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
}

Read = Callable[[int], Any]


def input_transform(m: int, row: Any, read: Read) -> Any:
    """Element `row` (a loop variable that is unrolled) of Bᵀ d, where `read(i)` is d[i]."""
    d = [read(i) for i in range(m + 2)]
    if m == 2:
        return _pick(row, [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]])
    four, two = const(4, "float32"), const(2, "float32")
    outer = (d[4] - four * d[2], d[3] - four * d[1])
    inner = (d[4] - d[2], d[3] - d[1])
    return _pick(
        row,
        [
            inner[0] + four * (d[0] - d[2]),
            outer[0] + outer[1],
            outer[0] - outer[1],
            inner[0] + two * inner[1],
            inner[0] - two * inner[1],
            (d[5] - d[3]) - four * inner[1],
        ],
    )


def output_transform(m: int, row: Any, read: Read) -> Any:
    """Element `row` (a loop variable that is unrolled) of Aᵀ p, where `read(i)` is p[i]."""
    p = [read(i) for i in range(m + 2)]
    near = (p[1] + p[2], p[1] - p[2])
    if m == 2:
        return _pick(row, [p[0] + near[0], near[1] - p[3]])
    far = (p[3] + p[4], p[3] - p[4])
    two, four, eight = (const(n, "float32") for n in (2, 4, 8))
    return _pick(
        row,
        [
            p[0] + near[0] + far[0],
            near[1] + two * far[1],
            near[0] + four * far[0],
            near[1] + eight * far[1] + p[5],
        ],
    )


def _pick(index: Any, values: Sequence[Any]) -> Any:
    result = values[-1]
    for place in range(len(values) - 2, -1, -1):
        result = tirx.Select(tirx.EQ(index, place), values[place], result)
    return result


def weight_transform(m: int, weights: np.ndarray) -> np.ndarray:
    """G w Gᵀ of weights [features, channels, 3, 3]: [(m + 2)², features, channels], float32."""
    g = np.array(_G[m])
    points = (m + 2) ** 2
    wide = g @ weights.astype(np.float64) @ g.T
    flat = wide.reshape(*weights.shape[:2], points)
    result: np.ndarray = flat.transpose(2, 0, 1).astype(np.float32)
    return result


def winograd_pack(m: int, shape: ConvShape, panels: tuple[int, int, int, int]) -> Pack:
    """Transformed weights in the order in which the products read them.

    `[groups * (m + 2)² * group, C, vectors, lanes]`: for every group of panels and point the panels
    of the group. Features are padded with zeros to whole groups.

    Args:
        m: Results of a tile are m x m.
        shape: The convolution.
        panels: How many groups there are, panels of a group, vectors of a panel, and lanes.
    """
    points = (m + 2) ** 2
    groups, group, vectors, lanes = panels
    packed = (groups * points * group, shape.channels, vectors, lanes)

    def apply(weights: np.ndarray) -> np.ndarray:
        wide = np.zeros((groups * group * vectors * lanes, *weights.shape[1:]), np.float32)
        wide[: len(weights)] = weights
        transformed = weight_transform(m, wide)
        split = transformed.reshape(points, groups, group, vectors, lanes, shape.channels)
        return np.ascontiguousarray(split.transpose(1, 0, 2, 5, 3, 4)).reshape(packed)

    return Pack(TensorType(DType.F32, packed), apply, f"winograd{m}{packed}/{group}")
