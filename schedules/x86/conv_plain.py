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

parallel (group, band, part of the features):
  [for chunk of channels:]
    pad: the band's inputs, split by phases
    for tile of features:
      for tile of pixels:
        for channel, kh, kw:
          unrolled features x vectors: acc += w * x
      [ sum += acc]
      out: the epilogue of the band's rows, with chunks after the last one

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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import s_tir, te, tirx

from ...ir.dtypes import DType
from ...ir.types import TensorType
from ..common import workspace_bytes
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, knob, require
from ..view import View, const, guarded, materialise, simplify
from .anchored import Anchored, anchored, epilogue_packs, is_heavy, lower_anchored
from .conv_shape import ConvShape, at_pixel, channel_block, group_shape
from .moves import PASS_CONFIG, axes_of, unroll_loops
from .pixels import Row, in_tiles, row_of_pixels
from .ranked import Ranked
from .tails import move_tails
from .tiles import (
    TILE_CYCLES,
    WAITED,
    Machine,
    balance,
    chunks,
    overlapped,
    rounds,
    waits_for_weights,
)

__all__ = ["ConvPlain"]

MOST_FEATURES = 14
MOST_VECTORS = 8
MOST_SHARED = 16  # tasks that share bands; more are made by bands alone
MOST_UNROLLED = 200  # multiply-adds of a row of the window; LLVM kept sums of 264 in memory
ROW_CYCLES = 6.0  # of a row of the copy: its loop and its borders


@dataclass(frozen=True)
class ConvPlainConfig(Knobs):
    """Knobs of ConvPlain.

    Attributes:
        features: Output features of a tile.
        vectors: Vectors of pixels of a tile.
        rows, cols: Output pixels of a band.
        parts: Tasks that share the tiles of features of a band; each copies what the band reads.
        chunks: Equal chunks of the channels of a group, copied one after the other.
    """

    features: int = knob(8, choices=(1, 2, 4, 6, 8, 12))
    vectors: int = knob(3, choices=(1, 2, 3, 4, 6))
    rows: int = knob(8, choices=(1, 2, 4, 8, 16, 32))
    cols: int = knob(64, choices=(48, 64, 96, 128, 192, 256))
    parts: int = knob(1, choices=(1, 2, 4))
    chunks: int = knob(1, choices=(1, 2, 4, 8))


