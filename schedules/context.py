"""What an op's compute knows about the kernel that it is part of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import tirx

from ..ir import levels
from ..ir.dtypes import DType
from ..ir.layout import Layout
from ..ir.types import TensorType
from .flat_index import unravel
from .half_views import as_bfloat16, widened
from .math import MathLibrary
from .view import (
    Expr,
    View,
    guarded,
    identity_of,
    materialise,
    reduce_stage,
)

__all__ = ["Context"]


class Context:
    """Handed to every compute: names stages, chooses their layouts, holds the math library.

    Args:
        level: Optimization level 1-4.
        layouts: Layout that stages of a rank take, by rank (that of the kernel's operands).
        threads: Threads that stages which are written out may spread over.
        vector_bits: Width of the vectors that they may use; 0 for none.

    Attributes:
        math: Transcendental functions.
        row_lanes: If not 0, reductions over trailing axes keep partial results in this many lanes
            (set by templates that schedule rows; others see one plain reduction stage).
        row_parts: Into how many parts such reductions cut a row, for threads; 1: not at all.
        stages: Names of all stages made so far, in order (producers first).
        tensors: Their tensors, by name.
    """

    def __init__(
        self,
        level: int,
        layouts: Mapping[int, Layout] | None = None,
        *,
        threads: int = 1,
        vector_bits: int = 0,
    ) -> None:
        self.level = level
        self.threads = threads
        self.vector_bits = vector_bits if level >= levels.FUSED else 0
        self.math = MathLibrary(fast=level >= levels.FUSED)
        self.layouts = dict(layouts or {})
        self.row_lanes = 0
        self.row_parts = 1
        self.stages: list[str] = []
        self.tensors: dict[str, Any] = {}
        self._counts: dict[str, int] = {}

    def name(self, hint: str) -> str:
        """A block name that is not taken: `sum`, `sum_1`, …."""
        count = self._counts.get(hint, 0)
        self._counts[hint] = count + 1
        return f"{hint}_{count}" if count else hint

    def type(self, dtype: DType | str, shape: Sequence[int]) -> TensorType:
        """The type of an intermediate: in the layout that the kernel uses for this rank."""
        dtype = DType.parse(dtype) if isinstance(dtype, str) else dtype
        layout = self.layouts.get(len(shape))
        if layout is not None and any(shape[axis] == 1 for axis, _ in layout.tiles):
            layout = None  # one channel in blocks of 16 would be 15/16 padding
        return TensorType(dtype, tuple(shape), layout)

    def lanes(self, dtype: str) -> int:
        """Elements of a dtype in a vector of a stage that is written out; 1 if it has none."""
        return max(self.vector_bits // (8 * DType.parse(dtype).bytes), 1)

    def record(self, name: str, tensor: Any) -> None:
        """Note a stage that a template has made itself."""
        self.stages.append(name)
        self.tensors[name] = tensor

    def reduce(
        self,
        type: TensorType,
        extents: Sequence[int],
        combine: str,
        source: Callable[[Sequence[Expr], Sequence[Expr]], Expr],
        hint: str,
        *,
        reach: Sequence[int] | None = None,
        pad: Any = None,
    ) -> View:
        """A reduction stage; see `view.reduce_stage`. Half floats accumulate in float32.

        Reducing nothing gives the operation's neutral element and takes no stage.
        """
        stage_type = type
        if type.dtype in (DType.F16, DType.BF16):
            stage_type = type.with_(dtype=DType.F32)
        if 0 in extents:
            dtype = stage_type.dtype.tvm
            return View(type.shape, dtype, lambda *_: identity_of(combine, dtype), reach=reach)
        name = self.name(hint)
        view = reduce_stage(stage_type, extents, combine, source, name, reach=reach, pad=pad)
        if view.tensor is not None:
            self.record(name, view.tensor)
        return view

    def reduce_row(
        self,
        type: TensorType,
        extents: Sequence[int],
        combine: str,
        source: Callable[[Sequence[Expr], Sequence[Expr]], Expr],
        hint: str,
    ) -> View:
        """A reduction over contiguous axes in two stages: partial results by lanes, then one.

        for row: for l: for k by lanes: part[l] ∘= x[k + l]      (vectorizes along l)
        for row: out = part[0] ∘ part[1] ∘ …                     (a tree)

        With `row_parts` part[p, l] of every part of a row, fold[l] of those, and rest[l] of what
        is left over; out of both.

        `type` is a plain type with 1 at the reduced (trailing) axes, `extents` their sizes.
        """
        rank = len(type.shape)
        kept = [axis for axis in range(rank - len(extents)) if type.shape[axis] != 1]
        rows = [type.shape[axis] for axis in kept]
        total = math.prod(extents)
        if total == 0:
            return self.reduce(type, extents, combine, source, hint)
        lanes = self.row_lanes
        while lanes > 1 and lanes > total:
            lanes //= 2
        rows_type = TensorType(type.dtype, (*rows, lanes))

        def at(index: Sequence[Expr], position: Expr) -> Expr:
            full: list[Expr] = [0] * rank
            for axis, i in zip(kept, index, strict=True):
                full[axis] = i
            return source(full, unravel(position, extents))

        steps = total // (lanes * self.row_parts) if self.row_parts > 1 else 0
        done = steps * lanes * self.row_parts
        partial: list[View] = []
        if steps:
            partial.append(self._in_parts(rows_type, steps, combine, at, hint))
        if done < total:
            name = f"{hint}_rest" if steps else f"{hint}_part"
            partial.append(self._behind(rows_type, done, total, combine, at, name))

        def whole(*index: Expr) -> Expr:
            values = [view(*index, lane) for lane in range(lanes) for view in partial]
            while len(values) > 1:
                half = len(values) // 2
                pairs = zip(values[:half], values[half:], strict=True)
                values = [combined(combine, a, b) for a, b in pairs]
            return values[0]

        held = self.materialise(View(rows, type.dtype.tvm, whole), hint)
        return View(
            type.shape, type.dtype.tvm, lambda *i: held(*(i[axis] for axis in kept)), cheap=True
        )

    def _behind(
        self,
        type: TensorType,
        start: int,
        total: int,
        combine: str,
        at: Callable[[Sequence[Expr], Expr], Expr],
        name: str,
    ) -> View:
        """Partial results by lanes of what stands behind the first `start` elements of a row."""
        lanes = type.shape[-1]

        def element(index: Sequence[Expr], along: Sequence[Expr]) -> Expr:
            position = along[0] * lanes + index[-1] + start
            if (total - start) % lanes == 0:
                return at(index[:-1], position)
            rest = identity_of(combine, type.dtype.tvm)
            return guarded(position < total, lambda: at(index[:-1], position), rest)

        return self.reduce(type, [-(-(total - start) // lanes)], combine, element, name)

    def _in_parts(
        self,
        type: TensorType,
        steps: int,
        combine: str,
        at: Callable[[Sequence[Expr], Expr], Expr],
        hint: str,
    ) -> View:
        """Partial results by lanes of every part of a row, of `steps` vectors, then of them all."""
        *rows, lanes = type.shape
        cut = type.with_(shape=(*rows, self.row_parts, lanes))

        def element(index: Sequence[Expr], along: Sequence[Expr]) -> Expr:
            *row, part, lane = index
            return at(row, (part * steps + along[0]) * lanes + lane)

        parts = self.reduce(cut, [steps], combine, element, f"{hint}_part")

        def folded(index: Sequence[Expr], along: Sequence[Expr]) -> Expr:
            return parts(*index[:-1], along[0], index[-1])

        return self.reduce(type, [self.row_parts], combine, folded, f"{hint}_fold")

    def materialise(self, view: View, hint: str, type: TensorType | None = None) -> View:
        """The view of a stage that holds `view`; a view of a tensor is given back as it is."""
        if view.tensor is not None and type is None:
            return view
        if view.dtype == "bfloat16":  # TVM makes such buffers float32, and forgets their bits
            wide = type.with_(dtype=DType.F32) if type is not None else None
            return as_bfloat16(self.materialise(widened(view), hint, wide))
        if type is None and view.dtype == "bool":
            return self._as_numbers(view, hint)
        if type is None and self.row_lanes and 1 in view.shape:
            return self._without_units(view, hint)
        type = type if type is not None else self.type(view.dtype, view.shape)
        name = self.name(hint)
        tensor = materialise(view, type, name, zero_pads=False)
        self.record(name, tensor)
        result = View.of_tensor(tensor, type, zero_pads=False)
        result.pad = view.pad
        return result

    def _as_numbers(self, view: View, hint: str) -> View:
        """`materialise` of truth values as 1 and 0.

        Where TVM makes the stage a buffer of vectors, it takes a vector of its bytes for conditions
        and fails.
        """
        one, zero = tirx.const(1, "uint8"), tirx.const(0, "uint8")
        numbers = View(
            view.shape, "uint8", lambda *i: tirx.Select(view(*i), one, zero), reach=view.reach
        )
        held = self.materialise(numbers, hint)
        return View(
            view.shape,
            "bool",
            lambda *i: tirx.NE(held(*i), zero),
            reach=held.reach,
            pad=view.pad,
            cheap=True,
        )

    def _without_units(self, view: View, hint: str) -> View:
        """`materialise` without axes of 1: TVM's reverse_compute_at takes no constant indices."""
        kept = [axis for axis, size in enumerate(view.shape) if size != 1]

        def read(*index: Expr) -> Expr:
            full: list[Expr] = [0] * view.rank
            for axis, i in zip(kept, index, strict=True):
                full[axis] = i
            return view(*full)

        shape = [view.shape[axis] for axis in kept]
        held = self.materialise(View(shape, view.dtype, read), hint)
        return View(
            view.shape, view.dtype, lambda *i: held(*(i[axis] for axis in kept)), cheap=True
        )


def combined(combine: str, a: Expr, b: Expr) -> Expr:
    """a ∘ b for a reduction's operation."""
    if combine == "max":
        return tirx.max(a, b)
    if combine == "min":
        return tirx.min(a, b)
    return a + b if combine == "sum" else a * b
