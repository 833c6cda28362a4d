"""Direct convolution of any window, stride, dilation, padding and groups; output features in lanes.

A tile of `vectors` blocks of features times `rows` x `cols` pixels is accumulated in registers
over the whole reduction (window rows, window columns, channels); the epilogue is computed on the
tile, which is then stored once. 1x1 windows with stride 1 see the image as one row of pixels, so
that 7x7 and 14x14 are tiled well. Padding is a guard around the load; the column loop is
partitioned where the guard can fail, so that whole tiles inside the image have none. Weights
stream in the order of use; inputs are read by their logical index in whatever layout they stand,
as scalars that are broadcast. A plain output is stored through a small transposing buffer.

Limit: FMA ports, for tiles of >= 8 accumulators whose weights stream from L2 at less than
16 bytes per cycle; with AVX2 (16 registers) the loads per FMA (7 per 12).

Measured on a Zen 4 (AVX-512 on 256-bit data paths, 3.6 GHz; one thread, CPU time; peak 116.6
Gflop/s = 32 flops a cycle, by an FMA loop in the same run, November 2026), share of
peak: 3x3 of ResNet-50 100-105 % (zeros of the padding counted), of VGG-16 94-96 %, 1x1 96-100 %
where channels are >= 256 and 82-97 % at 64 (256 x 56 x 56: stores), 24 -> 144 93 %. Compiled for
haswell: 3x3 89-100 %, 1x1 85-98 %. Groups of 4 channels 21 % (4 x 4 in blocks of 16: 3/4 zeros).
Plain in and out: 3x3 81 %, 1x1 57-87 %.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import s_tir, te

from ...ir.layout import Layout
from ...ir.types import TensorType
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, Template, knob, require
from ..view import View, materialise, simplify
from .anchored import Anchored, anchored, epilogue_packs, is_heavy, lower_anchored
from .conv_shape import ConvShape, channel_block, conv_shape, read_input, weight_pack
from .moves import PASS_CONFIG, parallel_stage, place_output
from .tiles import Machine, balance, chunks, rounds

__all__ = ["ConvDirect"]

UNROLLED_TILES = 3  # column loops up to this are unrolled, longer ones partitioned
MOST_ROWS = 4
CHANNEL_STEPS = 16  # at most this many channels in the innermost reduction loop


@dataclass(frozen=True)
class Config(Knobs):
    """Knobs of ConvDirect.

    Attributes:
        vectors: Vector registers of features in a tile.
        rows, cols: Pixels of a tile.
        inner: Channels of the innermost reduction loop; divides the channels of a group.
        order: Which loop is outermost, `features` (weights are read once, the image often) or
            `pixels` (the other way around).
    """

    vectors: int = knob(2, choices=(1, 2, 3, 4))
    rows: int = knob(1, choices=(1, 2))
    cols: int = knob(7, choices=(4, 6, 7, 8, 14))
    inner: int = knob(16, choices=(1, 2, 4, 8, 16))
    order: str = knob("features", choices=("features", "pixels"))


@dataclass(frozen=True)
class Problem:
    """A task as this template sees it."""

    parts: Anchored
    shape: ConvShape
    machine: Machine
    lanes: int
    plain_output: bool
    buffered: bool


def problem(task: Task, *, flatten: bool = True) -> Problem:
    """Take the task apart. Raises NotApplicable."""
    parts = anchored(task, "conv")
    machine = Machine.of(task.target)
    channel_block(parts.data.type)
    block = channel_block(parts.output.type)
    lanes = block if block > 1 else machine.lanes
    require(lanes <= machine.lanes, f"blocks of {lanes} do not fit vectors of {machine.lanes}")
    shape = conv_shape(parts, lanes, flatten=flatten)
    if shape.groups > 1:
        require(shape.group_features % lanes == 0, "groups do not fill vectors")
    plain = block == 1
    return Problem(parts, shape, machine, lanes, plain, plain or is_heavy(parts))


class ConvDirect(Template):
    """See the module's docstring."""

    name = "conv_f32_direct__x86"
    Config = Config

    def check(self, task: Task) -> None:
        problem(task)

    def default(self, task: Task) -> Knobs:
        return ranked(problem(task), task.threads)[0]

    def space(self, task: Task) -> Iterable[Knobs]:
        best = ranked(problem(task), task.threads)[:12]
        other = {"features": "pixels", "pixels": "features"}
        swapped = [dataclasses.replace(c, order=other[c.order]) for c in best[:6]]
        return list(dict.fromkeys([*best, *swapped]))

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        assert isinstance(config, Config)
        p = problem(task)
        packs = epilogue_packs(p.parts)
        pack = weight_pack(p.shape, p.lanes, config.vectors, config.inner)
        packs[p.parts.weight_position] = pack
        return packs

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, Config)
        p = problem(task)
        validate(p, config)
        function, stages = compute(p, config, self.packs(task, config))
        sch = s_tir.Schedule(function)
        schedule(sch, config, stages)
        return Lowered((sch.mod["main"],), workspace(p, config, stages), PASS_CONFIG)


