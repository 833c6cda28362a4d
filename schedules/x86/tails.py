"""Vector loops whose last iterations are cut off: whole vectors where all lanes are inside."""

from __future__ import annotations

from typing import Any

from tvm import s_tir, sym, tirx

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
        return _with_body(stmt, _rewrite(stmt.body))
    if isinstance(stmt, tirx.SeqStmt):
        return tirx.SeqStmt([_rewrite(part) for part in stmt.seq])
    if isinstance(stmt, s_tir.SBlockRealize):
        block = stmt.block
        inner = s_tir.SBlock(
            block.iter_vars,
            block.reads,
            block.writes,
            block.name_hint,
            _rewrite(block.body),
            block.init,
            block.alloc_buffers,
            block.match_buffers,
            block.annotations,
        )
        return s_tir.SBlockRealize(list(stmt.iter_values), stmt.predicate, inner)
    return stmt


def _is_guarded(stmt: Any) -> bool:
    if not isinstance(stmt, s_tir.SBlockRealize):
        return False
    return not isinstance(stmt.predicate, tirx.IntImm)


def _with_body(loop: Any, body: Any, kind: Any = None) -> Any:
    return tirx.For(
        loop.loop_var,
        loop.min,
        loop.extent,
        loop.kind if kind is None else kind,
        body,
        loop.thread_binding,
        loop.annotations,
        loop.step,
    )


def _split(loop: Any) -> Any:
    realize = loop.body
    always = tirx.const(True, "bool")
    whole = s_tir.SBlockRealize(list(realize.iter_values), always, realize.block)
    # Simplifying a Let substitutes its variable.
    lane = tirx.Let(loop.loop_var, loop.min + loop.extent - 1, realize.predicate)
    last = sym.Analyzer().simplify(lane)
    return tirx.IfThenElse(
        last, _with_body(loop, whole), _with_body(loop, realize, tirx.ForKind.SERIAL)
    )
