"""ONNX tensors as numpy arrays: element types, weights in the file and beside it."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from ...errors import ModelError
from ..dtypes import DType
from .problems import Unsupported

DTYPES: dict[int, DType] = {
    TensorProto.DOUBLE: DType.F64,
    TensorProto.FLOAT: DType.F32,
    TensorProto.FLOAT16: DType.F16,
    TensorProto.BFLOAT16: DType.BF16,
    TensorProto.INT64: DType.I64,
    TensorProto.INT32: DType.I32,
    TensorProto.INT16: DType.I16,
    TensorProto.INT8: DType.I8,
    TensorProto.UINT64: DType.U64,
    TensorProto.UINT32: DType.U32,
    TensorProto.UINT16: DType.U16,
    TensorProto.UINT8: DType.U8,
    TensorProto.BOOL: DType.BOOL,
}

# Four-bit weights are kept one to a byte; ops that read them (DequantizeLinear) see the values.
_WIDENED = {"INT4": DType.I8, "UINT4": DType.U8}


def dtype_name(code: int) -> str:
    """ONNX's name of an element type code, also of unknown ones."""
    try:
        return str(TensorProto.DataType.Name(code)).lower()
    except ValueError:
        return f"number {code}"


class TensorReader:
    """Reads tensors of one model.

    Args:
        folder: Where external data lies; None for a model that did not come from a file.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def array(self, tensor: TensorProto) -> np.ndarray:
        """The values, read-only; not copied where they lie as they are needed.

        Raises:
            Unsupported: For an element type that leip lacks.
            ModelError: If the data is missing, out of bounds or of the wrong size.
        """
        name = dtype_name(tensor.data_type)
        dtype = DTYPES.get(tensor.data_type) or _WIDENED.get(name.upper())
        if dtype is None:
            raise Unsupported(f"tensor {tensor.name!r} has element type {name}")
        if any(size < 0 for size in tensor.dims):
            raise ModelError(f"tensor {tensor.name!r} has a negative dimension")
        if tensor.data_location == TensorProto.EXTERNAL:
            return self._external(tensor, dtype)
        if tensor.HasField("raw_data") and tensor.data_type in DTYPES:
            raw = tensor.raw_data
            _check_size(tensor, len(raw), math.prod(tensor.dims) * dtype.bytes)
            return _as_array(np.frombuffer(raw, np.uint8), tensor, dtype)
        try:
            array = numpy_helper.to_array(tensor)
        except ValueError as error:
            raise ModelError(f"tensor {tensor.name!r}: {error}") from None
        return np.ascontiguousarray(array).astype(dtype.numpy, copy=False).reshape(array.shape)

    def _external(self, tensor: TensorProto, dtype: DType) -> np.ndarray:
        if tensor.data_type not in DTYPES:
            raise Unsupported(f"tensor {tensor.name!r} has four-bit external data")
        path = self.external_path(tensor)
        entries = {entry.key: entry.value for entry in tensor.external_data}
        needed = math.prod(tensor.dims) * dtype.bytes
        try:
            offset = int(entries.get("offset") or 0)
            length = int(entries.get("length") or needed)
        except ValueError:
            raise ModelError(
                f"tensor {tensor.name!r}: offset or length of its external data is no number"
            ) from None
        size = path.stat().st_size
        if offset < 0 or length < 0 or offset + length > size:
            raise ModelError(
                f"tensor {tensor.name!r} takes bytes {offset} to {offset + length} of"
                f" {path.name}, which has {size}",
                hint="The data file is truncated or belongs to another model.",
            )
        _check_size(tensor, length, needed)
        if not needed:
            return np.zeros(tuple(tensor.dims), dtype.numpy)
        raw = np.memmap(path, np.uint8, "r", offset, (length,))
        return _as_array(np.asarray(raw), tensor, dtype)

    def external_path(self, tensor: TensorProto) -> Path:
        """The file with a tensor's data.

        Raises:
            ModelError: If it is missing, no ordinary file, or outside the model's folder.
        """
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        if self._folder is None:
            raise ModelError(
                f"tensor {tensor.name!r} lies in {location!r}, but the model has no folder",
                hint="Give the path of the .onnx file instead of a loaded model.",
            )
        pure = Path(location.replace("\\", "/"))
        unsafe = not location or "\0" in location or pure.is_absolute() or ".." in pure.parts
        if unsafe or ":" in pure.parts[0]:
            raise ModelError(
                f"external data {location!r} of tensor {tensor.name!r} is outside the model's"
                " folder",
                hint="A model may only name files beside or below itself; do not trust this one.",
            )
        path = self._folder / pure
        if not path.exists():
            raise ModelError(
                f"external data {location!r} is missing (for tensor {tensor.name!r})",
                hint=f"Put the file into {self._folder}.",
            )
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(os.path.realpath(self._folder)):
            raise ModelError(
                f"external data {location!r} of tensor {tensor.name!r} is a link to outside the"
                " model's folder",
                hint="Copy the file into the model's folder.",
            )
        if not stat.S_ISREG(real.stat().st_mode):
            raise ModelError(f"external data {location!r} is not an ordinary file")
        return real


def _check_size(tensor: TensorProto, given: int, needed: int) -> None:
    if given != needed:
        raise ModelError(
            f"tensor {tensor.name!r} of shape {list(tensor.dims)} needs {needed} bytes, its data"
            f" has {given}",
            hint="The file is damaged.",
        )


def _as_array(raw: np.ndarray, tensor: TensorProto, dtype: DType) -> np.ndarray:
    """Little-endian bytes as an array; copied only if they do not lie aligned."""
    if raw.size == 0:
        return np.zeros(tuple(tensor.dims), dtype.numpy)
    if raw.ctypes.data % dtype.bytes:
        raw = raw.copy()
    array: np.ndarray = raw.view(dtype.numpy).reshape(tuple(tensor.dims))
    return array


def external_tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """All tensors of a graph and its subgraphs whose data lies in other files."""
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            yield tensor
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                if attribute.t.data_location == TensorProto.EXTERNAL:
                    yield attribute.t
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from external_tensors(attribute.g)
