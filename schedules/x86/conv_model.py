"""Which configs a direct convolution has, and which one it gets: their modelled cycles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..template import Knobs, knob
from .conv_nest import Problem, image_layout
from .conv_shape import ConvShape, channel_block
from .tiles import (
    L3_BYTES_PER_CYCLE,
    LINE,
    NARROW_L3_BYTES_PER_CYCLE,
    PREFETCHED,
    REMOTE_BYTES_PER_CYCLE,
    SUM_CYCLES,
    TILE_CYCLES,
    WAITED,
    balance,
    chunks,
    overlapped,
    rounds,
    waits_for_weights,
)

__all__ = [
    "DirectConfig",
    "band_units",
    "configs",
    "cost",
    "finish_cycles",
    "has_prologue_in_bands",
    "wide",
]

MOST_VECTORS = 8  # of a tile
MOST_ROWS = 4
FEW_REGISTERS = 16
# `SUM_CYCLES` and `WAITED` of code without FMAs that take broadcasts (AVX2). There it matters
# whether partial sums stayed in the first-level cache: 384 to 64 channels at 14 x 14 (they do not)
# took 12 % longer in two chunks than whole on a Zen 5, 160 to 960 at 7 x 7 (they do) 7 % less.
NARROW_SUM_CYCLES, NARROW_SUM_CYCLES_FROM_L2 = 1.5, 5.0
NARROW_WAITED = 1.0
# Share by which a step takes longer where a band with a prologue has many tiles: the pixels of one
# stand in memory as they are read, those of several have the other tiles' in between (2 tiles 1.5 %
# more a tile, 3 to 6 tiles 3 %, for 128 channels as for 1024; AVX2 code on a Zen 5).
APART = 0.035
ELEMENT_CYCLES = 1.5  # of an element of a plain output
PROLOGUE_CYCLES = 4.0  # of a vector that a band's prologue computes
FEW_TILES = 4  # of a band; so many may be fewer than a 64th of the image
AHEAD = 16  # lines that a core's own prefetcher fetches beyond a band's last pixel
CHANNEL_STEPS = 16  # at most this many channels in the innermost reduction loop


@dataclass(frozen=True)
class DirectConfig(Knobs):
    """Knobs of ConvDirect.

    Attributes:
        vectors: Vector registers of features in a tile.
        rows, cols: Pixels of a tile.
        inner: Channels of the innermost reduction loop; divides the channels of a group.
        chunk: Channels whose weights are used for a whole band before the next; divides the
            channels of a group. 0: all of them, and no partial sums in memory.
        band: Tiles (rows of tiles, if the image is not a row of pixels) of one parallel task.
        order: Which loop is outermost, `features` (weights are read once, the image often) or
            `pixels` (the other way around; always so where bands compute a prologue).
    """

    vectors: int = knob(2, choices=(1, 2, 3, 4))
    rows: int = knob(1, choices=(1, 2))
    cols: int = knob(7, choices=(4, 6, 7, 8, 14))
    inner: int = knob(16, choices=(1, 2, 4, 8, 16))
    chunk: int = knob(0, choices=(0, 16, 64, 128, 256))
    band: int = knob(1, choices=(1, 2, 4, 7, 14))
    order: str = knob("features", choices=("features", "pixels"))


def configs(p: Problem) -> Iterator[DirectConfig]:
    """What the default is chosen from: tiles that fit the registers."""
    shape = p.shape
    inner = inner_channels(p)
    for vectors in _vectors(p):
        for cols in chunks(shape.cols, p.machine.registers):
            for rows in range(1, most_rows(shape, cols) + 1):
                if not p.machine.fits(vectors, rows * cols):
                    continue
                for chunk in dict.fromkeys((0, chunk_channels(p, vectors, inner))):
                    for band in bands(p, vectors, rows, cols, chunk):
                        for order in ("features", "pixels"):
                            yield DirectConfig(vectors, rows, cols, inner, chunk, band, order)


def wide(p: Problem) -> Iterator[DirectConfig]:
    """What a search chooses from: all tiles that are legal, also small ones and such that spill."""
    shape = p.shape
    longest = inner_channels(p)
    for vectors in _vectors(p):
        for cols in chunks(shape.cols, 2 * p.machine.registers // vectors):
            for rows in (1, 2):
                if rows > shape.rows or vectors * rows * cols > 2 * p.machine.registers:
                    continue
                for chunk in dict.fromkeys((0, chunk_channels(p, vectors, longest))):
                    fitting = bands(p, vectors, rows, cols, chunk)
                    for band in dict.fromkeys((fitting[0], fitting[-1])):
                        for inner in dict.fromkeys((longest, 1)):
                            for order in ("features", "pixels"):
                                yield DirectConfig(vectors, rows, cols, inner, chunk, band, order)


def _vectors(p: Problem) -> Iterator[int]:
    """Widths of tiles; those that divide the features of a group where there are groups."""
    blocks = rounds(p.shape.group_features, p.lanes)
    for vectors in range(1, min(blocks, MOST_VECTORS) + 1):
        if p.shape.groups == 1 or blocks % vectors == 0:
            yield vectors


def chunk_channels(p: Problem, vectors: int, inner: int) -> int:
    """The most channels, short of all, whose weights take half of the first-level cache at most.

    Pixels, partial sums and outputs stream through the rest; with three quarters, tiles of few
    pixels lost 12 % (32 of 48 KB). The least chunk may take all of it; beyond, prefetching the next
    one throws out the one in use (7x7 windows, 50 of 32 KB: a third of the speed).

    A chunk of two steps is left out where registers are few: LLVM unrolls it, and then loads
    weights so far ahead that it spills (336 times in 3x3 of 4 x 2: half the speed).

    0 if none fit: then nothing is cut. Weights that all fit may be cut too: the next chunk is
    prefetched, which pays where they come from memory and there are few pixels.
    """
    step = vectors * p.lanes * math.prod(p.shape.kernel) * 4
    counts = [n for n in range(inner, p.shape.channels, inner) if p.shape.channels % n == 0]
    if p.machine.registers <= FEW_REGISTERS:
        counts = [n for n in counts if n != 2 * inner]
    least = inner if counts and inner * step <= p.machine.l1 else 0
    return max((n for n in counts if n * step <= p.machine.l1 // 2), default=least)


def band_units(p: Problem, rows: int, cols: int) -> tuple[int, int]:
    """What bands consist of, tiles or (if the image is no row of pixels) rows of tiles.

    How many of them an image has, and the pixels of one.
    """
    strips = rounds(p.shape.cols, cols)
    if p.row is not None:
        return strips, rows * cols
    return rounds(p.shape.rows, rows), rows * strips * cols


def has_prologue_in_bands(p: Problem) -> bool:
    """Whether each band computes the prologue of its pixels; otherwise it is computed before."""
    return bool(p.parts.prologue) and p.row is not None


def in_narrow_bands(p: Problem) -> bool:
    """Whether bands compute a prologue, in code without FMAs that take broadcasts (AVX2)."""
    return has_prologue_in_bands(p) and not p.machine.broadcast_operand


def bands(p: Problem, vectors: int, rows: int, cols: int, chunk: int) -> list[int]:
    """Tiles that may make up a band: what it holds in between stays in the second-level cache."""
    prologue = has_prologue_in_bands(p)
    if not chunk and not prologue:
        return [1]
    tiles, pixels = band_units(p, rows, cols)
    held = pixels * 4 * (vectors * p.lanes if chunk else 0)
    if prologue:
        held += pixels * 4 * p.shape.channels
    most = max(1, p.machine.l2 // 3 // held)
    counts = {rounds(tiles, parts) for parts in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)}
    if prologue:
        counts |= set(range(1, min(tiles, FEW_TILES) + 1))
    return sorted(n for n in counts if n <= most) or [1]


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


@dataclass(frozen=True)
class Grid:
    """How a config cuts the output.

    Attributes:
        panels: Panels of features, of all groups.
        bands: Bands of an image.
        tiles: Tiles of an image and a panel, in whole bands.
    """

    panels: int
    bands: int
    tiles: int

    @classmethod
    def of(cls, p: Problem, config: DirectConfig) -> Grid:
        """The grid of a config."""
        shape = p.shape
        panels = shape.groups * rounds(shape.group_features, config.vectors * p.lanes)
        count, pixels = band_units(p, config.rows, config.cols)
        bands = rounds(count, config.band)
        tiles = bands * config.band * (pixels // (config.rows * config.cols))
        return cls(panels, bands, tiles)


def cost(p: Problem, config: DirectConfig, threads: int) -> float:
    """Cycles of all threads together by the model, times the imbalance.

    Operands that do not stay in the second-level cache stream again from beyond it, behind the
    arithmetic; the first weights of a panel are waited for.
    """
    shape, machine, grid = p.shape, p.machine, Grid.of(p, config)
    weights = shape.depth * shape.features * 4
    image = shape.batch * shape.groups * shape.channels * shape.height * shape.width * 4
    visits = shape.batch * grid.bands
    body = grid.panels * grid.tiles * shape.batch * tile_cycles(p, config)
    order, tasks = config.order, visits * grid.panels
    if has_prologue_in_bands(p):
        points = config.rows * config.cols
        vectors = shape.batch * shape.channels * grid.tiles * points / p.lanes
        body += PROLOGUE_CYCLES * vectors
        body += waits_for_pixels(p, image, points * config.band)
        order, tasks = "pixels", visits
    if order == "features":
        again = machine.stream_cycles(image, grid.panels - 1)
    else:
        rate = NARROW_L3_BYTES_PER_CYCLE if in_narrow_bands(p) else L3_BYTES_PER_CYCLE
        again = machine.stream_cycles(weights, visits - 1, rate)
    body += threads * shared_cycles(image, weights, order, threads)
    waits = waits_for_weights(weights, waited_share(p, config), visits if config.chunk else 0)
    return (overlapped(body, again) + waits) * balance(tasks, threads)


def tile_cycles(p: Problem, config: DirectConfig) -> float:
    """Cycles of a tile: of its reduction, of partial sums, and from its sums to its output."""
    shape, vectors, points = p.shape, config.vectors, config.rows * config.cols
    kept = 1.0 if config.rows > 1 else kept_share(shape)
    near = used_weights(p, config) <= p.machine.l1 // 2
    # Windows are left out: 3x3 at 7 x 7 took 0.97 to 1.04 of the time with what it chooses.
    chained = p.row is not None and not p.machine.broadcast_operand
    step = p.machine.step_cycles(vectors, points, near, chained=chained)
    if in_narrow_bands(p):
        step *= 1 + APART * (1 - 1 / config.band)
    finish = finish_cycles(p, vectors, points)
    if config.chunk:
        finish += sum_cycles(p, config) * points * vectors * (shape.channels // config.chunk)
    return shape.depth * kept * step + finish + TILE_CYCLES


def finish_cycles(p: Problem, vectors: int, points: int) -> float:
    """Cycles from a tile's sums to its output; plain outputs are stored by element."""
    if p.plain_output:
        return points * vectors * (ELEMENT_CYCLES * p.lanes)
    return p.machine.finish_cycles(vectors, points)


