"""Convolution of plain images (NCHW, NCW) with pixels in lanes: any channels and groups.

Features in lanes want channels by whole vectors. Here lanes are pixels and features are scalars
that are broadcast, so images of 3, 58 or 1686 channels, groups of any size, and depthwise
convolutions run alike, and nothing is transposed on the way in or out.

A band of the image (rows x columns of outputs) is copied with its padding, all channels of a
group, one phase of the stride after the other, so that a vector of neighbouring outputs reads a
vector of neighbouring inputs whatever the stride; rows follow each other without a gap, so a
vector may begin in one row and end in the next and narrow images fill their lanes: the columns
between the rows, a window's width less one, are computed and dropped. A tile of `features` times
`vectors` of pixels is accumulated in registers over channels and window, and stored to a small
buffer, from which the epilogue takes whole rows, in vectors of which the last is moved back to the
row's end (15 lanes of 60 columns were four loads and four stores each). A pointwise convolution is
one row of pixels; its tiles go straight to the epilogue, and where one tile holds all features it
is read where it stands: the copy took 1.4 times as long as all else. Where all channels of a band
are more than the second-level cache holds, they are copied and used a chunk at a time, and sums
stand in memory.

Limit: FMA ports for tiles of >= 14 accumulators; with few features per group (depthwise: one) the
loads, one vector a multiply-add, and the copy; for few channels the output's memory.

Measured on a Zen 4 (AVX-512 on 256-bit data paths, 2 threads, peak 233 Gflop/s by an FMA loop in
the same hour, November 2026), share of peak of a model of this one convolution, the call from
Python counted: 3x3 of 64 to 64 channels at 56 x 56 91 %, 33 to 47 at 57 x 61 83 %, 2 to 300 at
64 x 64 85 %, 128 to 128 with stride 2 75 %; 1x1 of 75 to 61 at 83 x 83 75 %; groups of 12 channels
65-72 %; depthwise 5x5 at 200 x 200 39 %, 3x3 at 112 x 112 27 %, 3x3 at 27 x 27 17 %; 3x3 of 5 to
434 at 27 x 27 78 %, of 1 to 80 at 120 x 120 with stride 2 35 % (the output's memory).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from tvm import s_tir

from ...ir.dtypes import DType
from ...ir.types import TensorType
from ..common import workspace_bytes
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, require
from .anchored import Anchored, anchored, epilogue_packs, is_heavy
from .conv_plain_model import configs, cost
from .conv_plain_nest import (
    ConvPlainConfig,
    Problem,
    band_of,
    compute,
    schedule,
    tiles_of,
)
from .conv_shape import ConvShape, channel_block, group_shape
from .moves import PASS_CONFIG
from .pixels import Row, in_tiles, row_of_pixels
from .ranked import Ranked
from .tails import move_tails
from .tiles import Machine, rounds

__all__ = ["ConvPlain"]


def problem(task: Task) -> Problem:
    """Take the task apart. Raises NotApplicable."""
    merged = row_of_pixels(task)
    if merged is None:
        return _problem(task)
    p = _problem(merged)
    pixels = p.shape.cols
    require(pixels >= p.lanes, f"{pixels} pixels do not fill a vector of {p.lanes}")
    return dataclasses.replace(p, row=Row(pixels, p.lanes, pixels))


def _problem(task: Task) -> Problem:
    parts = anchored(task, "conv")
    plain = channel_block(parts.output.type) == channel_block(parts.data.type) == 1
    require(plain, "images are blocked by channels")
    machine = Machine.of(task.target)
    return Problem(parts, group_shape(parts), machine, is_heavy(parts))


def tiled(task: Task, p: Problem, config: ConvPlainConfig) -> Problem:
    """The problem with its row of pixels, if it is one, as wide as the bands of a config."""
    if p.row is None:
        return p
    wide, row = in_tiles(task, p.row.pixels, p.lanes, config.cols // p.lanes)
    return dataclasses.replace(_problem(wide), row=row)


class ConvPlain(Ranked[Problem, ConvPlainConfig]):
    """See the module's docstring."""

    name = "conv_f32_plain__x86"
    Config = ConvPlainConfig

    def problem(self, task: Task) -> Problem:
        return problem(task)

    def configs(self, p: Problem) -> Iterator[ConvPlainConfig]:
        return configs(p)

    def cost(self, p: Problem, config: ConvPlainConfig, threads: int) -> float:
        return cost(p, config, threads)

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        assert isinstance(config, ConvPlainConfig)
        return packs_of(problem(task), anchored(task, "conv"), config)

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, ConvPlainConfig)
        p = problem(task)
        validate(p, config)
        p = tiled(task, p, config)
        band = band_of(p, config)
        sch = s_tir.Schedule(compute(p, config, band, packs_of(p, p.parts, config)))
        schedule(sch, p, config, band)
        function = sch.mod["main"]
        if p.row is not None:
            function = p.row.store(function)
        elif band.grid[1] == 1:  # a band's tiles hold all that a vector moved back may read
            function = move_tails(function)
        return Lowered((function,), workspace_bytes(function), PASS_CONFIG)


def validate(p: Problem, config: ConvPlainConfig) -> None:
    """Raises InvalidConfig if the config is not legal for the problem."""

    def need(condition: bool, reason: str) -> None:
        require(condition, reason, InvalidConfig)

    sizes = (config.features, config.vectors, config.rows, config.cols, config.parts, config.chunks)
    need(min(sizes) >= 1, "a size is below 1")
    channels = p.shape.channels
    need(channels % config.chunks == 0, f"chunks does not divide {channels} channels")
    if p.shape.groups > 1:
        tiles = rounds(p.shape.group_features, config.features)
        need(tiles % config.parts == 0, f"parts does not divide the {tiles} tiles of a group")
    if p.row is not None:
        need(config.rows == 1, "a row of pixels has bands of one row")
        need(config.chunks == 1, "a row of pixels has no chunks")
        step = config.vectors * p.lanes
        need(config.cols % step == 0, f"the band is not whole tiles of {step} pixels")
    else:
        inside = config.rows <= p.shape.rows and config.cols <= p.shape.cols
        need(inside, "the band exceeds the image")
    tile = config.features * config.vectors
    need(tile <= 2 * p.machine.registers, f"{tile} accumulators are far beyond the registers")


def packs_of(p: Problem, parts: Anchored, config: ConvPlainConfig) -> dict[int, Pack]:
    """Packs by position, for the task as it is (`parts` of it) or as a row of pixels.

    They hold the same bytes. An image of three axes has packs too, but no problem unless as a row.
    """
    return {**epilogue_packs(parts), parts.weight_position: weight_pack(p.shape, config)}


def weight_pack(shape: ConvShape, config: ConvPlainConfig) -> Pack:
    """Weights as [groups, tiles, C, KH, KW, features], zeros beyond the features of a group."""
    tiles, features = tiles_of(shape, config), config.features
    packed = (shape.groups, tiles, shape.channels, *shape.kernel, features)

    def apply(weights: np.ndarray) -> np.ndarray:
        window = (shape.channels, *shape.kernel)
        wide = np.zeros((shape.groups, tiles * features, *window), weights.dtype)
        own = weights.reshape(shape.groups, shape.group_features, *window)
        wide[:, : shape.group_features] = own
        split = wide.reshape(shape.groups, tiles, features, *window)
        return np.ascontiguousarray(split.transpose(0, 1, 3, 4, 5, 2))

    return Pack(TensorType(DType.F32, packed), apply, f"conv_plain{packed}")
