"""Small questions that patterns ask about values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import op as ops
from ..ir.dtypes import DType
from ..ir.graph import Graph, Node, Value
from ..ir.op import Attrs
from ..ir.ops import ReshapeAttrs
from ..ir.rewriter import Rewriter

UNIFORM_LIMIT = 1 << 20  # larger constants are not searched for being all the same


def made_by(value: Value, *ops: str) -> Node | None:
    """The node behind a value if it is one of these ops."""
    return value.node if value.node.op in ops else None


def scalar(value: Value) -> float | None:
    """The number of a constant of one element; None if it is anything else."""
    if not value.is_constant or value.type.size != 1 or value.dtype.is_bool:
        return None
    return float(value.array.reshape(-1)[0])


def is_scalar(value: Value, number: float, tolerance: float = 0.0) -> bool:
    """Whether a value is a constant of one element near `number` (relative tolerance)."""
    found = scalar(value)
    return found is not None and abs(found - number) <= tolerance * abs(number)


def uniform(value: Value) -> Any | None:
    """The element that fills a constant, as a numpy scalar; None if there are several."""
    if not value.is_constant or not 0 < value.type.size <= UNIFORM_LIMIT:
        return None
    flat = value.array.reshape(-1)
    return flat[0] if bool(np.all(flat == flat[0])) else None


def never_minus(value: Value, steps: int = 8) -> bool:
    """Whether every element of a float is +0, above, or NaN, as far as `steps` ops before it say.

    So it is with absolute values, squares, their sums and averages, and such with an epsilon.
    """
    node = value.node
    if value.is_constant:
        small = value.type.size <= UNIFORM_LIMIT
        return small and not bool(np.signbit(value.array.astype(np.float64)).any())
    if node.op in ("abs", "exp", "sigmoid"):
        return True
    if node.op == "mul" and node.inputs[0] is node.inputs[1]:
        return True
    if node.op == "pow" and scalar(node.inputs[1]) == 2.0:
        return True
    kept = ("add", "mul", "div", "reduce_sum", "reduce_mean", "avg_pool", "reshape", "transpose")
    return steps > 0 and node.op in kept and all(never_minus(v, steps - 1) for v in node.inputs)


def with_constant(node: Node) -> tuple[Value, Value] | None:
    """`(x, constant)` of an op of two operands of which the second is constant."""
    if len(node.inputs) != 2 or not node.inputs[1].is_constant or node.inputs[0].is_constant:
        return None
    return node.inputs[0], node.inputs[1]


def with_scalar(node: Node) -> tuple[Value, float] | None:
    """`(x, number)` of an op of two operands, one of which is a constant of one element."""
    for index in (1, 0):
        number = scalar(node.inputs[index])
        if number is not None:
            return node.inputs[1 - index], number
    return None


def either_way(node: Node) -> tuple[tuple[Value, Value], tuple[Value, Value]]:
    """Both orders of the operands of a commutative op."""
    a, b = node.inputs
    return (a, b), (b, a)


def used_once(graph: Graph, value: Value) -> bool:
    return graph.n_uses(value) == 1


def goes_by_axes(node: Node) -> bool:
    """Whether a pool or reduction may go over some of its axes first and then over the others.

    A maximum is one of maxima. Sums and averages are rounded once more, which half floats show.
    """
    dtype = node.output.dtype
    if node.op in ("max_pool", "reduce_max", "reduce_min") or dtype in (DType.F32, DType.F64):
        return True
    return dtype.is_integer and node.op not in ("avg_pool", "reduce_mean")


def full_like(value: Value, number: float, shape: tuple[int, ...] = ()) -> np.ndarray:
    """A constant array of the value's dtype."""
    return np.full(shape, number, value.dtype.numpy)


def reshape_spec(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """The normal form of reshape's attribute: leading sizes that stay are 0, a single size that
    remains is -1.

    The fewer literal sizes an attribute holds, the less of it depends on the batch.
    """
    if 0 in new or 0 in old:
        return new
    kept = 0
    while kept < min(len(old), len(new)) and old[kept] == new[kept]:
        kept += 1
    rest = new[kept:]
    return (0,) * kept + ((-1,) if len(rest) == 1 else rest)


def reshape(rewriter: Rewriter, value: Value, shape: tuple[int, ...]) -> Value:
    """`value` in another shape; no node if it has it already."""
    if value.shape == shape:
        return value
    return rewriter.op("reshape", value, attrs=ReshapeAttrs(reshape_spec(value.shape, shape)))


def computed(rewriter: Rewriter, op: str, *values: Value, attrs: Attrs | None = None) -> Value:
    """The constant that an op gives on constants, computed now."""
    definition = ops.get(op)
    chosen = definition.attrs() if attrs is None else attrs
    with np.errstate(all="ignore"):
        (array,) = definition.evaluate(chosen, tuple(value.array for value in values))
    return rewriter.constant(array, values[0].name)
