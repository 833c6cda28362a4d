"""What earlier searches found out that holds for the tasks of today."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import LeipError
from ..schedules.select import select
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

Items = tuple[tuple[str, int | bool | str], ...]  # of a config, sorted


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
        """The challenger that won by most, from the default on; None: the template's default.

        In one log that is the last one. In several the order of the files says nothing.
        """
        best, least = None, math.inf
        shares: dict[Items, float] = {}  # of the default's time
        for record in self.known:
            if isinstance(record, Challenge) and record.won:
                share = shares.get(_items(record.incumbent), 1.0) * (record.ratio or 1.0)
                shares[_items(record.challenger)] = share
                if share <= least:
                    best, least = record.challenger, share
        return best

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
    """

    def __init__(self, contents: Sequence[LogContent]) -> None:
        self._records: list[Record] = []
        self._by_task: dict[str, list[Measurement | Challenge]] = defaultdict(list)
        self.texts: dict[str, str] = {}
        self._transforms: dict[str, TransformTime] = {}
        self._sources: dict[str, str] = {}
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
            self._transforms[record.task] = record

    def of(self, task: Task, template: Template) -> TaskHistory:
        """What is known of a task that this template makes."""
        source = source_of(template, task)
        found = self._by_task.get(task.key, [])
        holds = [m.template == template.name and m.source == source for m in found]
        known = tuple(m for m, good in zip(found, holds) if good)
        stale = sum(isinstance(m, Measurement) for m, good in zip(found, holds) if not good)
        return TaskHistory(known, stale)

    def transform(self, task: Task) -> float | None:
        """Seconds of a layout transform; None if not known, or if its template has changed."""
        record = self._transforms.get(task.key)
        if record is None or record.code != source_of(select(task).template, task):
            return None
        return record.seconds

    @property
    def stale_transforms(self) -> int:
        """How many times of layout transforms do not hold, as their templates have changed."""
        return sum(not self.transform_holds(record) for record in self._transforms.values())

    def transform_holds(self, record: TransformTime) -> bool:
        """Whether a layout transform would be made the same way today."""
        return bool(record.code) and record.code == self._source(record.task)

    def __contains__(self, task: Task) -> bool:
        return task.key in self._by_task

    def layouts(self, graph: str) -> LayoutChoice | None:
        """The last choice of layouts for a graph that holds."""
        return next(filter(self.holds, self.choices(graph)), None)

    def choices(self, graph: str) -> tuple[LayoutChoice, ...]:
        """All choices of layouts for a graph, the last one first, those that do not hold too."""
        made = [r for r in self._records if isinstance(r, LayoutChoice) and r.graph == graph]
        return tuple(reversed(made))

    def holds(self, choice: LayoutChoice) -> bool:
        """Whether all kernels that a choice was measured with would be made the same way today."""
        sources = choice.sources.items()
        return bool(sources) and all(self._source(key) == source for key, source in sources)

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

    def _source(self, key: str) -> str:
        """The hash of what makes a task's default today; "" if its text cannot be read."""
        if key not in self._sources and key in self.texts:
            try:
                task = Task.parse(self.texts[key])
                self._sources[key] = source_of(select(task).template, task)
            except (LeipError, ValueError):  # of an op that is not there, or another version's
                self._sources[key] = ""
        return self._sources.get(key, "")

    def _anchor(self, key: str) -> str:
        """The anchor of a task in the logs; "" if its text cannot be read."""
        if key not in self._anchors:
            try:
                self._anchors[key] = anchor_key(Task.parse(self.texts[key]))
            except (LeipError, ValueError):  # of an op that is not there, or another version's
                self._anchors[key] = ""
        return self._anchors[key]


def _items(config: Config) -> Items:
    return tuple(sorted(config.items()))
