"""What sliding windows share: reading with padding."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from ..view import Expr, View, guarded

__all__ = ["read_padded"]


def read_padded(
    x: View, leading: Sequence[Expr], at: Sequence[Expr], fill: Expr, free: Sequence[bool]
) -> Expr:
    """x at spatial positions that may lie outside, where `fill` is found.

    Args:
        x: [N, C, *spatial].
        leading: Index of N and C.
        at: Spatial positions.
        fill: What padding holds.
        free: Per spatial axis, whether the position is known to lie inside.
    """
    checks = []
    for position, size, inside in zip(at, x.shape[2:], free, strict=True):
        if not inside:
            checks += [position >= 0, position < size]
    if not checks:
        return x(*leading, *at)
    return guarded(tirx.all(*checks), lambda: x(*leading, *at), fill)
