"""The geometry of sliding windows, for conv and pooling: one rule for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from .arithmetic import Array
from .checks import need_count, need_minimum


def check_geometry(
    op: str, code: str, spatial: int, strides: Sequence[int], dilations: Sequence[int]
) -> None:
    """One positive stride and dilation per spatial axis."""
    for name, values in (("strides", strides), ("dilations", dilations)):
        need_count(op, code, name, values, spatial)
        need_minimum(op, code, name, values, 1)


def check_pads(op: str, code: str, spatial: int, pads: Sequence[int]) -> None:
    """Begins, then ends, of all spatial axes; none negative."""
    need_count(op, code, "pads", pads, 2 * spatial)
    need_minimum(op, code, "pads", pads, 0)


def extent(kernel: int, dilation: int) -> int:
    """Elements from a window's first tap to its last, both included."""
    return (kernel - 1) * dilation + 1


def output_size(
    size: int, kernel: int, stride: int, begin: int, end: int, dilation: int, ceil: bool = False
) -> int:
    """Number of windows along an axis; not positive where no window fits.

    With ``ceil`` the last window (the only one, too) may hang over the end, but not start beyond
    input and begin pad.
    """
    free = size + begin + end - extent(kernel, dilation)
    count = (-(-free // stride) if ceil else free // stride) + 1
    if ceil and (count - 1) * stride >= size + begin:
        count -= 1
    return count


def padded(x: Array, pads: Sequence[int], needed: Sequence[int], fill: float) -> Array:
    """``x`` with its trailing (spatial) axes padded by ``fill``.

    Args:
        x: [..., spatial].
        pads: Begins, then ends.
        needed: Padded sizes that must be reached at least, per spatial axis.
        fill: The pad value.
    """
    spatial = len(needed)
    widths = [(0, 0)] * (x.ndim - spatial)
    for axis in range(spatial):
        size = x.shape[x.ndim - spatial + axis]
        begin, end = pads[axis], pads[spatial + axis]
        widths.append((begin, max(end, needed[axis] - size - begin)))
    if not any(begin or end for begin, end in widths):
        return x
    return np.pad(x, widths, constant_values=fill)


def taps(kernel: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """All positions within a window, row-major."""
    return itertools.product(*(range(size) for size in kernel))


def at_tap(
    x: Array,
    tap: Sequence[int],
    counts: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Array:
    """What every window of the padded ``x`` sees at ``tap``: [..., *counts], a view."""
    index: list[slice] = [slice(None)] * (x.ndim - len(counts))
    for k, count, stride, dilation in zip(tap, counts, strides, dilations):
        first = k * dilation
        index.append(slice(first, first + max(0, (count - 1) * stride + 1), stride))
    return x[tuple(index)]
