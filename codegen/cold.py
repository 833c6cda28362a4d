"""One kernel's time with cold weights, as it finds them in a model.

A kernel that runs again and again finds its weights in the cache; in a model other kernels have run
since. Here one kernel stands many times in a graph, each time with weights of its own, so that each
run finds weights that were last read a whole cache ago. Inputs and results stay where they are:
these are warm in a model too.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

from ..ir.graph import Graph
from ..ir.structure import KernelAttrs
from ..runtime import load
from ..schedules.task import Task
from .build import BuildOptions, build_object
from .cache import KernelCache
from .kernel_build import WorkerPool
from .task_graph import add_constants, add_inputs

__all__ = ["cold_graph", "cold_seconds", "copies_for", "last_level_cache"]

USUAL_CACHE = 32 << 20  # where the system does not say
CACHES = 1.25  # how many caches all weights together fill
MOST_COPIES = 64  # those of small weights leave a core's own caches, if not the shared one
MOST_BYTES = 512 << 20
RUNS = 5


def last_level_cache() -> int:
    """Bytes of this machine's largest cache."""
    for name in ("SC_LEVEL3_CACHE_SIZE", "SC_LEVEL2_CACHE_SIZE"):
        if name in os.sysconf_names and (size := os.sysconf(name)) > 0:
            return size
    return USUAL_CACHE


def copies_for(weight_bytes: int, cache_bytes: int) -> int:
    """How often weights must be there to leave the cache between two uses; 0 without weights."""
    if weight_bytes == 0:
        return 0
    wanted = math.ceil(CACHES * cache_bytes / weight_bytes)
    return max(2, min(wanted, MOST_COPIES, MOST_BYTES // weight_bytes))


def cold_graph(task: Task, copies: int) -> Graph:
    """A graph of the same kernel with other weights each time; the last result is its output."""
    graph = Graph("cold")
    inputs = add_inputs(graph, task)
    layouts = tuple(value.layout for value in task.body.outputs)
    for copy in range(copies):
        operands = {**inputs, **add_constants(graph, task, copy)}
        node = graph.add(
            "kernel",
            *(operands[index] for index in sorted(operands)),
            attrs=KernelAttrs(task.body),
            layouts=layouts,
        )
    graph.set_outputs(node.outputs, [f"y{index}" for index in range(len(node.outputs))])
    return graph


def cold_seconds(
    task: Task, options: BuildOptions, folder: Path, pool: WorkerPool, cache: KernelCache | None
) -> float:
    """The time of one run with cold weights; 0 for a task without.

    Raises:
        BuildError: If it cannot be built.
    """
    weights = sum(task.body.inputs[index].type.nbytes for index in task.constants)
    copies = copies_for(weights, last_level_cache())
    if copies == 0:
        return 0.0
    folder.mkdir()
    result = build_object(cold_graph(task, copies), options, folder, pool=pool, cache=cache)
    with load(str(result.library), threads=task.threads) as engine:
        times: Sequence[int] = [step.ns for step in engine.profile(runs=RUNS)]
    return statistics.median(times) / 1e9
