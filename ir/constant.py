"""Immutable tensors with a content hash."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np

from .dtypes import DType
from .types import TensorType


class Constant:
    """A read-only, C-contiguous array. Equal contents have equal hashes."""

    def __init__(self, array: np.ndarray) -> None:
        array = np.asarray(array)
        if not array.flags.c_contiguous or array.flags.writeable:
            array = np.array(array, order="C")
        if array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("="))
        array = array.view()
        array.flags.writeable = False
        self.array = array
        self.type = TensorType(DType.from_numpy(array.dtype), array.shape)

    @cached_property
    def hash(self) -> str:
        """Hex digest of type and bytes."""
        digest = hashlib.blake2b(str(self.type).encode(), digest_size=16)
        digest.update(self.array.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return NotImplemented
        return self is other or (self.type == other.type and self.hash == other.hash)

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"Constant({self.type}, {self.hash})"
