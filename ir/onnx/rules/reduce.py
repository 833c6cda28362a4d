"""Reductions, softmax and its kin, and ops that run along an axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...dtypes import DType
from ...graph import Value
from ..call import Call, Results, Rule
from ..problems import Unsupported

Reduce = Callable[[Call, Value, tuple[int, ...], bool], Value]

# Since which opset the axes are an operand.
_AXES_OPERAND = {"ReduceSum": 13}


def _reduction(reduce: Reduce, unreduced: Callable[[Call, Value], Value] | None = None) -> Rule:
    """A rule for one reduction.

    Args:
        reduce: Builds it over axes counted from the front.
        unreduced: What it does to each element where nothing is reduced; None: nothing.
    """

    def rule(call: Call) -> Results:
        x = call[0]
        axes = _axes(call, x.rank)
        if axes is None:
            return unreduced(call, x) if unreduced else x
        return reduce(call, x, axes, call.get_bool("keepdims", True))

    return rule


def _axes(call: Call, rank: int) -> tuple[int, ...] | None:
    """The axes of a reduction, None where it reduces nothing."""
    if call.opset >= _AXES_OPERAND.get(call.op_type, 18):
        axes = call.optional_ints(1, "axes")
        if not axes:
            return None if call.get_bool("noop_with_empty_axes") else tuple(range(rank))
    else:
        axes = call.get_ints("axes", tuple(range(rank)))
    return call.axes(axes, rank)


def _plain(op: str) -> Reduce:
    def reduce(call: Call, x: Value, axes: tuple[int, ...], keepdims: bool) -> Value:
        return call.op(op, x, axes=axes, keepdims=keepdims)

    return reduce


def _after(op: str, reduce: Reduce) -> Reduce:
    """`reduce` of an elementwise op's result."""

    def build(call: Call, x: Value, axes: tuple[int, ...], keepdims: bool) -> Value:
        return reduce(call, call.op(op, x), axes, keepdims)

    return build


def _then(op: str, reduce: Reduce) -> Reduce:
    """An elementwise op on `reduce`'s result, by way of f64 for integers."""

    def build(call: Call, x: Value, axes: tuple[int, ...], keepdims: bool) -> Value:
        work = x if x.dtype.is_float else call.cast(x, DType.F64)
        return call.cast(call.op(op, reduce(call, work, axes, keepdims)), x.dtype)

    return build


def _square(call: Call, x: Value) -> Value:
    return call.op("mul", x, x)


def _sum_square(call: Call, x: Value, axes: tuple[int, ...], keepdims: bool) -> Value:
    return call.op("reduce_sum", _square(call, x), axes=axes, keepdims=keepdims)


def _log_sum_exp(call: Call, x: Value, axes: tuple[int, ...], keepdims: bool) -> Value:
    """m + log(sum(exp(x - m))) with m the maximum (0 where that is infinite)."""
    work = x if x.dtype.is_float else call.cast(x, DType.F64)
    peak = call.op("reduce_max", work, axes=axes, keepdims=True)
    peak = call.op("where", call.op("isinf", peak), call.scalar(0, work), peak)
    powers = call.op("exp", call.op("sub", work, peak))
    total = call.op("log", call.op("reduce_sum", powers, axes=axes, keepdims=True))
    y = call.op("add", total, peak)
    if not keepdims:
        y = call.reshape(y, tuple(s for i, s in enumerate(y.shape) if i not in axes))
    return call.cast(y, x.dtype)


def _log(call: Call, x: Value) -> Value:
    work = x if x.dtype.is_float else call.cast(x, DType.F64)
    return call.cast(call.op("log", work), x.dtype)


def _arg(op: str) -> Rule:
    def rule(call: Call) -> Results:
        return call.op(
            op, call[0], axis=call.axis(call.get_int("axis", 0), call[0].rank),
            keepdims=call.get_bool("keepdims", True), last=call.get_bool("select_last_index"),
        )  # fmt: skip

    return rule


