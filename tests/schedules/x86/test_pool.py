"""Pooling, blocked and plain."""

from __future__ import annotations

from typing import Any

import pytest
from x86_kernels import TARGETS, check_task, host_targets, pool_task

from leip.schedules.template import NotApplicable
from leip.schedules.x86.pool import Pool

MAX, AVG = "max_pool", "avg_pool"
POOLS: dict[str, tuple[Any, ...]] = {
    "max 3x3 s2": (MAX, 24, (13, 13), 3, 2, 1),
    "max, ceil": (MAX, 20, (14, 14), 3, 2, 0, dict(ceil_mode=True)),
    "max, one window hangs over": (MAX, 20, (2, 5), 3, 2, 0, dict(ceil_mode=True)),
    "max, long rows": (MAX, 3, (5, 80), 3, 1, 1),
    "max, dilated": (MAX, 16, (11, 11), 3, 1, 2, dict(dilation=2)),
    "average": (AVG, 20, (9, 9), 3, 1, 1),
    "average, ceil": (AVG, 20, (9, 9), 3, 2, 1, dict(ceil_mode=True)),
    "average with pads": (AVG, 20, (9, 9), 3, 2, 1, dict(ceil_mode=True, count_include_pad=True)),
    "average, asymmetric": (AVG, 5, (8, 9), 2, 1, (0, 0, 1, 1)),
    "average, dilated": (AVG, 16, (11, 11), 2, 1, 0, dict(dilation=3)),
    "one axis": (MAX, 20, (33,), 3, 2, 1),
    "large window": (AVG, 4, (14, 14), 7, 7, 0),
    "heavy epilogue": (MAX, 20, (9, 9), 3, 1, 1, dict(epilogue="silu")),
    "one channel": (MAX, 1, (9, 9), 3, 1, 1, dict(epilogue="sigmoid")),
}


@pytest.mark.parametrize("blocked", [True, False])
@pytest.mark.parametrize("name", POOLS)
def test_pool(name: str, blocked: bool) -> None:
    *arguments, more = POOLS[name] if isinstance(POOLS[name][-1], dict) else (*POOLS[name], {})
    for target in host_targets():
        block = target.vector_bits // 32 if blocked else 1
        check_task(pool_task(*arguments, **more, block=block, target=target), Pool())


def test_plain_rows_of_whole_vectors() -> None:
    check_task(pool_task(MAX, 3, (8, 64), 2, 2, 0, block=1), Pool())


def test_refusals() -> None:
    with pytest.raises(NotApplicable, match="dilated"):
        Pool().check(pool_task(AVG, 16, (11, 11), 3, 1, 2, dilation=2, target=TARGETS["avx512"]))
    with pytest.raises(NotApplicable, match="rank 5"):
        Pool().check(pool_task(MAX, 16, (4, 4, 4), 2, 2, 0, target=TARGETS["avx512"]))
