"""topk: row by row, a selection of keys and a sort of what was selected (`selection.py`).

Rows are shared among threads. Of a few long rows each thread takes a part; the best of the parts
are selected from once more.
"""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx

from ...ir.types import TensorType
from .. import vector_code as code
from ..context import Context
from ..flat_index import unravel
from ..half_views import widened
from ..selection import Selection, key_type, keys_of
from ..view import Expr, View, const
from . import Compute
from .elements import cast_to
from .written import row_major, written

ROW = 64  # elements that a row costs besides its own


def _topk(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> tuple[View, ...]:
    values, places = out_types
    if 0 in values.shape:
        return tuple(
            View(t.shape, t.dtype.tvm, lambda *_, t=t: const(0, t.dtype.tvm)) for t in out_types
        )
    x = inputs[0] if inputs[0].cheap else context.materialise(inputs[0], "topk_in")
    wide = widened(x)
    axis = attrs.axis % x.rank
    rows = row_major(_with_last(wide, axis), context, "topk_rows")
    best = _places(rows, attrs.k, attrs.largest, context)

    def place(*index: Expr) -> Expr:
        return best(*index[:axis], *index[axis + 1 :], index[axis])

    def value(*index: Expr) -> Expr:
        return cast_to(wide(*index[:axis], place(*index), *index[axis + 1 :]), values.dtype.tvm)

    return (
        View(values.shape, values.dtype.tvm, value),
        View(places.shape, "int64", lambda *i: place(*i).astype("int64")),
    )


def _with_last(x: View, axis: int) -> View:
    """The view with this axis behind all others."""
    if axis == x.rank - 1:
        return x
    return View(
        (*x.shape[:axis], *x.shape[axis + 1 :], x.shape[axis]),
        x.dtype,
        lambda *i: x(*i[:axis], i[-1], *i[axis:-1]),
        cheap=x.cheap,
    )


def _places(x: View, k: int, largest: bool, context: Context) -> View:
    """[..., k] i32: where the k best elements of each row of x [..., n] are, in order."""
    *outer, size = x.shape
    rows, type = math.prod(outer), key_type(x.dtype)
    lanes = context.lanes(type)
    threads = context.threads if rows * (size + ROW) >= code.GRAIN else 1
    parts = max(1, min(threads // rows, size // max(code.GRAIN, 8 * k)))

    def statement(source: Any, out: Any) -> Any:
        def read(row: Expr, at: Expr, lanes: int) -> tuple[Expr, Expr]:
            x_at = code.load(source, *unravel(row, outer), code.ramp(at, lanes))
            return keys_of(x_at, x.dtype, lanes, largest), code.ramp(at, lanes)

        def sorted_row(selection: Selection, row: Expr, select: Any) -> Any:
            index = unravel(row, outer)
            sort = selection.sort(lambda rank, place: code.store(out, place, *index, rank))
            return code.with_scratch(selection.scratches(sorts=True), code.seq(select, sort))

        if parts == 1:

            def whole(row: Expr) -> Any:
                selection = Selection(k, size, type, lanes)
                return sorted_row(selection, row, selection.select(lambda a, n: read(row, a, n)))

            return code.shared_loop(rows, whole, threads > 1)
        keys = code.scratch((rows, parts * k), "part_keys", type)
        places = code.scratch((rows, parts * k), "part_places", "int32")
        length = size // parts

        def part(flat: Expr) -> Any:
            row, number = unravel(flat, (rows, parts))
            start = number * length

            selection = Selection(k, length, type, lanes)

            def keep(i: Expr) -> Any:
                to = (row, number * k + i)
                return code.seq(
                    code.store(keys, code.load(selection.keys, i), *to),
                    code.store(places, code.load(selection.places, i), *to),
                )

            def offset(at: Expr, lanes: int) -> tuple[Expr, Expr]:
                return read(row, start + at, lanes)

            last, none = const(size % parts, "int32"), const(0, "int32")
            more = tirx.Select(tirx.EQ(number, parts - 1), last, none)
            body = code.seq(selection.select(offset, more), code.loop(k, keep))
            return code.with_scratch(selection.scratches(sorts=False), body)

        def merged(row: Expr) -> Any:
            selection = Selection(k, parts * k, type, lanes)

            def kept(at: Expr, lanes: int) -> tuple[Expr, Expr]:
                index = code.ramp(at, lanes)
                return code.load(keys, row, index), code.load(places, row, index)

            return sorted_row(selection, row, selection.select(kept))

        both = code.seq(code.parallel(rows * parts, part), code.shared_loop(rows, merged, rows > 1))
        return code.with_scratch([keys, places], both)

    return written(context, "topk", [x], (*outer, k), "int32", statement)


COMPUTE: dict[str, Compute] = {"topk": _topk}
