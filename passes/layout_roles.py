"""What a kernel asks of the layouts of its images."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..ir.graph import Graph, Node, Value
from ..ir.op import Pattern


class Slot(enum.Enum):
    """What a kernel asks of one operand or result."""

    FOLLOW = "follow"  # stands in the layout that the kernel works in
    FREE = "free"  # any layout does, whatever the kernel works in
    PLAIN = "plain"  # must be plain


@dataclass(frozen=True)
class Roles:
    """The slots of a kernel's operands and results, in order.

    Attributes:
        inputs: Of the operands; constants are FREE (they stay plain, kernels may pack them).
        outputs: Of the results.
        flexible: Whether there is a choice at all.
    """

    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    flexible: bool


# Ops of images that work in any layout: each output element needs few, easily found inputs.
SPATIAL = (
    "conv",
    "conv_transpose",
    "max_pool",
    "avg_pool",
    "lrn",
    "batch_norm",
    "instance_norm",
    "concat",
)


def roles(kernel: Node, block: int) -> Roles:
    """The slots of a kernel node.

    Args:
        kernel: A `kernel` node.
        block: Channels per block. A conv of less than half of them (the image itself) reads them
            plain.
    """
    min_channels = max(2, block // 2)
    body: Graph = kernel.attrs.body  # type: ignore[attr-defined]
    if not is_image_body(body):
        plain = (Slot.PLAIN,) * len(kernel.outputs)
        return Roles(tuple(_rigid(value) for value in kernel.inputs), plain, False)
    inputs = tuple(
        Slot.FREE if outer.is_constant else _input_slot(body, inner, min_channels)
        for outer, inner in zip(kernel.inputs, body.inputs)
    )
    outputs = tuple(_output_slot(value) for value in body.outputs)
    return Roles(inputs, outputs, Slot.FOLLOW in (*inputs, *outputs))


def is_image_body(body: Graph) -> bool:
    """Whether all that a body computes can be computed in any image layout."""
    nodes = [node for node in body.nodes() if node.op not in ("input", "constant")]
    images = [value for value in (*body.inputs, *body.outputs) if value.rank == 4]
    return bool(images) and all(_is_image_op(node) for node in nodes)


def _is_image_op(node: Node) -> bool:
    if any(value.rank != 4 for value in node.outputs):
        return False
    if node.op in SPATIAL or node.pattern is Pattern.ELEMENTWISE:
        return True
    x = node.inputs[0]
    if node.op in ("resize", "pad"):
        return x.shape[:2] == node.output.shape[:2]
    if node.op == "slice":
        return x.shape[0] == node.output.shape[0]
    return _is_global_pool(node)


def _is_global_pool(node: Node) -> bool:
    if node.op not in ("reduce_mean", "reduce_max", "reduce_sum"):
        return False
    attrs = node.attrs
    return sorted(attrs.axes) == [2, 3] and attrs.keepdims  # type: ignore[attr-defined, no-any-return]


def _rigid(value: Value) -> Slot:
    return Slot.FREE if value.is_constant else Slot.PLAIN


def _input_slot(body: Graph, value: Value, min_channels: int) -> Slot:
    if value.rank != 4:
        return Slot.FREE
    for node, index in body.users(value):
        if node.op in ("conv", "conv_transpose"):
            if index == 1:
                return Slot.PLAIN  # a weight that is computed
            return Slot.FOLLOW if value.shape[1] >= min_channels else Slot.PLAIN
    is_small = any(
        node.pattern is Pattern.ELEMENTWISE and node.output.shape != value.shape
        for node, _ in body.users(value)
    )
    return Slot.FREE if is_small else Slot.FOLLOW


def _output_slot(value: Value) -> Slot:
    """A global pool writes a few numbers, in whichever layout its reader likes."""
    node = value.node
    while node.pattern is Pattern.ELEMENTWISE and node.inputs[0].shape == value.shape:
        node = node.inputs[0].node
    return Slot.FREE if node.op not in ("input",) and _is_global_pool(node) else Slot.FOLLOW
