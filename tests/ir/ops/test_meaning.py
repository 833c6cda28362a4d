"""What ONNX Runtime cannot be asked: faults, exact integers, chunked sums, our own definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tolerances import KINDS, TABLE

from leip.ir import Attrs, DType, NoAttrs
from leip.ir import op as ops
from leip.ir.ops import (
    CastAttrs,
    ConvAttrs,
    DataFault,
    GatherAttrs,
    GatherElementsAttrs,
    GatherNdAttrs,
    LrnAttrs,
    MatmulAttrs,
    ModAttrs,
    RequantizeAttrs,
    ScatterElementsAttrs,
    ScatterNdAttrs,
)
from leip.ir.ops import arithmetic as arithmetic
from leip.ir.ops.resize import ResizeAttrs, axis_taps

NO = NoAttrs()
I64 = np.array


def evaluate(op: str, attrs: Attrs, *arrays: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        (result,) = ops.get(op).evaluate(attrs, arrays)
    return result


def test_erf_is_accurate():
    x = np.concatenate([np.linspace(-7, 7, 20001), [-1e-300, 0.0, 0.84375, 1.25, 1 / 0.35, 6.0]])
    expected = np.array([math.erf(v) for v in x])

    assert np.max(np.abs(arithmetic.erf(x) - expected)) < 1e-15
    assert arithmetic.erf(np.array([-np.inf, np.inf])).tolist() == [-1.0, 1.0]
    assert np.isnan(arithmetic.erf(np.array([np.nan]))).all()


@pytest.mark.parametrize(
    ("op", "attrs"), [("div", NO), ("mod", ModAttrs()), ("mod", ModAttrs(True))]
)
def test_integer_division_by_zero_is_a_fault(op, attrs):
    with pytest.raises(DataFault, match=f"{op}: integer division by zero"):
        evaluate(op, attrs, I64([1, 2]), I64([1, 0]))


def test_division_truncates_towards_zero():
    a, b = I64([7, -7, 7, -7, -8, 0]), I64([2, 2, -2, -2, 2, 3])

    assert evaluate("div", NO, a, b).tolist() == [3, -3, -3, 3, -4, 0]


def test_mod_takes_the_sign_of_the_divisor_and_fmod_of_the_dividend():
    a, b = I64([7, -7, 7, -7]), I64([3, 3, -3, -3])

    assert evaluate("mod", ModAttrs(), a, b).tolist() == [1, 2, -2, -1]
    assert evaluate("mod", ModAttrs(fmod=True), a, b).tolist() == [1, -1, 1, -1]


def test_integer_powers():
    base, exponent = I64([2, 3, -1, -1, 1, 2, 0]), I64([62, 0, -3, -2, -5, -1, 0])

    assert evaluate("pow", NO, base, exponent).tolist() == [2**62, 1, -1, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("op", "attrs", "indices", "more"),
    [
        ("gather", GatherAttrs(), I64([0, 3]), []),
        ("gather", GatherAttrs(), I64([-4]), []),
        ("gather_elements", GatherElementsAttrs(), I64([3]), []),
        ("gather_nd", GatherNdAttrs(), I64([[3]]), []),
        ("scatter_nd", ScatterNdAttrs(), I64([[-4]]), [np.float32([1])]),
        ("scatter_elements", ScatterElementsAttrs(), I64([3]), [np.float32([1])]),
    ],
)
def test_index_out_of_range_is_a_fault(op, attrs, indices, more):
    with pytest.raises(DataFault, match=r"index -?\d+ is not in \[-3, 2\]"):
        evaluate(op, attrs, np.zeros(3, np.float32), indices, *more)


def test_of_updates_to_one_place_the_last_wins():
    data, at = np.zeros(3, np.float32), I64([[1], [1], [-2]])

    assert evaluate("scatter_nd", ScatterNdAttrs(), data, at, np.float32([5, 6, 7])).tolist() == [
        0,
        7,
        0,
    ]


def test_requantize_rounds_half_to_even_and_saturates():
    acc = np.array([1, 3, 5, -1, -3, 600, -600, 2**31 - 1, -(2**31)], np.int32)
    half = np.float32([0.5])

    assert evaluate("requantize", RequantizeAttrs(0, DType.I8), acc, half).tolist() == [
        0, 2, 2, 0, -2, 127, -128, 127, -128,
    ]  # fmt: skip
    assert evaluate("requantize", RequantizeAttrs(10, DType.U8), acc, half).tolist() == [
        10, 12, 12, 10, 8, 255, 0, 255, 0,
    ]  # fmt: skip


def test_requantize_rounds_the_sum_to_float32_first():
    acc = np.array([16777217], np.int32)  # 2**24 + 1, no float32
    scale = np.float32([1 / 2**18])

    expected = np.rint(np.float32(16777217) * scale[0]) + 3
    assert evaluate("requantize", RequantizeAttrs(3, DType.U8), acc, scale) == expected == 67


@pytest.mark.parametrize(
    ("a", "b"), [(np.uint8, np.int8), (np.int8, np.int8), (np.uint8, np.uint8)]
)
def test_eight_bit_products_are_exact(a, b):
    rng = np.random.default_rng(3)
    x = rng.integers(np.iinfo(a).min, np.iinfo(a).max + 1, (3, 2000)).astype(a)
    w = rng.integers(np.iinfo(b).min, np.iinfo(b).max + 1, (2000, 4)).astype(b)
    expected = x.astype(np.int64) @ w.astype(np.int64)

    product = evaluate("matmul", MatmulAttrs(), x, w)
    assert product.dtype == np.int32
    assert np.array_equal(product, expected)
    one = (1,) * 2
    conv = evaluate("conv", ConvAttrs(one, (0,) * 4, one), x.reshape(3, 2000, 1, 1),
                    np.ascontiguousarray(w.T).reshape(4, 2000, 1, 1))  # fmt: skip
    assert np.array_equal(conv.reshape(3, 4), expected)


@pytest.mark.parametrize("transpose_b", [False, True])
def test_matmul_in_chunks(monkeypatch, transpose_b):
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((2, 5, 37)), rng.standard_normal((37, 11))
    monkeypatch.setattr("leip.ir.ops.matmul.ELEMENTS_PER_CHUNK", 60)

    right = np.ascontiguousarray(b.T) if transpose_b else b
    product = evaluate("matmul", MatmulAttrs(transpose_b=transpose_b), a, right)
    np.testing.assert_allclose(product, a @ b, rtol=1e-12, atol=1e-12)


def test_lrn_of_even_size_looks_further_ahead():
    x = np.arange(1.0, 6.0).reshape(1, 5)
    expected = []
    for c in range(5):
        window = x[0, max(0, c - 1) : c + 3]  # (size - 1) // 2 before, size // 2 after
        expected.append(x[0, c] / (2 + 0.5 / 4 * np.sum(window**2)) ** 0.75)

    result = evaluate("lrn", LrnAttrs(4, 0.5, 0.75, 2.0), x)
    np.testing.assert_allclose(result[0], expected, rtol=1e-14)


def test_casts_of_floats_truncate_then_wrap():
    x = np.array([-1.9, 1.9, 300.7, -1.0], np.float32)

    assert evaluate("cast", CastAttrs(DType.I32), x).tolist() == [-1, 1, 300, -1]
    assert evaluate("cast", CastAttrs(DType.U8), x).tolist() == [255, 1, 44, 255]
    assert evaluate("cast", CastAttrs(DType.BOOL), np.float32([0, -0.0, 0.1, np.nan])).tolist() == [
        False, False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resize_weights_add_up_to_one(mode):
    indices, weights = axis_taps(ResizeAttrs(mode, sizes=(23,)), 0, 7, 23)

    assert indices.shape == weights.shape
    assert indices.min() >= 0
    assert indices.max() <= 6
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)


def test_tolerances_name_ops_that_exist():
    known = set(ops.names())

    assert all(op in known for kind in KINDS.values() for op in kind)
    assert all(entry.reason for entry in TABLE.values())
