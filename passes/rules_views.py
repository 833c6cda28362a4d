"""The order of reshapes, slices and transposes: reshape first, then slice, then transpose.

A reshape of a plain value costs nothing at the top level, and a slice and a transpose behind it are
only offsets and strides to the kernel that reads them; so chains are sorted into that order.
"""

from __future__ import annotations

import math
from typing import Any

from ..ir.graph import Graph, Node, Value
from ..ir.op import Pattern
from ..ir.ops import SliceAttrs, TransposeAttrs
from ..ir.ops.slice import slice_ranges
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .matching import made_by, reshape, used_once
from .rules_arithmetic import BROADCASTING

Parts = dict[str, Any] | Refusal | None
Shape = tuple[int, ...]
CONTRACTIONS = ("conv", "conv_transpose", "matmul")


def axis_groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]] | None:
    """How a reshape regroups axes: pairs (axes of old, axes of new) of equal products, as fine as
    possible, axes of size 1 by themselves or in pairs. None if a tensor is empty.
    """
    if 0 in old or 0 in new:
        return None
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        unit_old = i < len(old) and old[i] == 1
        unit_new = j < len(new) and new[j] == 1
        if unit_old or unit_new:
            groups.append(([i] if unit_old else [], [j] if unit_new else []))
            i, j = i + unit_old, j + unit_new
            continue
        olds, news = [i], [j]
        left, right = old[i], new[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                olds.append(i)
                left, i = left * old[i], i + 1
            else:
                news.append(j)
                right, j = right * new[j], j + 1
        groups.append((olds, news))
    return groups


class ReshapeFirst(Rewrite):
    """reshape(transpose(x)) → transpose(reshape(x))    if the reshape only splits axes, or adds or
    drops axes of size 1
    """

    name = "reshape-first"
    roots = ("reshape",)

    def match(self, graph: Graph, node: Node) -> Parts:
        move = made_by(node.inputs[0], "transpose")
        if move is None:
            return None
        groups = axis_groups(move.output.shape, node.output.shape)
        if groups is None:
            return None
        if any(len(olds) > 1 for olds, _ in groups):
            return Refusal("the reshape merges axes", node)
        return {"move": move, "groups": groups}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        move: Node = parts["move"]
        perm: Shape = move.attrs.perm  # type: ignore[attr-defined]
        # axis of the transposed value -> axes of the result; axes that are new go to the front
        news = {olds[0]: list(new) for olds, new in parts["groups"] if olds}
        fresh = [axis for olds, new in parts["groups"] if not olds for axis in new]
        order = fresh + [axis for source in _inverse(perm) for axis in news[source]]
        target = node.output.shape
        x = reshape(rewriter, move.inputs[0], tuple(target[axis] for axis in order))
        back = _inverse(tuple(order))
        if back == tuple(range(len(back))):
            return x
        return rewriter.op("transpose", x, attrs=TransposeAttrs(back))


def _inverse(perm: Shape) -> Shape:
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))


class SliceBeforeTranspose(Rewrite):
    """slice(transpose(x)) → transpose(slice(x))"""

    name = "slice-before-transpose"
    roots = ("slice",)

    def match(self, graph: Graph, node: Node) -> Parts:
        move = made_by(node.inputs[0], "transpose")
        return {"move": move} if move else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        move: Node = parts["move"]
        old: SliceAttrs = node.attrs  # type: ignore[assignment]
        perm: Shape = move.attrs.perm  # type: ignore[attr-defined]
        axes = tuple(perm[axis] for axis in old.axes)
        attrs = SliceAttrs(axes, old.starts, old.ends, old.steps)
        taken = rewriter.op("slice", move.inputs[0], attrs=attrs)
        return rewriter.op("transpose", taken, attrs=move.attrs)


