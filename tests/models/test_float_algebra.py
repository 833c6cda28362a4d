"""Floats are no integers: what algebra would cancel is computed as written, at every level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import leip

MAGIC = 12582912.0  # 1.5 * 2**23: adding it rounds a float32 to an integer
Step = tuple[str, str, str]  # op and operands; a result is called r0, r1, …

X = np.zeros((1, 64), np.float32)
X[0, :8] = [np.inf, -np.inf, np.nan, 1.3, 2.5, 1e9, -1e9, 3e38]
x = X


# name -> steps, what numpy gives
CASES: dict[str, tuple[Sequence[Step], object]] = {
    "x - x": ([("Sub", "x", "x")], lambda: x - x),
    "relu(x) - relu(x)": (
        [("Max", "x", "zero"), ("Max", "x", "zero"), ("Sub", "r0", "r1")],
        lambda: np.maximum(x, 0) - np.maximum(x, 0),
    ),
    "x * 0": ([("Mul", "x", "zero")], lambda: x * np.float32(0)),
    "x == x": ([("Equal", "x", "x")], lambda: x == x),
    "x <= x": ([("LessOrEqual", "x", "x")], lambda: x <= x),
    "x >= x": ([("GreaterOrEqual", "x", "x")], lambda: x >= x),
    "x + 1 > x": ([("Add", "x", "one"), ("Greater", "r0", "x")], lambda: x + np.float32(1) > x),
    "x + 1 - x": ([("Add", "x", "one"), ("Sub", "r0", "x")], lambda: x + np.float32(1) - x),
    "x - (x - 1)": ([("Sub", "x", "one"), ("Sub", "x", "r0")], lambda: x - (x - np.float32(1))),
    "rounded": (
        [("Add", "x", "magic"), ("Sub", "r0", "magic")],
        lambda: x + np.float32(MAGIC) - np.float32(MAGIC),
    ),
    "rounded, with a remainder": (
        [("Add", "x", "magic"), ("Sub", "r0", "magic"), ("Sub", "x", "r1")],
        lambda: x - (x + np.float32(MAGIC) - np.float32(MAGIC)),
    ),
    "sums in other order": (
        [("Add", "one", "x"), ("Add", "x", "r0"), ("Sub", "r1", "x")],
        lambda: x + (np.float32(1) + x) - x,
    ),
}


def write(path: Path, steps: Sequence[Step]) -> None:
    nodes = [helper.make_node(op, [a, b], [f"r{i}"]) for i, (op, a, b) in enumerate(steps)]
    constants = {"zero": 0.0, "one": 1.0, "magic": MAGIC}
    last = f"r{len(steps) - 1}"
    truth = steps[-1][0] in ("Equal", "Greater", "LessOrEqual", "GreaterOrEqual")
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info(last, TensorProto.BOOL if truth else 1, [1, 64])],
        [numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
@pytest.mark.parametrize("name", CASES)
def test_as_numpy(tmp_path: Path, name: str, level: int) -> None:
    steps, expected = CASES[name]
    write(tmp_path / "net.onnx", steps)
    leip.compile(
        tmp_path / "net.onnx", tmp_path / "OUT", optimization={"kernel": level}, threads=1, jobs=1
    )
    with leip.load(tmp_path / "OUT") as engine:
        (result,) = engine.infer({"x": X}).values()
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(result, expected())  # type: ignore[operator]
