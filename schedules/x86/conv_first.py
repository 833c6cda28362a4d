"""First layers: a convolution of few plain channels (an image) to many features.

The image is padded into a buffer of the rows that a band of output rows needs (a few kilobytes, in
the first-level cache), so that the loops over windows have no guards and the code is small even
for 7x7. Every band is computed for all features before the next: the image is read once. The
register tile is that of `conv_direct`.

Limit: FMA ports; copying the band costs about one part in (features * window / lanes).

Measured on a Zen 4 (AVX-512 on 256-bit data paths, 3.6 GHz; one thread, CPU time; peak 116.6
Gflop/s = 32 flops a cycle, by an FMA loop in the same run, November 2026), share of
peak at 224 x 224: 7x7 stride 2 to 64 features 93 %, 3x3 stride 2 to 32 75-87 %, 3x3 to 64 81-90 %;
compiled for haswell 95, 79 and 82 %.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tvm import s_tir, te

from ...ir.dtypes import DType
from ...ir.types import TensorType
from ..common import workspace_bytes
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, knob, require
from ..view import View, materialise
from .anchored import anchored, epilogue_packs, is_heavy, lower_anchored
from .conv_model import finish_cycles
from .conv_nest import Nest, Problem, accumulate, accumulated_view, problem_of
from .conv_shape import ConvShape, channel_block, read_input, weight_pack
from .moves import PASS_CONFIG, place_output
from .ranked import Ranked
from .tiles import TILE_CYCLES, balance, chunks, rounds

__all__ = ["ConvFirst"]

MOST_CHANNELS = 8
HELD_CONSTANTS = 2  # of a long epilogue, that LLVM holds in registers while it accumulates


@dataclass(frozen=True)
class ConvFirstConfig(Knobs):
    """Knobs of ConvFirst.

    Attributes:
        vectors: Vector registers of features in a tile.
        cols: Pixels of a tile.
        band: Output rows that are computed from one padded copy.
    """

    vectors: int = knob(2, choices=(1, 2, 4))
    cols: int = knob(7, choices=(4, 7, 8, 14, 28))
    band: int = knob(4, choices=(1, 2, 4, 8))


def problem(task: Task) -> Problem:
    """Take the task apart. Raises NotApplicable."""
    p = problem_of(anchored(task, "conv"))
    require(channel_block(p.parts.data.type) == 1, "the input is blocked")
    require(p.shape.groups == 1 and p.shape.merged == 1, "there are groups")
    few = p.shape.channels <= MOST_CHANNELS
    require(few, f"{p.shape.channels} input channels are more than {MOST_CHANNELS}")
    require(not p.parts.prologue, "there is a prologue")
    return p


class ConvFirst(Ranked[Problem, ConvFirstConfig]):
    """See the module's docstring."""

    name = "conv_f32_first__x86"
    Config = ConvFirstConfig

    def problem(self, task: Task) -> Problem:
        return problem(task)

    def configs(self, p: Problem) -> Iterator[ConvFirstConfig]:
        blocks, constants = rounds(p.shape.features, p.lanes), epilogue_constants(p)
        for vectors in range(1, min(blocks, 4) + 1):
            for cols in chunks(p.shape.cols, p.machine.registers):
                if p.machine.fits(vectors, cols, constants):
                    for band in chunks(p.shape.rows, 16):
                        yield ConvFirstConfig(vectors, cols, band)

    def wide(self, p: Problem) -> Iterator[ConvFirstConfig]:
        most = 2 * p.machine.registers
        for vectors in range(1, min(rounds(p.shape.features, p.lanes), 4) + 1):
            for cols in chunks(p.shape.cols, most // vectors):
                for band in chunks(p.shape.rows, 16):
                    yield ConvFirstConfig(vectors, cols, band)

    def spilled(self, p: Problem, config: ConvFirstConfig) -> float:
        return p.machine.spilled(config.vectors, config.cols)

    def cost(self, p: Problem, config: ConvFirstConfig, threads: int) -> float:
        shape, machine = p.shape, p.machine
        tiles = rounds(shape.features, config.vectors * p.lanes)
        strips, bands = rounds(shape.cols, config.cols), rounds(shape.rows, config.band)
        step = machine.step_cycles(config.vectors, config.cols, True)
        finish = finish_cycles(p, config.vectors, config.cols)
        rows = bands * config.band
        body = tiles * strips * rows * (shape.depth * step + finish + TILE_CYCLES)
        copied = bands * band_bytes(shape, config) / 4
        spill = 2.0 if band_bytes(shape, config) > machine.l2 // 2 else 1.0
        return (body + copied * spill) * shape.batch * balance(shape.batch * bands, threads)

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        assert isinstance(config, ConvFirstConfig)
        p = problem(task)
        packs = epilogue_packs(p.parts)
        pack = weight_pack(p.shape, p.lanes, config.vectors, p.shape.channels, p.shape.channels)
        packs[p.parts.weight_position] = pack
        return packs

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, ConvFirstConfig)
        p = problem(task)
        tile = config.vectors * config.cols
        legal = min(config.vectors, config.cols, config.band) >= 1
        require(legal and config.cols <= p.shape.cols, "a size is out of range", InvalidConfig)
        require(config.band <= p.shape.rows, "the band exceeds the image", InvalidConfig)
        require(tile <= 2 * p.machine.registers, "far too many accumulators", InvalidConfig)
        sch = s_tir.Schedule(compute(p, config, self.packs(task, config)))
        schedule(sch, config, p)
        function = sch.mod["main"]
        return Lowered((function,), workspace_bytes(function), PASS_CONFIG)


