"""What goes wrong around a search: each costs little, and one screen says what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Cli
from models import builders
from tuning_runs import Tuning, processes_of

from leip.plugin import register_search
from leip.search.log import read_log

# --- logs in which little stands ------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 5, 100])
def test_a_log_that_was_cut_in_its_first_line_begins_anew(searched: Tuning, size: int) -> None:
    os.truncate(searched.log(), size)
    text = searched.fails(2, 0)
    assert "not even a whole first line" in text and "optimization_artifacts/tuning.json" in text
    given = searched.fails(2, 3, "B", "--tuning_log", searched.log())
    assert "not even a whole first line" in given
    searched(3)
    assert searched.measured() == 3
    header = searched.lines()[0]
    assert header["machine"]["cpu"] and header["machine"]["l1"], "facts of the machine"


def test_a_log_that_has_only_its_first_line(searched: Tuning) -> None:
    log = searched.log()
    log.write_text(log.read_text().splitlines()[0])  # without its end
    assert "0 of 3 kernels get another config" in searched(0)
    searched(3)
    assert searched.measured() == 3 and not read_log(log).damaged


def test_a_log_that_is_given_twice_is_told_of_once(searched: Tuning) -> None:
    log = searched.log()
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines, "damaged", ""]))
    other = log.rename(searched.cli.folder / "other.json")
    link = searched.cli.folder / "link.json"
    link.symlink_to(other)
    given = [word for path in (other, link, "other.json") for word in ("--tuning_log", path)]
    assert searched(0, "B", *given).count("cannot be read") == 1
    assert searched(0, "OUT", *given).count("cannot be read") == 1


# --- what else may stand in a file ----------------------------------------------------------------


def test_half_a_character_in_a_log_is_a_damaged_line(searched: Tuning) -> None:
    log = searched.log()
    lines = log.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if '"config"' in line)
    lines[at] = lines[at].replace('"message": "', '"message": "\\ud800')
    log.write_text("\n".join([*lines, ""]))
    cli = searched.cli
    told = f"line {at + 1}: message cannot be"
    assert told in cli("tune-log", "show", log).stdout
    merged = cli("tune-log", "merge", log, "--output", "both.json")
    assert merged.returncode == 0 and told in merged.stdout
    assert told in searched(1)
    pruned = cli("tune-log", "prune", log)
    assert pruned.returncode == 0 and "1 damaged lines dropped" in pruned.stdout
    for path in (log, Path(cli.folder / "both.json")):
        assert not read_log(path).damaged
        assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_log_from_windows_is_read(searched: Tuning) -> None:
    searched(0)
    built, log = searched.object(), searched.log()
    log.write_bytes(b"\xef\xbb\xbf" + log.read_bytes().replace(b"\n", b"\r\n"))
    assert "cannot be read" not in searched(0) and searched.object() == built
    searched(1)
    assert searched.cli("tune-log", "show", log).returncode == 0
    assert len(read_log(log).measurements) == 61 and not read_log(log).damaged


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (Path.mkdir, "cannot be read: it is a folder"),
        (os.mkfifo, "cannot be read: it is no file, but a pipe"),
        (lambda path: path.write_bytes(bytes(range(256)) * 9), "line 1: no JSON"),
        (lambda path: path.write_text('{"a": 1}\n'), "line 1: it has no format"),
    ],
)
def test_what_is_no_log_is_refused(
    tuning: Tuning, make: Callable[[Path], object], message: str
) -> None:
    """As a log that is given, as one's own, and by the tools."""
    other = tuning.cli.folder / "other.json"
    own = tuning.cli.folder / "OUT" / "optimization_artifacts" / "tuning.json"
    own.parent.mkdir(parents=True)
    for path in (other, own):
        make(path)
    for iterations in (0, 3):
        text = tuning.fails(2, iterations, "B", "--tuning_log", "other.json")
        assert message in text and "where: other.json" in text
        assert "to do: leave out this --tuning_log" in text
        if own.exists():
            text = tuning.fails(2, iterations)
            assert message in text and "choose another --output_path" in text
    for command in ("show", "best", "prune"):
        assert message in tuning.cli.fails(2, "tune-log", command, other)
    text = tuning.cli.fails(2, "tune-log", "merge", other, "--output", "both.json")
    assert message in text and "to do: give a log that a search has written" in text


def test_artifacts_that_are_no_folder(tuning: Tuning) -> None:
    (tuning.cli.folder / "OUT").mkdir()
    (tuning.cli.folder / "OUT" / "optimization_artifacts").touch()
    for iterations in (0, 3):
        assert "cannot be read: Not a directory" in tuning.fails(2, iterations)


REMOVER = """
import pathlib
from leip.plugin import register_search
from leip.search.random_search import RandomSearch

class Remover(RandomSearch):
    def propose(self, count):
        pathlib.Path("OUT/optimization_artifacts/tuning.json").{what}
        return super().propose(count)

register_search(proposer=Remover)
"""


