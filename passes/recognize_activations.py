"""Activation functions that a model spells out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..ir.graph import Graph, Node, Value
from ..ir.ops import ClipAttrs, GeluAttrs, HardSigmoidAttrs, LeakyReluAttrs
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .base import RewritePass
from .matching import either_way, is_scalar, made_by, scalar, with_scalar

Parts = dict[str, Any] | Refusal | None
NEAR = 1e-4  # relative error at which an exported coefficient still counts as the exact one


@dataclass(frozen=True)
class RecognizeActivations(RewritePass):
    """x * 0.5 * (1 + erf(x/√2)) → gelu(x); likewise silu, hardswish, hard_sigmoid, mish, …"""

    name = "recognize-activations"

    def rewrites(self) -> tuple[Rewrite, ...]:
        return (
            GeluErf(),
            GeluTanh(),
            HardSigmoidClip(),
            HardSigmoidSixth(),
            HardswishClip(),
            Swish(),
            Softplus(),
            Softsign(),
            LeakyMaximum(),
        )


def factors(value: Value) -> tuple[float, list[Value]]:
    """A product flattened: its scalar coefficient and its other factors, in order."""
    number = scalar(value)
    if number is not None:
        return number, []
    node = made_by(value, "mul")
    if node is None or any(v.shape != value.shape and scalar(v) is None for v in node.inputs):
        return 1.0, [value]
    left, right = factors(node.inputs[0]), factors(node.inputs[1])
    return left[0] * right[0], left[1] + right[1]


def plus(value: Value, number: float) -> Value | None:
    """x if `value` is x + number."""
    node = made_by(value, "add")
    pair = with_scalar(node) if node else None
    return pair[0] if pair and math.isclose(pair[1], number, rel_tol=NEAR) else None


def _near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=NEAR)


class GeluErf(Rewrite):
    """x * 0.5 * (1 + erf(x * 0.7071…)) → gelu(x)    in any order of the factors"""

    name = "gelu-erf"
    roots = ("mul",)

    def match(self, graph: Graph, node: Node) -> Parts:
        coefficient, parts = factors(node.output)
        if len(parts) != 2 or not _near(coefficient, 0.5):
            return None
        for x, other in (parts, parts[::-1]):
            shifted = plus(other, 1.0)
            erf = made_by(shifted, "erf") if shifted else None
            if erf is None:
                continue
            inner, values = factors(erf.inputs[0])
            if values == [x] and _near(inner, math.sqrt(0.5)):
                return {"x": x}
            quotient = made_by(erf.inputs[0], "div")
            over_x = quotient is not None and quotient.inputs[0] is x
            if over_x and is_scalar(quotient.inputs[1], math.sqrt(2), NEAR):  # type: ignore[union-attr]
                return {"x": x}
            return Refusal("the argument of erf is not x/√2", erf)
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("gelu", parts["x"])


class GeluTanh(Rewrite):
    """x * 0.5 * (1 + tanh(0.7978… * (x + 0.044715 * x^3))) → gelu{approximate="tanh"}(x)

    The argument may also be written 0.7978… * x * (1 + 0.044715 * x^2).
    """

    name = "gelu-tanh"
    roots = ("mul",)

    def match(self, graph: Graph, node: Node) -> Parts:
        coefficient, parts = factors(node.output)
        if len(parts) != 2 or not _near(coefficient, 0.5):
            return None
        for x, other in (parts, parts[::-1]):
            shifted = plus(other, 1.0)
            tanh = made_by(shifted, "tanh") if shifted else None
            if tanh is None:
                continue
            if self._argument(tanh.inputs[0], x):
                return {"x": x}
            return Refusal("the argument of tanh is not gelu's", tanh)
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("gelu", parts["x"], attrs=GeluAttrs("tanh"))

    def _argument(self, value: Value, x: Value) -> bool:
        coefficient, parts = factors(value)
        if not _near(coefficient, math.sqrt(2 / math.pi)):
            return False
        if len(parts) == 1:  # x + k x³
            add = made_by(parts[0], "add")
            return add is not None and any(
                a is x and _is_power(b, x, 3) for a, b in either_way(add)
            )
        if len(parts) == 2:  # x (1 + k x²)
            for a, b in (parts, parts[::-1]):
                square = plus(b, 1.0)
                if a is x and square is not None and _is_power(square, x, 2):
                    return True
        return False


def _is_power(value: Value, x: Value, exponent: int) -> bool:
    """Whether a value is 0.044715 * x^exponent."""
    coefficient, parts = factors(value)
    if not _near(coefficient, 0.044715):
        return False
    if len(parts) == 1 and (power := made_by(parts[0], "pow")):
        return power.inputs[0] is x and is_scalar(power.inputs[1], exponent)
    return len(parts) == exponent and all(part is x for part in parts)


class HardSigmoidClip(Rewrite):
    """clip{0,1}(x * a + b) → hard_sigmoid{a,b}(x)"""

    name = "hard-sigmoid-clip"
    roots = ("clip",)

    def match(self, graph: Graph, node: Node) -> Parts:
        if node.attrs != ClipAttrs(0.0, 1.0) or not node.output.dtype.is_float:
            return None
        add = made_by(node.inputs[0], "add")
        shift = with_scalar(add) if add else None
        mul = made_by(shift[0], "mul") if shift else None
        scaled = with_scalar(mul) if mul else None
        if shift is None or scaled is None:
            return None
        return {"x": scaled[0], "attrs": HardSigmoidAttrs(scaled[1], shift[1])}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("hard_sigmoid", parts["x"], attrs=parts["attrs"])


class HardSigmoidSixth(Rewrite):
    """clip{0,6}(x + 3) * (1/6) → hard_sigmoid{1/6,0.5}(x)"""

    name = "hard-sigmoid-sixth"
    roots = ("mul", "div")

    def match(self, graph: Graph, node: Node) -> Parts:
        number = scalar(node.inputs[1])
        wanted = 6.0 if node.op == "div" else 1 / 6
        if number is None or not _near(number, wanted):
            return None
        x = _clipped(node.inputs[0])
        return None if x is None else {"x": x}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("hard_sigmoid", parts["x"], attrs=HardSigmoidAttrs(1 / 6, 0.5))


def _clipped(value: Value) -> Value | None:
    """x if `value` is clip{0,6}(x + 3)."""
    clip = made_by(value, "clip")
    if clip is None or clip.attrs != ClipAttrs(0.0, 6.0):
        return None
    return plus(clip.inputs[0], 3.0)


class HardswishClip(Rewrite):
    """x * clip{0,6}(x + 3) * (1/6) → hardswish(x)    in any order of the factors"""

    name = "hardswish-clip"
    roots = ("mul", "div")

    def match(self, graph: Graph, node: Node) -> Parts:
        if node.op == "div":
            number = scalar(node.inputs[1])
            if number is None or not _near(number, 6.0):
                return None
            coefficient, parts = factors(node.inputs[0])
            coefficient /= 6.0
        else:
            coefficient, parts = factors(node.output)
        if len(parts) != 2 or not _near(coefficient, 1 / 6):
            return None
        for x, other in (parts, parts[::-1]):
            if _clipped(other) is x:
                return {"x": x}
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("hardswish", parts["x"])


class Swish(Rewrite):
    """x * sigmoid(x) → silu(x);  x * hard_sigmoid{1/6,0.5}(x) → hardswish(x);
    x * tanh(softplus(x)) → mish(x)
    """

    name = "swish"
    roots = ("mul",)

    def match(self, graph: Graph, node: Node) -> Parts:
        for x, other in either_way(node):
            gate = made_by(other, "sigmoid", "hard_sigmoid", "tanh")
            if gate is None:
                continue
            source = gate.inputs[0]
            if gate.op == "tanh":
                inner = made_by(source, "softplus")
                if inner and inner.inputs[0] is x:
                    return {"op": "mish", "x": x}
            elif source is x and gate.op == "sigmoid":
                return {"op": "silu", "x": x}
            elif source is x and isinstance(gate.attrs, HardSigmoidAttrs):
                if _near(gate.attrs.alpha, 1 / 6) and gate.attrs.beta == 0.5:
                    return {"op": "hardswish", "x": x}
                return Refusal("the hard sigmoid is not hardswish's", gate)
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op(parts["op"], parts["x"])


class Softplus(Rewrite):
    """log(1 + exp(x)) → softplus(x)"""

    name = "softplus"
    roots = ("log",)

    def match(self, graph: Graph, node: Node) -> Parts:
        shifted = plus(node.inputs[0], 1.0)
        exp = made_by(shifted, "exp") if shifted else None
        return {"x": exp.inputs[0]} if exp else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("softplus", parts["x"])


class Softsign(Rewrite):
    """x / (1 + abs(x)) → softsign(x)"""

    name = "softsign"
    roots = ("div",)

    def match(self, graph: Graph, node: Node) -> Parts:
        x, divisor = node.inputs
        shifted = plus(divisor, 1.0)
        inner = made_by(shifted, "abs") if shifted else None
        return {"x": x} if inner and inner.inputs[0] is x else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("softsign", parts["x"])


class LeakyMaximum(Rewrite):
    """maximum(x, x * a) → leaky_relu{alpha=a}(x)    for 0 <= a <= 1"""

    name = "leaky-maximum"
    roots = ("maximum",)

    def match(self, graph: Graph, node: Node) -> Parts:
        for x, other in either_way(node):
            mul = made_by(other, "mul")
            pair = with_scalar(mul) if mul else None
            if pair is None or pair[0] is not x:
                continue
            if not 0 <= pair[1] <= 1:
                return Refusal("the slope is not between 0 and 1", mul)
            return {"x": x, "alpha": pair[1]}
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("leaky_relu", parts["x"], attrs=LeakyReluAttrs(parts["alpha"]))
