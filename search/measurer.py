"""Who measures: the protocol that code generation fills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from .record import Config, Measurement, Status

__all__ = ["Measurer", "Outcome", "Trial"]


@dataclass(frozen=True)
class Trial:
    """What is to be measured.

    Attributes:
        task_text: Canonical text of the task.
        template: Name of the template.
        config: Knobs by name.
    """

    task_text: str
    template: str
    config: Config


@dataclass(frozen=True)
class Outcome:
    """How a trial ended, and seconds of a run: the usual ones of each round of runs."""

    status: Status
    times: tuple[float, ...] = ()
    message: str = ""

    def measurement(
        self, task: str, template: str, source: str, config: Config, stamp: str
    ) -> Measurement:
        """The record of it: `task` is the task's key, all else as in `Measurement`."""
        times = self.times if self.status is Status.OK else ()
        return Measurement(task, template, source, config, self.status, times, self.message, stamp)


class Measurer(Protocol):
    """Builds trials on all cores, then runs them one by one with nothing else running."""

    def measure(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        """One outcome a trial, in order, each as soon as it is known.

        A crash, a hang or endless allocation costs that trial only.
        """
        ...

    def compare(self, trials: Sequence[Trial]) -> Sequence[Outcome]:
        """Like `measure`, the runs of all trials interleaved: for incumbent against challenger.

        Time `i` of each outcome belongs to the same turn. If a trial fails, its outcome alone says
        so; the others are OK, with times of their own that are no turns. Only if it cannot be told
        which trial it was, all get that failure.
        """
        ...

    def close(self) -> None: ...
