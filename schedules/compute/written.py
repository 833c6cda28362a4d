"""Stages that are written out as statements: what no expression of an element says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import te, tirx

from ...ir.dtypes import DType
from ...ir.types import TensorType
from ..context import Context
from ..half_views import widened
from ..view import View

__all__ = ["row_major", "written"]


def row_major(view: View, context: Context, hint: str) -> View:
    """The operand as a row-major tensor; bfloat16 as float32."""
    if view.dtype == "bfloat16":
        view = widened(view)
    if view.tensor is not None and view.type is not None and view.type.layout is None:
        return view
    return context.materialise(view, hint, TensorType(DType.parse(view.dtype), view.shape))


def written(
    context: Context,
    hint: str,
    operands: Sequence[View],
    shape: Sequence[int],
    dtype: str,
    statement: Callable[..., Any],
) -> View:
    """The view of a stage whose elements a statement writes.

    Args:
        context: Of the kernel.
        hint: Name of the stage.
        operands: What it reads, row-major tensors each.
        shape: Of the result.
        dtype: Of the result, as TVM calls it.
        statement: Called with the buffers of the operands and of the result; gives the statement.
    """
    name = context.name(hint)
    tensors = [view.tensor for view in operands]
    tensor = te.extern(
        [tuple(shape)],
        tensors,
        lambda ins, outs: statement(*ins, outs[0]),
        name=name,
        dtype=dtype,
        out_buffers=[tirx.decl_buffer(tuple(shape), dtype, f"{name}_out")],
        in_buffers=[
            tirx.decl_buffer(t.shape, t.dtype, f"{name}_in{n}") for n, t in enumerate(tensors)
        ],
    )
    context.record(name, tensor)
    return View.of_tensor(tensor, TensorType(DType.parse(dtype), tuple(shape)), zero_pads=False)
