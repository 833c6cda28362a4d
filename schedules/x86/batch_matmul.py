"""Matrix product of two variable operands, batched (attention): B is packed inside the kernel.

Every task packs one panel of B (K x vectors x lanes) into a buffer, whether B is transposed or
not, and then runs the outer product of `matmul` over all rows of A. Batch axes broadcast as numpy's
do. Rows beyond the last are computed from the last one again and not stored.

Limit: FMA ports for >= 64 rows; packing costs one scalar move per element of B, which is
lanes / rows of the multiply-adds.

Measured on a Zen 4 (AVX-512 on 256-bit data paths, 3.6 GHz; one thread, CPU time; peak 116.6
Gflop/s = 32 flops a cycle, by an FMA loop in the same run, November 2026), share of
peak, 12 heads: scores 128 x 64 x 128 83 %, context 128 x 128 x 64 92 %; of 197 tokens 74 and 94 %
(rows of 197 are stored through a buffer). Compiled for haswell 81, 89, 59 and 92 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import s_tir, te, tirx

from ...ir.types import TensorType
from ..task import Task
from ..template import InvalidConfig, Knobs, Lowered, Pack, Template, knob, require
from ..view import View, materialise, simplify
from .anchored import Anchored, anchored, epilogue_packs, is_heavy, lower_anchored
from .matmul import DEPTH_STEPS, ravel, unravel
from .moves import PASS_CONFIG, axes_of, place_output, vectorize_last
from .tails import split_tails
from .tiles import Machine, balance, chunks, rounds

__all__ = ["BatchMatmul"]


@dataclass(frozen=True)
class Config(Knobs):
    """Knobs of BatchMatmul.

    Attributes:
        vectors: Vector registers in a panel of B.
        rows: Rows of A in a tile.
        inner: Steps of K that are unrolled; divides K.
    """

    vectors: int = knob(2, choices=(1, 2, 3, 4))
    rows: int = knob(6, choices=(1, 4, 6, 7, 8, 14))
    inner: int = knob(4, choices=(1, 2, 4, 8))


@dataclass(frozen=True)
class Problem:
    """A task as this template sees it: [batch, rows, depth] times [batch, depth, cols]."""

    parts: Anchored
    machine: Machine
    batch: tuple[int, ...]
    rows: int
    cols: int
    depth: int
    whole: bool
    buffered: bool

    @property
    def batches(self) -> int:
        return math.prod(self.batch)

    @property
    def transposed(self) -> bool:
        attrs: Any = self.parts.node.attrs
        return bool(attrs.transpose_b)


def problem(task: Task) -> Problem:
    """Take the task apart. Raises NotApplicable."""
    parts = anchored(task, "matmul", constant_weight=False, movement=True)
    attrs: Any = parts.node.attrs
    plain = all(value.layout is None for value in (parts.output, *task.body.inputs))
    require(plain, "an operand is not row-major")
    a, y = parts.data.type, parts.node.output.type
    require(min(*y.shape, *a.shape) > 0, "an operand is empty")
    arithmetic = [n.op for n in parts.prologue if n.definition.pattern.value == "elementwise"]
    require(len(arithmetic) <= 2, "the prologue is too long to be computed again for every panel")
    machine = Machine.of(task.target)
    rows, cols = y.shape[-2:]
    depth = a.shape[-2] if attrs.transpose_a else a.shape[-1]
    whole = cols % machine.lanes == 0
    buffered = not whole or is_heavy(parts)
    return Problem(parts, machine, y.shape[:-2], rows, cols, depth, whole, buffered)


class BatchMatmul(Template):
    """See the module's docstring."""

    name = "matmul_f32_batched__x86"
    Config = Config

    def check(self, task: Task) -> None:
        problem(task)

    def default(self, task: Task) -> Knobs:
        return ranked(problem(task), task.threads)[0]

    def space(self, task: Task) -> Iterable[Knobs]:
        return ranked(problem(task), task.threads)[:12]

    def packs(self, task: Task, config: Knobs) -> dict[int, Pack]:
        return epilogue_packs(problem(task).parts)

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, Config)
        p = problem(task)
        legal = min(config.vectors, config.rows, config.inner) >= 1
        require(legal and p.depth % config.inner == 0, "a size is out of range", InvalidConfig)
        tile = config.vectors * config.rows
        require(tile <= 2 * p.machine.registers, "far too many accumulators", InvalidConfig)
        sch = s_tir.Schedule(compute(p, config, self.packs(task, config)))
        schedule(sch, config, p)
        panel = (p.depth + 2 * config.rows) * config.vectors * p.machine.lanes * 4
        return Lowered((split_tails(sch.mod["main"]),), panel + 4096, PASS_CONFIG)


