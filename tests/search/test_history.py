"""What logs know of today's tasks: equal ones, stale ones, and those with the same anchor."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import leip
from leip.ir import parse_graph
from leip.schedules.select import GENERIC, select, template
from leip.schedules.task import Task
from leip.search.anchor import anchor_key
from leip.search.curves import CurveTask, curves
from leip.search.history import History
from leip.search.log import LogContent
from leip.search.record import (
    Challenge,
    Header,
    LayoutChoice,
    MachineFacts,
    Measurement,
    Record,
    Status,
    TaskText,
    Verdict,
)
from leip.search.sources import source_files, source_of

HEADER = Header("m", "h", "t", 1, 3, {}, "", "", "")
FASTER, FAST, SLOW = {"rows": 0}, {"rows": 1}, {"rows": 2}


def product(epilogue: str, columns: int = 64) -> Task:
    """A row times a constant matrix, and what follows."""
    body = parse_graph(
        f"""graph "task" (%x: f32[1,32], %w: f32[32,{columns}]) {{
          %m = matmul(%x, %w)
          %y = {epilogue}(%m)
          return %y
        }}"""
    )
    return Task(body, leip.resolve_target("llvm -mcpu=haswell"), 1, 3, (1,))


def measured(task: Task, config: dict[str, int], seconds: float, source: str = "") -> Measurement:
    made_by = select(task).template
    source = source or source_of(made_by, task)
    return Measurement(task.key, made_by.name, source, config, Status.OK, (seconds,))


def won(
    task: Task, ratio: float, old: dict[str, int] = SLOW, new: dict[str, int] = FAST
) -> Challenge:
    made_by = select(task).template
    source = source_of(made_by, task)
    return Challenge(task.key, made_by.name, source, old, new, ratio, 0.01, True)


def history(*records: Record) -> History:
    return History([LogContent(Path("log.json"), HEADER, records)])


def test_the_last_challenger_that_won_is_the_best() -> None:
    task = product("relu")
    found = history(measured(task, SLOW, 2.0), measured(task, FAST, 1.0)).of(
        task, select(task).template
    )
    assert found.best is None and found.measured == 2
    known = history(measured(task, SLOW, 2.0), measured(task, FAST, 1.0), won(task, 0.5))
    found = known.of(task, select(task).template)
    assert found.best == FAST and found.seconds(FAST) == 1.0 and found.seconds({"rows": 3}) is None


def test_a_challenge_that_was_won_twice_counts_once() -> None:
    """As in joined logs of two searches, each of which began with the default."""
    task = product("relu")
    records = [won(task, 0.5), won(task, 0.6, SLOW, FASTER), won(task, 0.5), won(task, 0.7)]
    found = history(*records).of(task, select(task).template)
    assert found.best == FAST and found.standing.share == 0.5
    lines = curves([measured(task, SLOW, 2.0), *records], {task.key: curve_task(task)})
    assert min(seconds for _, seconds in lines.tasks[task.key]) == 1.0
    chained = history(*records, won(task, 0.5, FASTER, {"rows": 5})).of(task, select(task).template)
    assert chained.best == {"rows": 5} and chained.standing.share == 0.3


def test_records_of_other_sources_are_stale() -> None:
    task = product("relu")
    found = history(measured(task, SLOW, 2.0), measured(task, FAST, 1.0, "old")).of(
        task, select(task).template
    )
    assert found.stale == 1 and found.measured == 1 and not found.has(FAST)


def test_the_same_anchor_with_another_epilogue_gives_seeds() -> None:
    task, other, wider = product("relu"), product("sigmoid"), product("relu", 128)
    assert anchor_key(task) == anchor_key(other) != anchor_key(wider)
    known = history(
        TaskText(other.key, other.text),
        TaskText(wider.key, wider.text),
        TaskText("k", "no task at all"),
        measured(other, SLOW, 2.0),
        measured(other, FAST, 1.0),
        measured(wider, {"rows": 7}, 1.0),
    )
    assert known.seeds(task, select(task).template) == (FAST, SLOW)


def test_of_many_such_tasks_the_best_come_first_and_few_in_all() -> None:
    task = product("relu")
    others = [product(name) for name in ("sigmoid", "tanh", "exp", "abs")]
    records: list[Record] = [TaskText(other.key, other.text) for other in others]
    for number, other in enumerate(others):
        records += [measured(other, {"rows": 10 * number + n}, 1.0 + n) for n in range(5)]
    rows = [config["rows"] for config in history(*records).seeds(task, select(task).template)]
    assert rows == [0, 10, 20, 30, 1, 11]


def test_what_a_kernel_depends_on() -> None:
    """Its template and computes, what makes the object file, and all schedules that these need."""
    root = Path(leip.__file__).parent
    task = product("relu")
    for made_by in (select(task).template, template(GENERIC)):
        files = {path.relative_to(root).as_posix() for path in source_files(made_by, task)}
        assert {"schedules/compute/matmul.py", "schedules/task.py"} < files
        assert {"codegen/lowering.py", "codegen/kernel_object.py"} < files
        assert "schedules/rewrite.py" in files  # the lowering needs it


def test_a_verdict_counts_until_something_is_found_for_its_graph() -> None:
    task = product("relu")
    verdict = Verdict("g", True, 1)
    win = won(task, 0.5)
    lost = dataclasses.replace(win, won=False)
    assert history(verdict).verdict("g", [task.key]) is verdict
    assert history(verdict).verdict("another", [task.key]) is None
    assert history(verdict, measured(task, FAST, 1.0), lost).verdict("g", [task.key]) is verdict
    assert history(verdict, measured(task, FAST, 1.0), win).verdict("g", [task.key]) is None
    assert history(verdict, measured(task, FAST, 1.0), win).verdict("g", ["k"]) is verdict
    elsewhere = MachineFacts({"cpu": "another one"})
    assert history(verdict, elsewhere, measured(task, FAST, 1.0)).verdict("g", [task.key]) is None
    for default in (True, False):
        choice = LayoutChoice("g", 8, (), {}, default)
        assert (history(verdict, choice).verdict("g", [task.key]) is verdict) == default


def curve_task(task: Task, weight: int = 1) -> CurveTask:
    made_by = select(task).template
    return CurveTask(weight, made_by.name, source_of(made_by, task), SLOW)


def test_curves() -> None:
    task, other = product("relu"), product("sigmoid")
    records = [
        measured(task, SLOW, 2.0),
        measured(task, FAST, 1.0),
        won(task, 0.5),
        measured(other, SLOW, 3.0),
    ]
    tasks = {task.key: curve_task(task, 2), other.key: curve_task(other)}
    found = curves(records, tasks)
    assert found.tasks == {task.key: [(1, 2.0), (2, 1.0)], other.key: [(3, 3.0)]}
    assert found.model == [(0, 7.0), (2, 5.0)] and found.iterations == 3


def test_records_that_do_not_hold_are_in_no_curve() -> None:
    task = product("relu")
    records: list[Record] = [
        measured(task, SLOW, 9.0, "old"),
        dataclasses.replace(won(task, 0.1), source="old"),
        dataclasses.replace(measured(task, SLOW, 8.0), template="another"),
        measured(task, SLOW, 2.0),
        won(task, 0.5),
        dataclasses.replace(won(task, 0.1), template="another"),
    ]
    found = curves(records, {task.key: curve_task(task)})
    assert found.tasks == {task.key: [(3, 2.0), (3, 1.0)]} and found.iterations == 3


def test_a_curve_may_begin_in_another_log() -> None:
    task = product("relu")
    earlier = [measured(task, SLOW, 2.0), won(task, 0.5)]
    found = curves(
        [measured(task, FASTER, 0.5), won(task, 0.5, FAST, FASTER)],
        {task.key: curve_task(task)},
        earlier,
    )
    assert found.tasks == {task.key: [(0, 2.0), (0, 1.0), (1, 0.5)]}
    assert found.model == [(0, 2.0), (0, 1.0), (1, 0.5)] and found.iterations == 1


def test_the_curve_of_a_default_that_does_not_run_begins_with_what_does() -> None:
    task = product("relu")
    illegal = dataclasses.replace(measured(task, SLOW, 0.0), status=Status.INVALID, times=())
    records = [illegal, measured(task, FAST, 1.0), won(task, 0.0)]
    assert curves(records, {task.key: curve_task(task)}).tasks == {task.key: [(2, 1.0)]}
    assert curves(records[:2], {task.key: curve_task(task)}).tasks == {}
