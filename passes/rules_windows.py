"""Canonical forms of what goes over windows: convolutions and pools."""

from __future__ import annotations

import math
from typing import Any

from ..ir.graph import Graph, Node, Value
from ..ir.ops import ConvAttrs, PadAttrs, PoolAttrs, ReduceAttrs, SliceAttrs
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .matching import goes_by_axes, made_by, reshape

Parts = dict[str, Any] | Refusal | None
UNROLLED = 30  # elements of a window; kernels of larger ones are loops with guards inside
STRIDED = 4  # loads of a vector whose elements stand apart


class PadIntoConv(Rewrite):
    """conv{pads=p}(pad{q}(x), w) → conv{pads=p+q}(x, w)    for zeros around spatial axes"""

    name = "pad-into-conv"
    roots = ("conv",)

    def match(self, graph: Graph, node: Node) -> Parts:
        pad = made_by(node.inputs[0], "pad")
        if pad is None or not isinstance(pad.attrs, PadAttrs):
            return None
        rank = node.output.rank
        begins, ends = pad.attrs.pads[:rank], pad.attrs.pads[rank:]
        if pad.attrs.mode != "constant" or pad.attrs.value != 0:
            return Refusal("the padding is not zero", pad)
        if any((*begins[:2], *ends[:2])) or any(size < 0 for size in pad.attrs.pads):
            return Refusal("the padding is not around spatial axes only", pad)
        return {"x": pad.inputs[0], "extra": (*begins[2:], *ends[2:])}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        old: ConvAttrs = node.attrs  # type: ignore[assignment]
        pads = tuple(a + b for a, b in zip(old.pads, parts["extra"]))
        attrs = ConvAttrs(old.strides, pads, old.dilations, old.groups)
        return rewriter.op("conv", parts["x"], node.inputs[1], attrs=attrs)


class GlobalPool(Rewrite):
    """avg_pool, max_pool whose window is the whole image → reduce_mean, reduce_max"""

    name = "global-pool"
    roots = ("avg_pool", "max_pool")

    def match(self, graph: Graph, node: Node) -> Parts:
        attrs: PoolAttrs = node.attrs  # type: ignore[assignment]
        if attrs.kernel != node.inputs[0].shape[2:]:
            return None
        if any(attrs.pads):
            return Refusal("the pool is padded", node)
        return {} if all(size == 1 for size in node.output.shape[2:]) else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        op = "reduce_mean" if node.op == "avg_pool" else "reduce_max"
        axes = tuple(range(2, node.output.rank))
        return rewriter.op(op, node.inputs[0], attrs=ReduceAttrs(axes))


class NoWindow(Rewrite):
    """max_pool, avg_pool with windows of one element, stride 1 and no padding → x"""

    name = "no-window"
    roots = ("avg_pool", "max_pool")

    def match(self, graph: Graph, node: Node) -> Parts:
        attrs: PoolAttrs = node.attrs  # type: ignore[assignment]
        idle = all(size == 1 for size in (*attrs.kernel, *attrs.strides)) and not any(attrs.pads)
        return {} if idle else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return node.inputs[0]


class PoolByAxes(Rewrite):
    """pool{kernel=[a,b]}(x) → pool{kernel=[a,1]}(pool{kernel=[1,b]}(x))    if large

    A maximum is one of the maxima of rows, an average one of averages (how many elements count is
    a product over axes): 13 x 13 elements a window are 26, and windows that are short enough are
    unrolled. Columns come first, `pool{[1,b]}(pool{[a,1]}(x))`, where that is less: of a plain
    image they are vectors of neighbours whatever the stride.
    """

    name = "pool-by-axes"
    roots = ("max_pool", "avg_pool")

    def __init__(self, exact: bool) -> None:
        self.exact = exact  # an average of averages rounds otherwise

    def match(self, graph: Graph, node: Node) -> Parts:
        attrs: PoolAttrs = node.attrs  # type: ignore[assignment]
        if node.output.rank != 4 or 1 in attrs.kernel:
            return None
        if (node.op == "avg_pool" and self.exact) or not goes_by_axes(node):
            return None
        if attrs.ceil_mode:
            return Refusal("windows may hang over the image's end", node)
        long = math.prod(attrs.kernel) > UNROLLED
        stride = STRIDED if long and attrs.strides[1] > 1 else 1
        (down, across), (rows, cols) = attrs.kernel, node.output.shape[2:]
        height, width = node.inputs[0].shape[2:]
        once = down * across * stride * rows * cols
        by_rows = (across * stride * height + down * rows) * cols
        by_columns = rows * (down * width + across * stride * cols)
        if min(by_rows, by_columns) * (1 if long else 2) > once:
            return None
        return {"axes": (0, 1) if by_columns < by_rows else (1, 0)}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        old: PoolAttrs = node.attrs  # type: ignore[assignment]
        value = node.inputs[0]
        for axis in parts["axes"]:
            attrs = old.along((0, None) if axis == 0 else (None, 1))
            value = rewriter.op(node.op, value, attrs=attrs)
        return value


