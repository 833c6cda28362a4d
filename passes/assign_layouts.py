"""Layouts of images, decided over the whole graph."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ..ir.cost import CostModel
from ..ir.cut import SINK, SOURCE, Arc, minimum_cut
from ..ir.graph import Graph, Node, Value
from ..ir.layout import Layout
from ..ir.text import print_graph
from .base import Pass, PassResult
from .layout_roles import Roles, Slot, roles
from .modelled_cost import ModelledCost
from .rebuild import add_copy
from .relayout import add_relaid, is_transform, source_of, transform_kernel


@dataclass(frozen=True)
class AssignLayouts(Pass):
    """conv(x) → layout_transform, conv@NCHW16c, …: blocked images where that is cheapest over all.

    Every kernel of images works either in plain or in blocked layout. Both have a modelled time,
    and so has a transform between a producer and readers that differ (once per value). The
    cheapest choice for the whole graph is a minimum cut, which is found exactly.

    Existing layout transforms are dissolved first, so none is ever doubled.

    Attributes:
        block: Channels per block: the target's float32 lanes. 1 leaves the graph alone.
        cost: Modelled times; None: `ModelledCost`.
    """

    name = "assign-layouts"
    block: int = 16
    cost: CostModel | None = None

    def run(self, graph: Graph) -> PassResult:
        if self.block < 2:
            return PassResult(graph, False)
        choice = _Choice(graph, self.block, self.cost or ModelledCost(self.block))
        result = _Builder(graph, choice).build()
        if print_graph(result) == print_graph(graph):
            return PassResult(graph, False)
        return PassResult(result, True)


class _Choice:
    """The layout of every kernel's images."""

    def __init__(self, graph: Graph, block: int, cost: CostModel) -> None:
        self.graph = graph
        self.blocked = Layout.blocked(4, 1, block)
        self.cost = cost
        self.kernels = [n for n in graph.nodes() if n.op == "kernel" and not is_transform(n)]
        self.roles: dict[Node, Roles] = {n: roles(n, block) for n in self.kernels}
        self.blocked_side = minimum_cut(self._arcs())

    def wanted(self, kernel: Node, index: int) -> Layout | Slot | None:
        """The layout that a kernel wants an operand in; Slot.FREE if it does not care."""
        slot = self.roles[kernel].inputs[index]
        if slot is Slot.FREE:
            return slot
        return self._mode(kernel) if slot is Slot.FOLLOW else None

    def given(self, value: Value) -> Layout | None:
        """The layout in which a kernel gives a result."""
        slot = self.roles[value.node].outputs[value.index]
        if slot is Slot.FREE:
            chosen = {value, value.node} <= self.blocked_side
            return self.blocked if chosen else None
        return self._mode(value.node) if slot is Slot.FOLLOW else None

    def _mode(self, kernel: Node) -> Layout | None:
        return self.blocked if kernel in self.blocked_side else None

    def _arcs(self) -> list[Arc]:
        """The cut problem: the source's side is blocked, the sink's side is plain."""
        arcs: list[Arc] = []
        readers: dict[Value, list[Hashable]] = {}
        for kernel in self.kernels:
            if self.roles[kernel].flexible:
                arcs.append((SOURCE, kernel, self.cost.kernel(kernel, None)))
                # one more, so that what does not matter stays plain
                arcs.append((kernel, SINK, self.cost.kernel(kernel, self.blocked) + 1))
            for index, value in enumerate(kernel.inputs):
                slot = self.roles[kernel].inputs[index]
                if slot is not Slot.FREE and value.rank == 4:
                    reader = kernel if slot is Slot.FOLLOW else SINK
                    readers.setdefault(source_of(value), []).append(reader)
        for node in self.graph.nodes():
            if node.op not in ("kernel", "layout_transform"):
                for value in node.inputs:
                    readers.setdefault(source_of(value), []).append(SINK)
        for value in self.graph.outputs:
            if value.layout is None or not is_transform(value.node):
                readers.setdefault(source_of(value), []).append(SINK)
        for value, nodes in readers.items():
            arcs += self._transform_arcs(value, nodes)
        return arcs

    def _transform_arcs(self, value: Value, readers: list[Hashable]) -> list[Arc]:
        """One transform if any reader stands on the other side than the producer."""
        if value.is_constant or value.rank != 4:
            return []
        producer = self._producer(value)
        price = self.cost.transform(value.type.strip(), self.blocked)
        to_plain, to_blocked = ("to plain", value), ("to blocked", value)
        arcs: list[Arc] = [(producer, to_plain, price), (to_blocked, producer, price)]
        if producer is value:  # a free result: plain unless a reader wants otherwise
            arcs.append((value, SINK, 1))
            # From a plain image it is written plain and then transformed: lanes of channels would
            # be read one by one, each from a plane of its own (10 times as long).
            arcs.append((value, value.node, price))
        for reader in dict.fromkeys(readers):
            arcs += [(to_plain, reader, None), (reader, to_blocked, None)]
        return arcs

    def _producer(self, value: Value) -> Hashable:
        slots = self.roles.get(value.node)
        if slots is None:
            return SINK  # graph inputs and reshapes give plain values
        slot = slots.outputs[value.index]
        return {Slot.FOLLOW: value.node, Slot.FREE: value, Slot.PLAIN: SINK}[slot]


class _Builder:
    """Builds the graph anew with the chosen layouts."""

    def __init__(self, graph: Graph, choice: _Choice) -> None:
        self.old = graph
        self.choice = choice
        self.new = Graph(graph.name)
        self.image: dict[Value, Value] = {}
        self.converted: dict[tuple[Value, Layout | None], Value] = {}

    def build(self) -> Graph:
        for value, name in zip(self.old.inputs, self.old.input_names):
            self.image[value] = self.new.add_input(name, value.type)
            self.new.rename(self.image[value], value.name)
        for node in self.old.nodes():
            if is_transform(node):
                self.image[node.outputs[0]] = self.image[node.inputs[0]]
            elif node.op == "kernel":
                self._kernel(node)
            elif node.op != "input":
                operands = {value: self._in_layout(value, None) for value in node.inputs}
                add_copy(self.new, node, operands)
                self.image.update((value, operands[value]) for value in node.outputs)
        outputs = [self._in_layout(value, value.layout) for value in self.old.outputs]
        self.new.set_outputs(outputs, self.old.output_names)
        return self.new

    def _in_layout(self, value: Value, layout: Layout | None) -> Value:
        image = self.image[value]
        if image.layout == layout or image.is_constant:
            return image
        key = (image, layout)
        if key not in self.converted:
            suffix = str(layout or "plain").lower()
            self.converted[key] = transform_kernel(
                self.new, image, layout, f"{image.name}.{suffix}"
            )
        return self.converted[key]

    def _kernel(self, node: Node) -> None:
        operands = []
        for index, value in enumerate(node.inputs):
            wanted = self.choice.wanted(node, index)
            if isinstance(wanted, Slot) or value.rank != 4:
                operands.append(self.image[value])
            else:
                operands.append(self._in_layout(value, wanted))
        given = [
            self.choice.given(value) if value.rank == 4 else value.layout for value in node.outputs
        ]
        add_relaid(self.new, node, operands, given, self.image)
