"""What an op's compute knows about the kernel that it is part of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..ir.dtypes import DType
from ..ir.layout import Layout
from ..ir.types import TensorType
from .math import MathLibrary
from .view import Expr, View, materialise, reduce_stage

__all__ = ["Context"]


class Context:
    """Handed to every compute: names stages, chooses their layouts, holds the math library.

    Args:
        level: Optimization level 1-4.
        layouts: Layout that stages of a rank take, by rank (that of the kernel's operands).

    Attributes:
        math: Transcendental functions.
        stages: Names of all stages made so far, in order (producers first).
        tensors: Their tensors, by name.
    """

    def __init__(self, level: int, layouts: Mapping[int, Layout] | None = None) -> None:
        self.level = level
        self.math = MathLibrary(fast=level >= 2)
        self.layouts = dict(layouts or {})
        self.stages: list[str] = []
        self.tensors: dict[str, Any] = {}
        self._counts: dict[str, int] = {}

    def name(self, hint: str) -> str:
        """A block name that is not taken: `sum`, `sum_1`, ….`"""
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
        """A reduction stage; see `view.reduce_stage`. Half floats accumulate in float32."""
        stage_type = type
        if type.dtype in (DType.F16, DType.BF16):
            stage_type = type.with_(dtype=DType.F32)
        name = self.name(hint)
        view = reduce_stage(stage_type, extents, combine, source, name, reach=reach, pad=pad)
        if view.tensor is not None:
            self.record(name, view.tensor)
        return view

    def materialise(self, view: View, hint: str, type: TensorType | None = None) -> View:
        """The view of a stage that holds `view`; a view of a tensor is given back as it is."""
        if view.tensor is not None and type is None:
            return view
        type = type if type is not None else self.type(view.dtype, view.shape)
        name = self.name(hint)
        tensor = materialise(view, type, name, zero_pads=False)
        self.record(name, tensor)
        result = View.of_tensor(tensor, type, zero_pads=False)
        result.pad = view.pad
        return result
