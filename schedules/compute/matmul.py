"""matmul: products of the last two axes, the axes before them broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..view import Expr, View
from . import Compute
from .conv import accumulator, finished, held, product
from .elements import broadcast_index


def _matmul(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    a, b = (held(v, context, h) for v, h in zip(inputs, ("matmul_a", "matmul_b"), strict=True))
    out = out_types[0]
    dtype = accumulator(out)
    depth = a.shape[-2] if attrs.transpose_a else a.shape[-1]

    def source(index: Sequence[Expr], along: Sequence[Expr]) -> Expr:
        batch, (i, j), k = index[:-2], index[-2:], along[0]
        left = broadcast_index(batch, a.shape[:-2])
        right = broadcast_index(batch, b.shape[:-2])
        return product(
            a(*left, *((k, i) if attrs.transpose_a else (i, k))),
            b(*right, *((j, k) if attrs.transpose_b else (k, j))),
            dtype,
        )

    type = context.type(dtype, out.shape)
    total = context.reduce(type, (depth,), "sum", source, "matmul")
    return finished(total, out)


COMPUTE: dict[str, Compute] = {"matmul": _matmul}
