"""pad: elements added around a tensor (or, where a pad is negative, cut off it)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish
from .checks import need_choice, need_count

MODES = ("constant", "reflect", "edge", "wrap")


@dataclass(frozen=True)
class PadAttrs(Attrs):
    """pads: begins, then ends, of all axes. value: for mode "constant"."""

    pads: tuple[int, ...]
    mode: str = "constant"
    value: float = 0.0


def kept_range(attrs: PadAttrs, shape: Sequence[int], axis: int) -> range:
    """The elements of an axis that negative pads leave over."""
    begin, end = attrs.pads[axis], attrs.pads[len(shape) + axis]
    return range(max(0, -begin), max(0, -begin, shape[axis] + min(0, end)))


def _infer(attrs: PadAttrs, x: TensorType) -> TensorType:
    """Dtype of x, sizes with the pads added. Negative pads cut before the others pad.

    C1: pads have two entries per axis.
    C2: mode is constant, reflect, edge or wrap.
    C3: no size becomes negative.
    C4: edge and wrap need something on a padded axis; reflect needs more than the pad.
    """
    need_count("pad", "C1", "pads", attrs.pads, 2 * x.rank)
    need_choice("pad", "C2", "mode", attrs.mode, MODES)
    shape = []
    for axis, size in enumerate(x.shape):
        begin, end = attrs.pads[axis], attrs.pads[x.rank + axis]
        if size + begin + end < 0 or size + min(begin, 0) + min(end, 0) < 0:
            text = f"pads {list(attrs.pads)} cut more than there is of {x}"
            raise ConstraintError("pad", "C3", text)
        widest, kept = max(begin, end), len(kept_range(attrs, x.shape, axis))
        needed = {"constant": 0, "reflect": widest + 1}.get(attrs.mode, 1)
        if widest > 0 and kept < needed:
            text = f"mode {attrs.mode} cannot pad axis {axis} of {x} with {list(attrs.pads)}"
            raise ConstraintError("pad", "C4", text)
        shape.append(size + begin + end)
    return TensorType(x.dtype, tuple(shape))


def _reference(attrs: PadAttrs, x: Array) -> Array:
    kept = [kept_range(attrs, x.shape, axis) for axis in range(x.ndim)]
    source = x[tuple(slice(taken.start, taken.stop) for taken in kept)]
    widths = [
        (max(0, attrs.pads[axis]), max(0, attrs.pads[x.ndim + axis])) for axis in range(x.ndim)
    ]
    if attrs.mode != "constant":
        index = [
            _padded_index(size, *width, attrs.mode) for size, width in zip(source.shape, widths)
        ]
        return source[np.ix_(*index)] if index else source
    fill = np.asarray(attrs.value).astype(x.dtype)
    shape = [begin + size + end for size, (begin, end) in zip(source.shape, widths)]
    out = np.full(shape, fill, x.dtype)
    out[tuple(slice(b, b + size) for size, (b, _) in zip(source.shape, widths))] = source
    return finish(out, x.dtype)


def _padded_index(size: int, begin: int, end: int, mode: str) -> Array:
    """Which element each position of a padded axis shows."""
    at = np.arange(-begin, size + end)
    if mode == "edge":
        return np.clip(at, 0, max(size - 1, 0))
    if mode == "wrap":
        return at % max(size, 1)
    last = max(size - 1, 0)
    return np.asarray(last - np.abs(last - np.abs(at)))  # reflect


OPS = (OpDef("pad", PadAttrs, _infer, _reference, Pattern.INJECTIVE),)
