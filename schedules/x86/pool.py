"""Max and average pooling: blocked by channels (lanes are channels) or plain (lanes are columns).

A tile of `cols` vectors is reduced over the window in registers. Padding is a guard around the
load, peeled off the column loop as in `depthwise`. An average is divided by the number of elements
of its window that count, which is a constant but at the borders.

Limit: loads, `window` of them per vector stored; for large images memory.

Measured on a Zen 4 (AVX-512 on 256-bit data paths, 3.6 GHz; one thread, CPU time; peak 116.6
Gflop/s = 32 flops a cycle, by an FMA loop in the same run, November 2026), 3x3
stride 2 of 64 x 112 x 112 takes 52 us blocked (73 GB/s in and out) and 200 us plain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import s_tir, te, tirx

from ...ir.dtypes import DType
from ...ir.graph import Node
from ..common import workspace_bytes
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, knob, require
from ..view import View, const, guarded, materialise
from .anchored import Anchored, anchored, epilogue_packs, is_heavy, lower_anchored
from .conv_shape import ConvShape, channel_block, guards
from .moves import PASS_CONFIG, partition_columns, vectorize_last
from .ranked import Ranked
from .tails import split_tails
from .tiles import Machine, balance, chunks, rounds

__all__ = ["Pool"]

MOST_TAPS = 30  # windows up to this are unrolled
STRIDED = 4.0  # loads of a vector whose columns stand apart in a plain row, put together
OPS = ("max_pool", "avg_pool")


@dataclass(frozen=True)
class PoolConfig(Knobs):
    """Knobs of Pool.

    Attributes:
        cols: Vectors of a tile: columns of a blocked image, runs of columns of a plain one.
    """

    cols: int = knob(7, choices=(1, 2, 4, 7, 8))


@dataclass(frozen=True)
class Problem:
    """A task as this template sees it."""

    parts: Anchored
    shape: ConvShape
    machine: Machine
    lanes: int
    blocked: bool
    buffered: bool

    @property
    def taps(self) -> int:
        return math.prod(self.shape.kernel)


def pool_shape(node: Node) -> ConvShape:
    """The geometry; images of rank 3 have one row. Raises NotApplicable for rank 5."""
    attrs: Any = node.attrs
    x, y = node.inputs[0].type, node.output.type
    require(x.rank in (3, 4), f"rank {x.rank} is not 3 or 4")
    one = x.rank == 3

    def pair(values: tuple[int, ...], first: int) -> tuple[int, int]:
        return (first, values[0]) if one else (values[0], values[1])

    half = len(attrs.pads) // 2
    return ConvShape(
        x.shape[0],
        1,
        *pair(x.shape[2:], 1),
        y.shape[1],
        *pair(y.shape[2:], 1),
        kernel=pair(attrs.kernel, 1),
        stride=pair(attrs.strides, 1),
        dilation=pair(attrs.dilations, 1),
        begin=pair(attrs.pads[:half], 0),
        end=pair(attrs.pads[half:], 0),
    )


def problem(task: Task) -> Problem:
    """Take the task apart. Raises NotApplicable."""
    op = next((node.op for node in task.nodes if node.op in OPS), OPS[0])
    parts = anchored(task, op, constant_weight=False)
    require(not parts.prologue, "there is a prologue")
    shape, machine = pool_shape(parts.node), Machine.of(task.target)
    block = channel_block(parts.output.type)
    require(channel_block(parts.data.type) == block, "input and output differ in layout")
    require(block <= machine.lanes, f"blocks of {block} do not fit vectors of {machine.lanes}")
    if op == "avg_pool":
        plain = shape.dilation == (1, 1) or not shape.padded
        require(plain, "an average of a dilated window over padding")
    blocked = block > 1
    lanes = block if blocked else machine.lanes
    return Problem(parts, shape, machine, lanes, blocked, is_heavy(parts))


class Pool(Ranked[Problem, PoolConfig]):
    """See the module's docstring."""

    name = "pool_f32_direct__x86"
    Config = PoolConfig
    most = 6

    def problem(self, task: Task) -> Problem:
        return problem(task)

    def configs(self, p: Problem) -> Iterator[PoolConfig]:
        """Whole rows where they fit, in equal parts."""
        for cols in chunks(row_vectors(p), p.machine.registers // 2 - 1):
            yield PoolConfig(cols)

    def cost(self, p: Problem, config: PoolConfig, threads: int) -> float:
        tiles = rounds(row_vectors(p), config.cols)
        loads = config.cols / 2 * (1.0 if p.blocked or p.shape.stride[1] == 1 else STRIDED)
        row = tiles * (p.taps * (max(loads, 2.0) + 0.5) + 2 * config.cols + 12)
        blocks = rounds(p.shape.features, p.lanes if p.blocked else 1)
        rows = p.shape.batch * blocks * p.shape.rows
        return rows * row * balance(rows, threads)

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        return epilogue_packs(problem(task).parts)

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, PoolConfig)
        p = problem(task)
        require(1 <= config.cols <= p.machine.registers, "cols is out of range", InvalidConfig)
        sch = s_tir.Schedule(compute(p, config, self.packs(task, config)))
        schedule(sch, config, p)
        function = split_tails(sch.mod["main"])
        return Lowered((function,), workspace_bytes(function), PASS_CONFIG)


def row_vectors(p: Problem) -> int:
    """Vectors of a row of the output."""
    return p.shape.cols if p.blocked else rounds(p.shape.cols, p.lanes)


# --- the compute ------------------------------------------------------------------------------


