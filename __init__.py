"""leip: an ahead-of-time compiler for neural networks.

    import leip
    leip.compile("model.onnx", "OUT")
    y = leip.load("OUT").infer({"input": x})

Importing this module loads neither TVM nor ONNX: a device has Python, numpy and the folder only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["LeipError", "Target", "__version__", "compile", "load", "optimize", "resolve_target"]

if TYPE_CHECKING:
    from .driver import compile, optimize, resolve_target
    from .errors import LeipError
    from .ir.target import Target
    from .runtime import load

_HOMES = {
    "LeipError": ".errors",
    "Target": ".ir.target",
    "compile": ".driver",
    "load": ".runtime",
    "optimize": ".driver",
    "resolve_target": ".driver",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
