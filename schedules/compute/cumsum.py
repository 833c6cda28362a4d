"""cumsum: every running sum from scratch (quadratic along the axis, but parallel and rare)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..half_views import widened
from ..view import Expr, View, const, guarded
from . import Compute
from .elements import cast_to


def _cumsum(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    view = inputs[0] if inputs[0].cheap else context.materialise(inputs[0], "cumsum_in")
    x, out = widened(view), out_types[0]
    axis = attrs.axis % x.rank

    def source(index: Sequence[Expr], along: Sequence[Expr]) -> Expr:
        here, k = index[axis], along[0]
        if attrs.reverse:
            counts = k > here if attrs.exclusive else k >= here
        else:
            counts = k < here if attrs.exclusive else k <= here
        at = [*index[:axis], k, *index[axis + 1 :]]
        return guarded(counts, lambda: x(*at), const(0, x.dtype))

    if 0 in x.shape:
        return view
    total = context.reduce(context.type(x.dtype, x.shape), [x.shape[axis]], "sum", source, "cumsum")
    return View(out.shape, out.dtype.tvm, lambda *i: cast_to(total(*i), out.dtype.tvm))


COMPUTE: dict[str, Compute] = {"cumsum": _cumsum}
