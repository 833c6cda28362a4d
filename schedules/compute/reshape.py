"""reshape: the same row-major position under another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..view import Expr, View, simplify
from . import Compute

__all__ = ["axis_groups", "reshaped_view"]


def axis_groups(a: Sequence[int], b: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The finest split of both shapes into runs of axes with equal products.

    `[2,3,4]` and `[6,4]`: axes 0, 1 with 0, and 2 with 1. Then no index mixes more than its run.
    """
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(a) or j < len(b):
        left, right = [], []
        size_a = size_b = 1
        if i < len(a):
            left.append(i)
            size_a = a[i]
            i += 1
        if j < len(b) and (size_a != 1 or not left):
            right.append(j)
            size_b = b[j]
            j += 1
        while size_a != size_b:
            if size_a < size_b:
                left.append(i)
                size_a *= a[i]
                i += 1
            else:
                right.append(j)
                size_b *= b[j]
                j += 1
        groups.append((left, right))
    return groups


def reshaped_view(x: View, shape: Sequence[int]) -> View:
    """x under another shape of as many elements."""
    if tuple(shape) == x.shape:
        return x
    if math.prod(shape) == 0:
        return View(shape, x.dtype, lambda *_: x(*[0] * x.rank))
    groups = axis_groups(shape, x.shape)

    def read(*indices: Expr) -> Expr:
        at: list[Expr] = [0] * x.rank
        for out_axes, in_axes in groups:
            position: Expr = 0
            for axis in out_axes:
                if shape[axis] != 1:
                    position = position * shape[axis] + indices[axis]
            for axis in reversed(in_axes):
                size = x.shape[axis]
                if size == 1:
                    continue
                if all(x.shape[other] == 1 for other in in_axes if other < axis):
                    at[axis] = simplify(position)
                    break
                at[axis] = simplify(position % size)
                position = simplify(position // size)
        return x(*at)

    reach = list(shape)
    for out_axes, in_axes in groups:
        big_out = [axis for axis in out_axes if shape[axis] != 1]
        big_in = [axis for axis in in_axes if x.shape[axis] != 1]
        if len(big_out) == 1 and len(big_in) == 1:
            reach[big_out[0]] = x.reach[big_in[0]]
    return View(shape, x.dtype, read, reach=reach, pad=x.pad, cheap=x.cheap, scalar=x.scalar)


def _reshape(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    return reshaped_view(inputs[0], out_types[0].shape)


COMPUTE: dict[str, Compute] = {"reshape": _reshape}
