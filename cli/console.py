"""What the commands print: progress, tables, numbers with units, and error screens."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import interrupts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Display

    from ..errors import LeipError

UNLIMITED = 400  # characters a line of a table that goes into a file or a pipe
LEAST = 12  # characters a column of a table in a narrow terminal: squeezed more it shows nothing


def out() -> Console:
    """The console for results (standard output); as wide as it takes where it is not a terminal."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # `main` knows what to do; rich would end the process with 1

    width = None if sys.stdout.isatty() else UNLIMITED
    return Output(highlight=False, soft_wrap=True, width=width)


class Bars:
    """Tells how far the steps of a long command are; called with (step, done, total)."""

    def __init__(self, display: Display | None) -> None:
        self._display = display
        self._tasks: dict[str, Any] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        interrupts.check()
        if self._display is None:
            return
        if step not in self._tasks:
            self._tasks[step] = self._display.add_task(step, total=None)
        self._display.update(self._tasks[step], completed=done, total=total or None)

    def hide(self) -> None:
        """Make room for another view."""
        if self._display is not None:
            self._display.stop()

    def show(self) -> None:
        """Go on after `hide`."""
        if self._display is not None:
            self._display.start()


@contextmanager
def progress() -> Iterator[Bars]:
    """Bars on standard error while a long command runs; silent if that is not a terminal."""
    if not sys.stderr.isatty():
        yield Bars(None)
        return
    from rich import progress as bars
    from rich.console import Console

    with bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as display:
        yield Bars(display)


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = (), title: str = "") -> None:
    """Print rows as a table; columns whose cells are numbers are flushed right."""
    from rich import box
    from rich.table import Table

    columns = len(header) if header else max(map(len, rows), default=0)
    view = Table(
        title=title or None,
        title_justify="left",
        show_header=bool(header),
        box=box.SIMPLE_HEAD if header else None,
        pad_edge=False,
    )
    for index in range(columns):
        cells = [row[index] for row in rows if index < len(row)]
        numeric = bool(header) and index > 0 and all(_is_number(cell) for cell in cells)
        view.add_column(
            header[index] if header else "",
            justify="right" if numeric else "left",
            no_wrap=numeric,
            overflow="fold",
        )
    for row in rows:
        view.add_row(*(_escaped(cell) for cell in row))
    console = out()
    console.width = max(console.width, LEAST * columns)
    with console.capture() as text:
        console.print(view)
    print("\n".join(line.rstrip() for line in text.get().splitlines()))


def error_screen(error: LeipError) -> None:
    """What is wrong, where, and what to do, on standard error."""
    lines = [f"error: {error.message}"]
    if error.where:
        lines.append(f"  where: {_indented(error.where)}")
    if error.hint:
        lines.append(f"  to do: {_indented(error.hint)}")
    print("\n".join(lines), file=sys.stderr)


def size(count: float) -> str:
    """Bytes with a unit: `13.4 MB`."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def count(number: float) -> str:
    """A count with a unit: `3.5 M`."""
    for unit in ("", "K", "M"):
        if number < 1000:
            return f"{number:.0f}" if not unit else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.2f} G"


def seconds(time: float) -> str:
    """A time with a unit: `3.21 ms`."""
    if time < 1e-3:
        return f"{time * 1e6:.1f} us"
    if time < 1:
        return f"{time * 1e3:.2f} ms"
    return f"{time:.2f} s"


def _escaped(cell: str) -> str:
    from rich.markup import escape

    return escape(cell)


def _indented(text: str) -> str:
    return text.replace("\n", "\n         ")


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in ("", "-", "<")
