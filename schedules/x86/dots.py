"""Matrix product by dot products: vectors along K, one horizontal sum an element of the result.

    parallel (batch, panel, band): for strip of rows:
        for k by lanes: part[row, column, lanes] += a[row, k + lanes] * b[column, k + lanes]
        part's halves, quarters, … added; epilogue; store

For operands that both stand along K: a transposed second one that is not known at compile time (a
few rows of it are read as they are, nothing is packed), and one of a single column. A second
operand of few columns is turned first, a constant one when the model is compiled: its columns would
leave most lanes of a vector empty. What is left over of a vector at the end of K is the last whole
vector, without the lanes that have been added. Tiles at the ends are moved back (see `products`).

Limit: the memory that B streams from for few rows, or A for few columns; for many of both the load
ports, and horizontal sums where K is short.

Measured on a 2-core Zen 5 (AVX-512, two threads, November 2026), microseconds; in brackets by the
panels of `batch_matmul` and `matmul`:

    1 x 1024 x 1000, B transposed    23    177 GB/s   (593)
    1 x 4096 x 1000                  79    208 GB/s  (2757)
    4 x 1024 x 1000                  25               (177)
    16 x 1024 x 1000                 86               (225)
    12 heads, 1 x 64 x 512          5.4                (54)
    1000 x 1000 x 1                  22    186 GB/s    (93)
    4096 x 768 x 3                   61    206 GB/s   (380)
    4096 x 768 x 15                 208               (405)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import s_tir, te, tirx

from ...ir.dtypes import DType
from ...ir.graph import Node, Value
from ...ir.op import Pattern
from ...ir.types import TensorType
from ..common import workspace_bytes
from ..in_place import same_elements
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, NotApplicable, Pack, knob, require
from ..view import View
from .anchored import Anchored, anchored, epilogue_packs, is_heavy, lower_anchored
from .batch_matmul import BatchMatmul, batch_index
from .matmul import MatmulPacked
from .moves import PASS_CONFIG, axes_of, unroll_loops, unroll_tile
from .products import LANES, SHORT, Accumulated, Tiles, flat_stage, store_tiles
from .ranked import Ranked
from .tiles import (
    FMA_LATENCY,
    L2_BYTES_PER_CYCLE,
    L3_BYTES_PER_CYCLE,
    LOAD_PORTS,
    LOOP_CYCLES,
    NARROW,
    TILE_CYCLES,
    WAITED,
    Machine,
    balance,
    chunks,
    overlapped,
    rounds,
    waits_for_weights,
)

__all__ = ["Dots"]

MOST_ROWS = 8
MOST_COLUMNS = 16
STEPS = 2  # vectors of K that are unrolled
SUM_CYCLES = 5.0  # of a horizontal sum: a shuffle and an addition for each halving
TURN_CYCLES = 1.5  # an element of B that is turned


@dataclass(frozen=True)
class DotsConfig(Knobs):
    """Knobs of Dots.

    Attributes:
        rows: Rows of A in a tile.
        cols: Columns of B in a tile.
        inner: Vectors of K that are unrolled; divides those of K.
        lanes: Lanes of a vector, at most the machine's and K.
        band: Tiles of rows of a task.
    """

    rows: int = knob(4, choices=(1, 2, 4, 6, 8))
    cols: int = knob(4, choices=(1, 2, 4, 6, 8, 16))
    inner: int = knob(2, choices=(1, 2, 4))
    lanes: int = knob(16, choices=(4, 8, 16))
    band: int = knob(1, choices=(1, 2, 4, 8))


@dataclass(frozen=True)
class Problem:
    """A task as this template sees it: [batch, rows, depth] times [batch, depth, cols].

    Attributes:
        turned: Whether B does not stand along K: it is turned first.
        constant: Whether B is known at compile time.
    """

    parts: Anchored
    machine: Machine
    batch: tuple[int, ...]
    rows: int
    cols: int
    depth: int
    turned: bool
    constant: bool

    @property
    def batches(self) -> int:
        return math.prod(self.batch)

    @property
    def few_columns(self) -> bool:
        """Whether B stays in cache: then a band of A is used for all panels before the next."""
        return self.cols <= MOST_COLUMNS

    def tiles(self, config: DotsConfig) -> Tiles:
        axes, lanes = (self.rows,), 1
        return Tiles(self.batch, axes, self.cols, config.rows, config.cols, lanes, config.band)


def problem(task: Task) -> Problem:
    """Take the task apart. Raises NotApplicable."""
    parts = anchored(task, "matmul", constant_weight=False, movement=True)
    attrs: Any = parts.node.attrs
    plain = all(value.layout is None for value in (parts.output, *task.body.inputs))
    require(plain, "an operand is not row-major")
    machine = Machine.of(task.target)
    a, b, y = parts.data, parts.weight, parts.node.output.type
    rows, cols = y.shape[-2:]
    depth = a.shape[-2] if attrs.transpose_a else a.shape[-1]
    require(depth >= SHORT, f"K = {depth} does not fill a vector")
    arithmetic = [n.op for n in parts.prologue if n.definition.pattern is Pattern.ELEMENTWISE]
    require(len(arithmetic) <= 2, "the prologue is too long to be computed again for every tile")
    along = not attrs.transpose_a or (rows == 1 and a.node.op == "input")
    require(along and _keeps_last(parts, a), "rows of A do not stand along K")
    known = b in [task.body.inputs[i] for i in task.constants]
    constant = known and task.body.n_uses(b) == 1
    if attrs.transpose_b:
        turned = not _keeps_last(parts, b)
    else:
        turned = cols > 1 or b.node.op != "input"
    require(
        not (turned or known) or cols <= MOST_COLUMNS, f"{cols} columns of B are packed in panels"
    )
    return Problem(parts, machine, y.shape[:-2], rows, cols, depth, turned, constant)


def _keeps_last(parts: Anchored, value: Value) -> bool:
    """Whether neighbours along a value's last axis are neighbours in memory."""
    while value.node in parts.prologue:
        node = value.node
        if node.definition.pattern is Pattern.ELEMENTWISE:
            sources = [v for v in node.inputs if v.shape == node.output.shape]
            if len(sources) != 1:
                return False
            value = sources[0]
            continue
        if not _moves_rows(node):
            return False
        value = node.inputs[0]
    return value.node.op == "input"


