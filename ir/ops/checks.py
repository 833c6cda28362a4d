"""Checks that several ops' ``infer`` share. Each raises ConstraintError with concrete shapes."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from ..dtypes import DType
from ..op import ConstraintError
from ..types import TensorType


class Kind(enum.Enum):
    """A class of dtypes that an operand may have; the value is how messages call it."""

    ANY = "any dtype"
    NUMBER = "a float or integer dtype"
    FLOAT = "a float dtype"
    SIGNED = "a float or signed integer dtype"
    INTEGER = "an integer dtype"
    BOOL = "bool"

    def holds(self, dtype: DType) -> bool:
        return {
            Kind.ANY: True,
            Kind.NUMBER: not dtype.is_bool,
            Kind.FLOAT: dtype.is_float,
            Kind.SIGNED: dtype.is_signed,
            Kind.INTEGER: dtype.is_integer,
            Kind.BOOL: dtype.is_bool,
        }[self]


def need_kind(op: str, code: str, name: str, value: TensorType, kind: Kind) -> None:
    if not kind.holds(value.dtype):
        raise ConstraintError(op, code, f"{name} must have {kind.value}, got {value}")


def need_index(op: str, code: str, name: str, value: TensorType) -> None:
    if value.dtype not in (DType.I32, DType.I64):
        raise ConstraintError(op, code, f"{name} must be i32 or i64, got {value}")


def need_same_dtype(op: str, code: str, values: Sequence[TensorType]) -> None:
    if any(value.dtype is not values[0].dtype for value in values):
        got = ", ".join(str(value) for value in values)
        raise ConstraintError(op, code, f"the inputs must have one dtype, got {got}")


def need_count(op: str, code: str, name: str, values: Sequence[object], count: int) -> None:
    if len(values) != count:
        text = f"{name} must have {count} entries, got {len(values)}: {tuple(values)}"
        raise ConstraintError(op, code, text)


def need_minimum(op: str, code: str, name: str, values: Sequence[int], minimum: int) -> None:
    if any(value < minimum for value in values):
        text = f"{name} must be at least {minimum}, got {tuple(values)}"
        raise ConstraintError(op, code, text)


def need_choice(op: str, code: str, name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConstraintError(
            op, code, f'{name} must be one of {", ".join(choices)}, got "{value}"'
        )


def axis_of(op: str, code: str, axis: int, rank: int) -> int:
    """``axis`` counted from the front; it must be in [-rank, rank)."""
    if not -rank <= axis < rank:
        raise ConstraintError(op, code, f"axis {axis} is not in [{-rank}, {rank - 1}]")
    return axis % rank


def need_axes(op: str, code: str, axes: Sequence[int], rank: int) -> None:
    """``axes`` are distinct and counted from the front."""
    legal = all(0 <= axis < rank for axis in axes) and len(dict.fromkeys(axes)) == len(axes)
    if not legal:
        text = f"axes must be distinct and in [0, {rank - 1}], got {tuple(axes)}"
        raise ConstraintError(op, code, text)


def broadcast(op: str, code: str, *values: TensorType) -> tuple[int, ...]:
    """The numpy broadcast of the shapes."""
    rank = max(value.rank for value in values)
    shape = []
    for axis in range(-rank, 0):
        sizes = [value.shape[axis] for value in values if value.rank >= -axis]
        other = [size for size in sizes if size != 1]
        if any(size != other[0] for size in other):
            got = ", ".join(str(value) for value in values)
            raise ConstraintError(op, code, f"the shapes do not broadcast, got {got}")
        shape.append(other[0] if other else 1)
    return tuple(shape)


def need_broadcast_to(op: str, code: str, name: str, value: TensorType, to: TensorType) -> None:
    """``value`` broadcasts to the shape of ``to``, which it does not enlarge."""
    aligned = zip(reversed(value.shape), reversed(to.shape), strict=False)
    if value.rank > to.rank or any(size not in (1, target) for size, target in aligned):
        raise ConstraintError(op, code, f"{name} {value} does not broadcast to {to}")
