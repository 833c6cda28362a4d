"""Random ONNX graphs whose results can be compared: odd sizes, groups, pads, axes, types.

    model, feeds = random_graph(seed, nodes=8)

ONNX Runtime runs every node as it is added, on the values that the inputs give. A node stays if its
results are finite, not huge, and move little when its operands do: no rounding of halves, no
comparison of equals, no cast that does not fit (undefined in ONNX).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

F32 = np.float32
OPSET, IR_VERSION = 21, 10
CHANNELS, SIZES = (1, 3, 7, 13, 16, 17, 24, 32, 58), (1, 2, 3, 5, 7, 8, 13, 17)
MOST_ELEMENTS = 60_000
UNARY = (
    *("Abs", "Acos", "Asinh", "Atan", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor"),
    *("Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu"),
    *("Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh"),
)
BINARY = ("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Mod")
CASTS = ("FLOAT", "FLOAT16", "DOUBLE", "INT32", "INT64", "INT8", "UINT8", "BOOL")
REDUCTIONS = ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp")
ALONG = ("Softmax", "LogSoftmax", "Hardmax", "ArgMax", "ArgMin", "LpNormalization", "CumSum")

Test = Callable[[np.ndarray], bool]


class Rejected(Exception):
    """Nothing fits, or the node is not valid or not well-conditioned."""


class RandomGraph:
    """A graph that grows: `values` are its tensors for the inputs' values."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[str] = []
        self.values: dict[str, np.ndarray] = {}
        self.constants: dict[str, np.ndarray] = {}

    def one(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def some(self, count: int, choices: Sequence[int]) -> list[int]:
        return [self.one(choices) for _ in range(count)]

    def flip(self, chance: float = 0.5) -> bool:
        return bool(self.rng.random() < chance)

    def pick(self, test: Test = lambda a: a.dtype.kind == "f") -> str:
        """A tensor that fits, late ones more likely."""
        names = [name for name, array in self.values.items() if test(array)]
        if not names:
            raise Rejected
        return names[max(0, len(names) - int(self.rng.geometric(0.35)))]

    def axis(self, x: str) -> int:
        rank = self.values[x].ndim
        return int(self.rng.integers(-rank, rank))

    def constant(self, array: Any, dtype: Any = np.int64) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array, dtype)
        return name

    def normal(self, *shape: int, scale: float = 1.0, dtype: Any = F32) -> str:
        return self.constant(self.rng.standard_normal(shape) * scale, dtype)

    def like(self, x: str) -> str:
        """Something that broadcasts with x: another tensor, or a constant."""
        array = self.values[x]
        if self.flip(0.4):
            return self.pick(lambda a: a.dtype == array.dtype and broadcasts(a, array))
        shape = [size if self.flip(0.6) else 1 for size in array.shape]
        shape = shape[self.one(range(len(shape) + 1)) if self.flip(0.4) else 0 :]
        if array.dtype.kind == "f":
            return self.normal(*shape, dtype=array.dtype)
        return self.constant(self.rng.integers(1, 5, shape), array.dtype)

    def node(self, op: str, *operands: str, outputs: int = 1, **attributes: Any) -> str:
        """Append a node; gives its first result. Raises Rejected."""
        names = [f"t{len(self.values) + i}" for i in range(outputs)]
        node = helper.make_node(op, operands, names, **attributes)
        known = self.constants | self.values
        feeds = {name: known[name] for name in operands if name}
        results = evaluate(node, feeds)
        moved = evaluate(node, {n: x if n in self.constants else self._moved(x)
                                for n, x in feeds.items()})  # fmt: skip
        if not all(map(_conditioned, results, moved)):
            raise Rejected
        if op == "Cast" and results[0].dtype.kind in "iu":
            info, given = np.iinfo(results[0].dtype), feeds[operands[0]]
            if given.min() < info.min or given.max() > info.max:
                raise Rejected
        self.nodes.append(node)
        self.values.update(zip(names, results))
        return names[0]

    def _moved(self, x: np.ndarray) -> np.ndarray:
        if x.dtype.kind != "f":
            return x
        size = np.abs(x).max() * (2e-3 if x.dtype == np.float16 else 2e-4)
        return x + (self.rng.uniform(-1, 1, x.shape) * size).astype(x.dtype)

    def finish(self) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
        """The model, whose outputs are all leaves and some tensors inside."""
        used = {name for node in self.nodes for name in node.input}
        made = [name for name in self.values if name not in self.inputs]
        outputs = [name for name in made if name not in used or self.flip(0.15)]
        constants = [numpy_helper.from_array(a, n) for n, a in self.constants.items() if n in used]
        model = one_model(
            self.nodes,
            [_info(name, self.values[name]) for name in self.inputs],
            [_info(name, self.values[name]) for name in outputs],
            constants,
        )
        onnx.checker.check_model(model)
        return model, {name: self.values[name] for name in self.inputs}


