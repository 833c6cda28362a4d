"""Schedule steps that several x86 templates share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir import levels
from ..common import pass_config

__all__ = [
    "PASS_CONFIG",
    "axes_of",
    "parallel_stage",
    "partition_columns",
    "place_output",
    "unroll_loops",
    "vectorize_last",
]

PASS_CONFIG = pass_config(levels.FUSED, partition=True)  # level 1 has plain loops only
UNROLLED_TILES = 3  # column loops up to this are unrolled, longer ones partitioned


def axes_of(sch: Any, block: Any) -> list[Any]:
    """The loops that belong to a block itself, outermost first."""
    count = len(sch.get(block).iter_vars)
    loops: list[Any] = list(sch.get_loops(block))[-count:]
    return loops


def unroll_loops(sch: Any, loops: Sequence[Any], lane: Any) -> None:
    """for a: for b: for lane  ->  unrolled a: unrolled b: vectorized lane."""
    for loop in loops:
        sch.unroll(loop)
    sch.vectorize(lane)


def unroll_tile(sch: Any, block: Any) -> None:
    """`unroll_loops` of all loops that belong to a block itself."""
    *outer, lane = axes_of(sch, block)
    unroll_loops(sch, outer, lane)


def partition_columns(sch: Any, strip: Any) -> None:
    """Let tiles inside of the image have no guards: `strip` is the loop over tiles of columns."""
    if sch.get(strip).extent.value <= UNROLLED_TILES:
        sch.unroll(strip)
    else:
        sch.annotate(strip, "pragma_loop_partition_hint", True)


def place_output(sch: Any, out: Any, inner: Any, *, buffered: bool, vectorized: bool) -> None:
    """Compute the output's stage under the tile loop `inner`.

    Unbuffered, it reads the accumulators and so is unrolled like them. Buffered, the stage `tile`
    stores them first, in the order in which they are accumulated, and the output's loops stay
    rolled; `vectorized` says whether its last axis is one vector.
    """
    if buffered:
        tile = sch.get_sblock("tile")
        sch.reverse_compute_at(tile, inner, preserve_unit_loops=True)
        unroll_tile(sch, tile)
        sch.reverse_compute_at(out, inner, preserve_unit_loops=True)
        if vectorized:
            sch.vectorize(axes_of(sch, out)[-1])
        return
    sch.reverse_compute_at(out, inner, preserve_unit_loops=True)
    unroll_tile(sch, out)


def parallel_stage(sch: Any, block: Any, lanes: int) -> None:
    """A stage of its own before the kernel proper: parallel outside, vectors inside."""
    *outer, last = axes_of(sch, block)
    if sch.get(last).extent.value > lanes:
        middle, last = sch.split(last, [None, lanes])
        outer.append(middle)
    if outer:
        sch.parallel(sch.fuse(*outer))
    sch.vectorize(last)


def vectorize_last(sch: Any, block: Any, lanes: int) -> None:
    """for j  ->  for vector: vectorized lane (guarded at the end: see `split_tails`)."""
    _, lane = sch.split(axes_of(sch, block)[-1], [None, lanes])
    sch.vectorize(lane)
