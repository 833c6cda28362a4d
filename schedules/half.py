"""Half floats in expressions: bfloat16 by its bits, float16 by TVM's casts.

TVM 0.27 makes float32 of every bfloat16 expression and rounds it at the end, once and as often
written out as its bits are looked at. So there are no such expressions: bfloat16 is loaded and
stored as 16 bits, computed with as float32, and rounded where an op says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from tvm import tirx

__all__ = ["as_float32", "bits_of", "is_half", "rounded"]


def is_half(dtype: str) -> bool:
    return dtype in ("float16", "bfloat16")


def as_float32(value: Any) -> Any:
    """The value of a half float."""
    if str(value.ty.dtype) != "bfloat16":
        return value.astype("float32")
    return _of_leaves(value, _as_float32)


def bits_of(value: Any) -> Any:
    """The bits of a bfloat16 as uint16."""
    return _of_leaves(value, _bits)


def _of_leaves(value: Any, change: Callable[[Any], Any]) -> Any:
    """An expression with what it chooses among changed: loads, constants and what was `rounded`."""
    if isinstance(value, tirx.Let):
        return tirx.Let(value.var, value.value, _of_leaves(value.body, change))
    if isinstance(value, tirx.Select):
        one, other = value.true_value, value.false_value
        return tirx.Select(value.condition, _of_leaves(one, change), _of_leaves(other, change))
    if _operation(value) == "if_then_else":
        condition, one, other = value.args
        return tirx.if_then_else(condition, _of_leaves(one, change), _of_leaves(other, change))
    return change(value)


def _as_float32(leaf: Any) -> Any:
    if isinstance(leaf, tirx.FloatImm):
        return tirx.const(leaf.value, "float32")
    return tirx.reinterpret("float32", tirx.shift_left(_bits(leaf).astype("int32"), _int(16)))


def _bits(leaf: Any) -> Any:
    if isinstance(leaf, tirx.FloatImm):
        return tirx.const(int(np.asarray(leaf.value, ml_dtypes.bfloat16).view(np.uint16)), "uint16")
    if _operation(leaf) == "reinterpret":
        return leaf.args[0]
    return tirx.reinterpret("uint16", leaf)


def _operation(value: Any) -> str:
    name: str = getattr(getattr(value, "op", None), "name", "")
    return name.rpartition(".")[2]


def rounded(value: Any) -> Any:
    """A float32 variable, which is read several times, as the nearest bfloat16; ties to even."""
    bits = tirx.reinterpret("int32", value)
    odd = tirx.bitwise_and(tirx.shift_right(bits, _int(16)), _int(1))
    nan = tirx.bitwise_and(bits, _int(0x7FFFFFFF)) > _int(0x7F800000)
    quiet = tirx.bitwise_or(bits, _int(0x400000))
    near = tirx.Select(nan, quiet, bits + _int(0x7FFF) + odd)
    upper = tirx.shift_right(near, _int(16)).astype("uint16")
    return tirx.reinterpret("bfloat16", upper)


def _int(number: int) -> Any:
    return tirx.const(number, "int32")
