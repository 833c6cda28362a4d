"""Matrix product of two variable operands, batched (attention).

Every task computes one panel of the columns: the outer product of `matmul` over rows of A. Rows of
B are read in place where they are few times; else, and always where B is transposed, a task first
packs its panel (K x vectors x lanes). Batch axes broadcast as numpy's do. Tiles at the ends are
moved back (see `products`).

Limit: FMA ports for >= 64 rows; the memory that B streams from for few.

Measured on a Zen 4 (AVX-512 on 256-bit data paths, 3.6 GHz; one thread, CPU time; peak 116.6
Gflop/s = 32 flops a cycle, by an FMA loop in the same run, November 2026), share of
peak, 12 heads: scores 128 x 64 x 128 83 %, context 128 x 128 x 64 99 %; context of 197 tokens 99 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import s_tir, te

from ..common import workspace_bytes
from ..flat_index import unravel
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, knob, require
from ..view import View
from .anchored import Anchored, anchored, epilogue_packs, is_heavy, lower_anchored
from .matmul import DEPTH_STEPS
from .moves import PASS_CONFIG, axes_of, place_output, vectorize_last
from .products import (
    LANES,
    Accumulated,
    Tiles,
    flat_stage,
    register_tiles,
    row_stride,
    store_tiles,
)
from .ranked import Ranked
from .tiles import L2_BYTES_PER_CYCLE, LINE, NARROW, TILE_CYCLES, Machine, balance, rounds

__all__ = ["BatchMatmul"]

MOST_VECTORS = 16


@dataclass(frozen=True)
class BatchMatmulConfig(Knobs):
    """Knobs of BatchMatmul.

    Attributes:
        vectors: Vector registers in a panel of B.
        rows: Rows of A in a tile.
        inner: Steps of K that are unrolled; divides K.
        lanes: Lanes of a vector, at most the machine's and the columns.
        pack: Whether a task copies its panel of B first.
        band: Tiles of rows of a task.
    """

    vectors: int = knob(2, choices=(1, 2, 3, 4, 8, 12))
    rows: int = knob(6, choices=(1, 4, 6, 7, 8, 14))
    inner: int = knob(4, choices=(1, 2, 4, 8))
    lanes: int = knob(16, choices=(4, 8, 16))
    pack: bool = knob(True, choices=(False, True))
    band: int = knob(1, choices=(1, 2, 4, 8))


@dataclass(frozen=True)
class Problem:
    """A task as this template sees it: [batch, rows, depth] times [batch, depth, cols]."""

    parts: Anchored
    machine: Machine
    batch: tuple[int, ...]
    rows: int
    cols: int
    depth: int
    contiguous: bool  # whether rows of B are so in memory as they are
    buffered: bool

    @property
    def batches(self) -> int:
        return math.prod(self.batch)

    @property
    def transposed(self) -> bool:
        attrs: Any = self.parts.node.attrs
        return bool(attrs.transpose_b)

    def tiles(self, config: BatchMatmulConfig) -> Tiles:
        return Tiles(
            self.batch,
            (self.rows,),
            self.cols,
            config.rows,
            config.vectors,
            config.lanes,
            config.band,
        )


def problem(task: Task) -> Problem:
    """Take the task apart. Raises NotApplicable."""
    parts = anchored(task, "matmul", constant_weight=False, movement=True)
    attrs: Any = parts.node.attrs
    plain = all(value.layout is None for value in (parts.output, *task.body.inputs))
    require(plain, "an operand is not row-major")
    a, b, y = parts.data.type, parts.weight, parts.node.output.type
    arithmetic = [n.op for n in parts.prologue if n.definition.pattern.value == "elementwise"]
    require(len(arithmetic) <= 2, "the prologue is too long to be computed again for every panel")
    rows, cols = y.shape[-2:]
    depth = a.shape[-2] if attrs.transpose_a else a.shape[-1]
    contiguous = b.node.op == "input" and not attrs.transpose_b
    machine = Machine.of(task.target)
    return Problem(parts, machine, y.shape[:-2], rows, cols, depth, contiguous, is_heavy(parts))


class BatchMatmul(Ranked[Problem, BatchMatmulConfig]):
    """See the module's docstring."""

    name = "matmul_f32_batched__x86"
    Config = BatchMatmulConfig

    def problem(self, task: Task) -> Problem:
        return problem(task)

    def configs(self, p: Problem) -> Iterator[BatchMatmulConfig]:
        inner = math.gcd(p.depth, DEPTH_STEPS)
        for lanes, vectors, rows in register_tiles(p.machine, p.rows, p.cols, MOST_VECTORS):
            strips = rounds(p.rows, rows)
            for pack in (False, True) if p.contiguous else (True,):
                for parts in (1, 2, 4):
                    band = rounds(strips, parts)
                    if rounds(strips, band) == parts:
                        yield BatchMatmulConfig(vectors, rows, inner, lanes, pack, band)

    def cost(self, p: Problem, config: BatchMatmulConfig, threads: int) -> float:
        tiles, machine = p.tiles(config), p.machine.narrowed(config.lanes)
        batches, panels, height, vectors, _ = tiles.shape
        strips = height // config.rows
        bands = strips // config.band
        in_l1 = held(p, config) <= machine.l1 // 2
        collide = machine.collide(config.rows, row_stride(p.parts))
        step = machine.step_cycles(vectors, config.rows, in_l1, points_in_l1=not collide)
        step *= NARROW if config.lanes < p.machine.lanes else 1.0
        finish = machine.finish_cycles(vectors, config.rows)
        body = strips * (p.depth * step + finish + TILE_CYCLES)
        moved = p.depth * tiles.width * 4 / L2_BYTES_PER_CYCLE
        if config.pack:
            body += bands * p.depth * (tiles.width if p.transposed else 2 * vectors)
        return batches * panels * (body + moved) * balance(batches * panels * bands, threads)

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        return epilogue_packs(problem(task).parts)

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, BatchMatmulConfig)
        p = problem(task)
        validate(p, config)
        tiles = p.tiles(config)
        sch = s_tir.Schedule(compute(p, config, tiles, self.packs(task, config)))
        schedule(sch, config, p)
        function = store_tiles(sch.mod["main"], tiles, p.parts)
        return Lowered((function,), workspace_bytes(function), PASS_CONFIG)


