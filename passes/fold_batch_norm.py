"""Folding affine arithmetic into the weights beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.graph import Graph, Node, Value
from ..ir.ops import BatchNormAttrs, ConvAttrs, MatmulAttrs
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .base import RewritePass
from .matching import made_by, used_once, with_constant

Parts = dict[str, Any] | Refusal | None
CONTRACTIONS = ("conv", "conv_transpose", "matmul")


@dataclass(frozen=True)
class FoldBatchNorm(RewritePass):
    """batch_norm(conv(x, w)) → conv(x, w*s) + t, and other factors into the weights beside them."""

    name = "fold-batch-norm"

    def rewrites(self) -> tuple[Rewrite, ...]:
        return (
            BatchNormIsAffine(),
            FactorBeforeBias(),
            FactorIntoWeights(),
            FactorOfInput(),
            ShiftOfInput(),
        )


class BatchNormIsAffine(Rewrite):
    """batch_norm(x, scale, bias, mean, var) → x * s + t

    with s = scale / sqrt(var + epsilon) and t = bias - mean * s.
    """

    name = "batch-norm-is-affine"
    roots = ("batch_norm",)

    def match(self, graph: Graph, node: Node) -> Parts:
        if not all(value.is_constant for value in node.inputs[1:]):
            return Refusal("a statistic is not constant", node)
        return {}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        attrs: BatchNormAttrs = node.attrs  # type: ignore[assignment]
        scale, bias, mean, var = (v.array.astype(np.float64) for v in node.inputs[1:])
        factor = scale / np.sqrt(var + attrs.epsilon)
        shift = bias - mean * factor
        shape = (-1, *(1,) * (node.output.rank - 2))
        dtype = node.output.dtype.numpy
        s = rewriter.constant(factor.astype(dtype).reshape(shape), node.inputs[1].name)
        t = rewriter.constant(shift.astype(dtype).reshape(shape), node.inputs[2].name)
        return rewriter.op("add", rewriter.op("mul", node.inputs[0], s), t)


class FactorBeforeBias(Rewrite):
    """(y + b) * c → y * c + b*c    for constants, y = conv, conv_transpose or matmul"""

    name = "factor-before-bias"
    roots = ("mul",)

    def match(self, graph: Graph, node: Node) -> Parts:
        pair = with_constant(node)
        add = made_by(pair[0], "add") if pair else None
        if pair is None or add is None or not with_constant(add):
            return None
        y = made_by(add.inputs[0], *CONTRACTIONS)
        if y is None:
            return None
        if not used_once(graph, add.output) or not used_once(graph, y.output):
            return Refusal("the sum has other users", add)
        return {"y": y.output, "b": add.inputs[1], "c": pair[1]}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        b, c = parts["b"], parts["c"]
        product = b.array.astype(np.float64) * c.array.astype(np.float64)
        shift = rewriter.constant(product.astype(node.output.dtype.numpy), b.name)
        return rewriter.op("add", rewriter.op("mul", parts["y"], c), shift)


class FactorIntoWeights(Rewrite):
    """conv(x, w) * c → conv(x, w*c);  matmul(a, w) * c → matmul(a, w*c)    c per output channel"""

    name = "factor-into-weights"
    roots = ("mul",)

    def match(self, graph: Graph, node: Node) -> Parts:
        pair = with_constant(node)
        y = made_by(pair[0], *CONTRACTIONS) if pair else None
        if pair is None or y is None or node.output.type != y.output.type:
            return None
        if not node.output.dtype.is_float:
            return None
        if not y.inputs[1].is_constant:
            return Refusal("the weight is not constant", y)
        if not used_once(graph, y.output):
            return Refusal("the product has other users", y)
        factor = _per_channel(pair[1], y.output, _channel_axis(y))
        if factor is None:
            return Refusal("the factor is not one per output channel", node)
        return {"y": y, "factor": factor}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        y: Node = parts["y"]
        weight = _scaled_outputs(y, parts["factor"])
        new = rewriter.constant(weight.astype(y.inputs[1].dtype.numpy), y.inputs[1].name)
        return rewriter.op(y.op, y.inputs[0], new, attrs=y.attrs, origin=y.origin)


class FactorOfInput(Rewrite):
    """conv(x * c, w) → conv(x, w*c);  matmul(a * c, w) → matmul(a, w*c)    c per input channel"""

    name = "factor-of-input"
    roots = ("conv", "matmul")

    def match(self, graph: Graph, node: Node) -> Parts:
        mul = made_by(node.inputs[0], "mul")
        pair = with_constant(mul) if mul else None
        if mul is None or pair is None or mul.output.type != pair[0].type:
            return None
        if not node.inputs[1].is_constant:
            return None
        if not used_once(graph, mul.output):
            return Refusal("the scaled input has other users", mul)
        if node.op == "matmul" and node.attrs.transpose_a:  # type: ignore[attr-defined]
            return Refusal("the input is transposed", node)
        axis = 1 if node.op == "conv" else mul.output.rank - 1
        factor = _per_channel(pair[1], mul.output, axis)
        if factor is None:
            return Refusal("the factor is not one per input channel", mul)
        return {"x": pair[0], "factor": factor}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        old = node.inputs[1]
        weight = _scaled_inputs(node, parts["factor"])
        new = rewriter.constant(weight.astype(old.dtype.numpy), old.name)
        return rewriter.op(node.op, parts["x"], new, attrs=node.attrs)


class ShiftOfInput(Rewrite):
    """conv(x + t, w) → conv(x, w) + sum(w*t)    for unpadded conv, t per input channel

    With padding the border would see zeros instead of t, so it is refused.
    """

    name = "shift-of-input"
    roots = ("conv",)

    def match(self, graph: Graph, node: Node) -> Parts:
        add = made_by(node.inputs[0], "add")
        pair = with_constant(add) if add else None
        if add is None or pair is None or add.output.type != pair[0].type:
            return None
        attrs: ConvAttrs = node.attrs  # type: ignore[assignment]
        if not node.inputs[1].is_constant or not node.output.dtype.is_float:
            return None
        if not used_once(graph, add.output):
            return Refusal("the shifted input has other users", add)
        if any(attrs.pads):
            return Refusal("the conv is padded", node)
        shift = _per_channel(pair[1], add.output, 1)
        return {"x": pair[0], "t": shift} if shift is not None else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        weight = node.inputs[1]
        total = _scaled_inputs(node, parts["t"]).reshape(weight.shape[0], -1).sum(axis=1)
        shape = (-1, *(1,) * (node.output.rank - 2))
        bias = rewriter.constant(total.astype(weight.dtype.numpy).reshape(shape))
        y = rewriter.op("conv", parts["x"], weight, attrs=node.attrs)
        return rewriter.op("add", y, bias)


def _channel_axis(node: Node) -> int:
    return node.output.rank - 1 if node.op == "matmul" else 1


def _per_channel(constant: Value, like: Value, axis: int) -> np.ndarray | None:
    """A broadcast constant as one float64 per element of `axis`; None if it varies elsewhere."""
    shape = (1,) * (like.rank - constant.rank) + constant.shape
    if any(size != 1 for i, size in enumerate(shape) if i != axis):
        return None
    flat = constant.array.astype(np.float64).reshape(-1)
    return np.broadcast_to(flat, (like.shape[axis],))


def _scaled_outputs(node: Node, factor: np.ndarray) -> np.ndarray:
    weight = node.inputs[1].array.astype(np.float64)
    if isinstance(node.attrs, MatmulAttrs):
        return np.asarray(weight * (factor[:, None] if node.attrs.transpose_b else factor))
    if node.op == "conv":
        return np.asarray(weight * factor.reshape(-1, *(1,) * (weight.ndim - 1)))
    # conv_transpose: [C, M/groups, …], the groups along C
    groups: int = node.attrs.groups  # type: ignore[attr-defined]
    split = weight.reshape(groups, -1, *weight.shape[1:])
    spread = factor.reshape(groups, 1, weight.shape[1], *(1,) * (weight.ndim - 2))
    return np.asarray((split * spread).reshape(weight.shape))


def _scaled_inputs(node: Node, factor: np.ndarray) -> np.ndarray:
    weight = node.inputs[1].array.astype(np.float64)
    if isinstance(node.attrs, MatmulAttrs):
        return np.asarray(weight * (factor if node.attrs.transpose_b else factor[:, None]))
    # conv: [M, C/groups, …], the groups along M
    groups: int = node.attrs.groups  # type: ignore[attr-defined]
    split = weight.reshape(groups, -1, *weight.shape[1:])
    spread = factor.reshape(groups, 1, weight.shape[1], *(1,) * (weight.ndim - 2))
    return np.asarray((split * spread).reshape(weight.shape))
