"""Prefetching what is used next: weights of the next chunk, pixels of the next tile.

Hardware follows one stream of a kernel well, but weights that come from beyond the second-level
cache arrive too late for the tile that reads them first, and each later tile finds them near. So
every tile of a band asks for its part of the next chunk, a little in every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import sym, tirx

from .nest_edit import UpdateNest, change_body
from .tiles import LINE, rounds

__all__ = ["prefetch_ahead", "prefetch_next_chunk", "prefetch_next_pixels"]

_READ, _INTO_L1, _INTO_L2, _DATA = 0, 3, 2, 1


def prefetch_next_chunk(
    function: Any, weights: Any, panel: Callable[[UpdateNest], Any], steps: int
) -> Any:
    """Add prefetches to the innermost reduction loop of the block `acc_update`.

        for chunk: for tile: for step of the reduction: acc += x * w[panel, chunk, step, …]
            → … prefetch w[panel, chunk + 1] + (tile * steps + step) * stride; acc += …

    The stride spreads a chunk evenly over the steps of all tiles, so that memory is asked for no
    more than it can give. The last chunk's prefetches go to the next panel's first, which stands
    behind it.

    Args:
        function: A scheduled nest; the first variable of the block is the chunk, the last ones
            are the reductions.
        weights: Its parameter of weights: [panels, chunks, …reductions, vectors, lanes].
        panel: Gives the index of the panel from the bindings of the block's variables.
        steps: How many reductions there are.
    """
    nest = UpdateNest(function)
    chunk, reductions = nest.bindings[0], nest.bindings[-steps:]
    following = [panel(nest), nest.start(chunk) + 1]
    around = nest.between(chunk, reductions[0])
    return prefetch_ahead(function, weights, following, around, reductions)


def prefetch_ahead(
    function: Any, weights: Any, following: list[Any], around: list[Any], reductions: list[Any]
) -> Any:
    """Add prefetches of one piece of weights, spread evenly, to the innermost reduction loop.

    Args:
        function: A scheduled nest with the block `acc_update`.
        weights: Its parameter of weights: [...piece, ...reductions, vectors, lanes].
        following: Indices of the piece that is wanted next.
        around: The loops outside of the reductions in which this piece is used.
        reductions: The reduction variables; their loops run through a piece.
    """
    nest = UpdateNest(function)
    extents = {loop.loop_var: int(loop.extent) for loop in nest.loops}
    vectors, lanes = (int(size) for size in weights.shape[-2:])
    position: Any = tirx.const(0, "int32")
    tiles = 1
    for loop in around:
        position = position * loop.extent + loop.loop_var
        tiles *= int(loop.extent)
    for index in reductions:
        position = position * extents[index] + index
    stride = rounds(vectors * lanes, tiles)
    rest = [0] * (len(weights.shape) - len(following) - 1)
    touches = []
    for line in range(rounds(stride * 4, LINE)):
        place = [*following, *rest, position * stride + line * LINE // 4]
        touches.append(_touch(weights, place, _INTO_L2))
    return change_body(function, reductions[-1], lambda body: tirx.SeqStmt([*touches, body]))


def prefetch_next_pixels(
    function: Any, data: Any, block: int, pixel: Callable[[UpdateNest, Any], list[Any]]
) -> Any:
    """Add a prefetch of the next tile's pixels to every step of a pointwise convolution.

        for tile: for channel: acc += x[channel // block, pixels of tile, channel % block] * w
            → … prefetch x[channel // block, next pixels[channel % block], 0]; acc += …

    A block of channels of a pixel is one line of memory, the next pixel's stands behind it, and the
    next block a whole image away, where hardware does not look. The core that reads a pixel is
    often not the one that has just written it, so its line comes from the other core's cache.

    Args:
        function: A scheduled nest; the last variables of the block are the image, the block of
            features, the row, the column, the lane, kh, kw and the outer and inner channel.
        data: Its parameter of the image: [n, blocks, …pixels, block].
        block: Channels of a block; no more than one line.
        pixel: Gives the place of a pixel of the next tile, by its number.
    """
    nest = UpdateNest(function)
    n, (outer, inner) = nest.bindings[-9], nest.bindings[-2:]
    extents = {loop.loop_var: int(loop.extent) for loop in nest.loops}
    channel = outer * extents[inner] + inner
    if len(nest.bindings) > len(("n", "o", "h", "w", "lane", "kh", "kw", "co", "ci")):
        channel = nest.start(nest.bindings[0]) * (extents.get(outer, 1) * extents[inner]) + channel
    at = [nest.start(n), channel // block, *pixel(nest, channel % block)]
    place = [*map(sym.Analyzer().simplify, at), 0]
    touch = _touch(data, place, _INTO_L1)
    return change_body(function, inner, lambda body: tirx.SeqStmt([touch, body]))


def _touch(buffer: Any, place: list[Any], into: int) -> Any:
    """The prefetch of the line in which an element stands."""
    address = tirx.address_of(tirx.BufferLoad(buffer, place))
    arguments = [address, *(tirx.const(n, "int32") for n in (_READ, into, _DATA))]
    return tirx.Evaluate(tirx.call_intrin("void", "tirx.prefetch", *arguments))