class ReshapeBeforeSlice(Rewrite):
    """reshape(slice(x)) → slice(reshape(x))    if the slice falls on borders of the new axes

    For one sliced axis, with step 1: the third of [S, 3, H*D] that holds the keys becomes a range
    of the middle axis of [S, 3*H, D].
    """

    name = "reshape-before-slice"
    roots = ("reshape",)

    def match(self, graph: Graph, node: Node) -> Parts:
        cut = made_by(node.inputs[0], "slice")
        if cut is None or cut.inputs[0].is_input:
            return None
        x = cut.inputs[0]
        ranges = slice_ranges(cut.attrs, x.shape)  # type: ignore[arg-type]
        sliced = [axis for axis in range(x.rank) if len(ranges[axis]) != x.shape[axis]]
        if len(sliced) != 1 or ranges[sliced[0]].step != 1:
            return Refusal("not one axis is sliced with step 1", cut)
        found = _moved_slice(x.shape, cut.output.shape, node.output.shape, sliced[0])
        if found is None:
            return Refusal("the slice does not fall on borders of the new axes", cut)
        axis, size, unit = found
        # `unit`: how many steps of the new axis one step of the old axis is, as a fraction
        start = ranges[sliced[0]].start * unit[0]
        if start % unit[1]:
            return Refusal("the slice does not fall on borders of the new axes", cut)
        return {"x": x, "axis": axis, "size": size, "start": start // unit[1]}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        axis, start = parts["axis"], parts["start"]
        shape = list(node.output.shape)
        length, shape[axis] = shape[axis], parts["size"]
        whole = reshape(rewriter, parts["x"], tuple(shape))
        attrs = SliceAttrs((axis,), (start,), (start + length,), (1,))
        return rewriter.op("slice", whole, attrs=attrs)


def _moved_slice(
    source: Shape, cut: Shape, new: Shape, sliced: int
) -> tuple[int, int, tuple[int, int]] | None:
    """Where a slice of `source` along one axis falls after a reshape of its result.

    Returns:
        The axis of `new`, its size if nothing were sliced, and by which fraction positions along
        the old axis are to be multiplied. None if the slice is no range of one new axis.
    """
    groups = axis_groups(cut, new)
    if groups is None:
        return None
    at = next(i for i, (olds, _) in enumerate(groups) if sliced in olds)
    olds, news = groups[at]
    while not news:  # a single element was taken: count it to the next axes
        at += 1
        if at == len(groups):
            return None
        olds, news = [sliced, *groups[at][0]], groups[at][1]
    if olds[0] != sliced or not news:
        return None
    rest = math.prod(cut[axis] for axis in olds[1:])
    inner = math.prod(new[axis] for axis in news[1:])
    if source[sliced] * rest % inner:
        return None
    return news[0], source[sliced] * rest // inner, (rest, inner)


class SinkReshapeOfSum(Rewrite):
    """reshape(y) + r → reshape(y + reshape(r))    if y comes from a conv or matmul and r does not

    A residual then stands right behind the op that it can be fused with.
    """

    name = "sink-reshape-of-sum"
    roots = ("add", "mul", "sub")

    def match(self, graph: Graph, node: Node) -> Parts:
        for index, value in enumerate(node.inputs):
            moved = made_by(value, "reshape")
            other = node.inputs[1 - index]
            if moved is None or other.is_constant or other.shape != value.shape:
                continue
            if not is_anchored(graph, moved.inputs[0]) or is_anchored(graph, other):
                continue
            if not used_once(graph, value):
                return Refusal("the reshape has other users", moved)
            inner = made_by(other, "reshape")
            both = inner is not None and is_anchored(graph, inner.inputs[0])
            if both and inner.inputs[0].shape != moved.inputs[0].shape:  # type: ignore[union-attr]
                return Refusal("both operands come from products of other shapes", node)
            return {"index": index, "y": moved.inputs[0], "other": other}
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        y: Value = parts["y"]
        other = reshape(rewriter, parts["other"], y.shape)
        operands = (y, other) if parts["index"] == 0 else (other, y)
        return reshape(rewriter, rewriter.op(node.op, *operands), node.output.shape)


def is_anchored(graph: Graph, value: Value) -> bool:
    """Whether only elementwise work stands between a conv or matmul and a value used once."""
    while used_once(graph, value):
        node = value.node
        if node.op in CONTRACTIONS:
            return True
        if node.op in ("input", "constant") or node.pattern is not Pattern.ELEMENTWISE:
            return False
        value = node.inputs[0]
    return False


class SinkReshape(Rewrite):
    """reshape(x) op c → reshape(x op c)    for a scalar c, and for ops of one operand

    So an activation stands right behind the op that computes its input. Only where the reshape is
    used once and its input comes from a node that computes.
    """

    name = "sink-reshape"
    roots = (
        *BROADCASTING,
        "pow",
        "cast",
        "clip",
        "erf",
        "exp",
        "gelu",
        "hard_sigmoid",
        "hardswish",
        "leaky_relu",
        "neg",
        "relu",
        "sigmoid",
        "silu",
        "softplus",
        "sqrt",
        "tanh",
    )

    def match(self, graph: Graph, node: Node) -> Parts:
        moved = made_by(node.inputs[0], "reshape")
        if moved is None or any(v.rank or not v.is_constant for v in node.inputs[1:]):
            return None
        if not used_once(graph, moved.output):
            return Refusal("the reshape has other users", moved)
        if moved.inputs[0].is_input:
            return None
        return {"x": moved.inputs[0]}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        inner = rewriter.op(node.op, parts["x"], *node.inputs[1:], attrs=node.attrs)
        return reshape(rewriter, inner, node.output.shape)


class SinkReshapeOfConstant(Rewrite):
    """reshape(x) + constant → reshape(x + constant')    if the constant varies along whole groups
    of the axes that the reshape splits or merges
    """

    name = "sink-reshape-of-constant"
    roots = ("add", "mul", "div")

    def match(self, graph: Graph, node: Node) -> Parts:
        moved = made_by(node.inputs[0], "reshape")
        if moved is None or not node.inputs[1].is_constant or not node.inputs[1].rank:
            return None
        x, constant = moved.inputs[0], node.inputs[1]
        if x.is_input or moved.output.shape != node.output.shape:
            return None
        if not used_once(graph, moved.output):
            return Refusal("the reshape has other users", moved)
        shape = _pulled_back(x.shape, moved.output.shape, constant.shape)
        if shape is None:
            return Refusal("the constant varies within axes that the reshape regroups", moved)
        return {"x": x, "array": constant.array.reshape(shape)}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        constant = rewriter.constant(parts["array"], node.inputs[1].name)
        return reshape(rewriter, rewriter.op(node.op, parts["x"], constant), node.output.shape)


def _pulled_back(old: Shape, new: Shape, constant: Shape) -> Shape | None:
    """The shape in which a constant that broadcasts to `new` broadcasts to `old`; None if none."""
    groups = axis_groups(old, new)
    if groups is None:
        return None
    full = (1,) * (len(new) - len(constant)) + constant
    shape = [1] * len(old)
    for olds, news in groups:
        sizes = [full[axis] for axis in news]
        if all(size == 1 for size in sizes):
            continue
        if sizes != [new[axis] for axis in news]:
            return None
        for axis in olds:
            shape[axis] = old[axis]
    return tuple(shape)


def view_rules() -> tuple[Rewrite, ...]:
    """The rewrites of this file."""
    return (
        ReshapeFirst(),
        SliceBeforeTranspose(),
        ReshapeBeforeSlice(),
        SinkReshape(),
        SinkReshapeOfConstant(),
        SinkReshapeOfSum(),
    )
