"""The template of the tutorial (`docs/writing-a-template.md`) is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from kernels import avx2_host, build, expected, host, task_of
from tolerances import assert_close

from leip import plugin
from leip.ir import Graph, parse_graph
from leip.schedules.select import select, template, unregister_template
from leip.schedules.task import Task
from leip.schedules.template import InvalidConfig, NotApplicable, Template

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "plugins" / "my_template.py"
NAME = "matmul_f32_onerow__any"


@pytest.fixture(scope="module")
def one_row(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    copy = tmp_path_factory.mktemp("plugin") / "my_template.py"
    copy.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    unregister_template(NAME)
    plugin.load([copy])
    yield template(NAME)
    unregister_template(NAME)


def body(depth: int, columns: int, *, transpose: bool = False, rows: int = 1) -> Graph:
    """relu(x w + b)"""
    w, flag = f"{depth},{columns}", ""
    if transpose:
        w, flag = f"{columns},{depth}", " {transpose_b=true}"
    return parse_graph(
        f'graph "task" (%x: f32[{rows},{depth}], %w: f32[{w}], %b: f32[{columns}]) {{\n'
        f"%m = matmul(%x, %w){flag}\n%s = add(%m, %b)\n%y = relu(%s)\nreturn %y\n}}\n"
    )


@pytest.mark.parametrize("target", [host, avx2_host], ids=["host", "avx2"])
def test_every_config_is_right(one_row: Template, target) -> None:
    shapes = [(1, 64, False), (37, 64, True), (64, 192, False)]
    tasks, configs = [], []
    for depth, columns, transpose in shapes:
        task = task_of(body(depth, columns, transpose=transpose), constants=(1, 2), target=target())
        for config in one_row.space(task):
            tasks.append(task)
            configs.append(config)
    assert len({config.to_text() for config in configs}) == 3
    rng = np.random.default_rng(0)
    for kernel in build(tasks, one_row, configs):
        types = [value.type for value in kernel.task.body.inputs]
        arrays = [rng.standard_normal(type.shape).astype(np.float32) for type in types]
        (actual,) = kernel.run(arrays)
        assert_close("matmul", actual, expected(kernel.task, arrays)[0])


def test_is_chosen(one_row: Template) -> None:
    assert select(task_of(body(16, 64), constants=(1, 2))).template is one_row


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (task_of(body(16, 64)), "no constant"),
        (task_of(body(16, 65), constants=(1, 2)), "65 columns do not fill vectors"),
        (task_of(body(16, 64, rows=2), constants=(1, 2)), "is not a row"),
    ],
    ids=["variable", "odd", "rows"],
)
def test_refuses(one_row: Template, task: Task, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        one_row.check(task)


def test_refuses_an_illegal_config(one_row: Template) -> None:
    task = task_of(body(16, 64), constants=(1, 2))
    with pytest.raises(InvalidConfig):
        one_row.build(task, one_row.Config.from_text("vectors=3"))
