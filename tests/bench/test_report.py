"""Documents from figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import report


def run() -> dict[str, Any]:
    figure = {"min_ms": 8.0, "median_ms": 9.0, "ratio": 0.8, "of_target": 1.1, "of_peak": 0.7}
    peer = {**figure, "min_ms": 10.0, "ratio": 1.0}
    runners = {"leip level 3": figure, "leip level 3 again": figure, "openvino": peer}
    model = {"control": 1.01, "steps": [], "runners": runners, "floor_ms": 6, "target_ms": 7.2}
    facts = {"machine": "a CPU", "date": "2026-01-01", "threads": 2, "batch": 1, "target": "llvm"}
    limits = {"peak_gflops": 200.0, "bandwidth_gbs": 20.0}
    verdicts = [{"text": "a bar", "value": 1.1, "bar": 1.0, "met": False}]
    return {**facts, **limits, "models": {"net": model}, "verdicts": verdicts}


def test_a_run_as_markdown() -> None:
    text = report.section("point1.t2", run())
    assert "| net | leip level 3 | 8.00 | 9.00 | 0.80 | 70% | 1.10 |" in text
    assert "| a bar | 1.100 | 1 | missed |" in text and "a CPU" in text


def test_only_what_stands_between_the_marks_changes() -> None:
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    once = report.replaced(text, "new")
    assert once == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    assert report.replaced(once, "new") == once
    with pytest.raises(ValueError, match="figures"):
        report.replaced("no marks", "new")


def test_the_control_is_no_series() -> None:
    assert report.bars(run()) == {"leip level 3": [0.8], "openvino": [1.0]}


def test_the_run_with_most_models_is_drawn() -> None:
    small, other = run(), run()
    large = run()
    large["models"]["second"] = large["models"]["net"]
    other["threads"] = 1
    assert report.drawn({"a": small, "b": large, "c": other}) is large
    assert report.drawn({"c": other}) is None


def test_the_command_writes_table_and_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "point1.t2.json").write_text(json.dumps(run()))
    (tmp_path / "startup.json").write_text(json.dumps({"models": {}}))
    document = tmp_path / "page.md"
    document.write_text(f"{report.BEGIN}\n{report.END}\n")
    words = ["--results", str(tmp_path), "--document", str(document)]
    assert report.main(words) == 0
    first = (document.read_bytes(), (tmp_path / report.PLOT).read_bytes())
    assert b"### point1.t2" in first[0] and b"<svg" in first[1]
    assert report.main(words) == 0
    assert (document.read_bytes(), (tmp_path / report.PLOT).read_bytes()) == first
