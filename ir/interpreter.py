"""Running a graph with the ops' numpy references: the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..errors import UsageError
from .graph import Graph, Node, Value

Observer = Callable[[Node, tuple[np.ndarray, ...]], None]


def run(
    graph: Graph, feeds: Mapping[str, np.ndarray], observer: Observer | None = None
) -> dict[str, np.ndarray]:
    """Evaluate a graph on logical arrays.

    Args:
        graph: The graph; layouts are ignored.
        feeds: An array for every graph input, by name.
        observer: Called with each node and its results, in topological order.

    Returns:
        Output name -> logical array.

    Raises:
        UsageError: If an input is missing or has another dtype or shape.
    """
    arrays = []
    for name, value in zip(graph.input_names, graph.inputs):
        if name not in feeds:
            raise UsageError(f"input {name!r} is missing")
        array = np.asarray(feeds[name])
        if array.shape != value.shape or array.dtype != value.dtype.numpy:
            given = f"{array.dtype}{list(array.shape)}"
            raise UsageError(f"input {name!r} is {given}, expected {value.type.strip()}")
        arrays.append(array)
    return dict(zip(graph.output_names, run_region(graph, arrays, observer)))


def run_region(
    graph: Graph, arrays: Sequence[np.ndarray], observer: Observer | None = None
) -> tuple[np.ndarray, ...]:
    """Evaluate a graph on its inputs in order; values are freed after their last reader."""
    known: dict[Value, np.ndarray] = dict(zip(graph.inputs, arrays, strict=True))
    order = graph.nodes()
    last: dict[Value, int] = {}
    for at, node in enumerate(order):
        for value in node.inputs:
            last[value] = at
    for value in graph.outputs:
        last[value] = len(order)
    for at, node in enumerate(order):
        if node.op == "input":
            continue
        operands = tuple(known[value] for value in node.inputs)
        results = evaluate_node(node, operands)
        if observer is not None:
            observer(node, results)
        for value, result in zip(node.outputs, results):
            if value in last:
                known[value] = result
        for value in node.inputs:
            if last[value] == at:
                known.pop(value, None)
    return tuple(known[value] for value in graph.outputs)


def evaluate_node(node: Node, operands: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """One node's reference, its results checked against the inferred types."""
    with np.errstate(all="ignore"):  # what IEEE 754 gives is the answer, warnings are noise
        results = node.definition.evaluate(node.attrs, operands)
    for value, result in zip(node.outputs, results, strict=True):
        if result.shape != value.shape or result.dtype != value.dtype.numpy:
            got = f"{result.dtype}{list(result.shape)}"
            raise AssertionError(f"reference of {node.op} gave {got} for {value.type}")
    return results
