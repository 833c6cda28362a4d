"""Vector loops whose last iterations are cut off: whole vectors where all lanes are inside."""

from __future__ import annotations

from typing import Any

from tvm import s_tir, sym, tirx

from ..rewrite import with_block_body, with_loop_body

__all__ = ["split_tails"]


def split_tails(function: Any) -> Any:
    """Give every guarded vector loop of a scheduled function an unguarded form.

        for lane in vectorized(n):           if inside(n - 1):
            if inside(lane): body        →       for lane in vectorized(n): body
                                             else:
                                                 for lane in range(n): if inside(lane): body

    TVM makes a guarded vector loop serial. Guards must be monotone: what holds for the last lane
    holds for all (they are `index < size`, from splits that do not divide).
    """
    return function.with_body(_rewrite(function.body))


def _rewrite(stmt: Any) -> Any:
    if isinstance(stmt, tirx.For):
        if stmt.kind == tirx.ForKind.VECTORIZED and _is_guarded(stmt.body):
            return _split(stmt)
        return with_loop_body(stmt, _rewrite(stmt.body))
    if isinstance(stmt, tirx.SeqStmt):
        return tirx.SeqStmt([_rewrite(part) for part in stmt.seq])
    if isinstance(stmt, s_tir.SBlockRealize):
        inner = with_block_body(stmt.block, _rewrite(stmt.block.body))
        return s_tir.SBlockRealize(list(stmt.iter_values), stmt.predicate, inner)
    return stmt


def _is_guarded(stmt: Any) -> bool:
    if not isinstance(stmt, s_tir.SBlockRealize):
        return False
    return not isinstance(stmt.predicate, tirx.IntImm)


def _split(loop: Any) -> Any:
    realize = loop.body
    always = tirx.const(True, "bool")
    whole = s_tir.SBlockRealize(list(realize.iter_values), always, realize.block)
    # Simplifying a Let substitutes its variable.
    lane = tirx.Let(loop.loop_var, loop.min + loop.extent - 1, realize.predicate)
    last = sym.Analyzer().simplify(lane)
    return tirx.IfThenElse(
        last, with_loop_body(loop, whole), with_loop_body(loop, realize, tirx.ForKind.SERIAL)
    )
