"""The graph: values, nodes, and the networkx digraph that stores them.

`Graph.nx` is a `networkx.MultiDiGraph` whose nodes are `Node`s and whose edges run from producer
to consumer, keyed `(output index, input index)`. It is there to be read (networkx has the
analyses); every change goes through the methods of `Graph` or through a `Rewriter`.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import networkx as nx
import numpy as np

from ..errors import ConstraintError
from . import op as ops
from .constant import Constant
from .dtypes import DType
from .layout import Layout
from .op import Attrs, OpDef, Pattern
from .structure import ConstantAttrs, InputAttrs
from .types import TensorType


class Value:
    """One output of a node. Compared by identity."""

    __slots__ = ("index", "name", "node", "type")

    def __init__(self, node: Node, index: int, type: TensorType, name: str) -> None:
        self.node = node
        self.index = index
        self.type = type
        self.name = name

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def rank(self) -> int:
        return self.type.rank

    @property
    def layout(self) -> Layout | None:
        return self.type.layout

    @property
    def is_input(self) -> bool:
        return self.node.op == "input"

    @property
    def is_constant(self) -> bool:
        return self.node.op == "constant"

    @property
    def constant(self) -> Constant:
        """The constant behind this value. Raises ValueError if it is not one."""
        if not self.is_constant:
            raise ValueError(f"%{self.name} is not a constant")
        return cast(ConstantAttrs, self.node.attrs).value

    @property
    def array(self) -> np.ndarray:
        """The constant's array (read-only)."""
        return self.constant.array

    def __repr__(self) -> str:
        return f"%{self.name}: {self.type}"


class Node:
    """An op applied to values. Compared by identity; immutable but for its inputs, which the
    graph rewires.

    Attributes:
        id: Position in the order of creation.
        op: Name of the op.
        attrs: The op's frozen attributes.
        inputs: Operands.
        outputs: Results.
        origin: Name of the ONNX node it came from; "" if none.
    """

    __slots__ = ("attrs", "id", "inputs", "op", "origin", "outputs")

    def __init__(
        self, id: int, op: str, attrs: Attrs, inputs: tuple[Value, ...], origin: str
    ) -> None:
        self.id = id
        self.op = op
        self.attrs = attrs
        self.inputs = inputs
        self.outputs: tuple[Value, ...] = ()
        self.origin = origin

    @property
    def output(self) -> Value:
        """The only output. Raises ValueError if there are several."""
        if len(self.outputs) != 1:
            raise ValueError(f"{self.op} has {len(self.outputs)} outputs")
        return self.outputs[0]

    @property
    def definition(self) -> OpDef:
        return ops.get(self.op)

    @property
    def pattern(self) -> Pattern:
        return self.definition.pattern

    @property
    def flops(self) -> int:
        return self.definition.count_flops(
            self.attrs, tuple(v.type for v in self.inputs), tuple(v.type for v in self.outputs)
        )

    def __repr__(self) -> str:
        names = ", ".join(f"%{value.name}" for value in self.outputs)
        return f"<{names} = {self.op}>"


class Use(NamedTuple):
    """Operand `index` of `node`."""

    node: Node
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here


