"""Arithmetic on floats, kept as it is written.

TVM's simplifier knows the algebra of integers and applies it to floats as well: `x - x` is 0 to it,
though it is NaN of an infinity; `x * 0` is 0, `x == x` is true of a NaN, and `(x + c) - c` is x,
which such sums are written to round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm_ffi
from tvm import sym, tirx

from ..view import Expr, dtype_of, opaque
from .elements import is_float

__all__ = ["as_written"]

# What the simplifier makes of each, the operands in any order: the same value.
_SAME: dict[type, type] = {tirx.GT: tirx.LT, tirx.GE: tirx.LE}


def as_written(function: Callable[[Any, Any], Any], a: Expr, b: Expr) -> Expr:
    """`function(a, b)`, of floats so that TVM computes this and nothing else.

    Args:
        function: Makes one operation, `lambda a, b: a - b`.
        a, b: Its operands.
    """
    value = function(a, b)
    if not is_float(dtype_of(a)) or not _is_folded(value, a, b):
        return value
    # Operands that the simplifier does not look into, and does not find equal: LLVM sees what
    # they are, and knows floats.
    return function(opaque(a), opaque(opaque(b)))


def _is_folded(value: Expr, a: Expr, b: Expr) -> bool:
    """Whether the simplifier makes something else of an operation than its operands, simplified."""
    if not hasattr(value, "a"):  # no operation: folded as it was made, as 0 + b is
        return not (isinstance(a, tirx.FloatImm) and isinstance(b, tirx.FloatImm))
    analyzer = sym.Analyzer()
    simple = analyzer.simplify(value)
    if type(simple) not in (type(value), _SAME.get(type(value))):
        return True
    own = [analyzer.simplify(a), analyzer.simplify(b)]
    found = [simple.a, simple.b]
    return not any(all(map(_equal, found, order)) for order in (own, own[::-1]))


def _equal(a: Expr, b: Expr) -> bool:
    """Whether two expressions are the same; False as well where TVM cannot tell."""
    try:
        return bool(tvm_ffi.structural_equal(a, b))
    except TypeError:  # of loads from tensors that have no buffer yet, if they stand apart
        return False