@pytest.mark.parametrize("what", ["unlink()", "rename('away.json')"])
def test_a_log_that_is_taken_away_ends_the_search(tuning: Tuning, what: str) -> None:
    plugin = tuning.cli.folder / "remover.py"
    plugin.write_text(REMOVER.format(what=what))
    text = tuning.fails(1, 100, "OUT", "--plugin", plugin)
    assert "somebody has removed this tuning log" in text and "tuning.json" in text


@pytest.mark.parametrize("broken", ["a reader that has gone", "a full disk"])
def test_a_search_needs_nobody_who_reads_how_it_goes(outside: Tuning, broken: str) -> None:
    full = broken == "a full disk"
    with open("/dev/full" if full else os.devnull, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "leip.cli.main", *outside.words(9, "OUT")],
            cwd=outside.cli.folder,
            stdout=file if full else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if process.stdout is not None:
            process.stdout.close()
            process.stdout = None
        _, errors = process.communicate(timeout=120)
    assert process.returncode == int(full), errors
    assert ("where: standard output" in errors) == full and "Traceback" not in errors
    assert outside.object() and outside.measured() == 9


def test_tools_need_nobody_who_reads_to_the_end(searched: Tuning) -> None:
    words = [sys.executable, "-m", "leip.cli.main", "tune-log", "show", str(searched.log())]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


# --- names ----------------------------------------------------------------------------------------


def test_names_are_no_html(tuning: Tuning, tmp_path: Path) -> None:
    odd = "<script>alert(1)<_script>&\"'\u202eé"
    b = builders.Builder("<b>")
    x = b.node("Flatten", b.node("Relu", b.conv('in"<', (3, 8), 3, pad=1)), axis=1)
    made = b.finish(
        [('in"<', builders.TensorProto.FLOAT, [1, 3, 8, 8])],
        [(x, odd, builders.TensorProto.FLOAT, [1, 512])],
    )
    for node in made.graph.node:
        node.name = odd + node.name
    tuning.model = builders.save(made, tmp_path / f"{odd}.onnx")
    tuning(9)
    page = tuning.log().with_name("report.html").read_text()
    assert "<script" not in page and "alert(1)&lt;_script&gt;&amp;&#34;&#39;" in page
    assert tuning.lines()[0]["model"] == odd
    assert odd in tuning.cli("tune-log", "show", tuning.log()).stdout
    assert tuning(0) and tuning.measured() == 9


# --- ends that nobody planned ---------------------------------------------------------------------


def test_a_search_that_is_told_to_end_tidies_up(cli: Cli, model: Path) -> None:
    """With real measurements: all its processes end, and only the log stays."""
    words = ["compile", "--input_path", model, "--output_path", "OUT", "--jobs", "2"]
    words += ["--optimization", "category:graph,iterations:30000"]
    log = cli.folder / "OUT" / "optimization_artifacts" / "tuning.json"
    temporary = cli.folder / "temporary"
    temporary.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "leip.cli.main", *map(str, words)],
        cwd=cli.folder,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not log.exists() or log.read_bytes().count(b'"config"') < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        assert list(temporary.glob("leip-work-*")) and processes_of(process.pid)
        os.kill(process.pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGTERM)  # a second one, as `timeout` sends it
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    told = errors.splitlines()
    assert told[0].startswith("the search was stopped after") and told[-1] == "terminated"
    assert len(told) == 3 and "iterations:0" in told[1]
    assert not processes_of(process.pid)
    assert [path.name for path in (cli.folder / "OUT").iterdir()] == ["optimization_artifacts"]
    assert not list(temporary.glob("leip-*"))
    assert len(read_log(log).measurements) >= 2


def test_an_end_while_objects_are_compared_says_what_is_kept(tuning: Tuning) -> None:
    def stopped(untuned: Path, tuned: Path, threads: int, level: int) -> None:
        signal.raise_signal(signal.SIGTERM)

    register_search(judge=stopped)
    done = tuning.cli(*tuning.words(20, "OUT"))
    assert done.returncode == 143
    assert "stopped after 20 of 20 iterations" in done.stderr
    assert "\nbuild from what was found with iterations:0\n" in done.stderr
    assert "was not compared" in tuning(0)


@pytest.mark.parametrize("missing", ["jinja2", "pygal"])
def test_a_search_whose_report_fails_is_not_lost(
    tuning: Tuning, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, missing, None)
        text = tuning(20)
    assert "note: tuned: 10.0%" in text
    assert "note: there is no report of this search: " in text and missing in text
    assert tuning.object() and not tuning.log().with_name("report.html").exists()


# --- parts of one's own that do what they must not ------------------------------------------------

PROPOSER = """
from leip.plugin import register_search

class Mine:
    def __init__(self, space, seed):
        self.size, self.start, self.seen = len(space), space.default, set()

    def tell(self, point, seconds):
        self.seen.add(point)

    def propose(self, count):
        left = [p for p in range(self.size) if p not in self.seen][:count]
        {body}

register_search(proposer=Mine)
"""