class ScaleChannels(Rewrite):
    """conv(x, w) → x * w    for one filter of one element a channel, stride 1, no padding"""

    name = "scale-channels"
    roots = ("conv",)

    def match(self, graph: Graph, node: Node) -> Parts:
        attrs: ConvAttrs = node.attrs  # type: ignore[assignment]
        x, w = node.inputs
        if attrs.groups != x.shape[1] or w.shape != (attrs.groups, 1, *(1,) * (x.rank - 2)):
            return None
        idle = not any(attrs.pads) and all(stride == 1 for stride in attrs.strides)
        return {} if idle else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x, w = node.inputs
        return rewriter.op("mul", x, reshape(rewriter, w, w.shape[:1] + w.shape[2:]))


class TrimWindow(Rewrite):
    """conv{pads=p}(x, w) → conv{pads=q}(x, w[taps])    without taps that meet nothing but padding

    Of a 3x3 window over one pixel only the middle counts; of one with a dilation beyond the image,
    the middle row or column.
    """

    name = "trim-window"
    roots = ("conv",)

    def match(self, graph: Graph, node: Node) -> Parts:
        x, w = node.inputs
        attrs: ConvAttrs = node.attrs  # type: ignore[assignment]
        spatial = x.rank - 2
        if not any(attrs.pads) or not w.is_constant:
            return None
        axes = [_needed_taps(attrs, axis, spatial, node) for axis in range(spatial)]
        if all(taps == size for (_, taps, _, _), size in zip(axes, w.shape[2:])):
            return None
        if any(pad < 0 for axis in axes for pad in axis[2:]):
            return Refusal("the image would have to be cut", node)
        return {"axes": axes}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x, w = node.inputs
        old: ConvAttrs = node.attrs  # type: ignore[assignment]
        first, taps, begins, ends = zip(*parts["axes"])
        axes = tuple(range(2, w.rank))
        stops = tuple(start + count for start, count in zip(first, taps))
        taken = SliceAttrs(axes, first, stops, (1,) * len(axes))
        steps = tuple(step if count > 1 else 1 for step, count in zip(old.dilations, taps))
        attrs = ConvAttrs(old.strides, (*begins, *ends), steps, old.groups)
        return rewriter.op("conv", x, rewriter.op("slice", w, attrs=taken), attrs=attrs)


def _needed_taps(
    attrs: ConvAttrs, axis: int, spatial: int, node: Node
) -> tuple[int, int, int, int]:
    """The first tap that meets the image, how many follow, and the padding that these need."""
    size, outputs = node.inputs[0].shape[2 + axis], node.output.shape[2 + axis]
    stride, step = attrs.strides[axis], attrs.dilations[axis]
    begin, end = attrs.pads[axis], attrs.pads[axis + spatial]
    window = node.inputs[1].shape[2 + axis]

    def meets(tap: int) -> bool:
        # the last output whose tap does not lie beyond the image, if it does not lie before it
        last = min(outputs - 1, (size - 1 + begin - tap * step) // stride)
        return last >= 0 and last * stride + tap * step - begin >= 0

    met = [tap for tap in range(window) if meets(tap)]
    if not met or len(met) == window:
        return 0, window, begin, end
    first, taps = met[0], met[-1] + 1 - met[0]
    before = begin - first * step
    covered = (outputs - 1) * stride + (taps - 1) * step + 1
    # what stands behind the last window is not padding: the output's size says how many there are
    after = covered - size - before
    return first, taps, before, max(after, 0) if -after < stride else after


class LineConv(Rewrite):
    """conv over [N,C,W] → reshape(conv over [N,C,1,W])

    One-dimensional images are flat two-dimensional ones, so that one family of templates serves.
    """

    name = "line-conv"
    roots = ("conv",)

    def match(self, graph: Graph, node: Node) -> Parts:
        return {} if node.output.rank == 3 else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x, w = node.inputs
        old: ConvAttrs = node.attrs  # type: ignore[assignment]
        attrs = ConvAttrs(
            (1, *old.strides), (0, old.pads[0], 0, old.pads[1]), (1, *old.dilations), old.groups
        )
        flat = [reshape(rewriter, v, (*v.shape[:2], 1, v.shape[2])) for v in (x, w)]
        return reshape(rewriter, rewriter.op("conv", *flat, attrs=attrs), node.output.shape)


class LinePool(Rewrite):
    """max_pool, avg_pool over [N,C,W] → reshape(pool over [N,C,1,W])"""

    name = "line-pool"
    roots = ("max_pool", "avg_pool")

    def match(self, graph: Graph, node: Node) -> Parts:
        return {} if node.output.rank == 3 else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x = node.inputs[0]
        old: PoolAttrs = node.attrs  # type: ignore[assignment]
        flat = reshape(rewriter, x, (*x.shape[:2], 1, x.shape[2]))
        pooled = rewriter.op(node.op, flat, attrs=old.along((None, 0)))
        return reshape(rewriter, pooled, node.output.shape)


def window_rules(exact: bool) -> tuple[Rewrite, ...]:
    """The rewrites of this file; `exact` leaves out those that may round otherwise."""
    return (
        NoWindow(),
        GlobalPool(),
        PoolByAxes(exact),
        PadIntoConv(),
        ScaleChannels(),
        TrimWindow(),
        LineConv(),
        LinePool(),
    )
