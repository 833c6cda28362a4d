"""`iterations:0`, and what of a log holds without measuring anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..schedules.select import Override
from ..schedules.template import InvalidConfig, config_text
from ..search.configs import config_of
from ..search.history import History
from ..search.log import read_log
from ..search.record import LayoutChoice, Verdict
from ..search.sources import source_of
from .log_notes import layout_notes, log_notes
from .search_parts import make_space
from .tuning import Job, Kernel, Tuned, apply_layouts, kernels_of, override_of

__all__ = ["confirmed", "replay"]


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
    verdict = history.verdict(job.digest, keys)
    if verdict is not None and not verdict.tuned:
        notes.append(f"built with the templates' defaults, as the log says: {verdict.message}")
        return Tuned(job.graph, {}, tuple(notes))
    if verdict is not None:
        tuned = confirmed(job, verdict, history.choices(job.digest))
        if tuned is not None:
            return replace(tuned, notes=tuple(notes))
    notes += layout_notes(contents, job)
    overrides = {}
    for kernel in kernels:
        best = history.of(kernel.task, kernel.template).best
        if best is None:
            continue
        if not _is_point(kernel, config_text(best)):
            notes.append(
                f"the tuning log's config of {kernel.name} is none that its template offers: "
                f"the default stays ({config_text(best)[:60]})"
            )
        elif override := override_of(kernel, best):
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
        override = Override.parse(text)
        if kernel is None or kernel.template.name != override.template:
            return None
        if verdict.sources.get(key) != source_of(kernel.template, kernel.task):
            return None
        if not _is_point(kernel, override.config):
            return None
        overrides[key] = override
    return overrides


def _is_point(kernel: Kernel, config: str) -> bool:
    """Whether a search can have measured a config of a log, which people may have edited."""
    try:
        knobs = kernel.template.Config.from_text(config)
    except InvalidConfig:
        return False
    return make_space(kernel.task, kernel.template).find(config_of(knobs)) is not None
