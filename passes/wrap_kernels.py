"""Kernels of single ops."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph
from ..ir.op import Pattern
from .base import Pass, PassResult
from .fusion import Plan

NOT_KERNELS = ("input", "constant", "kernel")


@dataclass(frozen=True)
class WrapKernels(Pass):
    """op(x) → kernel{op}(x) for every op that is not in a kernel yet

    After it the top level holds only input, constant, kernel, and reshape (which computes nothing).
    Level 1 runs it alone; behind the fuse passes it takes what they left.
    """

    name = "wrap-kernels"

    def run(self, graph: Graph) -> PassResult:
        plan = Plan(graph)
        for node in list(plan.rank):
            if node.op not in NOT_KERNELS and node.pattern is not Pattern.VIEW:
                used = [value for value in node.outputs if graph.n_uses(value)]
                plan.claim([node], used or node.outputs[:1])
        return PassResult(graph, plan.commit())
