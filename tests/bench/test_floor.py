"""The least time that a model can take."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from floor import Work, floor_seconds, work_of
from sweep_shapes import Conv, MatMul


def test_weights_count_only_where_they_do_not_stay_in_the_cache() -> None:
    work = [Work(2_000_000_000, 4_000_000), Work(1_000_000, 400_000_000)]
    assert floor_seconds(work, 200, 20, 1 << 30) == pytest.approx(0.010005)
    assert floor_seconds(work, 200, 20, 1 << 20) == pytest.approx(0.010 + 0.020)


def test_work_of_a_convolution(tmp_path: Path) -> None:
    shape = Conv(16, 24, 10, 12, 3, 1, 1)
    onnx.save(shape.model(0), tmp_path / "conv.onnx")
    assert work_of(tmp_path / "conv.onnx") == [Work(2 * 24 * 10 * 12 * 16 * 9, 4 * 24 * 16 * 9)]


def test_operands_that_are_no_constants_are_no_weights(tmp_path: Path) -> None:
    shape = MatMul(3, 5, 7, 11, constant=False)
    onnx.save(shape.model(0), tmp_path / "matmul.onnx")
    assert work_of(tmp_path / "matmul.onnx") == [Work(shape.flops, 0)]
