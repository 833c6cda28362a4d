"""Which configs a direct convolution has, and which one it gets: their modelled cycles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..template import Knobs, knob
from .conv_nest import Problem, image_layout
from .conv_shape import ConvShape, channel_block
from .tiles import (
    L2_BYTES_PER_CYCLE,
    L3_BYTES_PER_CYCLE,
    LINE,
    PREFETCHED,
    REMOTE_BYTES_PER_CYCLE,
    WAITED,
    balance,
    chunks,
    overlapped,
    rounds,
)

__all__ = ["DirectConfig", "configs", "cost", "wide"]

MOST_VECTORS = 8  # of a tile
MOST_ROWS = 4
FEW_REGISTERS = 16
# A vector of partial sums: cycles to load, add and store it. In code without FMAs that take
# broadcasts (AVX2) it matters whether the sums stayed in the first-level cache: 384 to 64 channels
# at 14 x 14 (they do not) took 12 % longer in two chunks than whole on a Zen 5, 160 to 960 at 7 x 7
# (they do) 7 % less. `WAITED` of such code follows.
SUM_CYCLES, NARROW_SUM_CYCLES, NARROW_SUM_CYCLES_FROM_L2 = 3.0, 1.5, 5.0
NARROW_WAITED = 1.0
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
            `pixels` (the other way around).
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
    """The most channels whose weights take half of the first-level cache at most.

    Pixels, partial sums and outputs stream through the rest; with three quarters, tiles of few
    pixels lost 12 % (32 of 48 KB). The least chunk may take all of it; beyond, prefetching the next
    one throws out the one in use (7x7 windows, 50 of 32 KB: a third of the speed).

    A chunk of two steps is left out where registers are few: LLVM unrolls it, and then loads
    weights so far ahead that it spills (336 times in 3x3 of 4 x 2: half the speed).

    0 if that is all of them, or if none fits: then nothing is cut.
    """
    step = vectors * p.lanes * math.prod(p.shape.kernel) * 4
    counts = [n for n in range(inner, p.shape.channels, inner) if p.shape.channels % n == 0]
    if p.machine.registers <= FEW_REGISTERS:
        counts = [n for n in counts if n != 2 * inner]
    least = inner if counts and inner * step <= p.machine.l1 else 0
    return max((n for n in counts if n * step <= p.machine.l1 // 2), default=least)


def bands(p: Problem, vectors: int, rows: int, cols: int, chunk: int) -> list[int]:
    """Tiles that may make up a band: what it holds in between stays in the second-level cache."""
    shape = p.shape
    prologue = bool(p.parts.prologue) and p.row is not None
    if not chunk and not prologue:
        return [1]
    tiles = rounds(shape.cols, cols) if p.row is not None else rounds(shape.rows, rows)
    pixels = cols if p.row is not None else rows * rounds(shape.cols, cols) * cols
    held = pixels * 4 * (vectors * p.lanes if chunk else 0)
    if prologue:
        held += pixels * 4 * shape.channels
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


def cost(p: Problem, config: DirectConfig, threads: int) -> float:
    """Cycles of all threads together by the model, times the imbalance."""
    vectors, rows, cols = config.vectors, config.rows, config.cols
    chunk, band, order = config.chunk, config.band, config.order
    shape, machine = p.shape, p.machine
    panels = shape.groups * rounds(shape.group_features, vectors * p.lanes)
    strips = rounds(shape.cols, cols)
    if p.row is not None:
        strips = rounds(strips, band) * band
        down, parallel_bands, tiles = shape.rows, strips // band, strips
    else:
        down = rounds(rounds(shape.rows, rows), band) * band
        parallel_bands, tiles = down // band, down * strips
    points = rows * cols
    depth = shape.depth
    kept = 1.0 if rows > 1 else kept_share(shape)
    panel = vectors * p.lanes * depth * 4
    total = depth * shape.features * 4
    # What is read between two uses of a panel: cut by pixels, a tile goes through all of them.
    if chunk:
        held = panel * chunk // shape.channels
    else:
        held = total if order == "pixels" else panel
    step = machine.step_cycles(vectors, points, held <= machine.l1 // 2)
    # An epilogue of a few instructions per vector and a burst of stores that the store queue must
    # take; plain outputs are stored by element.
    burst = 1 + points * vectors / machine.registers
    finish = points * vectors * (1.5 * p.lanes if p.plain_output else 2.0 * burst)
    if chunk:  # partial sums are loaded, added and stored
        finish += sum_cycles(p, config) * points * vectors * (shape.channels // chunk)
    each = depth * kept * step + finish + 10
    body = panels * tiles * shape.batch * each
    # Operands that do not stay in the second-level cache stream again from beyond it.
    image = shape.batch * shape.groups * shape.channels * shape.height * shape.width * 4
    visits = shape.batch * parallel_bands
    computed = bool(p.parts.prologue) and p.row is not None  # the image, band by band
    if computed:
        body += 4.0 * shape.batch * shape.channels * tiles * points / p.lanes
        body += waits_for_pixels(p, image, points * band)
        order = "pixels"
    if order == "features":
        again = machine.stream_cycles(image, panels - 1)
    else:
        again = machine.stream_cycles(total, visits - 1)
    body += threads * shared_cycles(image, total, order, threads)
    # The first tile of every panel waits for weights from beyond the second-level cache, and the
    # first of every band for those that come from there.
    prefetched = chunk and band >= vectors
    waited = WAITED if machine.broadcast_operand else NARROW_WAITED
    first = total * (PREFETCHED if prefetched else waited) / L3_BYTES_PER_CYCLE
    if chunk:
        first += total * visits / L2_BYTES_PER_CYCLE * 0.25
    tasks = visits if computed else visits * panels
    return (overlapped(body, again) + first) * balance(tasks, threads)


def sum_cycles(p: Problem, config: DirectConfig) -> float:
    """Cycles of a vector of partial sums, chunk by chunk: in which cache is it found again?"""
    if p.machine.broadcast_operand:
        return SUM_CYCLES
    shape, features = p.shape, config.vectors * p.lanes
    across = config.cols if p.row is not None else rounds(shape.cols, config.cols) * config.cols
    outputs = config.rows * config.band * across
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
