"""The geometry of a convolution as x86 kernels see it, and how its weights are packed."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from ...ir.dtypes import DType
from ...ir.layout import Layout
from ...ir.types import TensorType
from ..template import NotApplicable, Pack, require
from ..view import Expr, View, const, guarded
from .anchored import Anchored
from .tiles import rounds

__all__ = [
    "ConvShape",
    "at_pixel",
    "channel_block",
    "conv_shape",
    "group_shape",
    "guards",
    "inside_conditions",
    "reaches_beyond",
    "read_input",
    "weight_pack",
]


@dataclass(frozen=True)
class ConvShape:
    """A convolution of rank 4 (rank 3 has one row). Groups are merged until the output channels of
    one fill whole vectors (the weights between merged groups are zeros).

    Attributes:
        batch, height, width: Of the input, with its channels `channels` *per group*.
        features: Output channels of all groups.
        rows, cols: Size of the output.
        kernel, stride, dilation: (vertical, horizontal).
        begin, end: Padding, (vertical, horizontal).
        groups: Groups after merging.
        merged: How many of the op's groups one of these holds.
    """

    batch: int
    channels: int
    height: int
    width: int
    features: int
    rows: int
    cols: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    begin: tuple[int, int]
    end: tuple[int, int]
    groups: int = 1
    merged: int = 1

    @property
    def depth(self) -> int:
        """Multiply-adds that make one output element."""
        return self.channels * self.kernel[0] * self.kernel[1]

    @property
    def group_features(self) -> int:
        return self.features // self.groups

    @property
    def padded(self) -> bool:
        return any((*self.begin, *self.end))


def channel_block(type: TensorType) -> int:
    """The channel block of an image's layout, 1 if plain. Raises NotApplicable for others."""
    layout = type.layout
    if layout is None:
        return 1
    blocked = Layout.blocked(type.rank, 1, layout.block(1))
    require(layout == blocked, f"layout {layout} is neither plain nor blocked by channels")
    return layout.block(1)


def conv_shape(parts: Anchored, lanes: int) -> ConvShape:
    """The geometry of a conv anchor whose features are computed `lanes` at a time."""
    return _merge_groups(group_shape(parts), lanes)


def group_shape(parts: Anchored) -> ConvShape:
    """The geometry of a conv anchor, its groups as they are."""
    attrs: Any = parts.node.attrs
    x, w, y = parts.data.type, parts.weight.type, parts.node.output.type
    require(x.rank in (3, 4), f"rank {x.rank} is not 3 or 4")
    one = x.rank == 3

    def pair(values: tuple[int, ...], first: int) -> tuple[int, int]:
        return (first, values[0]) if one else (values[0], values[1])

    half = len(attrs.pads) // 2
    return ConvShape(
        x.shape[0],
        w.shape[1],
        *pair(x.shape[2:], 1),
        w.shape[0],
        *pair(y.shape[2:], 1),
        kernel=pair(w.shape[2:], 1),
        stride=pair(attrs.strides, 1),
        dilation=pair(attrs.dilations, 1),
        begin=pair(attrs.pads[:half], 0),
        end=pair(attrs.pads[half:], 0),
        groups=attrs.groups,
    )


def _merge_groups(shape: ConvShape, lanes: int) -> ConvShape:
    if shape.groups == 1 or shape.group_features % lanes == 0:
        return shape
    merged = lanes // math.gcd(lanes, shape.group_features)
    if shape.groups % merged or merged * shape.channels > 4 * lanes:
        raise NotApplicable(
            f"{shape.groups} groups of {shape.channels} to {shape.group_features} channels do not "
            f"fill vectors of {lanes}"
        )
    return dataclasses.replace(
        shape,
        groups=shape.groups // merged,
        channels=shape.channels * merged,
        merged=merged,
    )


def at_pixel(view: View, n: Expr, c: Expr, h: Expr, w: Expr) -> Expr:
    """The element of an image of any rank at channel c and pixel (h, w)."""
    return view(n, c, w) if view.rank == len("NCW") else view(n, c, h, w)