def _moves_rows(node: Node) -> bool:
    attrs: Any = node.attrs
    if node.op == "transpose":
        return bool(attrs.perm[-1] == len(attrs.perm) - 1)
    return node.op == "slice" and all(step == 1 for step in attrs.steps)


class Dots(Ranked[Problem, DotsConfig]):
    """See the module's docstring."""

    name = "matmul_f32_dots__x86"
    Config = DotsConfig

    def problem(self, task: Task) -> Problem:
        return problem(task)

    def prefer(self, task: Task) -> None:
        p = problem(task)
        other: Any = MatmulPacked() if p.constant else BatchMatmul()
        try:
            theirs = other.cycles(task, other.default(task))
        except NotApplicable:
            return
        own = self.cycles(task, self.default(task))
        require(own < theirs, f"by the model {own:.0f} cycles, {theirs:.0f} of {other.name}")

    def configs(self, p: Problem) -> Iterator[DotsConfig]:
        lanes = min(p.machine.lanes, 1 << (p.depth.bit_length() - 1))
        inner = math.gcd(p.depth // lanes, STEPS)
        for rows in chunks(p.rows, MOST_ROWS):
            for cols in chunks(p.cols, MOST_COLUMNS):
                if registers(rows, cols) > p.machine.registers:
                    continue
                strips = rounds(p.rows, rows)
                for parts in (1, 2, 4, 8, 32, 128):
                    band = rounds(strips, parts)
                    if rounds(strips, band) == parts:
                        yield DotsConfig(rows, cols, inner, lanes, band)

    def cost(self, p: Problem, config: DotsConfig, threads: int) -> float:
        tiles, machine = p.tiles(config), p.machine
        batches, panels, height, *_ = tiles.shape
        strips = height // config.rows
        bands = strips // config.band
        work = config.rows * config.cols / machine.ports
        loads = (config.rows + config.cols) / LOAD_PORTS
        step = max(work, loads, FMA_LATENCY) + LOOP_CYCLES / config.inner
        step *= NARROW if config.lanes < machine.lanes else 1.0
        sums = config.rows * config.cols * SUM_CYCLES
        body = strips * (rounds(p.depth, config.lanes) * step + sums + TILE_CYCLES)
        line = p.depth * 4  # bytes of a row of either
        held = (config.cols + config.rows) * line <= machine.l1 * 3 // 4
        moved = (1 if held else strips) * config.cols * line / L2_BYTES_PER_CYCLE
        total = batches * panels * overlapped(body, moved + again(p, config, panels))
        total *= balance(batches * panels * bands, threads)
        weights = p.cols * p.depth * 4
        if p.constant:
            return total + waits_for_weights(weights, WAITED, 0)
        return total + (TURN_CYCLES * weights / 4 * threads if p.turned else 0.0)

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        p = problem(task)
        packs = epilogue_packs(p.parts)
        if p.turned and p.constant:
            packs[p.parts.weight_position] = turned_pack(p.parts.weight)
        return packs

    def in_place(self, task: Task, config: Knobs) -> tuple[int, ...]:
        assert isinstance(config, DotsConfig)
        return same_elements(task) if problem(task).tiles(config).divide else ()

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, DotsConfig)
        p = problem(task)
        validate(p, config)
        tiles = p.tiles(config)
        sch = s_tir.Schedule(compute(p, config, tiles, self.packs(task, config)))
        schedule(sch, config, p)
        function = store_tiles(sch.mod["main"], tiles, p.parts)
        return Lowered((function,), workspace_bytes(function), PASS_CONFIG)


