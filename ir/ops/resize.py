"""resize: a tensor sampled on another grid: nearest element, linear or cubic interpolation.

Axes are independent: output position o of an axis is a weighted sum of a few input positions
(``axis_taps``), and the whole is their product over the axes. Grid positions are computed in
float32 as ONNX Runtime does, since a position that is just not whole picks another neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish, precise
from .checks import Kind, need_choice, need_count, need_kind

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@dataclass(frozen=True)
class ResizeAttrs(Attrs):
    """All per axis of the input.

    Attributes:
        mode: nearest, linear or cubic.
        scales: Output size / input size; empty: it follows from sizes.
        sizes: Output shape; empty: floor(size * scale).
        coordinate: ONNX's coordinate_transformation_mode.
        nearest_mode: Which neighbour the mode nearest takes.
        cubic_a: Coefficient of the cubic kernel.
        exclude_outside: Positions beyond the border weigh 0 (cubic) instead of the border.
        antialias: Filter before downsampling; not supported yet (C6).
        roi: For tf_crop_and_resize: begins, then ends, in 0..1.
        extrapolation_value: For tf_crop_and_resize: the value outside of the input.
    """

    mode: str = "nearest"
    scales: tuple[float, ...] = ()
    sizes: tuple[int, ...] = ()
    coordinate: str = "half_pixel"
    nearest_mode: str = "round_prefer_floor"
    cubic_a: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    roi: tuple[float, ...] = ()
    extrapolation_value: float = 0.0


def _infer(attrs: ResizeAttrs, x: TensorType) -> TensorType:
    """Dtype of x, sizes as stated or floor(size * scale).

    C1: mode, coordinate and nearest_mode are ones that ONNX knows.
    C2: linear and cubic need a float dtype.
    C3: scales or sizes are given, with one entry per axis, scales positive, sizes not negative.
    C4: an empty axis stays empty.
    C5: tf_crop_and_resize has a roi of two entries per axis.
    C6: antialias is not asked for.
    """
    need_choice("resize", "C1", "mode", attrs.mode, MODES)
    need_choice("resize", "C1", "coordinate", attrs.coordinate, COORDINATES)
    need_choice("resize", "C1", "nearest_mode", attrs.nearest_mode, NEAREST_MODES)
    if attrs.mode != "nearest":
        need_kind("resize", "C2", "x", x, Kind.FLOAT)
    given = [values for values in (attrs.scales, attrs.sizes) if values]
    wrong = any(len(values) != x.rank for values in given) or (x.rank > 0 and not given)
    if wrong or any(s <= 0 for s in attrs.scales) or any(s < 0 for s in attrs.sizes):
        text = f"scales {list(attrs.scales)} and sizes {list(attrs.sizes)} do not fit {x}"
        raise ConstraintError("resize", "C3", text)
    shape = resized(attrs, x.shape)
    if any(size == 0 and out > 0 for size, out in zip(x.shape, shape)):
        raise ConstraintError("resize", "C4", f"{x} has nothing to give {list(shape)}")
    if attrs.coordinate == "tf_crop_and_resize":
        need_count("resize", "C5", "roi", attrs.roi, 2 * x.rank)
    if attrs.antialias:
        raise ConstraintError("resize", "C6", f"antialias is not supported, for {x}")
    return TensorType(x.dtype, shape)


def resized(attrs: ResizeAttrs, shape: Sequence[int]) -> tuple[int, ...]:
    """The output shape; the product is float32's, as in ONNX Runtime."""
    if attrs.sizes:
        return attrs.sizes
    return tuple(int(np.float32(size) * np.float32(s)) for size, s in zip(shape, attrs.scales))


