"""Matrix product with a constant right operand: B in panels, an outer product in registers.

B is packed at compile time as [panels, K, vectors, lanes]; a tile of `rows` rows of A times one
panel is accumulated over all of K, the epilogue is computed on it and it is stored once. All axes
of A but the last are one axis of rows. Rows beyond the last are computed again from the last one
and not stored, so that there is one code for all tiles. An output row that is no multiple of the
vector is stored through a small buffer.

Limit: FMA ports where there are >= 8 rows; for one row (gemv) the memory that B streams from.

Measured on a Zen 4 (AVX-512 on 256-bit data paths, 3.6 GHz; one thread, CPU time; peak 116.6
Gflop/s = 32 flops a cycle, by an FMA loop in the same run, November 2026), share of
peak: BERT's 128 x 768 x {768, 3072} 93-97 %, 197 rows 92 %, 49 x 768 x 1000 98 %; 1 x 2048 x 1000
39 % (8 MB of B at 90 GB/s from L3). Compiled for haswell 80-90 %.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import s_tir, te, tirx

from ...ir.dtypes import DType
from ...ir.types import TensorType
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, Template, knob, require
from ..view import View, materialise, simplify
from .anchored import Anchored, anchored, epilogue_packs, is_heavy, lower_anchored
from .moves import PASS_CONFIG, parallel_stage, place_output, vectorize_last
from .tails import split_tails
from .tiles import Machine, balance, chunks, rounds

__all__ = ["MatmulPacked"]

DEPTH_STEPS = 4  # multiply-add steps unrolled


@dataclass(frozen=True)
class Config(Knobs):
    """Knobs of MatmulPacked.

    Attributes:
        vectors: Vector registers in a panel of B.
        rows: Rows of A in a tile.
        inner: Steps of K that are unrolled; divides K.
        order: Which loop is outermost: `panels` (B is read once) or `rows` (A is).
    """

    vectors: int = knob(2, choices=(1, 2, 3, 4, 6, 8))
    rows: int = knob(6, choices=(1, 4, 6, 7, 8, 14))
    inner: int = knob(4, choices=(1, 2, 4, 8))
    order: str = knob("panels", choices=("panels", "rows"))


@dataclass(frozen=True)
class Problem:
    """A task as this template sees it."""

    parts: Anchored
    machine: Machine
    rows: int
    cols: int
    depth: int
    whole: bool  # whether an output row is a multiple of the vector
    buffered: bool


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
    require(min(y.shape) > 0 and min(a.shape) > 0, "an operand is empty")
    machine = Machine.of(task.target)
    cols = y.shape[-1]
    whole = cols % machine.lanes == 0
    depth = b.shape[-1] if attrs.transpose_b else b.shape[-2]
    buffered = not whole or is_heavy(parts)
    return Problem(parts, machine, y.size // cols, cols, depth, whole, buffered)


class MatmulPacked(Template):
    """See the module's docstring."""

    name = "matmul_f32_packed__x86"
    Config = Config

    def check(self, task: Task) -> None:
        problem(task)

    def default(self, task: Task) -> Knobs:
        return ranked(problem(task), task.threads)[0]

    def space(self, task: Task) -> Iterable[Knobs]:
        best = ranked(problem(task), task.threads)[:10]
        other = {"panels": "rows", "rows": "panels"}
        swapped = [dataclasses.replace(c, order=other[c.order]) for c in best[:4]]
        return list(dict.fromkeys([*best, *swapped]))

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        assert isinstance(config, Config)
        p = problem(task)
        packs = epilogue_packs(p.parts)
        packs[p.parts.weight_position] = panel_pack(p, config)
        return packs

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, Config)
        p = problem(task)
        validate(p, config)
        sch = s_tir.Schedule(compute(p, config, self.packs(task, config)))
        schedule(sch, config, p, bool(p.parts.prologue))
        size = config.rows * config.vectors * p.machine.lanes * 4 * 2
        staged = p.parts.data.type.nbytes if p.parts.prologue else 0
        function = split_tails(sch.mod["main"])
        return Lowered((function,), size + staged + 4096, PASS_CONFIG)


# --- the model --------------------------------------------------------------------------------


