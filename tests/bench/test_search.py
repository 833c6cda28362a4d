"""How good the search is, on the tables of measured spaces: the same figures on every machine."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from search_tables import Table, kernels

import search

ROOT = Path(__file__).resolve().parents[2]
NAMES = [kernel.name for kernel in kernels()]


def test_there_are_twelve_kernels_of_both_instruction_sets_and_all_kinds() -> None:
    assert len(set(NAMES)) == 12
    for kind in ("conv3x3", "conv1x1", "depthwise", "matmul", "softmax"):
        assert any(kind in name for name in NAMES), kind
    tables = [Table.load(name) for name in NAMES]
    assert {"cpu=haswell", "cpu=znver4"} == {
        word for table in tables for word in table.task.split() if word.startswith("cpu=")
    }


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_whole(name: str) -> None:
    table = Table.load(name)
    assert all(time > 0 or time == -1 for time in table.times)
    assert len(table.points) == len(table.times) == len({tuple(p) for p in table.points})
    assert math.isfinite(table.seconds[table.default])
    assert len(table.space(name)) == len(table.points)


def test_spaces_are_hard_enough() -> None:
    bars = search.hard_enough(NAMES)
    assert len(bars) >= 10 and all(bars.values()), bars


@pytest.fixture(scope="module")
def rows() -> list[search.Row]:
    return search.run(NAMES, seeds=20)


def test_the_search_beats_random_search_and_annealing(rows: list[search.Row]) -> None:
    bars = search.verdicts(rows)
    assert len(bars) == 16
    missed = [bar for bar, met in bars.items() if not met]
    assert not missed


def test_replaying_is_deterministic() -> None:
    name = "depthwise5x5_672"
    table = Table.load(name)
    first, second = (search.replay(name, table, "leip", "random", seed=3) for _ in range(2))
    assert first == second


def test_the_page_holds_the_figures_of_these_tables(rows: list[search.Row]) -> None:
    page = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
    figures = page.partition(search.BEGIN)[2].partition(search.END)[0]
    assert search.table_text(rows) in figures
