"""Elementwise stages and data movement at sizes that divide and sizes that do not."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from kernels import avx2_host, build, expected, one_op, task_of
from x86_kernels import TARGETS, compile_task

from leip.ir import DType, Graph, Layout, TensorType, Value
from leip.ir.ops import (
    ConcatAttrs,
    PadAttrs,
    ResizeAttrs,
    SliceAttrs,
    TransposeAttrs,
)
from leip.ir.structure import LayoutTransformAttrs
from leip.schedules.x86.pointwise import MovementTemplate, PointwiseConfig, PointwiseTemplate

C8, C16, NHWC = Layout.parse("NCHW8c"), Layout.parse("NCHW16c"), Layout.parse("NHWC")
Make = Callable[..., Value | list[Value]]


def image(channels: int, size: int, layout: Layout | None = None) -> TensorType:
    return TensorType(DType.F32, (1, channels, size, size), layout)


def rows(*shape: int) -> TensorType:
    return TensorType(DType.F32, shape)


def moved(layout: Layout | None) -> Make:
    attrs = LayoutTransformAttrs(layout)
    return lambda g, x: g.op("layout_transform", x, attrs=attrs)


def scaled(g: Graph, x: Value, s: Value) -> Value:
    return g.op("gelu", g.op("mul", x, s))


def joined(axis: int) -> Make:
    return lambda g, *xs: g.op("concat", *xs, attrs=ConcatAttrs(axis))


def both(g: Graph, x: Value, y: Value) -> list[Value]:
    total = g.op("add", x, y)
    return [total, g.op("relu", total)]


def sliced(g: Graph, x: Value) -> Value:
    return g.op("slice", x, attrs=SliceAttrs((1, 3), (16, 1), (48, 9), (1, 2)))


def turned(*perm: int) -> Make:
    return lambda g, x: g.op("transpose", x, attrs=TransposeAttrs(perm))


def resized(mode: str, down: float = 2.0, across: float = 2.0) -> Make:
    attrs = ResizeAttrs(mode, (1.0, 1.0, down, across))
    return lambda g, x: g.op("resize", x, attrs=attrs)


def padded(g: Graph, x: Value) -> Value:
    return g.op("pad", x, attrs=PadAttrs((0, 0, 1, 2, 0, 0, 2, 1)))


def column_of_padded(g: Graph, x: Value) -> Value:
    wide = g.op("pad", x, attrs=PadAttrs((0, 0, 0, 2, 0, 0, 0, 1), "reflect"))
    return g.op("slice", wide, attrs=SliceAttrs((3,), (2,), (3,), (1,)))


def mirrored(mode: str, *pads: int) -> Make:
    return lambda g, x: g.op("pad", x, attrs=PadAttrs(pads, mode))


CASES: dict[str, tuple[Make, list[TensorType], Layout | None]] = {
    "scale whole": (scaled, [image(64, 8), image(64, 8)], None),
    "scale channels": (scaled, [image(19, 13), rows(19, 1, 1)], None),
    "scale blocked": (scaled, [image(24, 13, C16), rows(24, 1, 1)], C16),
    "scale blocks of 8": (scaled, [image(24, 13, C8), rows(24, 1, 1)], C8),
    "to 8c": (moved(C8), [image(24, 14)], C8),
    "8c to 16c": (moved(C16), [image(24, 13, C8)], C16),
    "scale rows": (scaled, [rows(3, 7, 197), rows(197)], None),
    "scale prime": (scaled, [rows(10007), rows(10007)], None),
    "scale short": (scaled, [rows(50, 3), rows(50, 1)], None),
    "two outputs": (both, [image(24, 13, C16), image(24, 13, C16)], C16),
    "two outputs in parallel": (both, [image(64, 40), image(64, 40)], None),
    "to 16c": (moved(C16), [image(64, 14)], C16),
    "to 16c, odd": (moved(C16), [image(21, 13)], C16),
    "from 16c": (moved(None), [image(64, 14, C16)], None),
    "from 16c, odd": (moved(None), [image(21, 13, C16)], None),
    "to NHWC": (moved(NHWC), [image(24, 15)], NHWC),
    "NHWC to 16c": (moved(C16), [image(24, 15, NHWC)], C16),
    "concat": (joined(1), [image(3, 9), image(5, 9), image(16, 9)], None),
    "concat 16c": (joined(1), [image(32, 9, C16), image(16, 9, C16)], C16),
    "concat 16c, odd": (joined(1), [image(24, 9, C16), image(7, 9, C16)], C16),
    "concat last": (joined(2), [rows(2, 9, 30), rows(2, 9, 5)], None),
    "slice": (sliced, [image(64, 11)], None),
    "slice 16c": (sliced, [image(64, 11, C16)], C16),
    "transpose 021": (turned(0, 2, 1), [rows(2, 33, 49)], None),
    "transpose heads": (turned(0, 2, 1, 3), [rows(1, 17, 3, 64)], None),
    "transpose keys": (turned(0, 2, 3, 1), [rows(1, 32, 3, 64)], None),
    "transpose big": (turned(1, 0), [rows(300, 190)], None),
    "pad": (padded, [image(5, 11)], None),
    "reflect": (mirrored("reflect", 0, 0, 1, 2, 0, 0, 2, 1), [image(5, 41)], None),
    "reflect rows": (mirrored("reflect", 0, 0, 3, 0, 0, 0, 2, 0), [image(5, 41)], None),
    "reflect and cut": (mirrored("reflect", 0, 0, 3, -2, 0, 0, -1, 2), [image(5, 48)], None),
    "reflect, one column": (column_of_padded, [image(5, 41)], None),
    "edge": (mirrored("edge", 0, 1, 1, 2, 0, 0, 2, 17), [image(5, 41)], None),
    "wrap": (mirrored("wrap", 0, 0, 1, 2, 0, 0, 2, 1), [image(5, 41)], None),
    "reflect 16c": (mirrored("reflect", 0, 0, 1, 2, 0, 0, 2, 1), [image(24, 41, C16)], C16),
    "pad 16c": (padded, [image(24, 11, C16)], C16),
    "nearest": (resized("nearest"), [image(5, 9)], None),
    "nearest 16c": (resized("nearest"), [image(24, 9, C16)], C16),
    "linear": (resized("linear"), [image(5, 9)], None),
    "linear, smaller": (resized("linear", 0.5, 0.7), [image(5, 19)], None),
    "linear, lower and wider": (resized("linear", 0.4, 3.0), [image(5, 11)], None),
    "linear, higher and narrower": (resized("linear", 2.5, 0.5), [image(5, 11)], None),
    "cubic": (resized("cubic", 3.0, 1.5), [image(3, 8)], None),
    "linear 16c": (resized("linear"), [image(24, 9, C16)], C16),
}


def body_of(name: str) -> tuple[Graph, tuple[int, ...]]:
    make, types, layout = CASES[name]
    body = Graph("body")
    values = [body.add_input(f"x{i}", type) for i, type in enumerate(types)]
    result = make(body, *values)
    outputs = result if isinstance(result, list) else [result]
    for value in outputs:
        value.type = value.type.with_(layout=layout)
    body.set_outputs(outputs)
    constants = tuple(i for i, t in enumerate(types) if i and t.layout is None)
    return body, constants


@pytest.mark.parametrize(
    ("scales", "held"),
    [((4.0, 4.0), (5, 10, 40)), ((0.5, 0.5), (5, 5, 10)), ((4.0, 0.5), (5, 10, 5))],
)
def test_elements_are_gathered_for_as_few_rows_as_there_are(
    scales: tuple[float, float], held: tuple[int, ...]
) -> None:
    """What is held has few rows: those of the image before they grow, or after they shrank."""
    body = Graph("body")
    x = body.add_input("x", image(5, 10))
    body.set_outputs([resized("linear", *scales)(body, x)])
    (function,) = MovementTemplate().build(task_of(body), PointwiseConfig()).functions
    shape = ", ".join(map(str, (1, *held)))
    assert f"resized = T.sblock_alloc_buffer(({shape})" in function.script()


@pytest.mark.parametrize("width", ("host", "avx2"))
def test_numbers(width: str) -> None:
    """All cases in one module: compiling is what takes the time."""
    template = MovementTemplate()
    target = avx2_host() if width == "avx2" else None
    tasks, configs = [], []
    for name in CASES:
        body, constants = body_of(name)
        task = task_of(body, constants=constants, target=target)
        space = list(template.space(task))
        tasks += [task, task]
        configs += [space[0], space[len(tasks) % len(space)]]
    rng = np.random.default_rng(0)
    names = [name for name in CASES for _ in range(2)]
    for name, kernel in zip(names, build(tasks, template, configs), strict=True):
        arrays = [rng.standard_normal(v.shape).astype(np.float32) for v in kernel.task.body.inputs]
        for got, want in zip(kernel.run(arrays), expected(kernel.task, arrays), strict=True):
            note = f"{name} {kernel.config}"
            np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6, err_msg=note)


@pytest.mark.parametrize("block", [4, 8, 16])
def test_blocks_shorter_than_a_vector_fill_shorter_vectors(block: int) -> None:
    layout = Layout.blocked(4, 1, block)
    body = Graph("body")
    x, scale = (body.add_input(f"x{i}", image(48, size, layout)) for i, size in enumerate((9, 1)))
    y = body.op("mul", x, scale)
    y.type = y.type.with_(layout=layout)
    body.set_outputs([y])
    task = task_of(body, target=TARGETS["avx512"])
    template = MovementTemplate()
    script = template.build(task, template.default(task)).functions[0].script()
    assert f"T.vectorized({block})" in script


FUNCTIONS = [
    "exp",
    "log",
    "tanh",
    "erf",
    "sigmoid",
    "silu",
    "softplus",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "round",
    "sqrt",
    "floor",
]


@pytest.mark.parametrize("op", FUNCTIONS)
def test_no_function_takes_one_lane_at_a_time(op: str) -> None:
    """TVM takes a vector apart for an intrinsic that it does not know to be one of vectors."""
    body = one_op(op, None, [TensorType(DType.F32, (1024,))])
    task = task_of(body, target=TARGETS["avx2"])
    library, _ = compile_task(task, PointwiseTemplate(), PointwiseConfig(4, threads=False))
    assembly = library.mod.inspect_source("asm")
    assert not re.findall(r"\tv(?:add|sub|mul|div|sqrt|round|fn?m\w+)s[sd]\t.*", assembly)
    assert "%ymm" in assembly
