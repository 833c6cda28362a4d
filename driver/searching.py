"""A search: layouts and the kernels' configs are measured, then the tuned object proves itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from .. import __version__
from ..codegen.cache import package_version
from ..schedules.select import Override
from ..search.log import FOLDER, NAME, TuningLog, read_log
from ..search.measurer import Measurer
from ..search.record import Header, now
from ..search.sources import source_of
from ..search.tuner import TuneTask
from .given_logs import check_target
from .layout_choice import choose_layouts
from .log_notes import layout_notes, log_notes, machine_notes
from .machine import announced, bound_of, machine_facts, with_limits
from .proving import proven
from .recorder import Recorder
from .search_parts import make_measurer, make_space, make_tuner
from .tuning import Job, Kernel, Tuned, apply_layouts, kernels_of, override_of
from .tuning_report import write_report

__all__ = ["SearchInterrupted", "search"]


class SearchInterrupted(KeyboardInterrupt):
    """Ctrl-C during a search; the text says what was kept and how to go on."""


def search(job: Job) -> Tuned:
    """Measure as many configs as the options say, and decide what the graph is built with.

    Raises:
        UsageError: The log cannot be used.
        OutputError: The log cannot be written, or another process writes it.
        SearchInterrupted: Ctrl-C; the log holds what was measured.
    """
    own, others = job.logs.own, job.logs.others
    path = own or job.options.output_path.absolute() / FOLDER / NAME
    with TuningLog(path, lambda: _header(job)) as log:
        check_target(log.content, job.build.target)
        here = announced(log, job.build.threads)
        recorder = Recorder(log, others, here, job.options.iterations or 0, job.watch)
        kernels = kernels_of(job.graph, job.build)
        contents = [*others, log.content]
        notes = log_notes(contents, kernels, job) + layout_notes(contents, job)
        notes += machine_notes(contents, here)
        try:
            measurer = make_measurer(job)
            try:
                recorder.say("start")
                choice = recorder.history.layouts(job.digest)
                if choice is None:
                    choice = choose_layouts(job, recorder, measurer)
                graph = apply_layouts(job, choice)
                if graph is not job.graph:
                    kernels = kernels_of(graph, job.build)
                overrides, ended = _tune(job, kernels, recorder, measurer)
            finally:
                measurer.close()
            tuned = Tuned(graph, overrides, (*notes, *ended))
            tuned = proven(job, tuned, kernels, recorder)
        except KeyboardInterrupt:
            raise SearchInterrupted(_stopped(recorder)) from None
    try:
        verdict = recorder.history.verdict(job.digest)
        write_report(read_log(path), kernels, verdict, others, here)
    except Exception as error:  # noqa: BLE001 - no reason to lose what was found
        note = f"there is no report of this search: {' '.join(str(error).split())}"
        tuned = dataclasses.replace(tuned, notes=(*tuned.notes, note))
    return tuned


def _header(job: Job) -> Header:
    build = job.build
    return Header(
        model=job.name,
        model_hash=build.model.model_hash,
        target=str(build.target),
        threads=build.threads,
        level=build.level,
        machine=with_limits(machine_facts(), build.threads),
        leip=__version__,
        tvm=package_version("apache-tvm"),
        stamp=now(),
    )


def _stopped(recorder: Recorder) -> str:
    status = recorder.status
    more = f"go on with iterations:{recorder.left}, or " if recorder.left else ""
    return (
        f"the search was stopped after {status.done} of {status.iterations} iterations; what it "
        f"found is in {recorder.log.path}, and no object was written\n"
        f"{more}build from what was found with iterations:0"
    )


def _tune(
    job: Job, kernels: Sequence[Kernel], recorder: Recorder, measurer: Measurer
) -> tuple[dict[str, Override], list[str]]:
    """Run the tuner; the configs that won, by task, and why it ended early, if it did."""
    tasks = []
    for kernel in kernels:
        space = make_space(kernel.task, kernel.template)
        if len(space) < 2:
            continue
        found = recorder.history.of(kernel.task, kernel.template)
        task = TuneTask(
            space,
            kernel.task.text,
            source=source_of(kernel.template, kernel.task),
            weight=kernel.weight,
            bound=bound_of(kernel.task, recorder.here),
            known=found.known,
            seeds=recorder.history.seeds(kernel.task, kernel.template),
        )
        tasks.append(task)
        recorder.add(kernel, len(space))
    recorder.say("search")
    result = make_tuner(tasks, measurer, recorder, job.options.seed).run(recorder.left)
    ended = []
    if result.ended:
        made = f"{recorder.status.done} of {recorder.status.iterations} iterations"
        ended.append(f"{result.ended}: the search ended after {made}")
    overrides = {}
    for kernel, task_result in zip(recorder.tunable, result.tasks):
        if override := override_of(kernel, task_result.config):
            overrides[kernel.task.key] = override
    return overrides, ended
