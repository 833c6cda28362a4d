"""An op of your own: soft_clip, which bends values smoothly into [-limit, limit]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from leip.ir import Attrs, ConstraintError, OpDef, Pattern, TensorType
from leip.ir.onnx import Call
from leip.plugin import register_op
from leip.schedules.compute.elements import elementwise
from leip.schedules.context import Context
from leip.schedules.view import Expr, const, dtype_of


@dataclass(frozen=True)
class SoftClipAttrs(Attrs):
    """limit * tanh(x / limit)."""

    limit: float = 1.0


def infer(attrs: SoftClipAttrs, x: TensorType) -> TensorType:
    """Type of x.

    C1: x has a float dtype.
    C2: limit is above 0.
    """
    if not x.dtype.is_float:
        raise ConstraintError("soft_clip", "C1", f"x must have a float dtype, got {x}")
    if not attrs.limit > 0:
        raise ConstraintError("soft_clip", "C2", f"limit must be above 0, got {attrs.limit}")
    return x


def reference(attrs: SoftClipAttrs, x: np.ndarray) -> np.ndarray:
    return (attrs.limit * np.tanh(x.astype(np.float64) / attrs.limit)).astype(x.dtype)


def element(context: Context, attrs: Any, x: Expr) -> Expr:
    limit = const(attrs.limit, dtype_of(x))
    return limit * context.math.tanh(x / limit)


def from_onnx(call: Call) -> Any:
    return call.op("soft_clip", call[0], limit=call.get_float("limit", 1.0))


register_op(
    OpDef("soft_clip", SoftClipAttrs, infer, reference, Pattern.ELEMENTWISE),
    compute=elementwise("soft_clip", element),
    import_rule=("com.example", "SoftClip", from_onnx),
)