# --- the model --------------------------------------------------------------------------------


def ranked(p: Problem, threads: int) -> list[Config]:
    """Configs from the cheapest by the model on."""
    costs: dict[Config, float] = {}
    shape = p.shape
    blocks = rounds(shape.group_features, p.lanes)
    inner = inner_channels(p)
    for vectors in range(1, min(blocks, 8) + 1):
        if shape.groups > 1 and blocks % vectors:
            continue
        for cols in chunks(shape.cols, p.machine.registers):
            for rows in range(1, most_rows(shape, cols) + 1):
                if not p.machine.fits(vectors, rows * cols):
                    continue
                for order in ("features", "pixels"):
                    config = Config(vectors, rows, cols, inner, order)
                    costs[config] = cost(p, config, threads)
    return sorted(costs, key=lambda c: costs[c])


def most_rows(shape: ConvShape, cols: int) -> int:
    """Rows worth trying: guards against vertical padding inside a tile make its code spill."""
    if cols < shape.cols or shape.begin[0] or shape.end[0]:
        return 1
    return min(shape.rows, MOST_ROWS)


def inner_channels(p: Problem) -> int:
    """The largest divisor of the channels that keeps the innermost loop short, within a block."""
    block = channel_block(p.parts.data.type)
    channels = math.gcd(p.shape.channels, block) if block > 1 else p.shape.channels
    return max(n for n in range(1, CHANNEL_STEPS + 1) if channels % n == 0)


