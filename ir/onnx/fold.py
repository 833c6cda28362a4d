"""Adding nodes to a graph while folding what is constant and small: shape arithmetic.

Shapes are static, so what a model computes from `Shape` folds to constants on the way. Larger
constant subgraphs stay in the graph (the fold-constants pass is there for them) and are evaluated
here only where the importer has to know a value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ConstraintError, ModelError
from .. import op as ops
from ..constant import Constant
from ..graph import Graph, Node, Value
from ..interpreter import evaluate_node
from ..op import Attrs

FOLD_LIMIT = 4096
"""Elements, operands and results together, up to which a node is folded at once."""


class Builder:
    """Adds nodes to `graph`, or constants where a node's result is known."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._known: dict[Value, np.ndarray | None] = {}

    def constant(self, array: np.ndarray | Constant, name: str = "") -> Value:
        return self.graph.add_constant(array, name)

    def add(
        self, op: str, inputs: tuple[Value, ...], attrs: Attrs, origin: str, name: str
    ) -> tuple[Value, ...]:
        """The results of an op: constants if it folds, otherwise those of a new node.

        Raises:
            ConstraintError: If the op does not take these operands.
        """
        if inputs and all(value.is_constant for value in inputs):
            folded = self._fold(op, inputs, attrs, origin)
            if folded is not None:
                return tuple(self.constant(array, name) for array in folded)
        return self.graph.add(op, *inputs, attrs=attrs, origin=origin, name=name).outputs

    def _fold(
        self, op: str, inputs: tuple[Value, ...], attrs: Attrs, origin: str
    ) -> tuple[np.ndarray, ...] | None:
        definition = ops.get(op)
        try:
            types = definition.infer_types(attrs, tuple(value.type for value in inputs))
        except ConstraintError as error:
            error.where = error.where or (f"node {origin!r}" if origin else "")
            raise
        if op == "reshape":  # a view of a weight costs nothing
            return (inputs[0].array.reshape(types[0].shape),)
        if sum(value.type.size for value in inputs) + sum(t.size for t in types) > FOLD_LIMIT:
            return None
        try:
            with np.errstate(all="ignore"):
                return definition.evaluate(attrs, tuple(value.array for value in inputs))
        except ModelError:  # a fault in the data: it belongs to the run
            return None

    def known(self, value: Value) -> np.ndarray | None:
        """The array that a value always has, or None if it depends on an input of the graph."""
        stack = [value.node]
        while stack:
            node = stack[-1]
            if node.outputs[0] in self._known:
                stack.pop()
                continue
            waiting = [v.node for v in node.inputs if v not in self._known]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            self._known.update(zip(node.outputs, self._evaluate(node)))
        return self._known[value]

    def _evaluate(self, node: Node) -> tuple[np.ndarray | None, ...]:
        if node.op == "constant":
            return (node.output.array,)
        operands = [self._known[value] for value in node.inputs]
        arrays = tuple(array for array in operands if array is not None)
        if node.op == "input" or len(arrays) < len(operands):
            return (None,) * len(node.outputs)
        results: Any = evaluate_node(node, arrays)
        return tuple(results)
