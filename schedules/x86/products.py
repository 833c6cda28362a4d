"""Where the tiles of a matrix product stand: tiles at the end are moved back until they fit.

A product of `rows` x `cols` is computed in tiles of whole registers. Where they do not divide it,
the last tile of a row or column is moved back: it computes again what its neighbour has, to the
same values, and there are no guards, no padding and no second body. So kernels compute in the
tile's own coordinates [batch, panel, row, vector, lane], operands are read and the result is stored
at `Tiles.row` and `Tiles.column`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import s_tir, te, tirx

from ...ir.graph import Node
from ..flat_index import reshaped_index, unravel
from ..rewrite import with_block_body, with_loop_body
from ..view import View, bounded, scope, simplify
from .anchored import Anchored
from .stores import element_of, element_region
from .tiles import Machine, chunks, rounds

__all__ = [
    "LANES",
    "Accumulated",
    "Tiles",
    "flat_stage",
    "register_tiles",
    "row_stride",
    "store_tiles",
]

LANES = (1, 2, 4, 8, 16)
SHORT = 4  # lanes; shorter vectors save nothing
Coordinates = Sequence[Any]  # batch, panel, row, vector, lane


@dataclass(frozen=True)
class Tiles:
    """How a product of [batch, rows, cols] is cut.

    Attributes:
        batch: Sizes of the batch axes.
        row_axes: Sizes of the axes that are taken together as rows.
        cols: Columns, at least those of a panel.
        tile: Rows of a tile, at most all.
        vectors: Vectors of a panel.
        lanes: Lanes of a vector.
        band: Tiles of rows that are computed together.
    """

    batch: tuple[int, ...]
    row_axes: tuple[int, ...]
    cols: int
    tile: int
    vectors: int
    lanes: int
    band: int = 1

    @property
    def rows(self) -> int:
        return math.prod(self.row_axes)

    @property
    def width(self) -> int:
        """Columns of a panel."""
        return self.vectors * self.lanes

    @property
    def panels(self) -> int:
        return rounds(self.cols, self.width)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is computed: [batch, panel, row, vector, lane], rows in whole bands."""
        step = self.tile * self.band
        height = rounds(self.rows, step) * step
        return (math.prod(self.batch), self.panels, height, self.vectors, self.lanes)

    @property
    def divide(self) -> bool:
        """Whether no tile is moved back."""
        return self.shape[2] == self.rows and self.panels * self.width == self.cols

    def row(self, row: Any) -> Any:
        """Where a row of the tiles really stands."""
        if self.shape[2] == self.rows:
            return row
        return tirx.min(row // self.tile * self.tile, self.rows - self.tile) + row % self.tile

    def start(self, panel: Any) -> Any:
        """The first column of a panel, written so that what divides it is seen."""
        if self.panels * self.width == self.cols:
            return panel * self.width
        unit = math.gcd(self.cols, self.width)
        return tirx.min(panel * (self.width // unit), (self.cols - self.width) // unit) * unit

    def index(self, at: Coordinates) -> list[Any]:
        """The logical index of an element of the tiles."""
        n, panel, row, vector, lane = at
        batch = unravel(n, self.batch)
        rows = unravel(self.row(row), self.row_axes)
        return [*batch, *rows, self.start(panel) + vector * self.lanes + lane]


def vector_lengths(cols: int, lanes: int) -> tuple[int, ...]:
    """Lanes of the longest vector that a row fills, and half of them where that may fit better."""
    while lanes > cols:
        lanes //= 2
    return (lanes, lanes // 2) if cols % lanes and lanes > SHORT else (lanes,)


def row_stride(parts: Anchored) -> int:
    """Bytes from a row of A to the next, where the graph's input is read in place."""
    attrs: Any = parts.node.attrs
    a = parts.data.type
    return a.dtype.bytes if attrs.transpose_a else a.shape[-1] * a.dtype.bytes


def register_tiles(
    machine: Machine, rows: int, cols: int, most_vectors: int
) -> Iterator[tuple[int, int, int]]:
    """(lanes, vectors, rows) of the tiles of a product that fit the registers, in a fixed order."""
    for lanes in vector_lengths(cols, machine.lanes):
        for vectors in range(1, min(cols // lanes, most_vectors) + 1):
            for height in chunks(rows, machine.registers):
                if machine.fits(vectors, height):
                    yield lanes, vectors, height


class Accumulated(View):
    """The anchor's result, read where the stage that is being made stands in the tiles.

    The ops after it are elementwise and of its shape, so they read it at their own index. That is
    `Tiles.index` of the coordinates, which has no inverse where tiles overlap.

    Args:
        shape: Logical shape of the anchor's result.
        stage: The accumulators, [batch, panel, row, vector, lane] or without the batch.
    """

    def __init__(self, shape: Sequence[int], stage: Any) -> None:
        self.at: Coordinates = ()
        axes = len(stage.shape)
        super().__init__(shape, stage.dtype, lambda *_: stage(*self.at[-axes:]), cheap=True)


def flat_stage(tiles: Tiles, core: View, result: Accumulated, axes: int) -> Any:
    """The stage `flat`: what is stored, computed in tiles with the last `axes` coordinates."""
    shape = tiles.shape[-axes:]

    def element(*at: Any) -> Any:
        result.at = (*[0] * (len(tiles.shape) - axes), *at)
        with bounded(list(zip(at, shape, strict=True))):
            return scope(lambda: core(*(simplify(i) for i in tiles.index(result.at))))

    return te.compute(shape, element, name="flat")


def store_tiles(function: Any, tiles: Tiles, parts: Anchored) -> Any:
    """Let a scheduled function store its tiles where they belong in the body's output.

        flat[n, panel, row, vector, lane] = …   →   out[moved(batch, row, column)] = …

    Its last parameter, in tiles, is replaced by one that stands as the output does; transposes and
    reshapes at the end of the body are in the index.
    """
    return _Store(function, tiles, parts).done()


class _Store:
    def __init__(self, function: Any, tiles: Tiles, parts: Anchored) -> None:
        self.old, self.tiles, self.parts = function, tiles, parts
        self.flat = function.params[-1]
        self.output = tirx.decl_buffer(
            parts.output.shape, self.flat.dtype, "out", data_alignment=self.flat.data_alignment
        )

    def done(self) -> Any:
        params = [*self.old.params[:-1], self.output]
        return tirx.PrimFunc(
            params, self._rewrite(self.old.body), self.old.ret_type, self.old.attrs
        )

    def _rewrite(self, stmt: Any) -> Any:
        if isinstance(stmt, tirx.For):
            return with_loop_body(stmt, self._rewrite(stmt.body))
        if isinstance(stmt, tirx.SeqStmt):
            return tirx.SeqStmt([self._rewrite(part) for part in stmt.seq])
        if isinstance(stmt, s_tir.SBlockRealize):
            sizes = [(v.var, int(v.dom.extent)) for v in stmt.block.iter_vars]
            with bounded(sizes):
                body = self._rewrite(stmt.block.body)
                writes = [self._region(region) for region in stmt.block.writes]
            block = with_block_body(stmt.block, body, writes)
            return s_tir.SBlockRealize(list(stmt.iter_values), stmt.predicate, block)
        if isinstance(stmt, tirx.BufferStore) and stmt.buffer.same_as(self.flat):
            return tirx.BufferStore(self.output, stmt.value, self._place(stmt.indices))
        return stmt

    def _place(self, at: Sequence[Any]) -> list[Any]:
        missing = len(self.tiles.shape) - len(at)
        index = self.tiles.index([*[0] * missing, *at])
        for node in self.parts.movement:
            index = _moved(node, index)
        return [simplify(i) for i in index]

    def _region(self, region: Any) -> Any:
        if not region.source.same_as(self.flat):
            return region
        return element_region(self.output, self._place(element_of(region)))


def _moved(node: Node, index: Sequence[Any]) -> list[Any]:
    """Where an element of a transpose's or reshape's operand is in its result."""
    attrs: Any = node.attrs
    if node.op == "transpose":
        return [index[axis] for axis in attrs.perm]
    return reshaped_index(index, node.inputs[0].shape, node.output.shape)