def cost(p: Problem, config: Config, threads: int) -> float:
    """Cycles of the slowest thread by the model."""
    shape, machine = p.shape, p.machine
    tiles = shape.groups * rounds(shape.group_features, config.vectors * p.lanes)
    bands, strips = rounds(shape.rows, config.rows), rounds(shape.cols, config.cols)
    points = config.rows * config.cols
    weights = config.vectors * p.lanes * shape.depth * 4
    step = machine.step_cycles(config.vectors, points, weights <= machine.l1 // 4)
    # An epilogue of a few instructions per vector and a burst of stores that the store queue must
    # take; plain outputs are stored by element.
    burst = 1 + points * config.vectors / machine.registers
    finish = points * config.vectors * (1.5 * p.lanes if p.plain_output else 2.0 * burst)
    body = tiles * bands * strips * shape.batch * (shape.depth * step + finish + 10)
    # Operands that do not stay in the second-level cache stream again from beyond it.
    image = shape.batch * shape.groups * shape.channels * shape.height * shape.width * 4
    total = shape.depth * shape.features * 4
    visits = shape.batch * bands * (strips if shape.flat else 1)
    if config.order == "features":
        again = machine.stream_cycles(image, tiles - 1)
    else:
        again = machine.stream_cycles(total, visits - 1) + 0.01 * body
    return max(body + again / 16, again) * balance(visits * tiles, threads)


def validate(p: Problem, config: Config) -> None:
    """Raises InvalidConfig if the config is not legal for the problem."""
    shape = p.shape

    def need(condition: bool, reason: str) -> None:
        require(condition, reason, InvalidConfig)

    need(min(config.vectors, config.rows, config.cols, config.inner) >= 1, "a size is below 1")
    need(config.order in ("features", "pixels"), f"order {config.order} is unknown")
    need(shape.channels % config.inner == 0, f"inner does not divide {shape.channels} channels")
    need(config.rows <= shape.rows and config.cols <= shape.cols, "the tile exceeds the image")
    tile = config.vectors * config.rows * config.cols
    need(tile <= 2 * p.machine.registers, f"{tile} accumulators are far beyond the registers")
    if shape.groups > 1:
        blocks = shape.group_features // p.lanes
        need(blocks % config.vectors == 0, f"a group has {blocks} blocks")


# --- the compute ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stages:
    """Which stages there are, and what the schedule needs to know of their loops."""

    flat: bool
    plain_output: bool
    staged: bool
    buffered: bool  # whether the accumulators are stored before the epilogue
    partition: str  # of the column loop: "no", "unroll" or "hint"
    rank: int
    lanes: int


def compute(p: Problem, config: Config, packs: dict[int, Pack]) -> tuple[Any, Stages]:
    """The PrimFunc: [pre ->] acc [-> tile] -> out."""
    parts, shape = p.parts, p.shape
    stage_input = bool(parts.prologue)

    def anchor(operands: list[View], context: Any) -> View:
        data, weights = operands[0], operands[1].tensor
        if stage_input:
            data = staged_input(parts, shape, data)
        acc = accumulate(p, config, data, weights)
        return accumulated_view(p, acc)

    body = lower_anchored(parts, packs, anchor)
    result = body.views[parts.output]
    output = make_output(parts.output.type, shape, result)
    strips = rounds(shape.cols, config.cols)
    guarded_columns = shape.begin[1] or _reaches_over(shape, config)
    partition = "no"
    if guarded_columns and not shape.flat and strips > 1:
        partition = "unroll" if strips <= UNROLLED_TILES else "hint"
    elif guarded_columns and not shape.flat:
        partition = "unroll"
    stages = Stages(
        shape.flat,
        p.plain_output,
        stage_input,
        p.buffered,
        partition,
        parts.output.rank,
        p.lanes,
    )
    return te.create_prim_func([*body.inputs, output]), stages


def _reaches_over(shape: ConvShape, config: Config) -> bool:
    cols = rounds(shape.cols, config.cols) * config.cols
    last = (cols - 1) * shape.stride[1] + (shape.kernel[1] - 1) * shape.dilation[1]
    return last >= shape.width + shape.begin[1]


def staged_input(parts: Anchored, shape: ConvShape, data: View) -> View:
    """The prologue's result as a tensor in the layout of the kernel's image."""
    images = (v for v in parts.task.body.inputs if v.rank == data.rank and v.layout)
    layout = next((value.layout for value in images), None)
    type = TensorType(parts.data.dtype, data.shape, layout)
    if shape.flat and data.rank == 4:
        flat_type, flat_view = flatten(type, data)
        return unflatten(View.of_tensor(materialise(flat_view, flat_type, "pre"), flat_type), data)
    return View.of_tensor(materialise(data, type, "pre"), type)


def flatten(type: TensorType, view: View) -> tuple[TensorType, View]:
    """An image of rank 4 with its pixels as one axis."""
    n, c, h, w = type.shape
    block = channel_block(type)
    layout = Layout.blocked(3, 1, block) if block > 1 else None
    reach = (n, view.reach[1], h * w)

    def read(n: Any, c: Any, p: Any) -> Any:
        return view(n, c, simplify(p // w), simplify(p % w))

    flat = View((n, c, h * w), view.dtype, read, reach=reach, pad=view.pad)
    return TensorType(type.dtype, (n, c, h * w), layout), flat


def unflatten(flat: View, like: View) -> View:
    """The inverse of `flatten`, for reading."""
    width = like.shape[3]

    def read(n: Any, c: Any, h: Any, w: Any) -> Any:
        return flat(n, c, simplify(h * width + w))

    reach = (like.shape[0], flat.reach[1], *like.shape[2:])
    return View(like.shape, like.dtype, read, reach=reach, pad=flat.pad, cheap=True)


def accumulate(p: Problem, config: Config, data: View, weights: Any) -> Any:
    """acc[n, block, h, w, lane], over whole tiles."""
    shape, lanes = p.shape, p.lanes
    group_tiles = rounds(shape.group_features, config.vectors * lanes)
    blocks = shape.groups * group_tiles * config.vectors
    rows = rounds(shape.rows, config.rows) * config.rows
    cols = rounds(shape.cols, config.cols) * config.cols
    kernel_h, kernel_w = shape.kernel
    extents = (kernel_h, kernel_w, shape.channels // config.inner, config.inner)
    names = ("kh", "kw", "co", "ci")
    kh, kw, co, ci = (te.reduce_axis((0, n), name) for n, name in zip(extents, names, strict=True))

    def element(n: Any, o: Any, h: Any, w: Any, lane: Any) -> Any:
        tile = o // config.vectors
        channel = co * config.inner + ci
        if shape.groups > 1:
            channel = tile // group_tiles * shape.channels + channel
        row = h * shape.stride[0] + kh * shape.dilation[0]
        col = w * shape.stride[1] + kw * shape.dilation[1]
        x = read_input(data, shape, (rows, cols), n, channel, row, col)
        weight = weights[tile, kh, kw, co, ci, o % config.vectors, lane]
        return te.sum(x * weight, axis=[kh, kw, co, ci])

    return te.compute((shape.batch, blocks, rows, cols, lanes), element, name="acc")


def accumulated_view(p: Problem, acc: Any) -> View:
    """The anchor's logical result, read through the stage `tile` where the tile is buffered."""
    value, lanes, shape = p.parts.node.output, p.lanes, p.shape
    if p.buffered:
        source = acc
        acc = te.compute(source.shape, lambda *i: source(*i), name="tile")
    width = shape.image_width

    def read(*index: Any) -> Any:
        n, c = index[0], index[1]
        if shape.flat and len(index) == 4:
            h, w = 0, simplify(index[2] * width + index[3])
        else:
            h, w = (index[2], index[3]) if len(index) == 4 else (0, index[2])
        return acc(n, simplify(c // lanes), h, w, simplify(c % lanes))

    reach = (value.shape[0], -(-value.shape[1] // lanes) * lanes, *value.shape[2:])
    return View(value.shape, value.dtype.tvm, read, reach=reach, pad=np.float32(0), cheap=True)


def make_output(type: TensorType, shape: ConvShape, result: View) -> Any:
    """The output stage; a flat image is made as one row of pixels (`flat`) and then reshaped."""
    if not (shape.flat and type.rank == 4):
        return materialise(result, type, "out")
    flat_type, flat_view = flatten(type, result)
    flat = materialise(flat_view, flat_type, "flat")
    width = type.shape[3]

    def element(n: Any, c: Any, h: Any, w: Any, *lane: Any) -> Any:
        return flat(n, c, h * width + w, *lane)

    return te.compute(type.physical_shape, element, name="out")


def workspace(p: Problem, config: Config, stages: Stages) -> int:
    """Bytes of temporary memory: the tile, and the image if it is staged."""
    tile = config.vectors * config.rows * config.cols * p.lanes * 4
    total = 2 * (tile + 128)
    if stages.staged:
        total += p.parts.data.type.nbytes * 2 + 4096
    return total


# --- the schedule -----------------------------------------------------------------------------


def schedule(sch: Any, config: Config, stages: Stages) -> None:
    """Tile acc; place the output stage under the tile loop."""
    acc = sch.get_sblock("acc")
    out = sch.get_sblock("out")
    if stages.flat and stages.rank > len(("n", "c", "w")):
        sch.reverse_compute_inline(out)
        out = sch.get_sblock("flat")
    if stages.staged:
        parallel_stage(sch, sch.get_sblock("pre"), stages.lanes)
    parallel, inner, reductions = tile_accumulators(sch, acc, config, stages)
    sch.parallel(parallel)
    place_output(sch, out, inner, buffered=stages.buffered, vectorized=not stages.plain_output)
    sch.decompose_reduction(acc, reductions[0])


def tile_accumulators(sch: Any, acc: Any, config: Config, stages: Stages) -> tuple[Any, Any, Any]:
    """n o h w lane | kh kw co ci  ->  parallel(tiles), columns, kh kw co ci, unrolled tile."""
    n, o, h, w, lane, kh, kw, co, ci = sch.get_loops(acc)
    outer_o, inner_o = sch.split(o, [None, config.vectors])
    outer_h, inner_h = sch.split(h, [None, config.rows])
    outer_w, inner_w = sch.split(w, [None, config.cols])
    pixels = [outer_h, outer_w] if stages.flat else [outer_h]
    shared = [outer_o, *pixels] if config.order == "features" else [*pixels, outer_o]
    strips = [] if stages.flat else [outer_w]
    # Weights stay in registers across the pixels of a step: the other order spills.
    tile = [inner_h, inner_w, inner_o]
    sch.reorder(n, *shared, *strips, kh, kw, co, ci, *tile, lane)
    parallel = sch.fuse(n, *shared)
    inner = outer_w if strips else parallel
    if strips and stages.partition == "unroll":
        sch.unroll(outer_w)
    elif strips and stages.partition == "hint":
        sch.annotate(outer_w, "pragma_loop_partition_hint", True)
    if stages.partition != "no":
        sch.unroll(kw)
    for loop in tile:
        sch.unroll(loop)
    sch.vectorize(lane)
    return parallel, inner, (kh, kw, co, ci)
