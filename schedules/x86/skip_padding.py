"""Rows of the window that lie in the padding are not computed."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from .conv_shape import ConvShape, inside_conditions
from .nest_edit import UPDATE, UpdateNest, change_body

__all__ = ["skip_padding_rows"]


def skip_padding_rows(
    function: Any, shape: ConvShape, rows: int, reductions: int = 4, block: str = UPDATE
) -> Any:
    """A condition around what a row of the window does, in a nest whose tiles have one row.

        for kh: for …: acc += (inside(h + kh) ? x : 0) * w
            →  for kh: if inside(h + kh): for …: acc += x * w

    Of 7 rows under a 3x3 window it saves two of 21 products.

    Args:
        function: A scheduled nest.
        shape: The geometry.
        rows: How many rows are computed, perhaps more than there are.
        reductions: How many the block has; the rows of the window are the first.
        block: The update of the register tile.
    """
    nest = UpdateNest(function, block)
    kh, h = nest.bindings[-reductions], nest.bindings[-reductions - 3]
    row = nest.start(h) * shape.stride[0] + kh * shape.dilation[0]
    conditions = inside_conditions(shape, 0, row, rows)
    if not conditions:
        return function
    inside = tirx.all(*conditions)
    return change_body(function, kh, lambda body: tirx.IfThenElse(inside, body, None))
