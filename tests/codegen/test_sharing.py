"""Results in the memory of operands that die: where it is done, where not, and the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import builders

import leip
from leip.codegen import plan as planning
from leip.codegen.constants import WeightStore
from leip.codegen.plan import Argument, Kernel, Place, Plan, make_plan
from leip.codegen.resolver import resolve
from leip.codegen.views import find_views
from leip.ir import Node, parse_graph, verify
from leip.schedules.in_place import same_elements
from leip.schedules.task import Task

T = "f32[1,16,4,4]"


def relu(name: str, operand: str, type: str = T) -> str:
    return f"""  %{name} = kernel(%{operand}) body(%p: {type}) {{
    %r = relu(%p) : {type}
    return %r
  }} : {type}
"""


def add(name: str, left: str, right: str, type: str = T) -> str:
    return f"""  %{name} = kernel(%{left}, %{right}) body(%p: {type}, %q: {type}) {{
    %s = add(%p, %q) : {type}
    return %s
  }} : {type}
"""


def planned(lines: str, outputs: str) -> Plan:
    """The plan of a graph whose kernels write in place wherever their bodies allow it."""
    graph = parse_graph(f'graph "net" (%x: {T}) {{\n{lines}  return {outputs}\n}}\n')
    verify(graph)
    views = find_views(graph)
    kernels = [kernel(node) for node in graph.nodes() if node.op == "kernel"]
    return make_plan(graph, [k for k in kernels if k.node not in views.free], WeightStore(), views)


def kernel(node: Node) -> Kernel:
    task = Task.of_kernel(node, resolve("llvm"), 1, 3)
    name = node.outputs[0].name
    return Kernel(node, "f", name, "t", "", {}, 0, 0, same_elements(task))


def text(plan: Plan) -> list[str]:
    """A step a line: `name operands -> results`, buffers as x0 (input), y0 (output), a0 (arena)."""
    arena = [n for n, buffer in enumerate(plan.buffers) if buffer.place is Place.ARENA]

    def label(argument: Argument) -> str:
        buffer = plan.buffers[argument.buffer]
        if buffer.place is Place.ARENA:
            return f"a{arena.index(argument.buffer)}" + (
                f"+{argument.offset}" if argument.offset else ""
            )
        return {Place.INPUT: "x", Place.OUTPUT: "y"}[buffer.place] + str(buffer.index)

    return [
        f"{step.name.split('_')[0]} {' '.join(map(label, step.inputs))} -> "
        f"{' '.join(map(label, step.outputs))}"
        for step in plan.steps
    ]


def alone(plan: Plan) -> bool:
    """Whether every result in the arena has memory of its own."""
    results = [step.outputs[0] for step in plan.steps]
    places = [r.buffer for r in results if plan.buffers[r.buffer].place is Place.ARENA]
    return len(set(places)) == len(places)


CHAIN = relu("a", "x") + relu("b", "a") + add("c", "b", "a") + relu("d", "c") + relu("e", "d")


def test_results_take_the_memory_of_operands_that_die(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = planned(CHAIN, "%e")
    assert text(shared) == [
        "a x0 -> a0",
        "b a0 -> a1",  # a is read later
        "c a1 a0 -> a1",
        "d a1 -> a1",
        "e a1 -> y0",  # the caller's
    ]
    monkeypatch.setattr(planning, "find_shared", lambda *_: {})
    apart = planned(CHAIN, "%e")
    assert text(apart) == [
        "a x0 -> a0",
        "b a0 -> a1",
        "c a1 a0 -> a2",
        "d a2 -> a3",
        "e a3 -> y0",
    ]
    assert shared.arena_bytes < apart.arena_bytes


def test_inputs_and_outputs_stay_the_callers() -> None:
    plan = planned(relu("a", "x") + relu("b", "a") + relu("c", "b"), "%a, %c")
    assert text(plan) == ["a x0 -> y0", "b y0 -> a0", "c a0 -> y1"]


def test_an_output_that_is_copied_lives_to_the_end() -> None:
    lines = relu("a", "x") + relu("b", "a") + "  %v = reshape(%b) {shape=[256]} : f32[256]\n"
    plan = planned(lines + relu("c", "b") + relu("d", "c"), "%b, %v, %d")
    assert text(plan)[:4] == ["a x0 -> a0", "b a0 -> y0", "c y0 -> a1", "d a1 -> y2"]


def test_an_operand_that_is_given_twice_is_not_taken() -> None:
    """A kernel may read it elsewhere by its other name, as a convolution reads its image."""
    plan = planned(relu("a", "x") + add("b", "a", "a") + relu("c", "b"), "%c")
    assert text(plan) == ["a x0 -> a0", "b a0 a0 -> a1", "c a1 -> y0"]


def test_other_types_are_not_taken() -> None:
    lines = (
        relu("a", "x")
        + f"""  %b = kernel(%a) body(%p: {T}) {{
    %s = reduce_sum(%p) {{axes=[1]}} : f32[1,1,4,4]
    return %s
  }} : f32[1,1,4,4]
  %c = kernel(%a, %b) body(%p: {T}, %q: f32[1,1,4,4]) {{
    %t = transpose(%p) {{perm=[0,1,3,2]}} : {T}
    %s = mul(%t, %q) : {T}
    return %s
  }} : {T}