SCHEDULER = """
from leip.plugin import register_search

class Mine:
    def next(self, tasks):
        {body}

register_search(scheduler=Mine)
"""

MEASURER = """
from leip.plugin import register_search
from leip.search.measurer import Outcome
from leip.search.record import Status

class Mine:
    def measure(self, trials):
        {body}

    def compare(self, trials):
        return []

    def close(self):
        pass

register_search(measurer=Mine)
"""


TEMPLATE = """
from leip.plugin import register_template
from leip.schedules.generic.plain import PlainTemplate

class Mine(PlainTemplate):
    name = "failing__generic"

    def space(self, task):
        {body}

register_template(Mine())
"""


def place_of(code: str, plugin: Path) -> str:
    """`FILE:LINE` of the first line of a plugin that holds some code."""
    lines = enumerate(plugin.read_text().splitlines(), 1)
    return f"{plugin}:{next(number for number, line in lines if code in line)}"


@pytest.mark.parametrize(
    ("part", "body", "message"),
    [
        (PROPOSER, "return [-1]", "proposer Mine proposes point -1 of a space of"),
        (PROPOSER, "return [*left, self.size][-1:]", "of a space of"),
        (PROPOSER, "return [self.start]", "which was measured before"),
        (PROPOSER, "return left[:1] * 2", "twice"),
        (PROPOSER, "yield from range(10**9)", "more than the"),
        (PROPOSER, "return [0.5]", "proposer Mine raises TypeError: 'float'"),
        (PROPOSER, "raise KeyError('lost')", "proposer Mine raises KeyError: 'lost'"),
        (PROPOSER, "raise SystemExit(0)", "proposer Mine raises SystemExit"),
        (SCHEDULER, "return -1", "scheduler Mine chooses task -1"),
        (SCHEDULER, "return len(tasks)", "counted from 0"),
        (SCHEDULER, "return 0", "scheduler Mine chooses task 0, which has no point left"),
        (SCHEDULER, "return tasks[99].size", "scheduler Mine raises IndexError"),
        (MEASURER, "yield Outcome(Status.OK, (1e-3,))", "gives 1 outcomes for"),
        (MEASURER, "return iter([1e-3] * 9)", "measurer Mine gives 0.001, which is no Outcome"),
        (MEASURER, "return iter([Outcome(Status.OK, (float('nan'),))])", "gives the times (nan,)"),
        (
            MEASURER,
            "return iter([Outcome(Status.OK, (1e10,))])",
            "gives the times (10000000000.0,)",
        ),
        (MEASURER, "yield 1 / 0", "measurer Mine raises ZeroDivisionError"),
    ],
)
def test_a_part_that_does_what_it_must_not_is_named(
    tuning: Tuning, part: str, body: str, message: str
) -> None:
    plugin = tuning.cli.folder / "mine.py"
    plugin.write_text(part.format(body=body))
    text = tuning.fails(2, 500, "OUT", "--plugin", plugin)
    assert message in text and str(plugin) in text and "is in the log" in text
    if "raises" in message and "TypeError" not in message:
        assert place_of(body, plugin) in text
    assert not (tuning.cli.folder / "OUT" / "modelLibrary.so").exists()
    assert tuning.measured() > 0 or part is not PROPOSER


def test_a_judge_that_says_nothing_is_named(tuning: Tuning) -> None:
    def silent(untuned: Path, tuned: Path, threads: int, level: int) -> None: ...

    register_search(judge=silent)
    assert "silent gives None, which is no Contest" in tuning.fails(2, 20)
    assert tuning.measured() == 20


@pytest.mark.parametrize(
    ("part", "body", "message"),
    [
        (PROPOSER, "return left if len(self.seen) < 3 else []", "proposer Mine proposed no more"),
        (SCHEDULER, "return 0 if tasks[0].measured < 3 else None", "scheduler Mine chose no"),
    ],
)
def test_a_part_that_stops_early_is_told(
    tuning: Tuning, part: str, body: str, message: str
) -> None:
    plugin = tuning.cli.folder / "mine.py"
    plugin.write_text(part.format(body=body))
    text = tuning(500, "OUT", "--plugin", plugin)
    ended = f"the search ended after {tuning.measured()} of 500 iterations"
    assert message in text and "are not measured" in text and ended in text
    assert "every config of every kernel" not in text


@pytest.mark.parametrize("body", ["raise KeyError('lost')", "raise SystemExit(0)"])
def test_a_template_that_fails_is_not_called_a_bug_of_leip(
    tuning: Tuning, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setattr("leip.schedules.select._extra", [])  # what is registered goes again
    plugin = tuning.cli.folder / "mine.py"
    plugin.write_text(TEMPLATE.format(body=body))
    text = tuning.fails(2, 20, "OUT", "--plugin", plugin)
    assert f"where: {place_of(body, plugin)}" in text and "bug of leip" not in text
    assert "the template Mine raises" in text
    assert not (tuning.cli.folder / "OUT" / "modelLibrary.so").exists()
