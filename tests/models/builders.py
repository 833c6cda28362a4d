"""Well-known architectures as ONNX models with seeded weights, made here: tests need no files.

Weights are He-scaled and BatchNormalization nodes carry plausible statistics, so outputs depend on
inputs all the way through. The models are not trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Builder:
    """Appends nodes and seeded initializers; every method gives the name of its result."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.counts: dict[str, int] = {}

    def fresh(self, kind: str) -> str:
        number = self.counts.get(kind, 0)
        self.counts[kind] = number + 1
        return f"{kind}_{number}"

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        name = self.fresh(op)
        results = [f"{name}_out"] + [f"{name}_out{i}" for i in range(1, outputs)]
        self.nodes.append(helper.make_node(op, inputs, results, name=name, **attributes))
        return results[0]

    def constant(self, array: np.ndarray, kind: str = "const") -> str:
        name = self.fresh(kind)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def random(self, shape: Sequence[int], scale: float, kind: str = "weight") -> str:
        """Seeded by the tensor's name, normal, times `scale`."""
        seed = f"{self.name}/{kind}_{self.counts.get(kind, 0)}"
        digest = hashlib.sha256(seed.encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        values = rng.standard_normal(tuple(shape), dtype=np.float32) * np.float32(scale)
        return self.constant(values, kind)

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, dtype=np.int64))

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, dtype=np.float32))

    def conv(
        self,
        x: str,
        channels: tuple[int, int],
        kernel: int,
        stride: int = 1,
        pad: int = 0,
        groups: int = 1,
        bias: bool = False,
        gain: float = 2.0,
    ) -> str:
        """A square convolution with He-scaled weights."""
        taken = channels[0] // groups
        scale = (gain / (taken * kernel * kernel)) ** 0.5
        operands = [x, self.random((channels[1], taken, kernel, kernel), scale)]
        if bias:
            operands.append(self.random((channels[1],), 0.1, "bias"))
        return self.node(
            "Conv",
            *operands,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad] * 4,
            group=groups,
        )

    def batch_norm(self, x: str, channels: int) -> str:
        """BatchNormalization with scale and variance near one."""
        number = self.counts.get("bn", 0)
        self.counts["bn"] = number + 1
        rng = np.random.default_rng(number + 7)
        scale, variance = rng.uniform(0.8, 1.2, (2, channels)).astype(np.float32)
        shift, mean = (rng.standard_normal((2, channels)) * 0.1).astype(np.float32)
        arrays = (("scale", scale), ("shift", shift), ("mean", mean), ("variance", variance))
        names = [self.constant(array, f"bn_{kind}") for kind, array in arrays]
        return self.node("BatchNormalization", x, *names, epsilon=1e-5)

    def linear(self, x: str, inner: int, outer: int) -> str:
        """MatMul and Add, as transformers are exported."""
        product = self.node("MatMul", x, self.random((inner, outer), inner**-0.5))
        return self.node("Add", self.random((outer,), 0.02, "bias"), product)

    def layer_norm(self, x: str, width: int) -> str:
        """The decomposed form that exporters write below opset 17."""
        mean = self.node("ReduceMean", x, axes=[-1], keepdims=1)
        centred = self.node("Sub", x, mean)
        square = self.node("Pow", centred, self.scalar(2.0))
        variance = self.node("ReduceMean", square, axes=[-1], keepdims=1)
        deviation = self.node("Sqrt", self.node("Add", variance, self.scalar(1e-5)))
        scale = self.constant(np.linspace(0.9, 1.1, width, dtype=np.float32), "ln_scale")
        shift = self.random((width,), 0.02, "ln_shift")
        normal = self.node("Mul", self.node("Div", centred, deviation), scale)
        return self.node("Add", normal, shift)

    def finish(
        self,
        inputs: Sequence[tuple[str, int, Sequence[int | str]]],
        outputs: Sequence[tuple[str, str, int, Sequence[int | str]]],
    ) -> onnx.ModelProto:
        """Name the outputs `(value, name, type, shape)` and check the model."""
        for value, name, _, _ in outputs:
            self.nodes.append(helper.make_node("Identity", [value], [name], name=f"name_{name}"))
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info(*item) for item in inputs],
            [helper.make_tensor_value_info(name, kind, shape) for _, name, kind, shape in outputs],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        onnx.checker.check_model(model)
        return model


