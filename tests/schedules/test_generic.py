"""The generic template computes every op as its reference says, in plain and blocked layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels import build, expected, one_op, spread, task_of, type_of
from samples import EMPTY_SAMPLES, HALF_SAMPLES, SAMPLES
from tolerances import assert_close

from leip.ir import op as ops
from leip.ir.ops import SoftmaxAttrs
from leip.schedules.compute import has_compute
from leip.schedules.generic.plain import PlainTemplate

TEMPLATE = PlainTemplate()
STRUCTURE = ("input", "constant", "kernel")


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


def test_every_op_has_a_compute() -> None:
    assert [name for name in ops.names() if name not in STRUCTURE and not has_compute(name)] == []


@pytest.mark.parametrize("op", sorted(SAMPLES))
def test_level_1_is_the_reference(op: str) -> None:
    compare(op, spread(SAMPLES[op], 6), level=1)


@pytest.mark.parametrize("op", sorted(HALF_SAMPLES))
def test_half_floats(op: str) -> None:
    compare(op, HALF_SAMPLES[op], level=2)


@pytest.mark.parametrize("op", sorted(EMPTY_SAMPLES))
def test_empty_tensors(op: str) -> None:
    compare(op, EMPTY_SAMPLES[op], level=3)


@pytest.mark.parametrize("level", [1, 3])
def test_log_softmax_of_large_values(level: int) -> None:
    """Only differences count, so an offset of all costs no digits."""
    arrays = [np.array([[30000, 30001, 30002, 30002.5]], np.float32)]
    task = task_of(one_op("log_softmax", SoftmaxAttrs(), [type_of(arrays[0])]), level=level)
    (kernel,) = build([task], TEMPLATE)
    np.testing.assert_allclose(kernel.run(arrays)[0], expected(task, arrays)[0], rtol=1e-6)
