"""transpose: the axes in another order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array


@dataclass(frozen=True)
class TransposeAttrs(Attrs):
    """perm: output axis i is input axis perm[i]."""

    perm: tuple[int, ...]


def _infer(attrs: TransposeAttrs, x: TensorType) -> TensorType:
    """Dtype of x, its sizes permuted.

    C1: perm is a permutation of the axes.
    """
    if sorted(attrs.perm) != list(range(x.rank)):
        raise ConstraintError(
            "transpose", "C1", f"perm {list(attrs.perm)} does not permute the axes of {x}"
        )
    return TensorType(x.dtype, tuple(x.shape[axis] for axis in attrs.perm))


def _reference(attrs: TransposeAttrs, x: Array) -> Array:
    return np.transpose(x, attrs.perm)


OPS = (OpDef("transpose", TransposeAttrs, _infer, _reference, Pattern.INJECTIVE),)
