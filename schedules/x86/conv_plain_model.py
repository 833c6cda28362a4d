"""Which configs a convolution of plain images has, and their modelled cycles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .conv_plain_nest import ConvPlainConfig, Problem, band_of, row_vector, tiles_of
from .tiles import (
    TILE_CYCLES,
    WAITED,
    balance,
    chunks,
    overlapped,
    rounds,
    waits_for_weights,
)

__all__ = ["configs", "cost"]

MOST_FEATURES = 14
MOST_VECTORS = 8
MOST_SHARED = 16  # tasks that share bands; more are made by bands alone
ROW_CYCLES = 6.0  # of a row of the copy: its loop and its borders


def configs(p: Problem) -> Iterator[ConvPlainConfig]:
    """What the default is chosen from: tiles that fit the registers."""
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


def cost(p: Problem, config: ConvPlainConfig, threads: int) -> float:
    """Cycles of all threads together, times the imbalance."""
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
