"""What kernels and layout transforms cost by rough rates, where no template's model is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..ir.graph import Graph, Node
from ..ir.layout import Layout
from ..ir.ops.slice import slice_ranges
from ..ir.pieces import is_contiguous
from ..ir.types import TensorType


@dataclass(frozen=True)
class ModelledCost:
    """A `CostModel` from rough rates; the differences between layouts are what matters.

    Bytes and operations a nanosecond are those of two threads (`of_threads` gives other ones). The
    ratios were measured on Zen 4 with AVX-512, 2 threads: dense convolutions of plain images take
    1.0 to 1.5 times as long as of blocked ones and lose what fuses with blocks, depthwise ones 2 to
    5 times; groups that do not fill blocks 10 to 160 times (only the generic template takes them);
    a concat that cuts through blocks 2.5 times.

    Attributes:
        block: Channels per block.
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
    blocked_grouped: float = 64.0
    scattered: float = 2.5
    launch_ns: float = 1500.0

    @classmethod
    def of_threads(cls, block: int, threads: int) -> ModelledCost:
        """The same for kernels that so many threads share: traffic and arithmetic scale."""
        share = threads / 2
        return cls(block, cls.bytes_per_ns * share, cls.flops_per_ns * share)

    def transform(self, type: TensorType, layout: Layout | None) -> int:
        # memory speed, as float32 on x86: elsewhere, element by element, a third of it
        there = type.with_(layout=layout).nbytes
        return int(self.launch_ns + (type.nbytes + there) / self.bytes_per_ns)

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
