"""requantize: integer sums back to eight bits, the same on every target, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dtypes import DType
from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish
from .checks import need_broadcast_to
from .flops import per_output


@dataclass(frozen=True)
class RequantizeAttrs(Attrs):
    zero_point: int = 0
    to: DType = DType.U8


def _infer(attrs: RequantizeAttrs, acc: TensorType, scale: TensorType) -> TensorType:
    """rint(f32(acc) * scale) + zero_point, half to even, saturating, in the shape of acc.

    C1: acc is i32 and scale is f32.
    C2: to is u8 or i8.
    C3: zero_point is a value of to.
    C4: scale broadcasts to the shape of acc.
    """
    if acc.dtype is not DType.I32 or scale.dtype is not DType.F32:
        raise ConstraintError("requantize", "C1", f"acc is {acc}, scale is {scale}")
    if attrs.to not in (DType.U8, DType.I8):
        raise ConstraintError("requantize", "C2", f"to must be u8 or i8, got {attrs.to.short}")
    info = np.iinfo(attrs.to.numpy)
    if not info.min <= attrs.zero_point <= info.max:
        text = f"zero point {attrs.zero_point} is not in [{info.min}, {info.max}]"
        raise ConstraintError("requantize", "C3", text)
    need_broadcast_to("requantize", "C4", "scale", scale, acc)
    return TensorType(attrs.to, acc.shape)


def _reference(attrs: RequantizeAttrs, acc: Array, scale: Array) -> Array:
    """Both roundings to float32 are part of the definition; the addition cannot round."""
    rounded = np.rint(acc.astype(np.float32) * scale)
    info = np.iinfo(attrs.to.numpy)
    total = rounded.astype(np.float64) + attrs.zero_point
    return finish(np.clip(total, info.min, info.max), attrs.to.numpy)


OPS = (OpDef("requantize", RequantizeAttrs, _infer, _reference, Pattern.ELEMENTWISE, per_output),)
