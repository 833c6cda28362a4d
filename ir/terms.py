"""How long the expression of an element becomes when elementwise nodes are written into each other.

Code generators write a value out wherever it is read, at least for a while, so a chain of nodes
that read their operand several times takes them time in proportion to the product along the chain.
"""

from __future__ import annotations

from collections.abc import Sequence

from .graph import Node
from .op import Pattern

__all__ = ["MOST_TERMS", "terms"]

MOST_TERMS = 2000  # of one expression; with more, kernels take seconds to minutes to compile

# How often an element's operands stand in its expression: these once, others as `_TIMES` says.
_ONCE = (
    *("add", "sub", "mul", "div", "neg", "sqrt", "rsqrt", "reciprocal", "floor", "ceil", "round"),
    *("cast", "identity", "equal", "less", "less_equal", "greater", "greater_equal"),
    *("and", "or", "xor", "not"),
)
_MANY = (
    *("exp", "log", "erf", "tanh", "sigmoid", "silu", "mish", "softplus", "gelu"),
    *("elu", "celu", "selu", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "asinh", "acosh", "atanh"),
)
_CLAMPS = ("clip", "hardswish", "hard_sigmoid", "maximum", "minimum")
_TIMES = {
    **dict.fromkeys(_ONCE, 1),
    **dict.fromkeys(_CLAMPS, 10),
    **dict.fromkeys(_MANY, 64),
}
_TIMES_OTHERS = 3


def terms(node: Node, operands: Sequence[int]) -> int:
    """Terms of the expression that a node gives for an element, from those of its operands."""
    total = sum(operands) + 1
    if node.pattern is not Pattern.ELEMENTWISE:
        return total
    return total * _TIMES.get(node.op, _TIMES_OTHERS)
