"""Logs in which several machines measured: times hold on the one that they were measured on."""

from __future__ import annotations

import json
import runpy
from collections.abc import Sequence
from typing import Any

import pytest
from tuning_runs import FAKE, Tuning

from leip.plugin import register_search
from leip.schedules.template import config_text
from leip.search.log import read_log
from leip.search.machine import by_machine, same_machine
from leip.search.record import Challenge, Measurement

Line = dict[str, Any]
ZEN = {"cpu": "AMD EPYC, 2 CPUs", "model": "25 17 1", "vectors": "avx avx2", "l2": "1024 KB"}


def write(tuning: Tuning, lines: Sequence[Line], out: str = "OUT") -> None:
    tuning.log(out).write_text("".join(json.dumps(line) + "\n" for line in lines))


def move(tuning: Tuning, times: float = 1.0, out: str = "OUT") -> None:
    """As if another machine had made the log, one on which all takes `times` as long."""
    head, *lines = tuning.lines(out)
    head["machine"]["cpu"] = "another one"
    for line in lines:
        line |= {"times": [seconds * times for seconds in line["times"]]} if "times" in line else {}
        line |= {"seconds": line["seconds"] * times} if line["kind"] == "transform" else {}
    write(tuning, [head, *lines], out)


def after_the_move(tuning: Tuning, out: str = "OUT") -> list[Line]:
    lines = tuning.lines(out)
    (place,) = (n for n, line in enumerate(lines) if line.get("kind") == "machine")
    return lines[place + 1 :]


def points(lines: Sequence[Line]) -> list[str]:
    return [json.dumps([line["task"], line["config"]]) for line in lines if "config" in line]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"kernel": "6.1", "gflops": "90.0", "gigabytes": "11"}, True),
        ({"cpu": "AMD EPYC, 4 CPUs"}, False),
        ({"model": "25 1 1"}, False),
        ({"vectors": "avx avx2 avx512f"}, False),
        ({"l2": "512 KB"}, False),
        ({"measurer": "Board"}, False),
    ],
)
def test_what_is_the_same_machine(change: dict[str, str], same: bool) -> None:
    assert same_machine(ZEN, {**ZEN, **change}) == same == same_machine({**ZEN, **change}, ZEN)


def test_older_logs_tell_less_of_the_same_machine() -> None:
    older = {"cpu": "AMD EPYC, 2 CPUs", "l2": "1024 KB", "kernel": "5.9"}
    assert same_machine(ZEN, older) and same_machine(older, ZEN)
    assert not same_machine(ZEN, {}) and not same_machine(ZEN, {"kernel": "5.9"})


def test_times_of_another_machine_are_no_incumbents(searched: Tuning) -> None:
    """However fast or slow that is, the search here is the same, and finds what it would have."""
    searched(30000, "FRESH")
    before = searched.log().read_bytes()
    found = []
    for times in (1.0, 1e-3, 1e3):
        searched.log().write_bytes(before)
        move(searched, times)
        text = " ".join(searched(30000).split())
        assert "60 measurements are another machine's (another one)" in text
        lines = after_the_move(searched)
        found.append([{**line, "stamp": ""} for line in lines if "config" in line or "won" in line])
        assert searched.object() == searched.object("FRESH")
        every = points(searched.lines("FRESH"))
        assert sorted(points(lines)) == sorted(every), "each point once on this machine"
    assert found[0] == found[1] == found[2]


def test_what_was_best_elsewhere_is_measured_early(searched: Tuning) -> None:
    verdict = next(line for line in searched.lines() if line.get("kind") == "verdict")
    move(searched)
    searched(60)
    by_task: dict[str, list[str]] = {}
    for line in after_the_move(searched):
        if "config" in line:
            by_task.setdefault(line["task"], []).append(config_text(line["config"]))
    tried = {key: text.partition("{")[2].rstrip("}") for key, text in verdict["configs"].items()}
    early = [key for key, text in tried.items() if text in by_task.get(key, [])[:4]]
    assert early and set(early) == tried.keys() & by_task.keys()


def test_a_machine_is_named_when_it_changes(searched: Tuning) -> None:
    def named() -> list[str]:
        lines = searched.lines()[1:]
        return [line["machine"]["cpu"] for line in lines if line["kind"] == "machine"]

    searched(1)
    assert not named()
    here = searched.lines()[0]["machine"]["cpu"]
    move(searched)
    searched(1)
    searched(1)
    assert named() == [here]
    write(searched, [*searched.lines(), {"kind": "machine", "machine": {"cpu": "a third"}}])
    count = searched.measured()
    searched(30000)
    assert named() == [here, "a third", here]
    here_too = points(after_the_move_of(searched, here))
    assert len(set(here_too)) == len(here_too), "both parts are of one machine"
    assert searched.measured() > count
    log = searched.log().read_bytes()
    searched(0)
    assert searched.log().read_bytes() == log


def after_the_move_of(tuning: Tuning, cpu: str) -> list[Line]:
    """The lines that this CPU measured."""
    found, now = [], ""
    for line in tuning.lines():
        now = line["machine"]["cpu"] if "machine" in line else now
        found += [line] if now == cpu else []
    return found


def test_an_older_log_of_this_machine_goes_on(searched: Tuning) -> None:
    head, *lines = searched.lines()
    for name in ("model", "vectors"):
        head["machine"].pop(name, None)
    write(searched, [head, *lines])
    assert "what an earlier search found" in searched(2)
    assert not [line for line in searched.lines() if line.get("kind") == "machine"]


