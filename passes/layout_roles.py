"""What a kernel asks of the layouts of its images."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from ..ir.graph import Graph, Node, Value
from ..ir.layout import Layout
from ..ir.op import Pattern
from ..ir.ops.slice import slice_ranges
from ..ir.pieces import is_contiguous
from ..ir.types import TensorType


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


def roles(kernel: Node, min_channels: int) -> Roles:
    """The slots of a kernel node.

    Args:
        kernel: A `kernel` node.
        min_channels: A conv of fewer input channels reads them plain (the image itself).
    """
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


@dataclass(frozen=True)
class ModelledCost:
    """A `CostModel` from rough rates; the differences between layouts are what matters.

    Measured on Zen 4 with AVX-512, 2 threads: dense convolutions of plain images take 1.0 to 1.5
    times as long as of blocked ones and lose what fuses with blocks, depthwise ones 2 to 5 times;
    groups that do not fill blocks 10 to 30 times (only the generic template takes them); a concat
    that cuts through blocks 2.5 times.

    Attributes:
        block: Lanes of the blocked layout.
        bytes_per_ns: Memory traffic of simple kernels.
        flops_per_ns: What a good blocked convolution reaches.
        plain_dense: How much slower a convolution over all channels is on plain images.
        plain_depthwise: How much slower one is that has its own filters for every channel.
        blocked_grouped: How much slower one is whose groups do not fill blocks, on blocked images.
        scattered: How much slower a concat or slice is that cuts through blocks.
        launch_ns: A kernel's fixed cost.
    """

    block: int
    bytes_per_ns: float = 40.0
    flops_per_ns: float = 500.0
    plain_dense: float = 2.0
    plain_depthwise: float = 5.0
    blocked_grouped: float = 16.0
    scattered: float = 2.5
    launch_ns: float = 1500.0

    @classmethod
    def of_threads(cls, block: int, threads: int) -> ModelledCost:
        """The rates, which are those of two threads, of so many."""
        share = threads / 2
        return cls(block, cls.bytes_per_ns * share, cls.flops_per_ns * share)

    def transform(self, type: TensorType, layout: Layout | None) -> int:
        there = type.with_(layout=layout).nbytes
        return int(self.launch_ns + 2 * (type.nbytes + there) / self.bytes_per_ns)

    def kernel(self, kernel: Node, layout: Layout | None) -> int:
        body: Graph = kernel.attrs.body  # type: ignore[attr-defined]
        traffic = sum(
            (value.type.with_(layout=layout) if value.rank == 4 else value.type).nbytes
            for value in (*kernel.inputs, *kernel.outputs)
            if not value.is_constant
        )
        if _is_free(kernel, layout):
            return 0
        time = traffic / self.bytes_per_ns
        for node in body.nodes():
            if node.op == "conv":
                time += self._conv(node, layout)
            elif layout is not None and _cuts_blocks(node, self.block):
                time += (self.scattered - 1) * traffic / self.bytes_per_ns
        return int(time)

    def _conv(self, node: Node, layout: Layout | None) -> float:
        time = node.flops / self.flops_per_ns
        inputs, outputs = node.inputs[0].shape[1], node.output.shape[1]
        groups: int = node.attrs.groups  # type: ignore[attr-defined]
        if layout is None:
            if groups > 1 and inputs == groups:
                return time * self.plain_depthwise * self._narrow(node)
            return time * self.plain_dense * max(1.0, 0.7 * self._narrow(node))
        if (groups > 1 and inputs != outputs) or groups not in (1, inputs):
            return time * self._merged_groups(inputs // groups, outputs // groups, groups)
        blocked = [outputs] if groups > 1 or inputs < self.block // 2 else [inputs, outputs]
        return time * math.prod(-(-size // self.block) * self.block / size for size in blocked)

    def _narrow(self, node: Node) -> float:
        """Pixels in lanes, with the columns between two rows, over the pixels that count."""
        rows, cols = node.output.shape[2:]
        window: int = node.inputs[1].shape[3]
        stride: int = node.attrs.strides[1]  # type: ignore[attr-defined]
        computed = rows * (cols + (window - 1) // stride)
        return -(-computed // self.block) * self.block / max(rows * cols, 1)

    def _merged_groups(self, inputs: int, outputs: int, groups: int) -> float:
        """How much more is computed where groups are merged until their features fill blocks."""
        merged = self.block // math.gcd(outputs, self.block)
        if groups % merged or merged * inputs > 4 * self.block or inputs * merged % self.block:
            return self.blocked_grouped
        return float(merged)


def _is_free(kernel: Node, layout: Layout | None) -> bool:
    """Whether a kernel only joins or cuts what stands together in memory anyway."""
    body: Graph = kernel.attrs.body  # type: ignore[attr-defined]
    if any(value.node.op in ("input", "constant") for value in kernel.inputs):
        return False
    nodes = [node for node in body.nodes() if node.op != "input"]
    if len(nodes) != 1 or nodes[0].op not in ("concat", "slice", "split"):
        return False
    return is_contiguous(nodes[0], layout)


def _cuts_blocks(node: Node, block: int) -> bool:
    if node.op == "concat" and node.attrs.axis % 4 == 1:  # type: ignore[attr-defined]
        return any(value.shape[1] % block for value in node.inputs[:-1])
    if node.op == "slice":
        taken = slice_ranges(node.attrs, node.inputs[0].shape)[1]  # type: ignore[arg-type]
        return bool(taken.step != 1 or taken.start % block)
    return node.op == "lrn"