class Graph:
    """A directed acyclic graph of nodes with ordered inputs and outputs."""

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.nx: nx.MultiDiGraph = nx.MultiDiGraph()
        self.input_names: tuple[str, ...] = ()
        self.output_names: tuple[str, ...] = ()
        self._inputs: list[Value] = []
        self._outputs: list[Value] = []
        self._taken: dict[str, int] = {}
        self._next_id = 0
        self._order: list[Node] | None = None

    # -- reading -------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[Value, ...]:
        return tuple(self._inputs)

    @property
    def outputs(self) -> tuple[Value, ...]:
        return tuple(self._outputs)

    def nodes(self) -> list[Node]:
        """All nodes in topological order; ties go to the older node, so the order is stable.

        Raises:
            ValueError: If the graph has a cycle.
        """
        if self._order is None:
            self._order = self._sort()
        return list(self._order)

    def users(self, value: Value) -> list[Use]:
        """The operands that read a value, oldest node first (graph outputs are not among them).

        Nobody reads a node that was removed, say with the last of its outputs that was replaced.
        """
        if value.node not in self.nx:
            return []
        uses = [
            Use(consumer, key[1])
            for _, consumer, key in self.nx.out_edges(value.node, keys=True)
            if key[0] == value.index
        ]
        return sorted(uses, key=lambda use: (use.node.id, use.index))

    def n_uses(self, value: Value) -> int:
        """How often a value is read, as an operand or as a graph output."""
        return len(self.users(value)) + sum(output is value for output in self._outputs)

    def is_output(self, value: Value) -> bool:
        return any(output is value for output in self._outputs)

    def __len__(self) -> int:
        return len(self.nx)

    def __contains__(self, node: object) -> bool:
        return node in self.nx

    # -- building ------------------------------------------------------------------------------

    def add_input(self, name: str, type: TensorType) -> Value:
        """Append a graph input; `name` is kept as it is in `input_names`."""
        value = self._insert("input", InputAttrs(type), (), "", [type], name or "input")[0]
        self._inputs.append(value)
        self.input_names = (*self.input_names, name)
        return value

    def add_constant(self, value: np.ndarray | Constant, name: str = "") -> Value:
        constant = value if isinstance(value, Constant) else Constant(value)
        return self._insert(
            "constant", ConstantAttrs(constant), (), "", [constant.type], name or "c"
        )[0]

    def add(
        self,
        op: str,
        *inputs: Value,
        attrs: Attrs | None = None,
        name: str = "",
        origin: str = "",
        layouts: Sequence[Layout | None] | None = None,
    ) -> Node:
        """Append a node; its output types are inferred.

        Args:
            op: Name of a registered op.
            inputs: Operands, values of this graph.
            attrs: Attributes; None takes the op's defaults.
            name: Wished name of the (first) output.
            origin: Name of the ONNX node this comes from.
            layouts: Layout of each output. If None, an elementwise op takes the layout that all
                its full-size operands share, any other op is plain.

        Raises:
            ConstraintError: If the op does not take these operands.
            KeyError: If there is no such op.
        """
        definition = ops.get(op)
        attrs = definition.attrs() if attrs is None else attrs
        for value in inputs:
            if value.node not in self.nx:
                raise ValueError(f"%{value.name} is not a value of graph {self.name!r}")
        try:
            types = list(definition.infer_types(attrs, tuple(value.type for value in inputs)))
        except ConstraintError as error:
            error.where = error.where or (f"node {origin!r}" if origin else "")
            raise
        if layouts is not None:
            types = [type.with_(layout=layout) for type, layout in zip(types, layouts, strict=True)]
        elif definition.pattern is Pattern.ELEMENTWISE:
            types = [_with_common_layout(type, inputs) for type in types]
        outputs = self._insert(op, attrs, inputs, origin, types, name)
        return outputs[0].node if outputs else self._last

    def op(self, op: str, *inputs: Value, **options: Any) -> Value:
        """`add(...)`, giving the only output."""
        return self.add(op, *inputs, **options).output

    def set_outputs(self, values: Iterable[Value], names: Iterable[str] | None = None) -> None:
        """Say what the graph returns; names default to those of the values."""
        self._outputs = list(values)
        self.output_names = tuple(
            names if names is not None else (value.name for value in self._outputs)
        )
        if len(self.output_names) != len(self._outputs):
            raise ValueError("as many names as outputs are needed")

    # -- changing ------------------------------------------------------------------------------

    def replace_uses(self, old: Value, new: Value) -> None:
        """Let every reader of `old`, graph outputs included, read `new` instead."""
        if old is new:
            return
        for use in self.users(old):
            self.set_operand(use.node, use.index, new)
        self._outputs = [new if output is old else output for output in self._outputs]

    def set_operand(self, node: Node, index: int, value: Value) -> None:
        """Rewire one operand. The caller answers for the type; the verifier checks it."""
        old = node.inputs[index]
        self.nx.remove_edge(old.node, node, key=(old.index, index))
        self.nx.add_edge(value.node, node, key=(value.index, index))
        node.inputs = (*node.inputs[:index], value, *node.inputs[index + 1 :])
        self._order = None

    def remove(self, node: Node) -> None:
        """Remove a node that nobody reads. Raises ValueError if somebody does."""
        for value in node.outputs:
            if self.n_uses(value):
                raise ValueError(f"%{value.name} still has users")
        if node.op == "input":
            index = self._inputs.index(node.outputs[0])
            del self._inputs[index]
            self.input_names = self.input_names[:index] + self.input_names[index + 1 :]
        self.nx.remove_node(node)
        for value in node.outputs:
            self._release(value)
        self._order = None

    def prune(self) -> int:
        """Remove every node that no output depends on (inputs stay). Gives their number."""
        alive: set[Node] = set()
        stack = [value.node for value in self._outputs]
        while stack:
            node = stack.pop()
            if node not in alive:
                alive.add(node)
                stack.extend(value.node for value in node.inputs)
        dead = [node for node in self.nx if node not in alive and node.op != "input"]
        self.nx.remove_nodes_from(dead)
        for node in dead:
            for value in node.outputs:
                self._release(value)
        if dead:
            self._order = None
        return len(dead)

    def rename(self, value: Value, name: str) -> None:
        """Give a value a (unique) name derived from `name`."""
        self._release(value)
        value.name = self._unique(name)

    def copy(self) -> Graph:
        """A deep copy, nodes renumbered in topological order. Constants are shared."""
        return self.copy_with()[0]

    def copy_with(self) -> tuple[Graph, dict[Value, Value]]:
        """`copy()` and the map from old values to new ones."""
        graph = Graph(self.name)
        values: dict[Value, Value] = {}
        for value in self._inputs:
            values[value] = graph._insert(
                "input", value.node.attrs, (), value.node.origin, [value.type], value.name
            )[0]
        graph._inputs = [values[value] for value in self._inputs]
        graph.input_names = self.input_names
        for node in self.nodes():
            if node.op == "input":
                continue
            operands = tuple(values[value] for value in node.inputs)
            types = [value.type for value in node.outputs]
            names = [value.name for value in node.outputs] or [""]
            new = graph._insert(node.op, node.attrs, operands, node.origin, types, *names)
            values.update(zip(node.outputs, new))
        graph.set_outputs([values[value] for value in self._outputs], self.output_names)
        return graph, values

    # -- inside --------------------------------------------------------------------------------

    def _insert(
        self,
        op: str,
        attrs: Attrs,
        inputs: tuple[Value, ...],
        origin: str,
        types: Sequence[TensorType],
        *names: str,
    ) -> tuple[Value, ...]:
        # too few names: the last one serves the remaining outputs, made unique
        wished = [*names, *[names[-1]] * len(types)]
        node = Node(self._next_id, op, attrs, tuple(inputs), origin)
        self._next_id += 1
        self.nx.add_node(node)
        for index, value in enumerate(inputs):
            self.nx.add_edge(value.node, node, key=(value.index, index))
        node.outputs = tuple(
            Value(node, index, type, self._unique(wished[index] or "v"))
            for index, type in enumerate(types)
        )
        self._last = node
        self._order = None
        return node.outputs

    def _release(self, value: Value) -> None:
        self._taken.pop(value.name, None)

    def _unique(self, name: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_.]", "_", name) or "v"
        count = self._taken.get(base)
        if count is None:
            self._taken[base] = 0
            return base
        while True:
            count += 1
            candidate = f"{base}_{count}"
            if candidate not in self._taken:
                self._taken[base] = count
                self._taken[candidate] = 0
                return candidate

    def _sort(self) -> list[Node]:
        waiting = {node: degree for node, degree in self.nx.in_degree()}
        ready = [(node.id, node) for node, degree in waiting.items() if degree == 0]
        heapq.heapify(ready)
        order = []
        while ready:
            _, node = heapq.heappop(ready)
            order.append(node)
            for _, consumer in self.nx.out_edges(node):
                waiting[consumer] -= 1
                if waiting[consumer] == 0:
                    heapq.heappush(ready, (consumer.id, consumer))
        if len(order) != len(self.nx):
            raise ValueError(f"graph {self.name!r} has a cycle")
        return order


def _with_common_layout(type: TensorType, inputs: Sequence[Value]) -> TensorType:
    full = [value.layout for value in inputs if value.shape == type.shape]
    layout = full[0] if full else None
    if layout is None or any(other != layout for other in full):
        return type
    broadcast = [value for value in inputs if value.shape != type.shape]
    if any(value.layout not in (None, layout) for value in broadcast):
        return type
    return type.with_(layout=layout)
