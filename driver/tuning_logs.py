"""Tuning logs as files of their own: looked at, joined, made smaller."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..codegen.kernel_object import kernel_stem
from ..errors import LeipError, UsageError
from ..schedules.select import Override, select, templates
from ..schedules.task import Task
from ..schedules.template import config_text
from ..search.configs import config_of, items_of
from ..search.curves import CurveTask, curves
from ..search.history import History, TaskHistory, decisive
from ..search.log import LogContent, TuningLog, read_log, write_log
from ..search.machine import Facts, Machines, by_machine, with_machines
from ..search.record import (
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
from ..search.sources import source_of
from .reports import TaskRow, TuningLogReport

__all__ = ["merge", "prune", "summary"]

Pair = tuple[Facts, Record]  # a record, and the machine that measured it


def summary(path: Path) -> TuningLogReport:
    """What stands in a log, task by task, those with the most measurements first.

    Raises:
        UsageError: It is no log that can be read.
    """
    content = read_log(path)
    today = _Today(content.records)
    machines = Machines()
    machines.number(content.header.machine)
    found: dict[str, dict[int, list[Measurement | Challenge]]] = {}
    stale = 0
    for machine, record in by_machine(content):
        if not isinstance(record, Measurement | Challenge):
            continue
        if today.is_source(record.source, record.task, record.template):
            number = machines.number(machine)
            found.setdefault(record.task, {}).setdefault(number, []).append(record)
        else:
            stale += isinstance(record, Measurement)
    rows = [_row(key, today, list(measured.values())) for key, measured in found.items()]
    rows = sorted((row for row in rows if row.measured), key=lambda r: (-r.measured, r.task))
    verdicts = _verdicts(content.records)
    facts = {
        "model": content.header.model,
        **content.header.facts(machines.facts),
        "measurements": str(len(content.measurements)),
        "last verdict": _sentence(verdicts[-1]) if verdicts else "none",
    }
    notes = [f"{stale} measurements of templates that have changed are left out"] if stale else []
    return TuningLogReport(facts, tuple(rows), (*content.notes, *notes))


def merge(paths: Sequence[Path], output: Path) -> TuningLogReport:
    """Join logs of one target into a new one: the first one's header, equal records once.

    Raises:
        UsageError: There is such a file already, or the logs do not belong together.
        OutputError: It cannot be written.
    """
    if output.exists():
        raise UsageError("there is such a file already", str(output), "choose another --output")
    contents = [read_log(path) for path in paths]
    target = contents[0].header.target
    for content in contents:
        if content.header.target != target:
            raise UsageError(
                f"its target is another one than that of {contents[0].path}",
                str(content.path),
                "a log holds times of one target",
            )
    pairs = _once([pair for content in contents for pair in by_machine(content)])
    notes = [note for content in contents for note in content.notes]
    if unsettled := _unsettled(contents):
        pairs = [(m, r) for m, r in pairs if not isinstance(r, Verdict) or r.graph not in unsettled]
        notes.append(
            "the logs' verdicts on the same model are others, and were not compared: none is kept; "
            "iterations:0 takes the best config of each kernel, a search compares"
        )
    header = contents[0].header
    write_log(output, header, with_machines(header.machine, pairs))
    return _with_notes(summary(output), notes)


def _unsettled(contents: Sequence[LogContent]) -> set[str]:
    """Graphs on which the logs' last verdicts differ: which one is right nobody has measured."""
    last: dict[str, list[Verdict]] = defaultdict(list)
    for content in contents:
        for verdict in {v.graph: v for v in _verdicts(content.records)}.values():
            if verdict not in last[verdict.graph]:
                last[verdict.graph].append(verdict)
    return {graph for graph, verdicts in last.items() if len(verdicts) > 1}


def _verdicts(records: Sequence[Record]) -> list[Verdict]:
    return [record for record in records if isinstance(record, Verdict)]


def prune(path: Path, keep: int | None = None) -> TuningLogReport:
    """Drop what is of no use: damaged lines, equal records, measurements of changed templates.

    Records of templates that are not there (of a plugin that was not given) are kept.

    Args:
        path: The log; it is replaced.
        keep: Of each task keep only so many measurements, the fastest, besides those of configs
            that won. Configs that are dropped may be measured again.

    Raises:
        UsageError: It is no log that can be read.
        OutputError: It cannot be written, or somebody writes it.
    """
    content = read_log(path)
    with TuningLog(path, lambda: content.header) as log:
        content = log.content
        every = [*by_machine(content)]
        once = _once(every)
        fresh = _without_stale(once, content)
        kept = fresh if keep is None else _fastest(fresh, keep)
        write_log(path, content.header, with_machines(content.header.machine, kept))
    notes = [
        f"{len(content.damaged)} damaged lines dropped",
        f"{len(every) - len(once)} records that stood twice dropped",
        f"{len(once) - len(fresh)} records of templates that have changed dropped",
        f"{len(fresh) - len(kept)} records of slower configs dropped",
    ]
    return _with_notes(summary(path), [note for note in notes if not note.startswith("0 ")])


def _with_notes(report: TuningLogReport, notes: Sequence[str]) -> TuningLogReport:
    return TuningLogReport(report.facts, report.tasks, (*notes, *report.notes))


