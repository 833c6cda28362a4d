"""Upsample and Resize in all their versions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...graph import Value
from ...ops.resize import ResizeAttrs, positions, resized
from ..call import Call, Results, Rule
from ..problems import Unsupported


def _upsample(call: Call) -> Results:
    """Scales are an attribute until opset 8, an operand from 9 on; also Resize of opset 10."""
    x, mode = call[0], call.get_str("mode", "nearest")
    given = call.get_floats("scales") if call.has("scales") else _floats(call, 1, "scales")
    if mode != "nearest":
        return _resize(call, x, mode=mode, scales=given, coordinate="asymmetric")
    # as in ONNX Runtime: upwards the element before the position counts, downwards the one after
    up = tuple(max(scale, 1.0) for scale in given)
    down = tuple(min(scale, 1.0) for scale in given)
    x = _resize(call, x, scales=up, coordinate="asymmetric", nearest_mode="floor")
    return _resize(call, x, scales=down, coordinate="asymmetric", nearest_mode="ceil")


def resize(call: Call) -> Results:
    """From opset 11 on; from 18 on scales and sizes may be for some axes only."""
    if call.opset < 11:
        return _upsample(call)
    x = call[0]
    axes = tuple(call.axis(a, x.rank) for a in call.get_ints("axes", tuple(range(x.rank))))
    scales = _floats(call, 2, "scales")
    sizes = call.optional_ints(3, "sizes") or ()
    if bool(scales) == bool(sizes):
        raise Unsupported("exactly one of scales and sizes must be given")
    if len(scales or sizes) != len(axes):
        raise Unsupported(f"{len(scales or sizes)} scales or sizes for {len(axes)} axes")
    policy = call.get_str("keep_aspect_ratio_policy", "stretch")
    if sizes and policy != "stretch":
        scales, sizes = _keeping_aspect(x, axes, sizes, policy)
    coordinate = call.get_str("coordinate_transformation_mode", "half_pixel")
    roi: tuple[float, ...] = ()
    if coordinate == "tf_crop_and_resize":
        given = _floats(call, 1, "roi")
        n = len(axes)
        begins, ends = dict(zip(axes, given[:n])), dict(zip(axes, given[n:]))
        roi = tuple(
            [begins.get(a, 0.0) for a in range(x.rank)] + [ends.get(a, 1.0) for a in range(x.rank)]
        )
    all_scales = dict(zip(axes, scales))
    all_sizes = dict(zip(axes, sizes))
    return _resize(
        call,
        x,
        mode=call.get_str("mode", "nearest"),
        scales=tuple(all_scales.get(a, 1.0) for a in range(x.rank)) if scales else (),
        sizes=tuple(all_sizes.get(a, x.shape[a]) for a in range(x.rank)) if sizes else (),
        coordinate=coordinate,
        nearest_mode=call.get_str("nearest_mode", "round_prefer_floor"),
        cubic_a=call.get_float("cubic_coeff_a", -0.75),
        exclude_outside=call.get_bool("exclude_outside"),
        antialias=call.get_bool("antialias"),
        roi=roi,
        extrapolation_value=call.get_float("extrapolation_value", 0.0),
    )


def _resize(call: Call, x: Value, **fields: object) -> Value:
    """The op; `x` itself where nothing changes; a mode that IR spells differently is mapped."""
    scales, sizes = fields.get("scales", ()), fields.get("sizes", ())
    whole = all(s == 1.0 for s in scales) and (not sizes or sizes == x.shape)  # type: ignore[union-attr,attr-defined]
    if whole and fields["coordinate"] != "tf_crop_and_resize":
        return x
    mode = str(fields.get("mode", "nearest"))
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    if fields["coordinate"] == "tf_half_pixel_for_nn":
        # (o + 0.5) / scale with the mode floor, in terms of half_pixel: that minus 0.5, rounded
        raise Unsupported(
            "coordinate_transformation_mode 'tf_half_pixel_for_nn'",
            "Export with opset 13 or later.",
        )
    fields["mode"] = mode
    if fields.pop("antialias", False) and mode != "nearest":
        return _smoothed(call, x, ResizeAttrs(**fields))  # type: ignore[arg-type]
    return call.op("resize", x, **fields)


def _smoothed(call: Call, x: Value, attrs: ResizeAttrs) -> Value:
    """With antialias: one product with a matrix of filter weights per axis that shrinks."""
    shape = resized(attrs, x.shape)
    for axis in range(x.rank):
        size, count = x.shape[axis], shape[axis]
        if size == count:
            continue
        matrix = call.constant(_filter(attrs, axis, size, count).astype(x.dtype.numpy))
        if axis == x.rank - 2:
            x = call.op("matmul", matrix, x)
        else:
            perm = [*(i for i in range(x.rank) if i != axis), axis]
            y = call.op("matmul", call.transpose(x, perm), matrix, transpose_b=True)
            x = call.transpose(y, [perm.index(i) for i in range(x.rank)])
    return x


def _filter(attrs: ResizeAttrs, axis: int, size: int, count: int) -> np.ndarray:
    """Weights [count, size]: the kernel, stretched by the factor of reduction.

    What lies beyond the border counts for the border, or nothing with exclude_outside.
    """
    scale = attrs.scales[axis] if attrs.scales else count / size
    stretch = min(scale, 1.0)
    at = positions(attrs, axis, size, count).astype(np.float64)[:, None]
    margin = 0 if attrs.exclude_outside else math.ceil(2 / stretch) + 1
    index = np.arange(-margin, size + margin)
    d = np.abs(index - at) * stretch
    if attrs.mode == "linear":
        weights = np.maximum(1 - d, 0)
    else:
        a = attrs.cubic_a
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        weights = np.where(d <= 1, near, np.where(d < 2, far, 0))
    inside = np.zeros((count, size))
    for column, source in enumerate(np.clip(index, 0, size - 1)):
        inside[:, source] += weights[:, column]
    return np.asarray(inside / np.sum(inside, axis=1, keepdims=True))


def _floats(call: Call, index: int, what: str) -> tuple[float, ...]:
    if call.optional(index) is None:
        return ()
    return tuple(float(v) for v in call.known(index, what).reshape(-1))


def _keeping_aspect(
    x: Value, axes: Sequence[int], sizes: Sequence[int], policy: str
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """One scale for all axes: the smallest ("not_larger") or the largest ("not_smaller")."""
    ratios = [size / x.shape[axis] for axis, size in zip(axes, sizes)]
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    wanted = tuple(math.floor(ratio * x.shape[axis] + 0.5) for axis in axes)
    return (), wanted


RULES: dict[str, Rule] = {
    "Upsample": _upsample,
    "Resize": resize,
}
