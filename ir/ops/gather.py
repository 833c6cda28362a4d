"""gather, gather_elements, gather_nd: elements picked by indices.

Indices are i32 or i64, and count from the end where negative; one out of range is a data fault.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array
from .checks import axis_of, need_index
from .faults import wrapped_indices


@dataclass(frozen=True)
class GatherAttrs(Attrs):
    axis: int = 0


@dataclass(frozen=True)
class GatherElementsAttrs(Attrs):
    axis: int = 0


@dataclass(frozen=True)
class GatherNdAttrs(Attrs):
    """batch_dims: leading axes that x and indices share."""

    batch_dims: int = 0


def _gather_infer(attrs: GatherAttrs, x: TensorType, indices: TensorType) -> TensorType:
    """out[a.., i.., b..] = x[a.., indices[i..], b..], the axis standing between a and b.

    C1: indices are i32 or i64.
    C2: axis is in [-rank, rank).
    """
    need_index("gather", "C1", "indices", indices)
    axis = axis_of("gather", "C2", attrs.axis, x.rank)
    return TensorType(x.dtype, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _gather(attrs: GatherAttrs, x: Array, indices: Array) -> Array:
    at = wrapped_indices("gather", indices, x.shape[attrs.axis])
    return np.asarray(np.take(x, at, axis=attrs.axis))


def _gather_elements_infer(
    attrs: GatherElementsAttrs, x: TensorType, indices: TensorType
) -> TensorType:
    """out[i..] = x[i.. with indices[i..] on the axis], in the shape of indices.

    C1: indices are i32 or i64.
    C2: axis is in [-rank, rank).
    C3: indices have the rank of x, and are not larger than x on the other axes.
    """
    op = "gather_elements"
    need_index(op, "C1", "indices", indices)
    axis = axis_of(op, "C2", attrs.axis, x.rank)
    need_elements_shape(op, "C3", axis, x, indices)
    return TensorType(x.dtype, indices.shape)


def need_elements_shape(op: str, code: str, axis: int, x: TensorType, indices: TensorType) -> None:
    """Indices of a ..._elements op: rank of x, and within x off the axis."""
    fits = indices.rank == x.rank and all(
        i == axis or indices.shape[i] <= x.shape[i] for i in range(x.rank)
    )
    if not fits:
        text = f"indices {indices} reach beyond {x} off axis {axis}"
        raise ConstraintError(op, code, text)


def _gather_elements(attrs: GatherElementsAttrs, x: Array, indices: Array) -> Array:
    at: list[Array] = list(np.indices(indices.shape, sparse=True))
    at[attrs.axis] = wrapped_indices("gather_elements", indices, x.shape[attrs.axis])
    return x[tuple(at)]


def need_nd_indices(op: str, x: TensorType, indices: TensorType, batch: int) -> None:
    """Constraints C1, C2 and C3 of gather_nd and scatter_nd."""
    need_index(op, "C1", "indices", indices)
    if not 0 <= batch < indices.rank or x.shape[:batch] != indices.shape[:batch]:
        text = f"{x} and indices {indices} do not share {batch} batch axes"
        raise ConstraintError(op, "C2", text)
    if not 0 <= indices.shape[-1] <= x.rank - batch:
        text = f"indices {indices} have more coordinates than {x} has axes to index"
        raise ConstraintError(op, "C3", text)


def _gather_nd_infer(attrs: GatherNdAttrs, x: TensorType, indices: TensorType) -> TensorType:
    """out[b.., i..] = x[b.., *indices[b.., i.., :]], an element or a slice.

    C1: indices are i32 or i64.
    C2: x and indices share the batch_dims leading axes; indices have at least one more.
    C3: the last axis of indices holds at most as many coordinates as x has other axes.
    """
    need_nd_indices("gather_nd", x, indices, attrs.batch_dims)
    rest = x.shape[attrs.batch_dims + indices.shape[-1] :]
    return TensorType(x.dtype, (*indices.shape[:-1], *rest))


def _gather_nd(attrs: GatherNdAttrs, x: Array, indices: Array) -> Array:
    batch, depth = attrs.batch_dims, indices.shape[-1]
    at: list[Array] = []
    for axis in range(batch):  # batch axes index themselves
        shape = [1] * (indices.ndim - 1)
        shape[axis] = x.shape[axis]
        at.append(np.arange(x.shape[axis]).reshape(shape))
    for k in range(depth):
        at.append(wrapped_indices("gather_nd", indices[..., k], x.shape[batch + k]))
    if not at:
        return np.array(np.broadcast_to(x, (*indices.shape[:-1], *x.shape)))
    if depth == 0:  # only batch axes: give the other index axes their extent
        at[0] = np.broadcast_to(at[0], indices.shape[:-1])
    return np.asarray(x[tuple(at)])


OPS = (
    OpDef("gather", GatherAttrs, _gather_infer, _gather, Pattern.INJECTIVE),
    OpDef(
        "gather_elements",
        GatherElementsAttrs,
        _gather_elements_infer,
        _gather_elements,
        Pattern.INJECTIVE,
    ),
    OpDef("gather_nd", GatherNdAttrs, _gather_nd_infer, _gather_nd, Pattern.INJECTIVE),
)
