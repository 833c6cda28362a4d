"""Changes to scheduled loop nests that schedule primitives cannot express.

They work on the update block of a register tile, `acc_update` if nothing else is said: the loops
around it, and the loop variables that its block variables are bound to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import s_tir, sym, tirx

from ..rewrite import with_block_body, with_loop_body

__all__ = ["UPDATE", "UpdateNest", "change_body"]

UPDATE = "acc_update"


class UpdateNest:
    """The loops around a block of a function.

    Attributes:
        loops: From the outermost in.
        bindings: What each variable of the block is bound to.
    """

    def __init__(self, function: Any, block: str = UPDATE) -> None:
        path = _path(function.body, block, [])
        assert path is not None, f"no block {block}"
        self.loops: list[Any] = path[0]
        self.bindings: list[Any] = list(path[1].iter_values)

    def start(self, binding: Any) -> Any:
        """A binding at the first element of the register tile, unit loops left out."""
        small = [loop.loop_var for loop in self.loops if _is_unrolled(loop) or loop.extent == 1]
        for variable in small:
            binding = tirx.Let(variable, tirx.const(0, "int32"), binding)
        return sym.Analyzer().simplify(binding)  # which substitutes

    def between(self, outer: Any, inner: Any) -> list[Any]:
        """The loops inside of the one that binding `outer` follows and outside of `inner`'s."""
        variable = self.start(outer)
        names = [loop.loop_var for loop in self.loops]
        first = next(i for i, name in enumerate(names) if name.same_as(variable))
        last = next(i for i, name in enumerate(names) if name.same_as(inner))
        return self.loops[first + 1 : last]


def _path(stmt: Any, block: str, loops: list[Any]) -> tuple[list[Any], Any] | None:
    if isinstance(stmt, tirx.For):
        return _path(stmt.body, block, [*loops, stmt])
    if isinstance(stmt, tirx.IfThenElse):
        return _path(stmt.then_case, block, loops)
    if isinstance(stmt, tirx.SeqStmt):
        found = (_path(part, block, loops) for part in stmt.seq)
        return next((path for path in found if path is not None), None)
    if isinstance(stmt, s_tir.SBlockRealize):
        if str(stmt.block.name_hint) == block:
            return loops, stmt
        return _path(stmt.block.body, block, loops)
    return None


def _is_unrolled(loop: Any) -> bool:
    return int(loop.kind) in (int(tirx.ForKind.UNROLLED), int(tirx.ForKind.VECTORIZED))


def change_body(function: Any, variable: Any, change: Callable[[Any], Any]) -> Any:
    """The function with `change(body)` as the body of the loop of a variable."""

    def rewrite(stmt: Any) -> Any:
        if isinstance(stmt, tirx.For):
            if stmt.loop_var.same_as(variable):
                return with_loop_body(stmt, change(stmt.body))
            return with_loop_body(stmt, rewrite(stmt.body))
        if isinstance(stmt, tirx.IfThenElse) and stmt.else_case is None:
            return tirx.IfThenElse(stmt.condition, rewrite(stmt.then_case), None)
        if isinstance(stmt, tirx.SeqStmt):
            return tirx.SeqStmt([rewrite(part) for part in stmt.seq])
        if isinstance(stmt, s_tir.SBlockRealize):
            block = with_block_body(stmt.block, rewrite(stmt.block.body))
            return s_tir.SBlockRealize(list(stmt.iter_values), stmt.predicate, block)
        return stmt

    return function.with_body(rewrite(function.body))
