"""Random convolutions and matrix products from a seed, each as an ONNX model of one node.

Channels (1-2048) and sizes (1-224) are log-uniform; shapes whose work would take less than 10 us or
more than 20 ms at a nominal peak are drawn again. The peak is nominal and not measured, so that a
seed names the same shapes on every machine.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = (1, 2048)
SIZES = (1, 224)
KERNELS = (1, 3, 5, 7)
STRIDES = (1, 2)
GROUPS = (2, 32)
BATCHES = (1, 16)  # of batched matrix products
WORK_SECONDS = (10e-6, 20e-3)  # at the nominal peak
NOMINAL_GFLOPS = 200.0
MOST_BYTES = 128 << 20  # of an operand: larger ones would be a test of the disk
KINDS = {"conv": 45, "grouped": 10, "depthwise": 15, "matmul": 20, "batched": 10}  # percent


@dataclass(frozen=True)
class Conv:
    """A convolution of `[1, channels, height, width]` by `[filters, channels / groups, k, k]`."""

    channels: int
    filters: int
    height: int
    width: int
    kernel: int
    stride: int
    groups: int

    @property
    def flops(self) -> int:
        rows, columns = (-(-size // self.stride) for size in (self.height, self.width))
        taps = self.channels // self.groups * self.kernel**2
        return 2 * self.filters * rows * columns * taps

    @property
    def most_bytes(self) -> int:
        """Of the largest operand."""
        rows, columns = (-(-size // self.stride) for size in (self.height, self.width))
        weight = self.filters * (self.channels // self.groups) * self.kernel**2
        image = self.channels * self.height * self.width
        return 4 * max(weight, image, self.filters * rows * columns)

    def __str__(self) -> str:
        groups = f" groups {self.groups}" if self.groups > 1 else ""
        return (
            f"conv {self.channels}>{self.filters} {self.height}x{self.width} "
            f"k{self.kernel} s{self.stride}{groups}"
        )

    def model(self, seed: int) -> onnx.ModelProto:
        """The node with seeded weights and a bias, padded by `k // 2`."""
        rng = np.random.default_rng(seed)
        taps = (self.filters, self.channels // self.groups, self.kernel, self.kernel)
        scale = 1 / math.sqrt(math.prod(taps[1:]))
        weights = {
            "w": (rng.standard_normal(taps, np.float32) * np.float32(scale)),
            "b": rng.standard_normal(self.filters, np.float32),
        }
        node = helper.make_node(
            "Conv",
            ["x", "w", "b"],
            ["y"],
            kernel_shape=[self.kernel] * 2,
            strides=[self.stride] * 2,
            pads=[self.kernel // 2] * 4,
            group=self.groups,
        )
        return _model(node, {"x": (1, self.channels, self.height, self.width)}, weights)


@dataclass(frozen=True)
class MatMul:
    """`[batch, rows, inner]` by `[inner, columns]` (constant), or by `[batch, inner, columns]`."""

    batch: int
    rows: int
    inner: int
    columns: int
    constant: bool

    @property
    def flops(self) -> int:
        return 2 * self.batch * self.rows * self.inner * self.columns

    @property
    def most_bytes(self) -> int:
        """Of the largest operand."""
        rows, inner, columns = self.rows, self.inner, self.columns
        return 4 * self.batch * max(rows * inner, inner * columns, rows * columns)

    def __str__(self) -> str:
        what = "matmul" if self.constant else f"batched matmul {self.batch} x"
        return f"{what} {self.rows}x{self.inner}x{self.columns}"

    def model(self, seed: int) -> onnx.ModelProto:
        """The node; where the second operand is constant it has seeded values."""
        rng = np.random.default_rng(seed)
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
        if self.constant:
            weight = rng.standard_normal((self.inner, self.columns), np.float32)
            weight *= np.float32(1 / math.sqrt(self.inner))
            return _model(node, {"x": (self.rows, self.inner)}, {"w": weight})
        shapes = {
            "x": (self.batch, self.rows, self.inner),
            "w": (self.batch, self.inner, self.columns),
        }
        return _model(node, shapes, {})


Shape = Conv | MatMul


def shapes(seed: int, count: int, gflops: float = NOMINAL_GFLOPS) -> list[Shape]:
    """The first `count` shapes of a seed; a longer list starts with the shorter one."""
    rng = random.Random(seed)
    found: list[Shape] = []
    while len(found) < count:
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        shape = _draw(rng, kind)
        while not _fits(shape, gflops):
            shape = _draw(rng, kind)
        found.append(shape)
    return found


def _fits(shape: Shape, gflops: float) -> bool:
    """Whether its work and its operands are of a size that is measured."""
    low, high = WORK_SECONDS
    return low <= shape.flops / gflops / 1e9 <= high and shape.most_bytes <= MOST_BYTES


def _draw(rng: random.Random, kind: str) -> Shape:
    """One shape of a kind, of any work."""
    channels, filters = _log_uniform(rng, *CHANNELS), _log_uniform(rng, *CHANNELS)
    if kind in ("matmul", "batched"):
        batch = _log_uniform(rng, *BATCHES) if kind == "batched" else 1
        return MatMul(batch, _log_uniform(rng, *SIZES), channels, filters, kind == "matmul")
    groups = 1
    if kind == "grouped":  # as many channels as groups demand, within the range
        groups = _log_uniform(rng, GROUPS[0], GROUPS[1])
        channels, filters = (groups * max(1, size // groups) for size in (channels, filters))
    if kind == "depthwise":
        groups, filters = channels, channels
    height = _log_uniform(rng, *SIZES)
    width = height if rng.random() < 0.75 else _log_uniform(rng, *SIZES)
    return Conv(channels, filters, height, width, rng.choice(KERNELS), rng.choice(STRIDES), groups)


def _log_uniform(rng: random.Random, low: int, high: int) -> int:
    """A whole number of low..high; its logarithm is uniform."""
    return min(high, int(math.exp(rng.uniform(math.log(low), math.log(high + 1)))))


def _model(
    node: onnx.NodeProto, inputs: dict[str, tuple[int, ...]], weights: dict[str, np.ndarray]
) -> onnx.ModelProto:
    """A checked model of one node; the output's shape is inferred."""
    graph = helper.make_graph(
        [node],
        "sweep",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model)
    return model
