"""Canonical forms of convolutions, pools and reductions."""

from __future__ import annotations

from typing import Any

from ..ir.graph import Graph, Node, Value
from ..ir.ops import ConvAttrs, PadAttrs, PoolAttrs, ReduceAttrs
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .matching import made_by, reshape

Parts = dict[str, Any] | Refusal | None


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


class KeepImageAxes(Rewrite):
    """reduce{axes=[2,3], keepdims=false}(x) → reshape(reduce{axes=[2,3]}(x))    for images

    A global pool keeps rank 4, so that it can stand in the images' layout.
    """

    name = "keep-image-axes"
    roots = ("reduce_mean", "reduce_max", "reduce_sum")

    def match(self, graph: Graph, node: Node) -> Parts:
        attrs: ReduceAttrs = node.attrs  # type: ignore[assignment]
        image = node.inputs[0].rank == 4 and sorted(attrs.axes) == [2, 3]
        return {} if image and not attrs.keepdims else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        pooled = rewriter.op(node.op, node.inputs[0], attrs=ReduceAttrs((2, 3)))
        return reshape(rewriter, pooled, node.output.shape)


class ReduceNothing(Rewrite):
    """reduce(x) → reshape(x)    over axes of size 1 (mean, sum, max, min, prod)"""

    name = "reduce-nothing"
    roots = ("reduce_mean", "reduce_max", "reduce_min", "reduce_sum", "reduce_prod")

    def match(self, graph: Graph, node: Node) -> Parts:
        attrs: ReduceAttrs = node.attrs  # type: ignore[assignment]
        return {} if all(node.inputs[0].shape[axis] == 1 for axis in attrs.axes) else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return reshape(rewriter, node.inputs[0], node.output.shape)


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
        attrs = PoolAttrs(
            (1, *old.kernel),
            (1, *old.strides),
            (0, old.pads[0], 0, old.pads[1]),
            (1, *old.dilations),
            old.ceil_mode,
            old.count_include_pad,
        )
        flat = reshape(rewriter, x, (*x.shape[:2], 1, x.shape[2]))
        return reshape(rewriter, rewriter.op(node.op, flat, attrs=attrs), node.output.shape)


def window_rules() -> tuple[Rewrite, ...]:
    """The rewrites of this file."""
    return (
        NoWindow(),
        GlobalPool(),
        PadIntoConv(),
        KeepImageAxes(),
        ReduceNothing(),
        ScaleChannels(),
        LineConv(),
        LinePool(),
    )
