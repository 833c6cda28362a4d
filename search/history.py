"""What earlier searches found out that holds for the tasks of today."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import LeipError
from ..schedules.task import Task
from ..schedules.template import Template
from .anchor import anchor_key
from .log import LogContent
from .record import (
    Config,
    LayoutChoice,
    Measurement,
    Status,
    TaskText,
    TransformTime,
    Verdict,
)
from .sources import source_of

__all__ = ["History", "TaskHistory"]

SEEDS = 3  # configs of tasks with the same anchor, the fastest of each


@dataclass(frozen=True)
class TaskHistory:
    """What is known of one task.

    Attributes:
        known: Measurements that hold: same template, and its sources are what they were.
        stale: How many do not.
        seeds: Good configs of tasks that have the same anchor and another epilogue.
    """

    known: tuple[Measurement, ...]
    stale: int
    seeds: tuple[Config, ...]


class History:
    """The records of some logs.

    Args:
        contents: The logs; of the same kind of record the later one counts.
    """

    def __init__(self, contents: Sequence[LogContent]) -> None:
        self._records = [record for content in contents for record in content.records]
        self._by_task: dict[str, list[Measurement]] = defaultdict(list)
        self.texts: dict[str, str] = {}
        self.transforms: dict[str, float] = {}
        for record in self._records:
            if isinstance(record, Measurement):
                self._by_task[record.task].append(record)
            elif isinstance(record, TaskText):
                self.texts[record.task] = record.text
            elif isinstance(record, TransformTime):
                self.transforms[record.task] = record.seconds

    def of(self, task: Task, template: Template) -> TaskHistory:
        """What is known of a task that this template makes."""
        source = source_of(template, task)
        found = self._by_task.get(task.key, [])
        known = tuple(m for m in found if m.template == template.name and m.source == source)
        return TaskHistory(known, len(found) - len(known), self._seeds(task, template))

    def __contains__(self, task: Task) -> bool:
        return task.key in self._by_task

    def layouts(self, graph: str) -> LayoutChoice | None:
        """The last choice of layouts for a graph."""
        return next(
            (
                r
                for r in reversed(self._records)
                if isinstance(r, LayoutChoice) and r.graph == graph
            ),
            None,
        )

    def verdict(self, graph: str, tasks: Sequence[str]) -> Verdict | None:
        """The last verdict on a graph; None if one of its tasks was measured after it."""
        wanted = set(tasks)
        for record in reversed(self._records):
            if isinstance(record, Verdict) and record.graph == graph:
                return record
            if isinstance(record, Measurement) and record.task in wanted:
                return None
        return None

    def _seeds(self, task: Task, template: Template) -> tuple[Config, ...]:
        seeds: list[Config] = []
        for key in self._anchors.get(anchor_key(task), ()):
            if key != task.key:
                good = [
                    m
                    for m in self._by_task.get(key, [])
                    if m.status is Status.OK and m.template == template.name
                ]
                good.sort(key=lambda m: m.seconds)
                seeds += [m.config for m in good[:SEEDS] if m.config not in seeds]
        return tuple(seeds)

    @functools.cached_property
    def _anchors(self) -> dict[str, list[str]]:
        """Keys of the tasks in the logs by their anchors."""
        anchors: dict[str, list[str]] = defaultdict(list)
        for key, text in self.texts.items():
            try:
                anchors[anchor_key(Task.parse(text))].append(key)
            except (LeipError, ValueError):  # of an op that is not there, or another version's
                continue
        return anchors
