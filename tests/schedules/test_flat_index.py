"""Row-major positions, held against numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from leip.schedules.flat_index import ravel, reshaped_index, unravel


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (1, 4, 1, 6)])
def test_there_and_back(shape: tuple[int, ...]) -> None:
    for flat, index in enumerate(np.ndindex(*shape)):
        assert int(ravel(index, shape)) == flat
        assert tuple(int(i) for i in unravel(flat, shape)) == index


@pytest.mark.parametrize(
    ("old", "new"),
    [((2, 3, 4), (6, 4)), ((6, 4), (2, 3, 4)), ((1, 4, 1, 6), (4, 3, 2, 1)), ((4, 6), (3, 8))],
)
def test_reshaped_index(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    for flat, index in enumerate(np.ndindex(*old)):
        moved = reshaped_index(index, old, new)
        assert np.ravel_multi_index(tuple(moved), new) == flat
