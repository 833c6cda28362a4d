"""Layouts by measured times: which block of channels, and which kernels work on blocked images.

Every kernel of images can work on plain images and on blocks of different sizes. Its time in each
layout is measured once, as a task like any other; so are the transforms. With these times the
assignment of layouts is a minimum cut (`passes/assign_layouts.py`), block size by block size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..ir.cost import CostModel
from ..ir.graph import Graph, Node, Value
from ..ir.layout import Layout
from ..ir.types import TensorType
from ..passes.assign_layouts import AssignLayouts
from ..passes.base import Pass
from ..passes.layout_roles import Slot, roles
from ..passes.modelled_cost import ModelledCost
from ..passes.order_nodes import OrderNodes
from ..passes.relayout import in_layout, is_transform, transform_kernel
from ..passes.split_separable import SplitSeparable

__all__ = [
    "MARGIN",
    "MeasuredCost",
    "all_blocked",
    "all_plain",
    "blocked_kernels",
    "laid_out",
    "replayed",
    "total_seconds",
    "transforms_of",
]

MARGIN = 0.97  # of the default layouts' time that others must come below to be worth their risk
_FAR = 10**15  # nanoseconds: more than any graph takes

SecondsOf = Callable[[Node], float | None]


def laid_out(graph: Graph, block: int, cost: CostModel, after: Sequence[Pass] = ()) -> Graph:
    """The graph with its layouts assigned anew, plain or in blocks of this size.

    `after` are the passes that follow in the pipeline (`after_layouts`).
    """
    result = _apart(graph)
    for step in (AssignLayouts(block=block, cost=cost), *after, OrderNodes()):
        result = step.run(result).graph
    return result


def _apart(graph: Graph) -> Graph:
    """A copy without kernels that were joined in the layouts of their images."""
    return SplitSeparable().run(graph.copy()).graph


def all_plain(graph: Graph) -> Graph:
    """The graph with all images plain."""
    return laid_out(graph, 2, _Forced(frozenset()))


def all_blocked(graph: Graph, block: int) -> Graph:
    """The graph with every kernel on blocked images that can work so."""
    return laid_out(graph, block, _Forced(None))


def replayed(graph: Graph, block: int, blocked: Sequence[str], after: Sequence[Pass] = ()) -> Graph:
    """The graph with exactly these kernels, by the names of their first results, on blocks."""
    return laid_out(graph, max(2, block), _Forced(frozenset(blocked)), after)


def blocked_kernels(graph: Graph) -> tuple[str, ...]:
    """Names of the first results of the kernels that work on blocked images."""
    return tuple(
        node.outputs[0].name
        for node in _apart(graph).nodes()
        if node.op == "kernel" and not is_transform(node) and _works_blocked(node)
    )


def transforms_of(graph: Graph) -> list[Node]:
    """The layout transforms of a graph."""
    return [node for node in graph.nodes() if node.op == "kernel" and is_transform(node)]


def total_seconds(graph: Graph, cost: MeasuredCost) -> float:
    """What all kernels and transforms of a graph take together."""
    time = 0
    for node in graph.nodes():
        if node.op == "kernel" and is_transform(node):
            time += cost.converted(node)
        elif node.op == "kernel":
            time += cost.as_it_is(node)
    return time / 1e9


@dataclass(frozen=True)
class _Forced:
    """A cost that leaves no choice: these kernels (None: all) are blocked."""

    blocked: frozenset[str] | None

    def kernel(self, kernel: Node, layout: Layout | None) -> int:
        wanted = self.blocked is None or kernel.outputs[0].name in self.blocked
        return 0 if wanted == (layout is not None) else _FAR

    def transform(self, type: TensorType, layout: Layout | None) -> int:
        return 1000


class MeasuredCost:
    """A `CostModel` of measured times; where there is none, modelled ones on the same scale.

    Args:
        block: Channels per block.
        seconds: Measured seconds of a kernel node as it stands, None if it was not measured.
        graphs: What the scale is taken from: graphs with kernels that were measured.
        modelled: What kernels cost that were not measured; None: `ModelledCost`.
    """

    def __init__(
        self,
        block: int,
        seconds: SecondsOf,
        graphs: Sequence[Graph],
        modelled: CostModel | None = None,
    ) -> None:
        self._modelled = modelled or ModelledCost(block)
        self._seconds = seconds
        self._block = block
        self._scale = self._scale_of(graphs)

    def kernel(self, kernel: Node, layout: Layout | None) -> int:
        modelled = self._modelled.kernel(kernel, layout)
        if modelled == 0:
            return 0
        measured = (self._seconds(body) for body in self._bodies(kernel, layout))
        return self._time(next((s for s in measured if s is not None), None), modelled)

    def transform(self, type: TensorType, layout: Layout | None) -> int:
        graph = Graph()
        x = graph.add_input("x", type)
        seconds = self._seconds(transform_kernel(graph, x, layout, "y").node)
        return self._time(seconds, self._modelled.transform(type, layout))

    def as_it_is(self, kernel: Node) -> int:
        """The time of a kernel in the layouts that it has."""
        return self._time(self._seconds(kernel), self._modelled.kernel(kernel, _layout(kernel)))

    def converted(self, kernel: Node) -> int:
        """The time of a transform that stands in a graph."""
        modelled = self._modelled.transform(kernel.inputs[0].type, kernel.output.layout)
        return self._time(self._seconds(kernel), modelled)

    def _time(self, seconds: float | None, modelled: int) -> int:
        """Nanoseconds: what was measured; else what is modelled, on the same scale."""
        return int(modelled * self._scale) if seconds is None else int(seconds * 1e9)

    def _scale_of(self, graphs: Sequence[Graph]) -> float:
        measured = modelled = 0.0
        for graph in graphs:
            for node in graph.nodes():
                if node.op != "kernel" or is_transform(node):
                    continue
                seconds = self._seconds(node)
                if seconds is not None:
                    measured += seconds * 1e9
                    modelled += self._modelled.kernel(node, _layout(node))
        return measured / modelled if modelled else 1.0

    def _bodies(self, kernel: Node, layout: Layout | None) -> Iterator[Node]:
        """The kernel as it would stand in a layout; values that are free come in both."""
        slots = roles(kernel, self._block)
        for free in dict.fromkeys((layout, None)):
            yield in_layout(kernel, slots, layout, free)


def _images(kernel: Node) -> Iterator[Value]:
    values = itertools.chain(kernel.inputs, kernel.outputs)
    return (value for value in values if value.rank == 4)


def _layout(kernel: Node) -> Layout | None:
    """The layout that a kernel's images have, those that are plain aside."""
    return next((v.layout for v in _images(kernel) if v.layout is not None), None)


def _works_blocked(kernel: Node) -> bool:
    # a global pool may give either; what it reads says how it works
    slots = roles(kernel, 2)
    pairs = [*zip(kernel.inputs, slots.inputs), *zip(kernel.outputs, slots.outputs)]
    return any(slot is Slot.FOLLOW and value.layout is not None for value, slot in pairs)
