"""Kernels around reductions, norms, softmax and pools."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node, Value
from ..ir.op import Pattern
from .base import Pass, PassResult
from .fusion import CHEAP, Plan, elementwise_like, grow_epilogue, grow_prologue, reaches

NORMS = ("layer_norm", "rms_norm")
WINDOW_OPS = ("max_pool", "avg_pool", "lrn")  # they read an element several times


@dataclass(frozen=True)
class FuseReductions(Pass):
    """scale + mask + softmax → one kernel;  add + layer_norm → one kernel with two results

    Elementwise work in front is taken in where each element is read once (or, for rows, stays in
    cache); work behind always is.

    Attributes:
        sums: Let a norm's kernel also give the sum that it normalizes, where others read it too.
    """

    name = "fuse-reductions"
    sums: bool = True

    def run(self, graph: Graph) -> PassResult:
        plan = Plan(graph)
        for node in plan.nodes(Pattern.REDUCTION):
            if not plan.free(node) or len(node.outputs) != 1:
                continue
            group: dict[Node, None] = {node: None}
            exit = grow_epilogue(plan, group, node.output, elementwise_like(node.output))
            extra = self._shared_sum(plan, node, group)
            if node.op not in WINDOW_OPS:
                grow_prologue(plan, group, lambda p, r, anchor=node: _in_front(p, r, anchor))  # type: ignore[misc]
            plan.claim(group, [*extra, exit])
        return PassResult(graph, plan.commit())

    def _shared_sum(self, plan: Plan, node: Node, group: dict[Node, None]) -> list[Value]:
        """The sum in front of a norm if others read it and it can be a second result."""
        value = node.inputs[0]
        add = value.node
        if not self.sums or node.op not in NORMS or add.op != "add" or not plan.free(add):
            return []
        if plan.graph.n_uses(value) == 1 or value.shape != node.output.shape:
            return []
        outside = [use.node for use in plan.graph.users(value) if use.node not in group]
        makers = {v.node for member in group for v in member.inputs} - set(group) - {add}
        if reaches(plan, [value], makers) or not outside:
            return []
        group[add] = None
        return [value]


def _in_front(node: Node, reader: Node, anchor: Node) -> bool:
    if node.pattern is not Pattern.ELEMENTWISE:
        return False
    target = anchor.inputs[0].shape
    if reader is anchor:
        return node.output is anchor.inputs[0]
    return node.output.shape == target or node.op in CHEAP
