"""Transposed convolutions as convolutions whose features are the pixels of a block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.graph import Graph, Node, Value
from ..ir.ops import ConvAttrs, ReshapeAttrs, SliceAttrs, TransposeAttrs
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .base import RewritePass

__all__ = ["ExpandConvTranspose"]

Parts = dict[str, Any] | Refusal | None


@dataclass(frozen=True)
class ExpandConvTranspose(RewritePass):
    """conv_transpose → conv, and its features moved beside their pixel (depth to space)

    Nothing in kernels of convolutions depends on the stride then: with a stride of s, result pixels
    s m to s m + s - 1 see the same input pixels, through taps that are s apart. (W. Shi et al., "Is
    the deconvolution layer the same as a convolutional layer?", 2016, arXiv:1609.07009.)
    """

    name = "expand-conv-transpose"

    def rewrites(self) -> tuple[Rewrite, ...]:
        return (ConvOfBlocks(),)


class ConvOfBlocks(Rewrite):
    """conv_transpose(x, w) → slice(depth_to_space(conv(x, w by blocks)))    for constant weights"""

    name = "conv-of-blocks"
    roots = ("conv_transpose",)

    def match(self, graph: Graph, node: Node) -> Parts:
        attrs: Any = node.attrs
        if not node.output.dtype.is_float:
            return None
        if not node.inputs[1].is_constant:
            return Refusal("the weights are no constant", node)
        if set(attrs.dilations) != {1}:
            return Refusal("taps are not beside each other", node)
        return {}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        attrs: Any = node.attrs
        x, w = node.inputs
        n, strides = x.rank - 2, attrs.strides
        wanted = node.output.shape[2:]
        blocks = [
            Blocks.of(*of)
            for of in zip(x.shape[2:], w.shape[2:], strides, attrs.pads[:n], wanted, strict=True)
        ]
        weights = by_blocks(w.constant.array, strides, attrs.groups)
        pads = (*(b.begin for b in blocks), *(b.end for b in blocks))
        conv = ConvAttrs((1,) * n, pads, (1,) * n, attrs.groups)
        result = rewriter.op("conv", x, rewriter.constant(weights, "weights"), attrs=conv)
        if math.prod(strides) > 1:
            result = depth_to_space(rewriter, result, strides)
        axes = tuple(i for i in range(n) if result.shape[2 + i] != wanted[i])
        if not axes:
            return result
        starts = tuple(blocks[i].cut for i in axes)
        ends = tuple(blocks[i].cut + wanted[i] for i in axes)
        cut = SliceAttrs(tuple(2 + i for i in axes), starts, ends, (1,) * len(axes))
        return rewriter.op("slice", result, attrs=cut)


@dataclass(frozen=True)
class Blocks:
    """One axis of the convolution: its pads, and the pixels cut off the result's beginning."""

    begin: int
    end: int
    cut: int

    @classmethod
    def of(cls, size: int, kernel: int, stride: int, pad: int, result: int) -> Blocks:
        """Of `size` input pixels to `result`, after `pad` that a transposed one cuts off."""
        reach = -(-kernel // stride) - 1  # input pixels before its own that a block sees
        left_out = min(pad // stride, reach)  # whole blocks
        cut = pad - left_out * stride
        count = -(-(cut + result) // stride)
        return cls(reach - left_out, max(0, count - size + left_out), cut)


def by_blocks(w: np.ndarray, strides: tuple[int, ...], groups: int) -> np.ndarray:
    """[C, M / groups, *kernel] to [M * prod(strides), C / groups, *taps], the last tap first."""
    channels, features, *kernel = w.shape
    taps = [-(-k // s) for k, s in zip(kernel, strides, strict=True)]
    ends = [t * s - k for t, s, k in zip(taps, strides, kernel, strict=True)]
    w = np.pad(w, [(0, 0), (0, 0), *((0, end) for end in ends)])
    pairs = [size for pair in zip(taps, strides, strict=True) for size in pair]
    w = w.reshape(groups, channels // groups, features, *pairs)
    n = len(kernel)
    tap_axes, stride_axes = range(3, 3 + 2 * n, 2), range(4, 4 + 2 * n, 2)
    w = np.flip(w, tuple(tap_axes)).transpose(0, 2, *stride_axes, 1, *tap_axes)
    blocks = groups * features * math.prod(strides)
    return np.ascontiguousarray(w.reshape(blocks, channels // groups, *taps))


def depth_to_space(rewriter: Rewriter, x: Value, strides: tuple[int, ...]) -> Value:
    """[N, M * prod(strides), *size] to [N, M, *(size * strides)]."""
    batch, features, *size = x.shape
    n, features = len(size), features // math.prod(strides)
    apart = ReshapeAttrs((batch, features, *strides, *size))
    order = [axis for i in range(n) for axis in (2 + n + i, 2 + i)]
    whole = (batch, features, *(a * b for a, b in zip(size, strides, strict=True)))
    x = rewriter.op("reshape", x, attrs=apart)
    x = rewriter.op("transpose", x, attrs=TransposeAttrs((0, 1, *order)))
    return rewriter.op("reshape", x, attrs=ReshapeAttrs(whole))
