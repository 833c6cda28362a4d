"""Kernels that write where an operand stands: which ones say so, their numbers, their code.

`check_task` calls a kernel once more for every operand that it may take the memory of.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tvm import tirx
from x86_kernels import (
    TARGETS,
    check_task,
    compile_task,
    conv_task,
    finish_task,
    host_targets,
    layout_of,
    matmul_task,
    pool_task,
)

from leip.ir import DType, Graph, TensorType
from leip.ir.ops import BatchNormAttrs, ReduceAttrs, ReshapeAttrs, TransposeAttrs
from leip.schedules.in_place import objection, prepare, same_elements
from leip.schedules.task import Task
from leip.schedules.template import Template
from leip.schedules.x86.conv_direct import ConvDirect
from leip.schedules.x86.conv_plain import ConvPlain
from leip.schedules.x86.conv_winograd import ConvWinograd
from leip.schedules.x86.depthwise import DepthwiseBlocked
from leip.schedules.x86.matmul import MatmulPacked
from leip.schedules.x86.pointwise import PointwiseTemplate
from leip.schedules.x86.pool import Pool
from leip.schedules.x86.stages import StagesTemplate

R3 = dict(kernel=(3, 3), pads=1, residual=True)
R1 = dict(kernel=(1, 1), residual=True)
IMAGE = TensorType(DType.F32, (1, 16, 6, 6))


def conv(ci: int, size: tuple[int, int], co: int, **options: Any) -> Task:
    return conv_task(ci, size, co, **{"blocks": (8, 8), "target": TARGETS["avx2"], **options})


def product(*a: int, cols: int) -> Task:
    return matmul_task(a, (a[-1], cols), residual=True, target=TARGETS["avx2"])


DIRECT, WINOGRAD, PACKED = ConvDirect(), ConvWinograd(), MatmulPacked()
POOL = pool_task("max_pool", 16, (6, 6), 3, 1, 1, block=8, target=TARGETS["avx2"])
TILE = dict(rows=4, vectors=2, lanes=8)

# name -> template, task, knobs that differ from the default, operands whose memory it may take
CLAIMS: dict[str, tuple[Template, Task, dict[str, Any], tuple[int, ...]]] = {
    "1x1": (DIRECT, conv(24, (6, 6), 40, **R1), dict(cols=4), (3,)),
    "1x1, last tile moved back": (DIRECT, conv(24, (5, 5), 40, **R1), dict(cols=4), ()),
    "1x1, last band moved back": (
        DIRECT,
        conv(16, (6, 6), 16, **R1),
        dict(cols=4, chunk=8, band=2),
        (),
    ),
    "1x1, chunks": (DIRECT, conv(16, (6, 6), 16, **R1), dict(cols=4, chunk=8, band=3), (3,)),
    "1x1, prologue": (DIRECT, conv(16, (6, 6), 16, **R1, prologue=True), dict(cols=4), (4,)),
    "1x1, heavy": (DIRECT, conv(16, (6, 6), 12, **R1, epilogue="silu"), dict(cols=4), (3,)),
    "3x3, guarded tiles": (DIRECT, conv(16, (7, 11), 24, **R3), dict(cols=4), (3,)),
    "3x3, batch": (DIRECT, conv(16, (7, 5), 12, **R3, batch=2), {}, (3,)),
    "3x3, plain": (DIRECT, conv(5, (9, 10), 24, **R3, blocks=(1, 1)), {}, (3,)),
    "plain, vectors moved back": (ConvPlain(), conv(8, (9, 11), 8, **R3, blocks=(1, 1)), {}, ()),
    "no residual": (DIRECT, conv(16, (6, 6), 16, kernel=(1, 1)), {}, ()),
    "depthwise": (DepthwiseBlocked(), conv(20, (7, 9), 20, groups=20, **R3), {}, (3,)),
    "Winograd": (WINOGRAD, conv(16, (8, 8), 16, **R3, level=4), {}, (3,)),
    "Winograd, half tiles": (WINOGRAD, conv(16, (7, 9), 20, **R3, level=4, batch=2), {}, (3,)),
    "product": (PACKED, product(12, 16, cols=32), TILE, (3,)),
    "product, chunks": (PACKED, product(2, 6, 16, cols=32), dict(TILE, chunk=8, band=3), (3,)),
    "product, rows moved back": (PACKED, product(13, 16, cols=32), TILE, ()),
    "product, columns moved back": (PACKED, product(12, 16, cols=35), TILE, ()),
    "pool": (Pool(), POOL, {}, ()),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_who_writes_in_place(name: str) -> None:
    template, task, knobs, positions = CLAIMS[name]
    config = dataclasses.replace(template.default(task), **knobs)
    assert template.in_place(task, config) == positions
    check_task(task, template, config)


@pytest.mark.parametrize("name", [name for name in CLAIMS if "moved back" in name])
def test_claims_are_held_against_the_code(name: str) -> None:
    template, task, knobs, _ = CLAIMS[name]
    config = dataclasses.replace(template.default(task), **knobs)
    lowered = template.build(task, config)
    (position,) = same_elements(task)
    assert "are written twice" in objection(lowered.functions[0], position)
    assert prepare(lowered, (position,)) == (lowered, ())


@pytest.mark.parametrize("positions", [(4,), (-1,), (1.0,), ("x",), "3", 3, None])
def test_what_is_no_position_of_an_operand_is_refused(positions: Any) -> None:
    template, task, _, _ = CLAIMS["1x1"]
    lowered = template.build(task, template.default(task))
    with pytest.raises(ValueError, match="`in_place` gives "):
        prepare(lowered, positions)


def body(build: Any, *types: TensorType, layout: Any = None, constants: Any = ()) -> Task:
    graph = Graph("body")
    operands = [graph.add_input(f"x{n}", type) for n, type in enumerate(types)]
    output = build(graph, *operands)
    return finish_task(graph, output, layout, TARGETS["avx2"], 2, 3, constants)


def mirrored(g: Graph, x: Any) -> Any:
    return g.op("add", x, g.op("transpose", x, attrs=TransposeAttrs((0, 1, 3, 2))))


def centred(g: Graph, x: Any) -> Any:
    mean = g.op("reduce_mean", x, attrs=ReduceAttrs((2, 3), True))
    return g.op("sub", x, mean)


def folded(g: Graph, x: Any) -> Any:
    flat = g.op("reshape", x, attrs=ReshapeAttrs((1, 16, 36)))
    return g.op("reshape", g.op("relu", flat), attrs=ReshapeAttrs((1, 16, 6, 6)))


@pytest.mark.parametrize("build", [mirrored, centred, folded])
def test_operands_that_are_read_elsewhere(build: Any) -> None:
    assert same_elements(body(build, IMAGE)) == ()


def test_another_stage_that_reads_the_operand_is_seen() -> None:
    task = body(centred, IMAGE)
    template = StagesTemplate()
    function = template.build(task, template.default(task)).functions[0]
    assert "reads x0 too" in objection(function, 0)


def test_another_element_is_seen() -> None:
    task = body(mirrored, IMAGE)
    template = StagesTemplate()
    function = template.build(task, template.default(task)).functions[0]
    assert "is read where" in objection(function, 0)


def test_what_is_not_looked_into_is_an_objection() -> None:
    template, task, _, _ = CLAIMS["1x1"]
    function = template.build(task, template.default(task)).functions[0]
    one = tirx.const(1, "int32")
    hidden = function.with_body(tirx.AttrStmt(one, "note", one, function.body))
    assert objection(hidden, 3) == "AttrStmt is not looked into"


def scaled(g: Graph, x: Any, s: Any, y: Any) -> Any:
    return g.op("relu", g.op("sub", g.op("mul", x, s), y))


@pytest.mark.parametrize("size", [4, 7])
@pytest.mark.parametrize("block", [1, 8])
def test_elementwise(size: int, block: int) -> None:
    layout = layout_of(4, block)
    image = TensorType(DType.F32, (1, 20, size, size), layout)
    scale = TensorType(DType.F32, (20, 1, 1))
    template = PointwiseTemplate()
    for target in host_targets():
        task = body(scaled, image, scale, image, layout=layout)
        task = dataclasses.replace(task, target=target)
        assert template.in_place(task, template.default(task)) == (0, 2)
        check_task(task, template)


def test_batch_norm() -> None:
    def normalized(g: Graph, x: Any, *statistics: Any) -> Any:
        return g.op("batch_norm", x, *statistics, attrs=BatchNormAttrs(1e-5))

    row = TensorType(DType.F32, (16,))
    task = body(normalized, IMAGE, row, row, row, row)
    assert same_elements(task) == (0,)
    template = PointwiseTemplate()
    assert template.in_place(task, template.default(task)) == (0,)


def test_long_expressions_that_are_cut_into_stages() -> None:
    def long(g: Graph, x: Any) -> Any:
        for _ in range(14):  # every one reads what came before twice
            x = g.op("add", x, g.op("relu", x))
        return x

    task = body(long, IMAGE)
    template = PointwiseTemplate()
    assert same_elements(task) == (0,)
    config = template.default(task)
    assert template.in_place(task, config) == ()
    assert "inner reads x0 too" in objection(template.build(task, config).functions[0], 0)
    check_task(task, template)


@pytest.mark.parametrize(("name", "together"), [("1x1", True), ("no residual", False)])
def test_llvm_is_told_that_parameters_may_be_one(name: str, together: bool) -> None:
    template, task, knobs, _ = CLAIMS[name]
    config = dataclasses.replace(template.default(task), **knobs)
    library, _ = compile_task(task, template, config)
    text = library.mod.inspect_source("ll")
    assert ("noalias" not in text) == together
    assert ("tvm-alias" in text) == together, "one type for all parameters"