def ranked(p: Problem, threads: int) -> list[Config]:
    """Configs from the cheapest by the model on."""
    machine, costs = p.machine, {}
    inner = math.gcd(p.depth, DEPTH_STEPS)
    for vectors in range(1, min(rounds(p.cols, machine.lanes), 4) + 1):
        for rows in chunks(p.rows, machine.registers):
            if not machine.fits(vectors, rows):
                continue
            width = vectors * machine.lanes
            panels, strips = rounds(p.cols, width), rounds(p.rows, rows)
            in_l1 = width * p.depth * 4 <= machine.l1 // 2
            step = machine.step_cycles(vectors, rows, in_l1)
            burst = 1 + rows * vectors / machine.registers
            finish = rows * vectors * (2.0 * burst if p.whole else 5.0)
            packing = p.depth * (width if p.transposed or not p.whole else 2 * vectors)
            body = panels * (strips * (p.depth * step + finish + 10) + packing)
            costs[Config(vectors, rows, inner)] = (
                p.batches * body * balance(p.batches * panels, threads)
            )
    return sorted(costs, key=lambda c: costs[c])


# --- the compute ------------------------------------------------------------------------------


def batch_index(index: Any, batch: Sequence[int], shape: Sequence[int]) -> list[Any]:
    """Indices of an operand's batch axes from the flat batch index, by numpy's broadcasting."""
    full = unravel(index, tuple(batch)) if batch else []
    own = full[len(full) - len(shape) :]
    return [0 if size == 1 else i for size, i in zip(shape, own, strict=True)]


def compute(p: Problem, config: Config, packs: dict[int, Pack]) -> Any:
    """The PrimFunc: panel -> acc [-> tile] -> flat -> out."""
    parts = p.parts

    def anchor(operands: list[View], context: Any) -> View:
        return accumulated_view(p, accumulate(p, config, *operands))

    body = lower_anchored(parts, packs, anchor, lambda view: flat_stage(p, view))
    result = body.views[parts.output]
    output = te.compute(parts.output.shape, lambda *index: result(*index), name="out")
    return te.create_prim_func([*body.inputs, output])


