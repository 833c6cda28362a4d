"""Import rules: for each ONNX op type the function that translates it.

`RULES` maps `(domain, op_type)` to a rule; "" is ONNX's own domain. A rule takes the `Call` (one
ONNX node with its operands) and gives the values of its outputs: one value, or a sequence with
None for outputs that nothing reads. It raises `Unsupported` for what it cannot express. Rules
know the differences between opsets; `Call.opset` says which one holds.
"""

from __future__ import annotations

from ....errors import UsageError
from ..call import Rule
from . import (
    contrib,
    conv,
    einsum,
    elementwise,
    indexing,
    matmul,
    norm,
    pool,
    quantize,
    recurrent,
    reduce,
    resize,
    shape,
    sources,
)

FAMILIES = (
    elementwise,
    conv,
    matmul,
    einsum,
    pool,
    norm,
    reduce,
    shape,
    sources,
    indexing,
    resize,
    quantize,
    recurrent,
)

RULES: dict[tuple[str, str], Rule] = {
    **{("", op_type): rule for family in FAMILIES for op_type, rule in family.RULES.items()},
    **contrib.RULES,
}


def register_rule(op_type: str, rule: Rule, domain: str = "") -> None:
    """Add the rule of an op from outside the tree.

    Args:
        op_type: ONNX op type.
        rule: Translates a node.
        domain: The op's domain; "" or "ai.onnx" for ONNX's own.

    Raises:
        UsageError: If the op has another rule already.
    """
    key = ("" if domain == "ai.onnx" else domain, op_type)
    if RULES.get(key, rule) is not rule:
        raise UsageError(f"op type {op_type!r} of domain {domain!r} has an import rule already")
    RULES[key] = rule


__all__ = ["RULES", "Rule", "register_rule"]