def _conditioned(x: np.ndarray, moved: np.ndarray) -> bool:
    if not 0 < x.size <= MOST_ELEMENTS or x.shape != moved.shape:
        return False
    if x.dtype.kind != "f":
        return np.array_equal(x, moved)
    size = np.abs(x).max()  # NaN where any is
    return bool(size < 1e4 and np.abs(x - moved).max() <= 1e-2 * max(size, 1e-2))


def broadcasts(a: np.ndarray, b: np.ndarray) -> bool:
    return all(s == t or 1 in (s, t) for s, t in zip(a.shape[::-1], b.shape[::-1]))


def one_model(nodes: list, inputs: list, outputs: list, constants: list) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "random", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _info(name: str, x: np.ndarray) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)


def run_onnx(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return list(onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, feeds))


def evaluate(node: onnx.NodeProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """One node alone. Raises Rejected where ONNX Runtime refuses it."""
    inputs = [_info(name, array) for name, array in feeds.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    try:
        return run_onnx(one_model([node], inputs, outputs, []), feeds)
    except Exception as error:  # its exceptions have no common base
        raise Rejected from error


# --- a function a kind of node --------------------------------------------------------------------


def image(a: np.ndarray) -> bool:
    return a.dtype == F32 and a.ndim == 4


def shaped(a: np.ndarray) -> bool:
    return a.ndim > 0


def unary(g: RandomGraph) -> None:
    g.node(g.one(UNARY), g.pick())


def near_zero(g: RandomGraph) -> None:
    """Functions that are infinite or NaN where padding is 0."""
    x = g.pick()
    x = g.node("Add", g.node("Abs", x), g.constant(0.25, g.values[x].dtype))
    op = g.one(["Log", "Reciprocal", "Sqrt", "Div"])
    g.node(op, *([g.like(x)] if op == "Div" else []), x)


def binary(g: RandomGraph) -> None:
    x = g.pick(lambda a: a.dtype != bool)
    operands = [x, g.like(x)][:: g.one([1, -1])]
    op = g.one(BINARY)
    g.node(op, *operands, **({"fmod": int(g.values[x].dtype.kind == "f")} if op == "Mod" else {}))


def select(g: RandomGraph) -> None:
    x = g.pick(lambda a: a.dtype != bool)
    condition = g.node(g.one(["Less", "GreaterOrEqual", "Equal"]), x, g.like(x))
    if g.flip(0.3):
        condition = g.node(g.one(["And", "Or", "Xor"]), condition, g.like(condition))
    g.node("Where", condition, *[x, g.like(x)][:: g.one([1, -1])])


def cast(g: RandomGraph) -> None:
    g.node("Cast", g.pick(lambda a: True), to=getattr(TensorProto, g.one(CASTS)))


def activation(g: RandomGraph, x: str) -> str:
    kind = g.one(["Relu", "HardSwish", "Sigmoid", "LeakyRelu", "Clip", "PRelu", "silu"])
    if kind == "silu":
        return g.node("Mul", x, g.node("Sigmoid", x))
    if kind == "Clip":
        return g.node(kind, x, g.constant(0, F32), g.constant(6, F32))
    if kind == "PRelu":
        return g.node(kind, x, g.normal(g.values[x].shape[1], *(1,) * (g.values[x].ndim - 2)))
    return g.node(kind, x)


def window(g: RandomGraph, n: int, dilated: bool = True) -> dict[str, Any]:
    kernel = g.some(n, [1, 2, 3, 3, 5])
    attributes = {"kernel_shape": kernel, "strides": g.some(n, [1, 1, 2, 3])}
    if dilated and g.flip(0.25):
        attributes["dilations"] = g.some(n, [1, 2, 3])
    if g.flip(0.2):
        return attributes | {"auto_pad": g.one(["SAME_UPPER", "SAME_LOWER", "VALID"])}
    even = g.flip(0.7)
    return attributes | {"pads": [k // 2 if even else g.one(range(k)) for k in kernel * 2]}


def conv(g: RandomGraph) -> None:
    """Often with normalization, activation and sum: what is fused."""
    x = g.pick(lambda a: a.dtype == F32 and a.ndim in (3, 4))
    channels = g.values[x].shape[1]
    groups = g.one([1, 1, channels, g.one(divisors(channels))])
    outer = groups * g.one([1, 2, 3]) if groups > 1 else g.one(CHANNELS)
    attributes = window(g, g.values[x].ndim - 2)
    shape = channels // groups, *attributes["kernel_shape"]
    w = g.normal(outer, *shape, scale=float(np.prod(shape)) ** -0.5)
    x = g.node("Conv", x, w, *([g.normal(outer)] if g.flip() else []), group=groups, **attributes)
    if g.flip(0.4):
        variance = g.constant(g.rng.uniform(0.5, 2, outer), F32)
        x = g.node("BatchNormalization", x, *(g.normal(outer) for _ in range(3)), variance)
    if g.flip(0.6):
        x = activation(g, x)
    if g.flip(0.4):
        g.node("Add", x, g.like(x))


def conv_transpose(g: RandomGraph) -> None:
    x = g.pick(image)
    channels, outer, kernel = g.values[x].shape[1], g.one([1, 2, 8, 17]), g.some(2, [1, 2, 3, 4])
    groups, strides = g.one([1, 1, g.one(divisors(channels))]), g.some(2, [1, 2, 3])
    w = g.normal(channels, outer, *kernel, scale=float(channels / groups) ** -0.5)
    g.node("ConvTranspose", x, w, group=groups, strides=strides, kernel_shape=kernel,
           pads=[g.one(range(k)) for k in kernel * 2], dilations=g.some(2, [1, 1, 2]),
           output_padding=[g.one(range(s)) for s in strides])  # fmt: skip


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def pool(g: RandomGraph) -> None:
    x, kind = g.pick(image), g.one(["MaxPool", "AveragePool", "GlobalAveragePool"])
    if kind == "GlobalAveragePool":
        g.node(kind, x)
        return
    attributes = window(g, 2, dilated=kind == "MaxPool")
    if kind == "AveragePool":
        attributes["count_include_pad"] = int(g.flip())
    pads = attributes.get("pads", [0] * 4)
    if "pads" in attributes and g.flip(0.4):
        attributes["ceil_mode"] = 1
    elif not attributes.get("auto_pad", "").startswith("SAME"):
        dilations = attributes.get("dilations", [1, 1])
        for i, (k, d) in enumerate(zip(attributes["kernel_shape"], dilations)):
            if (k - 1) * d + 1 > g.values[x].shape[2 + i] + pads[i] + pads[2 + i]:
                raise Rejected  # ONNX Runtime makes something of a window that does not fit
    g.node(kind, x, **attributes)


def branches(g: RandomGraph) -> None:
    """Convolutions of one image, joined along odd channels."""
    x = g.pick(image)
    parts = [x] if g.flip(0.3) else []
    for _ in range(g.one([2, 3])):
        inner, outer, k = g.values[x].shape[1], g.one(CHANNELS), g.one([1, 3])
        w = g.normal(outer, inner, k, k, scale=(inner * k * k) ** -0.5)
        parts.append(activation(g, g.node("Conv", x, w, pads=[k // 2] * 4)))
    x = g.node("Concat", *parts, axis=1)
    if g.flip():
        inner = g.values[x].shape[1]
        x = g.node("Conv", x, g.normal(24, inner, 1, 1, scale=inner**-0.5))
    if g.flip(0.3):
        g.node("Transpose", x, perm=[0, 2, 3, 1])


def matmul(g: RandomGraph) -> None:
    x = g.pick(lambda a: a.dtype.kind == "f" and a.ndim > 1)
    array, outer = g.values[x], g.one([1, 3, 7, 16, 24, 33, 58])
    batch = array.shape[:-2] if g.flip(0.3) else ()
    if g.flip(0.8):
        inner = array.shape[-1]
        w = g.normal(*batch, inner, outer, scale=inner**-0.5, dtype=array.dtype)
        x = g.node("MatMul", x, w)
    else:
        inner = array.shape[-2]
        w = g.normal(*batch, outer, inner, scale=inner**-0.5, dtype=array.dtype)
        x = g.node("MatMul", w, x)
    if g.flip():
        x = g.node("Add", x, g.like(x))
    if g.flip(0.3):
        g.node(g.one(["Relu", "Tanh", "Gelu"]), x)


def gemm(g: RandomGraph) -> None:
    x = g.pick(lambda a: a.dtype == F32 and a.ndim == 2)
    left, right = int(g.flip(0.3)), int(g.flip())
    rows, inner = g.values[x].shape[::-1] if left else g.values[x].shape
    outer = g.one([1, 3, 7, 16, 24, 58])
    w = g.normal(*(outer, inner)[:: 1 if right else -1], scale=inner**-0.5)
    c = g.normal(*g.one([(outer,), (1, outer), (rows, 1), (rows, outer)]))
    g.node("Gemm", x, w, c, transA=left, transB=right, alpha=0.75, beta=1.5)


def attention(g: RandomGraph) -> None:
    x = g.pick(lambda a: a.dtype == F32 and a.ndim > 1)
    rank, depth = g.values[x].ndim, g.values[x].shape[-1]
    key = g.node("Transpose", x, perm=[*range(rank - 2), rank - 1, rank - 2])
    scores = g.node("MatMul", g.node("Mul", x, g.constant(depth**-0.5, F32)), key)
    g.node("MatMul", g.node("Softmax", scores, axis=-1), x)


def reduce(g: RandomGraph) -> None:
    x = g.pick(lambda a: a.dtype.kind == "f" and a.ndim > 0)
    rank = g.values[x].ndim
    axes = g.rng.choice(rank, g.one(range(1, rank + 1)), replace=False)
    axes = axes - rank * (g.rng.random(len(axes)) < 0.3)
    g.node(f"Reduce{g.one(REDUCTIONS)}", x, g.constant(axes), keepdims=int(g.flip()))


def along(g: RandomGraph) -> None:
    x = g.pick(lambda a: a.dtype.kind == "f" and a.ndim > 0)
    kind, axis = g.one(ALONG), g.axis(x)
    if kind == "CumSum":
        g.node(kind, x, g.constant(axis), exclusive=int(g.flip()), reverse=int(g.flip()))
    else:
        g.node(kind, x, axis=axis)


def norm(g: RandomGraph) -> None:
    if g.flip():
        x = g.pick(lambda a: a.dtype == F32 and a.ndim > 1)
        axis = g.one([-1, -1, -2])
        scale, shift = (g.normal(*g.values[x].shape[axis:]) for _ in range(2))
        g.node("LayerNormalization", x, scale, shift, axis=axis)
        return
    x = g.pick(image)
    channels = g.values[x].shape[1]
    weights = [g.normal(channels) for _ in range(2)]
    kind = g.one(["InstanceNormalization", "GroupNormalization", "LRN"])
    if kind == "LRN":
        g.node(kind, x, size=g.one([1, 3, 5]), alpha=0.1)
    else:
        groups = {"num_groups": g.one(divisors(channels))} if kind.startswith("Group") else {}
        g.node(kind, x, *weights, **groups)


def concat(g: RandomGraph) -> None:
    x = g.pick(shaped)
    axis, array = g.axis(x), g.values[x]

    def fits(a: np.ndarray) -> bool:
        if a.dtype != array.dtype or a.ndim != array.ndim:
            return False
        return all(a.shape[i] == array.shape[i] for i in range(a.ndim) if i != axis % a.ndim)

    g.node("Concat", *(g.pick(fits) for _ in range(g.one([1, 2, 3]))), x, axis=axis)


def split(g: RandomGraph) -> None:
    x = g.pick(lambda a: a.ndim > 0 and a.size > 1)
    axis = g.axis(x)
    first = g.one(range(g.values[x].shape[axis]))
    sizes = [first, g.values[x].shape[axis] - first]
    g.node("Split", x, g.constant(sizes), outputs=2, axis=axis)


def cut(g: RandomGraph) -> None:
    x = g.pick(shaped)
    axis = g.axis(x)
    size = g.values[x].shape[axis]
    low = g.one(range(size))
    high, step = g.one(range(low, size)) + 1, g.one([1, 1, 2, 3])
    rows = [low - size * g.flip(0.3), high, axis, step]
    if g.flip(0.3):
        rows = [high - 1, low - 1 - size * (low == 0 or g.flip()), axis, -step]
    g.node("Slice", x, *(g.constant([value]) for value in rows))


def pad(g: RandomGraph) -> None:
    x = g.pick(lambda a: a.ndim > 0 and a.dtype != bool)
    mode = g.one(["constant", "constant", "reflect", "edge", "wrap"])
    pads = g.rng.integers(-(mode == "constant"), 3, 2 * g.values[x].ndim)
    g.node("Pad", x, g.constant(pads * (g.rng.random(pads.size) < 0.6)), mode=mode)


def move(g: RandomGraph) -> None:
    x = g.pick(shaped)
    shape = g.values[x].shape
    kind = g.one(["Transpose", "Transpose", "Reshape", "Flatten", "Unsqueeze", "Tile", "Expand",
                  "DepthToSpace", "SpaceToDepth"])  # fmt: skip
    if kind == "Transpose":
        g.node(kind, x, perm=[int(a) for a in g.rng.permutation(len(shape))])
    elif kind == "Reshape":
        outer = g.one(divisors(g.values[x].size))
        g.node(kind, x, g.constant(g.one([[outer, -1], [1, outer, -1], [-1, outer, 1]])))
    elif kind == "Flatten":
        g.node(kind, x, axis=g.axis(x))
    elif kind == "Unsqueeze":
        g.node(kind, x, g.constant([g.axis(x)]))
    elif kind == "Tile":
        g.node(kind, x, g.constant(g.some(len(shape), [1, 1, 2, 3])))
    elif kind == "Expand":
        g.node(kind, x, g.constant([3 if s == 1 else g.one([1, s]) for s in shape]))
    else:
        g.node(kind, g.pick(image), blocksize=2)


def gather(g: RandomGraph) -> None:
    x = g.pick(shaped)
    axis = g.axis(x)
    shape, size = list(g.values[x].shape), g.values[x].shape[axis]
    kind = g.one(["Gather", "Gather", "GatherElements"])
    shape[axis] = g.one([1, 3])
    where = g.one([(), (1,), (2, 3), (7,)]) if kind == "Gather" else shape
    g.node(kind, x, g.constant(g.rng.integers(-size, size, where)), axis=axis)


def resize(g: RandomGraph) -> None:
    x, mode = g.pick(image), g.one(["nearest", "linear", "cubic"])
    places = g.one(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    scales = g.constant([1, 1, g.one([0.5, 1, 1.5, 2, 3]), g.one([0.5, 1, 2])], F32)
    sizes = g.constant([*g.values[x].shape[:2], g.one([1, 3, 7, 13]), g.one([1, 4, 9])])
    given = ["", scales] if g.flip() else ["", "", sizes]
    g.node("Resize", x, *given, mode=mode, coordinate_transformation_mode=places)


Kind = Callable[[RandomGraph], None]
IMAGES: tuple[Kind, ...] = (
    unary, near_zero, binary, conv, conv, conv, conv_transpose, pool, branches, branches, norm,
    concat, split, cut, pad, move, resize, reduce, along,
)  # fmt: skip
ALL: tuple[Kind, ...] = (*IMAGES, select, cast, cast, matmul, matmul, gemm, attention, gather)


def random_graph(
    seed: int, nodes: int, kinds: Sequence[Kind] = ALL
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A model of at least this many nodes, and inputs for it."""
    g = RandomGraph(seed)
    shapes = [
        (g.one([1, 1, 2]), g.one(CHANNELS), g.one(SIZES), g.one(SIZES)),
        (g.one([1, 2, 3]), g.one(SIZES), g.one([1, 3, 7, 16, 24, 58])),
        (g.one([1, 3, 7, 13]), g.one([1, 3, 24, 58])),
        (g.one(SIZES),),
    ]
    for shape in [shapes[0], *(g.one(shapes) for _ in range(g.one([0, 1, 2])))]:
        g.inputs.append(f"x{len(g.inputs)}")
        g.values[g.inputs[-1]] = g.rng.standard_normal(shape).astype(F32)
    while len(g.nodes) < nodes:
        try:
            g.one(kinds)(g)
        except Rejected:
            continue
    return g.finish()
