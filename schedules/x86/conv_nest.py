"""The loop nest of direct convolutions: its TE form and its schedule.

parallel (panel, band):                  or (band, panel)
  [pre: the band's pixels, all channels]
  [for chunk of channels:]
    for tile of the band:
      for kh, kw, channels of the chunk:
        unrolled rows x columns x vectors of features: acc += x * w
    [  sum += acc]
  out: the epilogue, per tile or (with chunks) per band
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te

from ...ir.graph import Node, Value
from ...ir.layout import Layout
from ...ir.types import TensorType
from ..context import Context
from ..template import Pack, require
from ..view import View, materialise, simplify
from .anchored import Anchor, Anchored, is_heavy, lower_anchored
from .conv_shape import ConvShape, channel_block, conv_shape, read_input
from .moves import axes_of, parallel_stage, partition_columns, place_output, unroll_loops
from .pixels import Row
from .tiles import Machine, rounds

__all__ = [
    "Nest",
    "Problem",
    "accumulate",
    "accumulated_view",
    "build_nest",
    "image_layout",
    "problem_of",
]


@dataclass(frozen=True)
class Problem:
    """A task as templates of convolutions see it.

    Attributes:
        parts: The body, taken apart.
        shape: The geometry.
        machine: The core.
        lanes: Features of a vector.
        plain_output: Whether the output is not blocked.
        buffered: Whether a tile is stored before its epilogue.
        row: The row of pixels that the image is, or None.
    """

    parts: Anchored
    shape: ConvShape
    machine: Machine
    lanes: int
    plain_output: bool
    buffered: bool
    row: Row | None = None


def problem_of(parts: Anchored) -> Problem:
    """The problem of a body with a conv anchor. Raises NotApplicable."""
    machine = Machine.of(parts.task.target)
    channel_block(parts.data.type)
    block = channel_block(parts.output.type)
    lanes = block if block > 1 else machine.lanes
    require(lanes <= machine.lanes, f"blocks of {lanes} do not fit vectors of {machine.lanes}")
    machine = machine.narrowed(lanes)
    shape = conv_shape(parts, lanes)
    if shape.groups > 1:
        require(shape.group_features % lanes == 0, "groups do not fill vectors")
    plain = block == 1
    return Problem(parts, shape, machine, lanes, plain, plain or is_heavy(parts))


@dataclass(frozen=True)
class Nest:
    """The loops of one config, and which stages there are.

    Attributes:
        vectors, rows, cols: The register tile.
        inner, chunk: Steps of the reduction over channels.
        chunks: How many chunks there are; with more than one, partial sums stand in memory.
        band: Tiles of pixels (or rows of tiles) of a parallel task.
        features_first: Whether panels of features are the outermost loop.
        row: Whether the image is one row of pixels.
        prologue: "", "band" (computed by every band for itself) or "image" (before all else).
        guarded: Whether tiles of columns may reach into the padding, or beyond the image.
        plain_output, buffered: See `Problem`.
        lanes: Of the core's vectors, for the prologue: its blocks may be longer than the output's.
    """

    vectors: int
    rows: int
    cols: int
    inner: int
    chunk: int
    chunks: int
    band: int
    features_first: bool
    row: bool
    prologue: str
    guarded: bool
    plain_output: bool
    buffered: bool
    lanes: int

    def computed_rows(self, shape: ConvShape) -> int:
        """Whole bands of rows."""
        step = self.rows * (1 if self.row else self.band)
        return rounds(shape.rows, step) * step

    def schedule(self, sch: Any) -> None:
        """The nest of the module's docstring."""
        out = sch.get_sblock("out")
        pre = sch.get_sblock("pre") if self.prologue else None
        if self.prologue == "image":
            parallel_stage(sch, pre, self.lanes)
        block = sch.get_sblock("sum" if self.chunks > 1 else "acc")
        n, o, h, w, lane, *reductions = sch.get_loops(block)
        panel, vector = sch.split(o, [None, self.vectors])
        if self.row:
            across, strip, col = sch.split(w, [None, self.band, self.cols])
            down, row = sch.split(h, [None, self.rows])
            bands, tiles = [down, across], [strip]
        else:
            strip, col = sch.split(w, [None, self.cols])
            down, rows, row = sch.split(h, [None, self.band, self.rows])
            bands, tiles = [down], [rows, strip]
        first = self.features_first and self.prologue != "band"
        shared = [panel, *bands] if first else [*bands, panel]
        outer = [*reductions] if self.chunks > 1 else []
        inner = [] if self.chunks > 1 else [*reductions]
        # Weights stay in registers across the pixels of a step: the other order spills.
        sch.reorder(n, *shared, *outer, *tiles, *inner, row, col, vector, lane)
        if self.prologue == "band":
            task = sch.fuse(n, *bands)
            sch.parallel(task)
            at = panel
        else:
            task = at = sch.fuse(n, *shared)
            sch.parallel(task)
        if self.guarded:
            partition_columns(sch, strip)
        if self.chunks > 1:
            self._chunked(sch, block, strip, at, outer[0])
        else:
            self._registers(sch, inner, [row, col, vector], lane)
            buffered, vectorized = self.buffered, not self.plain_output
            place_output(sch, out, strip, buffered=buffered, vectorized=vectorized)
            sch.decompose_reduction(block, inner[0])
        if self.prologue == "band":
            sch.compute_at(pre, task, preserve_unit_loops=True)
            last = axes_of(sch, pre)[-1]
            if int(sch.get(last).extent) <= self.lanes:
                sch.vectorize(last)

    def _registers(self, sch: Any, reductions: list[Any], tile: list[Any], lane: Any) -> None:
        if self.guarded:
            sch.unroll(reductions[1])
        unroll_loops(sch, tile, lane)

    def _chunked(self, sch: Any, total: Any, strip: Any, at: Any, chunk: Any) -> None:
        """sum += acc for every tile of a chunk; the output of a band after its last chunk."""
        acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
        *tile, lane = sch.get_loops(total)[-len(("row", "col", "vector", "lane")) :]
        unroll_loops(sch, tile, lane)
        sch.compute_at(acc, strip, preserve_unit_loops=True)
        _, _, vector, row, col, lane, kh, kw, co, ci = axes_of(sch, acc)
        sch.reorder(kh, kw, co, ci, row, col, vector, lane)
        self._registers(sch, [kh, kw, co, ci], [row, col, vector], lane)
        sch.reverse_compute_at(out, at, preserve_unit_loops=True)
        axes = axes_of(sch, out)
        if self.row:
            sch.split(axes[2], [None, self.cols])
        if not self.plain_output:
            sch.vectorize(axes[-1])
        sch.decompose_reduction(total, chunk)
        sch.decompose_reduction(acc, kh)


