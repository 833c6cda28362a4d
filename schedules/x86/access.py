"""How a stage walks through memory: the stride of every buffer along every loop.

Found by evaluation: the flat offset of an access with one loop variable raised by one, less the
offset without. So it works for any index expression, whatever ops and layouts it came from. What is
not the same at a few places (or depends on data: a gathered row) is `None`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

__all__ = ["Access", "Walk", "walk_of"]

Stride = int | None
PROBES = (0.0, 0.45, 0.9)  # where strides are looked at, as parts of the extents


@dataclass(frozen=True)
class Access:
    """One buffer that a stage reads or writes.

    Attributes:
        buffer: Its name.
        strides: Elements that the access moves by when a loop goes one step; 0 if it stays, None
            if that is not constant.
    """

    buffer: str
    strides: tuple[Stride, ...]


@dataclass(frozen=True)
class Walk:
    """All accesses of a stage.

    Attributes:
        extents: Extents of its loops, outermost first.
        write: The one write.
        reads: Its reads.
    """

    extents: tuple[int, ...]
    write: Access
    reads: tuple[Access, ...]

    def fusable(self, outer: int, inner: int) -> bool:
        """Whether two neighbouring loops are one in all accesses: for a: for b  →  for ab."""
        size = self.extents[inner]
        if size == 1 or self.extents[outer] == 1:
            return True
        for access in (self.write, *self.reads):
            a, b = access.strides[outer], access.strides[inner]
            if a is None or b is None or a != b * size:
                return False
        return True

    def run(self) -> int:
        """The first loop from which on all loops fuse into one."""
        start = len(self.extents) - 1
        while start > 0 and self.fusable(start - 1, start):
            start -= 1
        return start

    def transposed(self) -> int | None:
        """The loop along which the biggest read that strides along the last loop is contiguous."""
        last = len(self.extents) - 1
        while last > 0 and self.extents[last] == 1:
            last -= 1
        for access in self.reads:
            if access.strides[last] in (0, 1):
                continue
            for axis, stride in enumerate(access.strides):
                if axis != last and stride == 1 and self.extents[axis] > 1:
                    return axis
        return None


def walk_of(sch: Any, block: Any) -> Walk:
    """The accesses of a te.compute stage, along its block variables."""
    found = sch.get(block)
    names = [v.var for v in found.iter_vars]
    extents = [int(v.dom.extent) for v in found.iter_vars]
    return Walk(
        tuple(extents),
        _access(found.writes[0], names, extents),
        tuple(_access(region, names, extents) for region in found.reads),
    )


def _access(region: Any, variables: Sequence[Any], extents: Sequence[int]) -> Access:
    shape = [int(n) for n in region.source.shape]
    minima = [r.min for r in region.region]
    strides = tuple(
        _stride(minima, shape, variables, extents, k) if extents[k] > 1 else 0
        for k in range(len(variables))
    )
    return Access(str(region.source.name), strides)


def _stride(
    indices: Sequence[Any],
    shape: Sequence[int],
    variables: Sequence[Any],
    extents: Sequence[int],
    k: int,
) -> Stride:
    """offset(… k + 1 …) - offset(… k …), if it is the same wherever it is probed."""
    found: set[int] = set()
    for part in PROBES:
        place = {v: int((n - 1) * part) for v, n in zip(variables, extents, strict=True)}
        place[variables[k]] = min(place[variables[k]], extents[k] - 2)
        here = _offset(indices, shape, place)
        place[variables[k]] += 1
        there = _offset(indices, shape, place)
        if here is None or there is None:
            return None
        found.add(there - here)
    return found.pop() if len(found) == 1 else None


def _offset(indices: Sequence[Any], shape: Sequence[int], place: Mapping[Any, int]) -> int | None:
    flat = 0
    for index, size in zip(indices, shape, strict=True):
        value = _evaluate(index, place)
        if value is None:
            return None
        flat = flat * size + value
    return flat


_BINARY: dict[Any, Callable[[int, int], int]] = {
    tirx.Add: lambda a, b: a + b,
    tirx.Sub: lambda a, b: a - b,
    tirx.Mul: lambda a, b: a * b,
    tirx.FloorDiv: lambda a, b: a // b,
    tirx.FloorMod: lambda a, b: a % b,
    tirx.Div: lambda a, b: a // b,
    tirx.Mod: lambda a, b: a % b,
    tirx.Min: min,
    tirx.Max: max,
}


def _evaluate(expr: Any, place: Mapping[Any, int]) -> int | None:
    """An index at one place; None if it holds anything but arithmetic."""
    if isinstance(expr, tirx.IntImm):
        return int(expr.value)
    if isinstance(expr, tirx.Var):
        return place.get(expr)
    if isinstance(expr, tirx.Cast):
        return _evaluate(expr.value, place)
    operation = _BINARY.get(type(expr))
    if operation is None:
        return None
    a, b = _evaluate(expr.a, place), _evaluate(expr.b, place)
    return None if a is None or b is None else operation(a, b)
