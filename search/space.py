"""The points of a task that may be measured, and which lie beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..schedules.task import Task
from ..schedules.template import Template
from .record import Config

__all__ = ["SearchSpace", "SpaceFactory"]


class SearchSpace(Protocol):
    """All legal configs of one task. Points are numbered; the numbering is deterministic."""

    @property
    def task(self) -> str:
        """Key of the task."""
        ...

    @property
    def template(self) -> str:
        """Name of the template."""
        ...

    def __len__(self) -> int: ...

    def config(self, point: int) -> Config:
        """Knobs of a point by name."""
        ...

    def find(self, config: Config) -> int | None:
        """The point that has this config; None if the space has none."""
        ...

    @property
    def default(self) -> int:
        """Where the search starts: the config that the task gets without a search."""
        ...

    def neighbours(self, point: int) -> Sequence[int]:
        """Points beside this one in knob space, in a fixed order."""
        ...

    def features(self, point: int) -> Sequence[float]:
        """Numbers that a cost model learns from: knobs, and what the analytic model says."""
        ...

    def prior(self, point: int) -> float:
        """The template's own modelled cost; 1 where it has no model. Only comparisons count.

        Not negative, and finite.
        """
        ...


class SpaceFactory(Protocol):
    """Makes the space of a task that a template makes.

    It is asked for the space that is searched, and whenever a config of a log is looked up: what is
    no point of it counts as none of the task.
    """

    def __call__(self, task: Task, template: Template) -> SearchSpace: ...
