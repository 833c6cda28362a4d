"""What is tuned: a graph, its kernels, and what a search or the log of one makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..codegen.build import BuildOptions, ChosenKernel, choose_kernels
from ..codegen.cache import KernelCache
from ..codegen.kernel_build import WorkerPool
from ..codegen.kernel_object import kernel_stem
from ..codegen.views import find_views
from ..ir.graph import Graph
from ..ir.text import print_graph
from ..passes.pipeline import after_layouts
from ..schedules.select import Override
from ..schedules.task import Task
from ..schedules.template import Knobs, Template
from ..search.configs import text_of
from ..search.layouts import replayed
from ..search.record import Config, LayoutChoice
from ..search.status import SearchStatus
from .given_logs import GivenLogs
from .options import CompileOptions
from .template_cost import TemplateCost

__all__ = ["Job", "Kernel", "Tuned", "Watch", "apply_layouts", "kernels_of", "override_of"]

Watch = Callable[[SearchStatus], None]


@dataclass(frozen=True)
class Job:
    """What is to be tuned, and with what.

    Attributes:
        options: As given.
        build: How to build, without overrides.
        name: The model's, for people.
        graph: After all passes, in its default layouts.
        logs: Of earlier searches.
        folder: For objects on the way.
        pool, cache: To build with.
        watch: Is told how the search goes.
    """

    options: CompileOptions
    build: BuildOptions
    name: str
    graph: Graph
    logs: GivenLogs
    folder: Path
    pool: WorkerPool
    cache: KernelCache
    watch: Watch

    @property
    def digest(self) -> str:
        """What verdicts and choices of layouts hold for: the graph, target, threads and level."""
        return self.digest_of(self.graph)

    def digest_of(self, graph: Graph) -> str:
        """The same of this graph in other layouts."""
        build = self.build
        facts = f"{build.target}\n{build.threads}\n{build.level}\n"
        return hashlib.sha256((facts + print_graph(graph)).encode()).hexdigest()


@dataclass(frozen=True)
class Tuned:
    """What a graph is built with.

    Attributes:
        graph: With the chosen layouts.
        overrides: Configs by task key, where they differ from the defaults.
        notes: What a user should know.
    """

    graph: Graph
    overrides: Mapping[str, Override]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Kernel:
    """A task of the graph with its template, and how often it stands there."""

    task: Task
    template: Template
    default: Knobs
    weight: int

    @property
    def name(self) -> str:
        """For people: `conv f32[1,64,56,56]`, and the beginning of the task's key."""
        output = self.task.body.outputs[0].type
        return f"{kernel_stem(self.task)} {output} {self.task.key[:6]}"


def kernels_of(graph: Graph, build: BuildOptions) -> list[Kernel]:
    """The different tasks of a graph, in order."""
    graph = graph.copy()  # choosing writes into it
    chosen = choose_kernels(graph, build, find_views(graph).free)
    by_key: dict[str, list[ChosenKernel]] = {}
    for kernel in chosen:
        by_key.setdefault(kernel.task.key, []).append(kernel)
    return [
        Kernel(k[0].task, k[0].choice.template, k[0].choice.config, len(k)) for k in by_key.values()
    ]


def override_of(kernel: Kernel, config: Config) -> Override | None:
    """The choice of a config; None if it is the default, or none of this template's."""
    text = text_of(kernel.template, config)
    if text is None or text == kernel.default.to_text():
        return None
    return Override(kernel.template.name, text)


def apply_layouts(job: Job, choice: LayoutChoice | None) -> Graph:
    """The job's graph with the layouts of a choice; as it is without one."""
    if choice is None or choice.default:
        return job.graph
    build = job.build
    cost = TemplateCost(choice.block, build.target, build.threads, build.level)
    after = after_layouts(choice.block, build.target, cost)
    return replayed(job.graph, choice.block, choice.blocked, after)
