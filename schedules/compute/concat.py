"""concat: one branch per input; templates split the axis so that each branch is its own loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..view import Expr, View, guarded, scope
from . import Compute


def _concat(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    out = out_types[0]
    axis = attrs.axis % len(out.shape)
    parts: list[tuple[int, View]] = []
    begin = 0
    for view in inputs:
        if view.shape[axis]:
            parts.append((begin, view))
        begin += view.shape[axis]
    if not parts:
        return inputs[0]
    return View(
        out.shape,
        out.dtype.tvm,
        lambda *indices: _chosen(parts, axis, indices),
        reach=_reach(parts, axis, out.shape),
        pad=_pad(parts),
    )


def _chosen(parts: list[tuple[int, View]], axis: int, indices: Sequence[Expr]) -> Expr:
    def read(part: tuple[int, View]) -> Expr:
        begin, view = part
        position = indices[axis] - begin
        return view(*indices[:axis], position, *indices[axis + 1 :])

    # The last part is what is left; so nothing is read outside of any input.
    def pick(rest: list[tuple[int, View]]) -> Expr:
        if len(rest) == 1:
            return read(rest[0])
        middle = (len(rest) + 1) // 2
        border = rest[middle][0]
        return _branch(
            indices[axis] < border, lambda: pick(rest[:middle]), lambda: pick(rest[middle:])
        )

    return pick(parts)


def _branch(condition: Expr, then: Any, otherwise: Any) -> Expr:
    if isinstance(condition, bool):
        return then() if condition else otherwise()
    return guarded(condition, then, scope(otherwise))


def _reach(parts: list[tuple[int, View]], axis: int, shape: Sequence[int]) -> list[int]:
    reach = [min(view.reach[i] for _, view in parts) for i in range(len(shape))]
    begin, last = parts[-1]
    reach[axis] = begin + last.reach[axis]
    return reach


def _pad(parts: list[tuple[int, View]]) -> Any:
    zero = all(view.pad is not None and view.pad == 0 for _, view in parts)
    return parts[0][1].pad if zero else None


COMPUTE: dict[str, Compute] = {"concat": _concat}
