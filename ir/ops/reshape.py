"""reshape: the same elements, in row-major order, under another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array


@dataclass(frozen=True)
class ReshapeAttrs(Attrs):
    """shape: 0 copies the input's size of the same axis, -1 is what is left over."""

    shape: tuple[int, ...]


def reshaped(attrs: ReshapeAttrs, shape: Sequence[int]) -> tuple[int, ...]:
    """The output shape. Raises ConstraintError."""

    def fail(code: str, text: str) -> ConstraintError:
        given = f"shape {list(attrs.shape)} for input {list(shape)}"
        return ConstraintError("reshape", code, f"{text}: {given}")

    if any(size < -1 for size in attrs.shape) or attrs.shape.count(-1) > 1:
        raise fail("C1", "sizes must be at least -1, and -1 at most once")
    if any(size == 0 and axis >= len(shape) for axis, size in enumerate(attrs.shape)):
        raise fail("C2", "a 0 has no input axis to copy")
    out = [shape[axis] if size == 0 else size for axis, size in enumerate(attrs.shape)]
    if -1 in out:
        known = -math.prod(out)
        if known == 0 or math.prod(shape) % known:
            raise fail("C3", "nothing fits in for -1")
        out[out.index(-1)] = math.prod(shape) // known
    if math.prod(out) != math.prod(shape):
        raise fail("C4", "the number of elements differs")
    return tuple(out)


def _infer(attrs: ReshapeAttrs, x: TensorType) -> TensorType:
    """Dtype of x in the stated shape.

    C1: sizes are at least -1, and at most one is -1.
    C2: a 0 stands only where the input has an axis.
    C3: the -1 can be resolved.
    C4: the number of elements stays.
    """
    return TensorType(x.dtype, reshaped(attrs, x.shape))


def _reference(attrs: ReshapeAttrs, x: Array) -> Array:
    return x.reshape(reshaped(attrs, x.shape))


OPS = (OpDef("reshape", ReshapeAttrs, _infer, _reference, Pattern.VIEW),)