def _over_rows(build: Callable[[Call, Value, int], Value]) -> Rule:
    """Softmax, log-softmax, hardmax: until opset 12 over all axes from `axis` on, flattened."""

    def rule(call: Call) -> Results:
        x = call[0]
        axis = call.axis(call.get_int("axis", -1 if call.opset >= 13 else 1), x.rank)
        if call.opset >= 13 or axis == x.rank - 1:
            return build(call, x, axis - x.rank if x.rank else -1)
        rows = call.reshape(x, (*x.shape[:axis], int(np.prod(x.shape[axis:]))))
        return call.reshape(build(call, rows, -1), x.shape)

    return rule


def _hardmax(call: Call, x: Value, axis: int) -> Value:
    """1 at the first maximum along the axis, 0 elsewhere."""
    if x.type.size == 0:
        return x
    at = call.op("argmax", x, axis=axis, keepdims=True)
    size = x.shape[axis]
    along = (size, *(1,) * (-axis - 1))
    positions = call.constant(np.arange(size, dtype=np.int64).reshape(along))
    return call.cast(call.op("equal", positions, at), x.dtype)


def _cum_sum(call: Call) -> Results:
    (axis,) = call.known_ints(1, "the axis")
    return call.op(
        "cumsum", call[0], axis=call.axis(axis, call[0].rank),
        exclusive=call.get_bool("exclusive"), reverse=call.get_bool("reverse"),
    )  # fmt: skip


def _top_k(call: Call) -> Results:
    """k is an attribute until opset 9."""
    x = call[0]
    k = call.get_int("k") if call.opset < 10 else call.known_ints(1, "k")[0]
    return call.add(
        "topk", x, k=k, axis=call.axis(call.get_int("axis", -1), x.rank),
        largest=call.get_bool("largest", True), sorted=call.get_bool("sorted", True),
    )  # fmt: skip


def _cum_prod(call: Call) -> Results:
    """A product over growing slices, one slice per position."""
    x = call[0]
    (axis,) = call.known_ints(1, "the axis")
    axis = call.axis(axis, x.rank)
    size = x.shape[axis]
    if size > 64:
        raise Unsupported(f"a running product over {size} elements")
    pieces = list(call.add("split", x, axis=axis, sizes=(1,) * size))
    if call.get_bool("reverse"):
        pieces.reverse()
    total = call.op("div", pieces[0], pieces[0]) if size else x
    ones = call.op("expand", call.scalar(1, x), shape=pieces[0].shape) if size else x
    total, results = ones, []
    for piece in pieces:
        before, total = total, call.op("mul", total, piece)
        results.append(before if call.get_bool("exclusive") else total)
    if call.get_bool("reverse"):
        results.reverse()
    return call.op("concat", *results, axis=axis) if size else x


RULES: dict[str, Rule] = {
    "ReduceSum": _reduction(_plain("reduce_sum")),
    "ReduceMean": _reduction(_plain("reduce_mean")),
    "ReduceMax": _reduction(_plain("reduce_max")),
    "ReduceMin": _reduction(_plain("reduce_min")),
    "ReduceProd": _reduction(_plain("reduce_prod")),
    "ReduceL1": _reduction(_after("abs", _plain("reduce_sum")), lambda c, x: c.op("abs", x)),
    "ReduceL2": _reduction(_then("sqrt", _sum_square), lambda c, x: c.op("abs", x)),
    "ReduceLogSum": _reduction(_then("log", _plain("reduce_sum")), _log),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "ReduceSumSquare": _reduction(_sum_square, _square),
    "ArgMax": _arg("argmax"),
    "ArgMin": _arg("argmin"),
    "Softmax": _over_rows(lambda c, x, axis: c.op("softmax", x, axis=axis)),
    "LogSoftmax": _over_rows(lambda c, x, axis: c.op("log_softmax", x, axis=axis)),
    "Hardmax": _over_rows(_hardmax),
    "CumSum": _cum_sum,
    "CumProd": _cum_prod,
    "TopK": _top_k,
}
