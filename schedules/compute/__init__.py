"""TE compute of every op, by the file names of `ir/ops`.

A compute is `fn(attrs, inputs: list[View], out_types, context) -> View` (or a tuple of views).
Elementwise ops and data movement give views that cost nothing until read; reductions make stages
through `context.reduce`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from ...errors import UsageError

__all__ = ["Compute", "compute_of", "has_compute", "register_compute"]

Compute = Callable[..., Any]

MODULES = [
    "unary",
    "binary",
    "reduce",
    "softmax",
    "norm",
    "lrn",
    "pool",
    "conv",
    "matmul",
    "requantize",
    "concat",
    "split",
    "slice",
    "pad",
    "transpose",
    "reshape",
    "expand",
    "tile",
    "gather",
    "scatter",
    "resize",
    "cumsum",
    "topk",
    "range",
    "structure",
]

_computes: dict[str, Compute] = {}
_loaded = False


def _load() -> None:
    # The modules import views and contexts, which import nothing of this package.
    global _loaded
    if _loaded:
        return
    _loaded = True
    for name in MODULES:
        module = importlib.import_module(f".{name}", __name__)
        for op, compute in module.COMPUTE.items():
            _computes.setdefault(op, compute)


def compute_of(op: str) -> Compute:
    """The compute of an op. Raises UsageError if it has none (an op of a plugin)."""
    _load()
    if op not in _computes:
        raise UsageError(
            f"op {op!r} has no compute", hint="register one: schedules.compute.register_compute"
        )
    return _computes[op]


def has_compute(op: str) -> bool:
    _load()
    return op in _computes


def register_compute(op: str, compute: Compute) -> None:
    """Give an op from outside the tree its compute."""
    _load()
    if _computes.get(op, compute) is not compute:
        raise UsageError(f"op {op!r} has a compute already")
    _computes[op] = compute
