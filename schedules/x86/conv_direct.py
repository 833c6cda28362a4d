"""Direct convolution of any window, stride, dilation, padding and groups; output features in lanes.

A tile of `vectors` blocks of features times `rows` x `cols` pixels is accumulated in registers
over the window and a chunk of channels. Pointwise convolutions see the image as one row of pixels
(`pixels`), so that 7x7 and 14x14 are tiled well. Padding is a guard around the load; the column
loop is partitioned where the guard can fail, so that whole tiles inside the image have none.
Inputs are read by their logical index in whatever layout they stand, as scalars that are
broadcast. A plain output is stored through a small transposing buffer.

Where the weights of a panel (`vectors` blocks of features) do not stay in the first-level cache, or
are used for few pixels, the channels are cut in chunks that stay there, and each chunk is used for
a band of tiles before the next: partial sums of the band wait in memory, a load and a store for
every few hundred multiply-adds. Meanwhile the next chunk is prefetched, so weights that come from
the third-level cache or from memory are read once and behind the arithmetic. Pointwise convolutions
also prefetch the pixels of the next tile (`prefetch_next_pixels`).

A prologue (batch norm and relu in front, over a concat) is computed for a band of pixels, all
channels, and read by all panels. Of an image that comes from the third-level cache a band is a tile
or two: nothing else is done while a prologue is computed, so that what it waits for is lost. With
AVX2 it is one tile of any image, whose weights stream from the second level or the third meanwhile.

Limit: FMA ports, for tiles of >= 14 accumulators; with AVX2 (16 registers) the loads per FMA
(7 per 12).

Measured on a 2-core Emerald Rapids (512-bit, 2.8 GHz, peak 178 Gflop/s a core by an FMA loop in the
same run; two threads, November 2026), share of peak with weights that are in no cache / with all
data warm, zeros of the padding counted: 3x3 of ResNet-50 at 56, 28 and 14 pixels 99-108 %, at 7
pixels 83-110 %; 1x1 of 64 to 1024 channels 90-97 %, 2048 to 512 at 7 x 7 85-88 %; with the batch
norm and relu of DenseNet in front 85-97 %; stride 2 85-97 %; 32 to 16 features 63 % (one vector of
features: a broadcast load for every multiply-add); 144 to 24 64 % (a quarter of the lanes is
padding). On a 2-core Xeon of 240 Gflop/s a core (48 KB and 2 MB of cache) the 3x3 stay at 85-97 %;
the 1x1 that read their image from the second level reach 75-84 % with every tile, those of 64
channels, whose image stays in the first level, 100 %. As compiled for haswell all of ResNet-50 runs
at 86 % of the peak of 256-bit vectors (Emerald Rapids); the 1x1 of DenseNet with batch norm and
relu in front at 97-99 % at 28 x 28, 89-92 % at 14 x 14 (Zen 5, 267 Gflop/s, two threads, haswell).
There SiLU takes 7 cycles a vector, 6 by itself: for its 20 instructions, neither for spills nor for
the division (0.4 less with a multiplication in its place). So 16 to 96 channels at 112 x 112 run at
55 %, 24 to 144 at 56 x 56 at 64 %.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from tvm import s_tir

from ...ir.dtypes import DType
from ..common import workspace_bytes
from ..in_place import same_elements
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, require
from .anchored import Anchored, anchored, epilogue_packs
from .conv_model import (
    DirectConfig,
    band_units,
    configs,
    cost,
    has_prologue_in_bands,
    wide,
)
from .conv_nest import Nest, Problem, build_nest, problem_of
from .conv_shape import channel_block, reaches_beyond, weight_pack
from .moves import PASS_CONFIG
from .nest_edit import UpdateNest
from .pixels import Row, in_tiles, row_of_pixels
from .prefetch import prefetch_next_chunk, prefetch_next_pixels
from .ranked import Ranked
from .skip_padding import skip_padding_rows
from .tiles import LINE, rounds

__all__ = ["ConvDirect", "direct_cost"]


def problem(task: Task) -> Problem:
    """Take the task apart, a pointwise one as a row of pixels.

    Raises:
        NotApplicable: If the template cannot take it.
    """
    merged = row_of_pixels(task)
    if merged is None:
        return problem_of(anchored(task, "conv"))
    p = problem_of(anchored(merged, "conv"))
    return dataclasses.replace(p, row=Row(p.shape.cols, 1, p.shape.cols))


def tiled(task: Task, p: Problem, config: DirectConfig) -> Problem:
    """The problem with its row of pixels, if it is one, as wide as the tiles of a config."""
    if p.row is None:
        return p
    wide, row = in_tiles(task, p.row.pixels, config.cols, config.band)
    return dataclasses.replace(problem_of(anchored(wide, "conv")), row=row)


class ConvDirect(Ranked[Problem, DirectConfig]):
    """See the module's docstring."""

    name = "conv_f32_direct__x86"
    Config = DirectConfig

    def problem(self, task: Task) -> Problem:
        return problem(task)

    def configs(self, p: Problem) -> Iterator[DirectConfig]:
        return configs(p)

    def wide(self, p: Problem) -> Iterator[DirectConfig]:
        return wide(p)

    def cost(self, p: Problem, config: DirectConfig, threads: int) -> float:
        return cost(p, config, threads)

    def spilled(self, p: Problem, config: DirectConfig) -> float:
        return p.machine.spilled(config.vectors, config.rows * config.cols)

    def space(self, task: Task) -> Iterable[Knobs]:
        best = self.ranked(task)[: self.most]
        other = {"features": "pixels", "pixels": "features"}
        swapped = [dataclasses.replace(c, order=other[c.order]) for c in best[:6]]
        return list(dict.fromkeys([*best, *swapped]))

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        assert isinstance(config, DirectConfig)
        return packs_of(problem(task), anchored(task, "conv"), config)

    def in_place(self, task: Task, config: Knobs) -> tuple[int, ...]:
        assert isinstance(config, DirectConfig)
        row = problem(task).row
        # a row of pixels that bands do not divide has its last tiles moved back
        moved = row is not None and row.pixels % (config.cols * config.band) > 0
        return () if moved else same_elements(task)

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, DirectConfig)
        p = problem(task)
        validate(p, config)
        p = tiled(task, p, config)
        nest = nest_of(p, config)
        sch = s_tir.Schedule(build_nest(p, nest, packs_of(p, p.parts, config)))
        nest.schedule(sch)
        function = sch.mod["main"]
        if p.row is not None:
            function = p.row.store(function)
        if config.rows == 1 and nest.prologue != "band":
            function = skip_padding_rows(function, p.shape, nest.computed_rows(p.shape))
        if nest.chunks > 1:
            weights = function.params[p.parts.weight_position]
            function = prefetch_next_chunk(
                function,
                weights,
                lambda update: update.start(update.bindings[2]) // config.vectors,
                len(("kh", "kw", "co", "ci")),
            )
        if prefetches_pixels(p):
            function = prefetch_next_pixels(
                function,
                function.params[p.parts.data_position],
                channel_block(p.parts.data.type),
                lambda update, pixel: following_pixel(p, config, update, pixel),
            )
        return Lowered((function,), workspace_bytes(function), PASS_CONFIG)


