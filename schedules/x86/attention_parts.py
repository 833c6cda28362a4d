"""What an attention kernel computes: its two products, what stands around them, and its sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...ir import levels
from ...ir.dtypes import DType
from ...ir.graph import Node, Value
from ...ir.op import Pattern
from ..task import Task
from ..template import NotApplicable, require
from .tiles import Machine

__all__ = ["Attention", "attention"]


@dataclass(frozen=True)
class Attention:
    """A task as the attention template sees it.

    softmax(between(q @ k)) @ v, with q [batch, rows, depth], k [batch, depth, keys] (or its
    transpose, which is the usual form) and v [batch, keys, width].

    Attributes:
        task: The task.
        scores, softmax, context: First product, softmax and second product.
        moves: Transposes and slices of operands, in order.
        between: Elementwise nodes from the scores to the softmax, in order.
        perm: The axes of the second product in the order in which they are stored.
        machine: The core that it runs on.
    """

    task: Task
    scores: Node
    softmax: Node
    context: Node
    moves: tuple[Node, ...]
    between: tuple[Node, ...]
    perm: tuple[int, ...]
    machine: Machine

    @property
    def q(self) -> Value:
        return self.scores.inputs[0]

    @property
    def k(self) -> Value:
        return self.scores.inputs[1]

    @property
    def v(self) -> Value:
        return self.context.inputs[1]

    @property
    def k_by_rows(self) -> bool:
        """Whether the keys stand as [keys, depth]."""
        attrs: Any = self.scores.attrs
        return bool(attrs.transpose_b)

    @property
    def batch(self) -> tuple[int, ...]:
        return self.context.output.shape[:-2]

    @property
    def batches(self) -> int:
        return math.prod(self.batch)

    @property
    def rows(self) -> int:
        return self.scores.output.shape[-2]

    @property
    def keys(self) -> int:
        return self.scores.output.shape[-1]

    @property
    def depth(self) -> int:
        return self.q.shape[-1]

    @property
    def width(self) -> int:
        return self.v.shape[-1]


def attention(task: Task) -> Attention:
    """Take the task apart.

    Raises:
        NotApplicable: If the body is of another form.
    """
    require(task.target.arch == "x86" and task.target.vector_bits >= 128, "no x86 vectors")
    require(task.level >= levels.FUSED, "level 1 has plain loops only")
    softmaxes = [node for node in task.nodes if node.op == "softmax"]
    products = [node for node in task.nodes if node.op == "matmul"]
    require(len(softmaxes) == 1 and len(products) == 2, "not a softmax between two products")
    (softmax,), (scores, context) = softmaxes, products
    require(context.inputs[0] is softmax.output, "the second product has other factors")
    require(context.inputs[1] is not softmax.output, "the probabilities are squared")
    first, second, last = _attrs(scores), _attrs(context), _attrs(softmax)
    rank = softmax.output.rank
    require(last.axis % rank == rank - 1, "softmax over another axis")
    require(not first.transpose_a, "the queries are transposed")
    require(not (second.transpose_a or second.transpose_b), "the values are transposed")
    require(context.output.shape[:-1] == softmax.output.shape[:-1], "values have their own batches")
    values = (*task.body.inputs, *task.body.outputs)
    require(all(value.layout is None for value in values), "an operand is not row-major")
    operands = (*scores.inputs, *context.inputs)
    require(all(value.dtype is DType.F32 for value in operands), "operands are not float32")
    require(all(value.type.size > 0 for value in operands), "an operand is empty")
    between = _between(task, scores, softmax)
    perm, after = _stored(task, context)
    moves = _moves(task, scores, context)
    known = {scores, softmax, context, *between, *moves, *after}
    others = [node.op for node in task.nodes if node not in known]
    require(not others, f"the body also holds {', '.join(others)}")
    machine = Machine.of(task.target)
    return Attention(task, scores, softmax, context, moves, between, perm, machine)


def _attrs(node: Node) -> Any:
    return node.attrs


def _between(task: Task, scores: Node, softmax: Node) -> tuple[Node, ...]:
    """The elementwise nodes that depend on the scores and lead to the softmax, in order."""
    found: list[Node] = []
    for node in task.nodes:
        if any(v is scores.output or v.node in found for v in node.inputs) and node is not softmax:
            require(node.definition.pattern is Pattern.ELEMENTWISE, f"{node.op} of the scores")
            require(
                node.output.shape == scores.output.shape, f"{node.op} changes the scores' shape"
            )
            found.append(node)
    value = softmax.inputs[0]
    ends = value.node in found or value is scores.output
    require(ends, "the softmax is not one of the scores")
    known = {scores, *found, softmax}
    read = [scores.output, *(node.output for node in found)]
    inside = all(use.node in known for value in read for use in task.body.users(value))
    require(inside and not any(map(task.body.is_output, read)), "scores are read elsewhere")
    return tuple(found)


def _stored(task: Task, context: Node) -> tuple[tuple[int, ...], list[Node]]:
    """How the axes of the second product are stored, and the transpose that says so."""
    (output,) = task.body.outputs if len(task.body.outputs) == 1 else (None,)
    require(output is not None, "the body has several outputs")
    rank = context.output.rank
    if output is context.output:
        return tuple(range(rank)), []
    node = task.body.outputs[0].node
    require(node.op == "transpose", f"{node.op} after the second product")
    require(node.inputs[0] is context.output, "the output is not the second product")
    perm: Sequence[int] = _attrs(node).perm
    require(perm[-1] == rank - 1, "the result is stored by columns")
    return tuple(perm), [node]


def _moves(task: Task, scores: Node, context: Node) -> tuple[Node, ...]:
    """Transposes and slices of the three operands that keep rows whole."""
    found: set[Node] = set()
    for value in (*scores.inputs, context.inputs[1]):
        while value.node.op in ("transpose", "slice"):
            found.add(value.node)
            if value.node.op == "transpose":
                rank = value.rank
                require(_attrs(value.node).perm[-1] == rank - 1, "an operand stands by columns")
            else:
                steps = _attrs(value.node).steps
                require(all(step == 1 for step in steps), "a slice with steps")
            value = value.node.inputs[0]
        if value not in task.body.inputs:
            raise NotApplicable(f"an operand is made by {value.node.op}")
    return tuple(node for node in task.nodes if node in found)
