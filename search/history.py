"""What earlier searches found out that holds for the tasks of today."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..errors import LeipError
from ..schedules.select import select
from ..schedules.task import Task
from ..schedules.template import Template
from .anchor import anchor_key
from .configs import items_of
from .log import LogContent
from .machine import Facts, Machines, by_machine
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
from .standing import Standing

__all__ = ["History", "TaskHistory", "decisive"]

SEEDS = 3  # configs of a task with the same anchor, the fastest of each
MOST_SEEDS = 6  # of all such tasks together


@dataclass(frozen=True)
class TaskHistory:
    """What is known of one task.

    Attributes:
        known: Measurements and challenges that hold: same template, whose sources are what they
            were. All of one machine: ratios and times of several say nothing together.
        stale: How many measurements do not hold, of all machines.
    """

    known: tuple[Measurement | Challenge, ...]
    stale: int

    @property
    def standing(self) -> Standing:
        """How its configs stand to each other."""
        return Standing(self.known)

    @property
    def best(self) -> Config | None:
        """The challenger that won by most, from the default on; None: the template's default."""
        return self.standing.best

    @property
    def measured(self) -> int:
        """How many configs were measured."""
        return len({items_of(r.config) for r in self.known if isinstance(r, Measurement)})

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
        here: The machine whose records count, those of others are no more than a hint (`seeds`);
            None: the records of all machines count, as far as they can do so together.

    Attributes:
        texts: Of the tasks, by key.
    """

    def __init__(self, contents: Sequence[LogContent], here: Facts | None = None) -> None:
        self._machines = Machines()
        self._here = None if here is None else self._machines.number(here)
        self._records: list[tuple[int, Record]] = []  # that count, and who measured
        self._by_task: dict[str, list[tuple[int, Measurement | Challenge]]] = defaultdict(list)
        self.texts: dict[str, str] = {}
        self._transforms: dict[str, TransformTime] = {}
        self._sources: dict[str, str] = {}
        self._anchors: dict[str, str] = {}
        for content in contents:
            for facts, record in by_machine(content):
                self._take(self._machines.number(facts), record)

    def learn(self, record: Record) -> None:
        """Another record, after all others, of this machine."""
        self._take(self._here or 0, record)

    def _take(self, machine: int, record: Record) -> None:
        if isinstance(record, TaskText):
            self.texts[record.task] = record.text
        elif isinstance(record, Measurement | Challenge):
            self._by_task[record.task].append((machine, record))
        if not self._counts(machine):
            return
        self._records.append((machine, record))
        if isinstance(record, TransformTime):
            self._transforms[record.task] = record

    def _counts(self, machine: int) -> bool:
        return self._here is None or machine == self._here

    def of(self, task: Task, template: Template) -> TaskHistory:
        """What is known of a task that this template makes."""
        source = source_of(template, task)
        known: dict[int, list[Measurement | Challenge]] = defaultdict(list)
        stale = 0
        for machine, record in self._by_task.get(task.key, []):
            if not self._counts(machine):
                continue
            if record.template == template.name and record.source == source:
                known[machine].append(record)
            else:
                stale += isinstance(record, Measurement)
        return TaskHistory(decisive(known.values()), stale)

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
        made = [r for _, r in self._records if isinstance(r, LayoutChoice) and r.graph == graph]
        return tuple(reversed(made))

    def holds(self, choice: LayoutChoice) -> bool:
        """Whether all kernels that a choice was measured with would be made the same way today."""
        sources = choice.sources.items()
        return bool(sources) and all(self._source(key) == source for key, source in sources)

    def verdict(self, graph: str, tasks: Collection[str] = ()) -> Verdict | None:
        """The last verdict on a graph; None if something was found since that it says nothing of.

        That is a config of one of its tasks that won, or another choice of layouts. What another
        machine has measured since counts whatever it found.

        Args:
            graph: Hash of the graph in its default layouts.
            tasks: Keys of its tasks; none: the last verdict, whatever was found since.
        """
        measured, found = set[int](), False
        for machine, record in reversed(self._records):
            if isinstance(record, Verdict) and record.graph == graph:
                return None if found or measured - {machine} else record
            if isinstance(record, Measurement) and record.task in tasks:
                measured.add(machine)
            elif isinstance(record, Challenge) and record.won and record.task in tasks:
                found = True
            elif isinstance(record, LayoutChoice) and record.graph == graph and tasks:
                found = found or not record.default
        return None

    def seeds(self, task: Task, template: Template) -> tuple[Config, ...]:
        """Configs worth trying early: what was good elsewhere.

        Those of the task itself that were measured on other machines, and those of tasks that have
        the same anchor and another epilogue. First the best of every such task and machine, then
        the second best, and few in all: each is measured before the search has its own way.
        """
        ranks: list[list[Config]] = [[] for _ in range(SEEDS)]
        anchor = anchor_key(task)
        others = [k for k in self.texts if k != task.key and self._anchor(k) == anchor]
        for key in (task.key, *others):
            machines: dict[int, list[Measurement | Challenge]] = defaultdict(list)
            for machine, record in self._by_task.get(key, []):
                elsewhere = self._here is not None and machine != self._here
                if record.template == template.name and (key != task.key or elsewhere):
                    machines[machine].append(record)
            for records in machines.values():
                for rank, config in zip(ranks, _best_first(records), strict=False):
                    rank.append(config)
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


def decisive(
    machines: Iterable[Sequence[Measurement | Challenge]],
) -> tuple[Measurement | Challenge, ...]:
    """Of the records of a task, machine by machine, those that say what is best.

    They are those of the machine that measured last, of those that did not stop after one config;
    the order of joined logs does not matter, as the time stamps say when it was.
    """

    def rank(item: tuple[int, Sequence[Measurement | Challenge]]) -> tuple[bool, str, int]:
        place, records = item
        compared = len({items_of(r.config) for r in records if isinstance(r, Measurement)}) > 1
        won = any(isinstance(record, Challenge) for record in records)
        return compared or won, max(record.stamp for record in records), place

    found = [records for records in machines if records]
    return tuple(max(enumerate(found), key=rank)[1]) if found else ()


def _best_first(records: Sequence[Measurement | Challenge]) -> list[Config]:
    """The configs of one machine's records that ran: the one that won, then by their times."""
    winner = TaskHistory(tuple(records), 0).best
    good = [r for r in records if isinstance(r, Measurement) and r.status is Status.OK]
    good.sort(key=lambda m: (m.config != winner, m.seconds))
    return [measurement.config for measurement in good]
