"""What earlier searches found out that holds for the tasks of today."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import LeipError
from ..schedules.task import Task
from ..schedules.template import Template
from .anchor import anchor_key
from .log import LogContent
from .record import (
    Challenge,
    Config,
    LayoutChoice,
    Measurement,
    Record,
    Status,
    TaskText,
    TransformTime,
    Verdict,
)
from .sources import source_of

__all__ = ["History", "TaskHistory"]

SEEDS = 3  # configs of a task with the same anchor, the fastest of each
MOST_SEEDS = 6  # of all such tasks together


@dataclass(frozen=True)
class TaskHistory:
    """What is known of one task.

    Attributes:
        known: Measurements and challenges that hold: same template, whose sources are what they
            were.
        stale: How many measurements do not.
    """

    known: tuple[Measurement | Challenge, ...]
    stale: int

    @property
    def best(self) -> Config | None:
        """The challenger of the last challenge that was won; None: the template's default."""
        won = [r.challenger for r in self.known if isinstance(r, Challenge) and r.won]
        return won[-1] if won else None

    @property
    def won(self) -> tuple[float, ...]:
        """The ratios of all challenges that were won, in order."""
        return tuple(r.ratio for r in self.known if isinstance(r, Challenge) and r.won)

    @property
    def measured(self) -> int:
        """How many configs were measured."""
        return len({_items(r.config) for r in self.known if isinstance(r, Measurement)})

    def has(self, config: Config) -> bool:
        """Whether a config was measured."""
        return any(r.config == config for r in self.known if isinstance(r, Measurement))

    def seconds(self, config: Config) -> float | None:
        """The least time of a config; None if it was not measured or does not run."""
        times = [
            record.seconds
            for record in self.known
            if isinstance(record, Measurement)
            and record.status is Status.OK
            and record.config == config
        ]
        return min(times, default=None)


class History:
    """The records of some logs.

    Args:
        contents: The logs; of the same kind of record the later one counts.

    Attributes:
        texts: Of the tasks, by key.
        transforms: Seconds of layout transforms, by the key of their task.
    """

    def __init__(self, contents: Sequence[LogContent]) -> None:
        self._records: list[Record] = []
        self._by_task: dict[str, list[Measurement | Challenge]] = defaultdict(list)
        self.texts: dict[str, str] = {}
        self.transforms: dict[str, float] = {}
        self._anchors: dict[str, str] = {}
        for content in contents:
            for record in content.records:
                self.learn(record)

    def learn(self, record: Record) -> None:
        """Another record, after all others."""
        self._records.append(record)
        if isinstance(record, Measurement | Challenge):
            self._by_task[record.task].append(record)
        elif isinstance(record, TaskText):
            self.texts[record.task] = record.text
        elif isinstance(record, TransformTime):
            self.transforms[record.task] = record.seconds

    def of(self, task: Task, template: Template) -> TaskHistory:
        """What is known of a task that this template makes."""
        source = source_of(template, task)
        found = self._by_task.get(task.key, [])
        holds = [m.template == template.name and m.source == source for m in found]
        known = tuple(m for m, good in zip(found, holds) if good)
        stale = sum(isinstance(m, Measurement) for m, good in zip(found, holds) if not good)
        return TaskHistory(known, stale)

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

    def seeds(self, task: Task, template: Template) -> tuple[Config, ...]:
        """Good configs of tasks that have the same anchor and another epilogue.

        First the best of every such task, then the second best, and few in all: each is measured
        before the search has its own way.
        """
        ranks: list[list[Config]] = [[] for _ in range(SEEDS)]
        anchor = anchor_key(task)
        for key in self.texts:
            if key != task.key and self._anchor(key) == anchor:
                good = [
                    m
                    for m in self._by_task.get(key, [])
                    if isinstance(m, Measurement)
                    and m.status is Status.OK
                    and m.template == template.name
                ]
                good.sort(key=lambda m: m.seconds)
                for rank, measurement in zip(ranks, good, strict=False):
                    rank.append(measurement.config)
        seeds: list[Config] = []
        for config in itertools.chain.from_iterable(ranks):
            if config not in seeds:
                seeds.append(config)
        return tuple(seeds[:MOST_SEEDS])

    def _anchor(self, key: str) -> str:
        """The anchor of a task in the logs; "" if its text cannot be read."""
        if key not in self._anchors:
            try:
                self._anchors[key] = anchor_key(Task.parse(self.texts[key]))
            except (LeipError, ValueError):  # of an op that is not there, or another version's
                self._anchors[key] = ""
        return self._anchors[key]


def _items(config: Config) -> tuple[tuple[str, int | bool | str], ...]:
    return tuple(sorted(config.items()))
