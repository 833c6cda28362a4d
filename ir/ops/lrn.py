"""lrn: local response normalization across channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..op import Attrs, ConstraintError, OpDef, Pattern
from ..types import TensorType
from .arithmetic import Array, finish, precise
from .checks import Kind, need_kind


@dataclass(frozen=True)
class LrnAttrs(Attrs):
    """x / (bias + alpha / size * sum of squares over size neighbouring channels) ** beta."""

    size: int
    alpha: float = 0.0001
    beta: float = 0.75
    bias: float = 1.0


def _infer(attrs: LrnAttrs, x: TensorType) -> TensorType:
    """Type of x, [N, C, ...].

    C1: x has a float dtype.
    C2: x has rank 2 or more.
    C3: size is at least 1.
    """
    need_kind("lrn", "C1", "x", x, Kind.FLOAT)
    if x.rank < 2:
        raise ConstraintError("lrn", "C2", f"x must have rank 2 or more, got {x}")
    if attrs.size < 1:
        raise ConstraintError("lrn", "C3", f"size must be at least 1, got {attrs.size}")
    return TensorType(x.dtype, x.shape)


def channel_window(attrs: LrnAttrs) -> tuple[int, int]:
    """How many channels before and after its own a window takes in."""
    return (attrs.size - 1) // 2, attrs.size // 2


def _reference(attrs: LrnAttrs, x: Array) -> Array:
    v = precise(x)
    before, after = channel_window(attrs)
    total = np.zeros_like(v)
    channels = x.shape[1]
    for c in range(channels):
        window = v[:, max(0, c - before) : min(channels, c + after + 1)]
        total[:, c] = np.sum(window * window, axis=1)
    scale = attrs.bias + attrs.alpha / attrs.size * total
    return finish(v / np.power(scale, attrs.beta), x.dtype)


def _flops(attrs: LrnAttrs, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
    return (2 * attrs.size + 4) * outputs[0].size


OPS = (OpDef("lrn", LrnAttrs, _infer, _reference, Pattern.REDUCTION, _flops),)