def epilogue_constants(p: Problem) -> int:
    """Registers that constants of the epilogue take while a tile is accumulated.

    A long epilogue is a loop over a buffered tile, and LLVM loads its constants once, before the
    loop over tiles. It leaves most of them in memory, but not all: with SiLU one accumulator of a
    tile of 2 x 6 was in memory instead, and what it waited for there took 18 % of the time (Zen 5;
    2 x 5 did not). Where instructions take broadcasts as operands, constants need no registers.
    """
    heavy = is_heavy(p.parts) and not p.machine.broadcast_operand
    return HELD_CONSTANTS if heavy else 0


def computed_size(shape: ConvShape, config: ConvFirstConfig) -> tuple[int, int]:
    """Rows and columns of whole bands and tiles."""
    rows = rounds(shape.rows, config.band) * config.band
    return rows, rounds(shape.cols, config.cols) * config.cols


def padded_size(shape: ConvShape, config: ConvFirstConfig) -> tuple[int, int]:
    """Rows and columns of the padded image that the tiles read."""
    computed = computed_size(shape, config)
    rows, cols = (
        (computed[axis] - 1) * shape.stride[axis]
        + (shape.kernel[axis] - 1) * shape.dilation[axis]
        + 1
        for axis in (0, 1)
    )
    return rows, cols


def band_bytes(shape: ConvShape, config: ConvFirstConfig) -> int:
    """Size of the padded copy of one band."""
    window = (shape.kernel[0] - 1) * shape.dilation[0] + 1
    rows = (config.band - 1) * shape.stride[0] + window
    return 4 * shape.channels * rows * padded_size(shape, config)[1]


def compute(p: Problem, config: ConvFirstConfig, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: pad -> acc [-> tile] -> out."""
    parts, shape = p.parts, p.shape
    computed = computed_size(shape, config)
    height, width = padded_size(shape, config)
    inside = dataclasses.replace(shape, height=height, width=width, begin=(0, 0), end=(0, 0))
    channels = shape.channels
    nest = Nest(
        vectors=config.vectors,
        rows=1,
        cols=config.cols,
        inner=channels,
        chunk=channels,
        chunks=1,
        band=1,
        features_first=False,
        row=False,
        prologue="",
        guarded=False,
        plain_output=p.plain_output,
        buffered=p.buffered,
        lanes=p.lanes,
    )

    def anchor(operands: list[View], context: Any) -> View:
        type = TensorType(DType.F32, (shape.batch, channels, height, width))
        pad = te.compute(
            type.shape,
            lambda n, c, h, w: read_input(operands[0], shape, computed, n, c, h, w),
            name="pad",
        )
        banded = dataclasses.replace(p, shape=dataclasses.replace(inside, rows=computed[0]))
        acc = accumulate(banded, nest, View.of_tensor(pad, type), operands[1].tensor)
        return accumulated_view(parts.node.output, p.lanes, acc, p.buffered)

    body = lower_anchored(parts, packs, anchor)
    output = materialise(body.views[parts.output], parts.output.type, "out")
    return te.create_prim_func([*body.inputs, output])


def schedule(sch: Any, config: ConvFirstConfig, p: Problem) -> None:
    """parallel(n, band): pad; for row, tile, strip: kh kw ci unrolled tile."""
    acc, out, pad = sch.get_sblock("acc"), sch.get_sblock("out"), sch.get_sblock("pad")
    n, o, h, w, lane, kh, kw, co, ci = sch.get_loops(acc)
    outer_o, inner_o = sch.split(o, [None, config.vectors])
    outer_h, inner_h = sch.split(h, [None, config.band])
    outer_w, inner_w = sch.split(w, [None, config.cols])
    sch.reorder(n, outer_h, inner_h, outer_o, outer_w, kh, kw, co, ci, inner_w, inner_o, lane)
    parallel = sch.fuse(n, outer_h)
    sch.parallel(parallel)
    for loop in (inner_w, inner_o):
        sch.unroll(loop)
    sch.vectorize(lane)
    sch.compute_at(pad, parallel, preserve_unit_loops=True)
    # The border is peeled off the copy, what remains is a plain copy of rows.
    sch.annotate(sch.get_loops(pad)[-1], "pragma_loop_partition_hint", True)
    place_output(sch, out, outer_w, buffered=p.buffered, vectorized=not p.plain_output)
    sch.decompose_reduction(acc, kh)
