"""Making a graph anew: in another order, or with inputs of another type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.graph import Graph, Node, Value
from ..ir.structure import LayoutTransformAttrs
from ..ir.types import TensorType


def rebuilt(
    graph: Graph,
    order: Sequence[Node] | None = None,
    input_types: Mapping[Value, TensorType] | None = None,
) -> Graph:
    """The same graph with its nodes inserted in `order`.

    Args:
        graph: The graph; it stays as it is.
        order: All its nodes but inputs, each after its operands; None keeps the order.
        input_types: New types for inputs (another layout); what reads them reads them through a
            `layout_transform` back to the old layout.
    """
    result = Graph(graph.name)
    image: dict[Value, Value] = {}
    for value, name in zip(graph.inputs, graph.input_names):
        type = (input_types or {}).get(value, value.type)
        image[value] = result.add_input(name, type)
        if type != value.type:
            attrs = LayoutTransformAttrs(value.type.layout)
            image[value] = result.op("layout_transform", image[value], attrs=attrs, name=value.name)
        else:
            result.rename(image[value], value.name)
    for node in graph.nodes() if order is None else order:
        if node.op != "input":
            add_copy(result, node, image)
    result.set_outputs([image[value] for value in graph.outputs], graph.output_names)
    return result


def add_copy(
    graph: Graph, node: Node, image: dict[Value, Value], inputs: Sequence[Value] | None = None
) -> Node:
    """Add a copy of a node to another graph, its operands as `image` maps them; extends `image`.

    `inputs` are the operands in the order in which the copy takes them; None: as the node does.
    """
    if node.op == "constant":
        copy = graph.add_constant(node.output.constant, node.output.name).node
    else:
        operands = [image[value] for value in (node.inputs if inputs is None else inputs)]
        layouts = [value.layout for value in node.outputs]
        copy = graph.add(node.op, *operands, attrs=node.attrs, origin=node.origin, layouts=layouts)
    for old, new in zip(node.outputs, copy.outputs):
        graph.rename(new, old.name)
        image[old] = new
    return copy