def squeezenet(size: int = 224, classes: int = 1000) -> onnx.ModelProto:
    """SqueezeNet 1.1: fire modules, concats, ceil-mode pools, global average pool."""
    b = Builder("squeezenet")

    def fire(x: str, inner: int, squeeze: int, expand: int) -> str:
        s = b.node("Relu", b.conv(x, (inner, squeeze), 1, bias=True))
        left = b.node("Relu", b.conv(s, (squeeze, expand), 1, bias=True))
        right = b.node("Relu", b.conv(s, (squeeze, expand), 3, pad=1, bias=True))
        return b.node("Concat", left, right, axis=1)

    def pool(x: str) -> str:
        return b.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)

    x = pool(b.node("Relu", b.conv("image", (3, 64), 3, stride=2, bias=True)))
    x = pool(fire(fire(x, 64, 16, 64), 128, 16, 64))
    x = pool(fire(fire(x, 128, 32, 128), 256, 32, 128))
    x = fire(fire(x, 256, 48, 192), 384, 48, 192)
    x = fire(fire(x, 384, 64, 256), 512, 64, 256)
    x = b.node("Relu", b.conv(x, (512, classes), 1, bias=True))
    x = b.node("Flatten", b.node("GlobalAveragePool", x), axis=1)
    return b.finish(
        [("image", TensorProto.FLOAT, [1, 3, size, size])],
        [(x, "logits", TensorProto.FLOAT, [1, classes])],
    )


def mobilenet_v2(size: int = 224, classes: int = 1000) -> onnx.ModelProto:
    """MobileNetV2: inverted residuals, depthwise convolutions, ReLU6 as Clip."""
    b = Builder("mobilenet_v2")

    def unit(x: str, channels: tuple[int, int], kernel: int, **options: int) -> str:
        pad = kernel // 2
        return b.batch_norm(b.conv(x, channels, kernel, pad=pad, **options), channels[1])

    def relu6(x: str) -> str:
        return b.node("Clip", x, b.scalar(0.0), b.scalar(6.0))

    x, width = relu6(unit("image", (3, 32), 3, stride=2)), 32
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
    table += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, outer, repeats, first_stride in table:
        for index in range(repeats):
            stride = first_stride if index == 0 else 1
            hidden = width * expansion
            y = relu6(unit(x, (width, hidden), 1)) if expansion > 1 else x
            y = relu6(unit(y, (hidden, hidden), 3, stride=stride, groups=hidden))
            y = unit(y, (hidden, outer), 1)
            x = b.node("Add", x, y) if stride == 1 and width == outer else y
            width = outer
    x = relu6(unit(x, (width, 1280), 1))
    x = b.node("Flatten", b.node("GlobalAveragePool", x), axis=1)
    weight, bias = b.random((classes, 1280), 1280**-0.5), b.random((classes,), 0.1, "bias")
    x = b.node("Gemm", x, weight, bias, transB=1)
    return b.finish(
        [("image", TensorProto.FLOAT, [1, 3, size, size])],
        [(x, "logits", TensorProto.FLOAT, [1, classes])],
    )


