"""The table and the plot of docs/performance.md, from the figures in bench/results/.

    python bench/report.py [--results bench/results] [--document docs/performance.md]

What stands between the two marks in the document is replaced; the plot is written beside it.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import document
import record
from compare import table
from runners import runner_name

DOCUMENT = record.RESULTS.parent.parent / "docs" / "performance.md"
BEGIN = "<!-- figures: written by `make performance` -->"
END = "<!-- end of figures -->"
PLOT = "performance.svg"
replaced = functools.partial(document.between, BEGIN, END)
TWIN = "again"  # in the name of a runner of the A/A control


def runs_in(folder: Path) -> dict[str, dict[str, Any]]:
    """The stored runs that compare models, by the stem of their file, in its order."""
    found = {path.stem: record.read(path) for path in sorted(folder.glob("*.json"))}
    return {stem: run for stem, run in found.items() if "peak_gflops" in run and "models" in run}


def section(stem: str, run: Mapping[str, Any]) -> str:
    """One run as Markdown: the machine, the table, the verdicts."""
    lines = [f"### {stem}", "", f"{run['machine']}, {run['date']}. {table(dict(run))}"]
    if run.get("verdicts"):
        lines += ["", "| bar | figure | limit | |", "|---|---:|---:|---|"]
        lines += [
            f"| {one['text']} | {one['value']:.3f} | {one['bar']:g} | "
            f"{'met' if one['met'] else 'missed'} |"
            for one in run["verdicts"]
        ]
    return "\n".join(lines)


def bars(run: Mapping[str, Any]) -> dict[str, list[float]]:
    """Time to the best peer of each runner, model by model; NaN where it did not run."""
    names: dict[str, None] = {}
    for model in run["models"].values():
        names.update({name: None for name in model["runners"] if TWIN not in name})
    return {
        name: [
            model["runners"].get(name, {}).get("ratio", float("nan"))
            for model in run["models"].values()
        ]
        for name in names
    }


def plot(run: Mapping[str, Any], path: Path) -> None:
    """Bars of every runner's time to the best peer; a dash is the model's floor."""
    figure, axes = document.pyplot().subplots(figsize=(10, 4), layout="constrained")
    series = bars(run)
    width = 0.8 / len(series)
    for index, (name, values) in enumerate(series.items()):
        axes.bar([at + index * width for at in range(len(values))], values, width, label=name)
    for at, model in enumerate(run["models"].values()):
        best = min(f["min_ms"] for f in model["runners"].values() if f.get("ratio") == 1.0)
        axes.hlines(model["floor_ms"] / best, at - width / 2, at + 0.8 - width / 2, "black", ":")
    middle = (len(series) - 1) * width / 2
    axes.set_xticks([at + middle for at in range(len(run["models"]))], list(run["models"]))
    axes.tick_params(axis="x", rotation=20)
    axes.set_ylabel("time / best peer (dotted: floor)")
    axes.legend()
    document.save(figure, path)


def drawn(runs: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The run that the plot shows: level 3, two threads, one image; with most models."""
    able = [
        run
        for run in runs.values()
        if run["threads"] == 2
        and run["batch"] == 1
        and run["target"] == "llvm"
        and all(runner_name(3) in model["runners"] for model in run["models"].values())
        and all("target_ms" in model for model in run["models"].values())
    ]
    return max(able, key=lambda run: len(run["models"]), default=None)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    options = parser.parse_args(argv)
    runs = runs_in(options.results)
    shown = drawn(runs)
    if shown is None:
        print("there is no run to draw; `python bench/compare.py --point 1` makes one")
        return 1
    plot(shown, options.document.parent / PLOT)
    figures = [f"![time of each runner to the best peer]({PLOT})"]
    figures += [section(stem, run) for stem, run in runs.items()]
    text = options.document.read_text(encoding="utf-8")
    options.document.write_text(replaced(text, "\n\n".join(figures)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