# --- the TE form ------------------------------------------------------------------------------


def build_nest(
    p: Problem, nest: Nest, packs: dict[int, Pack], inner: tuple[Node, Anchor] | None = None
) -> Any:
    """The PrimFunc: [pre ->] acc [-> sum | tile] -> out.

    `inner` is an anchor in the prologue, and what computes it (`lower_anchored`).
    """
    parts = p.parts

    def anchor(operands: list[View], context: Context) -> View:
        data, weights = operands[0], operands[1].tensor
        if parts.prologue:
            type = TensorType(parts.data.dtype, data.shape, image_layout(parts))
            data = View.of_tensor(materialise(data, type, "pre"), type)
        acc = accumulate(p, nest, data, weights)
        return accumulated_view(parts.node.output, p.lanes, acc, p.buffered and nest.chunks == 1)

    operand = p.row.operand if p.row is not None else None
    body = lower_anchored(parts, packs, anchor, operand=operand, inner=inner)
    output = materialise(body.views[parts.output], parts.output.type, "out")
    return te.create_prim_func([*body.inputs, output])


def image_layout(parts: Anchored) -> Layout | None:
    """The layout that the prologue's images stand in, for its result."""
    read = [value for node in parts.prologue for value in node.inputs]
    images = sorted((v for v in read if v.type.layout), key=lambda v: -math.prod(v.shape))
    return images[0].type.layout if images else None


def accumulate(p: Problem, nest: Nest, data: View, weights: Any) -> Any:
    """acc[n, block, h, w, lane], over whole tiles; with chunks the sum of those of all chunks."""
    shape, lanes = p.shape, p.lanes
    group_tiles = rounds(shape.group_features, nest.vectors * lanes)
    blocks = shape.groups * group_tiles * nest.vectors
    rows = nest.computed_rows(shape)
    cols = rounds(shape.cols, nest.cols) * nest.cols
    kernel_h, kernel_w = shape.kernel
    extents = (kernel_h, kernel_w, nest.chunk // nest.inner, nest.inner)
    names = ("kh", "kw", "co", "ci")
    kh, kw, co, ci = (te.reduce_axis((0, n), name) for n, name in zip(extents, names, strict=True))

    def element(chunk: Any, n: Any, o: Any, h: Any, w: Any, lane: Any) -> Any:
        tile = o // nest.vectors
        channel = chunk * nest.chunk + co * nest.inner + ci
        if shape.groups > 1:
            channel = tile // group_tiles * shape.channels + channel
        row = h * shape.stride[0] + kh * shape.dilation[0]
        col = w * shape.stride[1] + kw * shape.dilation[1]
        x = read_input(data, shape, (rows, cols), n, channel, row, col)
        weight = weights[tile, chunk, kh, kw, co, ci, o % nest.vectors, lane]
        return te.sum(x * weight, axis=[kh, kw, co, ci])

    whole = (shape.batch, blocks, rows, cols, lanes)
    if nest.chunks == 1:
        return te.compute(whole, lambda *at: element(0, *at), name="acc")
    parts = te.compute((nest.chunks, *whole), element, name="acc")
    ko = te.reduce_axis((0, nest.chunks), "ko")
    return te.compute(whole, lambda *at: te.sum(parts(ko, *at), axis=[ko]), name="sum")


def accumulated_view(value: Value, lanes: int, acc: Any, buffered: bool) -> View:
    """The anchor's logical result, read through the stage `tile` where the tile is buffered."""
    if buffered:
        source = acc
        acc = te.compute(source.shape, lambda *i: source(*i), name="tile")

    def read(n: Any, c: Any, *pixel: Any) -> Any:
        h, w = pixel if len(pixel) > 1 else (0, pixel[0])
        return acc(n, simplify(c // lanes), h, w, simplify(c % lanes))

    reach = (value.shape[0], rounds(value.shape[1], lanes) * lanes, *value.shape[2:])
    return View(value.shape, value.dtype.tvm, read, reach=reach, pad=np.float32(0), cheap=True)
