"""Gathering scalar factors behind a matmul."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..ir.graph import Graph, Node, Value
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .base import RewritePass
from .matching import full_like, made_by, scalar, used_once
from .rules_arithmetic import MergeConstants

Parts = dict[str, Any] | Refusal | None
MOVES = ("reshape", "transpose", "slice")


@dataclass(frozen=True)
class FoldScales(RewritePass):
    """matmul(q*s, k*t) → matmul(q, k) * (s*t): attention scales become one factor of the scores."""

    name = "fold-scales"

    def rewrites(self) -> tuple[Rewrite, ...]:
        return (ScaleBehindMatmul(), MergeConstants())


class ScaleBehindMatmul(Rewrite):
    """matmul(a*s, b) → matmul(a, b) * s    for a scalar s; so for b; also if a*s is then reshaped,
    transposed or sliced

    The factor then merges with its neighbours, or goes into constant weights or the softmax.
    """

    name = "scale-behind-matmul"
    roots = ("matmul",)

    def match(self, graph: Graph, node: Node) -> Parts:
        if not node.output.dtype.is_float:
            return None
        for index, value in enumerate(node.inputs):
            chain: list[Node] = []
            while (move := made_by(value, *MOVES)) and used_once(graph, value):
                chain.append(move)
                value = move.inputs[0]
            mul = made_by(value, "mul")
            factor = scalar(mul.inputs[1]) if mul else None
            if mul is None or factor is None or mul.inputs[0].type != mul.output.type:
                continue
            if not used_once(graph, value):
                return Refusal("the scaled value has other users", mul)
            return {"index": index, "chain": chain, "x": mul.inputs[0], "factor": factor}
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x: Value = parts["x"]
        for move in reversed(parts["chain"]):
            x = rewriter.op(move.op, x, attrs=move.attrs, origin=move.origin)
        operands = list(node.inputs)
        operands[parts["index"]] = x
        product = rewriter.op("matmul", *operands, attrs=node.attrs)
        factor = rewriter.constant(full_like(product, parts["factor"]), "scale")
        return rewriter.op("mul", product, factor)
