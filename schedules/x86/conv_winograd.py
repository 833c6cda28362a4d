"""Winograd convolution F(4x4, 3x3) and F(2x2, 3x3): 3x3 windows, stride 1, blocked images.

    parallel (share of features, band of tiles):
      for tile of the band, block of channels:            V = Bᵀ d B, a vector of channels at a time
      for group of panels of features:
        for point of the (m + 2)², panel, register tile:  P = Σ over channels of V * U
        for tile of the band, block of features:          Y = Aᵀ P A, and the epilogue

4 (F(4)) or 2.25 (F(2)) times fewer multiply-adds than a direct convolution, tiles that reach over
the edge of the image aside, for 4 or 1.78 times the bytes of weights. So it is chosen (from level 4
on) only where `winograd_model` sees it clearly below `conv_model`, with weights that come from
memory: 64 channels at 56 x 56 take F(4), 512 at 7 x 7 stay direct. V of a band stays in the
second-level cache where there are tiles enough; where there are few, a band is the whole image, the
threads share the features, and every one transforms the input for itself. Weights stand in the
order in which they are read, and the next panel is prefetched.

Tiles of all images of a batch are one row. Those beyond the last are computed as the last again and
not stored.

Error, as a share of the largest result: F(2) below that of a direct sum in float32; F(4) about
6e-7 times the square root of the channels (1.4e-5 for 512), ten times that of a direct sum. That is
why it is not for levels 1-3.

Limit: the FMA ports in the products; beside them the transforms, and for many channels the bytes of
the weights.

Measured on a 2-core Zen 4 (AVX-512 on 256-bit data paths, peak of both 231 Gflop/s, two threads,
default configs, minimum of the quieter of two runs, whose cold figures differ by up to a fifth;
November 2026), Gflop/s counted as those of the direct convolution, weights warm / in no cache: 64
channels at 56 x 56 775 / 630, 64 at 224 x 224 590 / 590, 128 at 28 x 28 840 / 660, 256 at 14 x 14
635 / 500, 512 at 14 x 14 625 / 545. In the same process as level 3, in turns, VGG-16 takes 0.37 of
its time and ResNet-50 0.82 (minimum).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import s_tir, te, tirx

from ...ir import levels
from ..common import workspace_bytes
from ..context import Context
from ..in_place import same_elements
from ..points import thinned
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, require
from ..view import View, const, materialise, simplify
from .anchored import anchored, epilogue_packs, is_heavy, lower_anchored
from .conv_direct import direct_cost
from .conv_nest import Problem, problem_of
from .conv_shape import channel_block
from .moves import PASS_CONFIG, axes_of, unroll_loops
from .nest_edit import UpdateNest
from .prefetch import prefetch_ahead
from .ranked import Ranked
from .stores import store_at
from .tiles import rounds
from .winograd import TILES, input_transform, output_transform, winograd_pack
from .winograd_model import Grid, WinogradConfig, configs, cost

__all__ = ["ConvWinograd"]


# At most this share of the modelled time of a direct convolution: the models err by a tenth or so.
PAYS = 0.85


def problem(task: Task) -> Problem:
    """Take the task apart. Raises NotApplicable."""
    p = problem_of(anchored(task, "conv"))
    shape = p.shape
    require(p.parts.data.rank == len("NCHW"), "there is one axis")
    require(shape.kernel == (3, 3), "the window is not 3x3")
    require(shape.stride == (1, 1), "there is a stride")
    require(shape.dilation == (1, 1), "the window is dilated")
    require(shape.groups == 1 and shape.merged == 1, "there are groups")
    require(channel_block(p.parts.data.type) == p.lanes, "the input is not blocked by vectors")
    require(not p.plain_output, "the output is not blocked")
    require(not p.parts.prologue, "there is a prologue")
    return p


class ConvWinograd(Ranked[Problem, WinogradConfig]):
    """See the module's docstring."""

    name = "conv_f32_winograd__x86"
    Config = WinogradConfig

    def problem(self, task: Task) -> Problem:
        return problem(task)

    def configs(self, p: Problem) -> Iterator[WinogradConfig]:
        return configs(p)

    def cost(self, p: Problem, config: WinogradConfig, threads: int) -> float:
        return cost(p, config, threads)

    def check(self, task: Task) -> None:
        super().check(task)
        require(task.level >= levels.ALGORITHMS, f"level {task.level} keeps the order of sums")

    def prefer(self, task: Task) -> None:
        p = problem(task)
        own = min(cost(p, config, task.threads) for config in configs(p))
        direct = direct_cost(task)
        worth = own <= PAYS * direct
        require(worth, f"{own / direct:.2f} of the modelled time of a direct convolution")

    def space(self, task: Task) -> Iterable[Knobs]:
        ranked = self.ranked(task)
        of_each = [[c for c in ranked if c.m == m][:4] for m in TILES]
        return list(dict.fromkeys([*ranked[:8], *itertools.chain(*of_each)]))

    def points(self, task: Task) -> Iterable[Knobs]:
        ranked = self.ranked(task)  # in this order: searches draw points by their position
        return thinned(ranked, ranked[0])

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        assert isinstance(config, WinogradConfig)
        p = problem(task)
        packs = epilogue_packs(p.parts)
        groups = Grid.of(p, config).groups
        pack = winograd_pack(config.m, p.shape, (groups, config.group, config.vectors, p.lanes))
        packs[p.parts.weight_position] = pack
        return packs

    def in_place(self, task: Task, config: Knobs) -> tuple[int, ...]:
        return same_elements(task)

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, WinogradConfig)
        p = problem(task)
        validate(p, config)
        grid = Grid.of(p, config)
        sch = s_tir.Schedule(compute(p, config, grid, self.packs(task, config)))
        schedule(sch, p, config, grid)
        function = store_tiles(sch.mod["main"], p, grid)
        weights = function.params[p.parts.weight_position]
        if weight_bytes(weights) > p.machine.l2 // 2:
            function = prefetch_panels(function, weights, config, grid)
        return Lowered((function,), workspace_bytes(function), PASS_CONFIG)


