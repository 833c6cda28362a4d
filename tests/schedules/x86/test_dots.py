"""Matrix products by dot products: few rows or columns, at sizes that divide and that do not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from x86_kernels import (
    TARGETS,
    bind_arrays,
    check_task,
    compile_task,
    host_targets,
    matmul_task,
    random_feeds,
)

from leip.schedules.select import select
from leip.schedules.template import InvalidConfig, NotApplicable
from leip.schedules.x86.dots import Dots, DotsConfig

CASES: dict[str, dict[str, Any]] = {
    "one row": dict(a=(1, 128), b=(48, 128), transpose_b=True, constant=False),
    "one row, primes": dict(a=(1, 101), b=(37, 101), transpose_b=True, constant=False),
    "few rows": dict(a=(5, 67), b=(43, 67), transpose_b=True, constant=False, residual=True),
    "K of one short vector": dict(a=(3, 4), b=(7, 4), transpose_b=True, constant=False),
    "K of a vector and one": dict(a=(3, 17), b=(7, 17), transpose_b=True, constant=False),
    "K less than a vector": dict(a=(3, 15), b=(7, 15), transpose_b=True, constant=False),
    "scores": dict(a=(2, 3, 1, 64), b=(2, 3, 29, 64), transpose_b=True, constant=False),
    "broadcast": dict(a=(2, 3, 1, 40), b=(3, 11, 40), transpose_b=True, constant=False),
    "broadcast, left": dict(a=(2, 40), b=(4, 11, 40), transpose_b=True, constant=False),
    "one column": dict(a=(77, 100), b=(100, 1), constant=False, bias=False),
    "one constant column": dict(a=(77, 100), b=(100, 1), epilogue="relu"),
    "one of both": dict(a=(1, 33), b=(33, 1), constant=False),
    "a column of A": dict(a=(33, 1), b=(5, 33), transpose_a=True, transpose_b=True, constant=False),
    "three columns": dict(a=(41, 50), b=(50, 3), epilogue="relu"),
    "three columns, batches": dict(a=(2, 17, 50), b=(2, 50, 3), constant=False),
    "three columns for all": dict(a=(2, 17, 50), b=(50, 3), constant=False),
    "ten columns, prologue": dict(a=(2, 17, 50), b=(50, 10), prologue=True, residual=True),
    "few columns as they are": dict(a=(31, 50), b=(5, 50), transpose_b=True),
    "heavy epilogue": dict(a=(3, 50), b=(23, 50), transpose_b=True, constant=False,
                           epilogue="sigmoid"),
    "heads joined": dict(a=(2, 3, 1, 32), b=(2, 3, 9, 32), transpose_b=True, constant=False,
                         perm=(0, 2, 1, 3), merge=True),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_numbers(name: str) -> None:
    for target in host_targets():
        check_task(matmul_task(**CASES[name], target=target), Dots())


@pytest.mark.parametrize("change", [
    dict(rows=3, cols=4), dict(rows=1, cols=1, inner=1), dict(lanes=4, band=3), dict(band=2),
])  # fmt: skip
def test_tiles_moved_back(change: dict[str, int]) -> None:
    """Tiles that divide neither rows nor columns, in bands, with the residual read as moved."""
    template = Dots()
    shape: dict[str, Any] = dict(a=(2, 23, 72), b=(2, 13, 72), transpose_b=True, constant=False)
    for target in host_targets():
        task = matmul_task(**shape, residual=True, epilogue="relu", target=target)
        base = dataclasses.replace(template.default(task), rows=4, cols=3, inner=1, band=1)
        check_task(task, template, dataclasses.replace(base, **change))


def test_space() -> None:
    task = matmul_task((6, 40), (21, 40), transpose_b=True, constant=False)
    for config in list(Dots().space(task))[:4]:
        check_task(task, Dots(), config)


def test_infinities_stay_in_their_element() -> None:
    """The vector at the end of K is read twice: what has been added is not added as 0 * inf."""
    task = matmul_task((2, 21), (3, 21), transpose_b=True, constant=False, bias=False)
    library, config = compile_task(task, Dots())
    a, b = random_feeds(task)
    a[0, 14], a[1, 20] = np.inf, np.nan
    tensors = bind_arrays(task, Dots(), config, [a, b])
    library["main"](*tensors)
    with np.errstate(invalid="ignore"):
        want = a @ b.T
    np.testing.assert_allclose(tensors[-1].numpy(), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
def test_chosen_where_operands_stand_along_k(target: str) -> None:
    def chosen(a: tuple[int, ...], b: tuple[int, ...], **more: Any) -> bool:
        task = matmul_task(a, b, **more, target=TARGETS[target])
        return isinstance(select(task).template, Dots)

    along: dict[str, Any] = dict(transpose_b=True, constant=False)
    assert chosen((1, 1024), (1000, 1024), **along)
    assert chosen((12, 1, 64), (12, 512, 64), **along)
    assert chosen((4, 4096), (1000, 4096), **along)
    assert chosen((4096, 1024), (1024, 1), constant=False)
    assert chosen((4096, 768), (768, 3))
    assert chosen((4096, 768), (768, 3), constant=False)
    assert not chosen((128, 64), (512, 64), **along)
    assert not chosen((1, 2048), (1000, 2048), transpose_b=True)
    assert not chosen((4096, 8), (8, 16))


def test_trace() -> None:
    """Sums in registers: vectors along K, unrolled over the tile, halves added behind."""
    task = matmul_task(
        (2, 64), (16, 64), transpose_b=True, constant=False, target=TARGETS["avx512"]
    )
    config = DotsConfig(rows=2, cols=4, inner=2, lanes=16, band=1)
    script = Dots().build(task, config).functions[0].script()
    assert "T.parallel(4)" in script
    for size in (8, 4, 2):
        assert f"half_{size}" in script and f"T.vectorized({size})" in script
    places = [script.index(f'T.sblock("{name}")') for name in ("part_update", "half_8", "half_1")]
    assert places == sorted(places)


REFUSALS = [
    (dict(a=(2, 64), b=(64, 48), constant=False), "packed in panels"),
    (dict(a=(2, 64), b=(48, 64), transpose_b=True), "packed in panels"),
    (dict(a=(64, 2), b=(48, 64), transpose_a=True, transpose_b=True, constant=False), "along K"),
    (dict(a=(2, 3), b=(8, 3), transpose_b=True, constant=False), "K = 3"),
    (dict(a=(2, 64), b=(8, 64), transpose_b=True, constant=False, level=1), "level 1"),
]


@pytest.mark.parametrize(("shape", "reason"), REFUSALS)
def test_refusals(shape: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        Dots().check(matmul_task(**shape))


def test_illegal_configs() -> None:
    task = matmul_task((8, 48), (32, 48), transpose_b=True, constant=False)
    default = Dots().default(task)
    for change in (dict(inner=2), dict(rows=9), dict(cols=33), dict(lanes=3), dict(lanes=1),
                   dict(band=9), dict(band=0)):  # fmt: skip
        with pytest.raises(InvalidConfig):
            Dots().build(task, dataclasses.replace(default, **{"lanes": 16, "rows": 2, **change}))


@pytest.mark.parametrize("knob", ["rows", "cols", "inner", "lanes", "band"])
def test_every_knob_changes_the_code(knob: str) -> None:
    task = matmul_task((8, 64), (32, 64), transpose_b=True, constant=False)
    config = DotsConfig(rows=2, cols=4, inner=2, lanes=8, band=2)
    here = Dots().build(task, config).functions[0].script()
    other = dataclasses.replace(config, **{knob: 4 if knob == "lanes" else 1})
    assert Dots().build(task, other).functions[0].script() != here
