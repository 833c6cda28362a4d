"""Kernels with cold weights."""

from __future__ import annotations

import pytest

from leip.codegen.cold import MOST_BYTES, MOST_COPIES, cold_graph, copies_for
from leip.ir.parse import parse_graph
from leip.ir.target import Target
from leip.ir.verifier import verify
from leip.schedules.task import Task

MIB = 1 << 20


@pytest.mark.parametrize(
    ("weights", "cache", "copies"),
    [
        (0, 32 * MIB, 0),
        (4 * MIB, 32 * MIB, 10),  # 40 MiB: more than the cache
        (1000, 32 * MIB, MOST_COPIES),
        (400 * MIB, 32 * MIB, 2),  # each evicts the other
        (100 * MIB, 1024 * MIB, MOST_BYTES // (100 * MIB)),
    ],
)
def test_weights_together_leave_the_cache(weights: int, cache: int, copies: int) -> None:
    assert copies_for(weights, cache) == copies


def test_every_kernel_has_weights_of_its_own_and_the_same_inputs(host: Target) -> None:
    body = parse_graph(
        'graph "task" (%x: f32[4,8], %w: f32[8,6]) {\n  %y = matmul(%x, %w) : f32[4,6]\n'
        "  return %y\n}\n"
    )
    graph = cold_graph(Task(body, host, 1, 3, (1,)), 3)
    verify(graph)
    kernels = [node for node in graph.nodes() if node.op == "kernel"]
    assert len({node.inputs[0] for node in kernels}) == 1
    weights = [node.inputs[1].node.attrs.value for node in kernels]
    assert len({weight.hash for weight in weights}) == len(kernels) == 3
    assert list(graph.outputs) == list(kernels[-1].outputs)
