"""tile: the index modulo the size."""

from __future__ import annotations

from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..view import Expr, View, simplify
from . import Compute


def _tile(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, shape = inputs[0], out_types[0].shape

    def position(index: Expr, size: int, repeat: int) -> Expr:
        if repeat == 1:
            return index
        return 0 if size == 1 else simplify(index % size)

    def read(*indices: Expr) -> Expr:
        triples = zip(indices, x.shape, attrs.repeats, strict=True)
        return x(*(position(*triple) for triple in triples))

    reach = [r if n == 1 else s for r, n, s in zip(x.reach, attrs.repeats, shape, strict=True)]
    return View(shape, x.dtype, read, reach=reach, pad=x.pad, cheap=x.cheap)


COMPUTE: dict[str, Compute] = {"tile": _tile}