def read_input(
    view: View, shape: ConvShape, extent: tuple[int, int], n: Expr, c: Expr, h: Expr, w: Expr
) -> Expr:
    """The input at row h and column w of the padded image; zero outside of the input.

    Guards are made only where an index can be outside: `extent` is how many rows and columns of
    outputs are computed, which may be more than there are (the last tile).
    """
    conditions = guards(shape, extent, h, w)
    row, col = h - shape.begin[0], w - shape.begin[1]
    if not conditions:
        return at_pixel(view, n, c, row, col)
    return guarded(
        tirx.all(*conditions),
        lambda: at_pixel(view, n, c, row, col),
        const(0, view.dtype),
    )


def guards(shape: ConvShape, computed: tuple[int, int], h: Expr, w: Expr) -> list[Expr]:
    """When row h and column w of the padded image are inside the image, where that can fail.

    `computed`: how many rows and columns of outputs are computed, perhaps more than there are.
    """
    return [
        *inside_conditions(shape, 0, h, computed[0]),
        *inside_conditions(shape, 1, w, computed[1]),
    ]


def inside_conditions(shape: ConvShape, axis: int, index: Expr, computed: int) -> list[Expr]:
    """`guards` along one axis."""
    begin = shape.begin[axis]
    conditions = []
    if begin:
        conditions.append(index >= begin)
    if reaches_beyond(shape, axis, computed):
        conditions.append(index < begin + (shape.height, shape.width)[axis])
    return conditions


def reaches_beyond(shape: ConvShape, axis: int, computed: int) -> bool:
    """Whether so many rows or columns of outputs read beyond the end of the image."""
    last = (computed - 1) * shape.stride[axis] + (shape.kernel[axis] - 1) * shape.dilation[axis]
    return last >= shape.begin[axis] + (shape.height, shape.width)[axis]


def weight_pack(shape: ConvShape, lanes: int, vectors: int, inner: int, chunk: int) -> Pack:
    """Weights in the order in which a tile of `vectors` vectors reads them.

    `[tiles, C / chunk, KH, KW, chunk / inner, inner, vectors, lanes]`, the features padded with
    zeros to whole tiles (of each group where there are groups); merged groups are block-diagonal.
    """
    groups, channels = shape.groups, shape.channels
    tiles = groups * rounds(shape.group_features, vectors * lanes)
    steps = (channels // chunk, chunk // inner, inner)
    packed = (tiles, steps[0], *shape.kernel, *steps[1:], vectors, lanes)

    def apply(weights: np.ndarray) -> np.ndarray:
        weights = weights.reshape(shape.features, channels // shape.merged, *shape.kernel)
        dense = _merge_weights(weights, shape)
        wide = np.zeros((groups, tiles // groups * vectors * lanes, *dense.shape[1:]), dense.dtype)
        wide[:, : shape.group_features] = dense.reshape(groups, -1, *dense.shape[1:])
        split = wide.reshape(tiles, vectors, lanes, *steps, *shape.kernel)
        return np.ascontiguousarray(split.transpose(0, 3, 6, 7, 4, 5, 1, 2))

    key = f"conv{packed}/{groups}x{shape.merged}"
    return Pack(TensorType(DType.F32, packed), apply, key)


def _merge_weights(weights: np.ndarray, shape: ConvShape) -> np.ndarray:
    """[M, C, ...] to [M, merged * C, ...], zeros between the op's groups."""
    if shape.merged == 1:
        return weights
    own = weights.shape[1]
    per_group = shape.features // (shape.groups * shape.merged)
    result = np.zeros((weights.shape[0], own * shape.merged, *shape.kernel), weights.dtype)
    for feature in range(weights.shape[0]):
        place = feature // per_group % shape.merged
        result[feature, place * own : (place + 1) * own] = weights[feature]
    return result
