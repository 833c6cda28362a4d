"""Vector loops whose last iterations are cut off: whole vectors where all lanes are inside.

`split_tails` keeps a guarded form for the rest; `move_tails` moves the last vector back until it
fits, for stages that may compute an element twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import s_tir, sym, tirx

from ..rewrite import with_block_body, with_loop_body

__all__ = ["move_tails", "split_tails"]


def split_tails(function: Any) -> Any:
    """Give every guarded vector loop of a scheduled function an unguarded form.

        for lane in vectorized(n):           if inside(n - 1):
            if inside(lane): body        →       for lane in vectorized(n): body
                                             else:
                                                 for lane in range(n): if inside(lane): body

    TVM makes a guarded vector loop serial. Guards must be monotone: what holds for the last lane
    holds for all (they are `index < size`, from splits that do not divide).
    """
    return function.with_body(_rewrite(function.body, _split))


def move_tails(function: Any) -> Any:
    """Move vectors that end outside of a row back to its end.

        for lane in vectorized(n):                   for lane in vectorized(n):
            if base + lane < size:           →           body(base + lane - max(base + n - size, 0))
                body(base + lane)

    Some elements are computed twice, to the same values. For stages that only store what they
    compute from other buffers, in rows of at least a vector (`n <= size`). Loops with several
    guards on their lanes stay as they are.
    """
    return function.with_body(_rewrite(function.body, _moved))


def _rewrite(stmt: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(stmt, tirx.For):
        if stmt.kind == tirx.ForKind.VECTORIZED and _is_guarded(stmt.body):
            return change(stmt)
        return with_loop_body(stmt, _rewrite(stmt.body, change))
    if isinstance(stmt, tirx.SeqStmt):
        return tirx.SeqStmt([_rewrite(part, change) for part in stmt.seq])
    if isinstance(stmt, s_tir.SBlockRealize):
        inner = with_block_body(stmt.block, _rewrite(stmt.block.body, change))
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


def _moved(loop: Any) -> Any:
    realize, lane = loop.body, loop.loop_var
    guards = _conjuncts(realize.predicate)
    own = [guard for guard in guards if _uses(guard, lane)]
    if len(own) != 1 or not isinstance(own[0], tirx.LT):
        return loop
    end = tirx.Let(lane, loop.min + loop.extent, own[0].a)
    beyond = tirx.max(sym.Analyzer().simplify(end) - own[0].b, 0)
    kept = [guard for guard in guards if guard is not own[0]]
    predicate = tirx.all(*kept) if kept else tirx.const(True, "bool")
    values = [v - beyond if _uses(v, lane) else v for v in realize.iter_values]
    return with_loop_body(loop, s_tir.SBlockRealize(values, predicate, realize.block))


def _conjuncts(condition: Any) -> list[Any]:
    if isinstance(condition, tirx.And):
        return [*_conjuncts(condition.a), *_conjuncts(condition.b)]
    return [condition]


def _uses(expression: Any, variable: Any) -> bool:
    return any(variable.same_as(other) for other in tirx.analysis.undefined_vars(expression))
