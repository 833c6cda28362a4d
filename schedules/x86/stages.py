"""Stage by stage: reductions that are not over trailing axes, and whatever else nothing takes.

    parallel outer: for r…: unrolled u: vectorized lanes:  acc[u, lanes] ∘= x[…]

Each stage is a loop nest of its own. A reduction whose operands are contiguous (or constant) along
the last stored axis keeps a few vectors of results in registers while the reduction runs outside of
them: sums over channels or batch in plain layouts, and everything over height and width in NCHW16c
(the lanes are channels). Other stages are scheduled as pointwise ones, or left to LLVM.

Limit: memory; for few channels the latency of the one chain of additions. Measured on a 2-core
Zen 4, AVX-512, two threads, November 2026, `leip kernel bench`:

    mean over H, W     f32[1,2048,7,7]@NCHW16c      5 us    80 GB/s
    mean over H, W     f32[1,96,56,56]@NCHW16c      9 us   131 GB/s
    sum over tokens    f32[1,197,768]               6 us   103 GB/s
    instance_norm      f32[1,32,28,28]@NCHW16c      8 us    27 GB/s

Left: reductions over channels of blocked tensors (group_norm, softmax over channels in NCHW16c)
are scalar; softmax over channels in plain layouts is 0.6 ns an element.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...ir.dtypes import DType
from .. import common
from ..lower import channel_packs, lower_body
from ..task import Task
from ..template import Knobs, Lowered, Pack, Template, knob, require
from .access import Walk, walk_of
from .pointwise import GRAIN_US, SMALL, schedule_pointwise
from .pointwise import PointwiseConfig as Pointwise
from .tiles import filled

__all__ = ["StagesTemplate"]


@dataclass(frozen=True)
class StagesConfig(Knobs):
    accumulators: int = knob(4, choices=(1, 2, 4, 8), help="vectors of results at a time")
    threads: bool = knob(True, choices=(False, True), help="spread stages over threads")


class StagesTemplate(Template):
    name = "any_stages__x86"
    Config = StagesConfig

    def check(self, task: Task) -> None:
        require(task.target.arch == "x86", f"target is {task.target.arch}")
        require(task.target.vector_bits >= 128, "no vectors")

    def default(self, task: Task) -> StagesConfig:
        return StagesConfig(threads=task.threads > 1 and common.serial_work(task) >= GRAIN_US)

    def space(self, task: Task) -> Iterable[StagesConfig]:
        default = self.default(task)
        yield default
        for accumulators in (1, 2, 4, 8):
            for threads in (False, True) if task.threads > 1 else (False,):
                if StagesConfig(accumulators, threads) != default:
                    yield StagesConfig(accumulators, threads)

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        return channel_packs(task)

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, StagesConfig)
        body = lower_body(task, packs=self.packs(task, config), copy_outputs=False)
        sch = body.schedule()
        for name in (*body.stages, *body.output_blocks):
            block = sch.get_sblock(name)
            if common.is_reduction(sch, block):
                schedule_reduction(sch, block, config, task.target.lanes(DType.F32))
            else:
                schedule_pointwise(sch, name, task, Pointwise(threads=config.threads))
        return common.finish(sch, task, partition=True)


def schedule_reduction(sch: Any, block: Any, config: StagesConfig, lanes: int) -> None:
    """for s…: for r…  →  parallel s…: for r…: unrolled u: vectorized lanes"""
    walk = walk_of(sch, block)
    spatial, reduction = common.spatial_loops(sch, block)
    if math.prod(walk.extents) < SMALL:
        config = dataclasses.replace(config, threads=False)
    if not spatial or 0 in walk.extents:
        return
    last = _vector_axis(walk, len(spatial))
    lanes = filled(lanes, walk.extents[last])
    if walk.extents[last] < lanes or not _vectorizes(walk, last):
        if config.threads:
            sch.parallel(common.fuse_all(sch, spatial))
        return
    first = _vectorize(sch, spatial[last:], reduction, config, lanes)
    if config.threads:
        # Before the decomposition: afterwards the block is no reduction that TVM would check.
        outer = [*spatial[:last], *first]
        if outer:
            sch.parallel(common.fuse_all(sch, outer))
    init = sch.decompose_reduction(block, reduction[0])
    sch.vectorize(sch.get_loops(init)[-1])


def _vector_axis(walk: Walk, spatial: int) -> int:
    """The last spatial axis that has any length."""
    axis = spatial - 1
    while axis > 0 and walk.extents[axis] == 1:
        axis -= 1
    return axis


def _vectorizes(walk: Walk, axis: int) -> bool:
    """Whether neighbouring results read neighbouring (or equal) places."""
    neighbours = all(access.strides[axis] in (0, 1) for access in walk.reads)
    return walk.write.strides[axis] == 1 and neighbours


def _vectorize(
    sch: Any, last: list[Any], reduction: list[Any], config: StagesConfig, lanes: int
) -> list[Any]:
    """for x: for r  →  for xo: for r: unrolled u: vectorized lanes; gives xo if it can be fused"""
    loop = common.fuse_all(sch, last)
    size = common.extent(sch, loop)
    count = math.gcd(size // lanes, config.accumulators) if size % lanes == 0 else 1
    outer, tile, lane = sch.split(loop, [None, count, lanes])
    sch.reorder(outer, *reduction, tile, lane)
    sch.vectorize(lane)
    sch.unroll(tile)
    if size % lanes:
        sch.annotate(outer, "pragma_loop_partition_hint", True)
        return []
    return [outer]
