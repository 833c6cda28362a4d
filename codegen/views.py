"""Values that live inside of others: reshapes, pieces of concats, slices.

A kernel that only joins or cuts contiguous pieces needs no code: its operands are written where
they belong in the result, or its results are read where they stand. In a dense block, where every
layer joins all that came before, all joins become one buffer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from ..errors import BuildError
from ..ir.graph import Graph, Node, Value
from ..ir.pieces import cut_offsets, joined_offsets
from ..ir.structure import KernelAttrs
from .memory import ALIGNMENT

__all__ = ["Views", "find_views"]


@dataclass(frozen=True)
class Views:
    """Where values live.

    Attributes:
        places: For each value the one whose memory it is in, and the offset there in bytes.
        free: Kernel nodes that need not run.
    """

    places: dict[Value, tuple[Value, int]]
    free: frozenset[Node]

    def root(self, value: Value) -> Value:
        """The value whose memory a value is in."""
        return self.places[value][0]


def find_views(graph: Graph) -> Views:
    """The views of a graph of kernels and plain reshapes.

    Raises:
        BuildError: If the graph holds anything else.
    """
    return _Finder(graph).find()


class _Finder:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.parents: dict[Value, tuple[Value, int]] = {}
        self.bases: set[Value] = set()  # that others live in
        self.free: set[Node] = set()

    def find(self) -> Views:
        order = list(self.graph.nodes())
        for node in order:
            self._reshape(node)
        # A graph's outputs are buffers of the caller.
        self.pinned = {self._place(value)[0] for value in self.graph.outputs}
        kernels = [node for node in order if node.op == "kernel"]
        for node in reversed(kernels):  # a join of joins is placed before its parts
            self._join(node)
        for node in kernels:
            self._cut(node)
        values = [value for node in order for value in node.outputs]
        return Views({value: self._place(value) for value in values}, frozenset(self.free))

    def _reshape(self, node: Node) -> None:
        if node.op == "reshape":
            source, target = node.inputs[0], node.output
            if source.layout is not None or target.layout is not None:
                raise BuildError(f"reshape of {source.type} to {target.type} is not a view")
            self.parents[target] = (source, 0)
        elif node.op not in ("input", "constant", "kernel"):
            raise BuildError(f"{node.op} stands outside of a kernel", str(node))

    def _place(self, value: Value) -> tuple[Value, int]:
        offset = 0
        while value in self.parents:
            value, more = self.parents[value]
            offset += more
        return value, offset

    def _join(self, node: Node) -> None:
        offsets = _aligned(joined_offsets(cast(KernelAttrs, node.attrs).body))
        if offsets is None:
            return
        whole, start = self._place(node.output)
        places = [self._place(value) for value in node.inputs]
        roots = [root for root, _ in places]
        if not all(self._is_ours(root) for root in (whole, *roots)):
            return
        shifts = {place - offset for (_, place), offset in zip(places, offsets)}
        if len(set(roots)) == 1 and len(shifts) == 1 and self._is_whole(node.output):
            self._live_in(node.output, roots[0], shifts.pop())  # all parts stand there already
        elif len(set(roots)) == len(roots) and whole not in roots:
            parts = zip(node.inputs, roots, offsets)
            if not all(root not in self.bases and self._is_whole(v) for v, root, _ in parts):
                return
            for root, offset in zip(roots, offsets):
                self._live_in(root, whole, start + offset)
        elif not (set(roots) == {whole} and shifts == {start}):
            return
        self.free.add(node)

    def _cut(self, node: Node) -> None:
        offsets = _aligned(cut_offsets(cast(KernelAttrs, node.attrs).body))
        if offsets is None:
            return
        whole, start = self._place(node.inputs[0])
        if whole.node.op != "kernel":
            return
        for value in node.outputs:
            if not self._is_ours(value) or not self._is_whole(value) or value in self.bases:
                return
        for value, offset in zip(node.outputs, offsets):
            self._live_in(value, whole, start + offset)
        self.free.add(node)

    def _live_in(self, value: Value, whole: Value, offset: int) -> None:
        self.parents[value] = (whole, offset)
        self.bases.add(whole)

    def _is_ours(self, root: Value) -> bool:
        """Whether the plan may say where a value lives."""
        return root.node.op == "kernel" and root not in self.pinned

    def _is_whole(self, value: Value) -> bool:
        """Whether a value (perhaps reshaped) has memory of its own, as large as it is."""
        root, offset = self._place(value)
        return offset == 0 and root.type.nbytes == value.type.nbytes


def _aligned(offsets: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if offsets is None or any(offset % ALIGNMENT for offset in offsets):
        return None
    return offsets
