"""Plain loops: always applicable, the oracle for the other templates.

Every stage is one loop nest over its stored shape, reductions innermost and serial. From level 2
on (where nothing better applies) the innermost contiguous loop is vectorized if nothing in it
branches. Not fast: it is the fallback.

Limit: memory, and for products the loads (no register tiles). Not tuned for, so not measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...ir import levels
from ...ir.dtypes import DType
from .. import common
from ..lower import channel_packs, lower_body
from ..task import Task
from ..template import Knobs, Lowered, Pack, Template, knob

GRAIN = 16384  # scalar operations that a thread is worth waking for


@dataclass(frozen=True)
class PlainConfig(Knobs):
    vectorize: bool = knob(False, choices=(False, True), help="vectorize innermost loops")
    parallel: bool = knob(True, choices=(False, True), help="spread big stages over threads")


class PlainTemplate(Template):
    name = "any_plain__generic"
    Config = PlainConfig

    def check(self, task: Task) -> None:
        """Takes everything."""

    def default(self, task: Task) -> PlainConfig:
        return PlainConfig(vectorize=task.level >= levels.FUSED and task.target.vector_bits > 0)

    def space(self, task: Task) -> Iterable[PlainConfig]:
        default = self.default(task)
        yield default
        for vectorize in (False, True):
            for parallel in (False, True):
                config = PlainConfig(vectorize, parallel)
                if config != default:
                    yield config

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        return channel_packs(task) if task.level >= levels.FUSED else {}

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, PlainConfig)
        body = lower_body(task, packs=self.packs(task, config), copy_outputs=False)
        sch = body.schedule()
        for name in (*body.stages, *body.output_blocks):
            schedule_stage(sch, name, task, config)
        return common.finish(sch, task, partition=config.vectorize)


def schedule_stage(sch: Any, name: str, task: Task, config: PlainConfig) -> None:
    """for a: for b: for c: for k  →  parallel ab: for c: for k"""
    block = sch.get_sblock(name)
    loops = sch.get_loops(block)
    if not loops or not is_regular(sch, block):
        return
    spatial, reduction = common.spatial_loops(sch, block)
    work = math.prod(common.extent(sch, loop) for loop in (*spatial, *reduction))
    if not spatial or work == 0:
        return
    if config.vectorize and not reduction and is_straight(sch, block):
        vectorize_innermost(sch, spatial, task.target.lanes(DType.F32))
    parallel = config.parallel and task.threads > 1 and work >= GRAIN * task.threads
    if parallel:
        outer = spatial[: max(1, len(spatial) - 1)]
        sch.parallel(common.fuse_all(sch, outer))


def is_regular(sch: Any, block: Any) -> bool:
    """Whether a block is a te.compute: one iteration variable a loop (te.extern has none)."""
    return len(sch.get(block).iter_vars) == len(sch.get_loops(block))


def is_straight(sch: Any, block: Any) -> bool:
    """Whether a block's expression has neither branches nor calls that do not vectorize."""
    text = sch.get(block).script()
    return "if_then_else" not in text and "call_extern" not in text


def vectorize_innermost(sch: Any, spatial: list[Any], lanes: int) -> None:
    """for c  →  for co: vectorized ci"""
    inner = spatial[-1]
    size = common.extent(sch, inner)
    if len(spatial) == 1 or size < lanes:
        return
    if size == lanes:
        sch.vectorize(inner)
    else:
        _, lane = sch.split(inner, [None, lanes])
        sch.vectorize(lane)
