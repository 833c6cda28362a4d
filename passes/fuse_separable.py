"""A depthwise convolution and the pointwise one behind it: one kernel if it takes no longer."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.conv_kind import is_depthwise, is_pointwise
from ..ir.cost import KernelCost
from ..ir.graph import Graph, Node, Value
from ..ir.structure import KernelAttrs
from .base import Pass, PassResult
from .rebuild import add_copy


@dataclass(frozen=True)
class FuseSeparable(Pass):
    """kernel(depthwise conv), kernel(1x1 conv) → kernel(depthwise conv, 1x1 conv)

    Depthwise separable convolutions (MobileNet). It looks at kernels whose layouts have been
    chosen, because only then a cost model can say what both and what the joined one would take.

    Attributes:
        cost: Modelled times of kernels; None: every pair is joined that can be.
    """

    name = "fuse-separable"
    cost: KernelCost | None = None

    def run(self, graph: Graph) -> PassResult:
        modified = False
        for second in list(graph.nodes()):
            value = _read_depthwise(graph, second)
            if value is None:
                continue
            body, operands = _joined(value.node, second, value)
            if self._pays(value.node, second, body, operands):
                _replace(graph, value.node, second, body, operands)
                modified = True
        return PassResult(graph, modified)

    def _pays(self, first: Node, second: Node, body: Graph, operands: list[Value]) -> bool:
        if self.cost is None:
            return True
        together = self.cost.as_it_is(_on_stand_ins(second, body, operands))
        parts = self.cost.as_it_is(first), self.cost.as_it_is(second)
        if together is None or None in parts:
            return False
        return together <= sum(time for time in parts if time is not None)


def _read_depthwise(graph: Graph, second: Node) -> Value | None:
    """What a kernel around a 1x1 conv reads of a depthwise one's, if nobody else does."""
    conv = _only_conv(second)
    if conv is None or not is_pointwise(conv) or conv.inputs[0].node.op != "input":
        return None
    body = _body(second)
    if body.n_uses(conv.inputs[0]) > 1:
        return None
    value = second.inputs[body.inputs.index(conv.inputs[0])]
    if graph.n_uses(value) > 1 or graph.is_output(value) or value.node.op != "kernel":
        return None
    if len(value.node.outputs) > 1:
        return None
    first = _only_conv(value.node)
    return value if first is not None and is_depthwise(first) else None


def _body(kernel: Node) -> Graph:
    return kernel.attrs.body  # type: ignore[attr-defined, no-any-return]


def _only_conv(kernel: Node) -> Node | None:
    """The conv of a kernel of images that has one."""
    if kernel.op != "kernel" or kernel.outputs[0].rank != len("NCHW"):
        return None
    convs = [node for node in _body(kernel).nodes() if node.op == "conv"]
    return convs[0] if len(convs) == 1 else None


def _joined(first: Node, second: Node, between: Value) -> tuple[Graph, list[Value]]:
    """The body that computes both, and its operands in the order in which it takes them."""
    body = Graph()
    image: dict[Value, Value] = {}
    inside: dict[Value, Value] = {}
    for kernel in (first, second):
        inner = _body(kernel)
        for value, own in zip(kernel.inputs, inner.inputs):
            if value is between:
                image[own] = image[_body(first).outputs[0]]
                continue
            if value not in inside:
                inside[value] = body.add_input(f"x{len(inside)}", value.type)
            image[own] = inside[value]
        for node in inner.nodes():
            if node.op != "input":
                add_copy(body, node, image)
    body.rename(image[_body(first).outputs[0]], between.name)  # as it is called when taken apart
    outputs = _body(second).outputs
    body.set_outputs([image[value] for value in outputs], _body(second).output_names)
    return body, list(inside)


def _add_kernel(graph: Graph, second: Node, body: Graph, operands: list[Value]) -> Node:
    """A kernel of the joined body, whose results stand as those of the second kernel do."""
    layouts = tuple(value.layout for value in second.outputs)
    attrs = KernelAttrs(body)
    return graph.add("kernel", *operands, attrs=attrs, origin=second.origin, layouts=layouts)


def _on_stand_ins(second: Node, body: Graph, operands: list[Value]) -> Node:
    """The joined kernel in a graph of its own, for a cost model: it may never be built."""
    graph = Graph()
    own = [
        graph.add_constant(value.constant, f"x{number}")
        if value.is_constant
        else graph.add_input(f"x{number}", value.type)
        for number, value in enumerate(operands)
    ]
    return _add_kernel(graph, second, body, own)


def _replace(graph: Graph, first: Node, second: Node, body: Graph, operands: list[Value]) -> None:
    """Put the joined kernel in the place of both."""
    kernel = _add_kernel(graph, second, body, operands)
    names = [value.name for value in second.outputs]
    for old, new in zip(second.outputs, kernel.outputs):
        graph.replace_uses(old, new)
    graph.remove(second)
    graph.remove(first)
    for new, name in zip(kernel.outputs, names):
        graph.rename(new, name)
