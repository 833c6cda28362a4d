"""range: start + i delta."""

from __future__ import annotations

from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..view import Expr, View, const
from . import Compute
from .elements import cast_to


def _range(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    dtype = attrs.dtype.tvm
    wide = "int64" if attrs.dtype.is_integer else "float64"

    def read(index: Expr) -> Expr:
        place = const(index, wide) if isinstance(index, int) else index.astype(wide)
        return cast_to(const(attrs.start, wide) + place * const(attrs.delta, wide), dtype)

    return View(out_types[0].shape, dtype, read)


COMPUTE: dict[str, Compute] = {"range": _range}
