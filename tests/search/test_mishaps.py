"""What goes wrong around a search: each costs little, and one screen says what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import Cli
from tuning_runs import Tuning, processes_of

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
        assert list(temporary.glob("leip-trials-*")) and processes_of(process.pid)
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
