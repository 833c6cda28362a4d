"""`report.html`: a page that needs nothing else, of what a search found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..ir.whole_file import write_text_whole
from ..search.configs import config_of, text_of
from ..search.curves import Curve, Curves, CurveTask, curves
from ..search.history import History
from ..search.log import LogContent
from ..search.machine import Facts, by_machine, same_machine
from ..search.record import Record, Verdict
from ..search.sources import source_of
from .tuning import Kernel

__all__ = ["REPORT", "write_report"]

REPORT = "report.html"
TEMPLATE = Path(__file__).parent / "report.html.j2"
PLOTTED = 40  # kernels with a plot of their own, those that take most of the time


@dataclass(frozen=True)
class _Row:
    """A kernel in the page's table."""

    name: str
    weight: int
    trials: int
    seconds: tuple[float | None, float | None]  # before and after; None if it does not run
    config: str
    plot: str

    @property
    def before(self) -> str:
        return _micro(self.seconds[0])

    @property
    def after(self) -> str:
        return _micro(self.seconds[1])

    @property
    def gain(self) -> str:
        before, after = self.seconds
        if before is None or after is None:
            return ""
        return f"{1 - after / before:.1%}" if after < before else ""


def write_report(
    content: LogContent,
    kernels: Sequence[Kernel],
    verdict: Verdict | None,
    others: Sequence[LogContent],
    here: Facts,
) -> Path:
    """Write the page beside the log.

    Args:
        content: The log, all its records.
        kernels: The model's.
        verdict: On the tuned object, if there is one.
        others: Logs that were learnt from.
        here: The machine whose measurements are shown.

    Raises:
        OutputError: It cannot be written.
    """
    from jinja2 import Template

    history = History([*others, content], here)
    lines = curves(
        _measured_by(here, [content]),
        {kernel.task.key: _curve_task(kernel) for kernel in kernels},
        _measured_by(here, others),
    )
    rows = _rows(kernels, history, lines)
    template = Template(TEMPLATE.read_text(encoding="utf-8"), autoescape=True)
    page = template.render(
        model=content.header.model,
        verdict=_sentence(verdict),
        facts={**content.header.facts([here]), "iterations": str(lines.iterations)},
        model_plot=_line_plot(lines.model, lines.iterations, 1000, 320) if lines.model else "",
        kernels_plot=_bar_plot(rows) if rows else "",
        kernels=rows,
    )
    path = content.path.parent / REPORT
    write_text_whole(path, page)
    return path


def _measured_by(machine: Facts, contents: Sequence[LogContent]) -> list[Record]:
    found = [pair for content in contents for pair in by_machine(content)]
    return [record for facts, record in found if same_machine(facts, machine)]


def _curve_task(kernel: Kernel) -> CurveTask:
    source = source_of(kernel.template, kernel.task)
    return CurveTask(kernel.weight, kernel.template.name, source, config_of(kernel.default))


def _rows(kernels: Sequence[Kernel], history: History, lines: Curves) -> list[_Row]:
    measured = [k for k in kernels if history.of(k.task, k.template).measured]
    longest = {key: curve[0][1] for key, curve in lines.tasks.items()}
    measured.sort(key=lambda k: -k.weight * longest.get(k.task.key, 0.0))
    rows = []
    for number, kernel in enumerate(measured):
        curve = lines.tasks.get(kernel.task.key, [])
        found = history.of(kernel.task, kernel.template)
        best = text_of(kernel.template, found.best) if found.best is not None else None
        config = f"{kernel.template.name}{{{best or kernel.default.to_text()}}}"
        plot = _line_plot(curve, lines.iterations, 420, 220) if curve and number < PLOTTED else ""
        runs = found.seconds(config_of(kernel.default)) is not None
        ends = curve[0][1] if runs else None, curve[-1][1] if curve else None
        rows.append(_Row(kernel.name, kernel.weight, found.measured, ends, config, plot))
    return rows


def _sentence(verdict: Verdict | None) -> str:
    if verdict is None:
        return "The model as a whole was not compared yet."
    if not verdict.tuned:
        return f"The defaults stay: {verdict.message}."
    return (
        f"The tuned object takes {verdict.ratio:.1%} of the time before: "
        f"{verdict.before * 1e3:.3f} ms before, {verdict.after * 1e3:.3f} ms after."
    )


def _line_plot(curve: Curve, iterations: int, width: int, height: int) -> str:
    """Seconds over iterations, as steps."""
    import pygal

    points = []
    for number, (iteration, seconds) in enumerate(curve):
        if number:
            points.append((iteration, curve[number - 1][1] * 1e6))
        points.append((iteration, seconds * 1e6))
    points.append((max(iterations, curve[-1][0]), curve[-1][1] * 1e6))
    chart = pygal.XY(**_options(width, height), show_dots=False, include_x_axis=False)
    chart.add("us", points)
    return _inline(chart)


def _bar_plot(rows: Sequence[_Row]) -> str:
    """The time of every kernel in an inference, with its default and as it was found."""
    import pygal

    shown = rows[:PLOTTED]
    options = {**_options(1000, 120 + 22 * len(shown)), "show_legend": True}
    chart = pygal.HorizontalBar(**options, legend_at_bottom=True)
    chart.x_labels = [row.name for row in reversed(shown)]
    for name, which in (("tuned, us", 1), ("default, us", 0)):
        times = [(row.weight, row.seconds[which]) for row in reversed(shown)]
        chart.add(name, [None if t is None else weight * t * 1e6 for weight, t in times])
    return _inline(chart)


def _inline(chart: Any) -> str:
    """A chart as a part of the page: without its comments, and the script for its tooltips."""
    waste = r"<!--.*?-->|<script.*?</script>"
    return re.sub(waste, "", chart.render(is_unicode=True), flags=re.DOTALL)


def _options(width: int, height: int) -> dict[str, Any]:
    from pygal.style import CleanStyle

    return {
        "width": width,
        "height": height,
        "js": (),  # a page that needs nothing else
        "style": CleanStyle(background="transparent", colors=("#1f6fb4", "#c3c9d0")),
        "show_legend": False,
        "disable_xml_declaration": True,
        "value_formatter": lambda value: f"{value:.4g}",
    }


def _micro(seconds: float | None) -> str:
    return "no time" if seconds is None else f"{seconds * 1e6:.1f} us"
