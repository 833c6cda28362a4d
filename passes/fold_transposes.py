"""Transposes into matmul."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..ir.graph import Graph, Node, Value
from ..ir.ops import MatmulAttrs, TransposeAttrs
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .base import RewritePass
from .matching import made_by

Parts = dict[str, Any] | Refusal | None


@dataclass(frozen=True)
class FoldTransposes(RewritePass):
    """matmul(a, transpose(b)) → matmul(a, b){transpose_b=true}."""

    name = "fold-transposes"

    def rewrites(self) -> tuple[Rewrite, ...]:
        return (TransposeIntoMatmul(), TrimWeights())


class TransposeIntoMatmul(Rewrite):
    """matmul(transpose{…,j,i}(a), b) → matmul(transpose{…,i,j}(a), b){transpose_a}    and so for b

    where i is the last axis of a: its elements stay neighbours. What is left of the transpose is
    dropped if it moves nothing, and else only moves whole rows.
    """

    name = "transpose-into-matmul"
    roots = ("matmul",)

    def match(self, graph: Graph, node: Node) -> Parts:
        for index, value in enumerate(node.inputs):
            move = made_by(value, "transpose")
            if move is None:
                continue
            perm: tuple[int, ...] = move.attrs.perm  # type: ignore[attr-defined]
            if perm[-2] == len(perm) - 1:
                return {"index": index, "move": move, "perm": (*perm[:-2], perm[-1], perm[-2])}
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        index, move, perm = parts["index"], parts["move"], parts["perm"]
        x: Value = move.inputs[0]
        if perm != tuple(range(len(perm))):
            x = rewriter.op("transpose", x, attrs=TransposeAttrs(perm), origin=move.origin)
        operands = list(node.inputs)
        operands[index] = x
        return rewriter.op("matmul", *operands, attrs=_flipped(node, index))


def _flipped(node: Node, index: int) -> MatmulAttrs:
    attrs: MatmulAttrs = node.attrs  # type: ignore[assignment]
    if index == 0:
        return dataclasses.replace(attrs, transpose_a=not attrs.transpose_a)
    return dataclasses.replace(attrs, transpose_b=not attrs.transpose_b)


class TrimWeights(Rewrite):
    """matmul(a, w[1,K,N]) → matmul(a, w[K,N])    for constant w, if a has the rank anyway"""

    name = "trim-weights"
    roots = ("matmul",)

    def match(self, graph: Graph, node: Node) -> Parts:
        a, w = node.inputs
        if not w.is_constant or w.rank <= 2 or a.rank < w.rank:
            return None
        if any(size != 1 for size in w.shape[:-2]):
            return Refusal("the weights differ along a batch axis", node)
        return {}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        a, w = node.inputs
        flat = rewriter.constant(w.array.reshape(w.shape[-2:]), w.name)
        return rewriter.op("matmul", a, flat, attrs=node.attrs)
