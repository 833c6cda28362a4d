"""Printing a graph.

    graph "net" (%x: f32[1,3,8,8]) {
      %w = constant {value=#5be1c4…} : f32[4,3,3,3]
      %y = avg_pool(%x) {kernel=[2,2], strides=[2,2], …} : f32[1,3,4,4] from "AveragePool_0"
      return %y
    }

A kernel's region follows its attributes as `body(%a: …) { … return … }`. Constants of at most
`INLINE_ELEMENTS` elements print their values, larger ones their hash. `parse.py` reads it back.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .constant import Constant
from .dtypes import DType
from .graph import Graph, Node, Value
from .layout import Layout
from .op import Attrs

INLINE_ELEMENTS = 16


def print_graph(graph: Graph, *, origins: bool = True) -> str:
    """The graph as text; `origins=False` leaves out where nodes came from."""
    lines = [f"graph {_quote(graph.name)} ({_parameters(graph)}) {{"]
    lines += _body(graph, "  ", origins)
    return "\n".join([*lines, "}", ""])


def print_type_list(values: Iterable[Value]) -> str:
    return ", ".join(str(value.type) for value in values)


def structurally_equal(left: Graph, right: Graph) -> bool:
    """Whether two graphs are the same but for the names of values and origins of nodes."""
    return _fingerprint(left) == _fingerprint(right)


def constants(graph: Graph) -> dict[str, Constant]:
    """All constants by hash, those in regions included: the pool to parse the text with."""
    pool: dict[str, Constant] = {}
    for node in graph.nodes():
        for field in dataclasses.fields(node.attrs):
            item = getattr(node.attrs, field.name)
            if isinstance(item, Constant) and item.type.size > INLINE_ELEMENTS:
                pool[item.hash] = item
            elif isinstance(item, Graph):
                pool.update(constants(item))
    return pool


def format_attrs(attrs: Attrs, *, skip: tuple[str, ...] = ()) -> str:
    """`{a=1, b=[2,3]}`; empty if every field has its default."""
    items = []
    for field in dataclasses.fields(attrs):
        item = getattr(attrs, field.name)
        if isinstance(item, Graph) or field.name in skip:
            continue
        if field.default is not dataclasses.MISSING and same_item(item, field.default):
            continue
        items.append(f"{field.name}={format_item(item)}")
    return f"{{{', '.join(items)}}}" if items else ""


def format_item(item: Any) -> str:
    """One attribute value as text."""
    if item is None:
        return "none"
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, DType):
        return item.short
    if isinstance(item, Layout):
        return str(item)
    if isinstance(item, Constant):
        return _constant(item)
    if isinstance(item, str):
        return _quote(item)
    if isinstance(item, tuple | list):
        return f"[{','.join(format_item(part) for part in item)}]"
    if isinstance(item, float):
        return _float(item)
    if isinstance(item, int):
        return str(item)
    raise TypeError(f"attribute of type {type(item).__name__} has no text form")


def same_item(left: Any, right: Any) -> bool:
    """Equality that tells 1 from 1.0 and True, and takes NaN for NaN."""
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return type(left) is type(right) and bool(left == right)


def _fingerprint(graph: Graph) -> str:
    twin = graph.copy()
    _rename(twin)
    twin.name = ""
    return print_graph(twin, origins=False)


def _rename(graph: Graph) -> None:
    """Number all values, in regions too (`graph` must not be shared; its regions are copied)."""
    counter = 0
    for node in graph.nodes():
        for value in node.outputs:
            value.name = str(counter)
            counter += 1
        regions = {
            field.name: getattr(node.attrs, field.name).copy()
            for field in dataclasses.fields(node.attrs)
            if isinstance(getattr(node.attrs, field.name), Graph)
        }
        for region in regions.values():
            region.name = ""
            region.input_names = tuple(str(i) for i in range(len(region.inputs)))
            region.output_names = tuple(str(i) for i in range(len(region.outputs)))
            _rename(region)
        if regions:
            node.attrs = dataclasses.replace(node.attrs, **regions)


def _parameters(graph: Graph) -> str:
    return ", ".join(
        f"%{value.name}{_exact(value, name)}: {value.type}"
        for value, name in zip(graph.inputs, graph.input_names)
    )


def _body(graph: Graph, indent: str, origins: bool) -> list[str]:
    lines: list[str] = []
    for node in graph.nodes():
        if node.op != "input":
            lines += _node(node, indent, origins)
    results = ", ".join(
        f"%{value.name}{_exact(value, name)}"
        for value, name in zip(graph.outputs, graph.output_names)
    )
    return [*lines, f"{indent}return {results}".rstrip()]


def _node(node: Node, indent: str, origins: bool) -> list[str]:
    results = ", ".join(f"%{value.name}" for value in node.outputs)
    operands = ", ".join(f"%{value.name}" for value in node.inputs)
    head = f"{indent}{results} = {node.op}"
    if node.op != "constant":
        head += f"({operands})"
    attrs = format_attrs(node.attrs)
    head += f" {attrs}" if attrs else ""
    tail = f" : {print_type_list(node.outputs)}"
    if origins and node.origin:
        tail += f" from {_quote(node.origin)}"
    lines = [head]
    for field in dataclasses.fields(node.attrs):
        region = getattr(node.attrs, field.name)
        if isinstance(region, Graph):
            lines[-1] += f" {field.name}({_parameters(region)}) {{"
            lines += _body(region, indent + "  ", origins)
            lines.append(indent + "}")
    lines[-1] += tail
    return lines


def _exact(value: Value, name: str) -> str:
    return "" if name == value.name else f" {_quote(name)}"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _float(number: float) -> str:
    return repr(float(number))  # inf, -inf and nan read back as they are


def _constant(constant: Constant) -> str:
    if constant.type.size > INLINE_ELEMENTS:
        return f"#{constant.hash}"
    return _nested(constant.array)


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        item = array.item() if array.dtype.kind in "biuf" else float(array)
        return format_item(item)
    return f"[{','.join(_nested(part) for part in array)}]"
