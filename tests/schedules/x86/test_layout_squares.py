"""Images into blocks and back by squares: channels and pixels that do not divide, refusals."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from kernels import avx2_host, build, expected, host, one_op, task_of

from leip.ir import DType, Layout, TensorType
from leip.ir.structure import LayoutTransformAttrs
from leip.schedules.select import select
from leip.schedules.task import Task
from leip.schedules.template import NotApplicable
from leip.schedules.x86.layout_squares import RUN, Config, LayoutSquares

SHAPES = [
    (1, 32, 8, 8),
    (1, 21, 7, 7),
    (2, 5, 4, 4),
    (3, 40, 1, 199),
    (1, 17, 5, 29),
    (2, 64, 13, 11 * RUN),  # several runs, that do not divide
]


def relayout(
    shape: tuple[int, ...], source: str, target: str, isa: str = "host", dtype: DType = DType.F32
) -> Task:
    before, after = (Layout.parse(name) if name else None for name in (source, target))
    task = one_op(
        "layout_transform",
        LayoutTransformAttrs(after),
        [TensorType(dtype, shape, before)],
        layouts=[after],
    )
    return task_of(task, target=avx2_host() if isa == "avx2" else host())


@pytest.mark.parametrize("isa", ("host", "avx2"))
@pytest.mark.parametrize("half", (False, True))
@pytest.mark.parametrize("back", (False, True))
@pytest.mark.parametrize("threads", (False, True))
def test_numbers(isa: str, half: bool, back: bool, threads: bool) -> None:
    lanes = (avx2_host() if isa == "avx2" else host()).lanes(DType.F32)
    blocked = f"NCHW{lanes // 2 if half else lanes}c"
    layouts = (blocked, "") if back else ("", blocked)
    tasks = [relayout(shape, *layouts, isa) for shape in SHAPES]
    for kernel in build(tasks, LayoutSquares(), [Config(threads)] * len(tasks)):
        (value,) = kernel.task.body.inputs
        array = np.random.default_rng(0).standard_normal(value.shape).astype(np.float32)
        np.testing.assert_array_equal(kernel.run([array])[0], expected(kernel.task, [array])[0])


def test_chosen() -> None:
    lanes = host().lanes(DType.F32)
    task = relayout((1, 64, 9, 9), "", f"NCHW{lanes}c")
    assert select(task).template.name == "relayout_f32_squares__x86"


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (relayout((1, 32, 2, 2), "", "NCHW8c", "avx2"), "4 pixels"),
        (relayout((1, 32, 8, 8), "", "NCHW2c", "avx2"), "blocks of 2"),
        (relayout((1, 32, 8, 8), "", "NHWC", "avx2"), "neither plain nor blocked"),
        (relayout((1, 32, 8, 8), "NCHW8c", "NCHW4c", "avx2"), "no operand is plain"),
        (relayout((1, 32, 8, 8), "", "NCHW8c", "avx2", DType.I32), "operand is"),
        (task_of(one_op("relu", None, [TensorType(DType.F32, (32, 32))])), "not one layout"),
    ],
)
def test_refused(task: Task, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        LayoutSquares().check(task)
