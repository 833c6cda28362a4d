"""Moves that templates share, on an `s_tir.Schedule`. Each shows its loop nest before → after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tvm
from tvm import s_tir

from ..ir import levels
from ..ir.dtypes import DType
from .task import Task
from .template import Lowered

__all__ = [
    "PARTITION",
    "extent",
    "finish",
    "fuse_all",
    "is_reduction",
    "pass_config",
    "serial_work",
    "spatial_loops",
    "workspace_bytes",
]

PARTITION = {"s_tir.LoopPartition": {"partition_const_loop": True}}


def pass_config(level: int, *, partition: bool = False) -> dict[str, Any]:
    """PassContext entries: level 1 keeps all checks; `partition` peels borders and tails."""
    config: dict[str, Any] = {"tirx.disable_assert": level >= levels.FUSED}
    if partition:
        config.update(PARTITION)
    return config


def extent(sch: Any, loop: Any) -> int:
    """The constant extent of a loop."""
    return int(sch.get(loop).extent)


def fuse_all(sch: Any, loops: Sequence[Any]) -> Any:
    """for a: for b: for c  →  for abc"""
    return sch.fuse(*loops) if len(loops) > 1 else loops[0]


def serial_work(task: Task, bytes_per_us: float = 8e3, flops_per_us: float = 2e4) -> float:
    """Microseconds that one thread needs for a task, roughly, at memory or arithmetic speed."""
    return max(task.bytes / bytes_per_us, task.flops / flops_per_us)


def buffers_of(function: Any) -> list[Any]:
    """Every buffer that a function allocates, in order."""
    found: list[Any] = []

    def walk(node: Any) -> None:
        if node is None:
            return
        for buffer in getattr(node, "alloc_buffers", None) or ():
            found.append(buffer)
        for child in _children(node):
            walk(child)

    walk(function.body)
    return found


def _children(node: Any) -> list[Any]:
    children = []
    for name in ("body", "block", "then_case", "else_case", "init"):
        child = getattr(node, name, None)
        if child is not None:
            children.append(child)
    sequence = getattr(node, "seq", None)
    return [*children, *(sequence or ())]


def workspace_bytes(function: Any) -> int:
    """Upper bound of the temporary memory of a scheduled function: all its buffers together.

    As large as they are once TVM has shrunk them to what their place in the loops needs.
    """
    passes = tvm.ir.transform.Sequential(
        [
            s_tir.transform.LowerInitBlock(),
            s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
            s_tir.transform.ConvertBlocksToOpaque(),
            s_tir.transform.CompactBufferAllocation(),
        ]
    )
    compact = passes(tvm.IRModule({"main": function}))["main"]
    total = 0
    for buffer in buffers_of(compact):
        size = math.prod(int(n) for n in buffer.shape) * DType.parse(str(buffer.dtype)).bytes
        total += -(-size // 64) * 64 + 64
    return total


def finish(
    sch: Any, task: Task, *, partition: bool = False, extra: Mapping[str, Any] | None = None
) -> Lowered:
    """The Lowered of a scheduled single-function module."""
    function = sch.mod["main"]
    config = {**pass_config(task.level, partition=partition), **(extra or {})}
    return Lowered((function,), workspace_bytes(function), config)


def is_reduction(sch: Any, block: Any) -> bool:
    """Whether a block has a reduction axis."""
    return any(int(v.iter_type) == 2 for v in sch.get(block).iter_vars)


def spatial_loops(sch: Any, block: Any) -> tuple[list[Any], list[Any]]:
    """The loops of a fresh block, split into spatial ones and reductions."""
    loops = sch.get_loops(block)
    kinds = [int(v.iter_type) for v in sch.get(block).iter_vars]
    kinds = kinds[len(kinds) - len(loops) :]
    spatial = [loop for loop, kind in zip(loops, kinds, strict=True) if kind != 2]
    return spatial, [loop for loop, kind in zip(loops, kinds, strict=True) if kind == 2]
