"""What the live view of a search shows on narrow terminals."""

from __future__ import annotations

import pytest
from rich.console import Console

from leip.cli.search_view import picture
from leip.search.status import SearchStatus, TaskStatus

NAME = "conv2d_relu_add_f32[1,2048,56,56]@NCHW16c_with_a_very_long_name"


def drawn(width: int, status: SearchStatus) -> list[str]:
    console = Console(width=width, height=40, force_terminal=False)
    with console.capture() as text:
        console.print(picture(status))
    return text.get().splitlines()


def status() -> SearchStatus:
    tasks = [TaskStatus(f"{NAME}{n}", 12, 123456, 12345, 123.4e-6, 100.1e-6, 2) for n in range(3)]
    tasks.append(TaskStatus("pool", 1, 4, 4, 999.99e-3, 999.99e-3))
    tasks.append(TaskStatus("slower", 100, 6, 6, 1.0, 5.0))
    return SearchStatus(100000, tasks, done=100, current=tasks[0], phase="search")


@pytest.mark.parametrize("width", [200, 80, 60])
def test_every_column_can_be_read(width: int) -> None:
    lines = drawn(width, status())
    assert all(len(line) <= width for line in lines), lines
    head = next(line for line in lines if "task" in line)
    assert head.split() == ["task", "times", "trials", "default", "best", "gain"]
    row = next(line for line in lines if "conv2d" in line)
    assert row.split()[-7:] == ["12", "12345/123456", "123.4", "us", "100.1", "us", "18.9%"]
    pool = next(line for line in lines if "pool" in line)
    assert pool.split()[-6:] == ["1", "4/4", "999.99", "ms", "999.99", "ms"]
    assert next(line for line in lines if "slower" in line).split()[-1] == "-400.0%"


@pytest.mark.parametrize("width", [80, 60])
def test_names_are_what_is_shortened(width: int) -> None:
    assert any("…" in line and "conv2d" in line for line in drawn(width, status()))


def test_a_wide_terminal_shows_whole_names() -> None:
    assert any(f"{NAME}0 " in line for line in drawn(200, status()))


def test_the_time_left_is_that_of_the_configs_left() -> None:
    pool = TaskStatus("pool", 1, 20, 10, 1e-6, 1e-6)
    status = SearchStatus(30000, [pool], done=10)
    assert 0 < status.left <= status.seconds
