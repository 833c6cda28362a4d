"""Graphs and compiled objects as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .reports import Section

if TYPE_CHECKING:
    from ..ir.graph import Graph

_TABLES = ("inputs", "outputs", "kernels")
_IO = ("name", "dtype", "shape", "layout")
_KERNEL = ("name", "template", "flops", "bytes", "origin")


def of_graph(graph: Graph) -> list[Section]:
    """What is in a graph: inputs, outputs, ops by weight, totals."""
    nodes = [node for node in graph.nodes() if node.op not in ("input", "constant")]
    constants = [node.output for node in graph.nodes() if node.op == "constant"]
    by_op: dict[str, list[int]] = {}
    for node in nodes:
        by_op.setdefault(node.op, []).append(node.flops)
    ops = [
        (name, str(len(flops)), f"{sum(flops):,}")
        for name, flops in sorted(by_op.items(), key=lambda item: (-sum(item[1]), item[0]))
    ]
    inputs = [(n, str(v.type)) for n, v in zip(graph.input_names, graph.inputs)]
    outputs = [(n, str(v.type)) for n, v in zip(graph.output_names, graph.outputs)]
    results = sum(value.type.nbytes for node in nodes for value in node.outputs)
    totals = [
        ("nodes", f"{len(nodes):,}"),
        ("parameters", f"{sum(value.type.size for value in constants):,}"),
        ("bytes of parameters", f"{sum(value.type.nbytes for value in constants):,}"),
        ("bytes of all results", f"{results:,}"),
        ("flops", f"{sum(node.flops for node in nodes):,}"),
    ]
    return [
        Section("inputs", ("name", "type"), tuple(inputs)),
        Section("outputs", ("name", "type"), tuple(outputs)),
        Section("ops", ("op", "count", "flops"), tuple(ops)),
        Section("totals", ("what", "count"), tuple(totals)),
    ]


def of_object(schema: Mapping[str, Any], memory: Mapping[str, int]) -> list[Section]:
    """What is in a compiled object: its facts, inputs, outputs and kernels."""
    kernels = schema.get("kernels", [])
    facts = [(name, _plain(value)) for name, value in schema.items() if name not in _TABLES]
    facts += [(f"bytes of {name}", f"{size:,}") for name, size in memory.items()]
    sections = [Section("object", ("fact", "value"), tuple(facts))]
    for title in ("inputs", "outputs"):
        rows = [tuple(_plain(entry.get(key)) for key in _IO) for entry in schema.get(title, [])]
        sections.append(Section(title, _IO, tuple(rows)))
    columns = tuple(key for key in _KERNEL if any(key in kernel for kernel in kernels))
    rows = [tuple(_plain(kernel.get(key)) for key in columns) for kernel in kernels]
    sections.append(Section("kernels", columns, tuple(rows)))
    return sections


def _plain(value: Any) -> str:
    if isinstance(value, list):
        text = ", ".join(map(_plain, value))
        return f"[{text}]" if value and isinstance(value[0], int) else text
    if isinstance(value, dict):
        return ", ".join(f"{key}={_plain(item)}" for key, item in value.items())
    return "" if value is None else str(value)
