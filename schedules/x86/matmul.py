"""Matrix product with a constant right operand: B in panels, an outer product in registers.

B is packed at compile time as [panels, K, vectors, lanes]; a tile of `rows` rows of A times one
panel is accumulated over all of K, the epilogue is computed on it and it is stored once. All axes
of A but the last are one axis of rows. Rows beyond the last are computed again from the last one
and not stored, so that there is one code for all tiles. An output row that is no multiple of the
vector is stored through a small buffer.

Limit: FMA ports where there are >= 8 rows; for one row (gemv) the memory that B streams from.

Where a panel of B does not stay in the first-level cache, K is cut into chunks that do; each is
used for a band of rows before the next, which is prefetched meanwhile. Partial sums stand in
memory.

Measured on a 2-core Emerald Rapids (512-bit, 2.8 GHz, peak 178 Gflop/s a core by an FMA loop in the
same run; two threads, November 2026), share of peak with B in no cache: 128 x 768 x {768, 3072}
92-93 % (75 % without chunks), 197 rows 91-94 %, K = 3072 86 %; 1 x 2048 x 1000: the memory that B
streams from. On a Zen 4 before chunks, compiled for haswell, 80-90 %.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import s_tir, te

from ...ir.dtypes import DType
from ...ir.types import TensorType
from ..common import workspace_bytes
from ..flat_index import unravel
from ..in_place import same_elements
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, knob, require
from ..view import View, materialise
from .anchored import Anchored, anchored, epilogue_packs, is_heavy, lower_anchored
from .moves import PASS_CONFIG, axes_of, parallel_stage, place_output, unroll_loops
from .prefetch import prefetch_next_chunk
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
from .tiles import (
    NARROW,
    PREFETCHED,
    SUM_CYCLES,
    TILE_CYCLES,
    WAITED,
    Machine,
    balance,
    chunks,
    overlapped,
    rounds,
    waits_for_weights,
)

__all__ = ["MatmulPacked"]

DEPTH_STEPS = 4  # multiply-add steps unrolled
MOST_VECTORS = 8
LEAST_ROWS = 8  # below, a product is bound by memory alone


@dataclass(frozen=True)
class MatmulConfig(Knobs):
    """Knobs of MatmulPacked.

    Attributes:
        vectors: Vector registers in a panel of B.
        rows: Rows of A in a tile.
        inner: Steps of K that are unrolled; divides K.
        chunk: Steps of K whose part of B is used for a whole band before the next; divides K.
            0: all of them, and no partial sums in memory.
        band: Tiles of rows of one parallel task.
        order: Which loop is outermost: `panels` (B is read once) or `rows` (A is).
        lanes: Lanes of a vector, at most the machine's and the columns.
    """

    vectors: int = knob(2, choices=(1, 2, 3, 4, 6, 8))
    rows: int = knob(6, choices=(1, 4, 6, 7, 8, 14))
    inner: int = knob(4, choices=(1, 2, 4, 8))
    chunk: int = knob(0, choices=(0, 64, 128, 192, 256))
    band: int = knob(1, choices=(1, 2, 4, 8, 16))
    order: str = knob("panels", choices=("panels", "rows"))
    lanes: int = knob(16, choices=(4, 8, 16))


@dataclass(frozen=True)
class Problem:
    """A task as this template sees it."""

    parts: Anchored
    machine: Machine
    rows: int
    cols: int
    depth: int
    buffered: bool

    def tiles(self, config: MatmulConfig) -> Tiles:
        axes = self.parts.node.output.shape[:-1]
        band, vectors, lanes = config.band, config.vectors, config.lanes
        return Tiles((), axes, self.cols, config.rows, vectors, lanes, band)


def problem(task: Task) -> Problem:
    """Take the task apart. Raises NotApplicable."""
    parts = anchored(task, "matmul", movement=True)
    attrs: Any = parts.node.attrs
    a, b, y = parts.data.type, parts.weight.type, parts.node.output.type
    plain = all(value.layout is None for value in (parts.output, *task.body.inputs))
    require(plain, "an operand is not row-major")
    require(math.prod(b.shape[:-2]) == 1, "the constant operand has batch axes")
    require(not attrs.transpose_a or math.prod(a.shape[:-2]) == 1, "transposed batches of A")
    require(y.shape[:-2] == a.shape[:-2] or y.rank == a.rank, "the constant operand adds axes")
    machine = Machine.of(task.target)
    cols = y.shape[-1]
    depth = b.shape[-1] if attrs.transpose_b else b.shape[-2]
    return Problem(parts, machine, y.size // cols, cols, depth, is_heavy(parts))


class MatmulPacked(Ranked[Problem, MatmulConfig]):
    """See the module's docstring."""

    name = "matmul_f32_packed__x86"
    Config = MatmulConfig

    def problem(self, task: Task) -> Problem:
        return problem(task)

    def configs(self, p: Problem) -> Iterator[MatmulConfig]:
        inner = math.gcd(p.depth, DEPTH_STEPS)
        for lanes, vectors, rows in register_tiles(p.machine, p.rows, p.cols, MOST_VECTORS):
            for chunk in dict.fromkeys((0, chunk_steps(p, vectors * lanes, inner))):
                for band in bands(p, vectors * lanes, rows, chunk):
                    for order in ("panels", "rows"):
                        yield MatmulConfig(vectors, rows, inner, chunk, band, order, lanes)

    def wide(self, p: Problem) -> Iterator[MatmulConfig]:
        longest = math.gcd(p.depth, DEPTH_STEPS)
        most = 2 * p.machine.registers
        for lanes in (n for n in (p.machine.lanes, p.machine.lanes // 2) if n in LANES):
            for vectors in range(1, min(p.cols // lanes, MOST_VECTORS) + 1):
                for rows in chunks(p.rows, most // vectors):
                    for chunk in dict.fromkeys((0, chunk_steps(p, vectors * lanes, longest))):
                        fitting = bands(p, vectors * lanes, rows, chunk)
                        for band in dict.fromkeys((fitting[0], fitting[-1])):
                            for inner in dict.fromkeys((longest, 1)):
                                for order in ("panels", "rows"):
                                    yield MatmulConfig(
                                        vectors, rows, inner, chunk, band, order, lanes
                                    )

    def spilled(self, p: Problem, config: MatmulConfig) -> float:
        return p.machine.spilled(config.vectors, config.rows)

    def cost(self, p: Problem, config: MatmulConfig, threads: int) -> float:
        machine = p.machine.narrowed(config.lanes)
        panels = rounds(p.cols, config.vectors * config.lanes)
        bands = rounds(p.rows, config.rows * config.band)
        strips = bands * config.band
        panel = config.vectors * config.lanes * p.depth * 4
        held = panel * config.chunk // p.depth if config.chunk else panel
        step = machine.step_cycles(
            config.vectors,
            config.rows,
            weights_in_l1=held <= machine.l1 * 3 // 4,
            points_in_l1=not machine.collide(config.rows, row_stride(p.parts)),
        )
        step *= NARROW if config.lanes < p.machine.lanes else 1.0
        finish = machine.finish_cycles(config.vectors, config.rows)
        if config.chunk:
            finish += SUM_CYCLES * config.vectors * config.rows * (p.depth // config.chunk)
        body = panels * strips * (p.depth * step + finish + TILE_CYCLES)
        if config.order == "panels":
            again = machine.stream_cycles(p.rows * p.depth * 4, panels - 1)
        else:
            again = machine.stream_cycles(p.cols * p.depth * 4, bands - 1) + 0.01 * body
        share = PREFETCHED if config.chunk and config.band > 1 else WAITED
        waits = waits_for_weights(p.cols * p.depth * 4, share, bands if config.chunk else 0)
        return (overlapped(body, again) + waits) * balance(panels * bands, threads)

    def space(self, task: Task) -> Iterable[Knobs]:
        best = self.ranked(task)[:10]
        other = {"panels": "rows", "rows": "panels"}
        swapped = [dataclasses.replace(c, order=other[c.order]) for c in best[:4]]
        return list(dict.fromkeys([*best, *swapped]))

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        assert isinstance(config, MatmulConfig)
        p = problem(task)
        packs = epilogue_packs(p.parts)
        packs[p.parts.weight_position] = panel_pack(p, config)
        return packs

    def in_place(self, task: Task, config: Knobs) -> tuple[int, ...]:
        assert isinstance(config, MatmulConfig)
        return same_elements(task) if problem(task).tiles(config).divide else ()

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, MatmulConfig)
        p = problem(task)
        validate(p, config)
        tiles = p.tiles(config)
        sch = s_tir.Schedule(compute(p, config, tiles, self.packs(task, config)))
        schedule(sch, config, p)
        function = store_tiles(sch.mod["main"], tiles, p.parts)
        if is_chunked(p, config):
            weights = function.params[p.parts.weight_position]
            steps = len(("ko", "ki"))
            function = prefetch_next_chunk(
                function, weights, lambda nest: nest.start(nest.bindings[1]), steps
            )
        return Lowered((function,), workspace_bytes(function), PASS_CONFIG)


# --- the model --------------------------------------------------------------------------------


def chunk_steps(p: Problem, width: int, inner: int) -> int:
    """The most steps of K whose part of a panel stays in the first-level cache; 0 if all do."""
    most = p.machine.l1 * 3 // 4 // (width * 4)
    if p.depth <= most or p.rows < LEAST_ROWS:
        return 0
    return max((n for n in range(inner, most + 1, inner) if p.depth % n == 0), default=0)


def bands(p: Problem, width: int, rows: int, chunk: int) -> list[int]:
    """Tiles that may make up a band: its partial sums stay in the second-level cache."""
    if not chunk:
        return [1]
    strips = rounds(p.rows, rows)
    most = max(1, p.machine.l2 // 4 // (rows * width * 4))
    return sorted({n for n in (rounds(strips, parts) for parts in (1, 2, 4, 8)) if n <= most})


def is_chunked(p: Problem, config: MatmulConfig) -> bool:
    """Whether partial sums stand in memory."""
    return 0 < config.chunk < p.depth


def validate(p: Problem, config: MatmulConfig) -> None:
    """Raises InvalidConfig if the config is not legal for the problem."""

    def need(condition: bool, reason: str) -> None:
        require(condition, reason, InvalidConfig)

    need(min(config.vectors, config.rows, config.inner) >= 1, "a size is below 1")
    need(config.lanes in LANES, f"vectors of {config.lanes} lanes")
    need(config.vectors * config.lanes <= p.cols, f"a panel exceeds {p.cols} columns")
    need(config.rows <= p.rows, f"a tile exceeds {p.rows} rows")
    need(config.order in ("panels", "rows"), f"order {config.order} is unknown")
    need(p.depth % config.inner == 0, f"inner does not divide K = {p.depth}")
    chunk = config.chunk or p.depth
    need(p.depth % chunk == 0 and chunk % config.inner == 0, f"chunk does not divide K = {p.depth}")
    strips = rounds(p.rows, config.rows)
    need(1 <= config.band <= strips, f"the band exceeds {strips} tiles of rows")
    need(config.band == 1 or is_chunked(p, config), "bands are for chunks")
    tile = config.vectors * config.rows
    need(tile <= 2 * p.machine.registers, f"{tile} accumulators are far beyond the registers")


def panel_pack(p: Problem, config: MatmulConfig) -> Pack:
    """B as [panels, K / chunk, chunk / inner, inner, vectors, lanes], the last panel moved back."""
    inner, tiles = config.inner, p.tiles(config)
    attrs: Any = p.parts.node.attrs
    transposed = attrs.transpose_b
    depth = p.depth
    chunk = config.chunk or depth
    shape = (tiles.panels, depth // chunk, chunk // inner, inner, config.vectors, config.lanes)

    def apply(array: np.ndarray) -> np.ndarray:
        b = array.reshape(array.shape[-2:])
        b = b.T if transposed else b
        starts = np.minimum(np.arange(tiles.panels) * tiles.width, p.cols - tiles.width)
        panels = [b[:, start : start + tiles.width] for start in starts]
        return np.stack(panels).reshape(shape)

    key = f"panels{shape}{p.cols}{transposed}"
    return Pack(TensorType(DType.F32, shape), apply, key)


# --- the compute ------------------------------------------------------------------------------


def compute(p: Problem, config: MatmulConfig, tiles: Tiles, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: [pre ->] acc [-> tile] -> flat."""
    parts = p.parts
    stages: list[Any] = []

    def anchor(operands: list[View], context: Any) -> View:
        data = operands[0]
        if parts.prologue:
            type = TensorType(parts.data.dtype, data.shape)
            data = View.of_tensor(materialise(data, type, "pre"), type)
        acc = accumulate(p, config, tiles, data, operands[1].tensor)
        if p.buffered and not is_chunked(p, config):
            acc = te.compute(acc.shape, lambda *at: acc(*at), name="tile")
        result = Accumulated(parts.node.output.shape, acc)
        stages.append(result)
        return result

    def stage(core: View) -> View:
        stages.append(flat_stage(tiles, core, stages[0], len(tiles.shape[1:])))
        return core

    body = lower_anchored(parts, packs, anchor, stage)
    return te.create_prim_func([*body.inputs, stages[-1]])


def accumulate(p: Problem, config: MatmulConfig, tiles: Tiles, data: View, panels: Any) -> Any:
    """acc[panel, row, vector, lane], over whole tiles; with chunks the sum of those of all."""
    attrs: Any = p.parts.node.attrs
    chunk = config.chunk or p.depth
    ko = te.reduce_axis((0, chunk // config.inner), "ko")
    ki = te.reduce_axis((0, config.inner), "ki")

    def element(part: Any, panel: Any, row: Any, vector: Any, lane: Any) -> Any:
        k = part * chunk + ko * config.inner + ki
        if attrs.transpose_a:
            value = data(*[0] * (data.rank - 2), k, tiles.row(row))
        else:
            value = data(*unravel(tiles.row(row), data.shape[:-1]), k)
        return te.sum(value * panels[panel, part, ko, ki, vector, lane], axis=[ko, ki])

    shape = tiles.shape[1:]
    if not is_chunked(p, config):
        return te.compute(shape, lambda *at: element(0, *at), name="acc")
    parts = te.compute((p.depth // chunk, *shape), element, name="acc")
    kk = te.reduce_axis((0, p.depth // chunk), "kk")
    return te.compute(shape, lambda *at: te.sum(parts(kk, *at), axis=[kk]), name="sum")


# --- the schedule -----------------------------------------------------------------------------


def schedule(sch: Any, config: MatmulConfig, p: Problem) -> None:
    """panel row vector lane | ko ki  ->  parallel(panel, rows) ko ki unrolled(row, vector) lane;

    with chunks: parallel(panel, band) chunk strip: ko ki unrolled(row, vector) lane."""
    out = sch.get_sblock("flat")
    if p.parts.prologue:
        parallel_stage(sch, sch.get_sblock("pre"), p.machine.lanes)
    chunked = is_chunked(p, config)
    block = sch.get_sblock("sum" if chunked else "acc")
    panel, row, vector, lane, *reductions = sch.get_loops(block)
    outer, strip, inner = sch.split(row, [None, config.band, config.rows])
    shared = [panel, outer] if config.order == "panels" else [outer, panel]
    before, after = (reductions, []) if chunked else ([], reductions)
    sch.reorder(*shared, *before, strip, *after, inner, vector, lane)
    parallel = sch.fuse(*shared)
    sch.parallel(parallel)
    if chunked:
        schedule_chunks(sch, block, strip, reductions[0])
        sch.reverse_compute_at(out, parallel, preserve_unit_loops=True)
        sch.vectorize(axes_of(sch, out)[-1])
    else:
        unroll_loops(sch, (reductions[1], inner, vector), lane)
        place_output(sch, out, strip, buffered=p.buffered, vectorized=True)
        sch.decompose_reduction(block, reductions[0])


def schedule_chunks(sch: Any, total: Any, strip: Any, chunk: Any) -> None:
    """sum += acc, a register tile, for every strip of a chunk."""
    acc = sch.get_sblock("acc")
    *tile, lane = sch.get_loops(total)[-len(("row", "vector", "lane")) :]
    unroll_loops(sch, tile, lane)
    sch.compute_at(acc, strip, preserve_unit_loops=True)
    _, _, row, vector, lane, ko, ki = axes_of(sch, acc)
    sch.reorder(ko, ki, row, vector, lane)
    unroll_loops(sch, (ki, row, vector), lane)
    sch.decompose_reduction(total, chunk)
    sch.decompose_reduction(acc, ko)
