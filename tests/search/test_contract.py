"""`category:graph,iterations:N` as a user meets it: through the command line, with real compiles.

What kernels take is made up where the test is not about measuring (`fake_measurer.py`). What
else may happen is in `test_mishaps.py`.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Cli
from models import builders
from tuning_runs import FAKE, Tuning, processes_of

import leip
import leip.driver
from leip.ir import Graph
from leip.plugin import register_search
from leip.schedules.select import select
from leip.schedules.task import Task
from leip.search.configs import config_of
from leip.search.knob_space import KnobSpace
from leip.search.layouts import laid_out, transforms_of
from leip.search.log import TuningLog, read_log
from leip.search.measurer import Outcome, Trial
from leip.search.random_search import RandomSearch
from leip.search.record import Status, TaskText, Verdict
from leip.search.registry import parts
from leip.search.scheduler import TaskState

ARM = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"


# --- N, N more, 0 ---------------------------------------------------------------------------------


def test_without_the_flag_nothing_is_searched(tuning: Tuning) -> None:
    tuning(None)
    assert not (tuning.cli.folder / "OUT" / "optimization_artifacts").exists()


def test_first_run_more_and_zero(outside: Tuning) -> None:
    text = outside(9)
    assert "note: tuned: 10.0% faster than the defaults" in text
    assert "9 of 9 iterations" in text  # plain lines where there is no terminal
    header, *records = outside.lines()
    assert header["format"] == "leip.tuning/1" and header["model"] == "small"
    assert header["target"].startswith("llvm arch=") and header["machine"]["cpu"]
    assert header["leip"] == leip.__version__ and header["tvm"].startswith("0.")
    assert outside.measured() == 9
    assert all(("config" in r) == (r["kind"] == "measurement") for r in records)
    assert {"task", "challenge", "verdict"} <= {r["kind"] for r in records}
    first = outside.log().read_bytes()

    outside(7)
    assert outside.measured() == 16
    assert outside.log().read_bytes().startswith(first)
    measured = [json.dumps([r["task"], r["config"]]) for r in outside.lines() if "config" in r]
    assert len(set(measured)) == 16, "a point was measured twice"

    second, built = outside.log().read_bytes(), outside.object()
    outside(0)
    assert outside.log().read_bytes() == second
    assert outside.object() == built


def test_zero_elsewhere_gives_the_same_kernels(searched: Tuning) -> None:
    """Another folder, an empty cache, and a log that another machine has begun."""
    assert "stay unused" not in searched(0)
    head, *rest = searched.log().read_text().splitlines()
    header = json.loads(head)
    header["machine"] = {"cpu": "a machine far away", "l1": "64 KB"}
    folder = searched.cli.folder / "FAR" / "optimization_artifacts"
    folder.mkdir(parents=True)
    (folder / "copied.json").write_text("\n".join([json.dumps(header), *rest]) + "\n")
    searched(0, "FAR", "--cache_dir", "empty")
    assert searched.object("FAR") == searched.object()
    searched(0, "GIVEN", "--tuning_log", searched.log())
    assert searched.object("GIVEN") == searched.object()


def test_what_won_is_what_is_built(searched: Tuning) -> None:
    """A log written by hand, in which a config other than the default has won, or has lost."""
    same_id = ("--model_id", "12345678-1234-5678-1234-567812345678")  # so only kernels differ
    searched(None, "PLAIN", *same_id)
    header, *records = searched.lines()
    text = next(r for r in records if r["kind"] == "task" and "matmul(" in r["text"])
    of_task = [r for r in records if r.get("task") == text["task"] and "config" in r]
    default, other = (r["config"] for r in of_task[:2])  # the default is measured first
    assert other != default
    challenge = {
        **{key: of_task[0][key] for key in ("task", "template", "source", "stamp")},
        "kind": "challenge",
        "incumbent": default,
        "challenger": other,
        "ratio": 0.5,
        "noise": 0.01,
    }
    for name, won in (("WON", True), ("LOST", False)):
        folder = searched.cli.folder / name / "optimization_artifacts"
        folder.mkdir(parents=True)
        lines = (header, text, {**challenge, "won": won})
        (folder / "own.json").write_text("".join(json.dumps(line) + "\n" for line in lines))

    said = searched(0, "WON", *same_id, "--dump_ir", "ir")
    assert "1 of 3 kernels get another config than their default" in " ".join(said.split())
    chosen = (searched.cli.folder / "ir" / "99_chosen.txt").read_text()
    knobs = [f"{name}={value}" for name, value in other.items() if value != default[name]]
    assert all(knob in chosen for knob in knobs)
    built = searched.object("WON")
    assert built != searched.object("PLAIN")
    searched(0, "WON", *same_id, "--cache_dir", "empty")
    assert searched.object("WON") == built
    searched(0, "GIVEN", *same_id, "--tuning_log", searched.log("WON"))
    assert searched.object("GIVEN") == built

    assert "0 of 3 kernels get another config" in " ".join(searched(0, "LOST", *same_id).split())
    assert searched.object("LOST") == searched.object("PLAIN")


def test_a_log_that_stands_there_unused_is_told(searched: Tuning) -> None:
    text = " ".join(searched(None).split())
    assert "the tuning log in OUT/optimization_artifacts is not used: add --optimization" in text
    assert "is not used" not in searched(0)


def test_an_exhausted_space_ends_early_and_says_so(tuning: Tuning) -> None:
    text = tuning(30000, env={"FAKE_FAILS": "7"})
    count = tuning.measured()
    assert 0 < count < 30000
    assert f"the search ended after {count} of 30000 iterations" in text
    assert any(line.get("status") == "invalid" for line in tuning.lines())  # these count too
    text = tuning(5)
    assert "the search ended after 0 of 5 iterations" in text and tuning.measured() == count


def test_the_tuned_object_must_win(tuning: Tuning) -> None:
    tuning(None, "PLAIN")
    text = tuning(9, env={"FAKE_RATIO": "1.02"})
    assert "note: the defaults stay: the tuned object takes 102.0%" in text
    assert tuning.object() == tuning.object("PLAIN")
    text = tuning(0)
    assert "built with the templates' defaults, as the log says: the tuned object takes" in text
    assert tuning.object() == tuning.object("PLAIN")


def test_what_was_proven_stays_if_more_iterations_find_nothing(tuning: Tuning) -> None:
    """In the default layouts, as the first search is too short to choose them; the second does."""
    assert "tuned: 10.0% faster than the defaults" in tuning(9)
    proven = tuning.object()
    text = tuning(60, env={"FAKE_RATIO": "1.02"})
    assert "note: what an earlier search found stays: " in text
    assert tuning.object() == proven
    tuning(0)
    assert tuning.object() == proven
    assert "what an earlier search found" in tuning(60)  # the rival of the next one


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--threads", "1"), "this compile of 1 and level 3: 0 of 3 tasks match"),
        (
            ("--optimization", "category:kernel,level:2"),
            "this compile of 2 and level 2: 0 of 3 tasks match",
        ),
    ],
)
def test_a_log_of_other_threads_or_another_level_says_so(
    searched: Tuning, flags: Sequence[str], said: str
) -> None:
    text = " ".join(searched(0, "OUT", *flags).split())
    assert f"is of 2 threads and level 3, {said}" in text


def findings(tuning: Tuning, out: str) -> list[dict[str, Any]]:
    """What a search measured and concluded, without the time of day."""
    kept = [line for line in tuning.lines(out) if "config" in line or "ratio" in line]
    return [{**line, "stamp": ""} for line in kept]


def test_the_same_seed_and_measurements_give_the_same_log(tuning: Tuning) -> None:
    for out in ("A", "B"):
        tuning(60, out, "--seed", 3)
    assert findings(tuning, "A") == findings(tuning, "B")


def test_another_seed_gives_other_random_choices(tuning: Tuning) -> None:
    register_search(proposer=RandomSearch)
    for out, seed in (("A", 3), ("B", 3), ("C", 4)):
        tuning(20, out, "--seed", seed)
    assert findings(tuning, "A") == findings(tuning, "B") != findings(tuning, "C")


def test_report_is_one_page_that_needs_nothing_else(searched: Tuning) -> None:
    page = (searched.cli.folder / "OUT/optimization_artifacts/report.html").read_text()
    assert page.count("<svg") >= 3 and "matmul f32[1,64]" in page
    assert "The tuned object takes 90.0% of the time before" in page
    links = set(re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page))
    assert not {link for link in links if not link.startswith("#")}
    assert "<script" not in page and "@import" not in page


def rows_of(tuning: Tuning, out: str) -> dict[str, list[str]]:
    """The table of the report: by kernel its other cells."""
    page = (tuning.cli.folder / out / "optimization_artifacts/report.html").read_text()
    rows = [re.findall("<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page)]
    return {row[0]: row[1:] for row in rows if len(row) > 5}


def test_report_begins_where_other_logs_end(searched: Tuning) -> None:
    searched(3, "B", "--tuning_log", searched.log())
    wanted, found = rows_of(searched, "OUT"), rows_of(searched, "B")
    assert len(wanted) == 3 and found.keys() == wanted.keys()
    assert [row[2] for row in found.values()] == [row[2] for row in wanted.values()]  # before


def test_tune_log_shows_the_figures_of_the_report(searched: Tuning) -> None:
    """What ran in turns says by how much a config won, also if it was measured in a slow moment."""
    head, *lines = searched.lines()
    winners = [(line["task"], line["challenger"]) for line in lines if line.get("won")]
    for line in lines:
        if "config" in line and (line["task"], line["config"]) in winners:
            line["times"] = [1.3 * seconds for seconds in line["times"]]
    text = "".join(json.dumps(line) + "\n" for line in [head, *lines])
    searched.log().write_text(text)
    searched(1)
    page = rows_of(searched, "OUT")
    report = leip.driver.tuning_log_summary(searched.log())
    rows = {row.task[:6]: row for row in report.tasks}
    assert len(page) == 3 and any(row.config for row in rows.values())
    for name, cells in page.items():
        row = rows[name[-6:]]
        assert cells[2:4] == [f"{row.first * 1e6:.1f} us", f"{row.best * 1e6:.1f} us"]
        assert cells[4] == (f"{row.gain:.1%}" if row.gain else "")


@pytest.mark.parametrize("iterations", [1, 20])
def test_report_has_kernels_whose_default_does_not_run(tuning: Tuning, iterations: int) -> None:
    fake = runpy.run_path(str(FAKE))["Fake"]

    class NoDefault(fake):  # type: ignore[misc, valid-type]
        def outcome(self, trial: Trial) -> Outcome:
            task = Task.parse(trial.task_text)
            default = config_of(select(task).config)
            if trial.config == default and any(node.op == "matmul" for node in task.nodes):
                return Outcome(Status.INVALID, message="no legal one")
            return super().outcome(trial)  # type: ignore[no-any-return]

    class LastTask:
        def next(self, tasks: Sequence[TaskState]) -> int | None:
            return max((n for n, t in enumerate(tasks) if t.measured < t.size), default=None)

    register_search(measurer=NoDefault, scheduler=LastTask)
    tuning(iterations)
    (row,) = (row for name, row in rows_of(tuning, "OUT").items() if name.startswith("matmul"))
    assert row[2] == "no time" and (row[3] != "no time") == (iterations > 1)


# --- stopping -------------------------------------------------------------------------------------


def test_ctrl_c_keeps_what_was_found(outside: Tuning) -> None:
    with outside.running(1000, 4) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to the workers too
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    count = outside.measured()
    assert count >= 4
    assert f"stopped after {count} of 1000 iterations" in errors
    assert f"iterations:{1000 - count}" in errors and "iterations:0" in errors
    assert "interrupted" in errors and "Traceback" not in errors
    left = sorted(path.name for path in (outside.cli.folder / "OUT").iterdir())
    assert left == ["optimization_artifacts"]
    text = outside(0)
    assert "was not compared" in text and outside.measured() == count


def test_a_kill_loses_nothing_that_was_written(outside: Tuning) -> None:
    with outside.running(1000, 4) as process:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    before = outside.log().read_bytes()
    assert before.endswith(b"\n")
    count = outside.measured()
    outside(3)
    assert outside.log().read_bytes().startswith(before)
    assert outside.measured() == count + 3
    names = {path.name for path in (outside.cli.folder / "OUT").iterdir()}
    assert names == {"lre.py", "model_schema.json", "modelLibrary.so", "optimization_artifacts"}


# --- the file -------------------------------------------------------------------------------------


def test_a_search_that_was_stopped_before_it_found_anything_leaves_the_verdict(
    tuning: Tuning,
) -> None:
    tuning(None, "PLAIN")
    tuning(60, env={"FAKE_RATIO": "1.1"})  # kernels win, the whole does not
    assert any(line.get("won") for line in tuning.lines()) and not tuning.lines()[-1]["tuned"]
    measured = next(line for line in tuning.lines() if "config" in line)
    with open(tuning.log(), "a") as log:  # killed after this one
        log.write(json.dumps(measured) + "\n")
    assert "as the log says" in tuning(0)
    assert tuning.object() == tuning.object("PLAIN")


def test_a_damaged_line_is_told_by_its_number_and_skipped(searched: Tuning) -> None:
    lines = searched.log().read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if '"config"' in line)
    lines[at] = lines[at][: len(lines[at]) // 2] + "\x00"
    searched.log().write_text("\n".join(lines) + "\n")
    for iterations in (0, 1):
        assert f"1 line cannot be read and stay unused: line {at + 1}:" in searched(iterations)


def test_an_unterminated_line_is_closed_before_appending(searched: Tuning) -> None:
    os.truncate(searched.log(), searched.log().stat().st_size - 20)
    count = searched.log().read_text().count("\n") + 1
    assert f"line {count}: it is not finished" in searched(2)
    content = read_log(searched.log())
    assert [number for number, _ in content.damaged] == [count]
    assert len(content.measurements) == 62  # the line that was cut was the verdict


def test_a_second_writer_is_refused(searched: Tuning) -> None:
    content = read_log(searched.log())
    with TuningLog(searched.log(), lambda: content.header):
        assert "another process writes this tuning log" in searched.fails(1, 2)
        searched(0)  # reading is free
        words = ("tune-log", "prune", searched.log())
        assert "another process writes" in searched.cli.fails(1, *words)


def test_two_logs_are_one_too_many(searched: Tuning) -> None:
    other = searched.log().with_name("other.json")
    other.write_bytes(searched.log().read_bytes())
    assert "2 logs: other.json, tuning.json" in searched.fails(2, 2)


def test_zero_without_a_log(tuning: Tuning) -> None:
    assert "there is none" in tuning.fails(2, 0)
    assert not (tuning.cli.folder / "OUT").exists()
    assert "cannot be read" in tuning.fails(2, 0, "OUT", "--tuning_log", "no.json")


def test_a_target_that_cannot_run_here(tuning: Tuning, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(parts(), "measurer", None)
        text = tuning.fails(1, 5, "OUT", "--target", ARM)
    assert "nothing can be measured for this target here" in text
    assert not (tuning.cli.folder / "OUT").exists()
    if importlib.util.find_spec("ziglang"):  # which links for ARM
        assert "5 of 5" in tuning(5, "OUT", "--target", ARM), "a plugin's measurer may have a board"


def test_another_target(searched: Tuning) -> None:
    lines = searched.log().read_text().splitlines()
    header = json.loads(lines[0])
    header["target"] = header["target"].replace("fma=", "fma=1")
    searched.log().write_text("\n".join([json.dumps(header), *lines[1:]]) + "\n")
    for iterations in (0, 2):
        assert "was measured for another target" in searched.fails(2, iterations)
    more = ("OTHER", "--tuning_log", searched.log())
    assert "was measured for another target" in searched.fails(2, 2, *more)


def test_another_format(searched: Tuning) -> None:
    text = searched.log().read_text()
    searched.log().write_text(text.replace("leip.tuning/1", "leip.tuning/9", 1))
    for iterations in (0, 2):
        assert "leip.tuning/9" in searched.fails(2, iterations)


def test_a_log_of_another_model_serves_the_tasks_that_match(searched: Tuning) -> None:
    """Two models of the same shapes, one with a kernel more."""
    cli = searched.cli
    b = builders.Builder("larger")
    x = b.node("Relu", b.conv("image", (3, 16), 3, pad=1))
    x = b.node("Flatten", b.node("GlobalAveragePool", x), axis=1)
    x = b.node("Gemm", x, b.random((64, 16), 0.2), b.random((64,), 0.1, "bias"), transB=1)
    x = b.node("Softmax", x)
    made = b.finish(
        [("image", builders.TensorProto.FLOAT, [1, 3, 12, 12])],
        [(x, "y", builders.TensorProto.FLOAT, [1, 64])],
    )
    other = Tuning(cli, builders.save(made, cli.folder / "larger.onnx"))
    text = other(0, "OTHER", "--tuning_log", searched.log())
    assert "begins with another model (small)" in text and "tasks that match, 3 of 4" in text
    other(5, "OTHER", "--tuning_log", searched.log())
    both = [json.dumps([r["task"], r["config"]]) for r in searched.lines() if "config" in r]
    both += [json.dumps([r["task"], r["config"]]) for r in other.lines("OTHER") if "config" in r]
    assert other.measured("OTHER") == 5 and len(set(both)) == 65


TEMPLATE = '''
from dataclasses import dataclass
from leip.plugin import register_template
from leip.schedules.generic.plain import PlainTemplate
from leip.schedules.template import Knobs, knob, require

@dataclass(frozen=True)
class Config(Knobs):
    number: int = knob(0, choices=(0, 1, 2, 3, 4, 5))

class Mine(PlainTemplate):
    """Makes products like the generic template, whatever the number is."""

    name = "mine__generic"
    Config = Config

    def check(self, task):
        require(any(node.op == "matmul" for node in task.nodes), "no product")

    def default(self, task):
        return Config()

    def space(self, task):
        return [Config(number) for number in range(6)]

    def build(self, task, config):
        return super().build(task, PlainTemplate.Config())

register_template(Mine())
'''


def test_records_of_a_changed_template_stay_unused(outside: Tuning) -> None:
    plugin = outside.cli.folder / "mine.py"
    plugin.write_text(TEMPLATE)
    outside(60, "OUT", "--plugin", plugin)
    mine = [r for r in outside.lines() if r.get("template") == "mine__generic" and "config" in r]
    assert len(mine) == 6
    plugin.write_text(TEMPLATE.replace("whatever the number is", "always"))
    text = outside(0, "OUT", "--plugin", plugin)
    assert "6 measurements stay unused, because the templates" in text
    outside(240, "OUT", "--plugin", plugin)  # until its turn comes again
    sources = {r["source"] for r in outside.lines() if r.get("template") == "mine__generic"}
    assert len(sources) == 2
    done = outside.cli("tune-log", "prune", outside.log(), "--plugin", plugin)
    assert "of templates that have changed dropped" in done.stdout
    (left,) = {r["source"] for r in outside.lines() if r.get("template") == "mine__generic"}
    assert left != mine[0]["source"]


def layout_lines(tuning: Tuning) -> list[dict[str, Any]]:
    return [line for line in tuning.lines()[1:] if line["kind"] == "layouts"]


def test_layouts_of_a_changed_template_are_chosen_anew(outside: Tuning) -> None:
    template = TEMPLATE.replace('"matmul"', '"conv"')
    plugin = outside.cli.folder / "mine.py"
    plugin.write_text(template)
    outside(60, "OUT", "--plugin", plugin)
    (old,) = layout_lines(outside)
    assert "choice of layouts" not in outside(0, "OUT", "--plugin", plugin)
    plugin.write_text(template.replace("whatever the number is", "always"))
    unused = "its choice of layouts stays unused, because the templates"
    assert unused in outside(0, "OUT", "--plugin", plugin)
    assert unused in outside(60, "OUT", "--plugin", plugin)
    first, new = layout_lines(outside)
    assert first == old and new["sources"].keys() == old["sources"].keys()
    assert new["sources"] != old["sources"]
    assert "choice of layouts" not in outside(60, "OUT", "--plugin", plugin)
    assert layout_lines(outside) == [old, new]
    outside.cli("tune-log", "prune", outside.log(), "--plugin", plugin)
    assert layout_lines(outside) == [new]
    outside.cli("tune-log", "prune", outside.log())  # of a template that is not there
    assert layout_lines(outside) == [new]


# --- parts of one's own, tools --------------------------------------------------------------------

BACKWARDS = '''
from leip.plugin import register_search

class Backwards:
    """The last points first."""

    def __init__(self, space, seed):
        self.left = list(range(len(space)))

    def propose(self, count):
        points = [self.left.pop() for _ in range(min(count, len(self.left)))]
        return points

    def tell(self, point, seconds):
        if point in self.left:
            self.left.remove(point)

class FirstTask:
    """The first task that has points left."""

    def next(self, tasks):
        return next((i for i, t in enumerate(tasks) if t.measured < t.size), None)

register_search(proposer=Backwards, scheduler=FirstTask)
'''


def test_a_proposer_and_a_scheduler_of_ones_own(outside: Tuning) -> None:
    plugin = outside.cli.folder / "backwards.py"
    plugin.write_text(BACKWARDS)
    outside(5, "OUT", "--plugin", plugin)
    content = read_log(outside.log())
    (text,) = (record.text for record in content.records if isinstance(record, TaskText))
    task = Task.parse(text)
    space = KnobSpace(task, select(task).template)
    order = [space.default, *(n for n in reversed(range(len(space))) if n != space.default)]
    assert [m.config for m in content.measurements] == [space.config(n) for n in order[:5]]


def test_tune_log(searched: Tuning) -> None:
    searched(60, "B", "--seed", "8")
    one, two = searched.log(), searched.log("B")
    shown = searched.cli("tune-log", "show", one).stdout
    assert "matmul f32[1,64]" in shown and "measurements" in shown and "tuned, 90.0%" in shown
    best = searched.cli("tune-log", "best", one).stdout.splitlines()
    (verdict,) = (r for r in read_log(one).records if isinstance(r, Verdict))
    words = dict((line.split()[0], line.split()[-1]) for line in best)
    assert words == dict(verdict.configs)
    merged = searched.cli("tune-log", "merge", one, two, one, "--output", "both.json")
    assert merged.returncode == 0, merged.stderr
    both = read_log(searched.cli.folder / "both.json")
    assert len(both.measurements) == 120 and both.header == read_log(one).header
    assert "already" in searched.cli.fails(2, "tune-log", "merge", one, two, "-o", "both.json")
    searched.cli("tune-log", "prune", "both.json", "--keep", "1")
    small = read_log(searched.cli.folder / "both.json")
    assert len(small.measurements) < 60
    searched(0, "C", "--tuning_log", "both.json")


def test_tune_log_leaves_out_what_is_stale(searched: Tuning) -> None:
    shown = searched.cli("tune-log", "best", searched.log()).stdout
    (key, *_), *_ = (line.split() for line in shown.splitlines())
    head, *lines = searched.lines()
    of_task = [line for line in lines if line.get("task") == key and "template" in line]

    def written(changed: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(line) + "\n" for line in [head, *changed])
        searched.log().write_text(text)

    # of another template: a plugin's, say
    other = next(line for line in reversed(of_task) if "config" in line)
    written([*lines, {**other, "template": "another__any"}])
    assert searched.cli("tune-log", "best", searched.log()).stdout == shown
    written([{**line, "source": "old"} if line in of_task else line for line in lines])
    assert key not in searched.cli("tune-log", "best", searched.log()).stdout
    text = searched.cli("tune-log", "show", searched.log()).stdout
    count = sum("config" in line for line in of_task)
    assert key[:12] not in text
    assert f"{count} measurements of templates that have changed are left out" in text


def test_tune_log_calls_nothing_default_that_is_not(searched: Tuning) -> None:
    """The defaults stand in another log."""
    searched(3, "B", "--tuning_log", searched.log())
    report = leip.driver.tuning_log_summary(searched.log("B"))
    measured = sum(row.measured for row in report.tasks)
    assert measured == 3 and all(math.isinf(row.first) for row in report.tasks)
    report = leip.driver.tuning_log_summary(searched.log())
    assert all(math.isfinite(row.first) for row in report.tasks)


# --- with real measurements -----------------------------------------------------------------------


def test_real_measurements(cli: Cli, model: Path) -> None:
    words = ["compile", "--input_path", model, "--output_path", "OUT", "--verify"]
    done = cli(*words, "--optimization", "category:graph,iterations:8")
    assert done.returncode == 0, done.stderr
    tuning = Tuning(cli, model)
    measurements = read_log(tuning.log()).measurements
    assert len(measurements) == 8
    assert all(0 < m.seconds < 1 for m in measurements if m.times)
    assert sum(bool(m.times) for m in measurements) >= 3
    assert float(tuning.lines()[0]["machine"]["gflops"]) > 0
    with leip.load(cli.folder / "OUT") as engine:
        assert np.isfinite(engine.infer(engine.random_inputs())["logits"]).all()


def test_workers_die_with_a_killed_search(cli: Cli, model: Path) -> None:
    words = ["compile", "--input_path", model, "--output_path", "OUT", "--jobs", "2"]
    words += ["--optimization", "category:graph,iterations:30000"]
    log = cli.folder / "OUT" / "optimization_artifacts" / "tuning.json"
    with subprocess.Popen(
        [sys.executable, "-m", "leip.cli.main", *map(str, words)],
        cwd=cli.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while not log.exists() or log.read_bytes().count(b'"config"') < 2:
            assert process.poll() is None
            time.sleep(0.05)
        assert len(processes_of(process.pid)) > 1
        process.kill()
    end = time.monotonic() + 60
    while left := processes_of(process.pid):
        assert time.monotonic() < end, left
        time.sleep(0.1)
    assert len(read_log(log).measurements) >= 2


def wide(folder: Path) -> Path:
    """A model whose layouts matter: its images have many channels."""
    b = builders.Builder("wide")
    x = b.node("Relu", b.conv(b.conv("image", (64, 64), 3, pad=1), (64, 64), 3, pad=1))
    kind = builders.TensorProto.FLOAT
    made = b.finish([("image", kind, [1, 64, 32, 32])], [(x, "y", kind, [1, 64, 32, 32])])
    return builders.save(made, folder / "wide.onnx")


def changed(tuning: Tuning, kind: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change all records of a kind in the log of OUT."""
    head, *lines = tuning.lines()
    for line in lines:
        if line["kind"] == kind:
            change(line)
    tuning.log().write_text("".join(json.dumps(line) + "\n" for line in [head, *lines]))