def validate(p: Problem, config: BatchMatmulConfig) -> None:
    """Raises InvalidConfig if the config is not legal for the problem."""

    def need(condition: bool, reason: str) -> None:
        require(condition, reason, InvalidConfig)

    need(min(config.vectors, config.rows, config.inner, config.band) >= 1, "a size is below 1")
    need(config.lanes in LANES, f"vectors of {config.lanes} lanes")
    need(config.lanes <= p.machine.lanes, "a vector is too long")
    need(p.depth % config.inner == 0, f"inner does not divide K = {p.depth}")
    need(config.vectors * config.lanes <= p.cols, f"a panel exceeds {p.cols} columns")
    need(config.rows <= p.rows, f"a tile exceeds {p.rows} rows")
    need(config.band <= rounds(p.rows, config.rows), "a band exceeds the rows")
    need(config.pack or p.contiguous, "rows of B are not contiguous")
    tile = config.vectors * config.rows
    need(tile <= 2 * p.machine.registers, "far too many accumulators")


def held(p: Problem, config: BatchMatmulConfig) -> int:
    """Bytes of the first-level cache that a panel of B takes."""
    width = config.vectors * config.lanes * 4
    if config.pack:
        return width * p.depth
    stride = p.cols * 4
    if stride % LINE:
        return (width + LINE) * p.depth
    # Rows whose distance is a power of two fall into the same sets.
    return width * p.depth * min(math.gcd(stride, p.machine.l1 // 8) // LINE, 8)


# --- the compute ------------------------------------------------------------------------------


def batch_index(index: Any, batch: Sequence[int], shape: Sequence[int]) -> list[Any]:
    """Indices of an operand's batch axes from the flat batch index, by numpy's broadcasting."""
    full = unravel(index, batch)
    own = full[len(full) - len(shape) :]
    return [0 if size == 1 else i for size, i in zip(shape, own, strict=True)]


def compute(p: Problem, config: BatchMatmulConfig, tiles: Tiles, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: [panel ->] acc [-> tile] -> flat."""
    stages: list[Any] = []

    def anchor(operands: list[View], context: Any) -> View:
        acc = accumulate(p, config, tiles, *operands)
        if p.buffered:
            acc = te.compute(acc.shape, lambda *at: acc(*at), name="tile")
        result = Accumulated(p.parts.node.output.shape, acc)
        stages.append(result)
        return result

    def stage(core: View) -> View:
        stages.append(flat_stage(tiles, core, stages[0], len(tiles.shape)))
        return core

    body = lower_anchored(p.parts, packs, anchor, stage)
    return te.create_prim_func([*body.inputs, stages[-1]])


def accumulate(p: Problem, config: BatchMatmulConfig, tiles: Tiles, a: View, b: View) -> Any:
    """acc[batch, panel, row, vector, lane] over whole tiles, from B or its stage `panel`."""
    batches, panels, _, _, lanes = tiles.shape
    attrs: Any = p.parts.node.attrs

    def right(n: Any, panel: Any, k: Any, j: Any) -> Any:
        column = tiles.start(panel) + j
        place = (column, k) if attrs.transpose_b else (k, column)
        return b(*batch_index(n, p.batch, b.shape[:-2]), *place)

    if config.pack:
        shape = (batches, panels, p.depth, tiles.width)
        right = te.compute(shape, right, name="panel")
    ko = te.reduce_axis((0, p.depth // config.inner), "ko")
    ki = te.reduce_axis((0, config.inner), "ki")

    def element(n: Any, panel: Any, row: Any, vector: Any, lane: Any) -> Any:
        k = ko * config.inner + ki
        place = (k, tiles.row(row)) if attrs.transpose_a else (tiles.row(row), k)
        value = a(*batch_index(n, p.batch, a.shape[:-2]), *place)
        return te.sum(value * right(n, panel, k, vector * lanes + lane), axis=[ko, ki])

    return te.compute(tiles.shape, element, name="acc")


# --- the schedule -----------------------------------------------------------------------------


def schedule(sch: Any, config: BatchMatmulConfig, p: Problem) -> None:
    """parallel(batch, panel, band): [panel]; for strip: ko ki unrolled(row, vector) lane."""
    acc, out = sch.get_sblock("acc"), sch.get_sblock("flat")
    n, panel, row, vector, lane, ko, ki = sch.get_loops(acc)
    band, strip, inner = sch.split(row, [None, config.band, config.rows])
    sch.reorder(n, panel, band, strip, ko, ki, inner, vector, lane)
    parallel = sch.fuse(n, panel, band)
    sch.parallel(parallel)
    for loop in (ki, inner, vector):
        sch.unroll(loop)
    sch.vectorize(lane)
    if config.pack:
        pack_panel(sch, parallel, config, p)
    place_output(sch, out, strip, buffered=p.buffered, vectorized=True)
    sch.decompose_reduction(acc, ko)


def pack_panel(sch: Any, parallel: Any, config: BatchMatmulConfig, p: Problem) -> None:
    """The panel under the parallel loop; rows of B are copied as vectors, columns one by one."""
    packed = sch.get_sblock("panel")
    sch.compute_at(packed, parallel, preserve_unit_loops=True)
    k, j = axes_of(sch, packed)[-2:]
    if p.transposed:
        sch.reorder(j, k)
    else:
        vectorize_last(sch, packed, config.lanes)