def prefetches_pixels(p: Problem) -> bool:
    """Pointwise, and the image is an operand that stands in lines of channels."""
    line = channel_block(p.parts.data.type) * p.parts.data.dtype.bytes
    pointwise = p.shape.kernel == (1, 1) and p.shape.groups == 1 and not p.shape.padded
    return pointwise and not p.parts.prologue and line in (LINE // 2, LINE)


def following_pixel(p: Problem, config: DirectConfig, update: UpdateNest, pixel: Any) -> list[Any]:
    """Where a pixel of the next tile stands in the image, by its number in the tile."""
    row, col = (update.start(binding) for binding in update.bindings[-7:-5])
    if p.row is not None:
        return [col + config.cols + pixel]
    if config.cols >= p.shape.cols:
        row, col = row + config.rows + pixel // config.cols, pixel % config.cols
    else:
        col = col + config.cols + pixel
    place = [row * p.shape.stride[0], col * p.shape.stride[1]]
    return place[len("HW") + len("NC") - p.parts.data.rank :]


def direct_cost(task: Task) -> float:
    """Cycles of the cheapest config by the model, as `conv_model.cost` counts them."""
    p = problem(task)
    return min(cost(p, config, task.threads) for config in configs(p))


def packs_of(p: Problem, parts: Anchored, config: DirectConfig) -> dict[int, Pack]:
    """Packs by position, for the task as it is (`parts` of it) or as a row of pixels."""
    chunk = config.chunk or p.shape.channels
    pack = weight_pack(p.shape, p.lanes, config.vectors, config.inner, chunk)
    return {**epilogue_packs(parts), parts.weight_position: pack}


def nest_of(p: Problem, config: DirectConfig) -> Nest:
    """The loops of a config."""
    shape = p.shape
    beyond = reaches_beyond(shape, 1, rounds(shape.cols, config.cols) * config.cols)
    prologue = "image" if p.parts.prologue else ""
    if has_prologue_in_bands(p):
        prologue = "band"
    chunk = config.chunk or shape.channels
    return Nest(
        vectors=config.vectors,
        rows=config.rows,
        cols=config.cols,
        inner=config.inner,
        chunk=chunk,
        chunks=shape.channels // chunk,
        band=config.band,
        features_first=config.order == "features",
        row=p.row is not None,
        prologue=prologue,
        guarded=p.row is None and (shape.begin[1] != 0 or beyond),
        plain_output=p.plain_output,
        buffered=p.buffered,
        lanes=p.parts.task.target.lanes(DType.F32),
    )


def validate(p: Problem, config: DirectConfig) -> None:
    """Raises InvalidConfig if the config is not legal for the problem."""
    shape = p.shape

    def need(condition: bool, reason: str) -> None:
        require(condition, reason, InvalidConfig)

    sizes = (config.vectors, config.rows, config.cols, config.inner, config.band)
    need(min(sizes) >= 1, "a size is below 1")
    need(config.order in ("features", "pixels"), f"order {config.order} is unknown")
    chunk = config.chunk or shape.channels
    need(shape.channels % chunk == 0, f"chunk does not divide {shape.channels} channels")
    need(chunk % config.inner == 0, f"inner does not divide {chunk} channels")
    need(config.rows <= shape.rows and config.cols <= shape.cols, "the tile exceeds the image")
    tiles, _ = band_units(p, config.rows, config.cols)
    need(config.band <= tiles, f"the band exceeds the image of {tiles} tiles")
    tile = config.vectors * config.rows * config.cols
    need(tile <= 2 * p.machine.registers, f"{tile} accumulators are far beyond the registers")
    if shape.groups > 1:
        blocks = shape.group_features // p.lanes
        need(blocks % config.vectors == 0, f"a group has {blocks} blocks")
