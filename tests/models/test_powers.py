"""Powers to a constant, many of them without logarithms, at the values where pow is special."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import leip
from leip.ir import interpreter
from leip.ir.onnx import import_model

EXPONENTS = (0.0, 1.0, 2.0, 3.0, 4.0, 0.5, -0.5, -1.0, -2.0, 1.5, -3.0, 1 / 3, np.inf, np.nan)

X = np.zeros((2, 32), np.float32)
X[0, :14] = [-np.inf, np.inf, np.nan, -0.0, -1.0, 1.0, -4.0, 4.0, -0.3, 0.3, 1e20, -1e20, 3e-20, -7]
X[1] = np.linspace(-2, 6, 32)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_as_numpy(tmp_path: Path, level: int) -> None:
    names = [f"y{i}" for i in range(len(EXPONENTS))]
    graph = helper.make_graph(
        [helper.make_node("Pow", ["x", f"e{i}"], [name]) for i, name in enumerate(names)],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, X.shape) for name in names],
        [numpy_helper.from_array(np.float32(e), f"e{i}") for i, e in enumerate(EXPONENTS)],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "net.onnx")
    leip.compile(
        tmp_path / "net.onnx", tmp_path / "OUT", optimization={"kernel": level}, threads=1, jobs=1
    )
    with leip.load(tmp_path / "OUT") as engine:
        results = engine.infer({"x": X})
    reference = interpreter.run(import_model(tmp_path / "net.onnx"), {"x": X})
    for name, exponent in zip(names, EXPONENTS, strict=True):
        with np.errstate(all="ignore"):
            # An array of exponents: to a scalar 0.5 numpy takes sqrt, which is no pow.
            power = np.full(X.shape, np.float32(exponent), np.float64)
            expected = np.power(X.astype(np.float64), power).astype(np.float32)
        zeros = expected == 0
        for result in (results[name], reference[name]):
            said = f"to the power of {exponent}"
            np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-44, err_msg=said)
            np.testing.assert_array_equal(
                np.signbit(result[zeros]), np.signbit(expected[zeros]), err_msg=said
            )
