"""gather, gather_elements, gather_nd.

An index is checked before it is used: one out of range goes to the engine's `lre_fault`, whose
answer (0) is a legal one. Where an index serves a whole row the checked indices are a stage of
their own, so that the row's loop holds neither check nor call.
"""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx

from ...ir.dtypes import DType
from ...ir.types import TensorType
from ..context import Context
from ..view import Expr, View, const, dtype_of
from . import Compute
from .elements import FAULT_INDEX

__all__ = ["checked_index", "checked_indices"]

ROW = 4  # elements that one index must serve for its check to be worth a stage


def checked_index(raw: Expr, size: int) -> Expr:
    """An i32 index in [0, size), wrapped from the end if negative, reported if out of range.

    `raw` is repeated, so it should be a load.
    """
    dtype = dtype_of(raw)
    at = tirx.Select(raw < const(0, dtype), raw + const(size, dtype), raw)
    legal = tirx.all(raw >= const(-size, dtype), raw < const(size, dtype))
    fault = tirx.call_extern("int64", "lre_fault", const(FAULT_INDEX, "int64"), raw.astype("int64"))
    return tirx.if_then_else(legal, at.astype("int32"), fault.astype("int32"))


def checked_indices(indices: View, size: int, served: int, context: Context) -> View:
    """The checked form of a tensor of indices; a stage if each serves a row of elements."""
    held = indices if indices.cheap else context.materialise(indices, "indices")
    view = View(held.shape, "int32", lambda *i: checked_index(held(*i), size))
    if served < ROW:
        return view
    return context.materialise(view, "checked", TensorType(DType.I32, held.shape))


def _gather(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, indices = inputs
    axis = attrs.axis % x.rank
    out = out_types[0].shape
    served = math.prod(out) // max(math.prod(indices.shape), 1)
    at = checked_indices(indices, x.shape[axis], served, context)

    def read(*position: Expr) -> Expr:
        before, rest = position[:axis], position[axis:]
        row = at(*rest[: indices.rank])
        return x(*before, row, *rest[indices.rank :])

    return View(out, x.dtype, read)


def _gather_elements(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, indices = inputs
    axis = attrs.axis % x.rank
    at = checked_indices(indices, x.shape[axis], 1, context)

    def read(*position: Expr) -> Expr:
        return x(*position[:axis], at(*position), *position[axis + 1 :])

    return View(out_types[0].shape, x.dtype, read)


def _gather_nd(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, indices = inputs
    batch, depth = attrs.batch_dims, indices.shape[-1]
    out = out_types[0].shape
    lead = indices.rank - 1
    served = math.prod(out[lead:])
    coordinates = [
        _coordinate(indices, k, x.shape[batch + k], served, context) for k in range(depth)
    ]

    def read(*position: Expr) -> Expr:
        index = position[:lead]
        at = [coordinate(*index) for coordinate in coordinates]
        return x(*position[:batch], *at, *position[lead:])

    return View(out, x.dtype, read)


def _coordinate(indices: View, k: int, size: int, served: int, context: Context) -> View:
    column = View(indices.shape[:-1], indices.dtype, lambda *i: indices(*i, k), cheap=indices.cheap)
    return checked_indices(column, size, served, context)


COMPUTE: dict[str, Compute] = {
    "gather": _gather,
    "gather_elements": _gather_elements,
    "gather_nd": _gather_nd,
}
