"""The layout in which images cross the border of the model."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node, Value
from ..ir.layout import Layout
from ..ir.op import Pattern
from ..ir.structure import LayoutTransformAttrs
from .base import Pass, PassResult
from .rebuild import rebuilt

IMAGE_OPS = (
    "conv",
    "conv_transpose",
    "max_pool",
    "avg_pool",
    "batch_norm",
    "instance_norm",
    "group_norm",
    "lrn",
    "resize",
)
# What an image passes through and stays an image.
THROUGH = ("concat", "pad", "slice", "softmax", "log_softmax", "expand", "layout_transform")


@dataclass(frozen=True)
class IoLayout(Pass):
    """input x → input x@NHWC, layout_transform(x)    for images among the inputs; so for outputs.

    An input is an image if a convolution, pool or the like reads it, an output if one made it,
    perhaps with elementwise work, concat, pad, slice or softmax between.

    Attributes:
        layout: For example "NHWC"; empty leaves the graph alone.
    """

    name = "io-layout"
    layout: str = ""

    def run(self, graph: Graph) -> PassResult:
        if not self.layout:
            return PassResult(graph, False)
        layout = Layout.parse(self.layout)
        if layout.is_plain:
            return PassResult(graph, False)
        types = {
            value: value.type.with_(layout=layout)
            for value in graph.inputs
            if _may_be_image(value) and _meets(graph, value, forward=True)
        }
        marked = [
            index
            for index, value in enumerate(graph.outputs)
            if _may_be_image(value) and _meets(graph, value, forward=False)
        ]
        if not types and not marked:
            return PassResult(graph, False)
        result = rebuilt(graph, input_types=types)
        outputs = list(result.outputs)
        for index in marked:
            attrs = LayoutTransformAttrs(layout)
            outputs[index] = result.op("layout_transform", outputs[index], attrs=attrs)
        result.set_outputs(outputs, result.output_names)
        return PassResult(result, True)


def image_borders(graph: Graph) -> tuple[list[int], list[int]]:
    """Which inputs and which outputs are images, by position."""
    inputs = [
        i for i, v in enumerate(graph.inputs) if v.rank == 4 and _meets(graph, v, forward=True)
    ]
    outputs = [
        i for i, v in enumerate(graph.outputs) if v.rank == 4 and _meets(graph, v, forward=False)
    ]
    return inputs, outputs


def _may_be_image(value: Value) -> bool:
    return value.rank == 4 and value.layout is None


def _meets(graph: Graph, start: Value, forward: bool) -> bool:
    """Whether an image op is found from a value on, through ops that keep images images."""
    stack, seen = [start], {start}
    while stack:
        value = stack.pop()
        nodes = [use.node for use in graph.users(value)] if forward else [value.node]
        for node in nodes:
            if node.op in IMAGE_OPS and (not forward or node.inputs[0] is value):
                return True
            if not _passes(node):
                continue
            for other in node.outputs if forward else node.inputs:
                if other.rank == 4 and other not in seen:
                    seen.add(other)
                    stack.append(other)
    return False


def _passes(node: Node) -> bool:
    if node.op in ("input", "constant"):
        return False
    return node.pattern is Pattern.ELEMENTWISE or node.op in THROUGH
