"""Computing what depends on constants only."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node
from ..ir.interpreter import evaluate_node
from ..ir.ops import DataFault
from ..ir.rewriter import Rewriter
from .base import Pass, PassResult


@dataclass(frozen=True)
class FoldConstants(Pass):
    """op(constants) → constant, computed by the op's numpy reference

    Attributes:
        max_bytes: A result larger than its operands together is folded only up to this size, so
            that an `expand` does not become megabytes of equal weights.
    """

    name = "fold-constants"
    max_bytes: int = 64 << 10

    def run(self, graph: Graph) -> PassResult:
        rewriter = Rewriter(graph)
        refusals: list[str] = []
        for node in graph.nodes():
            if node not in graph or node.op in ("input", "constant", "kernel"):
                continue
            if not all(value.is_constant for value in node.inputs):
                continue
            if reason := self._refuse(node):
                refusals.append(f"fold-constants: {reason}")
            else:
                _fold(rewriter, node, refusals)
        return PassResult(graph, rewriter.modified, tuple(refusals))

    def _refuse(self, node: Node) -> str:
        given = sum(value.type.nbytes for value in node.inputs)
        made = sum(value.type.nbytes for value in node.outputs)
        if made > max(given, self.max_bytes):
            return f"{node.op} would grow {given} bytes to {made}"
        return ""


def _fold(rewriter: Rewriter, node: Node, refusals: list[str]) -> None:
    try:
        arrays = evaluate_node(node, tuple(value.array for value in node.inputs))
    except DataFault as fault:  # the fault belongs to `infer`, where the user sees it
        refusals.append(f"fold-constants: {fault}")
        return
    for value, array in zip(node.outputs, arrays):
        if rewriter.graph.n_uses(value):
            rewriter.replace(value, rewriter.constant(array, value.name))
    if node in rewriter.graph:
        rewriter.erase(node)
