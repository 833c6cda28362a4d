"""tile: a tensor repeated along its axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..op import Attrs, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array
from .checks import need_count, need_minimum


@dataclass(frozen=True)
class TileAttrs(Attrs):
    repeats: tuple[int, ...]


def _infer(attrs: TileAttrs, x: TensorType) -> TensorType:
    """Dtype of x, sizes times repeats.

    C1: there is one repeat, at least 0, per axis.
    """
    need_count("tile", "C1", "repeats", attrs.repeats, x.rank)
    need_minimum("tile", "C1", "repeats", attrs.repeats, 0)
    return TensorType(x.dtype, tuple(s * r for s, r in zip(x.shape, attrs.repeats)))


def _reference(attrs: TileAttrs, x: Array) -> Array:
    return np.tile(x, attrs.repeats)


OPS = (OpDef("tile", TileAttrs, _infer, _reference, Pattern.INJECTIVE),)