def accumulate(p: Problem, config: Config, a: View, b: View) -> Any:
    """acc[batch, panel, row, vector, lane] over whole tiles, from `panel`, the packed B."""
    lanes = p.machine.lanes
    width = config.vectors * lanes
    panels = rounds(p.cols, width)
    attrs: Any = p.parts.node.attrs

    def pack(n: Any, panel: Any, k: Any, j: Any) -> Any:
        column = panel * width + j
        column = tirx.min(column, p.cols - 1) if panels * width > p.cols else column
        place = (column, k) if attrs.transpose_b else (k, column)
        return b(*batch_index(n, p.batch, b.shape[:-2]), *place)

    packed = te.compute((p.batches, panels, p.depth, width), pack, name="panel")
    rows = rounds(p.rows, config.rows) * config.rows
    ko = te.reduce_axis((0, p.depth // config.inner), "ko")
    ki = te.reduce_axis((0, config.inner), "ki")

    def element(n: Any, panel: Any, row: Any, vector: Any, lane: Any) -> Any:
        inside = tirx.min(row, p.rows - 1) if rows > p.rows else row
        k = ko * config.inner + ki
        place = (k, inside) if attrs.transpose_a else (inside, k)
        value = a(*batch_index(n, p.batch, a.shape[:-2]), *place)
        return te.sum(value * packed[n, panel, k, vector * lanes + lane], axis=[ko, ki])

    return te.compute((p.batches, panels, rows, config.vectors, lanes), element, name="acc")


def accumulated_view(p: Problem, acc: Any) -> View:
    """The anchor's logical result, read through the stage `tile` where the tile is buffered."""
    value = p.parts.node.output
    vectors, lanes = (int(size) for size in acc.shape[3:])
    width = vectors * lanes
    tile = acc
    if p.buffered and p.whole:  # `flat` has vectors too: TVM cannot invert `v % vectors * lanes`
        tile = te.compute(acc.shape, lambda *at: acc(*at), name="tile")
    elif p.buffered:
        shape = (*acc.shape[:3], width)
        tile = te.compute(
            shape, lambda n, q, i, j: acc(n, q, i, j // lanes, j % lanes), name="tile"
        )

    def read(*index: Any) -> Any:
        n, row, j = ravel(index[:-2], p.batch), index[-2], index[-1]
        panel = simplify(j // width)
        if len(tile.shape) == 4:
            return tile(n, panel, row, simplify(j % width))
        return tile(n, panel, row, simplify(j // lanes % vectors), simplify(j % lanes))

    return View(value.shape, value.dtype.tvm, read, cheap=True)


def flat_stage(p: Problem, result: View) -> View:
    """The stage `flat`, [batch, row, column] or [batch, row, vector, lane]; its view has the
    core's shape. `out` then only says where an element is stored, and is inlined into it.
    """
    lanes = p.machine.lanes
    columns = (p.cols // lanes, lanes) if p.whole else (p.cols,)
    shape = (p.batches, p.rows, *columns)

    def element(n: Any, row: Any, *column: Any) -> Any:
        j = column[0] * lanes + column[1] if p.whole else column[0]
        return result(*(unravel(n, p.batch) if p.batch else []), row, j)

    type = TensorType(p.parts.core.dtype, shape)
    flat = materialise(View(shape, result.dtype, element), type, "flat")

    def read(*index: Any) -> Any:
        n, row, j = ravel(index[:-2], p.batch), index[-2], index[-1]
        return flat(n, row, j // lanes, j % lanes) if p.whole else flat(n, row, j)

    return View(result.shape, result.dtype, read, cheap=True)


# --- the schedule -----------------------------------------------------------------------------


def schedule(sch: Any, config: Config, p: Problem) -> None:
    """parallel(batch, panel): panel; for strip: ko ki unrolled(row, vector) lane."""
    acc = sch.get_sblock("acc")
    sch.reverse_compute_inline(sch.get_sblock("out"))
    out = sch.get_sblock("flat")
    n, panel, row, vector, lane, ko, ki = sch.get_loops(acc)
    strip, inner = sch.split(row, [None, config.rows])
    sch.reorder(n, panel, strip, ko, ki, inner, vector, lane)
    parallel = sch.fuse(n, panel)
    sch.parallel(parallel)
    for loop in (ki, inner, vector):
        sch.unroll(loop)
    sch.vectorize(lane)
    pack_panel(sch, parallel, p)
    place_output(sch, out, strip, buffered=p.buffered, vectorized=p.whole)
    if not p.whole:
        vectorize_last(sch, out, p.machine.lanes)
    sch.decompose_reduction(acc, ko)


def pack_panel(sch: Any, parallel: Any, p: Problem) -> None:
    """The panel under the parallel loop; rows of B are copied as vectors, columns one by one."""
    packed = sch.get_sblock("panel")
    sch.compute_at(packed, parallel, preserve_unit_loops=True)
    k, j = axes_of(sch, packed)[-2:]
    if p.transposed:
        sch.reorder(j, k)
    elif p.whole:
        vectorize_last(sch, packed, p.machine.lanes)
