"""From a graph to the configs it is built with: a search, or the log of an earlier one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..codegen.build import BuildOptions, ChosenKernel, choose_kernels
from ..codegen.cache import KernelCache
from ..codegen.kernel_build import WorkerPool
from ..codegen.kernel_object import kernel_stem
from ..codegen.views import find_views
from ..ir.graph import Graph
from ..ir.text import print_graph
from ..schedules.select import Override
from ..schedules.task import Task
from ..schedules.template import InvalidConfig, Knobs, Template, config_text
from ..search.configs import config_of, text_of
from ..search.history import History
from ..search.knob_space import KnobSpace
from ..search.layouts import replayed
from ..search.log import LogContent, read_log
from ..search.machine import Facts, by_machine, same_machine
from ..search.record import LayoutChoice, Measurement, Verdict
from ..search.sources import source_of
from ..search.status import SearchStatus
from .given_logs import GivenLogs
from .options import CompileOptions

__all__ = [
    "Job",
    "Kernel",
    "Tuned",
    "Watch",
    "apply_layouts",
    "confirmed",
    "kernels_of",
    "log_notes",
    "machine_notes",
    "override_of",
    "replay",
    "stale_layouts",
]

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


def log_notes(contents: Sequence[LogContent], kernels: Sequence[Kernel], job: Job) -> list[str]:
    """What is to be said of logs: damaged lines, another model, stale records."""
    notes = [note for content in contents for note in content.notes]
    for content in contents:
        history = History([content])
        found = [history.of(k.task, k.template) for k in kernels]
        known = sum(bool(h.known) for h in found)
        stale = sum(h.stale for h in found) + history.stale_transforms
        header, build = content.header, job.build
        if (header.threads, header.level) != (build.threads, build.level) and content.records:
            notes.append(
                f"{content.path} is of {header.threads} threads and level {header.level}, this "
                f"compile of {build.threads} and level {build.level}: "
                f"{known} of {len(kernels)} tasks match"
            )
        if header.model_hash != build.model.model_hash and content.records:
            notes.append(
                f"{content.path} begins with another model ({content.header.model}): it is used "
                f"for the tasks that match, {known} of {len(kernels)}"
            )
        if stale:
            notes.append(
                f"{content.path}: {stale} measurements stay unused, because the templates that "
                "made these kernels have changed since"
            )
    return notes


def machine_notes(contents: Sequence[LogContent], here: Facts) -> list[str]:
    """What is to be said of measurements that a search here does not go by."""
    notes = []
    for content in contents:
        measured = [m for m, record in by_machine(content) if isinstance(record, Measurement)]
        if elsewhere := [machine for machine in measured if not same_machine(machine, here)]:
            cpus = sorted({machine.get("cpu", "not known") for machine in elsewhere})
            notes.append(
                f"{content.path}: {len(elsewhere)} measurements are another machine's "
                f"({'; '.join(cpus)}): what was best there is measured here early"
            )
    return notes


def stale_layouts(contents: Sequence[LogContent], job: Job) -> list[str]:
    """What is to be said of choices of layouts that do not hold any more."""
    notes = []
    for content in contents:
        history = History([content])
        if history.choices(job.digest) and history.layouts(job.digest) is None:
            notes.append(
                f"{content.path}: its choice of layouts stays unused, because the templates that "
                "made the kernels it goes by have changed since"
            )
    return notes


def replay(job: Job) -> Tuned:
    """What the logs say, without measuring anything: `iterations:0`."""
    own = job.logs.own
    contents = [*job.logs.others, *([read_log(own)] if own is not None else [])]
    history = History(contents)
    choice = history.layouts(job.digest)
    graph = apply_layouts(job, choice)
    kernels = kernels_of(graph, job.build)
    notes = log_notes(contents, kernels, job)
    keys = {k.task.key for k in kernels} | {k.task.key for k in kernels_of(job.graph, job.build)}
    verdict = history.verdict(job.digest, sorted(keys))
    if verdict is not None and not verdict.tuned:
        notes.append(f"built with the templates' defaults, as the log says: {verdict.message}")
        return Tuned(job.graph, {}, tuple(notes))
    if verdict is not None:
        tuned = confirmed(job, verdict, history.choices(job.digest))
        if tuned is not None:
            return replace(tuned, notes=tuple(notes))
    notes += stale_layouts(contents, job)
    overrides = {}
    for kernel in kernels:
        best = history.of(kernel.task, kernel.template).best
        if best is None:
            continue
        if not is_point(kernel, config_text(best)):
            notes.append(
                f"the tuning log's config of {kernel.name} is none that its template offers: "
                f"the default stays ({config_text(best)[:60]})"
            )
        elif override := override_of(kernel, text_of(kernel.template, best)):
            overrides[kernel.task.key] = override
    notes.append(
        f"{len(overrides)} of {len(kernels)} kernels get another config than their default; "
        "the model as a whole was not compared with them"
    )
    return Tuned(graph, overrides, tuple(notes))


def confirmed(job: Job, verdict: Verdict, choices: Sequence[LayoutChoice]) -> Tuned | None:
    """What a verdict said to be faster; None if it is of a template or layouts that have changed.

    A short search has no iterations left for the choice of layouts; a longer one makes it later,
    and what was faster before that is to be had in the default ones only. A choice that does not
    hold any more, as some template has changed, gives the layouts of a verdict nevertheless: that
    holds as long as the kernels that stand there are what they were.
    """
    for choice in (*choices, None):
        graph = apply_layouts(job, choice)
        if verdict.layouts != job.digest_of(graph):
            continue
        kernels = kernels_of(graph, job.build)
        if choice is not None and not choice.default:
            usual = {kernel.task.key for kernel in kernels_of(job.graph, job.build)}
            relaid = [kernel for kernel in kernels if kernel.task.key not in usual]
            if any(choice.sources.get(k.task.key) != source_of(k.template, k.task) for k in relaid):
                return None
        overrides = _overrides(verdict, kernels)
        return None if overrides is None else Tuned(graph, overrides, ())
    return None


def _overrides(verdict: Verdict, kernels: Sequence[Kernel]) -> dict[str, Override] | None:
    by_key = {kernel.task.key: kernel for kernel in kernels}
    overrides = {}
    for key, text in verdict.configs.items():
        kernel = by_key.get(key)
        name, _, config = text.rstrip("}").partition("{")
        if kernel is None or kernel.template.name != name:
            return None
        if verdict.sources.get(key) != source_of(kernel.template, kernel.task):
            return None
        if not is_point(kernel, config):
            return None
        overrides[key] = Override(name, config)
    return overrides


def is_point(kernel: Kernel, config: str) -> bool:
    """Whether a search can have measured a config of a log, which people may have edited."""
    try:
        knobs = kernel.template.Config.from_text(config)
    except InvalidConfig:
        return False
    return KnobSpace(kernel.task, kernel.template).find(config_of(knobs)) is not None


def override_of(kernel: Kernel, config: str | None) -> Override | None:
    """The choice of a config; None if it is the default, or none of this template's."""
    if config is None or config == kernel.default.to_text():
        return None
    return Override(kernel.template.name, config)


def apply_layouts(job: Job, choice: LayoutChoice | None) -> Graph:
    """The job's graph with the layouts of a choice; as it is without one."""
    if choice is None or choice.default:
        return job.graph
    return replayed(job.graph, choice.block, choice.blocked, job.build.target)
