"""topk: the k largest or smallest elements along an axis, and where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dtypes import DType
from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish, wide
from .checks import Kind, axis_of, need_kind


@dataclass(frozen=True)
class TopkAttrs(Attrs):
    """sorted: in order; otherwise in any order (it is in order all the same)."""

    k: int
    axis: int = -1
    largest: bool = True
    sorted: bool = True


def _infer(attrs: TopkAttrs, x: TensorType) -> tuple[TensorType, TensorType]:
    """Values (dtype of x) and their positions (i64), k of them on the axis.

    C1: x has a float or integer dtype.
    C2: axis is in [-rank, rank).
    C3: k is in [0, size of the axis].
    """
    need_kind("topk", "C1", "x", x, Kind.NUMBER)
    axis = axis_of("topk", "C2", attrs.axis, x.rank)
    if not 0 <= attrs.k <= x.shape[axis]:
        raise ConstraintError("topk", "C3", f"k = {attrs.k} of axis {axis} of {x}")
    shape = (*x.shape[:axis], attrs.k, *x.shape[axis + 1 :])
    return TensorType(x.dtype, shape), TensorType(DType.I64, shape)


def _reference(attrs: TopkAttrs, x: Array) -> tuple[Array, Array]:
    """Of equal elements, the first comes first."""
    v = np.moveaxis(wide(x), attrs.axis, -1)
    if attrs.largest:  # a stable descending sort is a stable ascending one seen from behind
        order = v.shape[-1] - 1 - np.argsort(v[..., ::-1], axis=-1, kind="stable")[..., ::-1]
    else:
        order = np.argsort(v, axis=-1, kind="stable")
    order = order[..., : attrs.k]
    values = np.take_along_axis(v, order, axis=-1)
    return (
        finish(np.moveaxis(values, -1, attrs.axis), x.dtype),
        finish(np.moveaxis(order, -1, attrs.axis), np.dtype(np.int64)),
    )


OPS = (OpDef("topk", TopkAttrs, _infer, _reference, Pattern.SPECIAL),)
