"""topk by selection: ties, NaN, infinities, every axis and type, long rows in parts, lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from kernels import avx2_host, build, expected, host, one_op, task_of, type_of

from leip.ir.ops import TopkAttrs
from leip.schedules.generic.plain import PlainTemplate
from leip.schedules.select import select
from leip.schedules.selection import ROOM, RUN
from leip.schedules.x86.stages import StagesTemplate


@dataclass(frozen=True)
class Case:
    shape: tuple[int, ...]
    k: int
    axis: int = -1
    largest: bool = True


def normal(shape: Sequence[int]) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def with_ends(shape: Sequence[int]) -> np.ndarray:
    """NaNs of both signs, infinities and zeros of both signs, in a few places each."""
    x = normal(shape)
    flat = x.reshape(-1)
    ends = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0]
    places = np.random.default_rng(2).permutation(flat.size)[: flat.size // 2]
    flat[places] = np.resize(np.array(ends, np.float32), len(places))
    return x


VALUES = {
    "normal": normal,
    "ties": lambda shape: np.round(normal(shape) * 2),
    "ends": with_ends,
    "same": lambda shape: np.ones(shape, np.float32),
    "all nan": lambda shape: np.full(shape, np.nan, np.float32),
    "rising": lambda shape: np.sort(normal(shape)),
    "falling": lambda shape: -np.sort(-normal(shape)),
}
CASES = [
    Case((7,), 1),
    Case((3, 37), 37, largest=False),
    Case((3, 1000), 5),
    Case((2, 1001), 130, largest=False),
    Case((5, 33, 3), 7, axis=1),
    Case((70, 1, 2), 65, axis=0, largest=False),
    Case((300, 3), 2),
    Case((1, ROOM + 1), RUN + 3),
    Case((ROOM * 3 + 17, 1), 40, axis=0),
    Case((1, 40_003), 1),
    Case((1, 40_003), 300, largest=False),
]


def check(
    arrays: list[tuple[Case, np.ndarray]], level: int = 3, threads: int = 2, target: Any = None
) -> None:
    tasks = [
        task_of(
            one_op("topk", TopkAttrs(case.k, case.axis, case.largest), [type_of(array)]),
            level=level,
            threads=threads,
            target=target,
        )
        for case, array in arrays
    ]
    template = PlainTemplate() if level == 1 else StagesTemplate()
    for kernel, (case, array) in zip(build(tasks, template), arrays, strict=True):
        want = expected(kernel.task, [array])
        for got, right in zip(kernel.run([array]), want, strict=True):
            np.testing.assert_array_equal(got, right, err_msg=str(case))


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("isa", ("host", "avx2"))
def test_numbers(values: str, isa: str) -> None:
    target = avx2_host() if isa == "avx2" else host()
    check([(case, VALUES[values](case.shape)) for case in CASES], target=target)


@pytest.mark.parametrize(("level", "threads"), [(1, 2), (3, 1), (3, 3)])
def test_levels_and_threads(level: int, threads: int) -> None:
    check([(case, with_ends(case.shape)) for case in CASES], level, threads)


@pytest.mark.parametrize("largest", (True, False))
def test_types(largest: bool) -> None:
    arrays: list[tuple[Case, np.ndarray]] = []
    rng = np.random.default_rng(3)
    for dtype in (np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64):
        ends = np.iinfo(dtype)
        array = rng.integers(ends.min, ends.max, (2, 300), dtype, endpoint=True)
        array[:, ::7], array[:, 1::7] = ends.min, ends.max
        arrays.append((Case(array.shape, 70, largest=largest), array))
    for dtype in (np.float16, np.float64):
        array = with_ends((2, 300)).astype(dtype)
        arrays.append((Case(array.shape, 70, largest=largest), array))
    check(arrays)


def test_a_thousand_sorted() -> None:
    """Runs that are merged, one of them short."""
    check([(Case((2, 1700), 1700), np.round(normal((2, 1700)) * 50))])


def test_chosen() -> None:
    task = task_of(one_op("topk", TopkAttrs(5), [type_of(normal((4, 100)))]))
    assert select(task).template.name == StagesTemplate.name
