"""softmax and log_softmax along one axis, shifted by the maximum so that nothing overflows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..op import Attrs, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish, precise
from .checks import Kind, axis_of, need_kind

FLOPS_PER_ELEMENT = 5  # maximum, subtract, exp, sum, divide


@dataclass(frozen=True)
class SoftmaxAttrs(Attrs):
    axis: int = -1


def _infer(op: str) -> Callable[..., TensorType]:
    def infer(attrs: SoftmaxAttrs, x: TensorType) -> TensorType:
        """Type of x.

        C1: x has a float dtype.
        C2: axis is in [-rank, rank).
        """
        need_kind(op, "C1", "x", x, Kind.FLOAT)
        axis_of(op, "C2", attrs.axis, x.rank)
        return TensorType(x.dtype, x.shape)

    return infer


def _shifted(attrs: SoftmaxAttrs, x: Array) -> tuple[Array, Array]:
    """x minus its maximum, and the sum of its exponentials, in float64."""
    v = precise(x)
    v = v - np.max(v, axis=attrs.axis, keepdims=True, initial=-np.inf)
    return v, np.sum(np.exp(v), axis=attrs.axis, keepdims=True)


def _softmax(attrs: SoftmaxAttrs, x: Array) -> Array:
    v, total = _shifted(attrs, x)
    return finish(np.exp(v) / total, x.dtype)


def _log_softmax(attrs: SoftmaxAttrs, x: Array) -> Array:
    v, total = _shifted(attrs, x)
    return finish(v - np.log(total), x.dtype)


def _flops(attrs: Attrs, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
    return FLOPS_PER_ELEMENT * inputs[0].size


OPS = (
    OpDef("softmax", SoftmaxAttrs, _infer("softmax"), _softmax, Pattern.REDUCTION, _flops),
    OpDef(
        "log_softmax", SoftmaxAttrs, _infer("log_softmax"), _log_softmax, Pattern.REDUCTION, _flops
    ),
)
