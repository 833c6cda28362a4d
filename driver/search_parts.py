"""The parts of the search: those of plugins, else leip's own."""

from __future__ import annotations

from collections.abc import Sequence

from ..codegen.trial import TrialMeasurer
from ..search.gain_scheduler import GainScheduler
from ..search.local_search import LocalSearch
from ..search.measurer import Measurer
from ..search.registry import parts
from ..search.tuner import Observer, Tuner, TuneTask
from .tuning import Job

__all__ = ["make_measurer", "make_tuner"]


def make_measurer(job: Job) -> Measurer:
    """What builds and times kernels: on this machine, or what a plugin has for that."""
    if (made := parts().measurer) is not None:
        return made()
    weights = sum(n.output.type.nbytes for n in job.graph.nodes() if n.op == "constant")
    return TrialMeasurer(job.pool, cc=job.options.cc, cache=job.cache, model_weights=weights)


def make_tuner(
    tasks: Sequence[TuneTask], measurer: Measurer, observer: Observer, seed: int
) -> Tuner:
    """The loop over scheduler, proposers and measurer."""
    scheduler = (parts().scheduler or GainScheduler)()
    proposer = parts().proposer or LocalSearch
    return Tuner(tasks, measurer, scheduler, proposer, observer=observer, seed=seed)
