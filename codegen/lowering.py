"""What is added to TVM's lowering of a kernel.

Small temporary buffers stand on the stack. TVM asks its runtime for every buffer of 1 KB and more,
also for the register tile of a template: two calls a tile, which LLVM can neither remove nor see
through. On the stack a tile becomes registers.

Operands are promised to stand at multiples of 16 bytes, not of 64 as TVM has it. That is what
malloc gives, so a user's arrays need not be copied; vector loads that may be less aligned than they
are wide cost nothing where the address is aligned in fact, as it is for all that leip places.
"""

from __future__ import annotations

import math
from typing import Any

import tvm
from tvm import tirx
from tvm.s_tir.pipeline import default_s_tir_pipeline
from tvm.tirx.compilation_pipeline import register_tir_pipeline

from ..ir.dtypes import DType
from ..schedules.rewrite import with_loop_body

__all__ = ["OPERAND_ALIGNMENT", "PIPELINE"]

PIPELINE = "leip"  # TVM's default passes and this one, for `tvm.tirx.build(pipeline=…)`
OPERAND_ALIGNMENT = 16  # bytes
MOST_BYTES = 8 << 10  # of one buffer
_KEEP = "disable_lower_builtin"  # TVM: the code generator, and not the runtime, makes room


def _pipeline() -> Any:
    passes, finish_host, finish_device = default_s_tir_pipeline()

    def finish() -> Any:
        return tvm.ir.transform.Sequential([_mark, finish_host()])

    return passes, finish, finish_device


def _mark_function(function: Any, module: Any, context: Any) -> Any:
    return function.with_body(_rewrite(function.body))


_mark = tirx.transform.prim_func_pass(_mark_function, opt_level=0, name="leip.Lowering")


def _rewrite(stmt: Any) -> Any:
    if isinstance(stmt, tirx.AllocBuffer) and _is_small(stmt.buffer):
        return tirx.AllocBuffer(stmt.buffer, {_KEEP: tirx.const(True, "bool")})
    if isinstance(stmt, tirx.SeqStmt):
        return tirx.SeqStmt([_rewrite(part) for part in stmt.seq])
    if isinstance(stmt, tirx.For):
        return with_loop_body(stmt, _rewrite(stmt.body))
    if isinstance(stmt, tirx.AttrStmt):
        value = stmt.value
        if stmt.attr_key == "storage_alignment":
            value = tirx.const(OPERAND_ALIGNMENT, "int32")
        return tirx.AttrStmt(stmt.node, stmt.attr_key, value, _rewrite(stmt.body))
    if isinstance(stmt, tirx.IfThenElse):
        other = stmt.else_case
        return tirx.IfThenElse(
            stmt.condition,
            _rewrite(stmt.then_case),
            _rewrite(other) if other is not None else None,
        )
    return stmt


def _is_small(buffer: Any) -> bool:
    sizes = [size for size in buffer.shape if isinstance(size, tirx.IntImm)]
    if len(sizes) < len(buffer.shape):
        return False
    count = math.prod(int(size) for size in sizes)
    element, _, lanes = str(buffer.dtype).partition("x")
    return count * int(lanes or 1) * DType.parse(element).bytes <= MOST_BYTES


register_tir_pipeline(PIPELINE, _pipeline)
