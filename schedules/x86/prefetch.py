"""Prefetching the weights of the next chunk while this one is used.

Hardware follows one stream of a kernel well, but weights that come from beyond the second-level
cache arrive too late for the tile that reads them first, and each later tile finds them near. So
every tile of a band asks for its part of the next chunk, a little in every step.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx

from .nest_edit import UpdateNest, change_body
from .tiles import rounds

__all__ = ["prefetch_next_chunk"]

LINE = 64  # bytes
_READ, _INTO_L2, _DATA = 0, 2, 1


def prefetch_next_chunk(function: Any, weights: Any) -> Any:
    """Add prefetches to the innermost reduction loop of the block `acc_update`.

        for chunk: for tile: for step of the reduction: acc += x * w[panel, chunk, step, …]
            → … prefetch w[panel, chunk + 1] + (tile * steps + step) * stride; acc += …

    The stride spreads a chunk evenly over the steps of all tiles, so that memory is asked for no
    more than it can give. The last chunk's prefetches go to the next panel's first, which stands
    behind it.

    Args:
        function: A scheduled nest (`conv_nest.Nest`) with chunks.
        weights: Its parameter of weights, of shape
            [panels, chunks, KH, KW, channels / inner, inner, vectors, lanes].
    """
    nest = UpdateNest(function)
    chunk, _, features, *_, kh, kw, co, ci = nest.bindings
    _, _, *steps, vectors, lanes = (int(size) for size in weights.shape)
    panel = nest.start(features) // vectors
    position: Any = tirx.const(0, "int32")
    tiles = 1
    for loop in nest.between(chunk, kh):
        position = position * loop.extent + loop.loop_var
        tiles *= int(loop.extent)
    for index, size in zip((kh, kw, co, ci), steps):
        position = position * size + index
    stride = rounds(vectors * lanes, tiles)
    touches = []
    for line in range(rounds(stride * 4, LINE)):
        place = [panel, nest.start(chunk) + 1, 0, 0, 0, 0, 0, position * stride + line * LINE // 4]
        address = tirx.address_of(tirx.BufferLoad(weights, place))
        arguments = [address, *(tirx.const(n, "int32") for n in (_READ, _INTO_L2, _DATA))]
        touches.append(tirx.Evaluate(tirx.call_intrin("void", "tirx.prefetch", *arguments)))
    return change_body(function, ci, lambda body: tirx.SeqStmt([*touches, body]))
