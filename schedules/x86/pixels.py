"""Pointwise convolutions as kernels of one axis: an image is a row of pixels for them.

A 1x1 window with stride 1 never looks at a neighbour, so a body means the same with its image axes
merged, in the same memory. Templates then tile 49 pixels and not 7 x 7.

A row that tiles do not divide is computed with the last tile moved back until it fits: it
computes some pixels again that the tile before it has, to the same values, and there are no guards
and no second body. `row_of_pixels` makes the body as wide as whole tiles, operands are read and
the output is stored at `Row.moved` pixels.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tvm import te, tirx

from ...ir.conv_kind import is_pixelwise
from ...ir.graph import Graph, Node, Value
from ...ir.layout import Layout
from ...ir.op import Attrs, Pattern
from ...ir.types import TensorType
from ..task import Task
from ..view import View
from .stores import store_at
from .tiles import rounds

__all__ = ["Row", "in_tiles", "row_of_pixels"]


def row_of_pixels(task: Task, pixels: int = 0) -> Task | None:
    """The task with the image axes of all its values merged; None if its body looks at them.

    Args:
        task: Its body holds one conv (of any kind).
        pixels: Take images to be so many pixels wide; 0: as many as they have.
    """
    conv = next((node for node in task.nodes if node.op == "conv"), None)
    if conv is None or conv.output.rank < len("NCW") or not _is_row(conv):
        return None
    spatial = conv.output.shape[2:]
    row = _Row(spatial, pixels or math.prod(spatial))
    body = row.merge(task.body, conv)
    return None if body is None else dataclasses.replace(task, body=body)


def in_tiles(task: Task, pixels: int, tile: int, band: int = 1) -> tuple[Task, Row]:
    """The task as a row of whole bands of tiles, and that row.

    Args:
        task: One that `row_of_pixels` takes.
        pixels: How many it has.
        tile: Pixels of a tile.
        band: Tiles of a band.
    """
    width = rounds(pixels, tile * band) * tile * band
    merged = row_of_pixels(task, width)
    assert merged is not None, "the body was no row of pixels before either"
    return merged, Row(pixels, tile, width)


def _is_row(conv: Node) -> bool:
    single = any(value.type.size == 1 for value in conv.inputs)  # merged they would be scalars
    return is_pixelwise(conv) and not single


@dataclasses.dataclass(frozen=True)
class _Row:
    spatial: tuple[int, ...]
    pixels: int

    def merge(self, body: Graph, conv: Node) -> Graph | None:
        result = Graph(body.name)
        image: dict[Value, Value] = {}
        for value, name in zip(body.inputs, body.input_names, strict=True):
            type = self._type(value.type)
            if type is None:
                return None
            image[value] = result.add_input(name, type)
        for node in body.nodes():
            if node.op == "input":
                continue
            if node.op == "constant":
                if node.output.type.size > 1:
                    return None
                scalar = node.output.constant.array.reshape(())
                image[node.output] = result.add_constant(scalar, name=node.output.name)
                continue
            attrs = self._attrs(node, conv)
            types = [self._type(value.type) for value in node.outputs]
            if attrs is None or None in types:
                return None
            operands = [image[value] for value in node.inputs]
            layouts = [type.layout for type in types if type is not None]
            copy = result.add(node.op, *operands, attrs=attrs, layouts=layouts)
            if [value.shape for value in copy.outputs] != [t.shape for t in types if t]:
                return None
            image.update(zip(node.outputs, copy.outputs, strict=True))
        result.set_outputs([image[value] for value in body.outputs], body.output_names)
        return result

    def _type(self, type: TensorType) -> TensorType | None:
        """The merged type: [.., H, W] and [.., 1, 1] lose an axis, single numbers are scalars."""
        if type.size == 1 and type.layout is None:
            return type.with_(shape=())
        axes = len(self.spatial)
        kept, last = type.shape[:-axes], type.shape[-axes:]
        if type.rank <= axes or last not in (self.spatial, (1,) * axes):
            return None
        layout = type.layout
        if layout is not None:
            rank = axes + len("NC")
            if type.rank != rank or layout != Layout.blocked(rank, 1, layout.block(1)):
                return None
            layout = Layout.blocked(len("NCW"), 1, layout.block(1))
        width = self.pixels if last == self.spatial else 1
        return type.with_(shape=(*kept, width), layout=layout)

    def _attrs(self, node: Node, conv: Node) -> Attrs | None:
        if node is conv:
            plain: Any = node.attrs
            one: Attrs = dataclasses.replace(plain, strides=(1,), pads=(0, 0), dilations=(1,))
            return one
        if node.op == "concat":
            joined: Any = node.attrs
            axis = joined.axis % node.output.rank
            moved: Attrs = dataclasses.replace(joined, axis=axis)
            return moved if axis == 1 else None
        return node.attrs if node.pattern is Pattern.ELEMENTWISE else None


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of pixels in tiles.

    Attributes:
        pixels: How many there really are.
        tile: Pixels of a tile, at most `pixels`.
        width: Whole tiles of them, as the body is wide.
    """

    pixels: int
    tile: int
    width: int

    def moved(self, pixel: Any) -> Any:
        """Where a pixel of the wide row really stands."""
        if self.width == self.pixels:
            return pixel
        start = tirx.min(pixel // self.tile * self.tile, self.pixels - self.tile)
        return start + pixel % self.tile

    def operand(self, type: TensorType, name: str) -> tuple[Any, View]:
        """A placeholder and its view; what has the row's pixels is read at moved ones."""
        if type.rank == 0:
            tensor = te.placeholder((), type.dtype.tvm, name=name)
            return tensor, View.of_tensor(tensor, type)
        stored = list(type.physical_shape)
        axis = type.rank - 1  # in memory too: a block of channels stands behind it
        is_row = type.shape[axis] == self.width > self.pixels
        if is_row:
            stored[axis] = self.pixels
        tensor = te.placeholder(stored, type.dtype.tvm, name=name)
        view = View.of_tensor(tensor, type)
        if not is_row:
            return tensor, view

        def read(*index: Any) -> Any:
            return view(*index[:-1], self.moved(index[-1]))

        return tensor, View(
            type.shape, view.dtype, read, reach=view.reach, pad=view.pad, cheap=True
        )

    def store(self, function: Any, axis: int = 2) -> Any:
        """Let the block `out` of a scheduled function store at moved pixels.

            out[n, c, w, lane] = …   →   out[n, c, moved(w), lane] = …

        Args:
            function: The block writes its last parameter, which is declared as wide as the body.
            axis: Of the pixels among the indices of the output.
        """
        if self.width == self.pixels:
            return function
        shape = [int(size) for size in function.params[-1].shape]
        shape[axis] = self.pixels

        def place(indices: list[Any]) -> tuple[list[Any], list[Any]]:
            indices[axis] = self.moved(indices[axis])
            return indices, []

        return store_at(function, shape, place)
