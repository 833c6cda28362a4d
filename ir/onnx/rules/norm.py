"""Normalizations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...dtypes import DType
from ...graph import Value
from ..call import Call, Results, Rule
from ..problems import Unsupported


def _batch_normalization(call: Call) -> Results:
    training = call.opset >= 14 and call.get_bool("training_mode")
    if any(call.wanted[1:]) and not training:
        raise Unsupported("training mode", "Export the model for inference (model.eval()).")
    if call.opset < 9 and not call.get_bool("spatial", True):
        raise Unsupported("spatial=0: parameters per position instead of per channel")
    x = call[0]
    parameters = [call.cast(call[i], x.dtype) for i in range(1, 5)]
    if training:
        return _batch_statistics(call, x, parameters)
    if x.rank == 1:  # [C] stands for [1, C]
        y = call.op("batch_norm", call.reshape(x, (1, *x.shape)), *parameters, **_epsilon(call))
        return call.reshape(y, x.shape)
    return call.op("batch_norm", x, *parameters, **_epsilon(call))


def _batch_statistics(call: Call, x: Value, parameters: Sequence[Value]) -> Results:
    """Training mode: by the batch's own mean and variance. Standardized weights (timm's NFNet,
    BiT) are exported as that; of a constant it is folded."""
    if x.rank < 2:
        raise Unsupported("training mode on an operand without channels")
    scale, bias, old_mean, old_variance = parameters
    axes = tuple(axis for axis in range(x.rank) if axis != 1)
    per_channel = (x.shape[1], *[1] * (x.rank - 2))
    mean = call.op("reduce_mean", x, axes=axes, keepdims=True)
    centred = call.op("sub", x, mean)
    variance = call.op("reduce_mean", call.op("mul", centred, centred), axes=axes, keepdims=True)
    shifted = call.op("add", variance, call.scalar(call.get_float("epsilon", 1e-5), x))
    factor = call.op("mul", call.op("rsqrt", shifted), call.reshape(scale, per_channel))
    y = call.op("add", call.op("mul", centred, factor), call.reshape(bias, per_channel))
    momentum = call.get_float("momentum", 0.9)

    def running(old: Value, new: Value) -> Value:
        kept = call.op("mul", old, call.scalar(momentum, old))
        flat = call.reshape(new, old.shape)
        return call.op("add", kept, call.op("mul", flat, call.scalar(1 - momentum, old)))

    if not any(call.wanted[1:]):
        return y
    return y, running(old_mean, mean), running(old_variance, variance)


def _epsilon(call: Call) -> dict[str, float]:
    return {"epsilon": call.get_float("epsilon", 1e-5)}


def _instance_normalization(call: Call) -> Results:
    return call.op("instance_norm", call[0], call[1], call[2], **_epsilon(call))


def _group_normalization(call: Call) -> Results:
    """Scale and bias are per group until opset 20, per channel from 21 on."""
    x, groups = call[0], call.get_int("num_groups")
    channels = x.shape[1]
    parameters = []
    for value in (call[1], call[2]):
        if call.opset < 21 and value.shape == (groups,) and channels != groups:
            column = call.reshape(value, (groups, 1))
            wide = call.op("expand", column, shape=(groups, channels // groups))
            value = call.reshape(wide, (channels,))
        parameters.append(call.cast(value, x.dtype))
    return call.op("group_norm", x, *parameters, groups=groups, **_epsilon(call))


def tail_parameter(call: Call, value: Value | None, x: Value, axis: int, fill: float) -> Value:
    """A scale or bias in the shape of `x` from `axis` on; `fill` where it is left out."""
    shape = x.shape[axis:]
    if value is None:
        return call.constant(np.full(shape, fill, x.dtype.numpy))
    while value.rank > len(shape) and value.shape[0] == 1:
        value = call.reshape(value, value.shape[1:])
    value = call.cast(value, x.dtype)
    return value if value.shape == shape else call.op("expand", value, shape=shape)


def layer_normalization(call: Call) -> Results:
    x = call[0]
    axis = call.axis(call.get_int("axis", -1), x.rank)
    scale = tail_parameter(call, call.optional(1), x, axis, 1.0)
    bias = tail_parameter(call, call.optional(2), x, axis, 0.0)
    y = call.op("layer_norm", x, scale, bias, axis=axis - x.rank, **_epsilon(call))
    if not any(call.wanted[1:]):
        return y
    mean, inverse = statistics(call, x, axis)
    return y, mean, inverse


def statistics(call: Call, x: Value, axis: int) -> tuple[Value, Value]:
    """Mean and 1 / sqrt(variance + epsilon) over the axes from `axis` on, in f32."""
    x = call.cast(x, DType.F32) if x.dtype is not DType.F64 else x
    axes = tuple(range(axis, x.rank))
    mean = call.op("reduce_mean", x, axes=axes, keepdims=True)
    centred = call.op("sub", x, mean)
    variance = call.op("reduce_mean", call.op("mul", centred, centred), axes=axes, keepdims=True)
    shifted = call.op("add", variance, call.scalar(call.get_float("epsilon", 1e-5), x))
    return mean, call.op("rsqrt", shifted)


def rms_normalization(call: Call) -> Results:
    x = call[0]
    axis = call.axis(call.get_int("axis", -1), x.rank)
    if any(call.wanted[1:]):
        raise Unsupported("its second output is used")
    scale = tail_parameter(call, call.optional(1), x, axis, 1.0)
    return call.op("rms_norm", x, scale, axis=axis - x.rank, **_epsilon(call))


def _lrn(call: Call) -> Results:
    return call.op(
        "lrn", call[0], size=call.get_int("size"), alpha=call.get_float("alpha", 0.0001),
        beta=call.get_float("beta", 0.75), bias=call.get_float("bias", 1.0),
    )  # fmt: skip


def _lp_normalization(call: Call) -> Results:
    """x / norm along one axis; 0 where the norm is 0."""
    x, p = call[0], call.get_int("p", 2)
    axes = (call.axis(call.get_int("axis", -1), x.rank),)
    powers = call.op("abs", x) if p == 1 else call.op("mul", x, x)
    norm = call.op("reduce_sum", powers, axes=axes, keepdims=True)
    if p == 2:
        norm = call.op("sqrt", norm)
    zero = call.scalar(0, x)
    safe = call.op("where", call.op("equal", norm, zero), call.scalar(1, x), norm)
    return call.op("div", x, safe)


def _mean_variance_normalization(call: Call) -> Results:
    x = call[0]
    axes = call.axes(call.get_ints("axes", (0, 2, 3)), x.rank)
    mean = call.op("reduce_mean", x, axes=axes, keepdims=True)
    centred = call.op("sub", x, mean)
    variance = call.op("reduce_mean", call.op("mul", centred, centred), axes=axes, keepdims=True)
    deviation = call.op("add", call.op("sqrt", variance), call.scalar(1e-9, x))
    return call.op("div", centred, deviation)


RULES: dict[str, Rule] = {
    "BatchNormalization": _batch_normalization,
    "InstanceNormalization": _instance_normalization,
    "GroupNormalization": _group_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
    # ONNX Runtime's optimizer writes this into ONNX's own domain
    "SimplifiedLayerNormalization": rms_normalization,
    "LRN": _lrn,
    "LpNormalization": _lp_normalization,
    "MeanVarianceNormalization": _mean_variance_normalization,
}
