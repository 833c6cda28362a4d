"""The order in which kernels run."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node
from .base import Pass, PassResult
from .rebuild import rebuilt


@dataclass(frozen=True)
class OrderNodes(Pass):
    """Order the graph depth first: a branch is finished before the next one starts.

    What a branch leaves behind is then small, and what a kernel reads was written a moment ago.
    Operands are visited first to last, so the main path of a residual block comes before its
    shortcut.
    """

    name = "order-nodes"

    def run(self, graph: Graph) -> PassResult:
        before = [node for node in graph.nodes() if node.op != "input"]
        order = depth_first(graph)
        if order == before:
            return PassResult(graph, False)
        return PassResult(rebuilt(graph, order), True)


def depth_first(graph: Graph) -> list[Node]:
    """All nodes but inputs, each after its operands, in depth-first order from the outputs.

    What no output depends on comes last.
    """
    order: dict[Node, None] = {}
    roots = [value.node for value in graph.outputs] + graph.nodes()
    for root in roots:
        stack: list[tuple[Node, int]] = [(root, 0)]
        while stack:
            node, at = stack.pop()
            if node in order or node.op == "input":
                continue
            if at < len(node.inputs):
                stack.append((node, at + 1))
                stack.append((node.inputs[at].node, 0))
            else:
                order[node] = None
    return list(order)
