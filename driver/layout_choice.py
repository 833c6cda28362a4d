"""Layouts by measured times, before the search over the kernels: each kernel in each layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..ir import levels
from ..ir.dtypes import DType
from ..ir.graph import Graph, Node
from ..passes.pipeline import after_layouts
from ..schedules.select import select
from ..schedules.task import Task
from ..search.configs import config_of
from ..search.layouts import (
    MARGIN,
    MeasuredCost,
    all_blocked,
    all_plain,
    blocked_kernels,
    laid_out,
    total_seconds,
    transforms_of,
)
from ..search.measurer import Measurer, Trial
from ..search.record import LayoutChoice, Status, TransformTime, now
from ..search.sources import source_of
from .recorder import Recorder
from .template_cost import TemplateCost
from .tuning import Job, Kernel, kernels_of

__all__ = ["choose_layouts"]

BATCH = 8  # kernels that are built together
SHARE = 3  # layouts are measured if that takes at most one of so many iterations


def choose_layouts(job: Job, recorder: Recorder, measurer: Measurer) -> LayoutChoice | None:
    """Choose a block of channels and the kernels that work on it; the choice is a record.

    None if there are no images, or too few iterations to measure every kernel in every layout.
    """
    lanes = job.build.target.lanes(DType.F32)
    blocks = sorted({lanes // 2, lanes} - {0, 1})
    if job.build.level < levels.LAYOUTS or not blocks or not blocked_kernels(job.graph):
        return None
    return _Choice(job, recorder, measurer).made(lanes, blocks)


class _Choice:
    """A choice while it is made.

    Attributes:
        job: Whose graph it is for.
        recorder: Where what is measured goes.
        measurer: Builds and times kernels.
        known: Seconds by task key, None where there are none: a cache of what the recorder's
            history says, emptied when that has learnt more.
        tried: Keys of transforms that were measured, or cannot be.
        modelled: What the templates' models say; they are asked once a task.
    """

    def __init__(self, job: Job, recorder: Recorder, measurer: Measurer) -> None:
        self.job = job
        self.recorder = recorder
        self.measurer = measurer
        self.known: dict[str, float | None] = {}
        self.tried: set[str] = set()
        build = job.build
        self.modelled = TemplateCost(1, build.target, build.threads, build.level)

    def made(self, lanes: int, blocks: list[int]) -> LayoutChoice | None:
        """The choice among plain images and blocks of these sizes; `lanes` is the default's."""
        graph = self.job.graph
        every = [graph, all_plain(graph), *(all_blocked(graph, block) for block in blocks)]
        new = self._unknown(every)
        if len(new) * SHARE > self.recorder.left:
            return None
        self._measure_defaults(new)
        self.known.clear()
        self._measure_transforms(graph)  # or they would count as modelled, the others' as measured
        usual = total_seconds(graph, self._cost(lanes))
        chosen = {block: self._laid_out(block) for block in (1, *blocks)}
        # what was joined would count as modelled, the default graph's as measured
        self._measure_defaults(self._unknown(chosen.values())[: self.recorder.left])
        self.known.clear()
        seconds = {
            block: total_seconds(one, self._cost(max(2, block))) for block, one in chosen.items()
        }
        best = min(chosen, key=lambda block: seconds[block])
        default = seconds[best] > MARGIN * usual
        choice = LayoutChoice(
            graph=self.job.digest,
            block=lanes if default else best,
            blocked=blocked_kernels(graph if default else chosen[best]),
            seconds={"default": usual, **{str(b): time for b, time in seconds.items()}},
            default=default,
            sources=self._sources([*every, chosen[best]]),
        )
        self.recorder.append(choice)
        return choice

    def _unknown(self, graphs: Iterable[Graph]) -> list[Kernel]:
        """Kernels of these graphs that were not measured, each once; transforms aside."""
        kernels = {k.task.key: k for one in graphs for k in kernels_of(one, self.job.build)}
        return [k for k in kernels.values() if not _is_transform(k.task) and not self._is_known(k)]

    def _sources(self, graphs: Sequence[Graph]) -> dict[str, str]:
        """By task, what its kernel depends on; of tasks that stand in all graphs nothing does."""
        by_key = [{k.task.key: k for k in kernels_of(one, self.job.build)} for one in graphs]
        common = set.intersection(*map(set, by_key))
        kernels = {key: k for each in by_key for key, k in each.items() if key not in common}
        for kernel in kernels.values():
            self.recorder.describe(kernel.task)
        return {key: source_of(k.template, k.task) for key, k in kernels.items()}

    def seconds(self, node: Node) -> float | None:
        """Measured seconds of a kernel as it stands, with its default config."""
        task = self._task(node)
        if task.key not in self.known:
            self.known[task.key] = self._look_up(task)
        return self.known[task.key]

    def _look_up(self, task: Task) -> float | None:
        history = self.recorder.history
        if _is_transform(task):
            return history.transform(task)
        if task not in history:
            return None
        choice = select(task)
        return history.of(task, choice.template).seconds(config_of(choice.config))

    def _is_known(self, kernel: Kernel) -> bool:
        found = self.recorder.history.of(kernel.task, kernel.template)
        return found.has(config_of(kernel.default))

    def _laid_out(self, block: int) -> Graph:
        """The cheapest layouts with blocks of this size, transforms measured where they stand.

        What is measured moves them to other places, until they stand where all are known.
        """
        graph = self.job.graph
        if block == 1:
            return all_plain(graph)
        cost = self._cost(block)
        after = after_layouts(block, self.job.build.target, self.modelled)
        result = laid_out(graph, block, cost, after)
        while self._measure_transforms(result):
            result = laid_out(graph, block, cost, after)
        return result

    def _cost(self, block: int) -> MeasuredCost:
        modelled = self.modelled.of_block(block)
        return MeasuredCost(block, self.seconds, [self.job.graph], modelled)

    def _measure_defaults(self, kernels: Sequence[Kernel]) -> None:
        """Measure kernels with their defaults: iterations like any other."""
        for begin in range(0, len(kernels), BATCH):
            batch = kernels[begin : begin + BATCH]
            trials = [_default_trial(kernel) for kernel in batch]
            for kernel, trial, outcome in zip(batch, trials, self.measurer.measure(trials)):
                source = source_of(kernel.template, kernel.task)
                record = outcome.measurement(
                    kernel.task.key, trial.template, source, trial.config, now()
                )
                self.recorder.count(kernel, record)
                self.recorder.say("layouts")

    def _measure_transforms(self, graph: Graph) -> bool:
        """Measure those transforms of a graph that were not yet; whether there were any."""
        recorder = self.recorder
        kernels = {kernel.task.key: kernel for kernel in self._kernels(transforms_of(graph))}
        new = [
            kernel
            for key, kernel in kernels.items()
            if key not in self.tried and recorder.history.transform(kernel.task) is None
        ]
        self.tried |= kernels.keys()
        outcomes = self.measurer.measure([_default_trial(kernel) for kernel in new])
        for kernel, outcome in zip(new, outcomes):
            if outcome.status is Status.OK:
                body = kernel.task.body
                types = str(body.inputs[0].type), str(body.outputs[0].type)
                source = source_of(kernel.template, kernel.task)
                recorder.describe(kernel.task)
                recorder.append(TransformTime(kernel.task.key, *types, min(outcome.times), source))
            recorder.say("layouts")
        self.known.clear()
        return bool(new)

    def _kernels(self, nodes: Iterable[Node]) -> Iterator[Kernel]:
        for node in nodes:
            task = self._task(node)
            choice = select(task)
            yield Kernel(task, choice.template, choice.config, 1)

    def _task(self, node: Node) -> Task:
        build = self.job.build
        return Task.of_kernel(node, build.target, build.threads, build.level)


def _default_trial(kernel: Kernel) -> Trial:
    """The measurement of a kernel's default."""
    return Trial(kernel.task.text, kernel.template.name, config_of(kernel.default))


def _is_transform(task: Task) -> bool:
    return [node.op for node in task.nodes] == ["layout_transform"]