def register_slow_transforms() -> None:
    """A measurer to which transforms of layouts are 100 times as slow as all else."""
    fake = runpy.run_path(str(FAKE))["Fake"]

    class SlowTransforms(fake):  # type: ignore[misc, valid-type]
        def outcome(self, trial: Trial) -> Outcome:
            return Outcome(Status.OK, (1e-3 if "layout_transform" in trial.task_text else 1e-5,))

    register_search(measurer=SlowTransforms)


def test_transforms_of_the_default_layouts_are_measured_too(tuning: Tuning, tmp_path: Path) -> None:
    """Modelled ones would be held against the measured ones of other layouts."""
    register_slow_transforms()
    tuning.model = wide(tmp_path)
    tuning(30)
    (choice,) = layout_lines(tuning)
    assert not choice["default"] and choice["blocked"] == []
    assert choice["seconds"]["default"] >= 2e-3
    changed(tuning, "layouts", lambda line: line.update(sources={}))
    changed(tuning, "transform", lambda line: line.update(code="older"))
    before = sum(line.get("kind") == "transform" for line in tuning.lines())
    text = tuning(30)
    assert f"{before} measurements stay unused" in text and "choice of layouts stays unused" in text
    assert len(layout_lines(tuning)) == 2
    again = sum(line.get("kind") == "transform" for line in tuning.lines())
    assert before > 0 and again == 2 * before
    tuning.cli("tune-log", "prune", tuning.log())
    assert sum(line.get("kind") == "transform" for line in tuning.lines()) == before


