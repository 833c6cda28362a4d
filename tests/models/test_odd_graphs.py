"""Small graphs of forms that once did not compile, or took minutes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tolerances import assert_close

import leip

Shapes = dict[str, tuple[int, ...]]


class Net:
    """An ONNX graph that is put together op by op; names of values are handed on."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: Shapes = {}
        self.rng = np.random.default_rng(0)

    def input(self, *shape: int) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs[name] = shape
        return name

    def weight(self, *shape: int) -> str:
        values = self.rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1)
        return self.constant(values)

    def constant(self, values: np.ndarray | float) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def op(self, op: str, *inputs: str, **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def save(self, output: str, path: Path) -> Path:
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in self.inputs.items()
        ]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "odd", inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return path


def gated_between_groups(net: Net) -> str:
    """A grouped conv, a gate, a pointwise conv: 152 channels are 9.5 blocks of 16."""
    x = net.input(1, 152, 6, 6)
    y = net.op("Relu", net.op("Conv", x, net.weight(152, 8, 3, 3), group=19, pads=[1, 1, 1, 1]))
    pooled = net.op("GlobalAveragePool", y)
    gate = net.op("Sigmoid", net.op("Conv", pooled, net.weight(152, 152, 1, 1), net.weight(152)))
    y = net.op("Conv", net.op("Mul", y, gate), net.weight(152, 152, 1, 1), net.weight(152))
    shortcut = net.op("Conv", x, net.weight(152, 152, 1, 1), net.weight(152))
    return net.op("Relu", net.op("Add", y, shortcut))


def product_then(op: str, weights: bool, **attributes: object) -> Callable[[Net], str]:
    """A bare product, then an op whose compute asks for its operand's dtype."""

    def make(net: Net) -> str:
        b = net.weight(30, 8) if weights else net.op("Relu", net.input(30, 8))
        product = net.op("MatMul", net.op("Relu", net.input(16, 30)), b)
        other = net.op("Add", net.op("Abs", net.input(16, 8)), net.constant(0.5))
        return net.op(op, net.op("Abs", product) if op == "Pow" else product, other, **attributes)

    return make


def largest_of_ten(net: Net) -> str:
    return net.op("Max", *(net.input(1, 5, 9, 11) for _ in range(10)))


def clamped_again_and_again(net: Net) -> str:
    x, z = net.input(1, 24), net.input(1, 24)
    y = x
    for _ in range(8):
        y = net.op("Max", net.op("Min", net.op("Add", y, net.constant(0.1)), x), z)
    return y


def wheres(net: Net) -> str:
    x = net.input(4, 100)
    for _ in range(8):
        positive = net.op("Greater", x, net.constant(0.1))
        x = net.op("Where", positive, net.op("Mul", x, net.constant(0.7)), net.op("Neg", x))
    return x


def wheres_before_conv(net: Net) -> str:
    x = net.input(1, 24, 18, 22)
    for _ in range(9):
        positive = net.op("Greater", x, net.constant(0.1))
        x = net.op("Where", positive, net.op("Mul", x, net.constant(0.7)), net.op("Neg", x))
    return net.op("Conv", x, net.weight(16, 24, 1, 1))


def shifts(net: Net) -> str:
    x = net.input(1, 24, 5, 5)
    for _ in range(14):
        negative = net.op("Less", x, net.constant(0.0))
        x = net.op("Add", x, net.op("Where", negative, net.constant(0.3), net.constant(-0.2)))
    return x


def mishes(net: Net) -> str:
    x = net.input(1, 24, 5, 5)
    for _ in range(14):
        x = net.op("Mul", x, net.op("Tanh", net.op("Softplus", x)))
    return x


GRAPHS: dict[str, Callable[[Net], str]] = {
    "gated between groups": gated_between_groups,
    "product, div": product_then("Div", False),
    "product with weights, div": product_then("Div", True),
    "product, pow": product_then("Pow", False),
    "product, mod": product_then("Mod", False, fmod=1),
    "largest of ten": largest_of_ten,
    "clamped again and again": clamped_again_and_again,
    "wheres": wheres,
    "wheres before a conv": wheres_before_conv,
    "shifts": shifts,
    "mishes": mishes,
}


@pytest.mark.parametrize("level", (1, 2, 3, 4))
@pytest.mark.parametrize("name", GRAPHS)
def test_odd_graph(name: str, level: int, tmp_path: Path) -> None:
    net = Net()
    model = net.save(GRAPHS[name](net), tmp_path / "odd.onnx")
    built = leip.compile(model, tmp_path / "OUT", optimization={"kernel": level}, threads=2)
    rng = np.random.default_rng(1)
    feeds = {n: rng.standard_normal(s).astype(np.float32) for n, s in net.inputs.items()}
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, feeds)
    (actual,) = leip.load(built.path, threads=2).infer(feeds).values()
    assert_close("conv", actual, expected)


@pytest.mark.parametrize("level", (1, 3))
def test_a_sum_of_millions(level: int, tmp_path: Path) -> None:
    """Against doubles: one float32 accumulator is 1 % off (ONNX Runtime 0.03 %)."""
    net = Net()
    model = net.save(net.op("ReduceSumSquare", net.input(10_000_000)), tmp_path / "sum.onnx")
    built = leip.compile(model, tmp_path / "OUT", optimization={"kernel": level}, threads=2)
    x = np.random.default_rng(1).standard_normal(10_000_000).astype(np.float32)
    (actual,) = leip.load(built.path, threads=2).infer(x).values()
    np.testing.assert_allclose(actual, [np.sum(np.square(x, dtype=np.float64))], rtol=1e-4)
