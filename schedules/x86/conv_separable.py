"""Depthwise convolution and the pointwise one that follows it as one kernel.

A parallel task is a band of rows. It computes the depthwise convolution of its rows, all channels,
into a buffer of its own, and then the pointwise one of them, panel by panel:

    parallel band:
      for block of channels, row, strip: kh kw unrolled(col) lane     dacc, its epilogue: pre
      for panel of features, row, strip: channels unrolled(col, vector) lane     acc, out

So an image of all channels is neither stored nor read again by a core that has not written it, and
there is one wait for all threads less. Tiles divide the rows and columns: an image of 14 x 14 is a
tile of 14 pixels a row. (The rows of 7 x 7 do not divide among two threads, and weights of 960
channels want all pixels of an image: there two kernels are better, and `cost` says so.)

Limit: that of both parts, loads for the depthwise and FMA ports for the pointwise one.

Measured on a 2-core Zen 5 (512-bit, peak 541 Gflop/s, two threads, November 2026), share of peak
within MobileNetV2, in brackets both kernels one by one: 576 to 96 channels at 14 x 14 94 % (91),
192 to 32 at 28 x 28 93 % (90), 384 to 64 at 14 x 14 92 % (88), 144 to 24 at 56 x 56 71 % (a quarter
of the lanes is padding), 32 to 16 at 112 x 112 84 % (82).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tvm import s_tir

from ...ir.graph import Node
from ...ir.op import Pattern
from ..common import workspace_bytes
from ..context import Context
from ..in_place import same_elements
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, knob, require
from ..view import View
from . import depthwise
from .anchored import anchored, are_heavy, epilogue_packs
from .conv_model import inner_channels, shared_cycles
from .conv_nest import Nest, Problem, accumulated_view, build_nest, problem_of
from .conv_shape import channel_block, weight_pack
from .moves import PASS_CONFIG, axes_of, partition_columns, unroll_loops
from .ranked import Ranked
from .skip_padding import skip_padding_rows
from .tiles import TILE_CYCLES, balance, chunks, overlapped, rounds

__all__ = ["ConvSeparable"]

MOST_VECTORS = 8  # of a tile
HELD = 3  # a band's buffer takes this part of the second-level cache at most
DEPTHWISE = "dacc"  # the stage of its sums


@dataclass(frozen=True)
class SeparableConfig(Knobs):
    """Knobs of ConvSeparable.

    Attributes:
        vectors: Vector registers of features in a tile of the pointwise convolution.
        cols: Its pixels; divides the columns.
        band: Rows of a parallel task; divides the rows.
        depthwise_cols: Pixels of a tile of the depthwise convolution; divides the columns.
    """

    vectors: int = knob(2, choices=(1, 2, 3, 4))
    cols: int = knob(7, choices=(4, 7, 8, 14))
    band: int = knob(1, choices=(1, 2, 4, 7, 14))
    depthwise_cols: int = knob(7, choices=(4, 7, 8, 14))


@dataclass(frozen=True)
class Pair:
    """A task as this template sees it.

    Attributes:
        dense: The pointwise convolution; the depthwise one is in its prologue.
        depthwise: The depthwise convolution.
        inner: Its node.
    """

    dense: Problem
    depthwise: depthwise.Problem
    inner: Node


def problem(task: Task) -> Pair:
    """Take the task apart. Raises NotApplicable."""
    convs = [node for node in task.nodes if node.op == "conv"]
    require(len(convs) == 2, f"{len(convs)} convolutions in the body, not 2")
    inner, outer = convs
    parts = anchored(task, "conv", inner=inner)
    dense = problem_of(parts)
    shape = dense.shape
    require(inner in parts.prologue, "one convolution does not lead to the other")
    pointwise = shape.kernel == (1, 1) and shape.stride == (1, 1) and shape.groups == 1
    require(pointwise and not shape.padded, "the second convolution is not pointwise")
    require(outer.output.rank == 4, "an image of one axis")
    between = [node for node in parts.prologue if node is not inner]
    for node in between:
        require(node.definition.pattern is Pattern.ELEMENTWISE, f"{node.op} between them")
        same = all(value.shape == inner.output.shape for value in node.outputs)
        require(same, f"{node.op} between them changes the shape")
    require(not are_heavy(between), "what stands between them is too long for a register tile")
    image, weight = inner.inputs[:2]
    inputs = task.body.inputs
    require(image in inputs and image is not weight, "the image is not an operand")
    blocks = channel_block(image.type)
    require(blocks == dense.lanes > 1, "the image is not blocked as the output is")
    packable = weight in [inputs[i] for i in task.constants] and task.body.n_uses(weight) == 1
    require(packable, "the weights of the depthwise convolution are no constant of its own")
    own = dataclasses.replace(parts, node=inner, prologue=())
    first = depthwise.Problem(
        own, depthwise.depthwise_shape(own), dense.machine, dense.lanes, buffered=False
    )
    return Pair(dense, first, inner)


class ConvSeparable(Ranked[Pair, SeparableConfig]):
    """See the module's docstring."""

    name = "conv_f32_separable__x86"
    Config = SeparableConfig
    takes_pairs = True

    def problem(self, task: Task) -> Pair:
        return problem(task)

    def configs(self, p: Pair) -> Iterator[SeparableConfig]:
        shape, machine = p.dense.shape, p.dense.machine
        blocks = rounds(shape.features, p.dense.lanes)
        row = shape.cols * shape.channels * 4
        most = max(1, machine.l2 // HELD // row)
        # Of equal costs the longest band: a core reads fewer rows that another one has written.
        bands = [n for n in range(shape.rows, 0, -1) if shape.rows % n == 0 and n <= most]
        # Inputs stay in registers from one column of the window to the next: about half of them
        # are left for sums, 14 of 32 or 7 of 16, which divide images of 7, 14, 28, … columns.
        points = _widths(shape.cols, max(machine.registers * 7 // 16, 1))
        for vectors in range(1, min(blocks, MOST_VECTORS) + 1):
            for cols in _widths(shape.cols, machine.registers):
                if machine.fits(vectors, cols):
                    for band in bands:
                        for wide in points:
                            yield SeparableConfig(vectors, cols, band, wide)

    def cost(self, p: Pair, config: SeparableConfig, threads: int) -> float:
        shape, machine = p.dense.shape, p.dense.machine
        weights = shape.depth * shape.features * 4
        tasks = shape.batch * (shape.rows // config.band)
        rows = shape.batch * shape.rows
        panels = rounds(shape.features, config.vectors * p.dense.lanes)
        near = weights <= machine.l1 // 2
        step = machine.step_cycles(config.vectors, config.cols, near)
        finish = machine.finish_cycles(config.vectors, config.cols) + TILE_CYCLES
        body = panels * rows * (shape.cols // config.cols) * (shape.depth * step + finish)
        strips = (
            rounds(shape.channels, p.dense.lanes) * rows * (shape.cols // config.depthwise_cols)
        )
        body += strips * depthwise.tile_cycles(p.depthwise, 1, config.depthwise_cols)
        body += threads * shared_cycles(0, weights, "pixels", threads)
        return overlapped(body, machine.stream_cycles(weights, tasks - 1)) * balance(tasks, threads)

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        assert isinstance(config, SeparableConfig)
        return packs_of(problem(task), config)

    def in_place(self, task: Task, config: Knobs) -> tuple[int, ...]:
        return same_elements(task)

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, SeparableConfig)
        p = problem(task)
        validate(p, config)
        nest = nest_of(p, config)

        def first(operands: list[View], _: Context) -> View:
            image, filters = (operand.tensor for operand in operands[:2])
            acc = depthwise.accumulate(
                p.depthwise, (1, config.depthwise_cols), image, filters, DEPTHWISE
            )
            return accumulated_view(p.inner.output, p.dense.lanes, acc, buffered=False)

        packs = packs_of(p, config)
        sch = s_tir.Schedule(build_nest(p.dense, nest, packs, inner=(p.inner, first)))
        nest.schedule(sch)
        _schedule_depthwise(sch, config.depthwise_cols)
        function = skip_padding_rows(
            sch.mod["main"],
            p.depthwise.shape,
            p.depthwise.shape.rows,
            reductions=2,
            block=f"{DEPTHWISE}_update",
        )
        return Lowered((function,), workspace_bytes(function), PASS_CONFIG)


def _widths(cols: int, limit: int) -> list[int]:
    """Widths of tiles that divide the columns."""
    return [width for width in chunks(cols, limit) if cols % width == 0]


def packs_of(p: Pair, config: SeparableConfig) -> dict[int, Pack]:
    """Packs by position."""
    task, shape = p.dense.parts.task, p.dense.shape
    packs = epilogue_packs(p.dense.parts)
    packs[p.dense.parts.weight_position] = weight_pack(
        shape, p.dense.lanes, config.vectors, inner_channels(p.dense), shape.channels
    )
    filters = task.body.inputs.index(p.inner.inputs[1])
    packs[filters] = depthwise.filter_pack(p.depthwise)
    return packs


def nest_of(p: Pair, config: SeparableConfig) -> Nest:
    """The loops of the pointwise convolution, the depthwise one as a prologue of its bands."""
    return Nest(
        vectors=config.vectors,
        rows=1,
        cols=config.cols,
        inner=inner_channels(p.dense),
        chunk=p.dense.shape.channels,
        chunks=1,
        band=config.band,
        features_first=False,
        row=False,
        prologue="band",
        guarded=False,
        plain_output=p.dense.plain_output,
        buffered=p.dense.buffered,
        lanes=p.dense.lanes,
    )


def _schedule_depthwise(sch: Any, points: int) -> None:
    """block, row, strip: kh kw unrolled(col) lane; then its epilogue for the strip."""
    width = axes_of(sch, sch.get_sblock("pre"))[-2]
    strip, col = sch.split(width, [None, points])
    sch.unroll(col)
    partition_columns(sch, strip)
    acc = sch.get_sblock(DEPTHWISE)
    sch.compute_at(acc, strip, preserve_unit_loops=True)
    *at, col, lane, kh, kw = axes_of(sch, acc)
    sch.reorder(kh, kw, *at, col, lane)
    unroll_loops(sch, [kh, kw, col], lane)
    sch.decompose_reduction(acc, kh)


def validate(p: Pair, config: SeparableConfig) -> None:
    """Raises InvalidConfig if the config is not legal for the problem."""
    shape = p.dense.shape

    def need(condition: bool, reason: str) -> None:
        require(condition, reason, InvalidConfig)

    need(
        min(config.vectors, config.cols, config.band, config.depthwise_cols) >= 1,
        "a size is below 1",
    )
    need(shape.rows % config.band == 0, f"band does not divide {shape.rows} rows")
    need(shape.cols % config.cols == 0, f"cols does not divide {shape.cols} columns")
    need(
        shape.cols % config.depthwise_cols == 0,
        f"depthwise_cols does not divide {shape.cols} columns",
    )
    held = max(config.vectors * config.cols, config.depthwise_cols)
    most = 2 * p.dense.machine.registers
    need(held <= most, f"{held} accumulators are far beyond the registers")
