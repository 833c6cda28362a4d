"""Depthwise convolution (one input channel, one feature), blocked: lanes are channels.

A tile of `rows` x `cols` pixels is accumulated in registers, one vector of channels each; inputs
and weights are loaded as whole vectors. Padding is a guard around the load: the column loop is
peeled or unrolled, so that tiles inside have none; with `peel` the row loop is peeled too and the
parallel loop runs over channel blocks only.

Limit: loads (one input vector per multiply-add, weights stay in registers), and for large images
the memory that inputs and outputs stream through.

Measured on a Zen 4 (AVX-512 on 256-bit data paths, 3.6 GHz; one thread, CPU time; peak 116.6
Gflop/s = 32 flops a cycle, by an FMA loop in the same run, November 2026), share of
peak: 3x3 at 112 x 112 x 32 97 %, 14 x 14 x 384 105 %, 7 x 7 x 960 109 % (zeros of the padding
counted), 5x5 at 14 x 14 x 672 112 %, stride 2 45-75 %. Compiled for haswell 65-105 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import s_tir, te, tirx

from ...ir.dtypes import DType
from ...ir.types import TensorType
from ..common import workspace_bytes
from ..in_place import same_elements
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, knob, require
from ..view import View, const, guarded, materialise
from .anchored import Anchored, anchored, epilogue_packs, is_heavy, lower_anchored
from .conv_nest import accumulated_view
from .conv_shape import ConvShape, channel_block, conv_shape, guards
from .moves import PASS_CONFIG, parallel_stage, partition_columns, place_output
from .ranked import Ranked
from .skip_padding import skip_padding_rows
from .tiles import Machine, balance, chunks, rounds

__all__ = [
    "DepthwiseBlocked",
    "Problem",
    "accumulate",
    "depthwise_shape",
    "filter_pack",
    "tile_cycles",
]

EPILOGUE_CONSTANTS = 12  # vectors: SiLU has 11
MOST_UNROLLED = 30  # taps of windows whose rows are unrolled


@dataclass(frozen=True)
class DepthwiseConfig(Knobs):
    """Knobs of DepthwiseBlocked.

    Attributes:
        rows, cols: Pixels of a tile.
        peel: Peel the rows that padding reaches, and run in parallel over channel blocks only.
        order: What is cut first among the threads, `channels` or `rows`: a thread should find
            the rows in its cache that it has just computed in the convolution before.
    """

    rows: int = knob(1, choices=(1, 2))
    cols: int = knob(7, choices=(4, 7, 8, 14))
    peel: bool = knob(False)
    order: str = knob("channels", choices=("channels", "rows"))


@dataclass(frozen=True)
class Problem:
    """A task as this template sees it."""

    parts: Anchored
    shape: ConvShape
    machine: Machine
    lanes: int
    buffered: bool


def depthwise_shape(parts: Anchored) -> ConvShape:
    """The geometry. Raises NotApplicable unless every channel has one filter."""
    attrs: Any = parts.node.attrs
    features, channels = parts.weight.shape[0], parts.data.shape[1]
    one = attrs.groups == channels == features
    require(one, f"{attrs.groups} groups of {channels} to {features} channels are not depthwise")
    return conv_shape(parts, 1)


def problem(task: Task) -> Problem:
    """Take the task apart. Raises NotApplicable."""
    parts = anchored(task, "conv")
    machine = Machine.of(task.target)
    shape = depthwise_shape(parts)
    lanes = channel_block(parts.output.type)
    require(lanes > 1, "the output is not blocked by channels")
    require(lanes <= machine.lanes, f"blocks of {lanes} do not fit vectors of {machine.lanes}")
    if not parts.prologue:
        same = channel_block(parts.data.type) == lanes
        require(same, "the input is not blocked as the output is")
    return Problem(parts, shape, machine.narrowed(lanes), lanes, is_heavy(parts))


class DepthwiseBlocked(Ranked[Problem, DepthwiseConfig]):
    """See the module's docstring."""

    name = "conv_f32_depthwise__x86"
    Config = DepthwiseConfig

    def problem(self, task: Task) -> Problem:
        return problem(task)

    def configs(self, p: Problem) -> Iterator[DepthwiseConfig]:
        shape = p.shape
        # Inputs are kept in registers from one column of the window to the next: half of them.
        # LLVM also keeps the constants of a long epilogue there throughout (14 columns and SiLU
        # spilled 700 times: 1.4-1.8 times as long as 8).
        held, least = (EPILOGUE_CONSTANTS, 8) if p.buffered else (0, 10)
        most = max((p.machine.registers - held) * 7 // 16, least)
        for cols in chunks(shape.cols, p.machine.registers):
            for rows in (1, 2) if cols < shape.cols // 2 else (1,):
                if rows > shape.rows or rows * cols > most:
                    continue
                for peel in (False, True):
                    for order in ("channels",) if peel else ("channels", "rows"):
                        yield DepthwiseConfig(rows, cols, peel, order)

    def cost(self, p: Problem, config: DepthwiseConfig, threads: int) -> float:
        shape = p.shape
        blocks = shape.batch * rounds(shape.features, p.lanes)
        bands, strips = rounds(shape.rows, config.rows), rounds(shape.cols, config.cols)
        body = blocks * bands * strips * tile_cycles(p, config.rows, config.cols)
        tasks = blocks if config.peel else blocks * bands
        if shape.begin[0] or shape.end[0]:
            body *= 0.9 if config.peel else 1.0  # guards of the rows
        elif config.peel:
            body *= 1.01
        return body * balance(tasks, threads)

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        p = problem(task)
        packs = epilogue_packs(p.parts)
        packs[p.parts.weight_position] = filter_pack(p)
        return packs

    def in_place(self, task: Task, config: Knobs) -> tuple[int, ...]:
        return same_elements(task)

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, DepthwiseConfig)
        p = problem(task)
        tile = config.rows * config.cols
        legal = 1 <= config.rows <= p.shape.rows and 1 <= config.cols <= p.shape.cols
        require(legal, "the tile exceeds the image", InvalidConfig)
        require(tile <= 2 * p.machine.registers, "far too many accumulators", InvalidConfig)
        sch = s_tir.Schedule(compute(p, config, self.packs(task, config)))
        schedule(sch, config, p)
        function = sch.mod["main"]
        if config.rows == 1 and not config.peel:
            function = skip_padding_rows(function, p.shape, p.shape.rows, reductions=2)
        return Lowered((function,), workspace_bytes(function), PASS_CONFIG)