def registers(rows: int, cols: int) -> int:
    """Vector registers of a tile: sums, the operands of the shorter side and one of the other."""
    return rows * cols + min(rows, cols) + 1


def again(p: Problem, config: DotsConfig, panels: int) -> float:
    """Cycles of a panel to read A: all of it, or the band that has just been read."""
    size = p.rows * p.depth * 4
    kept = config.band * config.rows * p.depth * 4 if p.few_columns else size
    if kept <= p.machine.l1 // 2:
        return 0.0
    slow = panels > 1 and kept > p.machine.l2 // 2
    return size / (L3_BYTES_PER_CYCLE if slow else L2_BYTES_PER_CYCLE)


def validate(p: Problem, config: DotsConfig) -> None:
    """Raises InvalidConfig if the config is not legal for the problem."""

    def need(condition: bool, reason: str) -> None:
        require(condition, reason, InvalidConfig)

    need(min(config.rows, config.cols, config.inner, config.band) >= 1, "a size is below 1")
    need(config.lanes in LANES and config.lanes >= 2, f"vectors of {config.lanes} lanes")
    need(config.lanes <= p.machine.lanes, "a vector is too long")
    need(config.lanes <= p.depth, f"a vector exceeds K = {p.depth}")
    need(p.depth // config.lanes % config.inner == 0, f"inner does not divide K = {p.depth}")
    need(config.rows <= p.rows, f"a tile exceeds {p.rows} rows")
    need(config.cols <= p.cols, f"a tile exceeds {p.cols} columns")
    need(config.band <= rounds(p.rows, config.rows), "a band exceeds the rows")
    need(config.rows * config.cols <= 2 * p.machine.registers, "far too many accumulators")


def turned_pack(weight: Value) -> Pack:
    """B as [*batch, cols, K]."""
    *batch, m, n = weight.shape
    type = TensorType(DType.F32, (*batch, n, m))
    return Pack(type, lambda array: np.ascontiguousarray(array.swapaxes(-1, -2)), "turned")


# --- the compute ------------------------------------------------------------------------------


def compute(p: Problem, config: DotsConfig, tiles: Tiles, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: [turned ->] part [-> ends] -> half_8 -> … -> half_1 -> flat."""
    stages: list[Any] = []

    def anchor(operands: list[View], context: Any) -> View:
        result = Accumulated(p.parts.node.output.shape, sums(p, config, tiles, *operands))
        stages.append(result)
        return result

    def stage(core: View) -> View:
        stages.append(flat_stage(tiles, core, stages[0], len(tiles.shape)))
        return core

    body = lower_anchored(p.parts, packs, anchor, stage)
    return te.create_prim_func([*body.inputs, stages[-1]])


def sums(p: Problem, config: DotsConfig, tiles: Tiles, a: View, b: View) -> Any:
    """sum[batch, panel, row, column, 1] over whole tiles."""
    attrs: Any = p.parts.node.attrs
    lanes, steps = config.lanes, p.depth // config.lanes

    def left(n: Any, row: Any, k: Any) -> Any:
        place = (k, tiles.row(row)) if attrs.transpose_a else (tiles.row(row), k)
        return a(*batch_index(n, p.batch, a.shape[:-2]), *place)

    def along(*at: Any) -> Any:
        *batch, column, k = at
        return b(*batch, *((column, k) if attrs.transpose_b else (k, column)))

    b_batch = p.parts.weight.shape[:-2]
    right: Any = along
    if p.turned:  # a constant one stands so in memory: see `turned_pack`
        turned = (*b_batch, p.cols, p.depth)
        right = b.tensor if p.constant else te.compute(turned, along, name="turned")
    ko = te.reduce_axis((0, steps // config.inner), "ko")
    ki = te.reduce_axis((0, config.inner), "ki")

    def product(*at: Any) -> Any:
        n, panel, row, column, k = at
        place = batch_index(n, p.batch, b_batch)
        return left(n, row, k) * right(*place, tiles.start(panel) + column, k)

    def element(*at: Any) -> Any:
        k = (ko * config.inner + ki) * lanes + at[-1]
        return te.sum(product(*at[:-1], k), axis=[ko, ki])

    held = te.compute((*tiles.shape[:-1], lanes), element, name="part")
    rest = p.depth % lanes
    if rest:
        held = _with_ends(held, product, p.depth - lanes, lanes - rest)
    while (size := int(held.shape[-1])) > 1:
        held = _halved(held, size // 2)
    return held


def _with_ends(part: Any, product: Any, start: int, known: int) -> Any:
    """part + the last vector of K, of which the first `known` lanes have been added already."""

    def element(*at: Any) -> Any:
        value = product(*at[:-1], start + at[-1])
        return part(*at) + tirx.Select(at[-1] >= known, value, tirx.const(0, "float32"))

    return te.compute(part.shape, element, name="ends")


def _halved(held: Any, size: int) -> Any:
    def element(*at: Any) -> Any:
        return held(*at) + held(*at[:-1], at[-1] + size)

    return te.compute((*held.shape[:-1], size), element, name=f"half_{size}")


# --- the schedule -----------------------------------------------------------------------------


def schedule(sch: Any, config: DotsConfig, p: Problem) -> None:
    """parallel(batch, panel, band): for strip: ko ki unrolled(row, column) lane; halves; out."""
    if p.turned and not p.constant:
        _turn(sch, sch.get_sblock("turned"))
    part, total, out = (sch.get_sblock(name) for name in ("part", "half_1", "flat"))
    n, panel, row, column, lane = sch.get_loops(total)
    band, strip, inner = sch.split(row, [None, config.band, config.rows])
    shared = [band, panel] if p.few_columns else [panel, band]
    sch.reorder(n, *shared, strip, inner, column, lane)
    sch.parallel(sch.fuse(n, *shared))
    unroll_loops(sch, (inner, column), lane)
    sizes = [1 << i for i in range(1, config.lanes.bit_length() - 1)]
    ends = ("ends",) if p.depth % config.lanes else ()
    for name in (*(f"half_{size}" for size in sizes), *ends):
        block = sch.get_sblock(name)
        sch.compute_at(block, strip, preserve_unit_loops=True)
        unroll_tile(sch, block)
    sch.compute_at(part, strip, preserve_unit_loops=True)
    *_, row, column, lane, ko, ki = axes_of(sch, part)
    sch.reorder(ko, ki, row, column, lane)
    unroll_loops(sch, (ki, row, column), lane)
    sch.reverse_compute_at(out, strip, preserve_unit_loops=True)
    if is_heavy(p.parts):
        *_, column, lane = axes_of(sch, out)
        sch.vectorize(sch.fuse(column, lane))
    else:
        unroll_tile(sch, out)
    sch.decompose_reduction(part, ko)


def _turn(sch: Any, block: Any) -> None:
    """Rows of the few columns, written one after the other."""
    *outer, _ = sch.get_loops(block)
    sch.parallel(sch.fuse(*outer))