def used_weights(p: Problem, config: DirectConfig) -> int:
    """Bytes of weights that are read from one use of a panel, or of its chunk, to the next.

    Cut by pixels, a tile goes through all panels.
    """
    shape = p.shape
    panel = config.vectors * p.lanes * shape.depth * 4
    if config.chunk:
        return panel * config.chunk // shape.channels
    return shape.depth * shape.features * 4 if config.order == "pixels" else panel


def waited_share(p: Problem, config: DirectConfig) -> float:
    """How much of the time that weights take from the third-level cache is waited for them."""
    if config.chunk and config.band >= config.vectors:
        return PREFETCHED
    return WAITED if p.machine.broadcast_operand else NARROW_WAITED


def sum_cycles(p: Problem, config: DirectConfig) -> float:
    """Cycles of a vector of partial sums, chunk by chunk: in which cache is it found again?"""
    if p.machine.broadcast_operand:
        return SUM_CYCLES
    shape, features = p.shape, config.vectors * p.lanes
    _, pixels = band_units(p, config.rows, config.cols)
    outputs = config.band * pixels
    inputs = outputs * math.prod(map(min, shape.stride, shape.kernel))
    weights = features * math.prod(shape.kernel)
    between = 4 * (config.chunk * (inputs + weights) + outputs * features)
    return NARROW_SUM_CYCLES if between <= p.machine.l1 else NARROW_SUM_CYCLES_FROM_L2


