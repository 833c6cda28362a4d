"""Canonical forms of what goes over whole axes: reductions and norms."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from ..ir.graph import Graph, Node, Value
from ..ir.ops import ReduceAttrs
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .matching import goes_by_axes, reshape

Parts = dict[str, Any] | Refusal | None
LONG_ROW = 16  # elements that are worth a reduction of their own


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


class ReduceByAxes(Rewrite):
    """reduce{axes=[0,2]}(x) → reduce{axes=[0]}(reduce{axes=[2]}(x))    last axes first

    Rows that are next to each other in memory are reduced one by one; what is left of them is
    small. Not for sums and means of half floats, which would be rounded between.
    """

    name = "reduce-by-axes"
    roots = ("reduce_mean", "reduce_max", "reduce_min", "reduce_sum", "reduce_prod")

    def match(self, graph: Graph, node: Node) -> Parts:
        attrs: ReduceAttrs = node.attrs  # type: ignore[assignment]
        x = node.inputs[0]
        axes = sorted(attrs.axes)
        last = [axis for i, axis in enumerate(axes) if axis - i == x.rank - len(axes)]
        if not last or len(last) == len(axes):
            return None
        length = math.prod(x.shape[axis] for axis in last)
        if length < LONG_ROW:
            return Refusal(f"rows of {length} are too short", node)
        if not goes_by_axes(node):
            return Refusal(f"{x.dtype.short} would be rounded between", node)
        return {"last": tuple(last), "rest": tuple(axis for axis in axes if axis not in last)}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        old: ReduceAttrs = node.attrs  # type: ignore[assignment]
        rows = rewriter.op(node.op, node.inputs[0], attrs=ReduceAttrs(parts["last"]))
        total = rewriter.op(node.op, rows, attrs=ReduceAttrs(parts["rest"]))
        return total if old.keepdims else reshape(rewriter, total, node.output.shape)


class NormOneAxis(Rewrite):
    """layer_norm{axis=1}(x, scale) → reshape(layer_norm{axis=-1}(reshape(x), reshape(scale)))

    For several axes, and rms_norm alike: a row is one run of memory, whatever its axes are.
    """

    name = "norm-one-axis"
    roots = ("layer_norm", "rms_norm")

    def match(self, graph: Graph, node: Node) -> Parts:
        attrs: Any = node.attrs
        first = attrs.axis % node.output.rank
        return {"first": first} if first < node.output.rank - 1 else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x, *scales = node.inputs
        rows, axes = x.shape[: parts["first"]], x.shape[parts["first"] :]
        flat = reshape(rewriter, x, (*rows, math.prod(axes)))
        flat_scales = [reshape(rewriter, scale, (math.prod(axes),)) for scale in scales]
        old: Any = node.attrs
        attrs = dataclasses.replace(old, axis=-1)
        normal = rewriter.op(node.op, flat, *flat_scales, attrs=attrs)
        return reshape(rewriter, normal, node.output.shape)


def reduction_rules(exact: bool) -> tuple[Rewrite, ...]:
    """The rewrites of this file; `exact` leaves out those that may round otherwise."""
    always: tuple[Rewrite, ...] = (KeepImageAxes(), ReduceNothing(), NormOneAxis())
    return always if exact else (*always, ReduceByAxes())
