"""Matrix products."""

from __future__ import annotations

from ...dtypes import DType
from ...graph import Value
from ..call import Call, Results, Rule
from .conv import is_zero


def matmul(
    call: Call, a: Value, b: Value, transpose_a: bool = False, transpose_b: bool = False
) -> Value:
    """numpy's matmul: a vector is a row on the left, a column on the right."""
    left, right = a.rank == 1, b.rank == 1
    if left:
        a, transpose_a = call.reshape(a, (1, a.shape[0])), False
    if right:
        b, transpose_b = call.reshape(b, (b.shape[0], 1)), False
    y = call.op("matmul", a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    shape = list(y.shape)
    if right:
        del shape[-1]
    if left:
        del shape[-1 if right else -2]
    return call.reshape(y, shape)


def _matmul(call: Call) -> Results:
    return matmul(call, call[0], call[1])


def gemm(call: Call) -> Results:
    """alpha * A' B' + beta * C."""
    alpha, beta = call.get_float("alpha", 1.0), call.get_float("beta", 1.0)
    y = call.op(
        "matmul", call[0], call[1],
        transpose_a=call.get_bool("transA"), transpose_b=call.get_bool("transB"),
    )  # fmt: skip
    if alpha != 1.0:
        y = call.op("mul", y, call.scalar(alpha, y))
    c = call.optional(2)
    if c is None or beta == 0.0:
        return y
    if beta != 1.0:
        c = call.op("mul", c, call.scalar(beta, c))
    return call.op("add", y, c)


def _matmul_integer(call: Call) -> Results:
    return integer_matmul(call, call[0], call[1], call.optional(2), call.optional(3))


def integer_matmul(
    call: Call, a: Value, b: Value, a_zero: Value | None, b_zero: Value | None
) -> Value:
    """The exact i32 product of (a - a_zero) and (b - b_zero)."""
    if is_zero(a_zero) and is_zero(b_zero):
        return matmul(call, a, b)
    a, b = call.cast(a, DType.I32), call.cast(b, DType.I32)
    if a_zero is not None:
        zero = call.cast(a_zero, DType.I32)
        if zero.rank == 1 and zero.shape[0] > 1:  # per row
            zero = call.reshape(zero, (zero.shape[0], 1))
        a = call.op("sub", a, zero)
    if b_zero is not None:
        b = call.op("sub", b, call.cast(b_zero, DType.I32))
    return matmul(call, a, b)


RULES: dict[str, Rule] = {
    "MatMul": _matmul,
    "Gemm": gemm,
    "MatMulInteger": _matmul_integer,
}
