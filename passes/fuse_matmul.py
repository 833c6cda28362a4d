"""Kernels around matrix products."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node, Value
from ..ir.ops import TransposeAttrs
from .base import Pass, PassResult
from .fusion import Plan, elementwise_like, grow_epilogue


@dataclass(frozen=True)
class FuseMatmul(Pass):
    """transpose + matmul + bias + activation + residual add + transpose → one kernel

    A transpose in front that keeps the last axis (attention's heads), and a slice before it (one
    third of queries, keys and values), is only an offset and strides to the product, so every
    matmul that reads it takes its own copy. Behind, a transpose is how the rows are written. The
    reshapes around them are views and stay outside.

    Attributes:
        transposes: Take transposes and slices in.
    """

    name = "fuse-matmul"
    transposes: bool = True

    def run(self, graph: Graph) -> PassResult:
        plan = Plan(graph)
        for node in reversed(plan.nodes(ops=("matmul",))):
            group: dict[Node, None] = {node: None}
            exit = grow_epilogue(plan, group, node.output, elementwise_like(node.output))
            if self.transposes:
                exit = write_transposed(plan, group, exit)
            copied: list[Node] = []
            if self.transposes:
                copied = [move for value in node.inputs for move in strides(plan, value)]
            plan.claim(group, [exit], copied)
        return PassResult(graph, plan.commit())


def strides(plan: Plan, value: Value) -> list[Node]:
    """The transpose that makes a value if it moves whole rows, and a slice before it."""
    found: list[Node] = []
    for op in ("transpose", "slice"):
        node = value.node
        if node.op != op:
            continue
        if not plan.may_copy(node) or node.inputs[0].is_constant or not _keeps_rows(node):
            break
        found.append(node)
        value = node.inputs[0]
    return found


def _keeps_rows(node: Node) -> bool:
    if isinstance(node.attrs, TransposeAttrs):
        return node.attrs.perm[-1] == node.output.rank - 1
    return all(step == 1 for step in node.attrs.steps)  # type: ignore[attr-defined]


def write_transposed(plan: Plan, group: dict[Node, None], exit: Value) -> Value:
    """Take in the transpose that alone reads `exit`."""
    users = plan.graph.users(exit)
    if len(users) != 1 or plan.graph.is_output(exit):
        return exit
    node = users[0].node
    if node.op != "transpose" or not _keeps_rows(node) or not plan.free(node):
        return exit
    group[node] = None
    return node.output
