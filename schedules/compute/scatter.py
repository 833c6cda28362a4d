"""scatter_nd and scatter_elements: a copy of the data, then the updates one after the other.

Updates may meet at one place, so their order counts: a loop nest of its own (`te.extern`), serial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx

from ...ir.types import TensorType
from ..context import Context
from ..half import as_float32, is_half
from ..half_views import as_bfloat16
from ..view import Expr, View
from . import Compute
from .elements import cast_to
from .gather import checked_index
from .written import row_major, written

Body = Callable[[Sequence[Expr]], Any]


def _loops(extents: Sequence[int], body: Body) -> Any:
    """A serial loop nest."""
    variables = [tirx.Var(f"i{n}", "int32") for n in range(len(extents))]
    statement = body(variables)
    for variable, extent in reversed(list(zip(variables, extents, strict=True))):
        statement = tirx.For(variable, 0, extent, tirx.ForKind.SERIAL, statement)
    return statement


def _combined(reduction: str, old: Expr, new: Expr) -> Expr:
    if reduction == "none":
        return new
    return {
        "add": lambda: old + new,
        "mul": lambda: old * new,
        "min": lambda: tirx.min(old, new),
        "max": lambda: tirx.max(old, new),
    }[reduction]()


def _scattered(
    attrs: Any,
    data: View,
    indices: View,
    updates: View,
    place: Callable[[Any, Sequence[Expr]], list[Expr]],
    context: Context,
    rounds_to: str,
) -> View:
    """`out[place(indices, u)] = combine(out[...], updates[u])` for every u in order.

    What is combined is rounded to `rounds_to`, the dtype of the result, at every step.
    """
    dtype = data.dtype

    def statement(source: Any, index: Any, update: Any, out: Any) -> Any:
        def copy(at: Sequence[Expr]) -> Any:
            return tirx.BufferStore(out, tirx.BufferLoad(source, list(at)), list(at))

        def apply(at: Sequence[Expr]) -> Any:
            where = place(index, at)
            old, new = tirx.BufferLoad(out, where), tirx.BufferLoad(update, list(at))
            if is_half(dtype):
                old, new = as_float32(old), as_float32(new)
            value = cast_to(_combined(attrs.reduction, old, new), rounds_to)
            value = cast_to(value, dtype)  # bfloat16 is held as float32
            return tirx.BufferStore(out, value, where)

        return tirx.SeqStmt([_loops(data.shape, copy), _loops(updates.shape, apply)])

    operands = (data, indices, updates)
    result = written(context, "scatter", operands, data.shape, dtype, statement)
    return as_bfloat16(result) if rounds_to == "bfloat16" else result


def _scatter_nd(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    data, indices, updates = (
        row_major(v, context, h)
        for v, h in zip(inputs, ("scatter_data", "scatter_at", "scatter_new"), strict=True)
    )
    if 0 in data.shape or 0 in updates.shape:
        return inputs[0]
    lead = indices.rank - 1

    def place(index: Any, at: Sequence[Expr]) -> list[Expr]:
        where = [
            checked_index(tirx.BufferLoad(index, [*at[:lead], k]), data.shape[k])
            for k in range(indices.shape[-1])
        ]
        return [*where, *at[lead:]]

    dtype = out_types[0].dtype.tvm
    return _scattered(attrs, data, indices, updates, place, context, dtype)


def _scatter_elements(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    data, indices, updates = (
        row_major(v, context, h)
        for v, h in zip(inputs, ("scatter_data", "scatter_at", "scatter_new"), strict=True)
    )
    if 0 in data.shape or 0 in updates.shape:
        return inputs[0]
    axis = attrs.axis % data.rank

    def place(index: Any, at: Sequence[Expr]) -> list[Expr]:
        row = checked_index(tirx.BufferLoad(index, list(at)), data.shape[axis])
        return [*at[:axis], row, *at[axis + 1 :]]

    dtype = out_types[0].dtype.tvm
    return _scattered(attrs, data, indices, updates, place, context, dtype)


COMPUTE: dict[str, Compute] = {
    "scatter_nd": _scatter_nd,
    "scatter_elements": _scatter_elements,
}
