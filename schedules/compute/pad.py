"""pad: constant, or reflected, repeated or wrapped elements."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import tirx

from ...ir.ops.pad import kept_range
from ...ir.types import TensorType
from ..context import Context
from ..view import Expr, View, const, guarded, scope
from . import Compute

SHORT = 32  # elements of a row that are not worth a loop of their own (28 lost a quarter, 56 won)


def _constant(attrs: Any, x: View, out: TensorType) -> View:
    kept = [kept_range(attrs, x.shape, axis) for axis in range(x.rank)]
    fill = const(np.asarray(attrs.value).astype(out.dtype.numpy).item(), x.dtype)
    if any(len(taken) == 0 for taken in kept):
        return View(out.shape, x.dtype, lambda *_: fill)

    def read(*indices: Expr) -> Expr:
        at, checks = [], []
        for axis, index in enumerate(indices):
            begin = max(0, attrs.pads[axis])
            end = max(0, attrs.pads[x.rank + axis])
            if begin:
                checks.append(index >= begin)
            if end:
                checks.append(index < begin + len(kept[axis]))
            shift = kept[axis].start - begin
            at.append(index + shift if shift else index)
        if not checks:
            return x(*at)
        if all(isinstance(check, bool) for check in checks):
            return x(*at) if all(checks) else fill
        return guarded(tirx.all(*checks), lambda: x(*at), fill)

    untouched = [attrs.pads[axis] == 0 and attrs.pads[x.rank + axis] == 0 for axis in range(x.rank)]
    reach = [
        r if same else size for r, same, size in zip(x.reach, untouched, out.shape, strict=True)
    ]
    zero = attrs.value == 0 and x.pad is not None and x.pad == 0
    return View(out.shape, x.dtype, read, reach=reach, pad=x.pad if zero else None)


def _position(mode: str, index: Expr, size: int, begin: int, end: int) -> Expr:
    """Which element of an axis of `size` a padded position shows."""
    if begin == 0 and end == 0:
        return index
    at = index - begin
    if mode == "edge":
        return tirx.min(tirx.max(at, 0), size - 1)
    if mode == "wrap":
        cycles = -(-begin // size)
        return tirx.floormod(at + cycles * size, size)
    last = size - 1
    positive = tirx.max(at, -at) if not isinstance(at, int) else abs(at)
    beyond = last - positive
    distance = tirx.max(beyond, -beyond) if not isinstance(beyond, int) else abs(beyond)
    return last - distance


def _mirrored(attrs: Any, x: View, out: TensorType) -> View:
    kept = [kept_range(attrs, x.shape, axis) for axis in range(x.rank)]

    def place(axis: int, index: Expr) -> Expr:
        begin, end = max(0, attrs.pads[axis]), max(0, attrs.pads[x.rank + axis])
        at = _position(attrs.mode, index, max(len(kept[axis]), 1), begin, end)
        return at + kept[axis].start if kept[axis].start else at

    def read(*indices: Expr) -> Expr:
        return x(*(place(axis, index) for axis, index in enumerate(indices)))

    def read_in_parts(*indices: Expr) -> Expr:
        """As `read`, but the loop along a row is parted where it leaves the row: within it
        elements are neighbours, which vectors read."""
        *before, index = indices
        if isinstance(index, int):
            return read(*indices)
        begin = max(0, attrs.pads[x.rank - 1])
        inside = tirx.all(index >= begin, index < begin + len(kept[-1]))
        outer = [place(axis, at) for axis, at in enumerate(before)]
        shift = kept[-1].start - begin
        beyond = scope(lambda: read(*indices))
        return guarded(inside, lambda: x(*outer, index + shift if shift else index), beyond)

    padded = x.rank > 0 and any(n > 0 for n in (attrs.pads[x.rank - 1], attrs.pads[-1]))
    parted = padded and out.layout is None and len(kept[-1]) >= SHORT
    return View(out.shape, x.dtype, read_in_parts if parted else read, cheap=x.cheap)


def _pad(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    make = _constant if attrs.mode == "constant" else _mirrored
    return make(attrs, inputs[0], out_types[0])


COMPUTE: dict[str, Compute] = {"pad": _pad}
