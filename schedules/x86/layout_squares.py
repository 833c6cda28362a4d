"""Images from plain layout into blocks of channels and back, by squares of vectors in registers.

    parallel (image, block of channels, run of pixels): for square of pixels:
        load a vector of pixels of each channel; exchange halves, quarters, …; store the blocks

and the other way round. A square has as many pixels as a block has channels. The last one overlaps
the one before it; a block that is not full loads zeros, or stores the channels that there are.

Limit: memory; in cache the shuffles (four a vector for 16 lanes), and for images whose channels are
a power of two of bytes apart the ways of the first-level cache.

Measured on a 2-core Zen 5 (two threads, November 2026, `leip kernel bench`), reads and writes
counted; in brackets the element by element form of `pointwise`:

    to NCHW16c / back   f32[1,64,56,56]      270 / 249 GB/s   (62 / 95)
                        f32[1,256,1,1999]    203 / 155        (58 / 29)
                        f32[1,21,40,40]      249 / 275        (53 / 103)
                        f32[1,320,7,7]       187 / 190        (47 / 76)
                        f32[1,128,192,192]    91 /  73        (16 / 27)   beyond the caches
"""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx

from ...ir.dtypes import DType
from ...ir.graph import Value
from ...ir.types import TensorType
from .. import common
from .. import vector_code as code
from ..flat_index import unravel
from ..task import Task
from ..template import Knobs, Lowered, require
from ..view import Expr
from .conv_shape import channel_block
from .squares import Config, Squares, moved
from .tiles import rounds

__all__ = ["LayoutSquares"]

RUN = 16  # squares of a parallel task at most


class LayoutSquares(Squares):
    """See the module's docstring."""

    name = "relayout_f32_squares__x86"

    def check(self, task: Task) -> None:
        x, y = moved(task, "layout_transform")
        plain, blocked = sorted((x, y), key=lambda value: value.layout is not None)
        require(plain.layout is None, "no operand is plain")
        block = channel_block(blocked.type) if blocked.layout is not None else 1
        lanes = task.target.lanes(DType.F32)
        require(block in (lanes, lanes // 2) and block > 1, f"blocks of {block} are no vectors")
        pixels = _pixels(x.type)
        require(pixels >= block, f"{pixels} pixels do not fill a vector")

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, Config)
        x, y = task.body.inputs[0], task.body.outputs[0]
        read, written = _buffer(x, "x"), _buffer(y, "y")
        loops = _loops(x.type, y.type, read, written, config.threads)
        function = code.prim_func([read, written], loops)
        return Lowered((function,), 0, common.pass_config(task.level))


def _pixels(type: TensorType) -> int:
    return math.prod(type.shape[2:])


def _buffer(value: Value, name: str) -> Any:
    """[N, C, pixels] or [N, blocks, pixels, channels of a block]."""
    batch, channels = value.shape[:2]
    shape: tuple[int, ...] = (batch, channels, _pixels(value.type))
    if value.layout is not None:
        block = channel_block(value.type)
        shape = (batch, rounds(channels, block), _pixels(value.type), block)
    return tirx.decl_buffer(shape, "float32", name=name)


def _loops(source: TensorType, target: TensorType, x: Any, y: Any, threads: bool) -> Any:
    blocked = target if source.layout is None else source
    block, pixels = channel_block(blocked), _pixels(source)
    batch, channels = source.shape[:2]
    blocks, squares = rounds(channels, block), rounds(pixels, block)
    runs = rounds(squares, RUN)
    length = rounds(squares, runs)

    def run(flat: Expr) -> Any:
        n, b, part = unravel(flat, (batch, blocks, runs))

        def of(filled: int) -> Any:
            """The run of a block with so many channels."""

            def square(index: Expr) -> Any:
                at = (part * length + index) * block
                first = tirx.min(at, pixels - block)  # the last squares overlap
                in_plain = [(n, b * block + i, code.ramp(first, block)) for i in range(filled)]
                in_blocks = [(n, b, first + i, code.ramp(0, block)) for i in range(block)]
                read, written = (
                    (in_plain, in_blocks) if blocked is target else (in_blocks, in_plain)
                )
                rows = [code.load(x, *place) for place in read]
                rows += [code.wide(tirx.const(0.0, "float32"), block)] * (block - len(rows))
                statements, columns = code.transposed(rows)
                stores = [code.store(y, column, *place) for column, place in zip(columns, written)]
                return code.seq(*statements, *stores)

            return code.loop(length, square, "square")

        rest = channels % block
        if not rest:
            return of(block)
        if blocks == 1:
            return of(rest)
        return tirx.IfThenElse(tirx.EQ(b, blocks - 1), of(rest), of(block))

    count = batch * blocks * runs
    return code.shared_loop(count, run, threads, "run")
