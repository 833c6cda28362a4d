"""The ops that make up a graph's structure: input, constant, layout_transform, kernel.

They have no arithmetic of their own: a constant's value and a kernel's body live in their
attributes, and a layout transform is the identity on logical tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConstraintError
from .layout import Layout
from .op import Attrs, OpDef, Pattern
from .types import TensorType

if TYPE_CHECKING:
    from .constant import Constant
    from .graph import Graph


@dataclass(frozen=True)
class InputAttrs(Attrs):
    type: TensorType


@dataclass(frozen=True)
class ConstantAttrs(Attrs):
    value: Constant


@dataclass(frozen=True)
class LayoutTransformAttrs(Attrs):
    """layout: the layout of the output; None is plain row-major."""

    layout: Layout | None = None


@dataclass(frozen=True)
class KernelAttrs(Attrs):
    """A fused group of ops that becomes one kernel.

    Attributes:
        body: The region. Its inputs stand for the kernel's operands, in order (explicit
            captures), and carry their layouts; so do its outputs.
        template: Name of the chosen schedule template, once chosen.
        config: Its knobs as text.
        why: Why that template was chosen.
    """

    body: Graph = field(compare=False)
    template: str = ""
    config: str = ""
    why: str = ""


def _infer_input(attrs: InputAttrs) -> TensorType:
    return attrs.type


def _infer_constant(attrs: ConstantAttrs) -> TensorType:
    return attrs.value.type


def _infer_layout_transform(attrs: LayoutTransformAttrs, x: TensorType) -> TensorType:
    if attrs.layout is not None and attrs.layout.rank != x.rank:
        raise ConstraintError(
            "layout_transform", "C1", f"layout {attrs.layout} does not fit {x.rank} dimensions"
        )
    return TensorType(x.dtype, x.shape, attrs.layout)


def _infer_kernel(attrs: KernelAttrs, *types: TensorType) -> tuple[TensorType, ...]:
    expected = tuple(value.type.strip() for value in attrs.body.inputs)
    if tuple(t.strip() for t in types) != expected:
        given = ", ".join(map(str, types))
        wanted = ", ".join(map(str, expected))
        raise ConstraintError("kernel", "C1", f"operands ({given}) do not fit body ({wanted})")
    return tuple(value.type for value in attrs.body.outputs)


def _no_reference(attrs: Attrs, *arrays: np.ndarray) -> Any:
    raise NotImplementedError("an input has no value of its own")


def _run_kernel(attrs: KernelAttrs, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    from .interpreter import run_region

    return run_region(attrs.body, arrays)


def _kernel_flops(
    attrs: KernelAttrs, inputs: tuple[TensorType, ...], outputs: tuple[TensorType, ...]
) -> int:
    return sum(node.flops for node in attrs.body.nodes())


INPUT = OpDef("input", InputAttrs, _infer_input, _no_reference, Pattern.SPECIAL)
CONSTANT = OpDef(
    "constant", ConstantAttrs, _infer_constant, lambda attrs: attrs.value.array, Pattern.SPECIAL
)
LAYOUT_TRANSFORM = OpDef(
    "layout_transform",
    LayoutTransformAttrs,
    _infer_layout_transform,
    lambda attrs, x: x,
    Pattern.SPECIAL,
)
KERNEL = OpDef(
    "kernel", KernelAttrs, _infer_kernel, _run_kernel, Pattern.SPECIAL, flops=_kernel_flops
)

STRUCTURE_OPS = [INPUT, CONSTANT, LAYOUT_TRANSFORM, KERNEL]
