"""Removing what no output depends on."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph
from .base import Pass, PassResult


@dataclass(frozen=True)
class DeadCode(Pass):
    """Remove nodes that no graph output depends on (graph inputs stay)."""

    name = "dead-code"

    def run(self, graph: Graph) -> PassResult:
        return PassResult(graph, graph.prune() > 0)