def tile_cycles(p: Problem, rows: int, cols: int) -> float:
    """Cycles of a tile by the model, from its inputs to its outputs."""
    points = rows * cols
    taps = p.shape.kernel[0] * p.shape.kernel[1]
    work = taps * (max(points / p.machine.ports, points / 2) + 1.0)
    latency = taps * 5.0 if points < 5 else 0.0
    return max(work, latency) + points * 2.0 + 12.0 * rows


def filter_pack(p: Problem) -> Pack:
    """Weights as [blocks, KH, KW, lanes], channels padded with zeros."""
    channels, lanes = p.shape.features, p.lanes
    blocks, kernel = rounds(channels, lanes), p.shape.kernel

    def apply(weights: np.ndarray) -> np.ndarray:
        wide = np.zeros((blocks * lanes, *kernel), weights.dtype)
        wide[:channels] = weights.reshape(channels, *kernel)
        return np.ascontiguousarray(wide.reshape(blocks, lanes, *kernel).transpose(0, 2, 3, 1))

    packed = (blocks, *kernel, lanes)
    return Pack(TensorType(DType.F32, packed), apply, f"depthwise{packed}")


# --- the compute ------------------------------------------------------------------------------


def compute(p: Problem, config: DepthwiseConfig, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: [pre ->] acc [-> tile] -> out."""
    parts = p.parts

    def anchor(operands: list[View], context: Any) -> View:
        data = operands[0]
        if parts.prologue:
            type = TensorType(parts.data.dtype, data.shape, parts.output.layout)
            data = View.of_tensor(materialise(data, type, "pre"), type)
        acc = accumulate(p, (config.rows, config.cols), data.tensor, operands[1].tensor, "acc")
        return accumulated_view(parts.node.output, p.lanes, acc, p.buffered)

    body = lower_anchored(parts, packs, anchor)
    output = materialise(body.views[parts.output], parts.output.type, "out")
    return te.create_prim_func([*body.inputs, output])


def accumulate(p: Problem, tile: tuple[int, int], data: Any, filters: Any, name: str) -> Any:
    """name[n, block, h, w, lane], over whole tiles."""
    shape = p.shape
    rows, cols = (rounds(size, part) * part for size, part in zip((shape.rows, shape.cols), tile))
    kh = te.reduce_axis((0, shape.kernel[0]), "kh")
    kw = te.reduce_axis((0, shape.kernel[1]), "kw")
    image = len(data.shape) > 4  # else rank 3: [n, block, w, lane]

    def element(n: Any, block: Any, h: Any, w: Any, lane: Any) -> Any:
        h = h * shape.stride[0] + kh * shape.dilation[0]
        w = w * shape.stride[1] + kw * shape.dilation[1]
        conditions = guards(shape, (rows, cols), h, w)
        row, col = h - shape.begin[0], w - shape.begin[1]

        def load() -> Any:
            return data(n, block, row, col, lane) if image else data(n, block, col, lane)

        zero = const(0, "float32")
        x = guarded(tirx.all(*conditions), load, zero) if conditions else load()
        return te.sum(x * filters[block, kh, kw, lane], axis=[kh, kw])

    blocks = rounds(shape.features, p.lanes)
    return te.compute((shape.batch, blocks, rows, cols, p.lanes), element, name=name)


# --- the schedule -----------------------------------------------------------------------------


def schedule(sch: Any, config: DepthwiseConfig, p: Problem) -> None:
    """parallel(n, block[, band]) [band] strip: kh kw unrolled(row, col) lane."""
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
    if p.parts.prologue:
        parallel_stage(sch, sch.get_sblock("pre"), p.lanes)
    n, block, h, w, lane, kh, kw = sch.get_loops(acc)
    band, row = sch.split(h, [None, config.rows])
    strip, col = sch.split(w, [None, config.cols])
    outer = [band, block] if config.order == "rows" else [block, band]
    sch.reorder(n, *outer, strip, kh, kw, row, col, lane)
    sch.parallel(sch.fuse(n, block) if config.peel else sch.fuse(n, *outer))
    if config.peel:
        sch.annotate(band, "pragma_loop_partition_hint", True)
    partition_columns(sch, strip)
    for loop in (kw, row, col):
        sch.unroll(loop)
    if p.shape.kernel[0] * p.shape.kernel[1] <= MOST_UNROLLED:
        sch.unroll(kh)
    sch.vectorize(lane)
    place_output(sch, out, strip, buffered=p.buffered, vectorized=True)
    sch.decompose_reduction(acc, kh)
