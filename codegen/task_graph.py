"""Graphs made of one task: constant operands get seeded values, the others are inputs."""

from __future__ import annotations

import numpy as np

from ..ir.graph import Graph, Value
from ..ir.structure import KernelAttrs
from ..ir.types import TensorType
from ..schedules.task import Task

__all__ = ["add_constants", "add_inputs", "operand_values", "task_graph"]


def task_graph(task: Task, seed: int = 0) -> Graph:
    """A graph of one kernel."""
    graph = Graph("task")
    operands = {**add_inputs(graph, task), **add_constants(graph, task, seed)}
    layouts = tuple(value.layout for value in task.body.outputs)
    node = graph.add(
        "kernel",
        *(operands[index] for index in sorted(operands)),
        attrs=KernelAttrs(task.body),
        layouts=layouts,
    )
    graph.set_outputs(node.outputs, [f"y{index}" for index in range(len(node.outputs))])
    return graph


def operand_values(task: Task, seed: int = 0) -> list[np.ndarray]:
    """Logical arrays for all operands of a task, of a seed."""
    rng = np.random.default_rng(seed)
    return [_values(value.type, rng) for value in task.body.inputs]


def add_inputs(graph: Graph, task: Task) -> dict[int, Value]:
    """Add the operands that are no constants as inputs; by their place among the operands."""
    return {
        index: graph.add_input(f"x{index}", value.type)
        for index, value in enumerate(task.body.inputs)
        if index not in task.constants
    }


def add_constants(graph: Graph, task: Task, seed: int) -> dict[int, Value]:
    """Add the constant operands with the values of a seed; by their place among the operands."""
    rng = np.random.default_rng(seed)
    return {
        index: graph.add_constant(_values(value.type, rng), name=f"w{index}")
        for index, value in enumerate(task.body.inputs)
        if index in task.constants
    }


def _values(kind: TensorType, rng: np.random.Generator) -> np.ndarray:
    """Values that any op takes: vectors (scales, variances) positive, the rest around zero."""
    if not kind.dtype.is_float:
        return rng.integers(0, 2, kind.shape).astype(kind.dtype.numpy)
    if sum(size > 1 for size in kind.shape) <= 1:
        return rng.uniform(0.5, 1.5, kind.shape).astype(kind.dtype.numpy)
    return rng.standard_normal(kind.shape).astype(kind.dtype.numpy)