def place(grid: Grid, tile: Any) -> tuple[Any, Any, Any]:
    """(image, row, column) of a tile."""
    row = simplify(tile // grid.cols)
    return simplify(row // grid.rows), simplify(row % grid.rows), simplify(tile % grid.cols)


def compute(p: Problem, config: WinogradConfig, grid: Grid, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: patch -> half -> V -> acc -> P -> mid -> tile -> out.

    The output stage runs over tiles, and pixels of a tile: [tile, block, row, column, lane].
    """

    at = Pixel()

    def anchor(operands: list[View], context: Context) -> View:
        transformed = transformed_input(p, grid, operands[0])
        products = multiplied(p, config, grid, transformed, operands[1].tensor)
        return results(p, grid, products, at)

    body = lower_anchored(p.parts, packs, anchor)
    output, m = body.views[p.parts.output], grid.m

    def read(t: Any, c: Any, i: Any, j: Any) -> Any:
        at.tile, at.row, at.col = t, i, j
        n, row, col = place(grid, t)
        return output(n, c, simplify(row * m + i), simplify(col * m + j))

    type = p.parts.output.type
    shape, reach = ((grid.whole, s[1], m, m) for s in (output.shape, output.reach))
    tiles = View(shape, output.dtype, read, reach=reach, pad=output.pad)
    return te.create_prim_func([*body.inputs, materialise(tiles, type.with_(shape=shape), "out")])


@dataclass
class Pixel:
    """The tile, and the pixel of it, that the output stage is at.

    The epilogue is elementwise, so it reads the anchor's result nowhere else. From (n, h, w) the
    tile could only be found by divisions that TVM does not see through when it places stages.
    """

    tile: Any = None
    row: Any = None
    col: Any = None


def store_tiles(function: Any, p: Problem, grid: Grid) -> Any:
    """The function with its tiles stored where they stand in the image."""
    shape, m = p.shape, grid.m

    def pixel(indices: list[Any]) -> tuple[list[Any], list[Any]]:
        t, block, i, j, lane = indices
        n, row, col = place(grid, t)
        h, w = row * m + i, col * m + j
        conditions = []
        if grid.whole > grid.tiles:
            conditions.append(t < grid.tiles)
        if shape.rows % m:
            conditions.append(h < shape.rows)
        if shape.cols % m:
            conditions.append(w < shape.cols)
        return [n, block, h, w, lane], conditions

    return store_at(function, p.parts.output.type.physical_shape, pixel)


def transformed_input(p: Problem, grid: Grid, data: View) -> Any:
    """V[point, tile, block of channels, lane]."""
    shape, lanes, m, size = p.shape, p.lanes, grid.m, grid.m + 2
    tiles, blocks = grid.whole, rounds(shape.channels, lanes)

    def pixel(t: Any, c: Any, r: Any, s: Any, lane: Any) -> Any:
        # Those beyond the last are read as the last.
        n, row, col = place(grid, tirx.min(t, grid.tiles - 1) if tiles > grid.tiles else t)
        h, w = row * m + r - shape.begin[0], col * m + s - shape.begin[1]
        inside = tirx.all(h >= 0, h < shape.height, w >= 0, w < shape.width)
        element = data(n, simplify(c * lanes + lane), h, w)
        return tirx.if_then_else(inside, element, const(0, "float32"))

    patch = te.compute((tiles, blocks, size, size, lanes), pixel, name="patch")
    half = te.compute(
        (tiles, blocks, size, size, lanes),
        lambda t, c, i, s, lane: input_transform(m, i, lambda r: patch[t, c, r, s, lane]),
        name="half",
    )
    return te.compute(
        (grid.points, tiles, blocks, lanes),
        lambda x, t, c, lane: input_transform(
            m, x % size, lambda s: half[t, c, x // size, s, lane]
        ),
        name="V",
    )


def multiplied(p: Problem, config: WinogradConfig, grid: Grid, data: Any, weights: Any) -> Any:
    """P[point, tile, block of features, lane]."""
    lanes, channels = p.lanes, p.shape.channels
    steps = (channels // config.inner, config.inner)
    co, ci = (te.reduce_axis((0, n), name) for n, name in zip(steps, ("co", "ci"), strict=True))

    def product(x: Any, t: Any, o: Any, lane: Any) -> Any:
        channel = co * config.inner + ci
        value = data[x, t, channel // lanes, channel % lanes]
        weight = weights[stored(config, grid, x, o), channel, o % config.vectors, lane]
        return te.sum(value * weight, axis=[co, ci])

    blocks = grid.groups * config.group * config.vectors
    whole = (grid.points, grid.whole, blocks, lanes)
    acc = te.compute(whole, product, name="acc")
    return te.compute(whole, lambda *at: acc(*at), name="P")


def stored(config: WinogradConfig, grid: Grid, point: Any, block: Any) -> Any:
    """Where the panel of a block of features stands among the packed weights of all points."""
    panel = block // config.vectors
    place = (panel // config.group * grid.points + point) * config.group + panel % config.group
    return simplify(place)


def results(p: Problem, grid: Grid, products: Any, at: Pixel) -> View:
    """The anchor's logical result, at the pixel of the output stage."""
    m, size, lanes = grid.m, grid.m + 2, p.lanes
    _, tiles, blocks, _ = (int(n) for n in products.shape)
    mid = te.compute(
        (tiles, blocks, m, size, lanes),
        lambda t, o, i, s, lane: output_transform(
            m, i, lambda r: products[r * size + s, t, o, lane]
        ),
        name="mid",
    )
    tile = te.compute(
        (tiles, blocks, m, m, lanes),
        lambda t, o, i, j, lane: output_transform(m, j, lambda s: mid[t, o, i, s, lane]),
        name="tile",
    )
    value = p.parts.node.output

    def read(n: Any, c: Any, h: Any, w: Any) -> Any:
        return tile(at.tile, simplify(c // lanes), at.row, at.col, simplify(c % lanes))

    reach = (value.shape[0], rounds(value.shape[1], lanes) * lanes, *value.shape[2:])
    return View(value.shape, value.dtype.tvm, read, reach=reach, pad=np.float32(0), cheap=True)


def schedule(sch: Any, p: Problem, config: WinogradConfig, grid: Grid) -> None:
    """The nest of the module's docstring."""
    out, tile, mid, products = (sch.get_sblock(name) for name in ("out", "tile", "mid", "P"))
    t, o, row, col, lane = axes_of(sch, out)
    band, each = sch.split(t, [None, grid.band])
    each_group = config.group * config.vectors
    share, group, block = sch.split(o, [config.split, grid.groups // config.split, each_group])
    sch.reorder(share, band, group, each, block, row, col, lane)
    task = sch.fuse(share, band)
    sch.parallel(task)
    sch.vectorize(lane)
    if not is_heavy(p.parts):
        sch.unroll(col)
    for stage in (tile, mid):
        sch.compute_at(stage, block, preserve_unit_loops=True)
        *loops, lane = axes_of(sch, stage)
        unroll_loops(sch, loops[-2:], lane)
    _products(sch, products, group, config)
    _input(sch, task)


def _products(sch: Any, products: Any, group: Any, config: WinogradConfig) -> None:
    """for point, panel, strip: unrolled tiles x vectors, accumulated in registers and stored."""
    sch.compute_at(products, group, preserve_unit_loops=True)
    x, t, o, lane = axes_of(sch, products)
    strip, point = sch.split(t, [None, config.tiles])
    panel, vector = sch.split(o, [None, config.vectors])
    sch.reorder(x, panel, strip, point, vector, lane)
    unroll_loops(sch, [point, vector], lane)
    acc = sch.get_sblock("acc")
    sch.compute_at(acc, strip, preserve_unit_loops=True)
    _, point, vector, lane, co, ci = axes_of(sch, acc)
    sch.reorder(co, ci, point, vector, lane)
    unroll_loops(sch, [ci, point, vector], lane)
    sch.decompose_reduction(acc, co)


def prefetch_panels(function: Any, weights: Any, config: WinogradConfig, grid: Grid) -> Any:
    """Prefetch the next panel of weights while this one is used: it stands behind it in memory."""
    nest = UpdateNest(function)
    point, _, block, _, *reductions = nest.bindings
    following = stored(config, grid, nest.start(point), nest.start(block)) + 1
    names = [loop.loop_var for loop in nest.loops]
    inside = next(i for i, name in enumerate(names) if name.same_as(reductions[0]))
    strip, _ = nest.loops[inside - 2 : inside]  # the other is that of the one point
    return prefetch_ahead(function, weights, [following], [strip], reductions)


def weight_bytes(weights: Any) -> int:
    """Bytes of a buffer of packed weights."""
    return math.prod(int(size) for size in weights.shape) * 4


def _input(sch: Any, task: Any) -> None:
    half, patch, transformed = (sch.get_sblock(name) for name in ("half", "patch", "V"))
    sch.compute_at(transformed, task, preserve_unit_loops=True)
    x, t, c, lane = axes_of(sch, transformed)
    sch.reorder(t, c, x, lane)
    unroll_loops(sch, [x], lane)
    for stage in (half, patch):
        sch.compute_at(stage, c, preserve_unit_loops=True)
        *loops, lane = axes_of(sch, stage)
        unroll_loops(sch, loops[-2:], lane)


def validate(p: Problem, config: WinogradConfig) -> None:
    """Raises InvalidConfig if the config is not legal for the problem."""

    def need(condition: bool, reason: str) -> None:
        require(condition, reason, InvalidConfig)

    need(config.m in TILES, f"tiles of {config.m} are unknown")
    sizes = (config.vectors, config.tiles, config.inner, config.band, config.group, config.split)
    need(min(sizes) >= 1, "a size is below 1")
    need(p.shape.channels % config.inner == 0, f"inner does not divide {p.shape.channels} channels")
    accumulators = config.vectors * config.tiles
    need(accumulators <= 2 * p.machine.registers, "accumulators are far beyond the registers")
    grid = Grid.of(p, config)
    panels = rounds(p.shape.features, config.vectors * p.lanes)
    need(config.tiles * config.band < grid.tiles + config.tiles, "the band exceeds the image")
    need(config.split <= panels, f"there are {panels} panels for {config.split} shares")
    need(config.group <= rounds(panels, config.split), "the group exceeds a share's panels")
