"""Layouts by measured times: what is measured decides, and a choice can be replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

import leip
from leip.driver.compiling import make_pipeline
from leip.driver.files import read_graph
from leip.driver.template_cost import TemplateCost
from leip.ir.graph import Graph, Node
from leip.ir.text import print_graph
from leip.passes.manager import PassManager
from leip.passes.pipeline import after_layouts
from leip.schedules.task import Task
from leip.search.layouts import (
    MeasuredCost,
    all_blocked,
    all_plain,
    blocked_kernels,
    laid_out,
    replayed,
    total_seconds,
    transforms_of,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
TARGET = leip.resolve_target("llvm -mcpu=haswell")
AFTER = after_layouts(8, TARGET, TemplateCost(8, TARGET, threads=2, level=3))


@pytest.fixture(scope="module")
def graph() -> Graph:
    """The digits network in its default layouts, on a CPU of 8 lanes."""
    model = read_graph(EXAMPLES / "digits_mobile.onnx")
    return PassManager(make_pipeline(3, TARGET, "", threads=2)).run(model)


def key(node: Node) -> str:
    return Task.of_kernel(node, TARGET, 2, 3).key


def n_convs(node: Node) -> int:
    if node.op != "kernel":
        return 0
    return sum(inner.op == "conv" for inner in node.attrs.body.nodes())  # type: ignore[attr-defined]


def times(graph: Graph, seconds: float) -> dict[str, float]:
    return {key(node): seconds for node in graph.nodes() if node.op == "kernel"}


def test_a_choice_is_replayed_exactly(graph: Graph) -> None:
    names = blocked_kernels(graph)
    assert len(names) > 10 and any(n_convs(node) == 2 for node in graph.nodes())  # one is joined
    assert print_graph(replayed(graph, 8, names, AFTER)) == print_graph(graph)
    some = replayed(graph, 4, names[:5])
    assert set(blocked_kernels(some)) == set(names[:5]) and transforms_of(some)
    assert print_graph(replayed(some, 8, names, AFTER)) == print_graph(graph)
    assert not blocked_kernels(all_plain(graph)) and not transforms_of(all_plain(graph))
    assert blocked_kernels(all_blocked(graph, 4)) == names


@pytest.mark.parametrize("faster", ["plain", "blocked"])
def test_measured_times_decide(graph: Graph, faster: str) -> None:
    plain, blocked = all_plain(graph), all_blocked(graph, 4)
    slow, fast = (blocked, plain) if faster == "plain" else (plain, blocked)
    # what both have in common costs the same in both
    known = {**times(slow, 1e-3), **times(fast, 1e-5)}
    cost = MeasuredCost(4, lambda node: known.get(key(node)), [graph])
    best = laid_out(graph, 4, cost)
    assert bool(blocked_kernels(best)) == (faster == "blocked")
    assert total_seconds(best, cost) < total_seconds(slow, cost)


def test_without_measurements_the_model_decides(graph: Graph) -> None:
    cost = MeasuredCost(8, lambda node: None, [graph])
    assert print_graph(laid_out(graph, 8, cost, AFTER)) == print_graph(graph)


def test_modelled_times_stand_on_the_scale_of_measured_ones(graph: Graph) -> None:
    nothing = MeasuredCost(8, lambda node: None, [graph])
    node = next(n for n in graph.nodes() if n.op == "kernel" and n.outputs[0].rank == 4)
    tenfold = nothing.as_it_is(node) * 10 / 1e9
    cost = MeasuredCost(8, lambda n: tenfold if key(n) == key(node) else None, [graph])
    assert total_seconds(graph, cost) == pytest.approx(10 * total_seconds(graph, nothing), rel=0.01)
