"""Which configs a Winograd convolution has, which one it gets, and whether it pays: cycles.

In the unit of `conv_model.cost`: cycles of all threads together, times the imbalance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..template import Knobs, knob
from .conv_nest import Problem
from .tiles import (
    L3_BYTES_PER_CYCLE,
    MEMORY_BYTES_PER_CYCLE,
    TILE_CYCLES,
    balance,
    chunks,
    rounds,
)
from .winograd import TILES

__all__ = ["Grid", "WinogradConfig", "configs", "cost"]

# Instructions of one application of Bᵀ and Aᵀ to a vector each, and what is moved for it besides.
INPUT_STEPS = {2: 4, 4: 12}
OUTPUT_STEPS = {2: 4, 4: 10}
STORE_CYCLES = 2.0  # of a vector that leaves the first-level cache behind a burst of others
EPILOGUE_CYCLES = 4.0  # per vector of results
GUARD_CYCLES = 40.0  # per patch: which of its pixels lie in the padding
MOST_INNER = 4
MOST_STRIPS = 16
# Weights that come from memory are read ahead while others are used, but not all of the time.
UNHIDDEN = 0.4


@dataclass(frozen=True)
class WinogradConfig(Knobs):
    """Knobs of ConvWinograd.

    Attributes:
        m: Results of a tile, m x m.
        vectors: Vector registers of features in a register tile.
        tiles: Image tiles of a register tile.
        inner: Channels of the innermost reduction loop; divides the channels.
        band: Register tiles of a band, whose V and P stand in memory at a time.
        group: Panels (of `vectors` vectors) whose products stand in memory at a time.
        split: Parallel tasks that share the features of a band; each transforms the input itself.
    """

    m: int = knob(4, choices=TILES)
    vectors: int = knob(2, choices=(1, 2, 3, 4))
    tiles: int = knob(14, choices=(4, 7, 8, 14))
    inner: int = knob(4, choices=(1, 2, 4, 8))
    band: int = knob(1, choices=(1, 2, 4, 7))
    group: int = knob(1, choices=(1, 2, 4, 8))
    split: int = knob(1, choices=(1, 2))


@dataclass(frozen=True)
class Grid:
    """How the image is cut into tiles, and the features into panels.

    Attributes:
        m: Pixels of a tile along each axis.
        rows, cols: Tiles of an image.
        tiles: Tiles of all images of the batch, in one row.
        band: Tiles of a band.
        groups: Groups of panels of features, equally many for every share.
    """

    m: int
    rows: int
    cols: int
    tiles: int
    band: int
    groups: int

    @classmethod
    def of(cls, p: Problem, config: WinogradConfig) -> Grid:
        """The tiles and panels of a config."""
        m = config.m
        rows, cols = rounds(p.shape.rows, m), rounds(p.shape.cols, m)
        share = config.split * config.group * config.vectors * p.lanes
        groups = rounds(p.shape.features, share) * config.split
        tiles = p.shape.batch * rows * cols
        return cls(m, rows, cols, tiles, config.tiles * config.band, groups)

    @property
    def points(self) -> int:
        """Products of a tile and pair of channels."""
        return (self.m + 2) ** 2

    @property
    def whole(self) -> int:
        """Tiles of whole bands."""
        return self.bands * self.band

    @property
    def bands(self) -> int:
        return rounds(self.tiles, self.band)


def configs(p: Problem) -> Iterator[WinogradConfig]:
    """What there is to choose from."""
    threads = p.parts.task.threads
    blocks = rounds(p.shape.features, p.lanes)
    inner = max(n for n in range(1, MOST_INNER + 1) if p.shape.channels % n == p.lanes % n == 0)
    for m in TILES:
        total = p.shape.batch * rounds(p.shape.rows, m) * rounds(p.shape.cols, m)
        for vectors in range(1, min(blocks, 6) + 1):
            fitting = [n for n in chunks(total, p.machine.registers) if p.machine.fits(vectors, n)]
            for tiles in fitting:
                if vectors * tiles < p.machine.registers // 3 and tiles < fitting[0]:
                    continue  # too few chains of additions, and there is a larger tile
                for band in _bands(p, m, tiles, total):
                    for split in sorted({1, threads}):
                        panels = rounds(blocks, vectors)
                        if split > panels:
                            continue
                        for group in _groups(rounds(panels, split)):
                            yield WinogradConfig(m, vectors, tiles, inner, band, group, split)


def _bands(p: Problem, m: int, tiles: int, total: int) -> list[int]:
    """Register tiles of a band: V of the band stays in L2, or it is a large part of the image."""
    strips = rounds(total, tiles)
    each = (m + 2) ** 2 * tiles * p.shape.channels * 4
    most = p.machine.l2 // 2 // each
    near = {rounds(strips, rounds(strips, n)) for n in range(1, min(most, MOST_STRIPS) + 1)}
    far = {n for n in (rounds(strips, parts) for parts in (1, 2, 3, 4)) if n * each <= p.machine.l3}
    return sorted(near | far | {1})


def _groups(panels: int) -> list[int]:
    return sorted({1, rounds(panels, 2), panels})


def memory_cycles(size: int) -> float:
    """Cycles of one core to read bytes that are in no cache."""
    return size / MEMORY_BYTES_PER_CYCLE


def cost(p: Problem, config: WinogradConfig, threads: int) -> float:
    """Cycles of all threads by the model, with weights that are in no cache."""
    m, vectors, tiles = config.m, config.vectors, config.tiles
    strips, group, split = config.band, config.group, config.split
    shape, machine, lanes = p.shape, p.machine, p.lanes
    grid = Grid.of(p, config)
    share = grid.groups // split * group  # panels of a task
    size, points = m + 2, grid.points
    blocks = rounds(shape.channels, lanes)

    moved = points * grid.band * blocks
    arithmetic = 2 * size * INPUT_STEPS[m] * grid.band * blocks
    taken = arithmetic + STORE_CYCLES * moved + GUARD_CYCLES * grid.band * blocks

    panel = vectors * lanes * shape.channels * 4
    step = machine.step_cycles(vectors, tiles, panel + tiles * shape.channels * 4 <= machine.l1)
    strip = shape.channels * step + vectors * tiles * STORE_CYCLES + TILE_CYCLES
    product = points * share * strips * strip

    results = share * vectors * grid.band
    arithmetic = (size + m) * OUTPUT_STEPS[m]
    given = results * (arithmetic + points + (STORE_CYCLES + EPILOGUE_CYCLES) * m * m)

    # V is read once for every group of panels, the group's products are written and read once.
    image = points * grid.band * shape.channels * 4
    sums = points * grid.band * group * vectors * lanes * 4
    near = machine.l2 // 2
    again = image * share // group / L3_BYTES_PER_CYCLE if image + sums > near else 0.0
    if sums > near:
        again += 2 * sums * share // group / L3_BYTES_PER_CYCLE

    # Every task reads its share of the weights: once from memory, then from where they stay. What
    # does not stay is read from memory by every task.
    total = points * shape.channels * grid.groups * group * vectors * lanes * 4
    own, tasks = total // split, grid.bands * split
    later = max(tasks * own - total, 0)
    first = memory_cycles(total)
    if own > machine.l3:
        first, later = first + memory_cycles(later), 0
    body = tasks * (taken + product + given + again)
    body += later / L3_BYTES_PER_CYCLE / 4 if own > near else 0.0
    return max(body + UNHIDDEN * first, first) * balance(tasks, threads)
