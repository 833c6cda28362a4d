"""Canonical forms of elementwise arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ir.graph import Graph, Node, Value
from ..ir.ops import CastAttrs, ClipAttrs, ExpandAttrs, LeakyReluAttrs
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .matching import (
    computed,
    full_like,
    is_scalar,
    made_by,
    never_minus,
    scalar,
    uniform,
    used_once,
    with_constant,
)

Parts = dict[str, Any] | Refusal | None

COMMUTATIVE = (
    "add",
    "mul",
    "maximum",
    "minimum",
    "equal",
    "and",
    "or",
    "xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
)
BROADCASTING = (*COMMUTATIVE, "sub", "div", "less", "less_equal", "greater", "greater_equal")

# op -> the second operand that changes nothing
NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0, "pow": 1.0}


class DropNeutral(Rewrite):
    """identity(x), cast(x) to its own dtype, x+0, x-0, x*1, x/1, x^1, clip(x) without bounds → x

    x+0 for x=-0 gives +0 and afterwards -0; that is the one bit this may change.
    """

    name = "drop-neutral"
    roots = ("identity", "cast", "clip", *NEUTRAL)

    def match(self, graph: Graph, node: Node) -> Parts:
        if node.inputs[0].type != node.output.type:
            return None
        if node.op == "cast" or node.op == "identity":
            return {}
        if node.op == "clip":
            return {} if node.attrs == ClipAttrs() else None
        other = uniform(node.inputs[1])
        return {} if other is not None and float(other) == NEUTRAL[node.op] else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return node.inputs[0]


class ConstantSecond(Rewrite):
    """op(constant, x) → op(x, constant) for commutative ops"""

    name = "constant-second"
    roots = COMMUTATIVE

    def match(self, graph: Graph, node: Node) -> Parts:
        a, b = node.inputs
        return {} if a.is_constant and not b.is_constant else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op(node.op, node.inputs[1], node.inputs[0])


class SmallConstant(Rewrite):
    """x + constant[1,C,1,1] → x + constant[C,1,1];  x + constant full of v → x + v

    Leading axes of size 1 go, and a constant of equal elements becomes a scalar, where the result
    keeps its shape; so equal operands look equal.
    """

    name = "small-constant"
    roots = (*BROADCASTING, "pow", "where", "mod", "prelu")

    def match(self, graph: Graph, node: Node) -> Parts:
        for index, value in enumerate(node.inputs):
            if value.is_constant and (smaller := self._smaller(node, index, value)) is not None:
                return {"index": index, "array": smaller}
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        operands = list(node.inputs)
        index = parts["index"]
        operands[index] = rewriter.constant(parts["array"], operands[index].name)
        return rewriter.op(node.op, *operands, attrs=node.attrs)

    def _smaller(self, node: Node, index: int, value: Value) -> np.ndarray | None:
        others = [v.shape for i, v in enumerate(node.inputs) if i != index]
        if value.rank and uniform(value) is not None and _shape(others) == node.output.shape:
            return np.asarray(value.array.reshape(-1)[0])
        shape = value.shape
        while shape and shape[0] == 1:
            shape = shape[1:]
        if shape != value.shape and _shape([*others, shape]) == node.output.shape:
            return value.array.reshape(shape)
        return None


def _shape(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(np.broadcast_shapes(*shapes))


class SubtractConstant(Rewrite):
    """x - constant → x + (-constant)    (exact)"""

    name = "subtract-constant"
    roots = ("sub",)

    def match(self, graph: Graph, node: Node) -> Parts:
        return {} if with_constant(node) and node.output.dtype.is_signed else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("add", node.inputs[0], computed(rewriter, "neg", node.inputs[1]))


class DivideByConstant(Rewrite):
    """x / constant → x * (1/constant)

    Exact if the constant holds powers of two only, else it rounds twice: `exact` forbids that.
    """

    name = "divide-by-constant"
    roots = ("div",)

    def __init__(self, exact: bool) -> None:
        self.exact = exact

    def match(self, graph: Graph, node: Node) -> Parts:
        if not with_constant(node) or not node.output.dtype.is_float:
            return None
        array = node.inputs[1].array.astype(np.float64)
        limit = float(np.finfo(np.float32).tiny) * 4
        if not np.all(np.isfinite(array) & (np.abs(array) > limit) & (np.abs(array) < 1 / limit)):
            return Refusal("the divisor has elements without an accurate reciprocal", node)
        if self.exact and not np.all(np.abs(np.frexp(array)[0]) == 0.5):
            return Refusal("the divisor is not a power of two", node)
        return {}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("mul", node.inputs[0], computed(rewriter, "reciprocal", node.inputs[1]))


class SimplePower(Rewrite):
    """x^2 → x*x;  x^3 → x*x*x;  x^-1 → 1/x;  x^0.5 → sqrt(x), x^-0.5 → rsqrt(x)    for x from +0 on

    -inf^0.5 is inf and -0^-0.5 is, where roots are NaN and -inf.
    """

    name = "simple-power"
    roots = ("pow",)

    def match(self, graph: Graph, node: Node) -> Parts:
        exponent = scalar(node.inputs[1])
        if exponent is None or node.inputs[0].type != node.output.type:
            return None
        allowed = (2.0, 3.0, 0.5, -1.0, -0.5) if node.output.dtype.is_float else (2.0, 3.0)
        if exponent not in allowed:
            return None
        if abs(exponent) == 0.5 and not never_minus(node.inputs[0]):
            return Refusal("the base may be -inf or -0", node)
        return {"exponent": exponent}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x, exponent = node.inputs[0], parts["exponent"]
        if exponent in (2.0, 3.0):
            square = rewriter.op("mul", x, x)
            return square if exponent == 2.0 else rewriter.op("mul", square, x)
        return rewriter.op({0.5: "sqrt", -1.0: "reciprocal", -0.5: "rsqrt"}[exponent], x)


class MergeConstants(Rewrite):
    """(x + a) + b → x + (a+b);  (x * a) * b → x * (a*b)    for constants a and b

    Not where a + b of floats nearly cancels: such sums are written to round x to a multiple.
    """

    name = "merge-constants"
    roots = ("add", "mul")

    def match(self, graph: Graph, node: Node) -> Parts:
        pair = with_constant(node)
        inner = made_by(pair[0], node.op) if pair else None
        if pair is None or inner is None or not with_constant(inner):
            return None
        if not used_once(graph, pair[0]):
            return Refusal("the inner result has other users", inner)
        a, b = inner.inputs[1], pair[1]
        shape = _shape([a.shape, b.shape])
        if math.prod(shape) > max(a.type.size, b.type.size):
            return Refusal("the merged constant would be larger than both", inner)
        if node.op == "add" and _cancels(a, b):
            return Refusal("the constants cancel, so the sum rounds", inner)
        return {"x": inner.inputs[0], "a": a, "b": b}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        merged = computed(rewriter, node.op, parts["a"], parts["b"])
        return rewriter.op(node.op, parts["x"], merged)


def _cancels(a: Value, b: Value) -> bool:
    """Whether the sum of two float constants is 12 bits shorter than they are, in any element."""
    if not a.dtype.is_float:
        return False
    one, other = (np.abs(value.array.astype(np.float64)) for value in (a, b))
    total = np.abs(a.array.astype(np.float64) + b.array.astype(np.float64))
    return bool(np.any(total < np.maximum(one, other) / 4096))


class ClipForms(Rewrite):
    """maximum(x, a) → clip{min=a}(x);  minimum(x, b) → clip{max=b}(x);  clip{min=0}(x) → relu(x)"""

    name = "clip-forms"
    roots = ("maximum", "minimum", "clip")

    def match(self, graph: Graph, node: Node) -> Parts:
        if node.op == "clip":
            return {"relu": True} if node.attrs == ClipAttrs(min=0.0) else None
        if node.inputs[0].type != node.output.type or not node.output.dtype.is_float:
            return None
        bound = scalar(node.inputs[1])
        return None if bound is None or math.isnan(bound) else {"bound": bound}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        if "relu" in parts:
            return rewriter.op("relu", node.inputs[0])
        bound = parts["bound"]
        attrs = ClipAttrs(min=bound) if node.op == "maximum" else ClipAttrs(max=bound)
        return rewriter.op("clip", node.inputs[0], attrs=attrs)


class MergeClips(Rewrite):
    """clip{c,d}(clip{a,b}(x)) → clip{max(a,c), min(b,d)}(x);  relu counts as clip{min=0}

    Only where both ranges overlap (else the result is a constant of another form).
    """

    name = "merge-clips"
    roots = ("clip", "relu")

    def match(self, graph: Graph, node: Node) -> Parts:
        inner = made_by(node.inputs[0], "clip", "relu")
        if inner is None:
            return None
        (a, b), (c, d) = _range(inner), _range(node)
        low = max((v for v in (a, c) if v is not None), default=None)
        high = min((v for v in (b, d) if v is not None), default=None)
        if low is not None and high is not None and low > high:
            return Refusal("the ranges do not overlap", node)
        return {"x": inner.inputs[0], "attrs": ClipAttrs(low, high)}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        if parts["attrs"] == ClipAttrs(min=0.0):
            return rewriter.op("relu", parts["x"])
        return rewriter.op("clip", parts["x"], attrs=parts["attrs"])


def _range(node: Node) -> tuple[float | None, float | None]:
    if isinstance(node.attrs, ClipAttrs):
        return node.attrs.min, node.attrs.max
    return 0.0, None


class Involution(Rewrite):
    """neg(neg(x)), not(not(x)), bitwise_not(bitwise_not(x)) → x"""

    name = "involution"
    roots = ("neg", "not", "bitwise_not")

    def match(self, graph: Graph, node: Node) -> Parts:
        return {} if made_by(node.inputs[0], node.op) else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return node.inputs[0].node.inputs[0]


class Idempotent(Rewrite):
    """abs(abs(x)) → abs(x), and so for sign, floor, ceil, round"""

    name = "idempotent"
    roots = ("abs", "sign", "floor", "ceil", "round")

    def match(self, graph: Graph, node: Node) -> Parts:
        return {} if made_by(node.inputs[0], node.op) else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return node.inputs[0]


class ChooseBranch(Rewrite):
    """where(c, x, x) → x;  where(true, x, y) → x;  where(false, x, y) → y"""

    name = "choose-branch"
    roots = ("where",)

    def match(self, graph: Graph, node: Node) -> Parts:
        condition, a, b = node.inputs
        if a is b:
            return {"x": a}
        chosen = uniform(condition)
        return None if chosen is None else {"x": a if chosen else b}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x: Value = parts["x"]
        if x.shape == node.output.shape:
            return x
        return rewriter.op("expand", x, attrs=ExpandAttrs(node.output.shape))


class ReciprocalForms(Rewrite):
    """1 / x → reciprocal(x);  reciprocal(sqrt(x)) → rsqrt(x)"""

    name = "reciprocal-forms"
    roots = ("div", "reciprocal")

    def match(self, graph: Graph, node: Node) -> Parts:
        if node.op == "reciprocal":
            root = made_by(node.inputs[0], "sqrt")
            return {"op": "rsqrt", "x": root.inputs[0]} if root else None
        a, b = node.inputs
        if not b.dtype.is_float or b.type != node.output.type or not is_scalar(a, 1.0):
            return None
        return {"op": "reciprocal", "x": b}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op(parts["op"], parts["x"])


class UniformPrelu(Rewrite):
    """prelu(x, slope all a) → leaky_relu{alpha=a}(x)"""

    name = "uniform-prelu"
    roots = ("prelu",)

    def match(self, graph: Graph, node: Node) -> Parts:
        slope = uniform(node.inputs[1])
        return None if slope is None or not node.output.dtype.is_float else {"alpha": float(slope)}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        attrs = LeakyReluAttrs(parts["alpha"])
        return rewriter.op("leaky_relu", node.inputs[0], attrs=attrs)


class MergeCasts(Rewrite):
    """cast{to=c}(cast{to=b}(x)) → cast{to=c}(x)    where b holds every value of x exactly"""

    name = "merge-casts"
    roots = ("cast",)

    def match(self, graph: Graph, node: Node) -> Parts:
        inner = made_by(node.inputs[0], "cast")
        if inner is None:
            return None
        source, middle = inner.inputs[0].dtype, inner.output.dtype
        if not np.can_cast(source.numpy, middle.numpy, "safe"):
            return Refusal(f"{middle.short} does not hold every {source.short}", inner)
        return {"x": inner.inputs[0]}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("cast", parts["x"], attrs=CastAttrs(node.output.dtype))


class DoubleNegative(Rewrite):
    """x - neg(y), x + neg(y) → x + y, x - y"""

    name = "double-negative"
    roots = ("add", "sub")

    def match(self, graph: Graph, node: Node) -> Parts:
        inner = made_by(node.inputs[1], "neg")
        return {"y": inner.inputs[0]} if inner else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        op = "sub" if node.op == "add" else "add"
        return rewriter.op(op, node.inputs[0], parts["y"])


class CommonScale(Rewrite):
    """x + x → x * 2"""

    name = "common-scale"
    roots = ("add",)

    def match(self, graph: Graph, node: Node) -> Parts:
        a, b = node.inputs
        return {} if a is b and a.dtype.is_float else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x = node.inputs[0]
        return rewriter.op("mul", x, rewriter.constant(full_like(x, 2.0)))


def arithmetic_rules(exact: bool) -> tuple[Rewrite, ...]:
    """The rewrites of this file; `exact` leaves out those that may round otherwise."""
    always: tuple[Rewrite, ...] = (
        DropNeutral(),
        ConstantSecond(),
        SmallConstant(),
        SubtractConstant(),
        DivideByConstant(exact),
        ClipForms(),
        MergeClips(),
        Involution(),
        Idempotent(),
        ChooseBranch(),
        MergeCasts(),
        DoubleNegative(),
        CommonScale(),
        UniformPrelu(),
    )
    return always if exact else (*always, SimplePower(), MergeConstants(), ReciprocalForms())