def positions(attrs: ResizeAttrs, axis: int, size: int, out: int) -> Array:
    """Where on the input's axis each output position lies: [out], float32."""
    f32 = np.float32
    o = np.arange(out, dtype=f32)
    scale = f32(attrs.scales[axis]) if attrs.scales else f32(out) / f32(size)
    half = f32(0.5)
    if attrs.coordinate == "asymmetric":
        return o / scale
    if attrs.coordinate == "align_corners":
        return o * f32(size - 1) / f32(max(out - 1, 1))
    if attrs.coordinate == "pytorch_half_pixel" and out <= 1:
        return o * 0
    if attrs.coordinate == "tf_crop_and_resize":
        rank = len(attrs.roi) // 2
        start, end = f32(attrs.roi[axis]), f32(attrs.roi[rank + axis])
        last = f32(size - 1)
        if out <= 1:
            return o * 0 + half * (start + end) * last
        return start * last + o * (end - start) * last / f32(out - 1)
    middle = (o + half) / scale - half
    if attrs.coordinate == "half_pixel_symmetric":
        adjustment = f32(out) / (scale * f32(size))
        middle = f32(size) / f32(2) * (f32(1) - adjustment) + middle
    return np.asarray(middle)


def axis_taps(attrs: ResizeAttrs, axis: int, size: int, out: int) -> tuple[Array, Array]:
    """Which input positions make an output position, and with what weights.

    Args:
        attrs: Attributes.
        axis: The axis, with ``size`` elements of input and ``out`` of output.

    Returns:
        Indices [out, k] i64, all within the input, and weights [out, k] f64; k is 1, 2 or 4.
    """
    at = positions(attrs, axis, size, out)
    if attrs.mode == "nearest":
        return np.clip(_nearest(attrs.nearest_mode, at), 0, size - 1)[:, None], np.ones((out, 1))
    low = np.floor(at).astype(np.int64)
    ratio = (precise(at) - low)[:, None]
    if attrs.mode == "linear":
        index = low[:, None] + np.arange(2)
        weights = np.concatenate([1 - ratio, ratio], axis=1)
    else:
        index = low[:, None] + np.arange(-1, 3)
        weights = _cubic(np.abs(ratio - np.arange(-1, 3)), attrs.cubic_a)
        if attrs.exclude_outside:
            weights = np.where((index >= 0) & (index < size), weights, 0)
            weights = weights / np.sum(weights, axis=1, keepdims=True)
    return np.clip(index, 0, size - 1), weights


def _nearest(mode: str, at: Array) -> Array:
    half = np.float32(0.5)
    rounded = {
        "floor": np.floor(at),
        "ceil": np.ceil(at),
        "round_prefer_floor": np.ceil(at - half),
        "round_prefer_ceil": np.floor(at + half),
    }[mode]
    return np.asarray(rounded.astype(np.int64))


def _cubic(distance: Array, a: float) -> Array:
    """Keys' kernel at distances of 0 to 2."""
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def outside(attrs: ResizeAttrs, axis: int, size: int, out: int) -> Array:
    """Which output positions take the extrapolation value: [out], bool."""
    if attrs.coordinate != "tf_crop_and_resize":
        return np.zeros(out, bool)
    at = positions(attrs, axis, size, out)
    return np.asarray((at < 0) | (at > size - 1))


def _reference(attrs: ResizeAttrs, x: Array) -> Array:
    out = resized(attrs, x.shape)
    v = x if attrs.mode == "nearest" else precise(x)
    for axis, (size, count) in enumerate(zip(x.shape, out)):
        if size == 0:
            continue
        index, weights = axis_taps(attrs, axis, size, count)
        if attrs.mode == "nearest":
            v = np.take(v, index[:, 0], axis=axis)
        elif not (
            size == count and np.array_equal(positions(attrs, axis, size, count), range(size))
        ):
            along = [-1 if i == axis else 1 for i in range(x.ndim)]
            parts = [
                np.take(v, index[:, k], axis=axis) * weights[:, k].reshape(along)
                for k in range(index.shape[1])
            ]
            v = np.sum(parts, axis=0)
    v = finish(v, x.dtype)
    for axis, (size, count) in enumerate(zip(x.shape, out)):
        beyond = outside(attrs, axis, size, count)
        if np.any(beyond):
            v = v.copy()
            np.moveaxis(v, axis, 0)[beyond] = attrs.extrapolation_value
    return v


def _flops(attrs: ResizeAttrs, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
    taps = {"nearest": 0, "linear": 2, "cubic": 4}[attrs.mode]
    moved = sum(a != b for a, b in zip(inputs[0].shape, outputs[0].shape))
    return 2 * outputs[0].size * int(math.pow(taps, moved)) if taps else 0


OPS = (OpDef("resize", ResizeAttrs, _infer, _reference, Pattern.INJECTIVE, _flops),)
