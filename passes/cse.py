"""Common subexpressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..ir.graph import Graph, Node
from ..ir.rewriter import Rewriter
from ..ir.text import format_attrs
from .base import Pass, PassResult
from .rules_arithmetic import COMMUTATIVE


@dataclass(frozen=True)
class Cse(Pass):
    """Compute equal things once: y = f(x), z = f(x) → y = f(x), z = y

    Equal means: same op, attributes and operands (in any order for commutative ops); constants by
    content.
    """

    name = "cse"

    def run(self, graph: Graph) -> PassResult:
        rewriter = Rewriter(graph)
        seen: dict[Any, Node] = {}
        for node in graph.nodes():
            if node.op in ("input", "kernel"):
                continue
            first = seen.setdefault(_key(node), node)
            if first is node:
                continue
            for old, new in zip(node.outputs, first.outputs):
                if graph.n_uses(old):
                    rewriter.replace(old, new)
            if node in graph:
                rewriter.erase(node)
        return PassResult(graph, rewriter.modified)


def _key(node: Node) -> tuple[Any, ...]:
    if node.op == "constant":
        return ("constant", node.output.type, node.output.constant)
    operands = [(value.node.id, value.index) for value in node.inputs]
    if node.op in COMMUTATIVE:
        operands.sort()
    types = tuple(value.type for value in node.outputs)
    return (node.op, format_attrs(node.attrs), tuple(operands), types)
