"""Concats and slices of contiguous pieces: no kernel, the right places, the right numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leip.codegen.verify import verify_object
from leip.codegen.views import find_views
from leip.ir import Graph, parse_graph, verify
from leip.ir.interpreter import run
from leip.runtime import load

RELU = """ body(%p: {type}) {{
    %r = relu(%p) : {type}
    return %r
  }} : {type}"""


def kernel(name: str, operand: str, type: str) -> str:
    return f"  %{name} = kernel(%{operand}){RELU.format(type=type)}\n"


def join(name: str, parts: dict[str, str], result: str, axis: int = 1) -> str:
    inputs = ", ".join(f"%p{i}: {type}" for i, type in enumerate(parts.values()))
    names = ", ".join(f"%p{i}" for i in range(len(parts)))
    return f"""  %{name} = kernel({", ".join("%" + part for part in parts)}) body({inputs}) {{
    %c = concat({names}) {{axis={axis}}} : {result}
    return %c
  }} : {result}
"""


def cut(name: str, operand: str, type: str, start: int, end: int, result: str) -> str:
    return f"""  %{name} = kernel(%{operand}) body(%p: {type}) {{
    %s = slice(%p) {{axes=[1], starts=[{start}], ends=[{end}], steps=[1]}} : {result}
    return %s
  }} : {result}
"""


def image(channels: int, *, batch: int = 1, blocked: bool = True) -> str:
    return f"f32[{batch},{channels},2,2]" + ("@NCHW16c" if blocked else "")


def net(inputs: str, lines: str, outputs: str) -> Graph:
    graph = parse_graph(f'graph "net" ({inputs}) {{\n{lines}  return {outputs}\n}}\n')
    verify(graph)
    return graph


def dense(a: int, b: int, c: int, *, batch: int = 1, blocked: bool = True) -> Graph:
    """Two joins, the second of which holds the first's parts again, as in a dense block."""
    t = {n: image(n, batch=batch, blocked=blocked) for n in (a, b, c, a + b, a + b + c)}
    lines = kernel("u", "x", t[a]) + kernel("v", "y", t[b])
    lines += join("uv", {"u": t[a], "v": t[b]}, t[a + b])
    lines += kernel("w", "z", t[c]) + kernel("r", "uv", t[a + b])
    lines += join("uvw", {"u": t[a], "v": t[b], "w": t[c]}, t[a + b + c])
    lines += kernel("s", "uvw", t[a + b + c])
    return net(f"%x: {t[a]}, %y: {t[b]}, %z: {t[c]}", lines, "%r, %s")


def check(graph: Graph, build: Any, free: int) -> None:
    """So many kernels are free, and the object's numbers are the interpreter's."""
    views = find_views(graph)
    assert len(views.free) == free
    kernels = sum(node.op == "kernel" for node in graph.nodes())
    result = build(graph)
    assert len(result.plan.steps) == kernels - free
    rng = np.random.default_rng(0)
    names = graph.input_names
    feeds = {
        name: rng.standard_normal(value.shape, dtype=np.float32)
        for name, value in zip(names, graph.inputs)
    }
    stored = {
        name: value.layout.to_physical(feeds[name]) if value.layout else feeds[name]
        for name, value in zip(names, graph.inputs)
    }
    expected = run(graph, feeds)
    with load(str(result.library)) as engine:
        for _ in range(2):
            got = engine.infer(stored)
    for name, value, wanted in zip(graph.output_names, graph.outputs, expected.values()):
        array = got[name]
        logical = value.layout.to_logical(array, value.shape) if value.layout else array
        np.testing.assert_array_equal(logical, wanted)


def test_every_kernel_around_views_can_be_verified(build: Any) -> None:
    graph = dense(32, 16, 16)  # whole blocks: the inputs that are made up have no pad lanes
    result = build(graph)
    report = verify_object(result.library, graph, result.plan, level=3, every_kernel=True)
    assert report.ok


@pytest.mark.parametrize("blocked", [True, False])
def test_joins_of_joins_are_one_buffer(build: Any, blocked: bool) -> None:
    check(dense(32, 16, 24, blocked=blocked), build, free=2)


def test_pieces_that_are_not_contiguous_are_joined_by_a_kernel(build: Any) -> None:
    check(dense(24, 16, 16), build, free=0)  # 24 channels end inside a block
    check(dense(32, 16, 16, batch=2), build, free=0)


def test_one_value_twice_is_joined_by_a_kernel(build: Any) -> None:
    small, big = image(16), image(32)
    lines = kernel("u", "x", small) + join("uu", {"u": small}, big).replace("(%u)", "(%u, %u)")
    lines = lines.replace("body(%p0: " + small + ")", f"body(%p0: {small}, %p1: {small})")
    lines = lines.replace("concat(%p0)", "concat(%p0, %p1)") + kernel("s", "uu", big)
    check(net(f"%x: {small}", lines, "%s"), build, free=0)


def test_two_orders_of_the_same_parts_cannot_both_be_free(build: Any) -> None:
    small, big = image(16), image(32)
    lines = kernel("u", "x", small) + kernel("v", "y", small)
    lines += join("uv", {"u": small, "v": small}, big)
    lines += join("vu", {"v": small, "u": small}, big)
    lines += kernel("r", "uv", big) + kernel("s", "vu", big)
    check(net(f"%x: {small}, %y: {small}", lines, "%r, %s"), build, free=1)


def test_inputs_outputs_and_their_parts_stay_where_they_are(build: Any) -> None:
    small, big = image(16), image(32)
    lines = kernel("u", "x", small) + join("ux", {"u": small, "x": small}, big)
    lines += kernel("r", "ux", big)
    check(net(f"%x: {small}", lines, "%r"), build, free=0)
    lines = kernel("u", "x", small) + kernel("v", "y", small)
    lines += join("uv", {"u": small, "v": small}, big) + kernel("r", "uv", big)
    check(net(f"%x: {small}, %y: {small}", lines, "%uv"), build, free=0)
    check(net(f"%x: {small}, %y: {small}", lines, "%u, %r"), build, free=0)


def test_slices_of_whole_blocks_are_views(build: Any) -> None:
    whole, half, rest = image(48), image(16), image(24)
    lines = kernel("u", "x", whole) + cut("a", "u", whole, 16, 32, half)
    lines += cut("b", "u", whole, 24, 48, rest)
    lines += kernel("r", "a", half) + kernel("s", "b", rest)
    check(net(f"%x: {whole}", lines, "%r, %s"), build, free=1)


def test_a_slice_may_be_read_while_its_whole_is_dead(build: Any) -> None:
    """The memory of the whole lives as long as its last piece."""
    whole, half = image(32), image(16)
    lines = kernel("u", "x", whole) + cut("a", "u", whole, 16, 32, half)
    for index, name in enumerate(("b", "c", "d", "e")):
        lines += kernel(name, "y" if index == 0 else "bcd"[index - 1], whole)
    lines += kernel("r", "a", half)
    check(net(f"%x: {whole}, %y: {whole}", lines, "%e, %r"), build, free=1)
