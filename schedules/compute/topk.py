"""topk by ranks: an element's place is the number of elements that come before it.

Quadratic along the axis, but without branches and parallel over everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx

from ...ir.types import TensorType
from ..context import Context
from ..half_views import widened
from ..view import Expr, View, bind, const
from . import Compute
from .elements import cast_to


def _topk(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> tuple[View, ...]:
    values, places = out_types
    view = inputs[0] if inputs[0].cheap else context.materialise(inputs[0], "topk_in")
    x = widened(view)
    axis = attrs.axis % x.rank
    if 0 in values.shape:
        return tuple(
            View(t.shape, t.dtype.tvm, lambda *_, t=t: const(0, t.dtype.tvm)) for t in out_types
        )

    def moved(index: Sequence[Expr], place: Expr) -> list[Expr]:
        return [*index[:axis], place, *index[axis + 1 :]]

    def before(index: Sequence[Expr], along: Sequence[Expr]) -> Expr:
        """Whether element j comes before element i: larger, or equal and earlier."""
        i, j = index[axis], along[0]

        def compare(here: Expr, other: Expr) -> Expr:
            wins = other > here if attrs.largest else other < here
            ties = tirx.all(tirx.EQ(other, here), j < i)
            return tirx.Select(tirx.any(wins, ties), const(1, "int32"), const(0, "int32"))

        return bind(x(*index), lambda a: bind(x(*moved(index, j)), lambda b: compare(a, b)))

    rank_type = context.type("int32", x.shape)
    rank = context.reduce(rank_type, [x.shape[axis]], "sum", before, "topk_rank")

    def position(index: Sequence[Expr], along: Sequence[Expr]) -> Expr:
        at = moved(index, along[0])
        return tirx.Select(tirx.EQ(rank(*at), index[axis]), along[0], const(0, "int32"))

    place_type = context.type("int32", values.shape)
    place = context.reduce(place_type, [x.shape[axis]], "sum", position, "topk_place")

    def value(*index: Expr) -> Expr:
        return cast_to(x(*moved(index, place(*index))), values.dtype.tvm)

    return (
        View(values.shape, values.dtype.tvm, value),
        View(places.shape, "int64", lambda *i: place(*i).astype("int64")),
    )


COMPUTE: dict[str, Compute] = {"topk": _topk}
