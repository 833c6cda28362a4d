"""leip kernel"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import seconds, table

app = typer.Typer(help="Work on one kernel.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Work on one kernel."""


@app.command("bench")
def bench(
    task: Annotated[Path, typer.Argument(metavar="TASK.txt", help="A task's text.")],
    template: Annotated[
        str, typer.Option("--template", help="Template to use instead of the chosen one.")
    ] = "",
    config: Annotated[
        list[str] | None,
        typer.Option("--config", metavar="K=V", help="Knob of the template. Repeatable."),
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="Python file with templates.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Build, check and time one task; say its share of this machine's peak."""
    from .. import driver

    report = driver.kernel_bench(
        task, template=template, config=",".join(config or ()), plugins=tuple(plugin or ())
    )
    share = report.gflops / report.peak_gflops if report.peak_gflops else 0.0
    cold = report.cold_seconds
    rows = [
        ("task", report.task),
        ("template", report.template),
        ("config", report.config or "(no knobs)"),
        ("why", report.why),
        ("largest error", f"{report.error:.2e} (allowed {report.tolerance:.0e})"),
        ("time", seconds(report.seconds)),
        ("time, weights cold", seconds(cold) if cold else "(no weights)"),
        ("speed", f"{report.gflops:.1f} Gflop/s, {report.gigabytes:.1f} GB/s"),
        (
            "peak",
            f"{report.peak_gflops:.0f} Gflop/s, {report.peak_gigabytes:.1f} GB/s, measured now",
        ),
        ("share of peak", f"{share:.1%}"),
    ]
    if cold:
        rows.append(("share of peak, cold", f"{share * report.seconds / cold:.1%}"))
    table(rows)
