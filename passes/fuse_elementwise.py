"""Kernels of elementwise work and data movement."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node
from ..ir.op import Pattern
from .base import Pass, PassResult
from .fusion import CHEAP, Plan, grow_prologue

# Movement that reads no element twice.
ONCE = ("concat", "transpose", "slice", "pad")


@dataclass(frozen=True)
class FuseElementwise(Pass):
    """mul + add + relu + … → one kernel, with at most one op that moves data among them

    Groups grow backwards from their last node and take in what only they read. Work in front of a
    broadcast or of a movement that repeats elements stays outside unless it is cheap.

    Attributes:
        movers: How many data-movement ops (concat, transpose, …) one kernel may hold.
    """

    name = "fuse-elementwise"
    movers: int = 1

    def run(self, graph: Graph) -> PassResult:
        plan = Plan(graph)
        for node in reversed(plan.nodes(Pattern.ELEMENTWISE, Pattern.INJECTIVE)):
            if not plan.free(node) or len(node.outputs) != 1:
                continue
            group: dict[Node, None] = {node: None}
            grow_prologue(plan, group, lambda p, r, g=group: self._accept(p, r, g))  # type: ignore[misc]
            plan.claim(group, [node.output])
        return PassResult(graph, plan.commit())

    def _accept(self, node: Node, reader: Node, group: dict[Node, None]) -> bool:
        if node.pattern not in (Pattern.ELEMENTWISE, Pattern.INJECTIVE):
            return False
        if node.pattern is Pattern.INJECTIVE:
            moving = sum(member.pattern is Pattern.INJECTIVE for member in group)
            return moving < self.movers and node.output.shape == reader.output.shape
        if reader.pattern is Pattern.INJECTIVE and reader.op not in ONCE:
            return node.op in CHEAP or node.output.type.size >= reader.output.type.size
        if reader.op in ONCE:
            return True
        return node.output.shape == reader.output.shape or node.op in CHEAP
