"""Reductions over trailing axes, row by row: softmax, layer norm, sums, means, argmax.

    parallel row:
        for k by vectors: part[lanes] ∘= …      each reduction in lanes, then a tree
        …                                       further stages on the row while it is in L1
        for k by vectors: out[row, k] = …

A long row that is alone, or one of few, is shared: each reduction takes the parts of all rows in
parallel, and then folds those of a row.

    parallel (row, part): for k by vectors: part[part, lanes] ∘= …
    for row: for part: fold[lanes] ∘= part[part, lanes]

Every stage of the body that has the row's axes joins the row's loop, so a row is read from memory
once. What is left over of a vector at a row's end (197 columns) is peeled off by LoopPartition.

Limit: exp for softmax (0.23 ns an element and core), memory for the rest. Measured on a 2-core
Zen 4, AVX-512, two threads unless said, November 2026, `leip kernel bench`:

    softmax     f32[1,12,128,128]    46 us   0.24 ns an element (limit 0.12)
    softmax     f32[1,12,197,197]   124 us   0.27
    layer_norm  f32[1,128,768]       12 us    66 GB/s
    add + layer_norm, both written   19 us    83 GB/s
    mean        f32[1,64,56,56] → [1,64]  6 us   139 GB/s
    argmax      f32[64,1000]          6 us    42 GB/s

and on a 2-core Zen 5, in brackets with one thread a row:

    layer_norm  f32[1,1000000]       92 us    (155 us)
    softmax     f32[1,1000000]      117 us    (195 us)
    sum         f32[1,1000000]       17 us     (31 us)
    layer_norm  f32[1,65536]        5.6 us    (6.8 us)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...ir.dtypes import DType
from ...ir.graph import Node
from ...ir.op import Pattern
from .. import common
from ..lower import LoweredBody, lower_body
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Template, knob, require
from .access import walk_of
from .pointwise import GRAIN_US, schedule_pointwise
from .pointwise import PointwiseConfig as Pointwise
from .tiles import balance

__all__ = ["RowsTemplate", "row_axes"]

SHARED = 49152  # elements of a row from which on threads share it
UNEVEN = 1.2  # imbalance of whole rows from which on they do
LONG = 1024  # elements of a row from which on several accumulators pay


@dataclass(frozen=True)
class RowsConfig(Knobs):
    accumulators: int = knob(1, choices=(1, 2, 4), help="vectors of partial results")
    threads: bool = knob(True, choices=(False, True), help="spread rows over threads")
    parts: int = knob(1, choices=(1, 2, 4), help="parts of a row that threads share; 1: none")


class RowsTemplate(Template):
    name = "reduce_any_rows__x86"
    Config = RowsConfig

    def check(self, task: Task) -> None:
        require(task.target.arch == "x86", f"target is {task.target.arch}")
        require(task.target.vector_bits >= 128, "no vectors")
        row_axes(task)
        _main_output(task)

    def default(self, task: Task) -> RowsConfig:
        rows, length = _extents(task)
        pays = task.threads > 1 and _work_us(task) >= GRAIN_US
        few = balance(rows, task.threads) > UNEVEN and length >= SHARED
        accumulators = 4 if length >= 2 * LONG else 2 if length >= LONG else 1
        if pays and few:
            return RowsConfig(accumulators, True, task.threads)
        return RowsConfig(accumulators, pays and rows > 1)

    def space(self, task: Task) -> Iterable[RowsConfig]:
        return dict.fromkeys((self.default(task), *_configs(task, (1, 2, 4))))

    def points(self, task: Task) -> Iterable[RowsConfig]:
        return _configs(task, (1, 2, 4, 8))

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, RowsConfig)
        lanes = task.target.lanes(DType.F32)
        wide = lanes * config.accumulators
        _, length = _extents(task)
        require(
            config.parts >= 1 and config.parts * wide <= max(length, wide),
            "parts are too short",
            InvalidConfig,
        )
        body = lower_body(task, copy_outputs=False, row_lanes=wide, row_parts=config.parts)
        sch = body.schedule()
        if config.parts > 1:
            share_rows(sch, body, config, lanes)
        else:
            join_rows(sch, body, row_axes(task), config, lanes)
        return common.finish(sch, task, partition=True)


def _configs(task: Task, accumulators: Iterable[int]) -> Iterable[RowsConfig]:
    rows, length = _extents(task)
    for count in accumulators:
        for threads in (False, True) if task.threads > 1 else (False,):
            yield RowsConfig(count, threads)
        if balance(rows, task.threads) > 1 and length >= SHARED:
            yield RowsConfig(count, True, task.threads)


def reduced_axes(node: Node) -> tuple[int, ...]:
    """The axes that a reducing op goes over; empty if it is not one that goes over whole axes."""
    rank = node.inputs[0].rank
    attrs: Any = node.attrs
    if node.op.startswith("reduce_"):
        return tuple(sorted(attrs.axes))
    if node.op in ("softmax", "log_softmax", "argmax", "argmin"):
        return (attrs.axis % rank,)
    if node.op in ("layer_norm", "rms_norm"):
        return tuple(range(attrs.axis % rank, rank))
    if node.op == "instance_norm":
        return tuple(range(2, rank))
    return ()


def row_axes(task: Task) -> int:
    """How many leading axes are rows: those before the reduced ones, the same in all reductions.

    Raises:
        NotApplicable: If the body is not of rows.
    """
    reductions = [n for n in task.nodes if n.definition.pattern is Pattern.REDUCTION]
    require(bool(reductions), "nothing is reduced")
    layouts = [v.layout for v in (*task.body.inputs, *task.body.outputs) if v.layout is not None]
    require(not layouts, f"layout {layouts[0] if layouts else ''} is not row-major")
    shapes = set()
    for node in reductions:
        x = node.inputs[0]
        axes = reduced_axes(node)
        trailing = bool(axes) and axes == tuple(range(axes[0], x.rank))
        require(trailing, f"{node.op} goes over axes {list(axes)} of {x.rank}")
        shapes.add((axes[0], x.shape))
    require(len(shapes) == 1, "reductions over different rows")
    first, shape = next(iter(shapes))
    require(0 not in shape, "empty")
    rows = shape[:first]
    seen = False
    for node in task.nodes:
        seen = seen or node in reductions
        if seen and node not in reductions:
            known = node.definition.pattern is Pattern.ELEMENTWISE
            require(known, f"{node.op} after the reduction is not elementwise")
        for value in node.outputs if seen else ():
            require(value.shape[:first] == rows, f"{node.op} leaves the rows {list(rows)}")
    for value in task.body.outputs:
        require(value.shape[:first] == rows, f"output {value.type} is not by rows {list(rows)}")
    return first


def _extents(task: Task) -> tuple[int, int]:
    first = row_axes(task)
    node = next(n for n in task.nodes if n.definition.pattern is Pattern.REDUCTION)
    shape = node.inputs[0].shape
    return math.prod(shape[:first]), math.prod(shape[first:])


def _work_us(task: Task) -> float:
    """One exp or so an element is worth four bytes more of traffic."""
    rows, length = _extents(task)
    return max(common.serial_work(task), rows * length / 4e3)


def join_rows(sch: Any, body: LoweredBody, first: int, config: RowsConfig, lanes: int) -> None:
    """All stages under one loop over the rows; each vectorized along the row."""
    main = body.output_blocks[_main_output(body.task)]
    names = ordered_blocks(body)
    below = [name for name in names if name not in body.output_blocks]
    pointwise = Pointwise(threads=config.threads)
    for name in body.output_blocks:
        if name == main:
            continue
        schedule_pointwise(sch, name, body.task, pointwise)
    row = None
    if first:
        row = common.fuse_all(sch, sch.get_loops(sch.get_sblock(main))[:first])
        for name in reversed(below):
            sch.compute_at(sch.get_sblock(name), row, preserve_unit_loops=True)
        if config.threads:
            sch.parallel(row)
    for name in (*below, main):
        _schedule_part(sch, sch.get_sblock(name), row is not None, lanes)


def share_rows(sch: Any, body: LoweredBody, config: RowsConfig, lanes: int) -> None:
    """Each stage by itself: parallel over rows and their parts, or along the row."""
    pointwise = Pointwise(threads=config.threads)
    for name in ordered_blocks(body):
        block = sch.get_sblock(name)
        if not common.is_reduction(sch, block):
            schedule_pointwise(sch, name, body.task, pointwise)
            continue
        *outer, _, steps = sch.get_loops(block)
        if common.extent(sch, steps) > config.parts and config.threads and outer:
            sch.parallel(common.fuse_all(sch, outer))
        _schedule_part(sch, block, False, lanes)


def _main_output(task: Task) -> int:
    """The output that the reductions lead to.

    Raises:
        NotApplicable: If there are several.
    """
    after: set[Node] = set()
    for node in task.nodes:
        reduces = node.definition.pattern is Pattern.REDUCTION
        if reduces or any(value.node in after for value in node.inputs):
            after.add(node)
    found = [i for i, value in enumerate(task.body.outputs) if value.node in after]
    require(len(found) == 1, f"{len(found)} outputs depend on the reduction")
    return found[0]


def ordered_blocks(body: LoweredBody) -> list[str]:
    """Names of all blocks, producers first."""
    tensors = dict(body.context.tensors)
    tensors.update(zip(body.output_blocks, body.outputs, strict=True))
    wanted = [*body.stages, *body.output_blocks]
    done: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        for tensor in tensors[name].op.input_tensors:
            for other in wanted:
                if tensors[other].same_as(tensor):
                    visit(other)
        done.append(name)

    for name in wanted:
        visit(name)
    return done


def _schedule_part(sch: Any, block: Any, below_row: bool, lanes: int) -> None:
    """One stage of a row: vectors along it; partial results stay in registers."""
    loops = sch.get_loops(block)[1 if below_row else 0 :]
    if common.is_reduction(sch, block):
        *_, lane, steps = loops
        sch.reorder(steps, lane)
        sch.annotate(steps, "pragma_loop_partition_hint", True)
        _vectorize(sch, lane, lanes, unroll=True)
        init = sch.decompose_reduction(block, steps)
        _vectorize(sch, sch.get_loops(init)[-1], lanes, unroll=True)
        return
    long = [loop for loop in loops if common.extent(sch, loop) > 1]
    if not long:
        return
    walk = walk_of(sch, block)
    start = max(walk.run(), len(walk.extents) - len(loops))
    inner = common.fuse_all(sch, loops[start - len(walk.extents) :])
    _vectorize(sch, inner, lanes)


def _vectorize(sch: Any, loop: Any, lanes: int, *, unroll: bool = False) -> None:
    """for k  →  for k by lanes: vectorized lane (and a scalar tail)"""
    size = common.extent(sch, loop)
    if size < lanes:
        if unroll:
            sch.vectorize(loop)
        return
    if size == lanes:
        sch.vectorize(loop)
        return
    outer, lane = sch.split(loop, [None, lanes])
    sch.vectorize(lane)
    if size % lanes:
        sch.annotate(outer, "pragma_loop_partition_hint", True)
    elif unroll:
        sch.unroll(outer)
