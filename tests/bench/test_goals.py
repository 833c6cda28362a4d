"""What models' times are measured against."""

from __future__ import annotations

import goals
import pytest
from goals import Work


def test_floor_counts_weights_only_where_they_do_not_stay_in_the_cache() -> None:
    work = [Work(2_000_000_000, 4_000_000), Work(1_000_000, 400_000_000)]
    assert goals.floor(work, 200, 20, 1 << 30) == pytest.approx(0.010005)
    assert goals.floor(work, 200, 20, 1 << 20) == pytest.approx(0.010 + 0.020)


@pytest.mark.parametrize(
    ("best", "least", "expected"),
    [
        (10.0, 2.0, 7.2),  # far from the limit: 0.72 of the peer
        (10.0, 8.37, 9.0),  # near it: 93 % of peak
        (10.0, 9.9, 10.0),  # the peer is at the limit itself
    ],
)
def test_target(best: float, least: float, expected: float) -> None:
    assert goals.target(best, least) == pytest.approx(expected)


def test_geometric_mean() -> None:
    assert goals.geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert goals.geometric_mean([]) == 1.0


def test_small_differences_are_decided_by_blocks() -> None:
    others = [[1.0], [1.0], [1.0]]
    assert goals.verdict([[0.99], [1.2], [1.2]], others) == pytest.approx(1.2)
    assert goals.verdict([[0.5], [1.2], [1.2]], others) == pytest.approx(0.5)
