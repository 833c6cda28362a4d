"""matmul: products of the last two axes, the axes before them broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dtypes import DType
from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import ELEMENTS_PER_CHUNK, Array, finish, is_floating, precise

_BYTES = (DType.U8, DType.I8)
_WIDE = (DType.I32, DType.I64, DType.U32, DType.U64)


@dataclass(frozen=True)
class MatmulAttrs(Attrs):
    """Whether the last two axes of an input stand the other way around."""

    transpose_a: bool = False
    transpose_b: bool = False


def _swapped(x: TensorType, swap: bool) -> tuple[int, ...]:
    return (*x.shape[:-2], x.shape[-1], x.shape[-2]) if swap else x.shape


def _infer(attrs: MatmulAttrs, a: TensorType, b: TensorType) -> TensorType:
    """[*batch, M, K] and [*batch, K, N] to [*batch, M, N].

    C1: a and b have one float or 32- or 64-bit integer dtype (so has the result), or each is u8
        or i8 (i32).
    C2: a and b have rank 2 or more.
    C3: K of a is K of b.
    C4: the batch axes broadcast.
    """
    if a.dtype in _BYTES and b.dtype in _BYTES:
        dtype = DType.I32
    elif a.dtype is b.dtype and (a.dtype.is_float or a.dtype in _WIDE):
        dtype = a.dtype
    else:
        raise ConstraintError("matmul", "C1", f"dtypes do not go together: {a} and {b}")
    if a.rank < 2 or b.rank < 2:
        raise ConstraintError("matmul", "C2", f"inputs must have rank 2 or more, got {a} and {b}")
    left, right = _swapped(a, attrs.transpose_a), _swapped(b, attrs.transpose_b)
    if left[-1] != right[-2]:
        text = f"inner sizes {left[-1]} and {right[-2]} differ for {a} and {b} with {attrs}"
        raise ConstraintError("matmul", "C3", text)
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        text = f"the batch axes do not broadcast, got {a} and {b}"
        raise ConstraintError("matmul", "C4", text) from None
    return TensorType(dtype, (*batch, left[-2], right[-1]))


def _reference(attrs: MatmulAttrs, a: Array, b: Array) -> Array:
    """Sums in float64 through BLAS, over chunks of K that bound the converted copies.

    Wide integers multiply exactly, wrapping; eight-bit ones are exact in float64.
    """
    left = a.swapaxes(-1, -2) if attrs.transpose_a else a
    right = b.swapaxes(-1, -2) if attrs.transpose_b else b
    if not is_floating(a.dtype) and a.dtype.itemsize > 1:
        return finish(left @ right, a.dtype)
    depth = left.shape[-1]
    step = max(1, ELEMENTS_PER_CHUNK * depth // max(left.size, right.size, 1))
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    total = np.zeros((*batch, left.shape[-2], right.shape[-1]))
    for k in range(0, depth, step):
        total += precise(left[..., k : k + step]) @ precise(right[..., k : k + step, :])
    if is_floating(a.dtype):
        return finish(total, a.dtype)
    return finish(total.astype(np.int64), np.dtype(np.int32))


def _flops(attrs: MatmulAttrs, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
    return 2 * outputs[0].size * _swapped(inputs[0], attrs.transpose_a)[-1]


OPS = (OpDef("matmul", MatmulAttrs, _infer, _reference, Pattern.ANCHOR, _flops),)
