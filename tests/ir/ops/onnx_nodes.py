"""Ops as ONNX nodes, and what ONNX Runtime (or ONNX's own evaluator) makes of them.

    expected = run_onnx("conv", attrs, [x, w])

`NODES[op]` writes the op with a Builder; an op that ONNX does not have is not in it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from leip.ir import Attrs, DType, TensorType
from leip.ir import op as ops

OPSET = 23
IR_VERSION = 10


class Builder:
    """Collects nodes; `inputs` are the names of the op's inputs, `outputs` those to fill."""

    def __init__(self, arrays: list[np.ndarray], results: tuple[TensorType, ...]) -> None:
        self.arrays = arrays
        self.inputs = [f"x{i}" for i in range(len(arrays))]
        self.outputs = [f"y{i}" for i in range(len(results))]
        self.results = results
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, values: Any, dtype: type | np.dtype = np.int64) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def temporary(self, op: str, inputs: list[str], **attrs: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attrs))
        return name

    def final(self, op: str, inputs: list[str] | None = None, **attrs: Any) -> None:
        inputs = self.inputs if inputs is None else inputs
        self.nodes.append(helper.make_node(op, inputs, self.outputs, **attrs))

    def model(self) -> onnx.ModelProto:
        def info(name: str, dtype: DType, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(dtype.numpy), shape
            )

        graph = helper.make_graph(
            self.nodes,
            "op",
            [info(n, DType.from_numpy(a.dtype), a.shape) for n, a in zip(self.inputs, self.arrays)],
            [info(name, type.dtype, type.shape) for name, type in zip(self.outputs, self.results)],
            self.initializers,
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


Writer = Callable[[Builder, Any], None]


def run_onnx(op: str, attrs: Attrs, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs by ONNX Runtime, or where it has no kernel by ONNX's reference evaluator."""
    types = tuple(TensorType(DType.from_numpy(a.dtype), a.shape) for a in arrays)
    builder = Builder(arrays, ops.get(op).infer_types(attrs, types))
    NODES[op](builder, attrs)
    model = builder.model()
    feeds = dict(zip(builder.inputs, arrays))
    if any(array.dtype.name == "bfloat16" for array in arrays):  # no way to feed them
        return _evaluate(model, feeds)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), _options())
        return list(session.run(None, feeds))
    except (errors.NotImplemented, errors.InvalidGraph, errors.Fail):
        return _evaluate(model, feeds)


