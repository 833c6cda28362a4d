"""Element types."""

from __future__ import annotations

import enum

import ml_dtypes
import numpy as np


class DType(enum.Enum):
    """An element type; the value is the name that numpy and TVM use."""

    F64 = "float64"
    F32 = "float32"
    F16 = "float16"
    BF16 = "bfloat16"
    I64 = "int64"
    I32 = "int32"
    I16 = "int16"
    I8 = "int8"
    U64 = "uint64"
    U32 = "uint32"
    U16 = "uint16"
    U8 = "uint8"
    BOOL = "bool"

    @property
    def short(self) -> str:
        """The name in IR text: `f32`, `i64`, `bool`."""
        return "bool" if self is DType.BOOL else self.name.lower()

    @property
    def bits(self) -> int:
        """Bits of one element as stored (a bool takes a byte)."""
        return self.numpy.itemsize * 8

    @property
    def bytes(self) -> int:
        return self.numpy.itemsize

    @property
    def numpy(self) -> np.dtype:
        name = ml_dtypes.bfloat16 if self is DType.BF16 else self.value
        numpy: np.dtype = np.dtype(name)
        return numpy

    @property
    def tvm(self) -> str:
        return self.value

    @property
    def is_float(self) -> bool:
        return self in (DType.F64, DType.F32, DType.F16, DType.BF16)

    @property
    def is_bool(self) -> bool:
        return self is DType.BOOL

    @property
    def is_integer(self) -> bool:
        return not self.is_float and not self.is_bool

    @property
    def is_signed(self) -> bool:
        return self.is_float or (self.is_integer and not self.value.startswith("u"))

    @classmethod
    def parse(cls, text: str) -> DType:
        """`f32`, `float32` and so on. Raises ValueError for an unknown name."""
        for dtype in cls:
            if text in (dtype.short, dtype.value):
                return dtype
        raise ValueError(f"unknown element type {text!r}")

    @classmethod
    def from_numpy(cls, dtype: np.dtype | type) -> DType:
        """The element type of a numpy dtype. Raises ValueError if there is none."""
        return cls.parse(np.dtype(dtype).name)
