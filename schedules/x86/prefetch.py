"""Prefetching the weights of the next chunk while this one is used.

Hardware follows one stream of a kernel well, but weights that come from beyond the second-level
cache arrive too late for the tile that reads them first, and each later tile finds them near. So
every tile of a band asks for its part of the next chunk, a line or two in every step.
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, sym, tirx

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
    path = _path(function.body, [])
    assert path is not None
    loops, realize = path
    chunk, _, features, *_, kh, kw, co, ci = realize.iter_values
    panel = _at_zero(features, [loop.loop_var for loop in loops if _is_unrolled(loop)]) // vectors
    between = _between(loops, chunk, kh)
    tile: Any = tirx.const(0, "int32")
    tiles = 1
    for loop in between:
        tile = tile * loop.extent + loop.loop_var
        tiles *= int(loop.extent)
    each = rounds(vectors, tiles)
    touches = []
    for line in range(each):
        vector = tirx.min(tile * each + line, vectors - 1)
        place = [panel, chunk + 1, kh, kw, co, ci, vector, 0]
        address = tirx.address_of(tirx.BufferLoad(weights, place))
        arguments = [address, *(tirx.const(n, "int32") for n in (_READ, _INTO_L2, _DATA))]
        touches.append(tirx.Evaluate(tirx.call_intrin("void", "tirx.prefetch", *arguments)))
    return function.with_body(_insert(function.body, ci, touches))


def _path(stmt: Any, loops: list[Any]) -> tuple[list[Any], Any] | None:
    """The loops around the block `acc_update`, and its realization."""
    if isinstance(stmt, tirx.For):
        return _path(stmt.body, [*loops, stmt])
    if isinstance(stmt, tirx.SeqStmt):
        found = (_path(part, loops) for part in stmt.seq)
        return next((path for path in found if path is not None), None)
    if isinstance(stmt, s_tir.SBlockRealize):
        if str(stmt.block.name_hint) == "acc_update":
            return loops, stmt
        return _path(stmt.block.body, loops)
    return None


def _is_unrolled(loop: Any) -> bool:
    return int(loop.kind) in (int(tirx.ForKind.UNROLLED), int(tirx.ForKind.VECTORIZED))


def _at_zero(expr: Any, variables: list[Any]) -> Any:
    for variable in variables:
        expr = tirx.Let(variable, tirx.const(0, "int32"), expr)
    return sym.Analyzer().simplify(expr)  # which substitutes


def _between(loops: list[Any], outer: Any, inner: Any) -> list[Any]:
    """The loops inside of the one that `outer` follows and outside of a loop variable."""
    units = [loop.loop_var for loop in loops if int(loop.extent) == 1]
    outer = _at_zero(outer, units)
    names = [loop.loop_var for loop in loops]
    first = next(i for i, name in enumerate(names) if name.same_as(outer))
    last = next(i for i, name in enumerate(names) if name.same_as(inner))
    return loops[first + 1 : last]


def _insert(stmt: Any, variable: Any, statements: list[Any]) -> Any:
    """Put statements first in the body of the loop of a variable."""
    if isinstance(stmt, tirx.For):
        if stmt.loop_var.same_as(variable):
            return with_loop_body(stmt, tirx.SeqStmt([*statements, stmt.body]))
        return with_loop_body(stmt, _insert(stmt.body, variable, statements))
    if isinstance(stmt, tirx.SeqStmt):
        return tirx.SeqStmt([_insert(part, variable, statements) for part in stmt.seq])
    if isinstance(stmt, s_tir.SBlockRealize):
        block = with_block_body(stmt.block, _insert(stmt.block.body, variable, statements))
        return s_tir.SBlockRealize(list(stmt.iter_values), stmt.predicate, block)
    return stmt


def with_loop_body(loop: Any, body: Any) -> Any:
    """A copy of a loop around another body."""
    return tirx.For(
        loop.loop_var,
        loop.min,
        loop.extent,
        loop.kind,
        body,
        loop.thread_binding,
        loop.annotations,
        loop.step,
    )


def with_block_body(block: Any, body: Any) -> Any:
    """A copy of a block around another body."""
    return s_tir.SBlock(
        block.iter_vars,
        block.reads,
        block.writes,
        block.name_hint,
        body,
        block.init,
        block.alloc_buffers,
        block.match_buffers,
        block.annotations,
    )
