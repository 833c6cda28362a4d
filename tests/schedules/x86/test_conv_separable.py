"""Depthwise and pointwise convolutions as one kernel: numbers, knobs, refusals, where it pays."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from x86_kernels import TARGETS, check_task, finish_task, host_targets, layout_of

import leip
from leip.codegen.kernel_object import compile_lowered
from leip.ir.dtypes import DType
from leip.ir.graph import Graph
from leip.ir.layout import Layout
from leip.ir.ops.conv import ConvAttrs
from leip.ir.target import Target
from leip.ir.types import TensorType
from leip.schedules.select import select
from leip.schedules.task import Task
from leip.schedules.template import InvalidConfig, NotApplicable
from leip.schedules.x86.conv_separable import ConvSeparable, SeparableConfig

POINTWISE = ConvAttrs((1, 1), (0, 0, 0, 0), (1, 1), 1)


def separable_task(
    channels: int,
    size: tuple[int, int],
    features: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    pads: tuple[int, ...] | int = 1,
    batch: int = 1,
    blocks: tuple[int, int] = (16, 16),
    between: tuple[str, ...] = ("relu",),
    epilogue: str = "relu",
    residual: bool = False,
    groups: int = 0,
    dense: ConvAttrs = POINTWISE,
    packed: bool = True,
    target: Target | None = None,
    level: int = 3,
    threads: int = 2,
) -> Task:
    """Both convolutions with biases; `between` are ops of one operand behind the first bias."""
    graph = Graph("body")
    pads = (pads,) * 4 if isinstance(pads, int) else pads
    groups = groups or channels
    image = TensorType(DType.F32, (batch, channels, *size), layout_of(4, blocks[0]))
    x = graph.add_input("x", image)
    w0 = graph.add_input(
        "w0", TensorType(DType.F32, (channels, channels // groups, kernel, kernel))
    )
    b0 = graph.add_input("b0", TensorType(DType.F32, (channels, 1, 1)))
    w1 = graph.add_input("w1", TensorType(DType.F32, (features, channels // dense.groups, 1, 1)))
    b1 = graph.add_input("b1", TensorType(DType.F32, (features, 1, 1)))
    attrs = ConvAttrs((stride, stride), pads, (dilation, dilation), groups)
    y = graph.op("add", graph.op("conv", x, w0, attrs=attrs), b0)
    for op in between:
        y = graph.op(op, y)
    y = graph.op("add", graph.op("conv", y, w1, attrs=dense), b1)
    layout = layout_of(4, blocks[1])
    if residual:
        y = graph.op("add", y, graph.add_input("r", TensorType(DType.F32, y.shape, layout)))
    constants = (1, 2, 3, 4) if packed else (2, 3, 4)
    return finish_task(graph, graph.op(epilogue, y), layout, target, threads, level, constants)


CASES: dict[str, dict[str, Any]] = {
    "both fill blocks": dict(channels=32, size=(14, 14), features=48, residual=True),
    "odd channels": dict(channels=24, size=(10, 12), features=58),
    "prime image": dict(channels=20, size=(7, 11), features=20, batch=2),
    "stride 2": dict(channels=16, size=(15, 28), features=24, stride=2),
    "stride 2, even": dict(channels=16, size=(28, 28), features=24, stride=2, pads=(0, 0, 1, 1)),
    "5x5": dict(channels=16, size=(9, 9), features=32, kernel=5, pads=2),
    "dilated": dict(channels=16, size=(12, 12), features=16, dilation=2, pads=2),
    "asymmetric": dict(channels=16, size=(8, 8), features=16, pads=(2, 0, 0, 2)),
    "no padding": dict(channels=16, size=(9, 9), features=16, pads=0),
    "one pixel": dict(channels=16, size=(1, 1), features=16),
    "long rows": dict(channels=16, size=(2, 60), features=16),
    "nothing between": dict(channels=16, size=(8, 8), features=16, between=()),
    "not zero at zero": dict(channels=20, size=(6, 6), features=16, between=("hardswish", "neg")),
    "heavy epilogue": dict(channels=16, size=(8, 8), features=20, epilogue="silu"),
    "to a plain image": dict(channels=16, size=(8, 8), features=3, blocks=(16, 1)),
    "blocks of 8": dict(channels=24, size=(8, 8), features=40, blocks=(8, 8)),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers(name: str) -> None:
    arguments = dict(CASES[name])
    for target in host_targets():
        lanes = target.vector_bits // 32
        blocks = tuple(min(block, lanes) for block in arguments.get("blocks", (16, 16)))
        check_task(
            separable_task(**{**arguments, "blocks": blocks, "target": target}), ConvSeparable()
        )


@pytest.mark.parametrize("band", [1, 2, 6])
@pytest.mark.parametrize("cols", [1, 5, 10])
@pytest.mark.parametrize("points", [2, 10])
def test_knobs(band: int, cols: int, points: int) -> None:
    task = separable_task(24, (6, 10), 40, blocks=(8, 8), residual=True)
    template = ConvSeparable()
    config = dataclasses.replace(
        template.default(task), vectors=2, cols=cols, band=band, depthwise_cols=points
    )
    check_task(task, template, config)


def test_what_a_search_would_try_is_right() -> None:
    task = separable_task(16, (4, 6), 24, blocks=(8, 8))
    template = ConvSeparable()
    points = list(template.points(task))
    assert len(points) > 4
    for config in points:
        check_task(task, template, config)


REFUSED: list[tuple[dict[str, Any], str]] = [
    (dict(level=1), "level 1"),
    (dict(groups=2), "not depthwise"),
    (dict(dense=dataclasses.replace(POINTWISE, strides=(2, 2))), "not pointwise"),
    (dict(dense=dataclasses.replace(POINTWISE, groups=2)), "not pointwise"),
    (dict(dense=dataclasses.replace(POINTWISE, pads=(1, 1, 1, 1))), "not pointwise"),
    (dict(between=("silu",)), "too long"),
    (dict(blocks=(1, 16)), "not blocked"),
    (dict(packed=False), "no constant"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED)
def test_refusals(change: dict[str, Any], reason: str) -> None:
    arguments: dict[str, Any] = dict(channels=32, size=(8, 8), features=32)
    task = separable_task(**{**arguments, **change}, target=TARGETS["znver4"])
    with pytest.raises(NotApplicable, match=reason):
        ConvSeparable().check(task)


@pytest.mark.parametrize(
    "change", [dict(band=3), dict(cols=3), dict(depthwise_cols=3), dict(band=0), dict(vectors=99)]
)
def test_illegal_configs(change: dict[str, int]) -> None:
    task = separable_task(32, (8, 8), 32, target=TARGETS["znver4"])
    config = dataclasses.replace(ConvSeparable().default(task), **change)
    with pytest.raises(InvalidConfig):
        ConvSeparable().build(task, config)


@pytest.mark.parametrize("cpu", ["haswell", "znver4"])
def test_images_between_and_behind_with_one_tile_a_row(cpu: str) -> None:
    """TVM shares an index between the two loops and defines it in the second; it is built again."""
    target = leip.resolve_target(f"llvm -mcpu={cpu}")
    block = target.vector_bits // 32
    layout = Layout.blocked(4, 1, block)
    graph = Graph("body")
    x = graph.add_input("x", TensorType(DType.F32, (1, 8, 6, 12), layout))
    w0 = graph.add_input("w0", TensorType(DType.F32, (8, 1, 5, 5)))
    row = graph.add_input("row", TensorType(DType.F32, (2, 5)))
    w1 = graph.add_input("w1", TensorType(DType.F32, (15, 8, 1, 1)))
    attrs = ConvAttrs((2, 2), (0, 1, 1, 1), (1, 1), 8)
    y = graph.op("mul", graph.op("relu", graph.op("conv", x, w0, attrs=attrs)), row)
    image = graph.add_input("image", TensorType(DType.F32, (15, 2, 5)))
    y = graph.op("add", graph.op("conv", y, w1, attrs=POINTWISE), image)
    task = finish_task(graph, graph.op("relu", y), layout, target, 2, 3, (1, 2, 3, 4))
    template = ConvSeparable()
    config = SeparableConfig(vectors=15 // block + 1, cols=5, band=1, depthwise_cols=5)
    lowered = template.build(task, config)
    assert compile_lowered(lowered, "kernel", target, 3).startswith(b"\x7fELF")


def test_it_is_chosen_and_bands_are_shared_by_all_threads() -> None:
    task = separable_task(96, (14, 14), 32, target=TARGETS["znver4"], threads=2)
    choice = select(task)
    assert choice.template.name == ConvSeparable.name
    assert 14 // choice.config.band % 2 == 0  # type: ignore[attr-defined]


def test_the_depthwise_result_is_held_for_a_band_only() -> None:
    task = separable_task(32, (14, 14), 32, target=TARGETS["znver4"])
    template = ConvSeparable()
    config = dataclasses.replace(template.default(task), band=2)
    script = template.build(task, config).functions[0].script()
    assert "T.parallel(7)" in script
    assert 2 * 14 * 32 * 4 <= template.build(task, config).workspace < 14 * 14 * 32 * 4
