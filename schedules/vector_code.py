"""Statements of TensorIR for kernels that are written out and not scheduled.

A kernel whose parts depend on each other in more ways than loops can be moved (attention, a scan, a
selection) is written as what it shall become: loops, and in them loads, stores and arithmetic of
whole vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import s_tir, tirx

from .view import Expr

__all__ = [
    "GRAIN",
    "fold",
    "load",
    "loop",
    "lowest",
    "parallel",
    "prim_func",
    "ramp",
    "scratch",
    "seq",
    "shared_loop",
    "store",
    "transposed",
    "vector_loop",
    "vector_type",
    "wide",
    "with_scratch",
]

GRAIN = 16384  # elements that a second thread is worth waking for

Stmt = Any
Body = Callable[[Any], Stmt]


def seq(*statements: Stmt) -> Stmt:
    """Statements one after the other; None is left out."""
    kept = [statement for statement in statements if statement is not None]
    return kept[0] if len(kept) == 1 else tirx.SeqStmt(kept)


def _for(extent: Expr, body: Body, kind: Any, name: str) -> Stmt:
    variable = tirx.Var(name, "int32")
    return tirx.For(variable, _index(0), _index(extent), kind, body(variable))


def loop(extent: Expr, body: Body, name: str = "i") -> Stmt | None:
    """for i in range(extent): body(i); nothing, or the body alone, where that is enough.

    An extent that is an expression is known as the kernel runs.
    """
    if isinstance(extent, int) and extent == 0:
        return None
    if isinstance(extent, int) and extent == 1:
        return body(tirx.const(0, "int32"))
    return _for(extent, body, tirx.ForKind.SERIAL, name)


def parallel(extent: int, body: Body) -> Stmt:
    """parallel for i in range(extent): body(i)"""
    return _for(extent, body, tirx.ForKind.PARALLEL, "task")


def shared_loop(extent: int, body: Body, threads: bool, name: str = "row") -> Stmt | None:
    """A loop that threads share if they shall and it has more than one step."""
    return parallel(extent, body) if threads and extent > 1 else loop(extent, body, name)


def vector_loop(lanes: int, body: Body) -> Stmt:
    """for lane in vectorized(lanes): body(lane)"""
    return _for(lanes, body, tirx.ForKind.VECTORIZED, "lane")


def ramp(start: Expr, lanes: int) -> Expr:
    """start, start + 1, …: the index of a whole vector (of one lane: of an element)."""
    return _index(start) if lanes == 1 else tirx.Ramp(_index(start), tirx.const(1, "int32"), lanes)


def load(buffer: Any, *index: Expr) -> Expr:
    return tirx.BufferLoad(buffer, [_index(i) for i in index])


def store(buffer: Any, value: Expr, *index: Expr) -> Stmt:
    return tirx.BufferStore(buffer, value, [_index(i) for i in index])


def _index(index: Expr) -> Expr:
    return tirx.const(index, "int32") if isinstance(index, int) else index


def wide(value: Expr, lanes: int) -> Expr:
    """A vector of the same value in all lanes."""
    return value if lanes == 1 else tirx.Broadcast(value, lanes)


def vector_type(lanes: int, dtype: str = "float32") -> str:
    """The TVM dtype of a vector."""
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def lowest(lanes: int) -> Expr:
    """A vector of -inf."""
    return tirx.Broadcast(tirx.const(float("-inf"), "float32"), lanes)


def scratch(shape: Sequence[int], name: str, dtype: str = "float32") -> Any:
    """A temporary buffer; `with_scratch` says where it lives."""
    return tirx.decl_buffer(tuple(shape), dtype, name=name)


def with_scratch(buffers: Sequence[Any], body: Stmt) -> Stmt:
    """A body and the temporary buffers that live as long as it runs."""
    block = s_tir.SBlock([], [], [], "part", body, None, list(buffers))
    return s_tir.SBlockRealize([], tirx.const(True, "bool"), block)


def prim_func(params: Sequence[Any], body: Stmt) -> Any:
    """A PrimFunc of buffers that do not overlap."""
    block = s_tir.SBlock([], [], [], "root", body)
    realize = s_tir.SBlockRealize([], tirx.const(True, "bool"), block)
    function = tirx.PrimFunc(list(params), realize)
    for name, value in (("tirx.noalias", True), ("s_tir", True)):
        function = function.with_attr(name, value)
    return function


def fold(
    vector: Expr, lanes: int, combine: Callable[[Expr, Expr], Expr], dtype: str = "float32"
) -> Sequence[Any]:
    """Statements that reduce a vector to a scalar by halves, and behind them the scalar."""
    statements: list[Any] = []
    while lanes > 1:
        held = tirx.Var("half", vector_type(lanes, dtype))
        statements.append(tirx.Bind(held, vector))
        lanes //= 2
        if lanes == 1:
            low, high = tirx.Shuffle([held], [_index(0)]), tirx.Shuffle([held], [_index(1)])
        else:
            low = tirx.Shuffle([held], [_index(i) for i in range(lanes)])
            high = tirx.Shuffle([held], [_index(i) for i in range(lanes, 2 * lanes)])
        vector = combine(low, high)
    return (*statements, vector)


def transposed(rows: Sequence[Expr]) -> tuple[list[Stmt], list[Any]]:
    """The columns of a square of vectors, as variables, and the statements that make them.

    log2(n) rounds; each exchanges, between rows i and i + b, the blocks of b lanes that are not on
    the diagonal.
    """
    lanes = len(rows)
    statements: list[Any] = []

    def bound(value: Expr) -> Any:
        variable = tirx.Var("row", f"float32x{lanes}")
        statements.append(tirx.Bind(variable, value))
        return variable

    current = [bound(row) for row in rows]
    size = 1
    while size < lanes:
        after = list(current)
        low = [i if not i & size else lanes + i - size for i in range(lanes)]
        high = [i + size if not i & size else lanes + i for i in range(lanes)]
        for i in range(lanes):
            if not i & size:
                pair = [current[i], current[i + size]]
                after[i] = bound(tirx.Shuffle(pair, [_index(k) for k in low]))
                after[i + size] = bound(tirx.Shuffle(pair, [_index(k) for k in high]))
        current = after
        size *= 2
    return statements, current
