"""Canonical forms of data movement: reshapes, transposes, slices, concats, pads, expands."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.graph import Graph, Node, Value
from ..ir.ops import ConcatAttrs, ExpandAttrs, PadAttrs, SliceAttrs, TransposeAttrs
from ..ir.ops.slice import slice_ranges
from ..ir.rewriter import Refusal, Rewrite, Rewriter
from .matching import made_by, reshape, reshape_spec, used_once
from .rules_arithmetic import BROADCASTING

Parts = dict[str, Any] | Refusal | None


class DropMovement(Rewrite):
    """reshape, transpose, slice, pad, expand, tile, resize, concat of one part that change
    nothing → x
    """

    name = "drop-movement"
    roots = ("reshape", "transpose", "slice", "pad", "expand", "tile", "resize", "concat")

    def match(self, graph: Graph, node: Node) -> Parts:
        if len(node.inputs) != 1 or node.inputs[0].type != node.output.type:
            return None
        attrs = node.attrs
        if isinstance(attrs, TransposeAttrs):
            return {} if attrs.perm == tuple(range(len(attrs.perm))) else None
        if isinstance(attrs, SliceAttrs):
            return {} if all(step > 0 for step in attrs.steps) else None
        if isinstance(attrs, PadAttrs):
            return None if any(attrs.pads) else {}
        if node.op == "resize":
            plain = attrs.coordinate != "tf_crop_and_resize" and all(s == 1 for s in attrs.scales)  # type: ignore[attr-defined]
            return {} if plain else None
        return {}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return node.inputs[0]


class MergeReshapes(Rewrite):
    """reshape(reshape(x)) → reshape(x)"""

    name = "merge-reshapes"
    roots = ("reshape",)

    def match(self, graph: Graph, node: Node) -> Parts:
        inner = made_by(node.inputs[0], "reshape")
        if inner is not None:
            return {"x": inner.inputs[0]}
        spec = reshape_spec(node.inputs[0].shape, node.output.shape)
        return {"x": node.inputs[0]} if spec != node.attrs.shape else None  # type: ignore[attr-defined]

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return reshape(rewriter, parts["x"], node.output.shape)


class MergeTransposes(Rewrite):
    """transpose{q}(transpose{p}(x)) → transpose{p∘q}(x)"""

    name = "merge-transposes"
    roots = ("transpose",)

    def match(self, graph: Graph, node: Node) -> Parts:
        inner = made_by(node.inputs[0], "transpose")
        if inner is None:
            return None
        first, second = inner.attrs.perm, node.attrs.perm  # type: ignore[attr-defined]
        return {"x": inner.inputs[0], "perm": tuple(first[axis] for axis in second)}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return rewriter.op("transpose", parts["x"], attrs=TransposeAttrs(parts["perm"]))


class TransposeIsReshape(Rewrite):
    """transpose(x) → reshape(x)    if only axes of size 1 change places"""

    name = "transpose-is-reshape"
    roots = ("transpose",)

    def match(self, graph: Graph, node: Node) -> Parts:
        shape = node.inputs[0].shape
        moved = [axis for axis in node.attrs.perm if shape[axis] != 1]  # type: ignore[attr-defined]
        return {} if moved == sorted(moved) else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        return reshape(rewriter, node.inputs[0], node.output.shape)


class MergeSlices(Rewrite):
    """slice(slice(x)) → slice(x)    for steps of 1"""

    name = "merge-slices"
    roots = ("slice",)

    def match(self, graph: Graph, node: Node) -> Parts:
        inner = made_by(node.inputs[0], "slice")
        if inner is None:
            return None
        outer_ranges = slice_ranges(node.attrs, node.inputs[0].shape)  # type: ignore[arg-type]
        ranges = slice_ranges(inner.attrs, inner.inputs[0].shape)  # type: ignore[arg-type]
        if any(r.step != 1 for r in (*ranges, *outer_ranges)):
            return Refusal("a step is not 1", node)
        if any(len(r) == 0 for r in outer_ranges):
            return Refusal("the result is empty", node)
        return {
            "x": inner.inputs[0],
            "starts": [r.start + o.start for r, o in zip(ranges, outer_ranges)],
            "ends": [r.start + o.stop for r, o in zip(ranges, outer_ranges)],
        }

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        x: Value = parts["x"]
        cut = [a for a in range(x.rank) if parts["ends"][a] - parts["starts"][a] != x.shape[a]]
        attrs = SliceAttrs(
            tuple(cut),
            tuple(parts["starts"][a] for a in cut),
            tuple(parts["ends"][a] for a in cut),
            (1,) * len(cut),
        )
        return rewriter.op("slice", x, attrs=attrs) if cut else x


class GatherIsSlice(Rewrite):
    """gather(x, constant consecutive indices) → reshape(slice(x))"""

    name = "gather-is-slice"
    roots = ("gather",)

    def match(self, graph: Graph, node: Node) -> Parts:
        x, indices = node.inputs
        if not indices.is_constant or indices.type.size == 0 or x.is_constant:
            return None
        axis = node.attrs.axis % x.rank  # type: ignore[attr-defined]
        taken = indices.array.reshape(-1).astype(np.int64)
        size = x.shape[axis]
        if np.any(taken < -size) or np.any(taken >= size):
            return Refusal("an index is out of range", node)
        taken = np.where(taken < 0, taken + size, taken)
        if np.any(np.diff(taken) != 1):
            return Refusal("the indices are not consecutive", node)
        return {"axis": axis, "start": int(taken[0]), "end": int(taken[-1]) + 1}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        attrs = SliceAttrs((parts["axis"],), (parts["start"],), (parts["end"],), (1,))
        return reshape(
            rewriter, rewriter.op("slice", node.inputs[0], attrs=attrs), node.output.shape
        )


class FlattenConcat(Rewrite):
    """concat(a, concat(b, c), d) → concat(a, b, c, d)    on one axis, the inner one used once"""

    name = "flatten-concat"
    roots = ("concat",)

    def match(self, graph: Graph, node: Node) -> Parts:
        axis = _concat_axis(node)
        inner = [
            value
            for value in node.inputs
            if made_by(value, "concat") and _concat_axis(value.node) == axis
        ]
        if not inner:
            empty = [v for v in node.inputs if v.type.size == 0]
            return {} if 0 < len(empty) < len(node.inputs) else None
        if not any(used_once(graph, value) for value in inner):
            return Refusal("the inner concat has other users", inner[0].node)
        return {}

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        axis = _concat_axis(node)
        flat: list[Value] = []
        for value in node.inputs:
            inner = made_by(value, "concat")
            if inner and _concat_axis(inner) == axis and used_once(rewriter.graph, value):
                flat += inner.inputs
            else:
                flat.append(value)
        kept = [value for value in flat if value.type.size] or flat[:1]
        return rewriter.op("concat", *kept, attrs=ConcatAttrs(axis))


def _concat_axis(node: Node) -> int:
    axis: int = node.attrs.axis  # type: ignore[attr-defined]
    return axis % node.output.rank


class ExpandIsBroadcast(Rewrite):
    """expand(x) + y → x + y    where the sum has its shape anyway (any broadcasting op)"""

    name = "expand-is-broadcast"
    roots = (*BROADCASTING, "where", "pow")

    def match(self, graph: Graph, node: Node) -> Parts:
        for index, value in enumerate(node.inputs):
            inner = made_by(value, "expand")
            if inner is None:
                continue
            shapes = [v.shape for i, v in enumerate(node.inputs) if i != index]
            shapes.append(inner.inputs[0].shape)
            if np.broadcast_shapes(*shapes) == node.output.shape:
                return {"index": index, "x": inner.inputs[0]}
        return None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        operands = list(node.inputs)
        operands[parts["index"]] = parts["x"]
        return rewriter.op(node.op, *operands, attrs=node.attrs)


class TileIsExpand(Rewrite):
    """tile(x) → expand(x)    if only axes of size 1 are repeated"""

    name = "tile-is-expand"
    roots = ("tile",)

    def match(self, graph: Graph, node: Node) -> Parts:
        repeats = node.attrs.repeats  # type: ignore[attr-defined]
        pairs = zip(node.inputs[0].shape, repeats)
        return {} if all(size == 1 or n == 1 for size, n in pairs) and 0 not in repeats else None

    def rewrite(self, rewriter: Rewriter, node: Node, parts: dict[str, Any]) -> Value:
        shape = tuple(
            n if size == 1 else -1
            for size, n in zip(node.inputs[0].shape, node.attrs.repeats)  # type: ignore[attr-defined]
        )
        return rewriter.op("expand", node.inputs[0], attrs=ExpandAttrs(shape))


def movement_rules() -> tuple[Rewrite, ...]:
    """The rewrites of this file."""
    return (
        DropMovement(),
        MergeReshapes(),
        MergeTransposes(),
        TransposeIsReshape(),
        MergeSlices(),
        GatherIsSlice(),
        FlattenConcat(),
        TileIsExpand(),
        ExpandIsBroadcast(),
    )
