"""A pass of your own: sqrt(x * x) is abs(x)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leip.ir import Graph, Node, Refusal, Rewrite, Rewriter, Value
from leip.passes import RewritePass
from leip.plugin import register_pass


class SqrtOfSquare(Rewrite):
    """sqrt(x * x) → abs(x)"""

    name = "sqrt-of-square"
    roots = ("sqrt",)

    def match(self, graph: Graph, node: Node) -> dict[str, Any] | Refusal | None:
        square = node.inputs[0].node
        if square.op != "mul":
            return None  # something else altogether
        a, b = square.inputs
        if a is not b:
            return Refusal("the factors differ", square)
        return {"x": a}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("abs", parts["x"])


@dataclass(frozen=True)
class SimplifyRoots(RewritePass):
    """sqrt(x * x) → abs(x)"""

    name = "simplify-roots"

    def rewrites(self) -> tuple[Rewrite, ...]:
        return (SqrtOfSquare(),)


register_pass(SimplifyRoots, after="canonicalize")
