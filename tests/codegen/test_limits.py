"""What objects cannot hold is refused, with the node's or the tensor's name."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import leip
from leip.codegen.limits import MAX_RANK
from leip.errors import ModelError
from leip.runtime import sources


def saved(path: Path, nodes: list, inputs: dict, outputs: dict, constants: dict) -> Path:
    def info(name: str, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "g",
        [info(*item) for item in inputs.items()],
        [info(*item) for item in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_rank_is_that_of_the_c_interface() -> None:
    text = (sources.INCLUDE / "plan.h").read_text(encoding="utf-8")
    match = re.search(r"#define LRE_MAX_RANK (\d+)", text)
    assert match is not None and int(match[1]) == MAX_RANK


def test_tensors_beyond_32_bits(tmp_path: Path) -> None:
    """A small input and a small output, with too many elements between them."""
    nodes = [
        helper.make_node("Expand", ["x", "shape"], ["wide"], name="widen"),
        helper.make_node("Gather", ["wide", "index"], ["y"], name="pick", axis=1),
    ]
    constants = {"shape": np.array([1 << 16, 1 << 15]), "index": np.array([0])}
    model = saved(tmp_path / "m.onnx", nodes, {"x": [1, 1]}, {"y": [1 << 16, 1]}, constants)
    with pytest.raises(ModelError, match=r"node 'widen'.*2,147,483,648 elements"):
        leip.compile(model, tmp_path / "OUT")
    assert not (tmp_path / "OUT").exists()


@pytest.mark.parametrize("batch", [10**9, 10**7, 10**17])
def test_absurd_input_shapes(tiny_onnx: Path, tmp_path: Path, batch: int) -> None:
    with pytest.raises(ModelError, match=r"elements; kernels address at most"):
        leip.compile(tiny_onnx, tmp_path / "OUT", input_shapes={"image": (batch, 3, 8, 8)})


@pytest.mark.parametrize("side", ["input", "output"])
def test_inputs_and_outputs_of_rank_9(tmp_path: Path, side: str) -> None:
    long, short = [1, 2, 1, 2, 1, 2, 1, 2, 1], [16]
    given, made = (long, short) if side == "input" else (short, long)
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    model = saved(tmp_path / "m.onnx", [node], {"x": given}, {"y": made}, {"shape": np.array(made)})
    name = "x" if side == "input" else "y"
    with pytest.raises(ModelError, match=f"{side} '{name}': it has 9 dimensions; .* up to 8"):
        leip.compile(model, tmp_path / "OUT")


def test_rank_9_inside(tmp_path: Path) -> None:
    long = [1, 2, 1, 2, 1, 2, 1, 2, 1]
    nodes = [
        helper.make_node("Reshape", ["x", "long"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[8, 7, 6, 5, 4, 3, 2, 1, 0]),
        helper.make_node("Reshape", ["b", "short"], ["y"]),
    ]
    constants = {"long": np.array(long), "short": np.array([16])}
    model = saved(tmp_path / "m.onnx", nodes, {"x": [16]}, {"y": [16]}, constants)
    report = leip.compile(model, tmp_path / "OUT", verify=True)
    x = np.arange(16, dtype=np.float32)
    with leip.load(report.path) as engine:
        result = engine.infer(x)["y"]
    np.testing.assert_array_equal(result, x.reshape(long).T.reshape(16))
