"""Whatever template is chosen for an op, it computes what the reference says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels import Kernel, build, expected, one_op, spread, task_of, type_of
from samples import SAMPLES
from tolerances import assert_close

from leip.ir import Layout
from leip.ir.op import Pattern
from leip.ir.op import get as op_of
from leip.schedules.select import select
from leip.schedules.task import Task

BLOCKED = Layout.parse("NCHW16c")


def built(tasks: list[Task]) -> list[tuple[int, Kernel]]:
    """Kernels of the chosen templates, one module a template."""
    groups: dict[str, list[tuple[int, Any]]] = {}
    for index, task in enumerate(tasks):
        choice = select(task)
        groups.setdefault(choice.template.name, []).append((index, choice))
    kernels: list[tuple[int, Kernel]] = []
    for group in groups.values():
        indices = [index for index, _ in group]
        template = group[0][1].template
        configs = [choice.config for _, choice in group]
        made = build([tasks[index] for index in indices], template, configs)
        kernels += zip(indices, made, strict=True)
    return sorted(kernels, key=lambda pair: pair[0])


def compare(op: str, tasks: list[Task], feeds: list[list[np.ndarray]]) -> None:
    for index, kernel in built(tasks):
        arrays = feeds[index]
        for got, want in zip(kernel.run(arrays), expected(kernel.task, arrays), strict=True):
            try:
                assert_close(op, got, want)
            except AssertionError as error:
                error.add_note(f"{kernel.template.name} {kernel.config} {kernel.task.text}")
                raise


@pytest.mark.parametrize("op", sorted(SAMPLES))
def test_plain(op: str) -> None:
    samples = spread(SAMPLES[op][1:] or SAMPLES[op], 4)
    tasks = [
        task_of(
            one_op(op, attrs, [type_of(a) for a in arrays]),
            constants=range(1, len(arrays)),
        )
        for attrs, arrays in samples
    ]
    compare(op, tasks, [arrays for _, arrays in samples])


def blocked_samples() -> list[str]:
    return sorted(op for op in SAMPLES if any(fits(op, arrays) for _, arrays in SAMPLES[op]))


def fits(op: str, arrays: list[np.ndarray]) -> bool:
    if op_of(op).pattern is Pattern.SPECIAL or op == "matmul" or not arrays:
        return False
    return arrays[0].ndim == 4


@pytest.mark.parametrize("op", blocked_samples())
def test_blocked(op: str) -> None:
    """In NCHW16c with channels that do not fill the blocks; pad lanes stay zero."""
    samples = spread([s for s in SAMPLES[op] if fits(op, s[1])], 3)
    tasks, feeds = [], []
    for attrs, arrays in samples:
        types = [
            type_of(a, BLOCKED if a.ndim == 4 and (i == 0 or a.shape == arrays[0].shape) else None)
            for i, a in enumerate(arrays)
        ]
        plain = one_op(op, attrs, [t.strip() for t in types])
        layouts = [BLOCKED if v.rank == 4 else None for v in plain.outputs]
        for level in (1, 3):
            body = one_op(op, attrs, types, layouts)
            tasks.append(task_of(body, level=level, constants=range(1, len(arrays))))
            feeds.append(arrays)
    for level in (1, 3):
        chosen = [i for i, task in enumerate(tasks) if task.level == level]
        compare(op, [tasks[i] for i in chosen], [feeds[i] for i in chosen])
