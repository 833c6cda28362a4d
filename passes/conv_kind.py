"""What kind of convolution a `conv` node is."""

from __future__ import annotations

from ..ir.graph import Node

__all__ = ["is_dense", "is_depthwise", "is_pointwise"]


def is_dense(conv: Node) -> bool:
    """Whether it sums over all channels."""
    return _groups(conv) == 1


def is_depthwise(conv: Node) -> bool:
    """Whether it has one filter for each channel."""
    return _groups(conv) == conv.inputs[0].shape[1] == conv.output.shape[1] > 1


def is_pointwise(conv: Node) -> bool:
    """Whether it sums over all channels of a single pixel."""
    return is_dense(conv) and all(size == 1 for size in conv.inputs[1].shape[2:])


def _groups(conv: Node) -> int:
    return conv.attrs.groups  # type: ignore[attr-defined, no-any-return]
