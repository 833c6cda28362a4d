"""Concats and slices that are nothing but addresses.

A piece of a tensor along an axis is contiguous in memory if all axes stored before it have size 1
(one image: its channels, in whole blocks). Then a concat is done when its operands were written
where they belong, and a slice is a view.
"""

from __future__ import annotations

import itertools
import math

from .graph import Graph, Node
from .layout import Layout
from .ops import ConcatAttrs, SliceAttrs, SplitAttrs
from .ops.slice import slice_ranges
from .types import TensorType

__all__ = ["cut_offsets", "is_contiguous", "joined_offsets"]


def joined_offsets(body: Graph) -> tuple[int, ...] | None:
    """Byte offsets in the result of a body's inputs, if it is a concat of contiguous pieces.

    None if the body is anything else, or if a piece is not contiguous.
    """
    node = _only_node(body)
    if node is None or not isinstance(node.attrs, ConcatAttrs):
        return None
    if list(node.inputs) != list(body.inputs):
        return None
    if any(value.layout != node.output.layout for value in node.inputs):
        return None
    return _joined(node, node.output.layout)


def cut_offsets(body: Graph) -> tuple[int, ...] | None:
    """Byte offsets in a body's only input of its outputs, if it cuts contiguous pieces off.

    None if the body is anything else, or if a piece is not contiguous.
    """
    node = _only_node(body)
    if node is None or len(body.inputs) != 1 or list(node.outputs) != list(body.outputs):
        return None
    if any(value.layout != node.inputs[0].layout for value in node.outputs):
        return None
    return _cut(node, node.inputs[0].layout)


def is_contiguous(node: Node, layout: Layout | None) -> bool:
    """Whether a concat, split or slice is nothing but addresses if its values stand in a layout."""
    if isinstance(node.attrs, ConcatAttrs):
        return _joined(node, layout) is not None
    return _cut(node, layout) is not None


def _only_node(body: Graph) -> Node | None:
    nodes = [node for node in body.nodes() if node.op != "input"]
    return nodes[0] if len(nodes) == 1 else None


def _joined(node: Node, layout: Layout | None) -> tuple[int, ...] | None:
    assert isinstance(node.attrs, ConcatAttrs)
    axis = node.attrs.axis % node.output.rank
    sizes = [value.shape[axis] for value in node.inputs]
    starts = [0, *itertools.accumulate(sizes)][:-1]
    return _offsets(node.output.type.with_(layout=layout), axis, starts, sizes)


def _cut(node: Node, layout: Layout | None) -> tuple[int, ...] | None:
    whole = node.inputs[0].type.with_(layout=layout)
    if isinstance(node.attrs, SplitAttrs):
        axis, sizes = node.attrs.axis % whole.rank, list(node.attrs.sizes)
        return _offsets(whole, axis, [0, *itertools.accumulate(sizes)][:-1], sizes)
    if not isinstance(node.attrs, SliceAttrs):
        return None
    ranges = slice_ranges(node.attrs, whole.shape)
    cut = [axis for axis, taken in enumerate(ranges) if len(taken) != whole.shape[axis]]
    if len(cut) != 1 or any(taken.step != 1 for taken in ranges if len(taken) > 1):
        return None
    taken = ranges[cut[0]]
    return _offsets(whole, cut[0], [taken.start], [len(taken)])


def _offsets(
    whole: TensorType, axis: int, starts: list[int], sizes: list[int]
) -> tuple[int, ...] | None:
    layout, stored = whole.layout, whole.physical_shape
    order = layout.order if layout is not None else tuple(range(whole.rank))
    block = layout.block(axis) if layout is not None else 1
    place = order.index(axis)
    if math.prod(stored[:place]) != 1 or 0 in stored:
        return None
    for start, size in zip(starts, sizes):
        at_end = start + size == whole.shape[axis]
        if size == 0 or start % block or (size % block and not at_end):
            return None
    step = math.prod(stored[place + 1 :]) * whole.dtype.bytes
    return tuple(start // block * step for start in starts)
