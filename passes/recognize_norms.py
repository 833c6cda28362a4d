"""Normalizations and softmax that a model spells out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.graph import Graph, Node, Value
from ..ir.ops import LayerNormAttrs, ReduceAttrs, RmsNormAttrs, SoftmaxAttrs
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .base import RewritePass
from .matching import either_way, full_like, made_by, uniform, used_once, with_scalar

Parts = dict[str, Any] | Refusal | None


@dataclass(frozen=True)
class RecognizeNorms(RewritePass):
    """(x - mean(x)) / sqrt(var(x) + e) * s + b → layer_norm(x, s, b); so rms_norm, softmax."""

    name = "recognize-norms"

    def rewrites(self) -> tuple[Rewrite, ...]:
        return (LayerNorm(), RmsNorm(), NormScale(), NormBias(), SpelledSoftmax())


def normalized(node: Node) -> tuple[Value, Value, float] | None:
    """`(d, squares, e)` if a node is d / sqrt(squares + e), in any spelling."""
    if node.op == "div":
        root = made_by(node.inputs[1], "sqrt")
        pairs = [(node.inputs[0], root)]
    else:
        pairs = [(a, made_by(b, "rsqrt")) for a, b in either_way(node)]
    for d, root in pairs:
        add = made_by(root.inputs[0], "add") if root else None
        pair = with_scalar(add) if add else None
        if pair is not None:
            return d, pair[0], pair[1]
    return None


def mean_of_square(value: Value) -> tuple[Value, tuple[int, ...]] | None:
    """`(x, axes)` if a value is reduce_mean(x*x) that keeps its axes."""
    mean = made_by(value, "reduce_mean")
    if mean is None or not _keeps(mean):
        return None
    square = made_by(mean.inputs[0], "mul", "pow")
    if square is None:
        return None
    x = square.inputs[0]
    doubled = square.op == "mul" and square.inputs[1] is x
    powered = square.op == "pow" and (uniform(square.inputs[1]) == 2)
    return (x, _axes(mean)) if doubled or powered else None


def _axes(node: Node) -> tuple[int, ...]:
    attrs: ReduceAttrs = node.attrs  # type: ignore[assignment]
    return tuple(sorted(attrs.axes))


def _keeps(node: Node) -> bool:
    return isinstance(node.attrs, ReduceAttrs) and node.attrs.keepdims


def _trailing(axes: tuple[int, ...], rank: int) -> bool:
    return bool(axes) and axes == tuple(range(rank - len(axes), rank))


class LayerNorm(Rewrite):
    """(x - mean) / sqrt(mean((x - mean)^2) + e) → layer_norm(x, 1, 0)    over the last axes"""

    name = "layer-norm"
    roots = ("div", "mul")

    def match(self, graph: Graph, node: Node) -> Parts:
        found = normalized(node)
        squares = mean_of_square(found[1]) if found else None
        if found is None or squares is None:
            return None
        d, epsilon = found[0], found[2]
        sub = made_by(d, "sub")
        mean = made_by(sub.inputs[1], "reduce_mean") if sub else None
        if sub is None or mean is None or not _same(squares[0], d):
            return None
        x, axes = sub.inputs[0], squares[1]
        if mean.inputs[0] is not x or not _keeps(mean) or _axes(mean) != axes:
            return None
        if not _trailing(axes, x.rank):
            return Refusal("the normalized axes are not the last ones", node)
        return {"x": x, "axis": axes[0], "epsilon": epsilon}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x: Value = parts["x"]
        shape = x.shape[parts["axis"] :]
        one = rewriter.constant(full_like(x, 1, shape), "scale")
        zero = rewriter.constant(full_like(x, 0, shape), "bias")
        attrs = LayerNormAttrs(parts["axis"] - x.rank, parts["epsilon"])
        return rewriter.op("layer_norm", x, one, zero, attrs=attrs)


def _same(a: Value, b: Value) -> bool:
    """One value, or two equal differences (exporters write x - mean twice)."""
    if a is b:
        return True
    return a.node.op == b.node.op == "sub" and a.node.inputs == b.node.inputs


class RmsNorm(Rewrite):
    """x / sqrt(mean(x^2) + e) → rms_norm(x, 1)    mean over the last axes"""

    name = "rms-norm"
    roots = ("div", "mul")

    def match(self, graph: Graph, node: Node) -> Parts:
        found = normalized(node)
        squares = mean_of_square(found[1]) if found else None
        if found is None or squares is None or squares[0] is not found[0]:
            return None
        sub = made_by(found[0], "sub")
        if sub and made_by(sub.inputs[1], "reduce_mean"):
            return None  # a layer norm, which has its own rewrite
        x, axes = squares
        if not _trailing(axes, x.rank):
            return Refusal("the normalized axes are not the last ones", node)
        return {"x": x, "axis": axes[0], "epsilon": found[2]}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x: Value = parts["x"]
        one = rewriter.constant(full_like(x, 1, x.shape[parts["axis"] :]), "scale")
        attrs = RmsNormAttrs(parts["axis"] - x.rank, parts["epsilon"])
        return rewriter.op("rms_norm", x, one, attrs=attrs)


class NormScale(Rewrite):
    """layer_norm(x, 1, 0) * s → layer_norm(x, s, 0);  rms_norm(x, 1) * s → rms_norm(x, s)"""

    name = "norm-scale"
    roots = ("mul",)

    def match(self, graph: Graph, node: Node) -> Parts:
        for value, scale in either_way(node):
            norm = made_by(value, "layer_norm", "rms_norm")
            if norm is None or uniform(norm.inputs[1]) != 1:
                continue
            if norm.op == "layer_norm" and uniform(norm.inputs[2]) != 0:
                continue
            return _absorb(graph, norm, scale)
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        norm: Node = parts["norm"]
        scale = _parameter(rewriter, parts["parameter"], norm.inputs[1])
        return rewriter.op(norm.op, norm.inputs[0], scale, *norm.inputs[2:], attrs=norm.attrs)


class NormBias(Rewrite):
    """layer_norm(x, s, 0) + b → layer_norm(x, s, b)"""

    name = "norm-bias"
    roots = ("add",)

    def match(self, graph: Graph, node: Node) -> Parts:
        for value, bias in either_way(node):
            norm = made_by(value, "layer_norm")
            if norm is not None and uniform(norm.inputs[2]) == 0:
                return _absorb(graph, norm, bias)
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        norm: Node = parts["norm"]
        bias = _parameter(rewriter, parts["parameter"], norm.inputs[2])
        return rewriter.op("layer_norm", norm.inputs[0], norm.inputs[1], bias, attrs=norm.attrs)


def _absorb(graph: Graph, norm: Node, parameter: Value) -> Parts:
    if not used_once(graph, norm.output):
        return Refusal("the normalized value has other users", norm)
    if not parameter.is_constant:
        return None
    wanted = norm.inputs[1].shape
    trimmed = parameter.shape[max(0, parameter.rank - len(wanted)) :]
    if parameter.type.size != 1 and (
        parameter.type.size != norm.inputs[1].type.size or trimmed != wanted
    ):
        return Refusal("the parameter has not the shape of the normalized axes", norm)
    return {"norm": norm, "parameter": parameter}


def _parameter(rewriter: Rewriter, given: Value, like: Value) -> Value:
    flat = given.array.reshape(-1) if given.type.size == 1 else given.array.reshape(like.shape)
    return rewriter.constant(np.broadcast_to(flat, like.shape), given.name)


class SpelledSoftmax(Rewrite):
    """exp(x - max(x)) / sum(exp(x - max(x))) → softmax(x)"""

    name = "spelled-softmax"
    roots = ("div",)

    def match(self, graph: Graph, node: Node) -> Parts:
        exp = made_by(node.inputs[0], "exp")
        total = made_by(node.inputs[1], "reduce_sum")
        if exp is None or total is None or total.inputs[0] is not exp.output or not _keeps(total):
            return None
        sub = made_by(exp.inputs[0], "sub")
        top = made_by(sub.inputs[1], "reduce_max") if sub else None
        if sub is None or top is None or top.inputs[0] is not sub.inputs[0] or not _keeps(top):
            return None
        if len(_axes(total)) != 1 or _axes(top) != _axes(total):
            return Refusal("maximum and sum are not over the same single axis", node)
        return {"x": sub.inputs[0], "axis": _axes(total)[0]}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        axis = parts["axis"] - node.output.rank
        return rewriter.op("softmax", parts["x"], attrs=SoftmaxAttrs(axis))
