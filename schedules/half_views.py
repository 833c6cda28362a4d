"""Views of half floats: read as float32, and between stages kept as it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.dtypes import DType
from .half import as_float32, is_half, rounded
from .view import Expr, View, bind

__all__ = ["as_bfloat16", "memoised", "widened"]


def widened(view: View) -> View:
    """A view that reads half floats as float32."""
    if not is_half(view.dtype):
        return view
    return view.wide or _changed(view, "float32", as_float32)


def as_bfloat16(wide: View) -> View:
    """A view of float32 values as bfloat16; who widens it gets the values as they are."""
    result = _changed(wide, "bfloat16", lambda value: bind(value, rounded))
    result.wide, result.weight = wide, wide.weight
    return result


def memoised(view: View) -> View:
    """`View.memoised`; of bfloat16 it is the value as float32 that is computed once."""
    if view.dtype != "bfloat16" or view.cheap:
        return view.memoised()
    wide = widened(view)
    wide.weight = view.weight
    return as_bfloat16(wide.memoised())


def _changed(view: View, dtype: str, change: Callable[[Expr], Expr]) -> View:
    def number(value: Any) -> Any:
        return None if value is None else np.asarray(value).astype(DType.parse(dtype).numpy)[()]

    return View(
        view.shape,
        dtype,
        lambda *i: change(view(*i)),
        reach=view.reach,
        pad=number(view.pad),
        cheap=view.cheap,
        scalar=number(view.scalar),
    )