def test_all_transforms_of_the_layouts_that_are_compared_are_measured(
    tuning: Tuning, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each that is measured to be slow moves the next one to where none was before."""
    fake = runpy.run_path(str(FAKE))["Fake"]

    class SlowPlain(fake):  # type: ignore[misc, valid-type]
        def outcome(self, trial: Trial) -> Outcome:
            plain = 1e-5 if "@NCHW" in trial.task_text else 0.3
            return Outcome(Status.OK, (1.0 if "layout_transform" in trial.task_text else plain,))

    register_search(measurer=SlowPlain)
    b = builders.Builder("narrowing")
    x = "image"
    for before, after in itertools.pairwise((64, 56, 48, 40, 32)):
        x = b.node("Relu", b.conv(x, (before, after), 3, pad=1))
    kind = builders.TensorProto.FLOAT
    made = b.finish([("image", kind, [1, 64, 16, 16])], [(x, "y", kind, [1, 32, 16, 16])])
    tuning.model = builders.save(made, tmp_path / "narrowing.onnx")
    compared: dict[int, Graph] = {}

    def watched(graph: Graph, block: int, *more: Any) -> Graph:
        compared[block] = laid_out(graph, block, *more)
        return compared[block]

    monkeypatch.setattr("leip.driver.layout_choice.laid_out", watched)
    tuning(60)
    assert compared.keys() == {4, 8}
    target = leip.resolve_target("llvm -mcpu=haswell")
    measured = {line["task"] for line in tuning.lines() if line.get("kind") == "transform"}
    for graph in compared.values():
        keys = {Task.of_kernel(node, target, 2, 3).key for node in transforms_of(graph)}
        assert keys <= measured
    assert len(measured) > 2  # they have moved


def test_a_verdict_keeps_its_layouts_while_its_own_kernels_are_the_same(
    tuning: Tuning, tmp_path: Path
) -> None:
    """What has changed since is a template that the other layouts need."""
    register_slow_transforms()
    tuning.model = wide(tmp_path)
    assert "tuned: 10.0% faster" in tuning(30)
    assert "was not compared" not in tuning(0)
    built, log = tuning.object(), tuning.log().read_bytes()
    texts = {line["task"]: line["text"] for line in tuning.lines() if line.get("kind") == "task"}

    def outdate(blocked: bool) -> None:
        def change(line: dict[str, Any]) -> None:
            for key in line["sources"]:
                if ("@NCHW" in texts[key]) == blocked:
                    line["sources"][key] = "older"

        changed(tuning, "layouts", change)

    outdate(blocked=True)
    assert "stays unused" not in tuning(0) and tuning.object() == built
    tuning.cli("tune-log", "prune", tuning.log())
    assert len(layout_lines(tuning)) == 1
    tuning(0)
    assert tuning.object() == built
    tuning.log().write_bytes(log)
    outdate(blocked=False)
    text = tuning(0)
    assert "choice of layouts stays unused" in text and "was not compared" in text
    assert tuning.object() != built
