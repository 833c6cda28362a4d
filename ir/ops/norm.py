"""Normalizations: batch, layer, instance, group and root-mean-square.

All are (x - mean) / sqrt(variance + epsilon) * scale + bias, over different axes; variances are
biased (divided by the count).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish, precise
from .checks import Kind, axis_of, need_kind, need_same_dtype
from .flops import per_output

FLOPS_PER_ELEMENT = 7  # sum, centre, square, sum, normalize, scale, bias


@dataclass(frozen=True)
class BatchNormAttrs(Attrs):
    epsilon: float = 1e-5


@dataclass(frozen=True)
class LayerNormAttrs(Attrs):
    """axis: the first of the axes that are normalized together."""

    axis: int = -1
    epsilon: float = 1e-5


@dataclass(frozen=True)
class InstanceNormAttrs(Attrs):
    epsilon: float = 1e-5


@dataclass(frozen=True)
class GroupNormAttrs(Attrs):
    groups: int
    epsilon: float = 1e-5


@dataclass(frozen=True)
class RmsNormAttrs(Attrs):
    """axis: the first of the axes that are normalized together."""

    axis: int = -1
    epsilon: float = 1e-5


def _need_floats(op: str, x: TensorType, *others: TensorType) -> None:
    """C1."""
    need_kind(op, "C1", "x", x, Kind.FLOAT)
    need_same_dtype(op, "C1", (x, *others))


def _need_channels(op: str, x: TensorType, rank: int, *others: TensorType) -> None:
    """C2 and C3."""
    if x.rank < rank:
        raise ConstraintError(op, "C2", f"x must have rank {rank} or more, got {x}")
    for value in others:
        if value.shape != x.shape[1:2]:
            text = f"parameters must be [{x.shape[1]}] for {x}, got {value}"
            raise ConstraintError(op, "C3", text)


def _along_channels(value: Array, rank: int) -> Array:
    """[C] as [C, 1, ...], in float64."""
    return precise(value).reshape(-1, *(1,) * (rank - 2))


def _normalized(v: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    centred = v - np.mean(v, axis=axes, keepdims=True)
    variance = np.mean(centred * centred, axis=axes, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + epsilon))


def _batch_norm_infer(
    attrs: BatchNormAttrs,
    x: TensorType,
    scale: TensorType,
    bias: TensorType,
    mean: TensorType,
    var: TensorType,
) -> TensorType:
    """Type of x, [N, C, ...]; mean and variance are given.

    C1: x is float, and all inputs have its dtype.
    C2: x has rank 2 or more.
    C3: scale, bias, mean and var are [C].
    """
    _need_floats("batch_norm", x, scale, bias, mean, var)
    _need_channels("batch_norm", x, 2, scale, bias, mean, var)
    return TensorType(x.dtype, x.shape)


def _batch_norm(
    attrs: BatchNormAttrs, x: Array, scale: Array, bias: Array, mean: Array, var: Array
) -> Array:
    s, b, m, v = (_along_channels(value, x.ndim) for value in (scale, bias, mean, var))
    return finish((precise(x) - m) / np.sqrt(v + attrs.epsilon) * s + b, x.dtype)


def _layer_norm_infer(
    attrs: LayerNormAttrs, x: TensorType, scale: TensorType, bias: TensorType
) -> TensorType:
    """Type of x; normalized over the axes from axis on.

    C1: x is float, and all inputs have its dtype.
    C2: axis is in [-rank, rank).
    C3: scale and bias have the shape of x from axis on.
    """
    _need_floats("layer_norm", x, scale, bias)
    axis = axis_of("layer_norm", "C2", attrs.axis, x.rank)
    _need_tail("layer_norm", axis, x, scale, bias)
    return TensorType(x.dtype, x.shape)


def _need_tail(op: str, axis: int, x: TensorType, *others: TensorType) -> None:
    """C3."""
    for value in others:
        if value.shape != x.shape[axis:]:
            text = f"parameters must be {list(x.shape[axis:])} for {x}, got {value}"
            raise ConstraintError(op, "C3", text)


def _layer_norm(attrs: LayerNormAttrs, x: Array, scale: Array, bias: Array) -> Array:
    axes = tuple(range(attrs.axis % x.ndim, x.ndim))
    normal = _normalized(precise(x), axes, attrs.epsilon)
    return finish(normal * precise(scale) + precise(bias), x.dtype)


def _instance_norm_infer(
    attrs: InstanceNormAttrs, x: TensorType, scale: TensorType, bias: TensorType
) -> TensorType:
    """Type of x, [N, C, ...]; each channel of each image is normalized over its positions.

    C1: x is float, and all inputs have its dtype.
    C2: x has rank 3 or more.
    C3: scale and bias are [C].
    """
    _need_floats("instance_norm", x, scale, bias)
    _need_channels("instance_norm", x, 3, scale, bias)
    return TensorType(x.dtype, x.shape)


def _instance_norm(attrs: InstanceNormAttrs, x: Array, scale: Array, bias: Array) -> Array:
    normal = _normalized(precise(x), tuple(range(2, x.ndim)), attrs.epsilon)
    out = normal * _along_channels(scale, x.ndim) + _along_channels(bias, x.ndim)
    return finish(out, x.dtype)


def _group_norm_infer(
    attrs: GroupNormAttrs, x: TensorType, scale: TensorType, bias: TensorType
) -> TensorType:
    """Type of x, [N, C, ...]; each group of channels of each image is normalized.

    C1: x is float, and all inputs have its dtype.
    C2: x has rank 2 or more.
    C3: scale and bias are [C].
    C4: groups divides C.
    """
    _need_floats("group_norm", x, scale, bias)
    _need_channels("group_norm", x, 2, scale, bias)
    if attrs.groups < 1 or x.shape[1] % attrs.groups:
        text = f"{attrs.groups} groups do not divide {x.shape[1]} channels of {x}"
        raise ConstraintError("group_norm", "C4", text)
    return TensorType(x.dtype, x.shape)


def _group_norm(attrs: GroupNormAttrs, x: Array, scale: Array, bias: Array) -> Array:
    grouped = precise(x).reshape(x.shape[0], attrs.groups, -1) if x.size else precise(x)
    normal = _normalized(grouped, (2,), attrs.epsilon).reshape(x.shape) if x.size else grouped
    out = normal * _along_channels(scale, x.ndim) + _along_channels(bias, x.ndim)
    return finish(out, x.dtype)


def _rms_norm_infer(attrs: RmsNormAttrs, x: TensorType, scale: TensorType) -> TensorType:
    """Type of x; x / sqrt(mean of squares + epsilon) * scale over the axes from axis on.

    C1: x is float, and scale has its dtype.
    C2: axis is in [-rank, rank).
    C3: scale has the shape of x from axis on.
    """
    _need_floats("rms_norm", x, scale)
    axis = axis_of("rms_norm", "C2", attrs.axis, x.rank)
    _need_tail("rms_norm", axis, x, scale)
    return TensorType(x.dtype, x.shape)


def _rms_norm(attrs: RmsNormAttrs, x: Array, scale: Array) -> Array:
    v = precise(x)
    axes = tuple(range(attrs.axis % x.ndim, x.ndim))
    squares = np.mean(v * v, axis=axes, keepdims=True)
    return finish(v / np.sqrt(squares + attrs.epsilon) * precise(scale), x.dtype)


def _flops(attrs: Attrs, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
    return FLOPS_PER_ELEMENT * outputs[0].size


OPS = (
    # Elementwise but for its parameters, which broadcast along the channels, not as in numpy.
    OpDef(
        "batch_norm", BatchNormAttrs, _batch_norm_infer, _batch_norm, Pattern.INJECTIVE, per_output
    ),
    OpDef("layer_norm", LayerNormAttrs, _layer_norm_infer, _layer_norm, Pattern.REDUCTION, _flops),
    OpDef(
        "instance_norm",
        InstanceNormAttrs,
        _instance_norm_infer,
        _instance_norm,
        Pattern.REDUCTION,
        _flops,
    ),
    OpDef("group_norm", GroupNormAttrs, _group_norm_infer, _group_norm, Pattern.REDUCTION, _flops),
    OpDef("rms_norm", RmsNormAttrs, _rms_norm_infer, _rms_norm, Pattern.REDUCTION, _flops),
)
