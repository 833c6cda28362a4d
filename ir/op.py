"""What an op is, and the registry of ops."""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import ConstraintError, UsageError
from .types import TensorType

__all__ = [
    "Attrs",
    "ConstraintError",
    "NoAttrs",
    "OpDef",
    "Pattern",
    "exists",
    "get",
    "names",
    "register",
]


@dataclass(frozen=True)
class Attrs:
    """Base of all attribute classes.

    Fields may be int, float, bool, str, DType, Layout, Graph (a region), tuples of these, and
    Optional of these. A field equal to its default is not printed.
    """


@dataclass(frozen=True)
class NoAttrs(Attrs):
    """For ops that have none."""


class Pattern(enum.Enum):
    """How an op's output depends on its inputs; this is what fusion goes by."""

    ELEMENTWISE = "elementwise"  # out[i] depends on each input at the same (broadcast) index
    INJECTIVE = "injective"  # data movement with computed indices
    VIEW = "view"  # row-major reinterpretation: free on plain layouts
    REDUCTION = "reduction"  # reductions, softmax, norms, pools
    ANCHOR = "anchor"  # conv, matmul: a kernel has at most one and is scheduled around it
    SPECIAL = "special"  # structure (input, constant, kernel) and ops that are never fused


Infer = Callable[..., TensorType | tuple[TensorType, ...]]
Reference = Callable[..., Any]
Flops = Callable[[Any, tuple[TensorType, ...], tuple[TensorType, ...]], int]


@dataclass(frozen=True)
class OpDef:
    """One op: its name, attributes, shape rule and meaning.

    Attributes:
        name: Name in IR text.
        attrs: Frozen dataclass of attributes.
        infer: `infer(attrs, *types)` gives the output type, or a tuple of them; layouts are not
            its business (inputs arrive without). Raises ConstraintError.
        reference: `reference(attrs, *arrays)` in numpy, on logical arrays; the oracle.
        pattern: What fusion goes by.
        flops: `flops(attrs, input_types, output_types)`; None counts output elements.
    """

    name: str
    attrs: type[Attrs]
    infer: Infer
    reference: Reference
    pattern: Pattern
    flops: Flops | None = None

    def infer_types(self, attrs: Attrs, inputs: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
        """The output types as a tuple, layouts ignored. Raises ConstraintError."""
        if not _takes(self.infer, len(inputs)):
            raise ConstraintError(self.name, "C0", f"it does not take {len(inputs)} operands")
        result = self.infer(attrs, *(t.strip() for t in inputs))
        return result if isinstance(result, tuple) else (result,)

    def evaluate(self, attrs: Attrs, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """The reference's outputs as a tuple."""
        result = self.reference(attrs, *arrays)
        return result if isinstance(result, tuple) else (result,)

    def count_flops(
        self, attrs: Attrs, inputs: tuple[TensorType, ...], outputs: tuple[TensorType, ...]
    ) -> int:
        if self.flops is not None:
            return self.flops(attrs, inputs, outputs)
        if self.pattern in (Pattern.ELEMENTWISE, Pattern.REDUCTION):
            return sum(t.size for t in (inputs if self.pattern is Pattern.REDUCTION else outputs))
        return 0


@functools.cache
def _takes(infer: Infer, n_operands: int) -> bool:
    try:
        inspect.signature(infer).bind(None, *range(n_operands))
    except TypeError:
        return False
    return True


_registry: dict[str, OpDef] = {}
_builtins_loaded = False


def _load_builtins() -> None:
    # The op files import this module, so their list is read on first use.
    global _builtins_loaded
    if not _builtins_loaded:
        _builtins_loaded = True
        from .ops import OPS
        from .structure import STRUCTURE_OPS

        for definition in (*STRUCTURE_OPS, *OPS):
            if definition.name in _registry:
                raise ValueError(f"op {definition.name!r} is listed twice")
            _registry[definition.name] = definition


def register(definition: OpDef) -> None:
    """Add an op from outside the tree. Raises UsageError if the name is taken by another op."""
    _load_builtins()
    if _registry.get(definition.name, definition) != definition:
        raise UsageError(f"an op named {definition.name!r} exists already")
    _registry[definition.name] = definition


def get(name: str) -> OpDef:
    """The op of this name. Raises KeyError if there is none."""
    _load_builtins()
    return _registry[name]


def exists(name: str) -> bool:
    """Whether there is an op of this name."""
    _load_builtins()
    return name in _registry


def names() -> list[str]:
    """All op names, sorted."""
    _load_builtins()
    return sorted(_registry)
