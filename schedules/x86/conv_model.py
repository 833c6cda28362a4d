"""Which config a direct convolution gets: its modelled cycles."""

from __future__ import annotations

import math

from .conv_nest import Problem
from .conv_shape import ConvShape, channel_block
from .tiles import balance, chunks, rounds

__all__ = ["Knobs", "cost", "ranked"]

MOST_ROWS = 4
CHANNEL_STEPS = 16  # at most this many channels in the innermost reduction loop

Knobs = tuple[int, int, int, int, int, int, str]  # vectors, rows, cols, inner, chunk, band, order


def ranked(p: Problem, threads: int) -> list[Knobs]:
    """Configs from the cheapest by the model on."""
    costs: dict[Knobs, float] = {}
    shape = p.shape
    blocks = rounds(shape.group_features, p.lanes)
    inner = inner_channels(p)
    for vectors in range(1, min(blocks, 8) + 1):
        if shape.groups > 1 and blocks % vectors:
            continue
        for cols in chunks(shape.cols, p.machine.registers):
            for rows in range(1, most_rows(shape, cols) + 1):
                if not p.machine.fits(vectors, rows * cols):
                    continue
                for order in ("features", "pixels"):
                    knobs = (vectors, rows, cols, inner, 0, 1, order)
                    costs[knobs] = cost(p, knobs, threads)
    return sorted(costs, key=lambda c: costs[c])


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


def cost(p: Problem, knobs: Knobs, threads: int) -> float:
    """Cycles of the slowest thread by the model."""
    vectors, rows, cols, _, _, _, order = knobs
    shape, machine = p.shape, p.machine
    tiles = shape.groups * rounds(shape.group_features, vectors * p.lanes)
    bands, strips = rounds(shape.rows, rows), rounds(shape.cols, cols)
    points = rows * cols
    weights = vectors * p.lanes * shape.depth * 4
    step = machine.step_cycles(vectors, points, weights <= machine.l1 // 4)
    # An epilogue of a few instructions per vector and a burst of stores that the store queue must
    # take; plain outputs are stored by element.
    burst = 1 + points * vectors / machine.registers
    finish = points * vectors * (1.5 * p.lanes if p.plain_output else 2.0 * burst)
    body = tiles * bands * strips * shape.batch * (shape.depth * step + finish + 10)
    # Operands that do not stay in the second-level cache stream again from beyond it.
    image = shape.batch * shape.groups * shape.channels * shape.height * shape.width * 4
    total = shape.depth * shape.features * 4
    visits = shape.batch * bands * (strips if p.row is not None else 1)
    if order == "features":
        again = machine.stream_cycles(image, tiles - 1)
    else:
        again = machine.stream_cycles(total, visits - 1) + 0.01 * body
    return max(body + again / 16, again) * balance(visits * tiles, threads)