"""
    )
    assert alone(planned(lines + relu("d", "c"), "%d"))


def test_kernels_of_two_results_share_nothing() -> None:
    lines = (
        relu("a", "x")
        + f"""  %b, %c = kernel(%a) body(%p: {T}) {{
    %s = neg(%p) : {T}
    %t = relu(%p) : {T}
    return %s, %t
  }} : {T}, {T}
"""
    )
    plan = planned(lines + add("d", "b", "c") + relu("e", "d"), "%e")
    assert text(plan) == ["a x0 -> a0", "b a0 -> a1 a2", "d a1 a2 -> a1", "e a1 -> y0"]


def test_a_reshape_of_the_whole_is_the_whole() -> None:
    lines = relu("a", "x") + "  %v = reshape(%a) {shape=[16,16]} : f32[16,16]\n"
    lines += relu("b", "v", "f32[16,16]")
    plan = planned(lines + relu("c", "b", "f32[16,16]"), "%c")
    assert text(plan) == ["a x0 -> a0", "b a0 -> a0", "c a0 -> y0"]


def test_a_value_with_views_lives_as_long_as_they_do() -> None:
    half = "f32[1,8,4,4]"
    lines = (
        relu("a", "x")
        + f"""  %v = kernel(%a) body(%p: {T}) {{
    %s = slice(%p) {{axes=[1], starts=[8], ends=[16], steps=[1]}} : {half}
    return %s
  }} : {half}
"""
    )
    lines += relu("b", "a") + relu("c", "v", half)
    plan = planned(lines + relu("d", "b") + relu("e", "c", half), "%d, %e")
    steps = text(plan)
    assert steps[1] == "b a0 -> a1"  # v is a part of a, and read later
    assert steps[2].startswith("c a0+512 -> a2")  # a part: the whole is not taken for it


def test_parts_of_a_join_stay_where_they_belong() -> None:
    whole = "f32[1,32,4,4]"
    lines = relu("a", "x") + relu("b", "x") + relu("c", "b")
    lines += f"""  %j = kernel(%a, %c) body(%p: {T}, %q: {T}) {{
    %s = concat(%p, %q) {{axis=1}} : {whole}
    return %s
  }} : {whole}
"""
    plan = planned(lines + relu("d", "j", whole) + relu("e", "d", whole), "%e")
    assert text(plan) == [
        "a x0 -> a0",
        "b x0 -> a1",
        "c a1 -> a0+1024",
        "d a0 -> a0",
        "e a0 -> y0",
    ]


@pytest.mark.parametrize("level", [2, 3, 4])
@pytest.mark.parametrize("threads", [1, 2])
def test_whole_models_compute_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: int, threads: int
) -> None:
    rng = np.random.default_rng(0)
    for size in (14, 11):  # pixels that tiles divide, and some that they may not
        model = builders.save(builders.residual(size), tmp_path / f"{size}.onnx")
        feeds = {"image": rng.standard_normal((1, 3, size, size), dtype=np.float32)}
        results, arenas = [], []
        for shared in (True, False):
            with monkeypatch.context() as patch:
                if not shared:
                    patch.setattr(planning, "find_shared", lambda *_: {})
                folder = tmp_path / f"{size}{shared}"
                options = {"kernel": level}
                report = leip.compile(model, folder, optimization=options, threads=threads)
            with leip.load(report.path, threads=threads) as engine:
                first, second = (engine.infer(feeds)["y"] for _ in range(2))
            assert first.tobytes() == second.tobytes()
            results.append(first)
            arenas.append(report.arena_bytes)
        assert np.isfinite(results[0]).all()
        assert results[0].tobytes() == results[1].tobytes()
        assert arenas[0] <= arenas[1]
        if level > 2 and size == 14:
            assert arenas[0] < arenas[1]
