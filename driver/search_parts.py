"""The parts of the search: those of plugins, else leip's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ..codegen.build import BuildOptions
from ..codegen.contest import Contest, contest
from ..codegen.trial import TrialMeasurer
from ..schedules.task import Task
from ..schedules.template import Template
from ..search.blame import blamed, part_error
from ..search.checked_parts import CheckedMeasurer, CheckedSpace
from ..search.gain_scheduler import GainScheduler
from ..search.knob_space import KnobSpace
from ..search.local_search import LocalSearch
from ..search.measurer import Measurer
from ..search.registry import parts
from ..search.space import SearchSpace
from ..search.tuner import Observer, Tuner, TuneTask
from .tuning import Job

__all__ = ["judge", "make_measurer", "make_space", "make_tuner"]


def make_space(task: Task, template: Template) -> SearchSpace:
    """The configs of a task that a search chooses from, or a log may hold."""
    if (made := parts().space) is None:
        return KnobSpace(task, template)
    return CheckedSpace(made, task, template)


def make_measurer(job: Job) -> Measurer:
    """What builds and times kernels: on this machine, or what a plugin has for that."""
    if (made := parts().measurer) is not None:
        with blamed("measurer", made):
            return CheckedMeasurer(made())
    weights = sum(n.output.type.nbytes for n in job.graph.nodes() if n.op == "constant")
    return TrialMeasurer(job.pool, cc=job.options.cc, cache=job.cache, model_weights=weights)


def make_tuner(
    tasks: Sequence[TuneTask], measurer: Measurer, observer: Observer, seed: int
) -> Tuner:
    """The loop over scheduler, proposers and measurer."""
    schedulers, proposer = parts().scheduler or GainScheduler, parts().proposer or LocalSearch
    with blamed("scheduler", schedulers):
        scheduler = schedulers()
    return Tuner(tasks, measurer, scheduler, proposer, observer=observer, seed=seed)


def judge(before: Path, after: Path, build: BuildOptions) -> Contest:
    """Run two objects in turns, here or where a plugin does it."""
    if (given := parts().judge) is None:
        return contest(before, after, build.threads, build.level)
    with blamed("judge", given):
        result = given(before, after, build.threads, build.level)
    if not isinstance(result, Contest):
        raise part_error("judge", given, f"gives {result!r:.60}, which is no Contest")
    figures = (result.before, result.after, result.ratio)
    if not all(0 < figure < math.inf for figure in figures):
        raise part_error("judge", given, f"gives {result!r:.120}")
    return result
