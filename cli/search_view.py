"""A search while it runs: a table that is redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from . import interrupts
from .console import Bars, seconds

if TYPE_CHECKING:
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.live import Live

    from ..search.status import Phase, SearchStatus, TaskStatus

SHOWN = 12  # tasks, those that take most of the time
HEAD = ("task", "times", "trials", "default", "best", "gain")
LEAST = 5  # characters of a column of numbers
REDRAW = 0.25  # seconds between two pictures
LINE = 10.0  # seconds between two lines where there is no terminal

_PHASES: dict[Phase, str] = {
    "start": "preparing",
    "layouts": "measuring layouts",
    "search": "searching",
    "comparing": "comparing the tuned object with what stood before",
    "done": "done",
}


class SearchView:
    """Called with the status of a search whenever that changes. Draws nothing before the first.

    Args:
        bars: Hidden while the search runs.
    """

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._live: Live | None = None
        self._told = -math.inf
        self._phase: Phase | None = None
        self._heard = True

    def __enter__(self) -> SearchView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def __call__(self, status: SearchStatus) -> None:
        interrupts.check()
        now = time.monotonic()
        new = status.phase != self._phase
        self._phase = status.phase
        if not sys.stdout.isatty():
            if new or now - self._told >= LINE:
                self._told = now
                self._print(line(status))
            return
        if self._live is None and status.phase != "done":
            self._start()
        if self._live is not None and (new or now - self._told >= REDRAW):
            self._told = now
            self._live.update(picture(status), refresh=True)
        if status.phase == "done":
            self._stop()

    def _print(self, text: str) -> None:
        """Tell how it goes; who does not want to know, or cannot, loses no search by it."""
        if self._heard:
            try:
                print(text, flush=True)
            except OSError:
                self._heard = False

    def _start(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._bars.hide()
        self._live = Live(console=Console(highlight=False), auto_refresh=False, transient=False)
        self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._bars.show()


def line(status: SearchStatus) -> str:
    """How far the search is, in a line."""
    parts = [f"{_PHASES[status.phase]}: {status.done} of {status.iterations} iterations"]
    if status.current is not None:
        parts.append(status.current.name)
    if status.default:
        parts.append(f"kernels {seconds(status.best)}, {status.gain:.1%} gained")
    if status.phase in ("layouts", "search") and math.isfinite(status.left):
        parts.append(f"{_clock(status.left)} left")
    return "; ".join(parts)


def picture(status: SearchStatus) -> Group:
    """The tasks that take most of the time, and a bar."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = _table(status)
    hidden = len(status.tasks) - SHOWN
    rows = [table, Text(f"… and {hidden} more tasks")] if hidden > 0 else [table]
    foot = Table.grid()
    foot.add_row(ProgressBar(total=max(1, status.iterations), completed=status.done, width=40))
    foot.add_row(Text(line(status)))
    return Group(*rows, foot)


def _table(status: SearchStatus) -> Constrain:
    """As wide as its cells want; on a narrower terminal names are shortened, and no number is."""
    from rich import box
    from rich.constrain import Constrain
    from rich.table import Table
    from rich.text import Text

    tasks = heaviest(status)
    rows = [(task.name, *_cells(task)) for task in tasks]
    wanted = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, expand=True)
    table.add_column(HEAD[0], overflow="ellipsis", no_wrap=True, ratio=1)
    for name, width in zip(HEAD[1:], wanted[1:], strict=True):
        table.add_column(name, justify="right", no_wrap=True, min_width=max(width, LEAST))
    for task, (name, *cells) in zip(tasks, rows, strict=True):
        style = "bold" if task is status.current else ""
        table.add_row(Text(name), *cells, style=style)
    return Constrain(table, sum(max(width, LEAST) for width in wanted) + len(HEAD) + 1)


def heaviest(status: SearchStatus) -> list[TaskStatus]:
    """The tasks that take most of the model's time; those not measured yet come last."""

    def share(task: TaskStatus) -> float:
        return task.weight * task.default if math.isfinite(task.default) else 0.0

    return sorted(status.tasks, key=lambda task: -share(task))[:SHOWN]


def _cells(task: TaskStatus) -> tuple[str, ...]:
    return (
        str(task.weight),
        f"{task.measured}/{task.size}",
        seconds(task.default) if math.isfinite(task.default) else "",
        seconds(task.best) if math.isfinite(task.best) else "",
        f"{task.gain:.1%}" if task.gain else "",
    )


def _clock(time: float) -> str:
    minutes, rest = divmod(round(time), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
