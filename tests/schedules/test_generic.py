"""The generic template computes every op as its reference says, in plain and blocked layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels import build, expected, one_op, task_of
from samples import EMPTY_SAMPLES, HALF_SAMPLES, SAMPLES
from tolerances import assert_close

from leip.ir import DType, Layout, TensorType
from leip.schedules.generic.plain import PlainTemplate

TEMPLATE = PlainTemplate()
BLOCKED = Layout.parse("NCHW16c")


def type_of(array: np.ndarray, layout: Layout | None = None) -> TensorType:
    return TensorType(DType.from_numpy(array.dtype), array.shape, layout)


def compare(op: str, samples: list[tuple[Any, list[np.ndarray]]], level: int) -> None:
    tasks = [
        task_of(one_op(op, attrs, [type_of(a) for a in arrays]), level=level)
        for attrs, arrays in samples
    ]
    for kernel, (attrs, arrays) in zip(build(tasks, TEMPLATE), samples, strict=True):
        for got, want in zip(kernel.run(arrays), expected(kernel.task, arrays), strict=True):
            try:
                assert_close(op, got, want)
            except AssertionError as error:
                error.add_note(f"{op} {attrs} {[str(type_of(a)) for a in arrays]}")
                raise


@pytest.mark.parametrize("op", sorted(SAMPLES))
def test_level_1_is_the_reference(op: str) -> None:
    compare(op, SAMPLES[op], level=1)


@pytest.mark.parametrize("op", sorted(SAMPLES))
def test_level_3_vectorized(op: str) -> None:
    compare(op, SAMPLES[op][:4], level=3)


@pytest.mark.parametrize("op", sorted(HALF_SAMPLES))
def test_half_floats(op: str) -> None:
    compare(op, HALF_SAMPLES[op], level=2)


@pytest.mark.parametrize("op", sorted(EMPTY_SAMPLES))
def test_empty_tensors(op: str) -> None:
    compare(op, EMPTY_SAMPLES[op], level=3)
