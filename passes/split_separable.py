"""Kernels of a depthwise convolution and a pointwise one as two kernels again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..ir.conv_kind import is_depthwise, is_pointwise
from ..ir.graph import Graph, Node, Value
from ..ir.structure import KernelAttrs
from .base import Pass, PassResult
from .rebuild import add_copy


@dataclass(frozen=True)
class SplitSeparable(Pass):
    """kernel(depthwise conv, 1x1 conv) → kernel(depthwise conv), kernel(1x1 conv)

    What `fuse-separable` has joined, before layouts are chosen anew: whether one kernel is faster
    than two depends on them.
    """

    name = "split-separable"

    def run(self, graph: Graph) -> PassResult:
        modified = False
        for kernel in list(graph.nodes()):
            between = _between(kernel)
            if between is not None:
                _split(graph, kernel, between)
                modified = True
        return PassResult(graph, modified)


def _between(kernel: Node) -> Value | None:
    """What the pointwise convolution of a joined kernel reads, computed by the depthwise one."""
    if kernel.op != "kernel":
        return None
    body: Graph = kernel.attrs.body  # type: ignore[attr-defined]
    convs = [node for node in body.nodes() if node.op == "conv"]
    if len(convs) != 2 or not (is_depthwise(convs[0]) and is_pointwise(convs[1])):
        return None
    between = convs[1].inputs[0]
    follows = convs[0] in _leading_to(body, [between], {})
    return between if follows and not body.is_output(between) else None


def _split(graph: Graph, kernel: Node, between: Value) -> None:
    body: Graph = kernel.attrs.body  # type: ignore[attr-defined]
    outer = dict(zip(body.inputs, kernel.inputs))
    first = _add(graph, kernel, outer, [between])
    outer[between] = first.output
    second = _add(graph, kernel, outer, body.outputs)
    names = [value.name for value in kernel.outputs]
    for old, new in zip(kernel.outputs, second.outputs):
        graph.replace_uses(old, new)
    graph.remove(kernel)
    # the last ones first: their names for the time being may be what the first is to be called
    for value, name in zip((*second.outputs, first.output), (*names, between.name)):
        graph.rename(value, name)


def _add(
    graph: Graph, kernel: Node, outer: Mapping[Value, Value], outputs: Iterable[Value]
) -> Node:
    """A kernel of what computes these values of the body; `outer` has those that it may read."""
    body: Graph = kernel.attrs.body  # type: ignore[attr-defined]
    outputs = list(outputs)
    own, image = Graph(), dict[Value, Value]()
    operands = []
    for node in _leading_to(body, outputs, outer):
        for value in node.inputs:
            if value in outer and value not in image:
                image[value] = own.add_input(value.name, value.type)
                operands.append(outer[value])
        add_copy(own, node, image)
    own.set_outputs([image[value] for value in outputs])
    layouts = tuple(value.layout for value in outputs)
    attrs = KernelAttrs(own)
    return graph.add("kernel", *operands, attrs=attrs, origin=kernel.origin, layouts=layouts)


def _leading_to(body: Graph, outputs: list[Value], known: Mapping[Value, Value]) -> list[Node]:
    """Nodes that compute these values from known ones, each after its operands."""
    wanted = set(outputs)
    found = []
    for node in reversed(list(body.nodes())):
        if not wanted.isdisjoint(node.outputs):
            found.append(node)
            wanted.update(value for value in node.inputs if value not in known)
    return found[::-1]
