"""Kernels around convolutions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..ir.conv_kind import has_unit_window
from ..ir.graph import Graph, Node
from ..ir.op import Pattern
from .base import Pass, PassResult
from .fusion import CHEAP, Plan, elementwise_like, grow_epilogue, grow_prologue, longest_terms

CONVS = ("conv", "conv_transpose")
MOST_PROLOGUE = 100  # terms in front of a conv, where templates read an element more than once


@dataclass(frozen=True)
class FuseConv(Pass):
    """conv + bias + activation + residual add → one kernel

    The conv that comes last takes a sum that two of them feed: by then the other one is done. An
    intermediate result with a reader outside ends the epilogue.

    Attributes:
        prologue: Also take in cheap elementwise work in front of 1x1 convs (batch norm and relu of
            pre-activation networks, the scale of squeeze-and-excite): kernels compute it for a
            band of pixels, once.
    """

    name = "fuse-conv"
    prologue: bool = True

    def run(self, graph: Graph) -> PassResult:
        plan = Plan(graph)
        for node in reversed(plan.nodes(ops=CONVS)):
            group: dict[Node, None] = {node: None}
            if self.prologue and node.op == "conv" and has_unit_window(node):
                grow_prologue(plan, group, _cheap_and_short(graph, node, group))
            exit = grow_epilogue(plan, group, node.output, elementwise_like(node.output))
            plan.claim(group, [exit])
        return PassResult(graph, plan.commit())


def _cheap_and_short(
    graph: Graph, anchor: Node, group: dict[Node, None]
) -> Callable[[Node, Node], bool]:
    """Whether a node may be computed in front: cheap, and the whole does not become long."""

    def accept(producer: Node, reader: Node) -> bool:
        whole = [node for node in (*group, producer) if node is not anchor]
        return _cheap_input(graph, producer, reader) and longest_terms(whole) <= MOST_PROLOGUE

    return accept


def _cheap_input(graph: Graph, node: Node, reader: Node) -> bool:
    return (
        node.pattern is Pattern.ELEMENTWISE
        and node.op in CHEAP
        and node.output.shape == reader.inputs[0].shape
        and not _is_epilogue(graph, node)
    )


def _is_epilogue(graph: Graph, node: Node) -> bool:
    """Whether the kernel in front can take an elementwise node: then it is nobody's prologue."""
    for value in node.inputs:
        if value.shape != node.output.shape or graph.n_uses(value) > 1:
            continue
        if value.node.pattern in (Pattern.ANCHOR, Pattern.REDUCTION):
            return True
        if value.node.pattern is Pattern.ELEMENTWISE and _is_epilogue(graph, value.node):
            return True
    return False