def ranked(p: Problem, threads: int) -> list[Config]:
    """Configs from the cheapest by the model on."""
    most = rounds(p.cols, p.machine.lanes)
    costs: dict[Config, float] = {}
    inner = math.gcd(p.depth, DEPTH_STEPS)
    for vectors in range(1, min(most, 8) + 1):
        for rows in chunks(p.rows, p.machine.registers):
            if not p.machine.fits(vectors, rows):
                continue
            for order in ("panels", "rows"):
                config = Config(vectors, rows, inner, order)
                costs[config] = cost(p, config, threads)
    return sorted(costs, key=lambda c: costs[c])


def cost(p: Problem, config: Config, threads: int) -> float:
    """Cycles of the slowest thread by the model."""
    machine = p.machine
    panels = rounds(p.cols, config.vectors * machine.lanes)
    strips = rounds(p.rows, config.rows)
    weights = config.vectors * machine.lanes * p.depth * 4
    step = machine.step_cycles(config.vectors, config.rows, weights <= machine.l1 // 4)
    burst = 1 + config.rows * config.vectors / machine.registers
    finish = config.rows * config.vectors * (2.0 * burst if p.whole else 5.0)
    body = panels * strips * (p.depth * step + finish + 10)
    if config.order == "panels":
        again = machine.stream_cycles(p.rows * p.depth * 4, panels - 1)
    else:
        again = machine.stream_cycles(p.cols * p.depth * 4, strips - 1) + 0.01 * body
    return max(body + again / 16, again) * balance(panels * strips, threads)


def validate(p: Problem, config: Config) -> None:
    """Raises InvalidConfig if the config is not legal for the problem."""

    def need(condition: bool, reason: str) -> None:
        require(condition, reason, InvalidConfig)

    need(min(config.vectors, config.rows, config.inner) >= 1, "a size is below 1")
    need(config.order in ("panels", "rows"), f"order {config.order} is unknown")
    need(p.depth % config.inner == 0, f"inner does not divide K = {p.depth}")
    tile = config.vectors * config.rows
    need(tile <= 2 * p.machine.registers, f"{tile} accumulators are far beyond the registers")


def panel_pack(p: Problem, config: Config) -> Pack:
    """B as [panels, K / inner, inner, vectors, lanes], columns padded with zeros."""
    lanes, inner = p.machine.lanes, config.inner
    panels = rounds(p.cols, config.vectors * lanes)
    attrs: Any = p.parts.node.attrs
    transposed = attrs.transpose_b
    depth, cols = p.depth, p.cols
    shape = (panels, depth // inner, inner, config.vectors, lanes)

    def apply(array: np.ndarray) -> np.ndarray:
        b = array.reshape(array.shape[-2:])
        b = b.T if transposed else b
        wide = np.zeros((depth, panels * shape[3] * lanes), b.dtype)
        wide[:, :cols] = b
        split = wide.reshape(depth // inner, inner, panels, shape[3], lanes)
        return np.ascontiguousarray(split.transpose(2, 0, 1, 3, 4))

    return Pack(TensorType(DType.F32, shape), apply, f"panels{shape}{transposed}")


# --- the compute ------------------------------------------------------------------------------


def compute(p: Problem, config: Config, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: [pre ->] acc [-> tile] -> flat -> out."""
    parts = p.parts

    def anchor(operands: list[View], context: Any) -> View:
        data = operands[0]
        if parts.prologue:
            type = TensorType(parts.data.dtype, data.shape)
            data = View.of_tensor(materialise(data, type, "pre"), type)
        return accumulated_view(p, accumulate(p, config, data, operands[1].tensor))

    body = lower_anchored(parts, packs, anchor, lambda view: flat_stage(p, view))
    result = body.views[parts.output]
    output = te.compute(parts.output.shape, lambda *index: result(*index), name="out")
    return te.create_prim_func([*body.inputs, output])


def unravel(index: Any, shape: tuple[int, ...]) -> list[Any]:
    """A row-major flat index as one index an axis."""
    result: list[Any] = []
    for place, size in reversed(list(enumerate(shape))):
        result.append(simplify(index % size) if place else index)
        index = simplify(index // size)
    return result[::-1]


def ravel(indices: Sequence[Any], shape: Sequence[int]) -> Any:
    """One index an axis as a row-major flat index."""
    row: Any = 0
    for index, size in zip(indices, shape, strict=True):
        row = row * size + index
    return simplify(row)


def accumulate(p: Problem, config: Config, data: View, panels: Any) -> Any:
    """acc[panel, row, vector, lane], over whole tiles."""
    lanes = p.machine.lanes
    attrs: Any = p.parts.node.attrs
    rows = rounds(p.rows, config.rows) * config.rows
    ko = te.reduce_axis((0, p.depth // config.inner), "ko")
    ki = te.reduce_axis((0, config.inner), "ki")

    def element(panel: Any, row: Any, vector: Any, lane: Any) -> Any:
        inside = tirx.min(row, p.rows - 1) if rows > p.rows else row
        k = ko * config.inner + ki
        if attrs.transpose_a:
            value = data(*[0] * (data.rank - 2), k, inside)
        else:
            value = data(*unravel(inside, data.shape[:-1]), k)
        return te.sum(value * panels[panel, ko, ki, vector, lane], axis=[ko, ki])

    shape = (rounds(p.cols, config.vectors * lanes), rows, config.vectors, lanes)
    return te.compute(shape, element, name="acc")


def accumulated_view(p: Problem, acc: Any) -> View:
    """The anchor's logical result, read through the stage `tile` where the tile is buffered."""
    value = p.parts.node.output
    _, _, vectors, lanes = (int(size) for size in acc.shape)
    width = vectors * lanes
    tile = acc
    if p.buffered and p.whole:  # `flat` has vectors too: TVM cannot invert `v % vectors * lanes`
        tile = te.compute(acc.shape, lambda *at: acc(*at), name="tile")
    elif p.buffered:
        shape = (*acc.shape[:2], width)
        tile = te.compute(shape, lambda n, i, j: acc(n, i, j // lanes, j % lanes), name="tile")

    def read(*index: Any) -> Any:
        row, j = ravel(index[:-1], value.shape[:-1]), index[-1]
        if len(tile.shape) == 3:
            return tile(simplify(j // width), row, simplify(j % width))
        return tile(simplify(j // width), row, simplify(j // lanes % vectors), simplify(j % lanes))

    return View(value.shape, value.dtype.tvm, read, cheap=True)


def flat_stage(p: Problem, result: View) -> View:
    """The stage `flat`, [row, column] or [row, vector, lane]; its view has the core's shape.

    `out` then only says where an element of it is stored, and is inlined into it.
    """
    lanes = p.machine.lanes
    shape = (p.rows, p.cols // lanes, lanes) if p.whole else (p.rows, p.cols)

    def element(row: Any, *column: Any) -> Any:
        j = column[0] * lanes + column[1] if p.whole else column[0]
        return result(*unravel(row, result.shape[:-1]), j)

    type = TensorType(p.parts.core.dtype, shape)
    flat = materialise(View(shape, result.dtype, element), type, "flat")

    def read(*index: Any) -> Any:
        row, j = ravel(index[:-1], result.shape[:-1]), index[-1]
        return flat(row, j // lanes, j % lanes) if p.whole else flat(row, j)

    return View(result.shape, result.dtype, read, cheap=True)


# --- the schedule -----------------------------------------------------------------------------


def schedule(sch: Any, config: Config, p: Problem, staged: bool) -> None:
    """panel row vector lane | ko ki  ->  parallel(panel, rows) ko ki unrolled(row, vector) lane."""
    acc = sch.get_sblock("acc")
    sch.reverse_compute_inline(sch.get_sblock("out"))
    out = sch.get_sblock("flat")
    if staged:
        parallel_stage(sch, sch.get_sblock("pre"), p.machine.lanes)
    panel, row, vector, lane, ko, ki = sch.get_loops(acc)
    outer, inner = sch.split(row, [None, config.rows])
    shared = [panel, outer] if config.order == "panels" else [outer, panel]
    sch.reorder(*shared, ko, ki, inner, vector, lane)
    parallel = sch.fuse(*shared)
    sch.parallel(parallel)
    for loop in (ki, inner, vector):
        sch.unroll(loop)
    sch.vectorize(lane)
    place_output(sch, out, parallel, buffered=p.buffered, vectorized=p.whole)
    if not p.whole:
        vectorize_last(sch, out, p.machine.lanes)
    sch.decompose_reduction(acc, ko)
