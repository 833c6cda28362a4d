"""Gathers and scatters."""

from __future__ import annotations

import numpy as np

from ...dtypes import DType
from ...graph import Value
from ..call import Call, Results, Rule
from ..problems import Unsupported


def _gather(call: Call) -> Results:
    x = call[0]
    axis = call.axis(call.get_int("axis", 0), x.rank)
    return call.op("gather", x, call[1], axis=axis)


def _gather_elements(call: Call) -> Results:
    axis = call.axis(call.get_int("axis", 0), call[0].rank)
    return call.op("gather_elements", call[0], call[1], axis=axis)


def _gather_nd(call: Call) -> Results:
    return call.op("gather_nd", call[0], call[1], batch_dims=call.get_int("batch_dims", 0))


def _scatter_elements(call: Call) -> Results:
    """Scatter is its name until opset 10."""
    return call.op(
        "scatter_elements", call[0], call[1], call[2],
        axis=call.axis(call.get_int("axis", 0), call[0].rank),
        reduction=call.get_str("reduction", "none"),
    )  # fmt: skip


def _scatter_nd(call: Call) -> Results:
    reduction = call.get_str("reduction", "none")
    return call.op("scatter_nd", call[0], call[1], call[2], reduction=reduction)


def _one_hot(call: Call) -> Results:
    """on where the index (negative ones count from the end) is the position, off elsewhere."""
    depth = int(call.known(1, "the depth").reshape(-1)[0])
    indices = call.cast(call[0], DType.I64)
    axis = call.axis(call.get_int("axis", -1), indices.rank + 1)
    shape = (*indices.shape[:axis], 1, *indices.shape[axis:])
    positions = np.arange(depth, dtype=np.int64).reshape(-1, *(1,) * (indices.rank - axis))
    zero, size = call.scalar(0, DType.I64), call.scalar(depth, DType.I64)
    wrapped = call.op("where", call.op("less", indices, zero), call.op("add", indices, size),
                      indices)  # fmt: skip
    hot = call.op("equal", call.constant(positions), call.reshape(wrapped, shape))
    values = call[2]  # off, on
    off, on = (call.reshape(part, ()) for part in call.add("split", values, axis=0, sizes=(1, 1)))
    return call.op("where", hot, on, off)


def _reverse_sequence(call: Call) -> Results:
    """Along the time axis, the first `length` elements of each batch entry turned around."""
    x, lengths = call[0], call.cast(call[1], DType.I64)
    batch, time = call.get_int("batch_axis", 1), call.get_int("time_axis", 0)
    if sorted((batch, time)) != [0, 1]:
        raise Unsupported("batch_axis and time_axis are not 0 and 1", "The model is not valid.")
    steps = x.shape[time]
    tail = (1,) * (x.rank - 2)

    def standing(size: int, axis: int) -> tuple[int, ...]:
        return (size, 1, *tail) if axis == 0 else (1, size, *tail)

    at = call.constant(np.arange(steps, dtype=np.int64).reshape(standing(steps, time)))
    length = call.reshape(lengths, standing(x.shape[batch], batch))
    mirrored = call.op("sub", call.op("sub", length, call.scalar(1, DType.I64)), at)
    index = call.op("where", call.op("less", at, length), mirrored, at)
    return call.op("gather_elements", x, _broadcast(call, index, x), axis=time)


def _broadcast(call: Call, value: Value, like: Value) -> Value:
    return value if value.shape == like.shape else call.op("expand", value, shape=like.shape)


RULES: dict[str, Rule] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "OneHot": _one_hot,
    "ReverseSequence": _reverse_sequence,
}
