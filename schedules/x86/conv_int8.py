"""A probe that templates are not float-only: 1x1 convolution of u8 by s8 with AVX-512 VNNI.

`vpdpbusd` multiplies four u8 by four s8 and adds them to an i32 lane, exactly; weights are packed
in fours along the input channels. The rest is `conv_direct`: a tile of feature blocks x pixels in
registers, the epilogue (bias, requantization) on the tile.

Limit: the VNNI ports, 4 times the multiply-adds of float32.

Measured on a Zen 4 (AVX-512 on 256-bit data paths, 3.6 GHz; one thread, CPU time; peak 116.6
Gflop/s = 32 flops a cycle, by an FMA loop in the same run, November 2026), of 470
Gop/s: 1024 -> 256 at 14 x 14 92 % (433), 256 -> 256 79 %.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import s_tir, te, tirx

from ...ir.dtypes import DType
from ...ir.types import TensorType
from ..common import workspace_bytes
from ..task import Task
from ..template import (
    InvalidConfig,
    Knobs,
    Lowered,
    NotApplicable,
    Pack,
    knob,
    require,
)
from ..view import View, materialise
from .anchored import Anchored, anchored, epilogue_packs, lower_anchored
from .conv_nest import Problem, accumulated_view
from .conv_shape import channel_block, conv_shape
from .moves import PASS_CONFIG, place_output
from .pixels import in_tiles, row_of_pixels
from .ranked import Ranked
from .tiles import Machine, balance, chunks, rounds

__all__ = ["ConvInt8"]

GROUP = 4  # input channels of one VNNI lane


@dataclass(frozen=True)
class ConvInt8Config(Knobs):
    """Knobs of ConvInt8.

    Attributes:
        vectors: Vector registers of features in a tile.
        cols: Pixels of a tile.
    """

    vectors: int = knob(2, choices=(1, 2, 4))
    cols: int = knob(7, choices=(4, 6, 7, 8, 14))


def problem(task: Task, step: int = 0) -> Problem:
    """Take the task apart, its pixels as one row, as wide as tiles of `step` pixels.

    Raises:
        NotApplicable: If the template cannot take it.
    """
    require(task.target.has("avx512vnni"), "the target lacks avx512vnni")
    row = row_of_pixels(task)
    if row is None:
        raise NotApplicable("not a 1x1 window with stride 1")
    p = _problem(row)
    if not step:
        return p
    wide, tiles = in_tiles(task, p.shape.cols, step)
    return dataclasses.replace(_problem(wide), row=tiles)


def _problem(task: Task) -> Problem:
    parts = anchored(task, "conv", dtypes=(DType.U8,))
    require(parts.weight.dtype is DType.I8, "the weight is not i8")
    require(not parts.prologue, "there is a prologue")
    machine = Machine.of(task.target, DType.I32)
    lanes = channel_block(parts.output.type)
    wanted = machine.lanes == lanes == channel_block(parts.data.type)
    require(wanted, f"images are not in blocks of {machine.lanes} channels")
    shape = conv_shape(parts, lanes)
    require(shape.groups == 1, "there are groups")
    return Problem(parts, shape, machine, lanes, False, False)


class ConvInt8(Ranked[Problem, ConvInt8Config]):
    """See the module's docstring."""

    name = "conv_u8s8_vnni__x86"
    Config = ConvInt8Config
    most = 8

    def problem(self, task: Task) -> Problem:
        return problem(task)

    def configs(self, p: Problem) -> Iterator[ConvInt8Config]:
        for vectors in range(1, min(rounds(p.shape.features, p.lanes), 4) + 1):
            for cols in chunks(p.shape.cols, p.machine.registers):
                if p.machine.fits(vectors, cols):
                    yield ConvInt8Config(vectors, cols)

    def cost(self, p: Problem, config: ConvInt8Config, threads: int) -> float:
        vectors, cols = config.vectors, config.cols
        tiles = rounds(p.shape.features, vectors * p.lanes) * rounds(p.shape.cols, cols)
        step = p.machine.step_cycles(vectors, cols, False)
        each = p.shape.depth / GROUP * step + 8.0 * vectors * cols
        return tiles * each * balance(tiles, threads)

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        assert isinstance(config, ConvInt8Config)
        parts = anchored(task, "conv", dtypes=(DType.U8,))
        return packs_of(problem(task), parts, config)

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, ConvInt8Config)
        p = problem(task)
        legal = min(config.vectors, config.cols) >= 1 and config.cols <= p.shape.cols
        require(legal, "a size is out of range", InvalidConfig)
        tile = config.vectors * config.cols
        require(tile <= 2 * p.machine.registers, "far too many accumulators", InvalidConfig)
        wide = problem(task, config.cols)
        sch = s_tir.Schedule(compute(wide, config, packs_of(wide, wide.parts, config)))
        schedule(sch, config)
        assert wide.row is not None
        function = wide.row.store(sch.mod["main"])
        return Lowered((function,), workspace_bytes(function), PASS_CONFIG)


