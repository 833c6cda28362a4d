"""What references raise where a compiled kernel sets its engine's fault status."""

from __future__ import annotations

import numpy as np

from ...errors import ModelError
from .arithmetic import Array


class DataFault(ModelError):
    """The data breaks an op's rule: an index out of range, an integer division by zero."""


def need_nonzero(op: str, divisor: Array) -> None:
    """Raise DataFault if an integer divisor is zero."""
    if divisor.size and not np.all(divisor):
        raise DataFault(f"{op}: integer division by zero")


def wrapped_indices(op: str, indices: Array, size: int) -> Array:
    """``indices``, negative ones counted from the end. Raises DataFault beyond [-size, size)."""
    wrong = (indices < -size) | (indices >= size)
    if np.any(wrong):
        first = int(indices[wrong].reshape(-1)[0])
        raise DataFault(f"{op}: index {first} is not in [{-size}, {size - 1}]")
    return np.asarray(np.where(indices < 0, indices + size, indices).astype(np.int64))
