"""slice: an affine index per axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.ops.slice import slice_ranges
from ...ir.types import TensorType
from ..context import Context
from ..view import Expr, View
from . import Compute

__all__ = ["strided"]


def strided(x: View, ranges: Sequence[range]) -> View:
    """x read at these positions of every axis."""

    def read(*indices: Expr) -> Expr:
        at = [_position(i, taken) for i, taken in zip(indices, ranges, strict=True)]
        return x(*at)

    whole = [len(taken) == size and taken == range(size) for taken, size in zip(ranges, x.shape)]
    reach = [r if same else len(t) for r, same, t in zip(x.reach, whole, ranges, strict=True)]
    return View([len(t) for t in ranges], x.dtype, read, reach=reach, pad=x.pad, cheap=x.cheap)


def _position(index: Expr, taken: range) -> Expr:
    scaled = index if taken.step == 1 else index * taken.step
    return scaled if taken.start == 0 else scaled + taken.start


def _slice(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    return strided(inputs[0], slice_ranges(attrs, inputs[0].shape))


COMPUTE: dict[str, Compute] = {"slice": _slice}
