"""The type of a value: element type, logical shape, layout."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from .dtypes import DType
from .layout import Layout


@dataclass(frozen=True)
class TensorType:
    """Type of a tensor. Prints as `f32[1,64,56,56]@NCHW16c`.

    Attributes:
        dtype: Element type.
        shape: Logical shape, whatever the layout.
        layout: How the tensor stands in memory; None is plain row-major.
    """

    dtype: DType
    shape: tuple[int, ...]
    layout: Layout | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if self.layout is not None:
            if self.layout.rank != len(self.shape):
                raise ValueError(f"layout {self.layout} does not fit shape {list(self.shape)}")
            if self.layout.is_plain:
                object.__setattr__(self, "layout", None)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of logical elements."""
        return math.prod(self.shape)

    @property
    def physical_shape(self) -> tuple[int, ...]:
        return self.layout.physical_shape(self.shape) if self.layout else self.shape

    @property
    def has_padding(self) -> bool:
        """Whether the layout stores lanes that belong to no element."""
        return self.layout is not None and self.layout.has_padding(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes as stored, padding included."""
        return math.prod(self.physical_shape) * self.dtype.bytes

    def strip(self) -> TensorType:
        """The same type without a layout."""
        return TensorType(self.dtype, self.shape) if self.layout else self

    def with_(self, **changes: Any) -> TensorType:
        return dataclasses.replace(self, **changes)

    def __str__(self) -> str:
        dims = ",".join(map(str, self.shape))
        return f"{self.dtype.short}[{dims}]" + (f"@{self.layout}" if self.layout else "")
