"""Stages whose elements depend on no other: elementwise ops and data movement.

    for every stored axis: out = f(in...)
    →  parallel outer: for inner by vectors: vectorized lanes (+ a scalar tail)

The trailing loops that walk through all buffers as one are fused; what is left over of a vector
is peeled off by LoopPartition. A stage that reads along another axis than it writes is tiled, so
that the cache lines it touches are used whole.

Limit: memory bandwidth; for transcendental functions arithmetic. Measured on a 2-core Zen 4
(AVX-512, 1 MB of L2 a core; numpy's copy on one core moves 92 GB/s, reads and writes counted), two
threads unless said, November 2026, `leip kernel bench`:

    add + relu             f32[1,256,56,56]@NCHW16c           57 us   170 GB/s
    bias + relu            f32[1,64,55,55]                     9 us   160 GB/s
    scale by [1,96,1,1]    f32[1,96,56,56]@NCHW16c            16 us   150 GB/s
    concat 128 + 32        f32[1,160,28,28]@NCHW16c            6 us   160 GB/s
    concat of 9 + BN + relu  f32[1,512,14,14]@NCHW16c         10 us    79 GB/s   one thread
    transpose 0213         f32[1,128,12,64]                    5 us   165 GB/s
    resize nearest x2      f32[1,64,28,28]@NCHW16c            14 us    72 GB/s
    exp, tanh, erf / sigmoid, silu, gelu / log, softplus   0.23-0.25 / 0.30-0.32 / 0.48-0.52 ns an
                                                           element and core (libm: 2 to 20)

Left: layout transforms that `layout_squares` does not take, and transpositions that
`transpose_tile` does not take, go element by element within a tile (a third of memory speed).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...ir.dtypes import DType
from ...ir.op import Pattern
from .. import common
from ..in_place import same_elements
from ..lower import channel_packs, lower_body
from ..task import Task
from ..template import Knobs, Lowered, Pack, Template, knob, require
from .access import Walk, walk_of
from .tiles import filled

__all__ = ["MovementTemplate", "PointwiseConfig", "PointwiseTemplate", "schedule_pointwise"]

GRAIN_US = 12.0  # work of a stage, in microseconds of one thread, from which on threads pay
SMALL = 8192  # elements of a stage that are not worth a second thread


@dataclass(frozen=True)
class PointwiseConfig(Knobs):
    vectors: int = knob(4, choices=(1, 2, 4), help="vectors a step of the innermost loop")
    tile: int = knob(16, choices=(8, 16, 32), help="edge of the tiles of a transposition")
    threads: bool = knob(True, choices=(False, True), help="spread over threads")


class PointwiseTemplate(Template):
    """Elementwise bodies."""

    name = "any_pointwise__x86"
    Config = PointwiseConfig
    patterns: tuple[Pattern, ...] = (Pattern.ELEMENTWISE,)

    def check(self, task: Task) -> None:
        require(task.target.arch == "x86", f"target is {task.target.arch}")
        require(task.target.vector_bits >= 128, "no vectors")
        for node in task.nodes:
            movement = node.op in ("layout_transform", "batch_norm")
            known = node.definition.pattern in self.patterns or movement
            require(known, f"{node.op} is {node.definition.pattern.value}")

    def default(self, task: Task) -> PointwiseConfig:
        return PointwiseConfig(threads=task.threads > 1 and common.serial_work(task) >= GRAIN_US)

    def space(self, task: Task) -> Iterable[PointwiseConfig]:
        default = self.default(task)
        yield default
        for vectors in (1, 2, 4):
            for tile in (8, 16, 32):
                for threads in (False, True) if task.threads > 1 else (False,):
                    config = PointwiseConfig(vectors, tile, threads)
                    if config != default:
                        yield config

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        return channel_packs(task)

    def in_place(self, task: Task, config: Knobs) -> tuple[int, ...]:
        operands = same_elements(task)
        if operands and lower_body(task, copy_outputs=False).stages:
            return ()  # a long expression, cut into stages: each of them may read the operand
        return operands

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, PointwiseConfig)
        body = lower_body(task, packs=self.packs(task, config), copy_outputs=False)
        sch = body.schedule()
        for name in (*body.stages, *body.output_blocks):
            schedule_pointwise(sch, name, task, config)
        return common.finish(sch, task, partition=True)


class MovementTemplate(PointwiseTemplate):
    """Data movement, with whatever elementwise ops stand around it."""

    name = "any_movement__x86"
    patterns = (Pattern.ELEMENTWISE, Pattern.INJECTIVE, Pattern.VIEW)


def schedule_pointwise(sch: Any, name: str, task: Task, config: PointwiseConfig) -> None:
    """Schedule one stage by how it walks through memory."""
    block = sch.get_sblock(name)
    loops = sch.get_loops(block)
    extents = [common.extent(sch, loop) for loop in loops]
    if not loops or len(sch.get(block).iter_vars) != len(loops) or math.prod(extents) == 0:
        return
    if math.prod(extents) < SMALL:
        config = dataclasses.replace(config, threads=False)
    walk = walk_of(sch, block)
    lanes = task.target.lanes(DType.F32)
    across = walk.transposed()
    if across is not None:
        _transpose(sch, loops, walk, across, config)
        return
    _stream(sch, block, loops, walk, lanes, config)


def _stream(
    sch: Any, block: Any, loops: list[Any], walk: Walk, lanes: int, config: PointwiseConfig
) -> None:
    """for a: for b: for c: for d  →  parallel ab: for cd by vectors: lanes"""
    start = walk.run() if _is_branchless(sch, block) else len(loops) - 1
    outer, inner = loops[:start], common.fuse_all(sch, loops[start:])
    size = common.extent(sch, inner)
    lanes = filled(lanes, size)
    vectorizable = size >= lanes and _vectorizes(sch, block)
    count = math.prod(common.extent(sch, loop) for loop in outer)
    chunks = _chunks(count, size, lanes) if config.threads else 1
    if vectorizable:
        if chunks > 1:
            chunk, inner = sch.split(inner, [chunks, None])
            outer = [*outer, chunk]
            size //= chunks
        middle, lane = sch.split(inner, [None, lanes])
        sch.vectorize(lane)
        if size % lanes:
            sch.annotate(middle, "pragma_loop_partition_hint", True)
        elif config.vectors > 1 and size // lanes % config.vectors == 0:
            _, unrolled = sch.split(middle, [None, config.vectors])
            sch.unroll(unrolled)
    elif not outer:
        outer = [inner]
    if config.threads and outer:
        sch.parallel(common.fuse_all(sch, outer))


def _chunks(count: int, size: int, lanes: int) -> int:
    """Into how many equal parts of whole vectors the inner loop is cut, to give threads work."""
    enough = 8  # parallel iterations that balance over a few threads
    if count >= enough or size % lanes:
        return 1
    vectors = size // lanes
    wanted = -(-enough // count)
    return next((n for n in range(wanted, min(vectors, 8 * wanted) + 1) if vectors % n == 0), 1)


def _transpose(
    sch: Any, loops: list[Any], walk: Walk, across: int, config: PointwiseConfig
) -> None:
    """for …a…: for b  →  parallel …ao, bo: for bi: for ai (both of `tile`)"""
    last = max(axis for axis, size in enumerate(walk.extents) if size > 1)
    edge = config.tile
    a_outer, a_inner = sch.split(loops[across], [None, edge])
    b_outer, b_inner = sch.split(loops[last], [None, edge])
    rest = [loop for axis, loop in enumerate(loops) if axis not in (across, last)]
    sch.reorder(*rest, a_outer, b_outer, a_inner, b_inner)
    if walk.extents[across] % edge:
        sch.annotate(a_outer, "pragma_loop_partition_hint", True)
    if walk.extents[last] % edge:
        sch.annotate(b_outer, "pragma_loop_partition_hint", True)
    if config.threads:
        sch.parallel(common.fuse_all(sch, rest) if rest else a_outer)


def _is_branchless(sch: Any, block: Any) -> bool:
    """Whether no condition hangs on one loop variable (fused, it would hang on a division)."""
    return "if_then_else" not in sch.get(block).script()


def _vectorizes(sch: Any, block: Any) -> bool:
    """Whether nothing in a stage falls back to one lane at a time, and no unsigned shift.

    TVM 0.27 refuses vectors of those: it folds `0 - n` of their guards, which are what tells them
    from the signed shifts of bfloat16.
    """
    text = sch.get(block).script()
    shifted = "T.uint" in text and ("<<" in text or ">>" in text)
    return "call_extern" not in text and "call_pure_extern" not in text and not shifted
