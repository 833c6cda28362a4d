"""scatter_nd and scatter_elements: a copy of data with some elements replaced or combined.

Indices are i32 or i64, and count from the end where negative; one out of range is a data fault.
Updates are applied in row-major order of the indices, so of several to one place the last wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish, wide
from .checks import Kind, axis_of, need_choice, need_index, need_kind, need_same_dtype
from .faults import wrapped_indices
from .gather import need_elements_shape, need_nd_indices

REDUCTIONS = ("none", "add", "mul", "min", "max")
_COMBINE: dict[str, Any] = {
    "add": np.add,
    "mul": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
}


@dataclass(frozen=True)
class ScatterNdAttrs(Attrs):
    """reduction: how an update meets what is there: none (replaces it), add, mul, min or max."""

    reduction: str = "none"


@dataclass(frozen=True)
class ScatterElementsAttrs(Attrs):
    """reduction: how an update meets what is there: none (replaces it), add, mul, min or max."""

    axis: int = 0
    reduction: str = "none"


def _need_reduction(op: str, code: str, reduction: str, data: TensorType) -> None:
    need_choice(op, code, "reduction", reduction, REDUCTIONS)
    if reduction != "none":
        need_kind(op, code, "data to reduce into", data, Kind.NUMBER)


def _scatter_nd_infer(
    attrs: ScatterNdAttrs, data: TensorType, indices: TensorType, updates: TensorType
) -> TensorType:
    """out = data; out[*indices[i.., :]] = updates[i..], elements or slices. Type of data.

    C1: indices are i32 or i64.
    C2: indices have rank 1 or more.
    C3: the last axis of indices holds at most as many coordinates as data has axes.
    C4: data and updates have the same dtype.
    C5: updates have the shape of indices without the last axis, and of data without the indexed
        axes.
    C6: reduction is none, add, mul, min or max; all but none need numbers.
    """
    need_nd_indices("scatter_nd", data, indices, 0)
    need_same_dtype("scatter_nd", "C4", (data, updates))
    expected = (*indices.shape[:-1], *data.shape[indices.shape[-1] :])
    if updates.shape != expected:
        text = f"updates must be {list(expected)} for {data} at {indices}, got {updates}"
        raise ConstraintError("scatter_nd", "C5", text)
    _need_reduction("scatter_nd", "C6", attrs.reduction, data)
    return TensorType(data.dtype, data.shape)


def _scatter_nd(attrs: ScatterNdAttrs, data: Array, indices: Array, updates: Array) -> Array:
    at = tuple(
        wrapped_indices("scatter_nd", indices[..., k], data.shape[k])
        for k in range(indices.shape[-1])
    )
    if at:
        return _scattered(attrs.reduction, data, at, updates)
    # Indices without coordinates: every update concerns the whole of data.
    out = wide(data).copy()
    for update in wide(updates).reshape(-1, *data.shape):
        out = update.copy() if attrs.reduction == "none" else _COMBINE[attrs.reduction](out, update)
    return finish(out, data.dtype)


def _scatter_elements_infer(
    attrs: ScatterElementsAttrs, data: TensorType, indices: TensorType, updates: TensorType
) -> TensorType:
    """out = data; out[i.. with indices[i..] on the axis] = updates[i..]. Type of data.

    C1: indices are i32 or i64.
    C2: axis is in [-rank, rank).
    C3: indices have the rank of data, and are not larger than data on the other axes.
    C4: data and updates have the same dtype.
    C5: updates have the shape of indices.
    C6: reduction is none, add, mul, min or max; all but none need numbers.
    """
    op = "scatter_elements"
    need_index(op, "C1", "indices", indices)
    axis = axis_of(op, "C2", attrs.axis, data.rank)
    need_elements_shape(op, "C3", axis, data, indices)
    need_same_dtype(op, "C4", (data, updates))
    if updates.shape != indices.shape:
        raise ConstraintError(op, "C5", f"updates {updates} do not fit indices {indices}")
    _need_reduction(op, "C6", attrs.reduction, data)
    return TensorType(data.dtype, data.shape)


def _scatter_elements(
    attrs: ScatterElementsAttrs, data: Array, indices: Array, updates: Array
) -> Array:
    at: list[Array] = list(np.indices(indices.shape, sparse=True))
    at[attrs.axis] = wrapped_indices("scatter_elements", indices, data.shape[attrs.axis])
    return _scattered(attrs.reduction, data, tuple(at), updates)


def _scattered(reduction: str, data: Array, at: tuple[Array, ...], updates: Array) -> Array:
    out = wide(data).copy()
    if reduction == "none":
        out[at] = wide(updates)
    else:
        _COMBINE[reduction].at(out, at, wide(updates))
    return finish(out, data.dtype)


OPS = (
    OpDef("scatter_nd", ScatterNdAttrs, _scatter_nd_infer, _scatter_nd, Pattern.SPECIAL),
    OpDef(
        "scatter_elements",
        ScatterElementsAttrs,
        _scatter_elements_infer,
        _scatter_elements,
        Pattern.SPECIAL,
    ),
)
