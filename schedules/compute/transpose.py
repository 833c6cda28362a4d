"""transpose: the indices in another order."""

from __future__ import annotations

from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..view import Expr, View
from . import Compute


def _transpose(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    x, perm = inputs[0], attrs.perm

    def read(*indices: Expr) -> Expr:
        at: list[Expr] = [0] * len(perm)
        for out_axis, in_axis in enumerate(perm):
            at[in_axis] = indices[out_axis]
        return x(*at)

    reach = [x.reach[axis] for axis in perm]
    return View(out_types[0].shape, x.dtype, read, reach=reach, pad=x.pad, cheap=x.cheap)


COMPUTE: dict[str, Compute] = {"transpose": _transpose}
