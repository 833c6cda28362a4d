"""Never worse: the tuned object must win against what would be built without this search."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..codegen.build import build_object
from ..ir.graph import Graph
from ..ir.text import print_graph
from ..schedules.select import Override
from ..search.record import Verdict, now
from ..search.sources import source_of
from .recorder import Recorder
from .replaying import confirmed
from .search_parts import judge
from .tuning import Job, Kernel, Tuned

__all__ = ["proven"]


def proven(job: Job, tuned: Tuned, kernels: Sequence[Kernel], recorder: Recorder) -> Tuned:
    """The tuned graph if its object wins against what would be built without this search."""
    rival, standing = "the defaults", Tuned(job.graph, {}, ())
    earlier = recorder.history.verdict(job.digest)
    won_before = None
    # what other logs hold is only learnt from: it was not proven for this folder
    if earlier is not None and earlier.tuned and earlier in recorder.log.content.records:
        won_before = confirmed(job, earlier, recorder.history.choices(job.digest))
    if won_before is not None:
        rival, standing = "what an earlier search found", won_before
    verdict = Verdict(
        job.digest,
        tuned=False,
        iterations=recorder.measurements,
        message="no other config was faster beyond the noise",
        stamp=now(),
    )
    if not _same(tuned, standing):
        verdict = _judged(job, standing, tuned, kernels, recorder, verdict)
    if verdict.tuned:
        gain = f"{verdict.before * 1e3:.3f} ms before, {verdict.after * 1e3:.3f} ms after"
        note = f"tuned: {1 - verdict.ratio:.1%} faster than {rival} ({gain}, in turns)"
        standing = tuned
    elif earlier is None or won_before is None:
        note = f"{rival} stay: {verdict.message}"
    else:  # that has won before, and goes on
        note = f"{rival} stays: {verdict.message}"
        verdict = dataclasses.replace(earlier, iterations=verdict.iterations, stamp=verdict.stamp)
    recorder.append(verdict)
    recorder.say("done")
    return dataclasses.replace(standing, notes=(*tuned.notes, note))


def _same(one: Tuned, other: Tuned) -> bool:
    graphs = one.graph is other.graph or print_graph(one.graph) == print_graph(other.graph)
    return graphs and dict(one.overrides) == dict(other.overrides)


def _judged(
    job: Job,
    standing: Tuned,
    tuned: Tuned,
    kernels: Sequence[Kernel],
    recorder: Recorder,
    verdict: Verdict,
) -> Verdict:
    """Both objects are built and run in turns; the verdict with what that said."""
    recorder.say("comparing")
    before = _object(job, standing.graph, standing.overrides, "before")
    after = _object(job, tuned.graph, tuned.overrides, "tuned")
    result = judge(before, after, job.build)
    by_key = {kernel.task.key: kernel for kernel in kernels}
    chosen = [by_key[key] for key in tuned.overrides] if result.won else []
    return dataclasses.replace(
        verdict,
        tuned=result.won,
        configs={k.task.key: tuned.overrides[k.task.key].text for k in chosen},
        sources={k.task.key: source_of(k.template, k.task) for k in chosen},
        layouts=job.digest_of(tuned.graph) if result.won else "",
        before=result.before,
        after=result.after,
        ratio=result.ratio,
        message=result.reason,
    )


def _object(job: Job, graph: Graph, overrides: Mapping[str, Override], name: str) -> Path:
    """An object of the graph, for the comparison."""
    folder = job.folder / name
    folder.mkdir()
    build = dataclasses.replace(job.build, overrides=overrides)
    return build_object(graph.copy(), build, folder, pool=job.pool, cache=job.cache).library
