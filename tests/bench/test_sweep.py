"""Random shapes of a seed, and what their figures amount to."""

from __future__ import annotations

import math

import numpy as np
import onnx.reference
import pytest
import sweep_shapes
from sweep import Row, summary
from sweep_shapes import Conv, MatMul, shapes
from zoo_models import random_feeds


def test_a_seed_names_the_same_shapes() -> None:
    assert shapes(7, 50) == shapes(7, 50)
    assert shapes(7, 50) == shapes(7, 80)[:50]
    assert shapes(7, 50) != shapes(8, 50)


def test_shapes_are_in_range_and_of_all_kinds() -> None:
    found = shapes(3, 400)
    low, high = sweep_shapes.WORK_SECONDS
    for shape in found:
        assert low <= shape.flops / sweep_shapes.NOMINAL_GFLOPS / 1e9 <= high
        assert shape.most_bytes <= sweep_shapes.MOST_BYTES
        if isinstance(shape, Conv):
            assert {shape.kernel} <= {1, 3, 5, 7} and shape.stride in (1, 2)
            assert 1 <= shape.channels <= 2048 and 1 <= shape.filters <= 2048
            assert 1 <= shape.height <= 224 and 1 <= shape.width <= 224
            assert shape.channels % shape.groups == 0 and shape.filters % shape.groups == 0
        else:
            assert 1 <= shape.rows <= 224 and max(shape.inner, shape.columns) <= 2048
    convs = [shape for shape in found if isinstance(shape, Conv)]
    depthwise = [s for s in convs if s.groups == s.channels == s.filters > 1]
    grouped = [s for s in convs if 1 < s.groups < s.channels]
    products = [s for s in found if isinstance(s, MatMul)]
    assert len(depthwise) > 20 and len(grouped) > 10 and len(convs) > 200
    assert {s.constant for s in products} == {True, False}
    assert {s.kernel for s in convs} == {1, 3, 5, 7} and {s.stride for s in convs} == {1, 2}


@pytest.mark.parametrize(
    ("shape", "result"),
    [
        (Conv(6, 4, 9, 8, 5, 2, 2), (1, 4, 5, 4)),
        (Conv(3, 3, 1, 2, 7, 1, 3), (1, 3, 1, 2)),
        (MatMul(1, 3, 5, 7, True), (3, 7)),
        (MatMul(2, 3, 5, 7, False), (2, 3, 7)),
    ],
)
def test_models_and_their_work(shape: Conv | MatMul, result: tuple[int, ...]) -> None:
    model = shape.model(0)
    (output,) = onnx.reference.ReferenceEvaluator(model).run(None, random_feeds(model))
    assert output.shape == result
    taps = shape.channels // shape.groups * shape.kernel**2 if isinstance(shape, Conv) else 5
    assert shape.flops == 2 * math.prod(result) * taps


def test_weights_come_from_the_seed() -> None:
    arrays = [
        onnx.numpy_helper.to_array(MatMul(1, 3, 5, 7, True).model(seed).graph.initializer[0])
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(arrays[0], arrays[1]) and not np.array_equal(arrays[0], arrays[2])


def row(ratio: float, failure: str = "") -> Row:
    return Row(0, "conv", 1, leip=ratio, peer=1.0, failure=failure)


def test_summary_and_bars() -> None:
    good = summary([row(0.5), row(0.8), row(1.9)])
    assert (good.median, good.worst, good.beyond) == (0.8, 1.9, 0)
    assert list(good.verdicts.values()) == [True, True, True]
    slow = summary([row(0.95), row(0.95), row(2.5)])
    assert slow.beyond == 1 and list(slow.verdicts.values()) == [True, False, False]


def test_failures_miss_the_bars() -> None:
    total = summary([row(0.5), row(0.5, "wrong")])
    assert total.failures == 1 and list(total.verdicts.values()) == [False, True, False]
    assert not any(summary([row(0.5, "wrong")]).verdicts.values())
