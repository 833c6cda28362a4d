"""cumsum: running sums along an axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..op import Attrs, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish, is_floating, precise
from .checks import Kind, axis_of, need_kind
from .flops import per_output


@dataclass(frozen=True)
class CumsumAttrs(Attrs):
    """exclusive: without the element itself. reverse: from the end."""

    axis: int
    exclusive: bool = False
    reverse: bool = False


def _infer(attrs: CumsumAttrs, x: TensorType) -> TensorType:
    """Type of x.

    C1: x has a float or integer dtype.
    C2: axis is in [-rank, rank).
    """
    need_kind("cumsum", "C1", "x", x, Kind.NUMBER)
    axis_of("cumsum", "C2", attrs.axis, x.rank)
    return TensorType(x.dtype, x.shape)


def _reference(attrs: CumsumAttrs, x: Array) -> Array:
    """Float sums in float64; integers wrap."""
    v = precise(x) if is_floating(x.dtype) else x
    v = np.moveaxis(v, attrs.axis, 0)
    v = v[::-1] if attrs.reverse else v
    total = np.cumsum(v, axis=0, dtype=v.dtype)
    if attrs.exclusive:
        total = np.concatenate([np.zeros_like(total[:1]), total[:-1]])
    total = total[::-1] if attrs.reverse else total
    return finish(np.moveaxis(total, 0, attrs.axis), x.dtype)


OPS = (OpDef("cumsum", CumsumAttrs, _infer, _reference, Pattern.SPECIAL, per_output),)
