"""Shapes that a user gives: whole numbers, whatever type they come in."""

from __future__ import annotations

import operator
from collections.abc import Iterable

from ..errors import UsageError

__all__ = ["whole_sizes"]


def whole_sizes(name: str, shape: Iterable[object]) -> tuple[int, ...]:
    """The shape given for an input, as ints. Raises UsageError if it is no row of whole numbers."""
    try:
        sizes = tuple(shape)
        if any(isinstance(size, bool) for size in sizes):
            raise TypeError
        return tuple(operator.index(size) for size in sizes)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(
            f"the shape of input {name!r} is no row of whole numbers: {shape!r}",
            "--input_shapes",
            "for example (1, 3, 224, 224)",
        ) from None
