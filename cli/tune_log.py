"""leip tune-log"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import out, seconds, table

if TYPE_CHECKING:
    from ..driver.reports import TuningLogReport

app = typer.Typer(help="Look at tuning logs, join them, make them smaller.", no_args_is_help=True)

LogPath = Annotated[Path, typer.Argument(metavar="FILE", help="A tuning log.")]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="Python file with ops and templates. Repeatable."),
]


@app.command("show")
def show(path: LogPath, plugin: Plugins = None) -> None:
    """What the log belongs to, and what was found, task by task."""
    from .. import driver

    report = driver.tuning_log_summary(path, plugins=plugin or ())
    _notes(report)
    table(list(report.facts.items()))
    header = ("task", "kernel", "template", "trials", "failed", "default", "best", "gain", "config")
    rows = [
        (
            row.task[:12],
            row.name,
            row.template,
            str(row.measured),
            str(row.failed) if row.failed else "",
            _time(row.first),
            _time(row.best),
            f"{row.gain:.1%}" if row.gain else "",
            row.config,
        )
        for row in report.tasks
    ]
    table(rows, header=header)


@app.command("best")
def best(path: LogPath, plugin: Plugins = None) -> None:
    """The configs that won against the templates' defaults, one task a line."""
    from .. import driver

    report = driver.tuning_log_summary(path, plugins=plugin or ())
    for row in report.tasks:
        if row.config:
            print(f"{row.task} {_time(row.best)} {row.template}{{{row.config}}}")


@app.command("merge")
def merge(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tuning logs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new log.")],
) -> None:
    """Join logs of one target into a new one."""
    from .. import driver

    _closing(driver.tuning_log_merge(paths, output), output)


@app.command("prune")
def prune(
    path: LogPath,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=0, help="Of each task keep only so many, the fastest."),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Drop damaged lines and measurements of templates that have changed since."""
    from .. import driver

    _closing(driver.tuning_log_prune(path, keep=keep, plugins=plugin or ()), path)


def _closing(report: TuningLogReport, path: Path) -> None:
    _notes(report)
    count = report.facts["measurements"]
    out().print(f"{path}: {count} measurements of {len(report.tasks)} tasks", markup=False)


def _notes(report: TuningLogReport) -> None:
    for note in report.notes:
        out().print(f"note: {note}", markup=False)


def _time(time: float) -> str:
    return seconds(time) if math.isfinite(time) else "none"