def waits_for_pixels(p: Problem, image: int, pixels: int) -> float:
    """What bands of so many pixels wait for the image where it comes from the third-level cache.

    Nothing else is done while a band's prologue is computed. The first pixels have been fetched
    meanwhile: a core's prefetcher goes on in every block of channels where the last band ended.
    """
    if image <= p.machine.l2 // 2:
        return 0.0
    layout = image_layout(p.parts)
    lines = pixels * (layout.block(1) if layout else 1) * 4 / LINE
    return image * max(0.0, 1 - AHEAD / lines) / L3_BYTES_PER_CYCLE


def shared_cycles(image: int, weights: int, order: str, threads: int) -> float:
    """What a thread waits for because another core has it, or has to read as well.

    Cut by pixels, every thread reads all weights, but of the image what it has itself computed in
    the layer before, if that was cut so too. Cut by features, it is the other way around.
    """
    others = 1 - 1 / threads
    if order == "pixels":
        return weights * others / L3_BYTES_PER_CYCLE
    return image * others / REMOTE_BYTES_PER_CYCLE


def kept_share(shape: ConvShape) -> float:
    """The share of window rows that lie inside the image, over all rows of the output."""
    inside = 0
    for row in range(shape.rows):
        for tap in range(shape.kernel[0]):
            at = row * shape.stride[0] + tap * shape.dilation[0] - shape.begin[0]
            inside += 0 <= at < shape.height
    return max(inside, 1) / (shape.rows * shape.kernel[0])
