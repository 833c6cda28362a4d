"""max_pool and avg_pool over 1 to 3 spatial axes. (Global pools are reductions.)

Padding is no data: it never wins a maximum, and counts in an average only with
``count_include_pad``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish, is_floating, precise, wide
from .checks import Kind, need_count, need_kind, need_minimum
from .window import at_tap, check_geometry, check_pads, extent, output_size, padded, taps


@dataclass(frozen=True)
class PoolAttrs(Attrs):
    """Per spatial axis, pads as begins then ends."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool = False
    count_include_pad: bool = False

    def along(self, axes: Sequence[int | None]) -> PoolAttrs:
        """Windows whose axes are these of the spatial ones here; None: one that is not pooled."""

        def own(sizes: tuple[int, ...], idle: int) -> tuple[int, ...]:
            return tuple(idle if axis is None else sizes[axis] for axis in axes)

        ends = len(self.kernel)
        return PoolAttrs(
            own(self.kernel, 1),
            own(self.strides, 1),
            (*own(self.pads[:ends], 0), *own(self.pads[ends:], 0)),
            own(self.dilations, 1),
            self.ceil_mode,
            self.count_include_pad,
        )


def pool_output(attrs: PoolAttrs, size: Sequence[int]) -> tuple[int, ...]:
    """Spatial output sizes."""
    n = len(size)
    return tuple(
        output_size(size[i], attrs.kernel[i], attrs.strides[i], attrs.pads[i], attrs.pads[n + i],
                    attrs.dilations[i], attrs.ceil_mode)
        for i in range(n)
    )  # fmt: skip


def _infer(op: str, kind: Kind, attrs: PoolAttrs, x: TensorType) -> TensorType:
    need_kind(op, "C1", "x", x, kind)
    spatial = x.rank - 2
    if not 1 <= spatial <= 3:
        raise ConstraintError(op, "C2", f"x must have rank 3, 4 or 5, got {x}")
    need_count(op, "C3", "kernel", attrs.kernel, spatial)
    need_minimum(op, "C3", "kernel", attrs.kernel, 1)
    check_geometry(op, "C3", spatial, attrs.strides, attrs.dilations)
    check_pads(op, "C4", spatial, attrs.pads)
    for i, pad in enumerate(attrs.pads):
        reach = extent(attrs.kernel[i % spatial], attrs.dilations[i % spatial])
        if pad >= reach:
            text = f"pads {list(attrs.pads)} are not smaller than the window {list(attrs.kernel)}"
            raise ConstraintError(op, "C5", text)
    out = pool_output(attrs, x.shape[2:])
    if any(size < 1 for size in out):
        text = f"window {list(attrs.kernel)} with pads {list(attrs.pads)} does not fit into {x}"
        raise ConstraintError(op, "C6", text)
    return TensorType(x.dtype, (*x.shape[:2], *out))


_CONSTRAINTS = """[N, C, *in] to [N, C, *out].

    C1: x has {kind}.
    C2: x has rank 3 to 5.
    C3: kernel, strides and dilations have one entry, at least 1, per spatial axis.
    C4: pads have two entries, at least 0, per spatial axis.
    C5: every pad is smaller than the window's extent.
    C6: a window fits into the padded input on every axis, or with ceil_mode hangs over its end.
    """


def _max_infer(attrs: PoolAttrs, x: TensorType) -> TensorType:
    return _infer("max_pool", Kind.NUMBER, attrs, x)


def _avg_infer(attrs: PoolAttrs, x: TensorType) -> TensorType:
    return _infer("avg_pool", Kind.FLOAT, attrs, x)


_max_infer.__doc__ = _CONSTRAINTS.format(kind=Kind.NUMBER.value)
_avg_infer.__doc__ = _CONSTRAINTS.format(kind=Kind.FLOAT.value)


def _needed(attrs: PoolAttrs, out: Sequence[int]) -> list[int]:
    """Padded sizes that the last windows reach to (ceil_mode lets them hang over)."""
    return [
        (out[i] - 1) * attrs.strides[i] + extent(attrs.kernel[i], attrs.dilations[i])
        for i in range(len(out))
    ]


def lowest(dtype: np.dtype) -> float:
    """What a maximum starts from."""
    return -math.inf if is_floating(dtype) else int(np.iinfo(dtype).min)


def _max_pool(attrs: PoolAttrs, x: Array) -> Array:
    out = pool_output(attrs, x.shape[2:])
    v = wide(x)
    source = padded(v, attrs.pads, _needed(attrs, out), lowest(x.dtype))
    best = np.full((*x.shape[:2], *out), lowest(x.dtype), v.dtype)
    for tap in taps(attrs.kernel):
        np.maximum(best, at_tap(source, tap, out, attrs.strides, attrs.dilations), out=best)
    return finish(best, x.dtype)


def window_counts(attrs: PoolAttrs, size: Sequence[int]) -> list[Array]:
    """Per axis, how many elements of each window an average divides by; the product over axes.

    Taps count inside the input, and with count_include_pad also in the stated pads, but never in
    the overhang that ceil_mode adds.
    """
    counts = []
    spatial = len(size)
    for i, out in enumerate(pool_output(attrs, size)):
        first = np.arange(out)[:, None] * attrs.strides[i] - attrs.pads[i]
        at = first + np.arange(attrs.kernel[i]) * attrs.dilations[i]
        begin, end = (attrs.pads[i], attrs.pads[spatial + i]) if attrs.count_include_pad else (0, 0)
        counts.append(np.sum((at >= -begin) & (at < size[i] + end), axis=1))
    return counts


def _avg_pool(attrs: PoolAttrs, x: Array) -> Array:
    out = pool_output(attrs, x.shape[2:])
    source = padded(precise(x), attrs.pads, _needed(attrs, out), 0)
    total = np.zeros((*x.shape[:2], *out))
    for tap in taps(attrs.kernel):
        total += at_tap(source, tap, out, attrs.strides, attrs.dilations)
    return finish(total / functools.reduce(np.multiply.outer, window_counts(attrs, x.shape[2:])),
                  x.dtype)  # fmt: skip


def _flops(attrs: PoolAttrs, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
    return 2 * outputs[0].size * math.prod(attrs.kernel)


OPS = (
    OpDef("max_pool", PoolAttrs, _max_infer, _max_pool, Pattern.REDUCTION, _flops),
    OpDef("avg_pool", PoolAttrs, _avg_infer, _avg_pool, Pattern.REDUCTION, _flops),
)
