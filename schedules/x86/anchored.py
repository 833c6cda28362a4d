"""Kernels built around one conv or matmul: what stands before and after it, and their TE form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import te

from ...ir import levels
from ...ir.dtypes import DType
from ...ir.graph import Node, Value
from ...ir.op import Pattern
from ...ir.types import TensorType
from ..compute import compute_of
from ..context import Context
from ..lower import channel_packs, immediate, padded_view, stage_layouts
from ..task import Task
from ..template import NotApplicable, Pack, require
from ..view import View

__all__ = [
    "Anchor",
    "Anchored",
    "Body",
    "anchored",
    "are_heavy",
    "epilogue_packs",
    "is_heavy",
    "lower_anchored",
]

Anchor = Callable[[list[View], Context], View]
Operand = Callable[[TensorType, str], tuple[Any, View]]


@dataclass(frozen=True)
class Anchored:
    """A task with one anchor, an elementwise epilogue and perhaps a prologue.

    Attributes:
        task: The task.
        node: The anchor.
        prologue: Nodes that the anchor's operands are computed by, in order.
        output: The body's only output.
        core: What the tile computes, of the anchor's logical shape. It is the output unless
            `movement` follows.
        movement: Transposes and reshapes between core and output: only where it is stored.
    """

    task: Task
    node: Node
    prologue: tuple[Node, ...]
    output: Value
    core: Value
    movement: tuple[Node, ...] = ()

    @property
    def data(self) -> Value:
        return self.node.inputs[0]

    @property
    def weight(self) -> Value:
        return self.node.inputs[1]

    @property
    def data_position(self) -> int:
        """Position of the data among the body's inputs, if no prologue computes it."""
        return self.task.body.inputs.index(self.data)

    @property
    def weight_position(self) -> int:
        """Position of the weight among the body's inputs."""
        return self.task.body.inputs.index(self.weight)


def anchored(
    task: Task,
    op: str,
    *,
    constant_weight: bool = True,
    dtypes: tuple[DType, ...] = (DType.F32,),
    movement: bool = False,
    inner: Node | None = None,
) -> Anchored:
    """Take a task apart around its anchor.

    Args:
        task: The task.
        op: Name that the anchor must have.
        constant_weight: Whether the second operand must be a packable constant of this kernel.
        dtypes: Dtypes that the anchor's first operand may have.
        movement: Whether transposes and reshapes may follow the epilogue.
        inner: Another anchor, in the prologue, that the template computes in a stage of its own.

    Raises:
        NotApplicable: If the body is of another form.
    """
    require(task.target.arch == "x86" and task.target.vector_bits >= 128, "no x86 vectors")
    require(task.level >= levels.FUSED, "level 1 has plain loops only")
    node = next((node for node in task.nodes if node.op == op and node is not inner), None)
    if node is None:
        raise NotApplicable(f"no {op} in the body")
    require(node.inputs[0].dtype in dtypes, f"operand is {node.inputs[0].dtype.short}")
    filled = all(value.type.size > 0 for value in (*node.inputs, *node.outputs))
    require(filled, "an operand is empty")
    own = (node, inner)
    others = [n.op for n in task.nodes if n not in own and not _is_injective(n)]
    require(not others, f"the body also holds {', '.join(others)}")
    require(len(task.body.outputs) == 1, "the body has several outputs")
    after = _descendants(task, node)
    moved = _movement(task, after) if movement else ()
    for other in task.nodes:
        if other in after and other not in moved:
            elementwise = other.definition.pattern is Pattern.ELEMENTWISE
            require(elementwise, f"{other.op} after the {op} is not elementwise")
            same = all(value.shape == node.output.shape for value in other.outputs)
            require(same, f"{other.op} after the {op} changes the shape")
    output = task.body.outputs[0]
    require(output is node.output or output.node in after, f"the output does not use the {op}")
    if constant_weight:
        inputs = task.body.inputs
        packable = node.inputs[1] in [inputs[i] for i in task.constants]
        require(packable, f"the second operand of {op} is not a constant")
        require(task.body.n_uses(node.inputs[1]) == 1, "the weight has other users")
        require(node.inputs[0] is not node.inputs[1], "both operands are the weight")
    core = moved[0].inputs[0] if moved else output
    return Anchored(task, node, _ancestors(task, node), output, core, moved)


def _movement(task: Task, after: set[Node]) -> tuple[Node, ...]:
    """The transposes and reshapes that the body ends with, in order."""
    chain: list[Node] = []
    value = task.body.outputs[0]
    while value.node in after and value.node.op in ("transpose", "reshape"):
        if task.body.n_uses(value) > 1 or value.node.inputs[0].type.layout is not None:
            break
        chain.append(value.node)
        value = value.node.inputs[0]
    if chain and task.body.n_uses(value) > 1:
        return ()
    return tuple(reversed(chain))


