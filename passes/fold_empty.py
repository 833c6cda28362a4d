"""Work over no elements is no work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ir.graph import Graph, Node
from ..ir.ops import ExpandAttrs, ReduceAttrs
from ..ir.rewriter import Rewriter
from .base import Pass, PassResult

PRODUCTS = ("conv", "conv_transpose", "matmul")


@dataclass(frozen=True)
class FoldEmpty(Pass):
    """op(…) without elements → constant;  conv, matmul, reduce_sum of nothing → expand(0)

    reduce_max and so on of nothing give what their references say. After it only ops that move
    elements, and pools of nothing but padding, see operands without any.
    """

    name = "fold-empty"

    def run(self, graph: Graph) -> PassResult:
        rewriter = Rewriter(graph)
        for node in graph.nodes():
            if node.op not in ("input", "constant"):
                _fold(rewriter, node)
        return PassResult(graph, rewriter.modified)


def _fold(rewriter: Rewriter, node: Node) -> None:
    graph = rewriter.graph
    for value in node.outputs:
        if graph.n_uses(value) and value.type.size == 0:
            empty = np.empty(value.shape, value.dtype.numpy)
            rewriter.replace(value, rewriter.constant(empty, value.name))
    if node in graph and any(value.type.size == 0 for value in node.inputs):
        number = _of_nothing(node)
        if number is not None:
            attrs = ExpandAttrs(node.output.shape)
            scalar = rewriter.constant(number)
            rewriter.replace(
                node.output, rewriter.op("expand", scalar, attrs=attrs, origin=node.origin)
            )


def _of_nothing(node: Node) -> np.ndarray | None:
    """Each element of a sum of no products, or of another reduction of nothing."""
    if node.op in PRODUCTS:
        return np.zeros((), node.output.dtype.numpy)
    if not isinstance(node.attrs, ReduceAttrs):
        return None
    nothing = np.empty(0, node.output.dtype.numpy)
    number: np.ndarray
    with np.errstate(all="ignore"):
        (number,) = node.definition.evaluate(ReduceAttrs((0,), keepdims=False), (nothing,))
    return number
