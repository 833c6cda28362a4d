"""Models in which an axis has no elements, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from tolerances import assert_close

import leip

# name -> inputs, weights, body; weights are `name:shape`
MODELS = {
    "gemm of no terms": ("float[3,0] x", "w:0,5 b:5", "y = Gemm <alpha=2.0, beta=3.0> (x, w, b)"),
    "product of no terms, bias": (
        "float[2,3,0] x, float[2,3,5] z",
        "w:0,5",
        "p = MatMul (x, w) s = Add (p, z) y = Relu (s)",
    ),
    "conv of batch 0": (
        "float[0,32,8,8] x",
        "w:32,32,3,3 b:32",
        "c = Conv (x, w, b) r = Relu (c) y = Conv (r, w, b)",
    ),
    "conv of 0 features": (
        "float[1,3,8,8] x",
        "w:0,3,3,3 b:0",
        "c = Conv (x, w, b) y = Relu (c)",
    ),
    "conv of 0 channels": (
        "float[1,0,8,8] x",
        "w:16,0,3,3 b:16 v:16,16,3,3",
        "c = Conv <pads=[1,1,1,1]> (x, w, b) r = Relu (c) y = Conv (r, v)",
    ),
    "0 features between convs": (
        "float[1,16,8,8] x",
        "w:0,16,3,3 v:16,0,3,3 b:16",
        "c = Conv (x, w) y = Conv (c, v, b)",
    ),
    "conv_transpose of 0 channels": (
        "float[1,0,8,8] x",
        "w:0,3,2,2 b:3",
        "y = ConvTranspose <strides=[2,2]> (x, w, b)",
    ),
    "attention over 0 keys": (
        "float[2,3,8] q, float[2,8,0] k, float[2,0,5] v",
        "",
        "s = MatMul (q, k) p = Softmax (s) y = MatMul (p, v)",
    ),
    "sum of nothing, then a sum": (
        "float[2,0,3] x, float[2,4,3] z",
        "",
        "s = ReduceSum (x, one) y = Add (s, z)",
    ),
    "pool of batch 0": ("float[0,3,8,8] x", "", "y = MaxPool <kernel_shape=[2,2]> (x)"),
    "concat with nothing": (
        "float[1,0,8,8] x, float[1,16,8,8] z",
        "w:16,16,3,3",
        "c = Concat <axis=1> (x, z) y = Conv (c, w)",
    ),
}


def model(name: str) -> onnx.ModelProto:
    inputs, weights, body = MODELS[name]
    text = f'<ir_version: 8, opset_import: ["" : 17]> g ({inputs}) => (float y) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    rng = np.random.default_rng(0)
    constants = {"one": np.array([1])} if "one" in body else {}
    for item in weights.split():
        weight, _, shape = item.partition(":")
        sizes = [int(size) for size in shape.split(",")]
        constants[weight] = rng.standard_normal(sizes).astype(np.float32)
    for weight, array in constants.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, weight))
    return proto


@pytest.mark.parametrize("level", (1, 2, 3, 4))
@pytest.mark.parametrize("name", MODELS)
def test_as_onnxruntime(name: str, level: int, tmp_path: Path) -> None:
    proto = model(name)
    path = tmp_path / "empty.onnx"
    onnx.save(proto, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    feeds = {x.name: rng.standard_normal(x.shape).astype(np.float32) for x in session.get_inputs()}
    (expected,) = session.run(["y"], feeds)

    leip.compile(path, tmp_path / "OUT", optimization={"kernel": level}, threads=2, verify=True)
    with leip.load(tmp_path / "OUT") as engine:
        actual = engine.infer(feeds)["y"]
    assert actual.shape == expected.shape
    assert_close("conv", actual, expected)