def _evaluate(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """ONNX's evaluator minds neither types beyond the standard's nor missing kernels."""
    with np.errstate(all="ignore"):
        return [np.asarray(result) for result in ReferenceEvaluator(model).run(None, feeds)]


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _same(name: str, *fields: str) -> Writer:
    """The node of this name with the same inputs, and these attributes under the same names."""

    def write(b: Builder, attrs: Any) -> None:
        b.final(name, **{field: getattr(attrs, field) for field in fields})

    return write


def _composed(*names: str) -> Writer:
    """Unary nodes one after the other."""

    def write(b: Builder, attrs: Any) -> None:
        value = functools.reduce(lambda v, name: b.temporary(name, [v]), names[:-1], b.inputs[0])
        b.final(names[-1], [value])

    return write


def _silu(b: Builder, attrs: Any) -> None:
    b.final("Mul", [b.inputs[0], b.temporary("Sigmoid", [b.inputs[0]])])


def _clip(b: Builder, attrs: Any) -> None:
    dtype = b.arrays[0].dtype
    bounds = [attrs.min, attrs.max]
    if dtype.kind in "iu":  # ONNX's bounds have the dtype
        info = np.iinfo(dtype)
        low, high = bounds
        bounds = [
            None if low is None or low <= info.min else np.ceil(low),
            None if high is None or high >= info.max else np.floor(high),
        ]
    names = ["" if v is None else b.constant(v, dtype) for v in bounds]
    b.final("Clip", [b.inputs[0], *names])


def _cast(b: Builder, attrs: Any) -> None:
    b.final("Cast", to=helper.np_dtype_to_tensor_dtype(attrs.to.numpy))


def _mod(b: Builder, attrs: Any) -> None:
    b.final("Mod", fmod=int(attrs.fmod))


def _shift(direction: str) -> Writer:
    return lambda b, attrs: b.final("BitShift", direction=direction)


def _reduce(name: str) -> Writer:
    def write(b: Builder, attrs: Any) -> None:
        inputs = [b.inputs[0], b.constant(attrs.axes)]
        b.final(name, inputs, keepdims=int(attrs.keepdims), noop_with_empty_axes=1)

    return write


def _arg(name: str) -> Writer:
    def write(b: Builder, attrs: Any) -> None:
        keepdims, last = int(attrs.keepdims), int(attrs.last)
        b.final(name, axis=attrs.axis, keepdims=keepdims, select_last_index=last)

    return write


def _conv(b: Builder, attrs: Any) -> None:
    fields = {"strides": attrs.strides, "pads": attrs.pads, "dilations": attrs.dilations}
    if b.arrays[0].dtype.kind in "iu":
        b.final("ConvInteger", group=attrs.groups, **fields)
    else:
        b.final("Conv", group=attrs.groups, **fields)


def _conv_transpose(b: Builder, attrs: Any) -> None:
    extra = attrs.output_padding or (0,) * len(attrs.strides)
    b.final(
        "ConvTranspose",
        strides=attrs.strides,
        pads=attrs.pads,
        dilations=attrs.dilations,
        group=attrs.groups,
        output_padding=extra,
    )


def _matmul(b: Builder, attrs: Any) -> None:
    def swapped(i: int) -> str:
        rank = b.arrays[i].ndim
        perm = [*range(rank - 2), rank - 1, rank - 2]
        return b.temporary("Transpose", [b.inputs[i]], perm=perm)

    left = swapped(0) if attrs.transpose_a else b.inputs[0]
    right = swapped(1) if attrs.transpose_b else b.inputs[1]
    small = b.arrays[0].dtype.itemsize == 1
    b.final("MatMulInteger" if small else "MatMul", [left, right])


def _pool(name: str) -> Writer:
    def write(b: Builder, attrs: Any) -> None:
        extra = {"count_include_pad": int(attrs.count_include_pad)} if name == "AveragePool" else {}
        b.final(
            name,
            kernel_shape=attrs.kernel,
            strides=attrs.strides,
            pads=attrs.pads,
            dilations=attrs.dilations,
            ceil_mode=int(attrs.ceil_mode),
            **extra,
        )

    return write


def _group_norm(b: Builder, attrs: Any) -> None:
    b.final("GroupNormalization", num_groups=attrs.groups, epsilon=attrs.epsilon)


def _split(b: Builder, attrs: Any) -> None:
    b.final("Split", [b.inputs[0], b.constant(attrs.sizes)], axis=attrs.axis)


def _slice(b: Builder, attrs: Any) -> None:
    lists = [attrs.starts, attrs.ends, attrs.axes, attrs.steps]
    b.final("Slice", [b.inputs[0], *(b.constant(values) for values in lists)])


def _pad(b: Builder, attrs: Any) -> None:
    value = b.constant(attrs.value, b.arrays[0].dtype)
    b.final("Pad", [b.inputs[0], b.constant(attrs.pads), value], mode=attrs.mode)


def _with_constant(name: str, field: str) -> Writer:
    def write(b: Builder, attrs: Any) -> None:
        b.final(name, [b.inputs[0], b.constant(getattr(attrs, field))])

    return write


def _transpose(b: Builder, attrs: Any) -> None:
    b.final("Transpose", **({"perm": attrs.perm} if attrs.perm else {}))


def _expand(b: Builder, attrs: Any) -> None:
    shape = [1 if size == -1 else size for size in attrs.shape]
    b.final("Expand", [b.inputs[0], b.constant(shape)])


def _resize(b: Builder, attrs: Any) -> None:
    roi = b.constant(attrs.roi, np.float32) if attrs.roi else ""
    scales = b.constant(attrs.scales, np.float32) if attrs.scales else ""
    sizes = [b.constant(attrs.sizes)] if attrs.sizes else []
    b.final(
        "Resize",
        [b.inputs[0], roi, scales, *sizes],
        mode=attrs.mode,
        coordinate_transformation_mode=attrs.coordinate,
        nearest_mode=attrs.nearest_mode,
        cubic_coeff_a=attrs.cubic_a,
        exclude_outside=int(attrs.exclude_outside),
        extrapolation_value=attrs.extrapolation_value,
    )


def _cumsum(b: Builder, attrs: Any) -> None:
    inputs = [b.inputs[0], b.constant(attrs.axis)]
    b.final("CumSum", inputs, exclusive=int(attrs.exclusive), reverse=int(attrs.reverse))


def _topk(b: Builder, attrs: Any) -> None:
    inputs = [b.inputs[0], b.constant([attrs.k])]
    b.final("TopK", inputs, axis=attrs.axis, largest=int(attrs.largest))


def _range(b: Builder, attrs: Any) -> None:
    dtype = attrs.dtype.numpy
    numbers = [b.constant(v, dtype) for v in (attrs.start, attrs.limit, attrs.delta)]
    b.final("Range", numbers)


NODES: dict[str, Writer] = {
    "identity": _same("Identity"),
    "neg": _same("Neg"),
    "abs": _same("Abs"),
    "sign": _same("Sign"),
    "sqrt": _same("Sqrt"),
    "rsqrt": _composed("Sqrt", "Reciprocal"),
    "reciprocal": _same("Reciprocal"),
    "exp": _same("Exp"),
    "log": _same("Log"),
    "erf": _same("Erf"),
    "floor": _same("Floor"),
    "ceil": _same("Ceil"),
    "round": _same("Round"),
    "sin": _same("Sin"),
    "cos": _same("Cos"),
    "tan": _same("Tan"),
    "asin": _same("Asin"),
    "acos": _same("Acos"),
    "atan": _same("Atan"),
    "sinh": _same("Sinh"),
    "cosh": _same("Cosh"),
    "asinh": _same("Asinh"),
    "acosh": _same("Acosh"),
    "atanh": _same("Atanh"),
    "not": _same("Not"),
    "bitwise_not": _same("BitwiseNot"),
    "isnan": _same("IsNaN"),
    "isinf": _same("IsInf"),
    "relu": _same("Relu"),
    "tanh": _same("Tanh"),
    "sigmoid": _same("Sigmoid"),
    "silu": _silu,
    "mish": _same("Mish"),
    "hardswish": _same("HardSwish"),
    "softsign": _same("Softsign"),
    "softplus": _same("Softplus"),
    "gelu": _same("Gelu", "approximate"),
    "leaky_relu": _same("LeakyRelu", "alpha"),
    "elu": _same("Elu", "alpha"),
    "celu": _same("Celu", "alpha"),
    "selu": _same("Selu", "alpha", "gamma"),
    "hard_sigmoid": _same("HardSigmoid", "alpha", "beta"),
    "thresholded_relu": _same("ThresholdedRelu", "alpha"),
    "clip": _clip,
    "cast": _cast,
    "add": _same("Add"),
    "sub": _same("Sub"),
    "mul": _same("Mul"),
    "div": _same("Div"),
    "mod": _mod,
    "pow": _same("Pow"),
    "maximum": _same("Max"),
    "minimum": _same("Min"),
    "prelu": _same("PRelu"),
    "equal": _same("Equal"),
    "less": _same("Less"),
    "less_equal": _same("LessOrEqual"),
    "greater": _same("Greater"),
    "greater_equal": _same("GreaterOrEqual"),
    "and": _same("And"),
    "or": _same("Or"),
    "xor": _same("Xor"),
    "bitwise_and": _same("BitwiseAnd"),
    "bitwise_or": _same("BitwiseOr"),
    "bitwise_xor": _same("BitwiseXor"),
    "shift_left": _shift("LEFT"),
    "shift_right": _shift("RIGHT"),
    "where": _same("Where"),
    "reduce_sum": _reduce("ReduceSum"),
    "reduce_mean": _reduce("ReduceMean"),
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "reduce_prod": _reduce("ReduceProd"),
    "argmax": _arg("ArgMax"),
    "argmin": _arg("ArgMin"),
    "softmax": _same("Softmax", "axis"),
    "log_softmax": _same("LogSoftmax", "axis"),
    "cumsum": _cumsum,
    "topk": _topk,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "matmul": _matmul,
    "max_pool": _pool("MaxPool"),
    "avg_pool": _pool("AveragePool"),
    "lrn": _same("LRN", "size", "alpha", "beta", "bias"),
    "batch_norm": _same("BatchNormalization", "epsilon"),
    "layer_norm": _same("LayerNormalization", "axis", "epsilon"),
    "instance_norm": _same("InstanceNormalization", "epsilon"),
    "group_norm": _group_norm,
    "rms_norm": _same("RMSNormalization", "axis", "epsilon"),
    "concat": _same("Concat", "axis"),
    "split": _split,
    "slice": _slice,
    "pad": _pad,
    "transpose": _transpose,
    "reshape": _with_constant("Reshape", "shape"),
    "expand": _expand,
    "tile": _with_constant("Tile", "repeats"),
    "gather": _same("Gather", "axis"),
    "gather_elements": _same("GatherElements", "axis"),
    "gather_nd": _same("GatherND", "batch_dims"),
    "scatter_nd": _same("ScatterND", "reduction"),
    "scatter_elements": _same("ScatterElements", "axis", "reduction"),
    "resize": _resize,
    "range": _range,
}
