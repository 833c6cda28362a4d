"""Copies of TensorIR statements with one part changed, for rewriters of scheduled functions."""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx

__all__ = ["with_block_body", "with_loop_body"]


def with_loop_body(loop: Any, body: Any, kind: Any = None) -> Any:
    """A copy of a loop around another body, of another kind if one is given."""
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


def with_block_body(block: Any, body: Any, writes: Any = None) -> Any:
    """A copy of a block around another body, with other regions written if they are given."""
    return s_tir.SBlock(
        block.iter_vars,
        block.reads,
        block.writes if writes is None else writes,
        block.name_hint,
        body,
        block.init,
        block.alloc_buffers,
        block.match_buffers,
        block.annotations,
    )
