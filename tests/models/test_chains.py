"""Chains of activations: whatever stands before them, they compile in seconds and are right."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tolerances import assert_close

import leip

SHAPE = (1, 24, 18, 22)
LENGTH = 12
MOST_SECONDS = 60.0  # some take 6; written into each other they took hours

# ONNX spellings of one activation: its op types in order, each reading the result before.
SILU = ("Sigmoid", "Mul")
STEPS = {
    "silu": SILU,
    "gelu": ("Gelu",),
    "hardswish": ("HardSwish",),
    "softplus": ("Softplus",),
    "clip_sigmoid": ("HardSigmoid", "Clip"),
}
ANCHORS = {
    "conv": {"channels": 24, "group": 1},
    "depthwise": {"channels": 1, "group": 24},
}


def _model(anchor: str, step: str, path: Path) -> Path:
    rng = np.random.default_rng(0)
    nodes, constants = [], []
    if anchor == "matmul":
        weight = rng.standard_normal((SHAPE[3], 20)) / 5
        nodes.append(helper.make_node("MatMul", ["x", "w"], ["v0"]))
    else:
        facts = ANCHORS[anchor]
        weight = rng.standard_normal((24, facts["channels"], 3, 3)) / 20
        nodes.append(
            helper.make_node("Conv", ["x", "w"], ["v0"], group=facts["group"], pads=[1, 1, 1, 1])
        )
    constants.append(numpy_helper.from_array(weight.astype(np.float32), "w"))
    constants.append(numpy_helper.from_array(np.float32(3), "three"))
    last = "v0"
    for i in range(1, LENGTH + 1):
        first = last
        for k, op in enumerate(STEPS[step]):
            inputs = {"Mul": [first, last], "Clip": [last, "", "three"]}.get(op, [last])
            last = f"v{i}_{k}"
            nodes.append(helper.make_node(op, inputs, [last]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)
    y = helper.make_tensor_value_info(last, TensorProto.FLOAT, None)
    net = helper.make_graph(nodes, "chain", [x], [y], constants)
    model = helper.make_model(net, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("anchor", [*ANCHORS, "matmul"])
def test_chain(anchor: str, step: str, tmp_path: Path) -> None:
    model = _model(anchor, step, tmp_path / "chain.onnx")
    began = time.monotonic()
    built = leip.compile(model, tmp_path / "OUT", optimization={"kernel": 4}, threads=2)
    assert time.monotonic() - began < MOST_SECONDS
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    (actual,) = leip.load(built.path, threads=2).infer({"x": x}).values()
    assert_close("conv", actual, expected)
