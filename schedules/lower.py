"""From a task's body to TE tensors and a PrimFunc.

`lower_body` walks the body in order and gives every node its TE compute (`schedules/compute`).
Elementwise ops and data movement become views: expressions that are evaluated inside the stage
that reads them. Reductions become stages. Each output becomes a stage over its stored shape. A
template may `intercept` a node (its anchor, usually) and give a compute of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tvm import s_tir, te

from ..ir.graph import Graph, Node, Value
from ..ir.layout import Layout
from ..ir.op import Pattern
from ..ir.terms import MOST_TERMS, terms
from .compute import compute_of
from .context import Context
from .half_views import memoised
from .task import Task
from .template import NotApplicable, Pack
from .view import View, materialise

_POINTWISE = (Pattern.ELEMENTWISE, Pattern.INJECTIVE, Pattern.VIEW)

__all__ = [
    "Intercept",
    "LoweredBody",
    "channel_packs",
    "immediate",
    "lower_body",
    "pad_pack",
    "padded_view",
    "stage_layouts",
]

Intercept = Callable[[Node, list[View], Context], View | Sequence[View] | None]


@dataclass
class LoweredBody:
    """The TE form of a body.

    Attributes:
        task: What was lowered.
        inputs: Placeholders, one a body input (packed forms for packed constants).
        outputs: Tensors, one a body output; their blocks are named `out0`, `out1`, … unless the
            output is a stage itself (see `output_blocks`).
        output_blocks: Names of the blocks that write the outputs.
        stages: Names of the other blocks, producers first.
        context: The context that the computes were made in.
        views: View of every value of the body.
    """

    task: Task
    inputs: list[Any]
    outputs: list[Any]
    output_blocks: list[str]
    stages: list[str]
    context: Context
    views: dict[Value, View] = field(repr=False)

    def prim_func(self) -> Any:
        """The TensorIR function; its parameters are the inputs and then the outputs."""
        return te.create_prim_func([*self.inputs, *self.outputs])

    def schedule(self) -> Any:
        """A fresh `s_tir.Schedule` of it."""
        return s_tir.Schedule(self.prim_func())


def lower_body(
    task: Task,
    *,
    packs: Mapping[int, Pack] | None = None,
    intercept: Intercept | None = None,
    copy_outputs: bool = True,
    row_lanes: int = 0,
    row_parts: int = 1,
) -> LoweredBody:
    """Give a task's body its TE form.

    Args:
        task: The task.
        packs: Packed forms of constant inputs by position. The view of a packed input reads the
            packed tensor by *its* indices, unless `pack.padded`: then it is the logical one.
        intercept: Called as `intercept(node, input views, context)` for every node; a result that
            is not None replaces the op's own compute. Tensors it makes should be named by
            `context.name` and reported with `context.record`.
        copy_outputs: Give every output a stage of its own even where a reduction stage already
            holds it as it must stand in memory (templates that keep tiles in registers want that).
        row_lanes: See `Context.row_lanes`.
        row_parts: See `Context.row_parts`.

    Raises:
        NotApplicable: If the body holds what no kernel can (a large constant).
    """
    packs = packs or {}
    context = Context(
        task.level,
        stage_layouts(task.body),
        threads=task.threads,
        vector_bits=task.target.vector_bits,
    )
    context.row_lanes, context.row_parts = row_lanes, row_parts
    views: dict[Value, View] = {}
    inputs = []
    for position, value in enumerate(task.body.inputs):
        type = packs[position].type if position in packs else value.type
        tensor = te.placeholder(type.physical_shape, type.dtype.tvm, name=f"x{position}")
        inputs.append(tensor)
        view = View.of_tensor(tensor, type)
        if position in packs and packs[position].padded:
            view = padded_view(view, value)
        views[value] = view
    for node in task.body.nodes():
        if node.op == "constant":
            views[node.output] = immediate(node)
        elif node.op != "input":
            _lower_node(node, task.body, views, context, intercept)
            if not copy_outputs:
                _hold_outputs(node, task.body, views, context)
    outputs, blocks = _outputs(task, views, context, copy_outputs)
    used = _reachable(outputs)
    stages = [
        name
        for name in context.stages
        if name not in blocks and any(context.tensors[name].same_as(tensor) for tensor in used)
    ]
    return LoweredBody(task, inputs, outputs, blocks, stages, context, views)


def stage_layouts(body: Graph) -> dict[int, Layout]:
    """The layout of stages by rank: that of the outputs, else of the inputs, of that rank."""
    layouts: dict[int, Layout] = {}
    for value in (*body.outputs, *body.inputs):
        if value.layout is not None:
            layouts.setdefault(value.rank, value.layout)
    return layouts


def _lower_node(
    node: Node,
    body: Graph,
    views: dict[Value, View],
    context: Context,
    intercept: Intercept | None,
) -> None:
    pointwise = node.definition.pattern in _POINTWISE
    if pointwise and _weight(node, views) > MOST_TERMS:
        for value in node.inputs:
            if views[value].weight > 1:
                views[value] = context.materialise(views[value], "inner")
    operands = [views[value] for value in node.inputs]
    result = intercept(node, operands, context) if intercept is not None else None
    if result is None:
        types = tuple(value.type for value in node.outputs)
        result = compute_of(node.op)(node.attrs, operands, types, context)
    results = [result] if isinstance(result, View) else list(result)
    for value, view in zip(node.outputs, results, strict=True):
        if view.shape != value.shape or view.dtype != value.dtype.tvm:
            raise AssertionError(f"compute of {node.op} gave {view} for {value.type}")
        if view.tensor is None and pointwise and view not in operands:
            view.weight = _weight(node, views)
        views[value] = memoised(view) if body.n_uses(value) > 1 else view


def _weight(node: Node, views: Mapping[Value, View]) -> int:
    return terms(node, [views[value].weight for value in node.inputs])


def _hold_outputs(node: Node, body: Graph, views: dict[Value, View], context: Context) -> None:
    """An output that the body reads again is written first, and read from where it was written."""
    for value in node.outputs:
        view = views[value]
        if view.tensor is None and body.is_output(value) and body.users(value):
            name = f"out{[output is value for output in body.outputs].index(True)}"
            tensor = materialise(view, value.type, name)
            context.record(name, tensor)
            views[value] = View.of_tensor(tensor, value.type)


def immediate(node: Node) -> View:
    """The view of a constant inside a body. Raises NotApplicable unless it is a scalar."""
    array = node.output.array
    if array.size and (array == array.reshape(-1)[0]).all():
        return View.of_scalar(array.reshape(-1)[0], node.output.dtype.tvm, array.shape)
    if array.size and (array != array).all():
        return View.of_scalar(array.reshape(-1)[0], node.output.dtype.tvm, array.shape)
    raise NotApplicable(f"constant %{node.output.name}: only scalars may stand inside a kernel")


def padded_view(stored: View, value: Value) -> View:
    """The view of a constant operand that a pack has padded (`Pack.padded`)."""
    return View(
        value.shape,
        stored.dtype,
        stored,
        reach=stored.shape,
        pad=np.zeros((), value.dtype.numpy),
        cheap=True,
    )


def _outputs(
    task: Task, views: dict[Value, View], context: Context, copy_outputs: bool
) -> tuple[list[Any], list[str]]:
    tensors: list[Any] = []
    blocks: list[str] = []
    made = {tensor: name for name, tensor in context.tensors.items()}
    for index, value in enumerate(task.body.outputs):
        view = views[value]
        ready = (
            not copy_outputs
            and view.tensor in made
            and view.type == value.type
            and (not value.type.has_padding or (view.pad is not None and view.pad == 0))
            and not any(view.tensor.same_as(other) for other in tensors)
        )
        if ready:
            tensors.append(view.tensor)
            blocks.append(made[view.tensor])
            continue
        name = f"out{index}"
        tensor = materialise(view, value.type, name)
        tensors.append(tensor)
        blocks.append(name)
        # Whoever else in this kernel reads the value reads what was just written.
        if not view.cheap:
            views[value] = View.of_tensor(tensor, value.type)
    return tensors, blocks


def _reachable(outputs: Sequence[Any]) -> list[Any]:
    """Every tensor that the outputs depend on."""
    found: list[Any] = []
    waiting = list(outputs)
    seen: set[int] = set()
    while waiting:
        tensor = waiting.pop()
        if hash(tensor) not in seen:
            seen.add(hash(tensor))
            found.append(tensor)
            waiting.extend(tensor.op.input_tensors)
    return found


def pad_pack(value: Value, shape: Sequence[int]) -> Pack:
    """The pack that pads a constant with zeros at the ends of its axes to `shape`.

    For a bias `[C,1,1]` next to a blocked tensor: padded to whole blocks it is read without a
    guard, and its pad lanes are zero.
    """
    pads = [(0, wide - size) for size, wide in zip(value.shape, shape, strict=True)]
    return Pack(
        value.type.strip().with_(shape=tuple(shape)),
        lambda array: np.ascontiguousarray(np.pad(array, pads)),
        f"pad{list(shape)}",
        padded=True,
    )


def channel_packs(task: Task) -> dict[int, Pack]:
    """Packs that pad every constant operand along the axes that the kernel's layouts block.

    A constant that broadcasts against blocked tensors (bias, scale, a per-channel slope) is padded
    along the channels if they do not fill whole blocks.
    """
    packs: dict[int, Pack] = {}
    blocked = [v.type for v in (*task.body.outputs, *task.body.inputs) if v.type.has_padding]
    for position in task.constants:
        value = task.body.inputs[position]
        if value.layout is not None or not blocked:
            continue
        shape = list(value.shape)
        for type in blocked:
            assert type.layout is not None
            for axis, _ in type.layout.tiles:
                own = axis - (type.rank - value.rank)
                block = type.layout.block(axis)
                if own >= 0 and value.shape[own] == type.shape[axis] > 1:
                    shape[own] = -(-type.shape[axis] // block) * block
        if tuple(shape) != value.shape and _elementwise_only(task, value):
            packs[position] = pad_pack(value, shape)
    return packs


def _elementwise_only(task: Task, value: Value) -> bool:
    users = task.body.users(value)
    return all(use.node.definition.pattern is Pattern.ELEMENTWISE for use in users)