def _is_injective(node: Node) -> bool:
    return node.definition.pattern in (Pattern.ELEMENTWISE, Pattern.INJECTIVE, Pattern.VIEW)


def _descendants(task: Task, node: Node) -> set[Node]:
    found: set[Node] = set()
    for other in task.nodes:
        if any(value.node is node or value.node in found for value in other.inputs):
            found.add(other)
    return found


def _ancestors(task: Task, node: Node) -> tuple[Node, ...]:
    found: set[Node] = set()
    pending = [value.node for value in node.inputs]
    while pending:
        other = pending.pop()
        if other not in found and other.op not in ("input", "constant"):
            found.add(other)
            pending += [value.node for value in other.inputs]
    return tuple(other for other in task.nodes if other in found)


def epilogue_packs(parts: Anchored) -> dict[int, Pack]:
    """Packs of the constants other than the weight: padded to whole channel blocks."""
    own = parts.node.inputs[1:]
    inputs = parts.task.body.inputs
    packs = channel_packs(parts.task)
    return {position: pack for position, pack in packs.items() if inputs[position] not in own}


@dataclass
class Body:
    """The TE form of a body, outputs not yet made.

    Attributes:
        inputs: Placeholders, one a body input.
        views: View of every value.
        context: The context of the computes.
    """

    inputs: list[Any]
    views: dict[Value, View]
    context: Context


def lower_anchored(
    parts: Anchored,
    packs: Mapping[int, Pack],
    anchor: Anchor,
    stage: Callable[[View], View] | None = None,
    operand: Operand | None = None,
    inner: tuple[Node, Anchor] | None = None,
) -> Body:
    """Give a body its TE form, the anchor's by `anchor(operand views, context)`.

    `stage` makes a stage of the core's view and gives the view of that, for what follows it.
    `operand` makes an operand's placeholder and its view, from its type and a name.
    `inner` is another anchor, in the prologue, and what computes it.

    Unlike `lower_body` it leaves it to the template to make the output stage, whose loops the
    template may want in another form.
    """
    task = parts.task
    context = Context(task.level, stage_layouts(task.body))
    views: dict[Value, View] = {}
    inputs = []
    for position, value in enumerate(task.body.inputs):
        pack = packs.get(position)
        type = pack.type if pack is not None else value.type
        own_form = pack is not None and not pack.padded  # only the template knows what is in it
        make = operand if operand is not None and not own_form else placeholder
        tensor, views[value] = make(type, f"x{position}")
        inputs.append(tensor)
        if pack is not None and pack.padded:
            views[value] = padded_view(views[value], value)
    for node in task.body.nodes():
        if node.op == "input":
            continue
        if node.op == "constant":
            views[node.output] = immediate(node)
            continue
        operands = [views[value] for value in node.inputs]
        if node is parts.node:
            result: Any = anchor(operands, context)
        elif inner is not None and node is inner[0]:
            result = inner[1](operands, context)
        else:
            types = tuple(value.type for value in node.outputs)
            result = compute_of(node.op)(node.attrs, operands, types, context)
        results = [result] if isinstance(result, View) else list(result)
        for value, view in zip(node.outputs, results, strict=True):
            views[value] = view.memoised() if task.body.n_uses(value) > 1 else view
        if stage is not None and parts.core in node.outputs:
            views[parts.core] = stage(views[parts.core])
    return Body(inputs, views, context)


def placeholder(type: TensorType, name: str) -> tuple[Any, View]:
    """An operand that stands in memory as its type says."""
    tensor = te.placeholder(type.physical_shape, type.dtype.tvm, name=name)
    return tensor, View.of_tensor(tensor, type)


# Epilogue ops of a few instructions; others are computed in a rolled loop over a buffered tile,
# because unrolled over a register tile they make code that compiles slowly and spills.
LIGHT_OPS = (
    *("abs", "add", "cast", "clip", "div", "hardswish", "hard_sigmoid", "identity"),
    *("leaky_relu", "maximum", "minimum", "mul", "neg", "prelu", "relu", "sub", "where"),
)


def is_heavy(parts: Anchored) -> bool:
    """Whether the epilogue is too long to be unrolled over the register tile."""
    aside = (parts.node, *parts.prologue, *parts.movement)
    return are_heavy([n for n in parts.task.nodes if n not in aside])


def are_heavy(nodes: Sequence[Node]) -> bool:
    """Whether elementwise nodes are too many or too long to be unrolled over a register tile."""
    return len(nodes) > 8 or any(node.op not in LIGHT_OPS for node in nodes)
