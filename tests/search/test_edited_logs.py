"""Logs that come from elsewhere, or that somebody has edited or joined."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tuning_runs import Tuning

from leip.search.log import read_log


def write(log: Path, lines: list[dict[str, Any]]) -> None:
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("value", [0, True, "", "x,y=3", 999, 10**30])
def test_a_winner_that_is_no_config_is_left_out(searched: Tuning, value: object) -> None:
    lines = searched.lines()
    won = [line for line in lines if line.get("won") and "vectors" in line["challenger"]]
    won[-1]["challenger"]["vectors"] = value
    won[-1]["ratio"] = 0.01
    write(searched.log(), [line for line in lines if line.get("kind") != "verdict"])
    text = " ".join(searched(0).split())
    assert "is none that its template offers: the default stays" in text
    searched(2)


@pytest.mark.parametrize(
    "text", ["vectors=0", "zzz=1", "vectors=x", "vectors", "vectors=" + "9" * 50]
)
def test_a_verdict_with_what_is_no_config_does_not_hold(searched: Tuning, text: str) -> None:
    lines = searched.lines()
    verdict = next(line for line in lines if line.get("kind") == "verdict")
    for key, config in verdict["configs"].items():
        verdict["configs"][key] = config.partition("{")[0] + "{" + text + "}"
    write(searched.log(), lines)
    assert "the model as a whole was not compared with them" in " ".join(searched(0).split())
    searched(2)


@pytest.mark.parametrize("field", ["times", "ratio"])
def test_a_time_beyond_all_measure_is_a_damaged_line(searched: Tuning, field: str) -> None:
    lines = searched.lines()
    number = next(n for n, line in enumerate(lines) if line.get(field))
    lines[number][field] = [1e308] if field == "times" else 1e308
    write(searched.log(), lines)
    assert f"line {number + 1}" in searched(2)


@pytest.mark.parametrize(("field", "value"), [("times", [0]), ("ratio", 1e-323)])
def test_what_takes_no_time_is_a_damaged_line(searched: Tuning, field: str, value: object) -> None:
    lines = [line for line in searched.lines() if line.get("kind") != "verdict"]
    edited = [line for line in lines if line.get(field)]
    for line in edited:
        line[field] = value
    write(searched.log(), lines)
    assert f"{len(edited)} lines cannot be read" in " ".join(searched(6).split())


@pytest.mark.parametrize("end", [" ", "\r"])
def test_a_log_that_lost_its_line_ends_is_not_begun_anew(searched: Tuning, end: str) -> None:
    log = searched.log()
    log.write_bytes(log.read_bytes().replace(b"\n", end.encode()))
    before = log.read_bytes()
    for iterations in (0, 2):
        searched.fails(2, iterations)
        assert log.read_bytes() == before


def test_joined_logs_give_the_best_of_each_kernel_in_any_order(searched: Tuning) -> None:
    searched(9, "B", "--seed", "8")
    one, two = searched.log(), searched.log("B")
    objects = []
    for name, order in (("x", (one, two)), ("y", (two, one))):
        merged = searched.cli("tune-log", "merge", *order, "--output", f"{name}.json")
        assert merged.returncode == 0 and "none is kept" in merged.stdout + merged.stderr
        folder = searched.cli.folder / name / "optimization_artifacts"
        folder.mkdir(parents=True)
        (searched.cli.folder / f"{name}.json").rename(folder / "tuning.json")
        searched(0, name)
        objects.append(searched.object(name))
    assert objects[0] == objects[1]
    assert len(read_log(searched.log("x")).measurements) == len(
        read_log(searched.log("y")).measurements
    )


def test_a_log_beside_its_copy_says_nothing_twice(searched: Tuning) -> None:
    """What was won counts once, in the figures that a search shows and in its report."""
    before = searched.log().read_bytes()
    (searched.cli.folder / "copy.json").write_bytes(before)
    shown = []
    for more in ((), ("--tuning_log", "copy.json")):
        searched.log().write_bytes(before)
        text = searched(3, "OUT", *more)
        page = searched.log().with_name("report.html").read_text()
        shown.append((re.findall(r"[\d.]+% gained", text), re.findall("<td.*?</td>", page)))
    assert shown[0][0] and shown[0] == shown[1]
