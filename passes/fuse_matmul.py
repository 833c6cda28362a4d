"""Kernels around matrix products."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node, Value
from ..ir.op import Pattern
from .base import Pass, PassResult
from .fusion import Plan, elementwise_like, grow_epilogue


@dataclass(frozen=True)
class FuseMatmul(Pass):
    """transpose + matmul + bias + activation + residual add + transpose → one kernel

    A transpose in front that keeps the last axis (attention's heads) is only a stride to the
    product, so every matmul that reads it takes its own copy. Behind, it is how the rows are
    written. The reshapes around them are views and stay outside.

    Attributes:
        transposes: Take transposes in.
    """

    name = "fuse-matmul"
    transposes: bool = True

    def run(self, graph: Graph) -> PassResult:
        plan = Plan(graph)
        for node in reversed(plan.nodes(ops=("matmul",))):
            group: dict[Node, None] = {node: None}
            exit = grow_epilogue(plan, group, node.output, elementwise_like(node.output))
            if self.transposes:
                exit = _write_transposed(plan, group, exit)
            copied = [
                value.node for value in node.inputs if self.transposes and _is_stride(plan, value)
            ]
            plan.claim(group, [exit], copied)
        return PassResult(graph, plan.commit())


def _is_stride(plan: Plan, value: Value) -> bool:
    """Whether a value is a transpose that moves whole rows."""
    node = value.node
    if node.op != "transpose" or not plan.may_copy(node) or node.inputs[0].is_constant:
        return False
    perm: tuple[int, ...] = node.attrs.perm  # type: ignore[attr-defined]
    return perm[-1] == len(perm) - 1


def _write_transposed(plan: Plan, group: dict[Node, None], exit: Value) -> Value:
    """Take in the transpose that alone reads `exit`."""

    def accept(node: Node) -> bool:
        if node.op != "transpose" or node.pattern is not Pattern.INJECTIVE:
            return False
        perm: tuple[int, ...] = node.attrs.perm  # type: ignore[attr-defined]
        return perm[-1] == len(perm) - 1

    users = plan.graph.users(exit)
    if len(users) != 1 or plan.graph.is_output(exit):
        return exit
    node = users[0].node
    if not accept(node) or not plan.free(node):
        return exit
    group[node] = None
    return node.output
