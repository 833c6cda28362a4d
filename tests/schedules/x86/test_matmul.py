"""Matrix products, with a constant operand and without."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from x86_kernels import TARGETS, check_task, conv_task, host_targets, matmul_task

from leip.schedules.template import InvalidConfig, NotApplicable
from leip.schedules.x86.batch_matmul import BatchMatmul, BatchMatmulConfig
from leip.schedules.x86.matmul import MatmulConfig, MatmulPacked
from leip.schedules.x86.tiles import Machine

PACKED: dict[str, dict[str, Any]] = {
    "divides": dict(a=(12, 64), b=(64, 96)),
    "one": dict(a=(1, 1), b=(1, 1)),
    "one row": dict(a=(1, 128), b=(500, 128), transpose_b=True, epilogue="relu"),
    "primes": dict(a=(5, 7), b=(7, 23), epilogue="relu"),
    "half a vector more": dict(a=(17, 32), b=(32, 40)),
    "prime rows": dict(a=(1, 53, 16), b=(16, 48), residual=True),
    "batches": dict(a=(2, 3, 19, 32), b=(32, 72), residual=True, epilogue="relu"),
    "transposed": dict(a=(16, 9), b=(33, 16), transpose_a=True, transpose_b=True),
    "heavy epilogue": dict(a=(9, 16), b=(16, 32), epilogue="sigmoid"),
    "heavy epilogue, part of a panel": dict(a=(4, 16), b=(16, 80), epilogue="sigmoid"),
    "heavy epilogue, tail": dict(a=(9, 16), b=(16, 35), epilogue="sigmoid"),
    "prologue": dict(a=(2, 9, 16), b=(16, 35), prologue=True),
    "heads split": dict(a=(1, 9, 16), b=(16, 48), perm=(0, 2, 1)),
    "heads split, tail": dict(a=(2, 9, 16), b=(16, 35), perm=(1, 0, 2), merge=True),
    "constant with axes of one": dict(a=(2, 9, 16), b=(1, 16, 32)),
    "narrow": dict(a=(31, 20), b=(20, 3), residual=True),
    "rows and columns moved back": dict(a=(2, 37, 24), b=(24, 61), residual=True, epilogue="relu"),
    "columns split into heads": dict(a=(1, 37, 24), b=(24, 96), perm=(2, 0, 1), merge=True),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed(name: str) -> None:
    for target in host_targets():
        check_task(matmul_task(**PACKED[name], target=target), MatmulPacked())


@pytest.mark.parametrize("name", ["heavy epilogue, tail", "batches", "heads split", "prologue"])
@pytest.mark.parametrize("band", [1, 2, 3])
def test_packed_chunks(name: str, band: int) -> None:
    """Partial sums of bands that divide the rows and that do not."""
    template = MatmulPacked()
    for target in host_targets():
        task = matmul_task(**PACKED[name], target=target)
        config = dataclasses.replace(
            template.default(task), rows=3, vectors=2, inner=2, chunk=8, band=band
        )
        check_task(task, template, config)


BATCHED: dict[str, dict[str, Any]] = {
    "scores": dict(a=(1, 3, 17, 8), b=(1, 3, 19, 8), transpose_b=True, epilogue="relu"),
    "divides": dict(a=(1, 2, 16, 32), b=(1, 2, 48, 32), transpose_b=True, bias=False),
    "context": dict(a=(2, 3, 21, 21), b=(2, 3, 21, 32)),
    "broadcast": dict(a=(4, 2, 12, 16), b=(2, 16, 33), residual=True),
    "broadcast, left": dict(a=(2, 7, 16), b=(3, 2, 16, 32)),
    "no batch": dict(a=(7, 1), b=(1, 5)),
    "transposed left": dict(a=(3, 8, 17), b=(3, 8, 20), transpose_a=True),
    "heads joined": dict(a=(1, 3, 9, 9), b=(1, 3, 9, 32), perm=(0, 2, 1, 3), merge=True),
    "heads joined, batch": dict(a=(2, 3, 9, 9), b=(2, 3, 9, 20), perm=(0, 2, 1, 3), merge=True),
    "moved": dict(a=(1, 3, 9, 9), b=(1, 3, 9, 16), perm=(0, 2, 1, 3), residual=True),
    "prologue, heavy": dict(a=(2, 9, 16), b=(2, 16, 35), prologue=True, epilogue="sigmoid"),
    "heavy, part of a panel": dict(a=(2, 1, 16), b=(2, 16, 80), epilogue="sigmoid"),
    "one row": dict(a=(3, 1, 20), b=(3, 20, 301), bias=False),
    "narrow": dict(a=(3, 40, 24), b=(3, 24, 7), residual=True),
    "narrow, transposed": dict(a=(3, 40, 24), b=(3, 3, 24), transpose_b=True),
    "rows a power of two apart": dict(a=(2, 37, 12), b=(2, 12, 1024)),
}


@pytest.mark.parametrize("name", BATCHED)
def test_batched(name: str) -> None:
    for target in host_targets():
        check_task(matmul_task(**BATCHED[name], constant=False, target=target), BatchMatmul())


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("lanes", [4, 8])
def test_batched_tiles_moved_back(pack: bool, lanes: int) -> None:
    """Tiles that divide neither rows nor columns, in bands, with what is added read as moved."""
    template = BatchMatmul()
    shape: dict[str, Any] = dict(a=(2, 3, 23, 12), b=(3, 12, 51), residual=True)
    for target in host_targets():
        task = matmul_task(**shape, constant=False, target=target)
        for band in (1, 3):
            config = dataclasses.replace(
                template.default(task), vectors=2, rows=4, lanes=lanes, pack=pack, band=band
            )
            check_task(task, template, config)


def test_few_rows_are_not_packed_for() -> None:
    template = BatchMatmul()
    few = template.default(matmul_task((4, 2, 200), (4, 200, 1753), constant=False))
    assert not few.pack
    transposed = matmul_task((4, 2, 8), (4, 64, 8), transpose_b=True, constant=False)
    assert template.default(transposed).pack
    with pytest.raises(InvalidConfig, match="contiguous"):
        template.build(transposed, dataclasses.replace(template.default(transposed), pack=False))


@pytest.mark.parametrize("depth", (1024, 3072, 4096))
@pytest.mark.parametrize("constant", (True, False))
def test_rows_do_not_push_each_other_out_of_the_cache(depth: int, constant: bool) -> None:
    """Rows a multiple of a page apart share one set of L1, which has 8 or 12 ways."""
    template = MatmulPacked() if constant else BatchMatmul()
    task = matmul_task((1, 197, depth), (1, depth, 768)[constant:], constant=constant)
    ways = task.target.caches.l1 // 4096
    config = template.default(task)
    assert isinstance(config, MatmulConfig | BatchMatmulConfig) and 4 <= config.rows <= ways
    odd = matmul_task((1, 197, 776), (1, 776, 768)[constant:], constant=constant)
    assert not Machine.of(odd.target).collide(28, 776 * 4)


def test_spaces() -> None:
    packed, batched = MatmulPacked(), BatchMatmul()
    task = matmul_task((21, 24), (24, 100))
    for config in list(packed.space(task))[:4]:
        check_task(task, packed, config)
    task = matmul_task((2, 21, 24), (2, 24, 100), constant=False)
    for config in list(batched.space(task))[:3]:
        check_task(task, batched, config)


REFUSALS = [
    (MatmulPacked(), matmul_task((2, 3), (3, 4), constant=False), "not a constant"),
    (MatmulPacked(), matmul_task((2, 2, 3), (2, 3, 4)), "batch axes"),
    (MatmulPacked(), matmul_task((2, 3), (3, 4), level=1), "level 1"),
    (MatmulPacked(), matmul_task((0, 3), (3, 4)), "empty"),
    (BatchMatmul(), conv_task(16, (3, 3), 16, (1, 1)), "no matmul"),
]


@pytest.mark.parametrize(("template", "task", "reason"), REFUSALS)
def test_refusals(template: Any, task: Any, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        template.check(task)


def test_illegal_configs() -> None:
    task = matmul_task((8, 10), (10, 32), target=TARGETS["avx512"])
    default = MatmulPacked().default(task)
    for change in (
        dict(inner=4),
        dict(vectors=0),
        dict(order="x"),
        dict(rows=999),
        dict(band=2),
        dict(chunk=3),
        dict(lanes=3),
        dict(vectors=3),
    ):
        with pytest.raises(InvalidConfig):
            MatmulPacked().build(task, dataclasses.replace(default, **change))


@pytest.mark.parametrize("knob", ["vectors", "rows", "inner", "chunk", "band", "order", "lanes"])
def test_every_knob_changes_the_code(knob: str) -> None:
    task = matmul_task((64, 64), (64, 256))
    template = MatmulPacked()
    config = dataclasses.replace(template.default(task), inner=4, chunk=16, band=2)
    here = template.build(task, config).functions[0].script()
    flipped = "rows" if config.order == "panels" else "panels"
    others = {"order": flipped, "chunk": 32}
    other = dataclasses.replace(config, **{knob: others.get(knob, 1)})
    assert template.build(task, other).functions[0].script() != here
