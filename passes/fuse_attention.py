"""Kernels of attention: scores, softmax and weighted sum of the values as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..ir.dtypes import DType
from ..ir.graph import Graph, Node, Value
from ..ir.op import Pattern
from .base import Pass, PassResult
from .fuse_matmul import strides, write_transposed
from .fusion import Plan

# What may stand between the scores and their softmax: scales, masks and soft caps.
BETWEEN = ("add", "sub", "mul", "div", "where", "neg", "maximum", "minimum", "clip", "identity")
MOST_BETWEEN = 8  # nodes; longer chains cost more time for each score than they save


@dataclass(frozen=True)
class FuseAttention(Pass):
    """softmax(scale * q @ k^T + mask) @ v → one kernel, transposes of heads included

    The scores need not go to memory then. Scale and mask may be anything elementwise and short;
    what they read (a mask is the same for all layers) is computed outside. Transposes and slices
    of queries, keys and values are strides, as for `fuse-matmul`; the transpose behind is how the
    result is written.

    Attributes:
        transposes: Take transposes and slices in.
    """

    name = "fuse-attention"
    transposes: bool = True

    def run(self, graph: Graph) -> PassResult:
        plan = Plan(graph)
        for softmax in plan.nodes(ops=("softmax",)):
            found = _attention(plan, softmax)
            if found is None:
                continue
            scores, between, context = found
            group = dict.fromkeys([scores, *between, softmax, context])
            exit = context.output
            copied: list[Node] = []
            if self.transposes:
                exit = write_transposed(plan, group, exit)
                operands = (*scores.inputs, context.inputs[1])
                copied = [move for value in operands for move in strides(plan, value)]
            plan.claim(group, [exit], copied)
        return PassResult(graph, plan.commit())


def _attention(plan: Plan, softmax: Node) -> tuple[Node, list[Node], Node] | None:
    """The first product, the nodes up to the softmax, and the second product."""
    attrs: Any = softmax.attrs
    rank = softmax.output.rank
    if attrs.axis % rank != rank - 1 or softmax.output.dtype is not DType.F32:
        return None
    context = _only_reader(plan, softmax.output)
    if context is None or not _is_product(plan, context) or context.inputs[0] is not softmax.output:
        return None
    second: Any = context.attrs
    if second.transpose_a or second.transpose_b or context.inputs[1] is softmax.output:
        return None
    if context.output.shape[:-1] != softmax.output.shape[:-1]:
        return None  # the values have batches of their own: each would compute the scores anew
    found = _between(plan, softmax, softmax, MOST_BETWEEN)
    return None if found is None else (found[0], found[1:], context)


def _between(plan: Plan, softmax: Node, reader: Node, room: int) -> list[Node] | None:
    """The first product and the elementwise nodes from it to `reader`; None if there is no way."""
    products = [value.node for value in reader.inputs if _is_scores(plan, value, softmax)]
    if products:
        return products if len(products) == 1 else None
    for value in reader.inputs if room else ():
        if _leads_on(plan, value, softmax):
            found = _between(plan, softmax, value.node, room - 1)
            if found is not None:
                return [*found, value.node]
    return None


def _is_scores(plan: Plan, value: Value, softmax: Node) -> bool:
    """Whether a value is a product that only this attention reads."""
    node = value.node
    attrs: Any = node.attrs
    return (
        value.shape == softmax.output.shape
        and _only_reader(plan, value) is not None
        and _is_product(plan, node)
        and not attrs.transpose_a
    )


def _leads_on(plan: Plan, value: Value, softmax: Node) -> bool:
    """Whether a value is elementwise work on scores that only this attention reads."""
    node = value.node
    if node.op not in BETWEEN or node.definition.pattern is not Pattern.ELEMENTWISE:
        return False
    whole = value.shape == softmax.output.shape and value.dtype is DType.F32
    return whole and plan.free(node) and _only_reader(plan, value) is not None


def _is_product(plan: Plan, node: Node) -> bool:
    """Whether a node is a free product of float32 values, none of them constant or empty."""
    if node.op != "matmul" or not plan.free(node):
        return False
    if any(value.is_constant or value.dtype is not DType.F32 for value in node.inputs):
        return False
    return all(value.type.size > 0 for value in (*node.inputs, node.output))


def _only_reader(plan: Plan, value: Value) -> Node | None:
    users = plan.graph.users(value)
    if len(users) != 1 or plan.graph.is_output(value):
        return None
    return users[0].node
