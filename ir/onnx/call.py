"""What an import rule sees of the ONNX node that it translates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from .. import op as ops
from ..constant import Constant
from ..dtypes import DType
from ..graph import Value
from .fold import Builder
from .problems import Unsupported
from .tensors import DTYPES, TensorReader, dtype_name

Results = Value | Sequence[Value | None]
Rule = Callable[["Call"], Results]


class Call:
    """One ONNX node being imported: its operands, its attributes, and a builder of IR nodes.

    Attributes:
        op_type: ONNX op type.
        domain: "" for ONNX's own.
        opset: Version of the domain that the model asks for.
        name: Name of the node, or `op_type#index` where it has none.
        inputs: Operands; None where an optional one is left out.
        wanted: For each output, whether anything reads it.
        attributes: Attributes by name, references of a function body resolved.
        outer: The attributes of the function that this node is in, if it is in one.
    """

    def __init__(
        self,
        node: onnx.NodeProto,
        name: str,
        opset: int,
        inputs: Sequence[Value | None],
        wanted: Sequence[bool],
        attributes: Mapping[str, onnx.AttributeProto],
        builder: Builder,
        reader: TensorReader,
        outer: Mapping[str, onnx.AttributeProto] | None = None,
    ) -> None:
        self.node = node
        self.op_type = node.op_type
        self.domain = node.domain
        self.name = name
        self.opset = opset
        self.inputs = tuple(inputs)
        self.wanted = tuple(wanted)
        self.attributes = attributes
        self.outer = outer
        self._builder = builder
        self._reader = reader

    # -- operands ------------------------------------------------------------------------------

    def optional(self, index: int) -> Value | None:
        """Operand `index`, None if it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def __getitem__(self, index: int) -> Value:
        """Operand `index`. Raises Unsupported if it is left out."""
        value = self.optional(index)
        if value is None:
            raise Unsupported(f"input {index} is missing", "The model is not valid ONNX.")
        return value

    def known(self, index: int, meaning: str) -> np.ndarray:
        """The array of an operand that must not depend on the model's inputs.

        Raises:
            Unsupported: If it does; `meaning` says what it is in the text.
        """
        array = self._builder.known(self[index])
        if array is None:
            raise Unsupported(
                f"{meaning} is computed from the model's data; shapes must be static",
                "Export the model with fixed shapes, or cut it before this node.",
            )
        return array

    def known_or_none(self, index: int) -> np.ndarray | None:
        """The array of an operand if it is there and does not depend on the model's inputs."""
        value = self.optional(index)
        return None if value is None else self._builder.known(value)

    def known_ints(self, index: int, meaning: str) -> tuple[int, ...]:
        """`known`, flattened to Python ints."""
        return tuple(int(v) for v in self.known(index, meaning).reshape(-1))

    def optional_ints(self, index: int, meaning: str) -> tuple[int, ...] | None:
        """`known_ints`, or None where the operand is left out."""
        return None if self.optional(index) is None else self.known_ints(index, meaning)

    # -- attributes ----------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        return name in self.attributes

    def get_int(self, name: str, default: int | None = None) -> int:
        return int(self._get(name, default))

    def get_bool(self, name: str, default: bool = False) -> bool:
        return bool(self._get(name, default))

    def get_float(self, name: str, default: float | None = None) -> float:
        return float(self._get(name, default))

    def get_str(self, name: str, default: str | None = None) -> str:
        value = self._get(name, default)
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    def get_ints(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        return tuple(int(v) for v in self._get(name, default))

    def get_floats(self, name: str, default: Sequence[float] | None = None) -> tuple[float, ...]:
        return tuple(float(v) for v in self._get(name, default))

    def get_strings(self, name: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        values = self._get(name, default)
        return tuple(v.decode(errors="replace") if isinstance(v, bytes) else v for v in values)

    def get_tensor(self, name: str) -> np.ndarray:
        """A tensor attribute. Raises Unsupported if it is missing or of an unknown dtype."""
        value = self._get(name, None)
        if not isinstance(value, onnx.TensorProto):
            raise Unsupported(f"attribute {name!r} is no tensor", "The model is not valid ONNX.")
        return self._reader.array(value)

    def get_graph(self, name: str) -> onnx.GraphProto:
        value = self._get(name, None)
        if not isinstance(value, onnx.GraphProto):
            raise Unsupported(f"attribute {name!r} is no graph", "The model is not valid ONNX.")
        return value

    def get_dtype(self, name: str, default: int | None = None) -> DType:
        """An attribute that says an element type. Raises Unsupported for one that leip lacks."""
        code = self.get_int(name, default)
        if code not in DTYPES:
            raise Unsupported(f"element type {dtype_name(code)} is not supported")
        return DTYPES[code]

    def _get(self, name: str, default: Any) -> Any:
        attribute = self.attributes.get(name)
        if attribute is not None:
            return onnx.helper.get_attribute_value(attribute)
        if default is None:
            raise Unsupported(f"attribute {name!r} is missing", "The model is not valid ONNX.")
        return default

    # -- building ------------------------------------------------------------------------------

    def op(self, op: str, *inputs: Value, attrs: Any = None, **fields: Any) -> Value:
        """The only result of an IR op; attributes as an `Attrs` object or by field name."""
        (value,) = self.add(op, *inputs, attrs=attrs, **fields)
        return value

    def add(self, op: str, *inputs: Value, attrs: Any = None, **fields: Any) -> tuple[Value, ...]:
        """All results of an IR op."""
        if attrs is None:
            attrs = ops.get(op).attrs(**fields)
        wish = next((name for name in self.node.output if name), "")
        return self._builder.add(op, inputs, attrs, self.name, wish)

    def constant(self, array: np.ndarray | Constant, name: str = "") -> Value:
        return self._builder.constant(array, name)

    def scalar(self, value: float, like: Value | DType) -> Value:
        """A rank-0 constant in the dtype of `like`."""
        dtype = like if isinstance(like, DType) else like.dtype
        return self.constant(np.asarray(value).astype(dtype.numpy))

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """`x` in a literal shape, stated through the dimensions of `x` where that can be said."""
        if tuple(shape) == x.shape:
            return x
        if x.type.size == 0 == math.prod(shape):  # there a 0 does not say where a size comes from
            return self.constant(np.empty(tuple(shape), x.dtype.numpy))
        return self.op("reshape", x, shape=relative_shape(x.shape, shape))

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        if tuple(perm) == tuple(range(x.rank)):
            return x
        return self.op("transpose", x, perm=tuple(perm))

    def cast(self, x: Value, dtype: DType) -> Value:
        return x if x.dtype is dtype else self.op("cast", x, to=dtype)

    def axis(self, axis: int, rank: int) -> int:
        """`axis` counted from the front. Raises Unsupported if it is out of range."""
        if not -rank <= axis < max(rank, 1):
            raise Unsupported(f"axis {axis} does not exist in a tensor of rank {rank}")
        return axis % rank if rank else 0

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        """Distinct axes, counted from the front, sorted."""
        result = sorted({self.axis(axis, rank) for axis in axes})
        if len(result) != len(axes):
            raise Unsupported(f"axes {list(axes)} name one axis twice")
        return tuple(result)


def relative_shape(source: Sequence[int], target: Sequence[int]) -> tuple[int, ...]:
    """`target` as a reshape attribute: 0 where a leading dimension stays, -1 for the only one
    (not 1) that is left, so that it says where sizes come from."""
    spec = list(target)
    start = 0
    while start < min(len(source), len(spec)) and source[start] == spec[start]:
        spec[start] = 0
        start += 1
    rest = [i for i in range(start, len(spec)) if spec[i] != 1]
    if len(rest) == 1 and 0 not in source and 0 not in target:
        spec[rest[0]] = -1
    return tuple(spec)
