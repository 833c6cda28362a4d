"""What is to be said of the logs that a compile goes by: what of them stays unused, and why."""

from __future__ import annotations

from collections.abc import Sequence

from ..search.history import History
from ..search.log import LogContent
from ..search.machine import Facts, by_machine, same_machine
from ..search.record import Measurement
from .tuning import Job, Kernel

__all__ = ["layout_notes", "log_notes", "machine_notes"]


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


def layout_notes(contents: Sequence[LogContent], job: Job) -> list[str]:
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