def _row(key: str, today: _Today, machines: Sequence[Sequence[Measurement | Challenge]]) -> TaskRow:
    """What is known of a task, of one template: today's, if there are records of it.

    Times are those of one machine, which says what is best, and of one walk with the report's: from
    the default on, by what ran in turns. Measured are configs on any.
    """
    every = [record for records in machines for record in records]
    name, default = today.default(key)
    if name not in {record.template for record in every}:
        name, default = every[-1].template, None
    every = [record for record in every if record.template == name]
    known = decisive([[r for r in records if r.template == name] for records in machines])
    history = TaskHistory(known, 0)
    measured = [r for r in every if isinstance(r, Measurement)]
    best = history.best

    def seconds(config: Config | None) -> float:
        time = history.seconds(config) if config is not None else None
        return math.inf if time is None else time

    first, last = seconds(default), seconds(best)
    walk = CurveTask(1, name, known[-1].source, default if default is not None else {})
    if line := curves(known, {key: walk}).tasks.get(key):
        first, last = line[0][1] if math.isfinite(first) else first, line[-1][1]
    return TaskRow(
        task=key,
        name=today.name(key),
        template=name,
        measured=len({items_of(m.config) for m in measured}),
        failed=sum(m.status is not Status.OK for m in measured),
        first=first,
        best=last if best is not None else first,
        config=config_text(best) if best is not None else "",
    )


def _parsed(text: str) -> Task | None:
    try:
        return Task.parse(text)
    except (LeipError, ValueError):
        return None


def _sentence(verdict: Verdict) -> str:
    if verdict.tuned:
        return f"tuned, {verdict.ratio:.1%} of the time before, {verdict.stamp}"
    return f"defaults stay: {verdict.message}, {verdict.stamp}"


def _once(pairs: Sequence[Pair]) -> list[Pair]:
    """Every record of a machine once, where it stands first."""
    machines = Machines()
    seen: set[tuple[int, str]] = set()
    kept = []
    for facts, record in pairs:
        # what a task computes is the same on all machines
        number = -1 if isinstance(record, TaskText) else machines.number(facts)
        if (number, repr(record)) not in seen:
            seen.add((number, repr(record)))
            kept.append((facts, record))
    return kept


def _without_stale(pairs: Sequence[Pair], content: LogContent) -> list[Pair]:
    records = [record for _, record in pairs]
    today, history = _Today(records), History([content])
    needed = {id(choice) for choice in _needed(records, today)}

    def holds(record: Record) -> bool:
        if isinstance(record, Measurement | Challenge):
            return today.is_source(record.source, record.task, record.template)
        if isinstance(record, TransformTime):
            return history.transform_holds(record)
        if isinstance(record, LayoutChoice) and id(record) not in needed:
            return history.holds(record) or not today.strange.isdisjoint(record.sources)
        return True

    return [(facts, record) for facts, record in pairs if holds(record)]


class _Today:
    """What records would depend on if they were made today.

    Attributes:
        strange: Tasks that templates made which are not here: of a plugin that was not given.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._templates = {template.name: template for template in templates()}
        self._tasks = {r.task: _parsed(r.text) for r in records if isinstance(r, TaskText)}
        self._sources: dict[tuple[str, str], str] = {}
        measured = [r for r in records if isinstance(r, Measurement)]
        self.strange = {r.task for r in measured if r.template not in self._templates}

    def name(self, key: str) -> str:
        """What a task computes, for people; "" if its ops are not known here."""
        task = self._tasks.get(key)
        return f"{kernel_stem(task)} {task.body.outputs[0].type}" if task is not None else ""

    def default(self, key: str) -> tuple[str, Config | None]:
        """Name of the template that a task gets, and its default; "" and None if not known."""
        task = self._tasks.get(key)
        if task is None:
            return "", None
        choice = select(task)
        return choice.template.name, config_of(choice.config)

    def is_source(self, source: str, key: str, name: str) -> bool:
        """Whether that is the source of a task and a template; also if one of them is not here."""
        template, task = self._templates.get(name), self._tasks.get(key)
        if template is None or task is None:
            return True
        if (key, name) not in self._sources:
            self._sources[key, name] = source_of(template, task)
        return source == self._sources[key, name]

    def good(self, verdict: Verdict) -> bool:
        """Whether a verdict gives configs that are of use."""
        return verdict.tuned and all(
            self.is_source(verdict.sources.get(key, ""), key, Override.parse(text).template)
            for key, text in verdict.configs.items()
        )


def _needed(records: Sequence[Record], today: _Today) -> Iterator[LayoutChoice]:
    """Choices of layouts that verdicts were given for: what they say is to be had there only."""
    for last in {r.graph: r for r in records if isinstance(r, Verdict)}.values():
        choice = None
        for record in records:
            if isinstance(record, LayoutChoice) and record.graph == last.graph:
                choice = record
            elif isinstance(record, Verdict) and record.layouts == last.layouts:
                break
        if choice is not None and last.layouts != last.graph and today.good(last):
            # the last of those that say the same
            yield [r for r in records if isinstance(r, LayoutChoice) and _same(r, choice)][-1]


def _same(one: LayoutChoice, other: LayoutChoice) -> bool:
    return (one.graph, one.block, one.blocked) == (other.graph, other.block, other.blocked)


def _fastest(pairs: Sequence[Pair], keep: int) -> list[Pair]:
    machines = Machines()
    by_task: dict[tuple[int, str], list[Measurement]] = defaultdict(list)
    wanted = set()
    for facts, record in pairs:
        if isinstance(record, Measurement):
            by_task[machines.number(facts), record.task].append(record)
        elif isinstance(record, Challenge) and record.won:
            wanted |= {(record.task, items_of(c)) for c in (record.incumbent, record.challenger)}
    ids = set()
    for found in by_task.values():
        good = sorted((m for m in found if m.status is Status.OK), key=lambda m: m.seconds)
        ids |= {id(m) for m in good[:keep]}
        ids |= {id(m) for m in found if (m.task, items_of(m.config)) in wanted}
    return [(m, r) for m, r in pairs if not isinstance(r, Measurement) or id(r) in ids]
