"""softmax and log_softmax: maximum, exponentials, their sum, quotient."""

from __future__ import annotations

from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..half_views import widened
from ..view import Expr, View, const
from . import Compute
from .elements import cast_to
from .reduce import reduce_axes


def _at(axis: int, indices: tuple[Expr, ...]) -> list[Expr]:
    return [0 if i == axis else index for i, index in enumerate(indices)]


def _softmax(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, dtype = widened(inputs[0]), out_types[0].dtype.tvm
    if 0 in x.shape:
        return inputs[0]
    axis = attrs.axis % x.rank
    top = reduce_axes(x, (axis,), "max", context, "softmax_max")

    def power(*indices: Expr) -> Expr:
        return context.math.exp_down(x(*indices) - top(*_at(axis, indices)))

    raised = context.materialise(View(x.shape, x.dtype, power, reach=x.reach), "softmax_exp")
    total = reduce_axes(raised, (axis,), "sum", context, "softmax_sum")

    # One division a row.
    inverse = context.materialise(
        View(
            total.shape,
            total.dtype,
            lambda *i: const(1, total.dtype) / total(*i),
            reach=total.reach,
        ),
        "softmax_inv",
    )

    def read(*indices: Expr) -> Expr:
        return cast_to(raised(*indices) * inverse(*_at(axis, indices)), dtype)

    return View(x.shape, dtype, read, reach=x.reach)


def _log_softmax(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, dtype = widened(inputs[0]), out_types[0].dtype.tvm
    if 0 in x.shape:
        return inputs[0]
    axis = attrs.axis % x.rank
    top = reduce_axes(x, (axis,), "max", context, "softmax_max")
    total = reduce_axes(
        x,
        (axis,),
        "sum",
        context,
        "softmax_sum",
        lambda value, index: context.math.exp_down(value - top(*_at(axis, tuple(index)))),
    )
    # The logarithm once a row, not once an element; apart from the maximum, beside which it is lost
    # where that is large.
    shift = context.materialise(
        View(
            total.shape,
            total.dtype,
            lambda *i: context.math.log(total(*i)),
            reach=total.reach,
        ),
        "softmax_shift",
    )

    def read(*indices: Expr) -> Expr:
        row = _at(axis, indices)
        return cast_to(x(*indices) - top(*row) - shift(*row), dtype)

    return View(x.shape, dtype, read, reach=x.reach)


COMPUTE: dict[str, Compute] = {"softmax": _softmax, "log_softmax": _log_softmax}