@dataclass(frozen=True)
class Problem:
    """A task as this template sees it; `row` is the row of pixels that the image is, or None."""

    parts: Anchored
    shape: ConvShape
    machine: Machine
    buffered: bool
    row: Row | None = None

    @property
    def lanes(self) -> int:
        return self.machine.lanes


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
        own = p.shape.group_features
        most = min(own, MOST_FEATURES)
        features = [n for n in range(1, most + 1) if own % n == 0 or n >= MOST_FEATURES // 2]
        for count in features:
            for vectors in range(1, MOST_VECTORS + 1):
                if not p.machine.fits(vectors, count) and (count, vectors) != (1, 1):
                    continue
                for rows, cols in _bands(p, vectors * p.lanes):
                    for parts in _parts(p, count, rows, cols):
                        for cut in _chunks(p, count, vectors, rows, cols):
                            yield ConvPlainConfig(count, vectors, rows, cols, parts, cut)

    def cost(self, p: Problem, config: ConvPlainConfig, threads: int) -> float:
        shape, machine, band = p.shape, p.machine, band_of(p, config)
        tiles = tiles_of(shape, config) // config.parts
        count = shape.batch * shape.groups * band.grid[0] * band.grid[1] * config.parts
        copied = band.copied(shape.channels // config.chunks)
        panel = config.features * shape.depth * 4
        in_l1 = copied * 4 <= machine.l1 * 3 // 4
        step = machine.step_cycles(config.vectors, config.features, in_l1)
        if max(shape.kernel) > 1:  # vectors that straddle two lines are loaded twice
            step = max(step, 1.5 * config.vectors + config.features / 2)
        finish = 3.0 * config.features * config.vectors + TILE_CYCLES
        moved = rounds(band.cols, row_vector(band.cols, machine.lanes))
        stored = config.features * band.rows * (moved * 3.0 + 4.0) if p.row is None else 0.0
        each = tiles * (band.computed // (config.vectors * machine.lanes))
        if config.chunks > 1:  # zeros, and sums that are read, added to and stored
            finish *= config.chunks * 2 + 1
        body = each * (shape.depth * step + finish) + tiles * stored
        lines = shape.channels * band.phases[0] * band.phases[1] * band.height
        across = 1.0 if shape.stride[1] == 1 else 4.0
        body += copied * config.chunks / machine.lanes * 2.0 * across + lines * ROW_CYCLES
        if copied * 4 > machine.l2 * 3 // 4:
            body *= 1.5
        whole = panel * tiles * config.parts * shape.groups
        again = machine.stream_cycles(whole, count // config.parts // shape.groups - 1)
        waits = waits_for_weights(whole, WAITED, 0)
        return (overlapped(body * count, again) + waits) * balance(count, threads)

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


def tiles_of(shape: ConvShape, config: ConvPlainConfig) -> int:
    """Tiles of features of a group: as many in each part."""
    return rounds(rounds(shape.group_features, config.features), config.parts) * config.parts


def reads_once(p: Problem, config: ConvPlainConfig) -> bool:
    """A pointwise convolution whose features are one tile: nothing is gained by a copy."""
    return p.row is not None and tiles_of(p.shape, config) == 1


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


# --- bands ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Band:
    """A band of output pixels and the copy of what it reads.

    Attributes:
        rows, cols: Output pixels.
        grid: How many bands there are, down and across.
        width: Columns of a phase of the copy, which is one row after the other.
        height: Rows of a phase of the copy.
        computed: Outputs that are computed: whole tiles over `rows` rows of `width`.
        phases: Phases of the stride that the window reaches, (vertical, horizontal).
    """

    rows: int
    cols: int
    grid: tuple[int, int]
    width: int
    height: int
    computed: int
    phases: tuple[int, int]

    def copied(self, channels: int) -> int:
        """Elements of the copy."""
        return channels * self.phases[0] * self.phases[1] * self.height * self.width


def band_of(p: Problem, config: ConvPlainConfig) -> Band:
    """The band of a config."""
    shape = p.shape
    reach = [(k - 1) * d for k, d in zip(shape.kernel, shape.dilation, strict=True)]
    below, beside = (r // s for r, s in zip(reach, shape.stride, strict=True))
    width = config.cols + beside
    step = config.vectors * p.lanes
    computed = rounds(config.rows * width - beside, step) * step
    last = below * width + beside
    grid = rounds(shape.rows, config.rows), rounds(shape.cols, config.cols)
    phases = min(reach[0] + 1, shape.stride[0]), min(reach[1] + 1, shape.stride[1])
    height = rounds(computed + last, width)
    return Band(config.rows, config.cols, grid, width, height, computed, phases)


# --- the model --------------------------------------------------------------------------------


def _bands(p: Problem, step: int) -> Iterable[tuple[int, int]]:
    shape = p.shape
    if p.row is not None:
        tiles = rounds(shape.cols, step)
        sizes = {rounds(tiles, parts) for parts in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256)}
        return [(1, n * step) for n in sorted(sizes)]
    if shape.rows == 1:
        return [(1, n) for n in chunks(shape.cols, 1024)]
    return [(n, shape.cols) for n in chunks(shape.rows, 64)]


def _parts(p: Problem, features: int, rows: int, cols: int) -> Iterable[int]:
    """Parts of the features worth a look: where bands alone are few."""
    shape = p.shape
    bands = shape.batch * shape.groups * rounds(shape.rows, rows) * rounds(shape.cols, cols)
    tiles = rounds(shape.group_features, features)
    for parts in (1, 2, 4):
        if parts == 1 or (
            parts <= tiles
            and bands * parts <= MOST_SHARED
            and (shape.groups == 1 or tiles % parts == 0)
        ):
            yield parts


def _chunks(p: Problem, features: int, vectors: int, rows: int, cols: int) -> Iterable[int]:
    """All channels at once and, where their copy is more than L2 holds, the fewest that fit."""
    yield 1
    channels, l2 = p.shape.channels, p.machine.l2
    band = band_of(p, ConvPlainConfig(features, vectors, rows, cols))
    if p.row is not None or band.copied(channels) * 4 <= l2 * 3 // 4:
        return
    for count in range(2, channels + 1):
        if channels % count == 0 and band.copied(channels // count) * 4 <= l2 // 2:
            yield count
            return


# --- the compute ------------------------------------------------------------------------------


def compute(p: Problem, config: ConvPlainConfig, band: Band, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: pad -> acc [-> tile | sum] -> out."""
    parts = p.parts

    def anchor(operands: list[View], context: Any) -> View:
        pad = padded(p.shape, band, operands[0])
        acc = accumulate(p, config, band, pad, operands[1].tensor)
        return accumulated_view(p, config, band, acc)

    body = lower_anchored(parts, packs, anchor, operand=p.row.operand if p.row else None)
    output = materialise(body.views[parts.output], parts.output.type, "out")
    return te.create_prim_func([*body.inputs, output])


def padded(shape: ConvShape, band: Band, data: View) -> Any:
    """pad[n, g, down, across, c, ph, pw, h, w]: zeros outside of the image."""

    def element(n: Any, g: Any, down: Any, across: Any, c: Any, *place: Any) -> Any:
        bands, phases, at = (down, across), place[:2], place[2:]
        index, inside = [], []
        for axis in (0, 1):
            first = bands[axis] * (band.rows, band.cols)[axis] if band.grid[axis] > 1 else 0
            phase = phases[axis] if band.phases[axis] > 1 else 0
            start, stride = shape.begin[axis], shape.stride[axis]
            size = (shape.height, shape.width)[axis]
            where = (first + at[axis]) * stride + phase - start
            if start:
                inside.append(where >= 0)
            if _reach(band, axis, stride) - start > size:
                inside.append(where < size)
            index.append(where)
        channel = g * shape.channels + c
        if not inside:
            return at_pixel(data, n, channel, *index)
        zero = const(0, data.dtype)
        return guarded(tirx.all(*inside), lambda: at_pixel(data, n, channel, *index), zero)

    outer = (shape.batch, shape.groups, *band.grid, shape.channels)
    whole = (*outer, *band.phases, band.height, band.width)
    return te.compute(whole, element, name="pad")


def _reach(band: Band, axis: int, stride: int) -> int:
    """Rows or columns of the padded image up to the last that is copied."""
    size = (band.rows, band.cols)[axis]
    extent = (band.height, band.width)[axis]
    return ((band.grid[axis] - 1) * size + extent - 1) * stride + band.phases[axis]


def accumulate(p: Problem, config: ConvPlainConfig, band: Band, pad: Any, weights: Any) -> Any:
    """acc[n, g, down, across, tile, feature, pixel]: pixels as they stand in the copy; with chunks
    the sum of those of all chunks.
    """
    shape, chunk = p.shape, p.shape.channels // config.chunks
    names = ("c", "kh", "kw")
    extents = (chunk, *shape.kernel)
    c, kh, kw = (te.reduce_axis((0, n), name) for n, name in zip(extents, names, strict=True))

    def element(
        k: Any, n: Any, g: Any, down: Any, across: Any, tile: Any, m: Any, pixel: Any
    ) -> Any:
        channel = k * chunk + c
        h, w = kh * shape.dilation[0], kw * shape.dilation[1]
        below, beside = h // shape.stride[0], w // shape.stride[1]
        place = pixel + below * band.width + beside
        phases = h % shape.stride[0], w % shape.stride[1]
        x = pad(n, g, down, across, channel, *phases, place // band.width, place % band.width)
        return te.sum(x * weights[g, tile, channel, kh, kw, m], axis=[c, kh, kw])

    tiles = tiles_of(shape, config)
    whole = (shape.batch, shape.groups, *band.grid, tiles, config.features, band.computed)
    if config.chunks == 1:
        return te.compute(whole, lambda *at: element(0, *at), name="acc")
    parts = te.compute((config.chunks, *whole), element, name="acc")
    k = te.reduce_axis((0, config.chunks), "k")
    return te.compute(whole, lambda *at: te.sum(parts(k, *at), axis=[k]), name="sum")


def accumulated_view(p: Problem, config: ConvPlainConfig, band: Band, acc: Any) -> View:
    """The anchor's logical result, read from where the tiles are stored."""
    value, own = p.parts.node.output, p.shape.group_features
    if config.chunks == 1 and (p.row is None or p.buffered):
        source = acc
        acc = te.compute(source.shape, lambda *i: source(*i), name="tile")

    def read(n: Any, feature: Any, *pixel: Any) -> Any:
        h, w = pixel if len(pixel) > 1 else (0, pixel[0])
        group, within = simplify(feature // own), simplify(feature % own)
        tile = simplify(within // config.features), simplify(within % config.features)
        down, across = simplify(h // band.rows), simplify(w // band.cols)
        place = simplify(h % band.rows) * band.width + simplify(w % band.cols)
        return acc(n, group, down, across, *tile, place)

    return View(value.shape, value.dtype.tvm, read, cheap=True)


# --- the schedule -----------------------------------------------------------------------------


def schedule(sch: Any, p: Problem, config: ConvPlainConfig, band: Band) -> None:
    """The nest of the module's docstring."""
    acc, out, pad = sch.get_sblock("acc"), sch.get_sblock("out"), sch.get_sblock("pad")
    chunked = config.chunks > 1
    stored = chunked or p.row is None or p.buffered
    first = sch.get_sblock("sum" if chunked else "tile") if stored else acc
    n, g, down, across, tile, m, pixel, *reductions = sch.get_loops(first)
    part, tile = sch.split(tile, [config.parts, None])
    strip, vector, lane = sch.split(pixel, [None, config.vectors, p.lanes])
    if chunked:
        sch.reorder(*reductions, tile, strip, m, vector, lane)
        sch.merge(part, _output_loops(sch, p, config, band, out)[0])
    else:
        sch.reorder(strip, *reductions, m, vector, lane)
        at = strip if p.row is not None else tile
        sch.merge(at, _output_loops(sch, p, config, band, out)[1])
    n, g, down, across, part, *inner = sch.get_loops(first)
    strip = inner[2 if chunked else 1]
    parallel = sch.fuse(n, g, down, across, part)
    sch.parallel(parallel)
    unroll_loops(sch, [m, vector], lane)
    if stored:
        sch.compute_at(acc, strip, preserve_unit_loops=True)
        *_, m, pixel, c, kh, kw = axes_of(sch, acc)
        vector, lane = sch.split(pixel, [None, p.lanes])
        sch.reorder(c, kh, kw, m, vector, lane)
        unroll_loops(sch, [m, vector], lane)
    else:
        c, kh, kw = reductions
    if config.features * config.vectors * p.shape.kernel[1] <= MOST_UNROLLED:
        sch.unroll(kw)
    if reads_once(p, config):
        sch.compute_inline(pad)
    else:
        sch.compute_at(pad, inner[0] if chunked else parallel, preserve_unit_loops=True)
        _schedule_copy(sch, p, band, pad)
    if chunked:
        sch.decompose_reduction(first, inner[0])
    sch.decompose_reduction(acc, c)


def _output_loops(
    sch: Any, p: Problem, config: ConvPlainConfig, band: Band, out: Any
) -> tuple[Any, Any]:
    """Give the output's stage the loops over tiles, and vectors inside; that over parts and the
    innermost over tiles.

    It reads what tiles have stored by row and column of the band, which TVM cannot invert into
    loops by itself (`reverse_compute_at`).
    """
    tiles = tiles_of(p.shape, config) // config.parts
    n, feature, *pixel = sch.get_loops(out)
    group, within = sch.split(feature, [p.shape.groups, p.shape.group_features])
    part, tile, m = sch.split(within, [config.parts, tiles, config.features])
    if p.row is not None:
        step = [band.grid[1], None, config.vectors, p.lanes]
        across, strip, vector, lane = sch.split(pixel[0], step)
        down = sch.add_unit_loop(across)
        sch.reorder(n, group, down, across, part, tile, strip, m, vector, lane)
        if not p.buffered:
            sch.unroll(m)
            sch.unroll(vector)
        sch.vectorize(lane)
        return part, strip
    if len(pixel) < len(("h", "w")):
        pixel.insert(0, sch.add_unit_loop(pixel[0]))
    down, row = sch.split(pixel[0], [band.grid[0], band.rows])
    across, col = sch.split(pixel[1], [band.grid[1], band.cols])
    sch.reorder(n, group, down, across, part, tile, m, row, col)
    _vectorize_row(sch, col, p.lanes, band.grid[1] == 1)
    return part, tile


def _vectorize_row(sch: Any, col: Any, lanes: int, whole: bool) -> None:
    """A row in vectors: of a whole row `move_tails` takes the last one back to its end, parts of
    one are in vectors as equal as they can be.
    """
    extent = int(sch.get(col).extent)
    lanes = row_vector(extent, lanes)
    if not whole:
        lanes = next((n for n in range(lanes, lanes // 2, -1) if extent % n == 0), lanes)
    vector, lane = sch.split(col, [None, lanes])
    sch.vectorize(lane)
    if not whole and extent % lanes:
        sch.annotate(vector, "pragma_loop_partition_hint", True)


def row_vector(cols: int, lanes: int) -> int:
    """Lanes of the longest vectors that a row of `cols` outputs holds: a power of two."""
    while lanes > cols:
        lanes //= 2
    return lanes


def _schedule_copy(sch: Any, p: Problem, band: Band, pad: Any) -> None:
    """The copy of a band: its borders are peeled off; phases together, so that LLVM sees that
    they share what they load."""
    *_, phase, row, col = axes_of(sch, pad)
    if p.row is not None:
        _, lane = sch.split(col, [None, p.lanes])
        sch.vectorize(lane)
        return
    sch.annotate(col, "pragma_loop_partition_hint", True)
    if band.phases[1] > 1:
        sch.reorder(row, col, phase)
        sch.unroll(phase)
