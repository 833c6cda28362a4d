"""Kernels with their images in other layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.graph import Graph, Node, Value
from ..ir.layout import Layout
from ..ir.structure import KernelAttrs, LayoutTransformAttrs
from .layout_roles import Roles, Slot
from .rebuild import add_copy


def is_transform(node: Node) -> bool:
    """Whether a node is a layout transform, bare or as a kernel."""
    if node.op == "kernel":
        body: Graph = node.attrs.body  # type: ignore[attr-defined]
        return [n.op for n in body.nodes()] == ["input", "layout_transform"]
    return node.op == "layout_transform"


def source_of(value: Value) -> Value:
    """The value behind any layout transforms."""
    while is_transform(value.node):
        value = value.node.inputs[0]
    return value


def in_layout(kernel: Node, slots: Roles, layout: Layout | None, free: Layout | None) -> Node:
    """A copy of a kernel that works in `layout`, in a graph of its own.

    Args:
        kernel: A `kernel` node.
        slots: What it asks of its operands and results.
        layout: Of those that follow the kernel.
        free: Of those that any layout does for.
    """
    graph = Graph()
    by_slot: Mapping[Slot, Layout | None] = {
        Slot.FOLLOW: layout,
        Slot.FREE: free,
        Slot.PLAIN: None,
    }

    def wanted(value: Value, slot: Slot) -> Layout | None:
        return by_slot[slot] if value.rank == 4 and not value.is_constant else value.layout

    operands = []
    for index, value in enumerate(kernel.inputs):
        type = value.type.with_(layout=wanted(value, slots.inputs[index]))
        if value.is_constant:
            operands.append(graph.add_constant(value.node.output.constant, name=f"x{index}"))
        else:
            operands.append(graph.add_input(f"x{index}", type))
    given = [wanted(value, slot) for value, slot in zip(kernel.outputs, slots.outputs)]
    attrs: KernelAttrs = kernel.attrs  # type: ignore[assignment]
    body = relayout(attrs.body, [value.layout for value in operands], given)
    return graph.add("kernel", *operands, attrs=KernelAttrs(body), layouts=tuple(given))


def add_relaid(
    graph: Graph,
    node: Node,
    operands: Sequence[Value],
    given: Sequence[Layout | None],
    image: dict[Value, Value],
) -> None:
    """Add a kernel again, on these operands and with results in these layouts; extends `image`."""
    attrs: KernelAttrs = node.attrs  # type: ignore[assignment]
    body = relayout(attrs.body, [value.layout for value in operands], given)
    kernel = graph.add(
        "kernel",
        *operands,
        attrs=KernelAttrs(body, attrs.template, attrs.config, attrs.why),
        origin=node.origin,
    )
    for old, new in zip(node.outputs, kernel.outputs):
        graph.rename(new, old.name)
        image[old] = new


def transform_kernel(graph: Graph, value: Value, layout: Layout | None, name: str) -> Value:
    """Add a kernel that gives `value` in another layout."""
    body = Graph()
    inner = body.add_input("x", value.type)
    body.set_outputs(
        [body.op("layout_transform", inner, attrs=LayoutTransformAttrs(layout), name="y")]
    )
    return graph.op("kernel", value, attrs=KernelAttrs(body), name=name, origin=value.node.origin)


def relayout(
    body: Graph, inputs: Sequence[Layout | None], outputs: Sequence[Layout | None]
) -> Graph:
    """A body whose operands and results stand in these layouts; what lies between has none."""
    result = Graph(body.name)
    image: dict[Value, Value] = {}
    for value, name, layout in zip(body.inputs, body.input_names, inputs):
        image[value] = result.add_input(name, value.type.with_(layout=layout))
        result.rename(image[value], value.name)
    layouts = dict(zip(body.outputs, outputs))
    for node in body.nodes():
        if node.op == "input":
            continue
        if node.op == "constant":
            add_copy(result, node, image)
            continue
        given = [layouts.get(value) for value in node.outputs]
        attrs = LayoutTransformAttrs(given[0]) if node.op == "layout_transform" else node.attrs
        copy = result.add(
            node.op,
            *(image[value] for value in node.inputs),
            attrs=attrs,
            origin=node.origin,
            layouts=given,
        )
        for old, new in zip(node.outputs, copy.outputs):
            result.rename(new, old.name)
            image[old] = new
    result.set_outputs([image[value] for value in body.outputs], body.output_names)
    return result
