"""conv and conv_transpose over 1 to 3 spatial axes, in groups.

Neither has a bias (that is an ``add`` of shape [C, 1, ...]). Eight-bit integers give exact i32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dtypes import DType
from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish, is_floating, precise
from .checks import need_count, need_minimum
from .window import at_tap, check_geometry, check_pads, extent, output_size, padded, taps

_BYTES = (DType.U8, DType.I8)


@dataclass(frozen=True)
class ConvAttrs(Attrs):
    """Per spatial axis, pads as begins then ends."""

    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int = 1


@dataclass(frozen=True)
class ConvTransposeAttrs(Attrs):
    """Per spatial axis, pads (that are cut off the output) as begins then ends."""

    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int = 1
    output_padding: tuple[int, ...] = ()


def product_dtype(op: str, code: str, a: TensorType, b: TensorType) -> DType:
    """Dtype of sums of products: the float dtype of both, or i32 for eight-bit integers."""
    if a.dtype in _BYTES and b.dtype in _BYTES:
        return DType.I32
    if a.dtype.is_float and a.dtype is b.dtype:
        return a.dtype
    raise ConstraintError(op, code, f"inputs must be one float dtype or u8/i8, got {a} and {b}")


def _check_ranks(op: str, x: TensorType, w: TensorType) -> int:
    spatial = x.rank - 2
    if not 1 <= spatial <= 3 or w.rank != x.rank:
        text = f"x and w must both have rank 3, 4 or 5, got {x} and {w}"
        raise ConstraintError(op, "C2", text)
    return spatial


def _conv_infer(attrs: ConvAttrs, x: TensorType, w: TensorType) -> TensorType:
    """[N, C, *in] and [M, C / groups, *kernel] to [N, M, *out].

    C1: x and w have the same float dtype (so has the result), or each is u8 or i8 (i32).
    C2: x and w have the same rank, 3 to 5.
    C3: strides and dilations have one entry, at least 1, per spatial axis.
    C4: pads have two entries, at least 0, per spatial axis.
    C5: groups divides C and M, and w's second axis is C / groups.
    C6: at least one window fits into the padded input on every axis.
    """
    dtype = product_dtype("conv", "C1", x, w)
    spatial = _check_ranks("conv", x, w)
    check_geometry("conv", "C3", spatial, attrs.strides, attrs.dilations)
    check_pads("conv", "C4", spatial, attrs.pads)
    groups, channels, features = attrs.groups, x.shape[1], w.shape[0]
    if groups < 1 or channels != w.shape[1] * groups or features % groups:
        text = f"{groups} groups do not fit {channels} channels of {x} and w {w}"
        raise ConstraintError("conv", "C5", text)
    out = conv_output(attrs, x.shape[2:], w.shape[2:])
    if any(size < 1 for size in out) or 0 in w.shape[2:]:
        text = f"window {list(w.shape[2:])} with pads {list(attrs.pads)} does not fit into {x}"
        raise ConstraintError("conv", "C6", text)
    return TensorType(dtype, (x.shape[0], features, *out))


def conv_output(attrs: ConvAttrs, size: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
    """Spatial output sizes."""
    n = len(size)
    return tuple(
        output_size(size[i], kernel[i], attrs.strides[i], attrs.pads[i], attrs.pads[n + i],
                    attrs.dilations[i])
        for i in range(n)
    )  # fmt: skip


def _conv(attrs: ConvAttrs, x: Array, w: Array) -> Array:
    """One matrix product per tap of the window, summed in float64 (exact for integers)."""
    n, channels, features, kernel = x.shape[0], x.shape[1], w.shape[0], w.shape[2:]
    groups, out = attrs.groups, conv_output(attrs, x.shape[2:], kernel)
    weights = _by_tap(w, groups, features // groups, channels // groups)
    result = np.empty((n, features, *out), np.float64)
    for image in range(n):  # bounds memory for large batches
        source = padded(precise(x[image]), attrs.pads, [0] * len(kernel), 0)
        total = np.zeros((groups, features // groups, math.prod(out)))
        for matrix, tap in zip(weights, taps(kernel)):
            seen = at_tap(source, tap, out, attrs.strides, attrs.dilations)
            seen = seen.reshape(groups, channels // groups, math.prod(out))
            total += _product(matrix, seen)
        result[image] = total.reshape(features, *out)
    return _as_sum(result, x.dtype)


def _by_tap(w: Array, groups: int, rows: int, columns: int) -> Array:
    """The weights of each tap, in row-major order of taps: [taps, groups, rows, columns]."""
    grouped = w.reshape(groups, rows, columns, math.prod(w.shape[2:]))
    return np.ascontiguousarray(np.moveaxis(grouped, -1, 0), dtype=np.float64)


def _product(w: Array, x: Array) -> Array:
    """[G, M, C] times [G, C, P]; BLAS is slow for the many tiny products of a depthwise conv."""
    return np.asarray(w * x if w.shape[2] == 1 else w @ x)


def _as_sum(total: Array, dtype: np.dtype) -> Array:
    if is_floating(dtype):
        return finish(total, dtype)
    return finish(total.astype(np.int64), np.dtype(np.int32))  # wraps as i32 sums do


def _conv_flops(
    attrs: ConvAttrs, inputs: Sequence[TensorType], outputs: Sequence[TensorType]
) -> int:
    return 2 * outputs[0].size * math.prod(inputs[1].shape[1:])


def _conv_transpose_infer(attrs: ConvTransposeAttrs, x: TensorType, w: TensorType) -> TensorType:
    """[N, C, *in] and [C, M / groups, *kernel] to [N, M, *out].

    C1: x and w have the same float dtype (so has the result), or each is u8 or i8 (i32).
    C2: x and w have the same rank, 3 to 5.
    C3: strides and dilations have one entry, at least 1, per spatial axis.
    C4: pads have two entries, at least 0, per spatial axis.
    C5: groups divides C, and w's first axis is C.
    C6: output_padding is empty (zeros) or has one entry, at least 0, per spatial axis.
    C7: every output size stride * (in - 1) + output_padding + extent - pads is at least 1.
    """
    op = "conv_transpose"
    dtype = product_dtype(op, "C1", x, w)
    spatial = _check_ranks(op, x, w)
    check_geometry(op, "C3", spatial, attrs.strides, attrs.dilations)
    check_pads(op, "C4", spatial, attrs.pads)
    if attrs.groups < 1 or x.shape[1] % attrs.groups or w.shape[0] != x.shape[1]:
        text = f"{attrs.groups} groups do not fit {x.shape[1]} channels of {x} and w {w}"
        raise ConstraintError(op, "C5", text)
    if attrs.output_padding:
        need_count(op, "C6", "output_padding", attrs.output_padding, spatial)
        need_minimum(op, "C6", "output_padding", attrs.output_padding, 0)
    out = conv_transpose_output(attrs, x.shape[2:], w.shape[2:])
    if any(size < 1 for size in out) or 0 in w.shape[2:]:
        text = f"output size {list(out)} is not positive for {x}, w {w}, pads {list(attrs.pads)}"
        raise ConstraintError(op, "C7", text)
    return TensorType(dtype, (x.shape[0], w.shape[1] * attrs.groups, *out))


def conv_transpose_output(
    attrs: ConvTransposeAttrs, size: Sequence[int], kernel: Sequence[int]
) -> tuple[int, ...]:
    """Spatial output sizes."""
    n = len(size)
    extra = attrs.output_padding or (0,) * n
    return tuple(
        attrs.strides[i] * (size[i] - 1) + extra[i] + extent(kernel[i], attrs.dilations[i])
        - attrs.pads[i] - attrs.pads[n + i]
        for i in range(n)
    )  # fmt: skip


def _conv_transpose(attrs: ConvTransposeAttrs, x: Array, w: Array) -> Array:
    """Each tap scatters a matrix product of the whole input into the uncut output."""
    n, channels, size, kernel = x.shape[0], x.shape[1], x.shape[2:], w.shape[2:]
    groups, features = attrs.groups, w.shape[1] * attrs.groups
    spatial, cut = len(size), attrs.pads
    out = conv_transpose_output(attrs, size, kernel)
    whole = [out[i] + cut[i] + cut[spatial + i] for i in range(spatial)]
    weights = _by_tap(w, groups, channels // groups, w.shape[1]).swapaxes(2, 3)
    result = np.empty((n, features, *out), np.float64)
    for image in range(n):
        source = precise(x[image]).reshape(groups, channels // groups, math.prod(size))
        total = np.zeros((features, *whole))
        for matrix, tap in zip(weights, taps(kernel)):
            part = _product(matrix, source)
            seen = at_tap(total, tap, size, attrs.strides, attrs.dilations)
            seen += part.reshape(features, *size)
        kept = [slice(cut[i], cut[i] + out[i]) for i in range(spatial)]
        result[image] = total[(slice(None), *kept)]
    return _as_sum(result, x.dtype)


def _conv_transpose_flops(
    attrs: ConvTransposeAttrs, inputs: Sequence[TensorType], outputs: Sequence[TensorType]
) -> int:
    return 2 * inputs[0].size * math.prod(inputs[1].shape[1:])


OPS = (
    OpDef("conv", ConvAttrs, _conv_infer, _conv, Pattern.ANCHOR, _conv_flops),
    OpDef(
        "conv_transpose",
        ConvTransposeAttrs,
        _conv_transpose_infer,
        _conv_transpose,
        Pattern.ANCHOR,
        _conv_transpose_flops,
    ),
)
