"""Transposes by squares: every axis innermost, sizes that do not divide, refusals."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from kernels import avx2_host, build, expected, host, one_op, task_of

from leip.ir import DType, Layout, TensorType
from leip.ir.ops import TransposeAttrs
from leip.schedules.select import select
from leip.schedules.task import Task
from leip.schedules.template import NotApplicable
from leip.schedules.x86.transpose_tile import Config, TransposeTile

CASES = [
    ((16, 16), (1, 0)),
    ((197, 64), (1, 0)),
    ((37, 19), (1, 0)),
    ((2, 3, 33, 64), (0, 1, 3, 2)),
    ((1, 20, 5, 29), (0, 3, 2, 1)),
    ((3, 17, 2, 40), (3, 0, 2, 1)),
    ((18, 3, 16), (2, 1, 0)),
    ((21, 4, 3, 31), (1, 3, 2, 0)),
    ((4, 18, 17), (2, 0, 1)),
]


def transpose(
    shape: tuple[int, ...], perm: tuple[int, ...], isa: str = "host", dtype: DType = DType.F32
) -> Task:
    target = avx2_host() if isa == "avx2" else host()
    return task_of(
        one_op("transpose", TransposeAttrs(perm), [TensorType(dtype, shape)]), target=target
    )


@pytest.mark.parametrize("isa", ("host", "avx2"))
@pytest.mark.parametrize("threads", (False, True))
def test_numbers(isa: str, threads: bool) -> None:
    tasks = [transpose(shape, perm, isa) for shape, perm in CASES]
    for kernel in build(tasks, TransposeTile(), [Config(threads)] * len(tasks)):
        (value,) = kernel.task.body.inputs
        array = np.random.default_rng(0).standard_normal(value.shape).astype(np.float32)
        np.testing.assert_array_equal(kernel.run([array])[0], expected(kernel.task, [array])[0])


def test_chosen() -> None:
    assert select(transpose((64, 64), (1, 0))).template.name == "transpose_f32_squares__x86"


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (transpose((2, 32, 32), (1, 0, 2)), "innermost axis stays"),
        (transpose((32, 3), (1, 0)), "axis of 3"),
        (transpose((32, 32), (1, 0), dtype=DType.I32), "operand is"),
        (task_of(one_op("relu", None, [TensorType(DType.F32, (32, 32))])), "not one transpose"),
        (
            task_of(
                one_op(
                    "transpose",
                    TransposeAttrs((0, 1, 3, 2)),
                    [TensorType(DType.F32, (1, 32, 32, 32), Layout.parse("NCHW16c"))],
                )
            ),
            "not row-major",
        ),
    ],
)
def test_refused(task: Task, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        TransposeTile().check(task)
