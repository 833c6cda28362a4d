"""Prefetching the weights of the next chunk while this one is used.

Hardware follows one stream of a kernel well, but weights that come from beyond the second-level
cache arrive too late for the tile that reads them first, and each later tile finds them near. So
every tile of a band asks for its part of the next chunk, a line or two in every step.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx

from .nest_edit import UpdateNest, change_body
from .tiles import rounds

__all__ = ["prefetch_next_chunk"]

_READ, _INTO_L2, _DATA = 0, 2, 1


def prefetch_next_chunk(function: Any, weights: Any, vectors: int) -> Any:
    """Add prefetches to the innermost reduction loop of the block `acc_update`.

        for chunk: for tile: for …: for ci: acc += x * w[panel, chunk, …, ci, v, lane]
            → … for ci: prefetch w[panel, chunk + 1, …, ci, tile % vectors, 0]; acc += …

    The last chunk's go to the next panel's first, which stands behind it.

    Args:
        function: A scheduled nest (`conv_nest.Nest`) with chunks.
        weights: Its parameter of weights.
        vectors: Vectors of a step.
    """
    nest = UpdateNest(function)
    chunk, _, features, *_, kh, kw, co, ci = nest.bindings
    panel = nest.start(features) // vectors
    tile: Any = tirx.const(0, "int32")
    tiles = 1
    for loop in nest.between(chunk, kh):
        tile = tile * loop.extent + loop.loop_var
        tiles *= int(loop.extent)
    each = rounds(vectors, tiles)
    touches = []
    for line in range(each):
        vector = tirx.min(tile * each + line, vectors - 1)
        place = [panel, nest.start(chunk) + 1, kh, kw, co, ci, vector, 0]
        address = tirx.address_of(tirx.BufferLoad(weights, place))
        arguments = [address, *(tirx.const(n, "int32") for n in (_READ, _INTO_L2, _DATA))]
        touches.append(tirx.Evaluate(tirx.call_intrin("void", "tirx.prefetch", *arguments)))
    return change_body(function, ci, lambda body: tirx.SeqStmt([*touches, body]))
