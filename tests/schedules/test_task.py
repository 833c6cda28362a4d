"""Task text: canonical, versioned, and read back."""

from __future__ import annotations

import pytest
from kernels import host, task_of

from leip.errors import ParseError
from leip.ir import DType, Graph, Layout, TensorType
from leip.schedules.task import VERSION, Task

IMAGE = TensorType(DType.F32, (1, 24, 8, 8), Layout.parse("NCHW16c"))
BIAS = TensorType(DType.F32, (24, 1, 1))


def body(names: tuple[str, str] = ("x", "b"), origin: str = "") -> Graph:
    graph = Graph("fused")
    x, b = graph.add_input(names[0], IMAGE), graph.add_input(names[1], BIAS)
    y = graph.op("relu", graph.op("add", x, b, origin=origin), name=f"{names[0]}_out")
    graph.set_outputs([y], [f"{names[0]}_out"])
    return graph


def test_text_reads_back() -> None:
    task = task_of(body(), constants=[1], threads=3, level=2)
    again = Task.parse(task.text)
    assert again.text == task.text
    assert again.key == task.key
    assert (again.threads, again.level, again.constants) == (3, 2, (1,))
    assert again.target == host()
    assert again.body.inputs[0].type == IMAGE


def test_names_and_origins_do_not_count() -> None:
    assert task_of(body()).key == task_of(body(("p", "q"), origin="Add_7")).key


@pytest.mark.parametrize(
    "change", [{"threads": 1}, {"level": 2}, {"constants": (1,)}], ids=["threads", "level", "const"]
)
def test_everything_else_counts(change: dict) -> None:
    assert task_of(body()).key != task_of(body(), **change).key


def test_says_what_it_is() -> None:
    task = task_of(body())
    assert task.text.startswith(VERSION)
    assert "NCHW16c" in task.text
    assert "align 64" in task.text
    assert task.anchor is None
    assert task.bytes == 2 * 4 * 32 * 64 + 4 * 24


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line"),
        ("leip.task/0\n", "first line"),
        (f"{VERSION}\ntarget x\n", "name: value"),
        (f"{VERSION}\nthreads: 1\nlevel: 3\nconstants:\nbuffers: any\nbody: no\n", "lacks target"),
    ],
)
def test_bad_text_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        Task.parse(text)
