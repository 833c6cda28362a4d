"""References against ONNX Runtime, on every sample of every op that ONNX has."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_nodes import NODES, run_onnx
from samples import EMPTY_SAMPLES, HALF_SAMPLES, SAMPLES
from tolerances import assert_close

from leip.ir import op as ops

NOT_IN_ONNX = {"requantize"}

# ONNX attributes are float32 (so is 1/6 in HardSwish), and its evaluator's erf has that accuracy.
ONNX_IS_F32 = {"erf", "gelu", "hardswish", "hard_sigmoid", "leaky_relu", "elu", "celu", "selu"}

NO_ORACLE = {
    ("lrn", "1"): "neither runtime nor evaluator takes rank 3",
    ("lrn", "2"): "the runtime takes odd sizes only, the evaluator cuts windows short",
    ("lrn", "3"): "neither runtime nor evaluator takes rank 2",
    ("group_norm", "empty0"): "both fail on empty tensors",
}

CASES = [
    pytest.param(op, attrs, arrays, id=f"{op}-{kind}{number}")
    for kind, table in (("", SAMPLES), ("half", HALF_SAMPLES), ("empty", EMPTY_SAMPLES))
    for op, samples in table.items()
    if op not in NOT_IN_ONNX
    for number, (attrs, arrays) in enumerate(samples)
    if (op, f"{kind}{number}") not in NO_ORACLE
]


def test_every_op_is_compared():
    assert sorted({*NODES, *NOT_IN_ONNX}) == sorted(SAMPLES)


@pytest.mark.parametrize(("op", "attrs", "arrays"), CASES)
def test_reference_is_onnx(op, attrs, arrays):
    expected = run_onnx(op, attrs, arrays)
    with np.errstate(all="ignore"):
        actual = ops.get(op).evaluate(attrs, tuple(arrays))

    assert len(actual) == len(expected)
    for mine, theirs in zip(actual, expected):
        if op in ONNX_IS_F32 and mine.dtype == theirs.dtype == np.float64:
            mine, theirs = mine.astype(np.float32), theirs.astype(np.float32)
        assert_close(op, mine, theirs)
