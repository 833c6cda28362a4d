"""What kind of convolution a `conv` node is."""

from __future__ import annotations

from .graph import Node
from .ops.conv import ConvAttrs

__all__ = ["has_unit_window", "is_dense", "is_depthwise", "is_pixelwise", "is_pointwise"]


def is_dense(conv: Node) -> bool:
    """Whether it sums over all channels."""
    return _attrs(conv).groups == 1


def is_depthwise(conv: Node) -> bool:
    """Whether it has one filter for each channel."""
    return _attrs(conv).groups == conv.inputs[0].shape[1] == conv.output.shape[1] > 1


def has_unit_window(conv: Node) -> bool:
    """Whether its window is a single pixel; it may skip pixels, and there may be padding."""
    return all(size == 1 for size in conv.inputs[1].shape[2:])


def is_pixelwise(conv: Node) -> bool:
    """Whether every pixel of the result is made of the pixel in its place, whatever the groups."""
    attrs = _attrs(conv)
    return has_unit_window(conv) and set(attrs.strides) == {1} and not any(attrs.pads)


def is_pointwise(conv: Node) -> bool:
    """Whether it sums over all channels of the pixel in its place."""
    return is_dense(conv) and is_pixelwise(conv)


def _attrs(conv: Node) -> ConvAttrs:
    return conv.attrs  # type: ignore[return-value]
