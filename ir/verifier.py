"""The invariants of a graph."""

from __future__ import annotations

import dataclasses

from ..errors import ConstraintError, VerifyError
from . import op as ops
from .graph import Graph, Node


def verify(graph: Graph) -> None:
    """Check a graph and its regions.

    Checked: every node's op exists and its attributes have the op's class; operands belong to the
    graph and agree with the edges; inferred types equal the stored ones (layouts aside); names
    are unique; there is no cycle; a kernel's operands have the layouts of its region's inputs, its
    results those of the region's outputs.

    Raises:
        VerifyError: Naming the node and what is wrong.
    """
    try:
        order = graph.nodes()
    except ValueError as error:
        raise VerifyError(str(error), f"graph {graph.name!r}") from None
    seen: set[str] = set()
    for node in order:
        _check_edges(graph, node)
        _check_types(node)
        for value in node.outputs:
            if value.name in seen:
                raise VerifyError(f"two values are named %{value.name}", _where(node))
            seen.add(value.name)
        for field in dataclasses.fields(node.attrs):
            region = getattr(node.attrs, field.name)
            if isinstance(region, Graph):
                verify(region)
                _check_region_layouts(node, region)
    for value in graph.outputs:
        if value.node not in graph:
            raise VerifyError(f"output %{value.name} is not a value of the graph")
    if len(graph.input_names) != len(graph.inputs) or len(graph.output_names) != len(graph.outputs):
        raise VerifyError("inputs or outputs and their names differ in number")


def _check_edges(graph: Graph, node: Node) -> None:
    edges = {key[1]: (producer, key[0]) for producer, _, key in graph.nx.in_edges(node, keys=True)}
    if len(edges) != len(node.inputs):
        raise VerifyError(f"{len(node.inputs)} operands but {len(edges)} edges", _where(node))
    for index, value in enumerate(node.inputs):
        if value.node not in graph:
            raise VerifyError(f"operand %{value.name} is not a value of the graph", _where(node))
        if edges.get(index) != (value.node, value.index):
            raise VerifyError(f"operand {index} and its edge disagree", _where(node))


def _check_types(node: Node) -> None:
    if not ops.exists(node.op):
        raise VerifyError(f"unknown op {node.op!r}", _where(node))
    definition = node.definition
    if type(node.attrs) is not definition.attrs:
        wanted = definition.attrs.__name__
        raise VerifyError(f"attributes are not a {wanted}", _where(node))
    try:
        inferred = definition.infer_types(node.attrs, tuple(value.type for value in node.inputs))
    except ConstraintError as error:
        raise VerifyError(str(error), _where(node)) from None
    stored = tuple(value.type.strip() for value in node.outputs)
    if tuple(t.strip() for t in inferred) != stored:
        texts = [", ".join(map(str, types)) for types in (stored, inferred)]
        raise VerifyError(f"stored type {texts[0]}, inferred {texts[1]}", _where(node))
    if node.op == "layout_transform" and inferred[0] != node.outputs[0].type:
        raise VerifyError(f"result is {node.outputs[0].type}, not {inferred[0]}", _where(node))


def _check_region_layouts(node: Node, region: Graph) -> None:
    pairs = [*zip(node.inputs, region.inputs), *zip(node.outputs, region.outputs)]
    for outside, inside in pairs:
        if outside.type != inside.type:
            raise VerifyError(
                f"%{outside.name} is {outside.type} outside and {inside.type} inside", _where(node)
            )


def _where(node: Node) -> str:
    names = ", ".join(f"%{value.name}" for value in node.outputs)
    return f"{names} = {node.op}" + (f" (from {node.origin!r})" if node.origin else "")