def compute(p: Problem, config: PoolConfig, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: acc [-> tile] -> out."""
    parts = p.parts

    def anchor(operands: list[View], context: Any) -> View:
        return accumulated_view(p, accumulate(p, config, operands[0].tensor))

    body = lower_anchored(parts, packs, anchor)
    output = materialise(body.views[parts.output], parts.output.type, "out")
    return te.create_prim_func([*body.inputs, output])


def accumulate(p: Problem, config: PoolConfig, data: Any) -> Any:
    """acc[n, block, h, w, lane] blocked, acc[n, c, h, w] plain, over whole tiles."""
    shape = p.shape
    step = config.cols * (1 if p.blocked else p.lanes)
    cols = rounds(shape.cols, step) * step
    kh = te.reduce_axis((0, shape.kernel[0]), "kh")
    kw = te.reduce_axis((0, shape.kernel[1]), "kw")
    image = len(data.shape) - (1 if p.blocked else 0) > 3
    largest = p.parts.node.op == "max_pool"
    outside = const(-math.inf if largest else 0.0, "float32")
    reducer = _maximum if largest else te.sum

    def element(n: Any, c: Any, h: Any, w: Any, *lane: Any) -> Any:
        h = h * shape.stride[0] + kh * shape.dilation[0]
        w = w * shape.stride[1] + kw * shape.dilation[1]
        conditions = guards(shape, (shape.rows, cols), h, w)
        row, col = h - shape.begin[0], w - shape.begin[1]

        def load() -> Any:
            return data(n, c, row, col, *lane) if image else data(n, c, col, *lane)

        x = guarded(tirx.all(*conditions), load, outside) if conditions else load()
        return reducer(x, axis=[kh, kw])

    blocks = rounds(shape.features, p.lanes) if p.blocked else shape.features
    lanes = (p.lanes,) if p.blocked else ()
    return te.compute((shape.batch, blocks, shape.rows, cols, *lanes), element, name="acc")


_maximum = te.comm_reducer(
    lambda a, b: tirx.max(a, b), lambda t: tirx.const(-math.inf, "float32"), name="largest"
)


def accumulated_view(p: Problem, acc: Any) -> View:
    """The anchor's logical result, read through the stage `tile` where the tile is buffered."""
    value, lanes = p.parts.node.output, p.lanes
    if p.buffered:
        source = acc
        acc = te.compute(source.shape, lambda *i: source(*i), name="tile")
    average = p.parts.node.op == "avg_pool"

    def read(n: Any, c: Any, *pixel: Any) -> Any:
        h, w = pixel if len(pixel) > 1 else (0, pixel[0])
        place = (n, c // lanes, h, w, c % lanes) if p.blocked else (n, c, h, w)
        total = acc(*place)
        return total * share(p, h, w) if average else total

    reach = list(value.shape)
    reach[1] = rounds(reach[1], lanes) * lanes if p.blocked else reach[1]
    # Pad lanes are the maximum or the mean of zeros (with -inf where no tap is inside: never).
    return View(value.shape, value.dtype.tvm, read, reach=reach, pad=np.float32(0), cheap=True)


def share(p: Problem, h: Any, w: Any) -> Any:
    """One over the number of elements that the average of window (h, w) is over."""
    attrs: Any = p.parts.node.attrs
    shape, exact = p.shape, 1
    variable: list[Any] = []
    for axis, (index, size, computed) in enumerate(
        ((h, shape.height, shape.rows), (w, shape.width, shape.cols))
    ):
        kernel, begin = shape.kernel[axis], shape.begin[axis]
        low, high = (-begin, size + shape.end[axis]) if attrs.count_include_pad else (0, size)
        last = (computed - 1) * shape.stride[axis] - begin + (kernel - 1) * shape.dilation[axis]
        if -begin >= low and last < high:
            exact *= kernel
            continue
        first = index * shape.stride[axis] - begin
        variable.append(tirx.min(first + kernel, high) - tirx.max(first, low))
    if not variable:
        return const(1.0 / exact, "float32")
    count: Any = const(exact, "int32")
    for factor in variable:
        count = count * factor
    return const(1.0, "float32") / tirx.Cast(DType.F32.tvm, count)


# --- the schedule -----------------------------------------------------------------------------


def schedule(sch: Any, config: PoolConfig, p: Problem) -> None:
    """parallel(n, h, block) strip: kh kw unrolled(vectors) lane."""
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
    if p.blocked:
        n, block, h, w, lane, kh, kw = sch.get_loops(acc)
        strip, col = sch.split(w, [None, config.cols])
    else:
        n, block, h, w, kh, kw = sch.get_loops(acc)
        strip, col, lane = sch.split(w, [None, config.cols, p.lanes])
    # Rows are cut among the threads first: each finds those that it has just computed in its cache.
    sch.reorder(n, h, block, strip, kh, kw, col, lane)
    sch.parallel(sch.fuse(n, h, block))
    partition_columns(sch, strip)
    if p.taps <= MOST_TAPS:
        sch.unroll(kh)
        sch.unroll(kw)
    sch.unroll(col)
    sch.vectorize(lane)
    if p.buffered:
        tile = sch.get_sblock("tile")
        sch.reverse_compute_at(tile, strip, preserve_unit_loops=True)
        vectorize_last(sch, tile, p.lanes)
    sch.reverse_compute_at(out, strip, preserve_unit_loops=True)
    vectorize_last(sch, out, p.lanes)
    sch.decompose_reduction(acc, kh)