def packs_of(p: Problem, parts: Anchored, config: ConvInt8Config) -> dict[int, Pack]:
    """Packs by position, for the task as it is (`parts` of it) or as a row of pixels."""
    return {**epilogue_packs(parts), parts.weight_position: weight_pack(p, config)}


def weight_pack(p: Problem, config: ConvInt8Config) -> Pack:
    """Weights as [tiles, blocks, lanes / 4, vectors, lanes, 4], channels padded with zeros."""
    lanes, features, channels = p.lanes, p.shape.features, p.shape.channels
    tiles, blocks = rounds(features, config.vectors * lanes), rounds(channels, lanes)
    packed = (tiles, blocks, lanes // GROUP, config.vectors, lanes, GROUP)

    def apply(weights: np.ndarray) -> np.ndarray:
        wide = np.zeros((tiles * packed[3] * lanes, blocks * lanes), weights.dtype)
        wide[:features, :channels] = weights.reshape(features, channels)
        split = wide.reshape(tiles, packed[3], lanes, blocks, lanes // GROUP, GROUP)
        return np.ascontiguousarray(split.transpose(0, 3, 4, 1, 2, 5))

    return Pack(TensorType(DType.I8, packed), apply, f"vnni{packed}")


def compute(p: Problem, config: ConvInt8Config, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: acc -> out."""
    parts = p.parts

    def anchor(operands: list[View], context: Any) -> View:
        acc = accumulate(p, config, operands[0], operands[1].tensor)
        return accumulated_view(parts.node.output, p.lanes, acc, False)

    body = lower_anchored(
        parts, packs, anchor, operand=p.row.operand if p.row is not None else None
    )
    output = materialise(body.views[parts.output], parts.output.type, "out")
    return te.create_prim_func([*body.inputs, output])


def accumulate(p: Problem, config: ConvInt8Config, data: View, weights: Any) -> Any:
    """acc[n, block, 0, pixel, lane] in i32, over whole tiles."""
    shape, lanes = p.shape, p.lanes
    blocks = rounds(shape.features, config.vectors * lanes) * config.vectors
    extents = (rounds(shape.channels, lanes), lanes // GROUP, GROUP)
    names = ("co", "ci", "sub")
    co, ci, sub = (te.reduce_axis((0, n), name) for n, name in zip(extents, names, strict=True))

    def element(n: Any, o: Any, h: Any, w: Any, lane: Any) -> Any:
        x = data(n, co * lanes + ci * GROUP + sub, w)
        weight = weights(o // config.vectors, co, ci, o % config.vectors, lane, sub)
        product = tirx.Cast("int32", x) * tirx.Cast("int32", weight)
        return te.sum(product, axis=[co, ci, sub])

    return te.compute((shape.batch, blocks, 1, shape.cols, lanes), element, name="acc")


def schedule(sch: Any, config: ConvInt8Config) -> None:
    """parallel(n, tile, strip) co ci unrolled(pixel, vector) vpdpbusd."""
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
    n, o, h, w, lane, co, ci, sub = sch.get_loops(acc)
    tile, vector = sch.split(o, [None, config.vectors])
    strip, pixel = sch.split(w, [None, config.cols])
    sch.reorder(n, tile, h, strip, co, ci, pixel, vector, lane, sub)
    parallel = sch.fuse(n, tile, h, strip)
    sch.parallel(parallel)
    for loop in (pixel, vector):
        sch.unroll(loop)
    place_output(sch, out, parallel, buffered=False, vectorized=True)
    start = sch.decompose_reduction(acc, co)
    sch.vectorize(sch.get_loops(start)[-1])
    from .intrinsics import VNNI  # parsing TVMScript takes a second: only where it is used

    sch.tensorize(lane, VNNI)
