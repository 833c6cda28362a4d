"""cumsum: a scan (`schedules/scan.py`). Half floats are summed up in float32."""

from __future__ import annotations

import math
from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..flat_index import unravel
from ..half_views import widened
from ..scan import Scan, scan_inner, scan_outer
from ..view import Expr, View
from . import Compute
from .elements import cast_to
from .reshape import reshaped_view
from .written import row_major, written


def _cumsum(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    out = out_types[0]
    if 0 in out.shape or out.rank == 0:
        return inputs[0]
    given, axis = widened(inputs[0]), attrs.axis % inputs[0].rank
    inner = math.prod(out.shape[axis + 1 :])
    if inner == 1:  # the axis is innermost
        given = reshaped_view(given, out.shape[: axis + 1])
    x = row_major(given, context, "cumsum_in")
    scan = Scan(x.dtype, context.lanes(x.dtype), context.threads, attrs.exclusive, attrs.reverse)

    def statement(source: Any, target: Any) -> Any:
        if inner == 1:
            rows = x.shape[:axis]

            def in_row(row: Expr, place: Expr) -> list[Expr]:
                return [*unravel(row, rows), place]

            return scan_inner(scan, source, target, (math.prod(rows), x.shape[axis]), in_row)
        others = (*x.shape[:axis], *x.shape[axis + 1 : -1])

        def between(other: Expr, place: Expr, last: Expr) -> list[Expr]:
            index = unravel(other, others)
            return [*index[:axis], place, *index[axis:], last]

        shape = (math.prod(others), x.shape[axis], x.shape[-1])
        return scan_outer(scan, source, target, shape, between)

    sums = written(context, "cumsum", [x], x.shape, x.dtype, statement)
    sums = reshaped_view(sums, out.shape)
    if sums.dtype == out.dtype.tvm:
        return sums
    return View(out.shape, out.dtype.tvm, lambda *i: cast_to(sums(*i), out.dtype.tvm))


COMPUTE: dict[str, Compute] = {"cumsum": _cumsum}
