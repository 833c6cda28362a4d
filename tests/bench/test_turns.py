"""Measuring in turns."""

from __future__ import annotations

import numpy as np
import pytest
import turns
from runners import Runner


class Note(Runner):
    """Writes its name down instead of computing."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def run(self) -> dict[str, np.ndarray]:
        if self.log[-1:] != [self.name]:
            self.log.append(self.name)
        return {}


def test_the_order_rotates(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(turns.time, "sleep", pauses.append)
    log: list[str] = []
    rounds: list[int] = []
    blocks = turns.measure(
        [Note("a", log), Note("b", log), Note("c", log)], 3, lambda: rounds.append(1), 0.0
    )
    assert "".join(log) == "abc" + "bca" + "cab"
    assert [len(block) for block in blocks.values()] == [3, 3, 3]
    assert all(len(turn) >= turns.MIN_RUNS for turn in blocks["a"])
    assert len(pauses) == 9 and min(pauses) >= 0.05 and len(rounds) == 3


def test_small_differences_are_decided_by_blocks() -> None:
    others = [[1.0], [1.0], [1.0]]
    assert turns.ratio([[0.99], [1.2], [1.2]], others) == pytest.approx(1.2)
    assert turns.ratio([[0.5], [1.2], [1.2]], others) == pytest.approx(0.5)
