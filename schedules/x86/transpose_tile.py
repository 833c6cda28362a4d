"""Transposes that move the innermost axis, by squares of vectors in registers.

    parallel (outer axes, block of b): for block of a:
        load `lanes` rows of a square; exchange its halves, quarters, …; store its columns

a is the axis that is innermost behind the transpose, b the one in front of it. Squares at the ends
overlap the ones before them.

Limit: shuffles (four a vector for 16 lanes) while operands are in cache, then memory, and for
strides that are powers of two the ways of the first-level cache. Measured on a Zen 4 (one thread,
CPU time, November 2026), reads and writes counted, compiled for AVX-512 / haswell; in brackets the
element by element form of `pointwise`:

    0132  f32[1,12,128,64]    107 /  92 GB/s   (11 / 29)
    10    f32[197,768]         73 /  51        (19 / 28)
    0231  f32[1,64,56,56]      70 /  76        (18 / 20)
    0312  f32[1,56,56,64]      79 /  59        (17 / 22)
    10    f32[1024,1024]       39 /  20        ( 3 /  8)
"""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx

from ...ir.dtypes import DType
from .. import common
from .. import vector_code as code
from ..flat_index import unravel
from ..task import Task
from ..template import Knobs, Lowered, require
from ..view import Expr
from .squares import Config, Squares, moved
from .tiles import rounds

__all__ = ["TransposeTile"]


class TransposeTile(Squares):
    """See the module's docstring."""

    name = "transpose_f32_squares__x86"

    def check(self, task: Task) -> None:
        x, y = moved(task, "transpose")
        require(x.layout is None and y.layout is None, "an operand is not row-major")
        perm = _perm(task)
        require(perm[-1] != len(perm) - 1, "the innermost axis stays")
        lanes = task.target.lanes(DType.F32)
        short = min(x.shape[-1], y.shape[-1], x.type.size)
        require(short >= lanes, f"an axis of {short} does not fill a vector")

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, Config)
        x, y = (
            tirx.decl_buffer(value.shape, "float32", name=name)
            for value, name in ((task.body.inputs[0], "x"), (task.body.outputs[0], "y"))
        )
        function = code.prim_func([x, y], _loops(task, x, y, config.threads))
        return Lowered((function,), 0, common.pass_config(task.level))


def _perm(task: Task) -> tuple[int, ...]:
    attrs: Any = task.nodes[0].attrs
    return tuple(attrs.perm)


def _loops(task: Task, x: Any, y: Any, threads: bool) -> Any:
    lanes = task.target.lanes(DType.F32)
    perm, shape = _perm(task), task.body.inputs[0].shape
    inner, last = perm[-1], len(perm) - 1  # a and b as axes of x
    outer = [axis for axis in perm if axis not in (inner, last)]  # in the order of y
    sizes = tuple(shape[axis] for axis in outer)
    blocks = rounds(shape[last], lanes)

    def row(flat: Expr) -> Any:
        places = unravel(tirx.floordiv(flat, blocks), sizes)
        at = dict(zip(outer, places, strict=True))
        b = _start(tirx.floormod(flat, blocks), shape[last], lanes)

        def square(index: Expr) -> Any:
            a = _start(index, shape[inner], lanes)

            def line(moving: int, fixed: int, base: Expr, along: Expr, i: int) -> dict[int, Expr]:
                return {**at, fixed: base + i, moving: code.ramp(along, lanes)}

            read = [line(last, inner, a, b, i) for i in range(lanes)]
            written = [line(inner, last, b, a, i) for i in range(lanes)]
            rows = [code.load(x, *(place[axis] for axis in range(len(perm)))) for place in read]
            statements, columns = code.transposed(rows)
            stores = [
                code.store(y, column, *(place[axis] for axis in perm))
                for column, place in zip(columns, written, strict=True)
            ]
            return code.seq(*statements, *stores)

        return code.loop(rounds(shape[inner], lanes), square, "block")

    count = math.prod(sizes) * blocks
    return code.shared_loop(count, row, threads)


def _start(block: Expr, size: int, lanes: int) -> Expr:
    """First element of a block; the last one overlaps the one before."""
    return tirx.min(block * lanes, size - lanes) if size % lanes else block * lanes
