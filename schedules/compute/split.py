"""split: consecutive slices."""

from __future__ import annotations

from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..view import View
from . import Compute
from .slice import strided


def _split(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> tuple[View, ...]:
    x = inputs[0]
    axis = attrs.axis % x.rank
    pieces = []
    begin = 0
    for size in attrs.sizes:
        ranges = [range(extent) for extent in x.shape]
        ranges[axis] = range(begin, begin + size)
        pieces.append(strided(x, ranges))
        begin += size
    return tuple(pieces)


COMPUTE: dict[str, Compute] = {"split": _split}
