"""expand: broadcast to a larger shape, as in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array
from .checks import broadcast


@dataclass(frozen=True)
class ExpandAttrs(Attrs):
    """shape: of the output; 1 and -1 keep the input's size. Aligned at the last axis."""

    shape: tuple[int, ...]


def _infer(attrs: ExpandAttrs, x: TensorType) -> TensorType:
    """Dtype of x in the broadcast of both shapes.

    C1: sizes are at least -1.
    C2: the shapes broadcast.
    """
    if any(size < -1 for size in attrs.shape):
        raise ConstraintError("expand", "C1", f"shape {list(attrs.shape)} for {x}")
    wanted = TensorType(x.dtype, tuple(1 if size == -1 else size for size in attrs.shape))
    return TensorType(x.dtype, broadcast("expand", "C2", x, wanted))


def _reference(attrs: ExpandAttrs, x: Array) -> Array:
    wanted = tuple(1 if size == -1 else size for size in attrs.shape)
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, wanted))


OPS = (OpDef("expand", ExpandAttrs, _infer, _reference, Pattern.INJECTIVE),)