def resnet50(size: int = 224, classes: int = 1000) -> onnx.ModelProto:
    """ResNet-50 (v1.5): bottlenecks with the stride on the 3x3 convolution."""
    b = Builder("resnet50")

    def unit(x: str, channels: tuple[int, int], kernel: int, stride: int = 1) -> str:
        y = b.conv(x, channels, kernel, stride=stride, pad=kernel // 2, gain=1.4)
        return b.batch_norm(y, channels[1])

    x = b.node("Relu", unit("image", (3, 64), 7, 2))
    x = b.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inner = 64
    for width, repeats, first_stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for index in range(repeats):
            stride = first_stride if index == 0 else 1
            y = b.node("Relu", unit(x, (inner, width), 1))
            y = b.node("Relu", unit(y, (width, width), 3, stride))
            y = unit(y, (width, width * 4), 1)
            shortcut = unit(x, (inner, width * 4), 1, stride) if index == 0 else x
            x = b.node("Relu", b.node("Add", y, shortcut))
            inner = width * 4
    x = b.node("Flatten", b.node("GlobalAveragePool", x), axis=1)
    weight, bias = b.random((classes, inner), inner**-0.5), b.random((classes,), 0.1, "bias")
    x = b.node("Gemm", x, weight, bias, transB=1)
    return b.finish(
        [("image", TensorProto.FLOAT, [1, 3, size, size])],
        [(x, "logits", TensorProto.FLOAT, [1, classes])],
    )


def residual(size: int, width: int = 32) -> onnx.ModelProto:
    """A stem, then residual blocks of one 1x1 and of one 3x3 convolution, and a long sum."""
    b = Builder("residual")

    def unit(x: str, channels: tuple[int, int], kernel: int) -> str:
        y = b.conv(x, channels, kernel, pad=kernel // 2, gain=1.0)
        return b.batch_norm(y, channels[1])

    x = stem = b.node("Relu", unit("image", (3, width), 3))
    for kernel in (1, 3, 1):
        y = b.node("Relu", unit(x, (width, 2 * width), 1))
        x = b.node("Relu", b.node("Add", unit(y, (2 * width, width), kernel), x))
    x = b.node("Add", b.node("Sigmoid", x), stem)
    x = b.node("GlobalAveragePool", x)
    return b.finish(
        [("image", TensorProto.FLOAT, [1, 3, size, size])],
        [(x, "y", TensorProto.FLOAT, [1, width, 1, 1])],
    )


def bert(
    layers: int = 2,
    sequence: int = 128,
    width: int = 256,
    heads: int = 4,
    vocabulary: int = 1000,
    dynamic: bool = False,
) -> onnx.ModelProto:
    """BERT's encoder: embeddings, masked attention, GELU by Erf, decomposed layer norm."""
    b = Builder(f"bert_{layers}")
    depth = width // heads
    batch: int | str = "batch" if dynamic else 1
    length: int | str = "sequence" if dynamic else sequence

    def split(x: str, permutation: Sequence[int]) -> str:
        shape = b.ints(0, -1, heads, depth) if dynamic else b.ints(1, sequence, heads, depth)
        return b.node("Transpose", b.node("Reshape", x, shape), perm=list(permutation))

    def attention(x: str, mask: str) -> str:
        query = split(b.linear(x, width, width), (0, 2, 1, 3))
        key = split(b.linear(x, width, width), (0, 2, 3, 1))
        value = split(b.linear(x, width, width), (0, 2, 1, 3))
        scores = b.node("Div", b.node("MatMul", query, key), b.scalar(depth**0.5))
        weights = b.node("Softmax", b.node("Add", scores, mask), axis=-1)
        mixed = b.node("Transpose", b.node("MatMul", weights, value), perm=[0, 2, 1, 3])
        shape = b.ints(0, -1, width) if dynamic else b.ints(1, sequence, width)
        return b.linear(b.node("Reshape", mixed, shape), width, width)

    def gelu(x: str) -> str:
        error = b.node("Erf", b.node("Div", x, b.scalar(2**0.5)))
        return b.node("Mul", b.node("Mul", x, b.node("Add", error, b.scalar(1.0))), b.scalar(0.5))

    mask = b.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    mask = b.node("Unsqueeze", mask, b.ints(1, 2))
    mask = b.node("Mul", b.node("Sub", b.scalar(1.0), mask), b.scalar(-10000.0))
    x = b.node("Gather", b.random((vocabulary, width), 0.5, "words"), "input_ids", axis=0)
    kinds = b.node("Gather", b.random((2, width), 0.5, "kinds"), "token_type_ids", axis=0)
    x = b.node("Add", x, kinds)
    if not dynamic:
        x = b.node("Add", x, b.random((1, sequence, width), 0.1, "positions"))
    x = b.layer_norm(x, width)
    for _ in range(layers):
        x = b.layer_norm(b.node("Add", attention(x, mask), x), width)
        hidden = gelu(b.linear(x, width, width * 4))
        x = b.layer_norm(b.node("Add", b.linear(hidden, width * 4, width), x), width)
    first = b.node("Gather", x, b.constant(np.array(0, dtype=np.int64)), axis=1)
    pooled = b.node("Tanh", b.linear(first, width, width))
    names = ("input_ids", "attention_mask", "token_type_ids")
    return b.finish(
        [(name, TensorProto.INT64, [batch, length]) for name in names],
        [
            (x, "last_hidden_state", TensorProto.FLOAT, [batch, length, width]),
            (pooled, "pooler_output", TensorProto.FLOAT, [batch, width]),
        ],
    )


def tiny(channels: int = 8, size: int = 8) -> onnx.ModelProto:
    """One convolution, batch norm, ReLU and a classifier: compiles in about a second."""
    b = Builder("tiny")
    x = b.node("Relu", b.batch_norm(b.conv("image", (3, channels), 3, pad=1), channels))
    x = b.node("Flatten", b.node("GlobalAveragePool", x), axis=1)
    weight, bias = b.random((5, channels), channels**-0.5), b.random((5,), 0.1, "bias")
    x = b.node("Gemm", x, weight, bias, transB=1)
    return b.finish(
        [("image", TensorProto.FLOAT, [1, 3, size, size])],
        [(x, "logits", TensorProto.FLOAT, [1, 5])],
    )


def save(model: onnx.ModelProto, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path
