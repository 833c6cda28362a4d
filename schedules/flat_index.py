"""Row-major positions: an index of several axes as one number, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .view import Expr, simplify

__all__ = ["ravel", "reshaped_index", "unravel"]


def ravel(index: Sequence[Expr], shape: Sequence[int]) -> Expr:
    """The position of an element of a shape; 0 if it has no axes."""
    position: Expr = 0
    for place, size in zip(index, shape, strict=True):
        position = position * size + place
    return simplify(position)


def unravel(position: Expr, shape: Sequence[int]) -> list[Expr]:
    """The index of the element at a position; that along the first axis is not reduced modulo."""
    index: list[Expr] = []
    for size in reversed(shape[1:]):
        index.append(simplify(position % size))
        position = simplify(position // size)
    return [position, *reversed(index)] if shape else []


def reshaped_index(index: Sequence[Expr], old: Sequence[int], new: Sequence[int]) -> list[Expr]:
    """An index of a shape as that of another of as many elements; axes that stay are left alone."""
    places = [i for i, size in zip(index, old, strict=True) if size > 1]
    before, after = ([size for size in shape if size > 1] for shape in (old, new))
    result: list[Expr] = []
    while after:
        m = n = 1  # axes of the smallest groups of equal size
        while (size := math.prod(before[:m])) != (target := math.prod(after[:n])):
            m, n = (m + 1, n) if size < target else (m, n + 1)
        result += unravel(ravel(places[:m], before[:m]), after[:n])
        places, before, after = places[m:], before[m:], after[n:]
    return [result.pop(0) if size > 1 else 0 for size in new]
