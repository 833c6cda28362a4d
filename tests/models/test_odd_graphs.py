"""Small graphs of forms that once did not compile, or took minutes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from models.builders import Builder
from onnx import TensorProto, helper
from tolerances import assert_close

import leip

Shapes = dict[str, tuple[int, ...]]


class Net(Builder):
    """A builder that notes its inputs and makes a model of one output, of any shape."""

    def __init__(self) -> None:
        super().__init__("odd")
        self.inputs: Shapes = {}

    def input(self, *shape: int) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs[name] = shape
        return name

    def weight(self, *shape: int) -> str:
        return self.random(shape, float(np.prod(shape[1:])) ** -0.5)

    def save(self, output: str, path: Path) -> Path:
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in self.inputs.items()
        ]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.initializers)
        opsets = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return path


def gated_between_groups(net: Net) -> str:
    """A grouped conv, a gate, a pointwise conv: 152 channels are 9.5 blocks of 16."""
    x = net.input(1, 152, 6, 6)
    y = net.node("Relu", net.node("Conv", x, net.weight(152, 8, 3, 3), group=19, pads=[1, 1, 1, 1]))
    pooled = net.node("GlobalAveragePool", y)
    gate = net.node(
        "Sigmoid", net.node("Conv", pooled, net.weight(152, 152, 1, 1), net.weight(152))
    )
    y = net.node("Conv", net.node("Mul", y, gate), net.weight(152, 152, 1, 1), net.weight(152))
    shortcut = net.node("Conv", x, net.weight(152, 152, 1, 1), net.weight(152))
    return net.node("Relu", net.node("Add", y, shortcut))


def product_then(op: str, weights: bool, **attributes: object) -> Callable[[Net], str]:
    """A bare product, then an op whose compute asks for its operand's dtype."""

    def make(net: Net) -> str:
        b = net.weight(30, 8) if weights else net.node("Relu", net.input(30, 8))
        product = net.node("MatMul", net.node("Relu", net.input(16, 30)), b)
        other = net.node("Add", net.node("Abs", net.input(16, 8)), net.scalar(0.5))
        return net.node(
            op, net.node("Abs", product) if op == "Pow" else product, other, **attributes
        )

    return make


def largest_of_ten(net: Net) -> str:
    return net.node("Max", *(net.input(1, 5, 9, 11) for _ in range(10)))


def clamped_again_and_again(net: Net) -> str:
    x, z = net.input(1, 24), net.input(1, 24)
    y = x
    for _ in range(8):
        y = net.node("Max", net.node("Min", net.node("Add", y, net.scalar(0.1)), x), z)
    return y


def wheres(net: Net) -> str:
    x = net.input(4, 100)
    for _ in range(8):
        positive = net.node("Greater", x, net.scalar(0.1))
        x = net.node("Where", positive, net.node("Mul", x, net.scalar(0.7)), net.node("Neg", x))
    return x


def wheres_before_conv(net: Net) -> str:
    x = net.input(1, 24, 18, 22)
    for _ in range(9):
        positive = net.node("Greater", x, net.scalar(0.1))
        x = net.node("Where", positive, net.node("Mul", x, net.scalar(0.7)), net.node("Neg", x))
    return net.node("Conv", x, net.weight(16, 24, 1, 1))


def shifts(net: Net) -> str:
    x = net.input(1, 24, 5, 5)
    for _ in range(14):
        negative = net.node("Less", x, net.scalar(0.0))
        x = net.node("Add", x, net.node("Where", negative, net.scalar(0.3), net.scalar(-0.2)))
    return x


def mishes(net: Net) -> str:
    x = net.input(1, 24, 5, 5)
    for _ in range(14):
        x = net.node("Mul", x, net.node("Tanh", net.node("Softplus", x)))
    return x


def slices(net: Net) -> str:
    """Three axes: convolutions, pools, a residual sum and a concat, batch 2, to a global pool."""
    x = net.input(2, 3, 6, 17, 19)
    wide = dict(pads=[1, 1, 1, 1, 1, 1])
    x = net.node("Relu", net.node("Conv", x, net.weight(20, 3, 3, 3, 3), net.weight(20), **wide))
    x = net.node("MaxPool", x, kernel_shape=[2, 3, 2], strides=[1, 2, 2], pads=[1, 1, 0, 0, 0, 1])
    y = net.node("Conv", x, net.weight(20, 20, 1, 3, 3), net.weight(20), pads=[0, 1, 1, 0, 1, 1])
    y = net.node("Conv", y, net.weight(20, 20, 3, 1, 1), net.weight(20), pads=[1, 0, 0, 1, 0, 0])
    x = net.node("Relu", net.node("Add", y, x))
    y = net.node("Conv", x, net.weight(20, 1, 3, 3, 3), group=20, dilations=[1, 2, 2], **wide)
    x = net.node("Concat", y, net.node("Tanh", y), axis=1)
    x = net.node("AveragePool", x, kernel_shape=[3, 3, 3], pads=[1, 1, 1, 1, 1, 1])
    x = net.node("ConvTranspose", x, net.weight(40, 6, 2, 2, 2), strides=[2, 2, 2])
    return net.node("GlobalAveragePool", net.node("Sigmoid", x))


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
    "slices": slices,
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
    model = net.save(net.node("ReduceSumSquare", net.input(10_000_000)), tmp_path / "sum.onnx")
    built = leip.compile(model, tmp_path / "OUT", optimization={"kernel": level}, threads=2)
    x = np.random.default_rng(1).standard_normal(10_000_000).astype(np.float32)
    (actual,) = leip.load(built.path, threads=2).infer(x).values()
    np.testing.assert_allclose(actual, [np.sum(np.square(x, dtype=np.float64))], rtol=1e-4)