def test_what_won_on_another_machine_must_win_here(searched: Tuning) -> None:
    searched(None, "PLAIN")
    move(searched)
    searched(0)
    assert searched.object() != searched.object("PLAIN"), "without measuring the log is believed"
    before = searched.log().read_bytes()
    text = searched(60, env={"FAKE_RATIO": "1.02"})
    assert "note: the defaults stay: the tuned object takes 102.0%" in text
    assert searched.object() == searched.object("PLAIN")
    searched.log().write_bytes(before)
    assert "note: tuned: 10.0% faster than the defaults" in searched(60)


def test_a_log_that_is_given_may_be_another_machines(searched: Tuning) -> None:
    move(searched, 1e-3)
    text = " ".join(searched(30000, "B", "--tuning_log", searched.log()).split())
    assert "60 measurements are another machine's" in text
    searched(30000, "FRESH")
    assert sorted(points(searched.lines("B"))) == sorted(points(searched.lines("FRESH")))
    assert searched.object("B") == searched.object("FRESH")
    searched(0, "C", "--tuning_log", searched.log())  # which is believed as it is


def test_another_measurer_is_another_machine(tuning: Tuning) -> None:
    class Board(runpy.run_path(str(FAKE))["Fake"]):  # type: ignore[misc]
        pass

    tuning(5)
    register_search(measurer=Board)
    tuning(5)
    first, *lines = tuning.lines()
    (line,) = (line for line in lines if line["kind"] == "machine")
    names = [each["machine"]["measurer"].rpartition(".")[2] for each in (first, line)]
    assert names == ["Fake", "Board"]


# --- tools ----------------------------------------------------------------------------------------


@pytest.fixture
def two(searched: Tuning) -> Tuning:
    """In OUT a log of another, much slower machine; in B one of this machine."""
    move(searched, 1e3)
    searched(60, "B", "--seed", "8")
    return searched


def merge(tuning: Tuning, name: str, *logs: object) -> str:
    done = tuning.cli("tune-log", "merge", *logs, "--output", f"{name}.json")
    assert done.returncode == 0, done.stderr
    return f"{name}.json"


def test_joined_logs_of_two_machines(two: Tuning) -> None:
    """The machine that measured last says what is best, in whatever order they are joined."""
    objects = []
    for name, order in (("x", ("OUT", "B")), ("y", ("B", "OUT"))):
        joined = merge(two, name, *map(two.log, order))
        content = read_log(two.cli.folder / joined)
        of_cpu: dict[str, int] = {}
        for facts, record in by_machine(content):
            of_cpu[facts["cpu"]] = of_cpu.get(facts["cpu"], 0) + isinstance(record, Measurement)
        assert sorted(of_cpu.values()) == [60, 60] and of_cpu["another one"] == 60
        two(0, name, "--tuning_log", joined)
        objects.append(two.object(name))
        shown = two.cli("tune-log", "show", joined).stdout
        assert "another one" in shown and content.header.machine["cpu"] in shown
        best = two.cli("tune-log", "best", joined).stdout
        assert best == two.cli("tune-log", "best", two.log("B")).stdout
        again = merge(two, f"{name}{name}", joined, *map(two.log, order))
        assert read_log(two.cli.folder / again).records == content.records
    two(0, "B")
    assert objects == [two.object("B")] * 2


def test_logs_that_were_joined_by_hand(two: Tuning) -> None:
    """The first line of the second one says who measured what follows."""
    joined = two.cli.folder / "both.json"
    joined.write_bytes(two.log().read_bytes() + two.log("B").read_bytes())
    content = read_log(joined)
    assert not content.damaged
    cpus = [facts["cpu"] for facts, r in by_machine(content) if isinstance(r, Measurement)]
    assert cpus == ["another one"] * 60 + [two.lines("B")[0]["machine"]["cpu"]] * 60


def test_ratios_of_two_machines_are_no_chain(searched: Tuning) -> None:
    """Neither are the times of a config beside those of its default."""
    move(searched, 1e3)
    searched(30000)
    wanted = searched.object()
    content = read_log(searched.log())
    challenges = [r for _, r in by_machine(content) if isinstance(r, Challenge) and r.won]
    assert challenges
    lines = [line for line in searched.lines() if line.get("kind") != "verdict"]
    write(searched, lines)
    assert "was not compared" in " ".join(searched(0).split())
    assert searched.object() == wanted
    for line in searched.cli("tune-log", "best", searched.log()).stdout.splitlines():
        assert line.split()[2] == "us", "of this machine"


@pytest.mark.parametrize("keep", [0, 1])
def test_prune_keeps_who_measured_what(two: Tuning, keep: int) -> None:
    joined = merge(two, "both", two.log(), two.log("B"))
    best = sorted(two.cli("tune-log", "best", joined).stdout.splitlines())
    two(0, "BEFORE", "--tuning_log", joined)
    assert two.cli("tune-log", "prune", joined, "--keep", keep).returncode == 0
    assert sorted(two.cli("tune-log", "best", joined).stdout.splitlines()) == best
    two(0, "AFTER", "--tuning_log", joined)
    assert two.object("AFTER") == two.object("BEFORE")
    content = read_log(two.cli.folder / joined)
    measured = [(facts["cpu"], r) for facts, r in by_machine(content) if isinstance(r, Measurement)]
    assert {cpu for cpu, _ in measured} == {"another one", two.lines("B")[0]["machine"]["cpu"]}
    for cpu, record in measured:
        assert (record.seconds > 1e-3) == (cpu == "another one")
