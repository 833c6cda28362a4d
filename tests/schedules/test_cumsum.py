"""cumsum by scans: every axis and direction, lengths that do not divide, long rows in parts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from kernels import avx2_host, build, expected, host, one_op, task_of, type_of
from tolerances import assert_close

from leip.ir.ops import CumsumAttrs
from leip.schedules.generic.plain import PlainTemplate
from leip.schedules.x86.stages import StagesTemplate

CASES: list[tuple[tuple[int, ...], int]] = [
    ((7,), 0),
    ((3, 37), 1),
    ((3, 37), 0),
    ((2, 9, 67), 1),
    ((2, 9, 4, 31), 1),
    ((5, 40, 1), 1),
    ((1, 40_003), 1),
    ((50, 1000), 1),
    ((1000, 83), 0),
]
DIRECTIONS = list(itertools.product((False, True), repeat=2))


def normal(shape: Sequence[int]) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def check(
    cases: Sequence[tuple[np.ndarray, CumsumAttrs]],
    level: int = 3,
    threads: int = 2,
    target: Any = None,
) -> None:
    tasks = [
        task_of(
            one_op("cumsum", attrs, [type_of(array)]), level=level, threads=threads, target=target
        )
        for array, attrs in cases
    ]
    template = PlainTemplate() if level == 1 else StagesTemplate()
    for kernel, (array, attrs) in zip(build(tasks, template), cases, strict=True):
        (got,), (want,) = kernel.run([array]), expected(kernel.task, [array])
        finite = np.isfinite(want)
        np.testing.assert_array_equal(got[~finite], want[~finite], err_msg=str(attrs))
        assert_close("cumsum", np.where(finite, got, 0), np.where(finite, want, 0))


@pytest.mark.parametrize("isa", ("host", "avx2"))
@pytest.mark.parametrize(("exclusive", "reverse"), DIRECTIONS)
def test_numbers(exclusive: bool, reverse: bool, isa: str) -> None:
    target = avx2_host() if isa == "avx2" else host()
    cases = [(normal(s), CumsumAttrs(axis, exclusive, reverse)) for s, axis in CASES]
    check(cases, target=target)


@pytest.mark.parametrize(("level", "threads"), [(1, 2), (3, 1), (3, 3)])
def test_levels_and_threads(level: int, threads: int) -> None:
    check([(normal(s), CumsumAttrs(axis, True, True)) for s, axis in CASES], level, threads)


@pytest.mark.parametrize(("exclusive", "reverse"), DIRECTIONS)
def test_infinities_reach_what_they_are_part_of(exclusive: bool, reverse: bool) -> None:
    x = normal((3, 70))
    x[0, 20], x[1, 30], x[1, 50], x[2, 69] = np.inf, np.inf, -np.inf, np.nan
    check(
        [(x, CumsumAttrs(1, exclusive, reverse)), (x.T.copy(), CumsumAttrs(0, exclusive, reverse))]
    )


@pytest.mark.parametrize(("exclusive", "reverse"), DIRECTIONS)
def test_types(exclusive: bool, reverse: bool) -> None:
    cases = []
    for dtype in (np.int8, np.uint8, np.int32, np.int64, np.float64, np.float16):
        x = (normal((2, 70)) * 20).astype(dtype)
        cases += [(x, CumsumAttrs(axis, exclusive, reverse)) for axis in (0, 1)]
    check(cases)
