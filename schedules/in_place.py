"""Kernels that may write their result where an operand stands.

A residual that nobody reads after its addition need not lie beside the sum: the sum takes its
memory. That is right as long as every element of the operand is read by whoever writes the same
element of the result, before it is written, and no element is written twice:

    out[i] = f(acc, x[i])            one block, each i once: yes
    out[min(i, n - 4)] = f(x[…])     a tile that is moved back computes elements again, from what
                                     it has written itself: no
    s = sum x[i];  out[i] = x[i] - s another stage reads the operand too: no

A template says which operands (`Template.in_place`), of those that `same_elements` finds in the
body. `prepare` keeps those that the kernel's code bears out, and makes it code that may be called
so: TVM promises LLVM that parameters do not overlap (`noalias`, and a type of its own for each of
them in the tree of TBAA), from which LLVM concludes that a load of the operand may be moved behind
a store of the result. Without the promise all parameters are of one type, and LLVM keeps loads and
stores in order. This costs a load of the bias for every vector that is stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any

from tvm import s_tir, sym, tirx

from ..ir.graph import Value
from ..ir.op import Pattern
from .task import Task
from .template import Lowered

__all__ = ["objection", "prepare", "same_elements"]

NO_ALIAS = "tirx.noalias"  # attribute of TVM's functions; te.create_prim_func sets it


def same_elements(task: Task) -> tuple[int, ...]:
    """Positions of operands of the output's type of which element i leads to element i alone.

    Only elementwise nodes of the output's shape stand between them. There are none if there are
    several outputs: what is written for one would be read for the next.
    """
    if len(task.body.outputs) != 1:
        return ()
    output = task.body.outputs[0]
    return tuple(
        position
        for position, operand in enumerate(task.body.inputs)
        if position not in task.constants
        and operand.type == output.type
        and _is_elementwise(task, operand)
    )


def _is_elementwise(task: Task, operand: Value) -> bool:
    """Whether all that is made of an operand, directly or not, is elementwise."""
    waiting = [operand]
    while waiting:
        for use in task.body.users(waiting.pop()):
            node = use.node
            normalized = node.op == "batch_norm" and use.index == 0
            if node.definition.pattern is not Pattern.ELEMENTWISE and not normalized:
                return False
            if any(value.shape != operand.shape for value in node.outputs):
                return False
            waiting += node.outputs
    return True


def prepare(lowered: Lowered, positions: Sequence[int]) -> tuple[Lowered, tuple[int, ...]]:
    """The kernel as one that may be called with an operand's memory as its result's.

    Args:
        lowered: What a template has built; it comes back as it is if no position is left.
        positions: Operands whose memory the template says the result may take.

    Returns:
        The kernel, and those of the positions to which its code gives no objection.

    Raises:
        ValueError: If a position is none of an operand.
    """
    function = lowered.functions[0]
    count = len(function.params) - 1
    integers = isinstance(positions, Sequence) and all(isinstance(p, Integral) for p in positions)
    if not integers or not all(0 <= position < count for position in positions):
        raise ValueError(f"`in_place` gives {positions!r}, not positions of its {count} operands")
    held = tuple(int(position) for position in positions if not objection(function, position))
    if not held:
        return lowered, ()
    functions = (function.without_attr(NO_ALIAS), *lowered.functions[1:])
    return dataclasses.replace(lowered, functions=functions), held


def objection(function: Any, position: int) -> str:
    """Why a scheduled function may not write its result where an operand stands; "" if it may.

    Every block that reads the operand must write the result, at the same element; one block writes
    it, each element once. What writes elements twice is a tile that is moved back from the end,
    which is known by the minimum or maximum in its place.

    Args:
        function: A TVM PrimFunc, scheduled: inputs in the order of the body's, then one output.
        position: The operand's, among the inputs.
    """
    operand, output = function.params[position], function.params[-1]
    writers = 0
    for realize in _blocks(function.body):
        if not isinstance(realize, s_tir.SBlockRealize):
            return f"{type(realize).__name__} is not looked into"
        block = realize.block
        reads = [region for region in block.reads if region.source.same_as(operand)]
        writes = [region for region in block.writes if region.source.same_as(output)]
        writers += bool(writes)
        if reads and len(writes) != 1:
            return f"block {block.name_hint} reads {operand.name} too"
        for read in reads:
            if not _same_element(block, read, writes[0]):
                return f"{read} is read where {writes[0]} is written"
        where = str([*realize.iter_values, *(r.min for r in writes[0].region)]) if writes else ""
        if "min(" in where or "max(" in where:
            return f"elements of {writes[0]} are written twice"
    return "" if writers == 1 else f"{writers} blocks write the result"


def _blocks(stmt: Any) -> Iterator[Any]:
    """The blocks of a scheduled function that compute something, and statements of other kinds."""
    if isinstance(stmt, tirx.For):
        yield from _blocks(stmt.body)
    elif isinstance(stmt, tirx.SeqStmt):
        for part in stmt.seq:
            yield from _blocks(part)
    elif isinstance(stmt, tirx.IfThenElse):
        yield from _blocks(stmt.then_case)
        if stmt.else_case is not None:
            yield from _blocks(stmt.else_case)
    elif isinstance(stmt, s_tir.SBlockRealize):
        if stmt.block.reads or stmt.block.writes:
            yield stmt
        yield from _blocks(stmt.block.body)
    elif not isinstance(stmt, (tirx.BufferStore, tirx.Evaluate)):
        yield stmt


def _same_element(block: Any, read: Any, write: Any) -> bool:
    """Whether two regions of a block are the same element of buffers of one shape."""
    analyzer = sym.Analyzer()
    for axis in block.iter_vars:
        analyzer.bind(axis.var, axis.dom)
    sizes = [int(size) for size in write.source.shape]
    return [int(size) for size in read.source.shape] == sizes and all(
        size == 1 or (analyzer.can_prove_equal(r.min, w.min) and r.extent == w.extent == 1)
        for r, w, size in zip(read.region, write.region, sizes, strict=True)
    )
