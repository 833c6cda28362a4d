"""Figures that commands write into documents: text between two marks, and plots beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def pyplot() -> Any:
    """matplotlib.pyplot, set so that the same figures give the same file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "leip"
    import matplotlib.pyplot as plt

    return plt


def save(figure: Any, path: Path) -> None:
    """Write a plot, without the date, and close it."""
    figure.savefig(path, metadata={"Date": None})
    pyplot().close(figure)


def between(begin: str, end: str, text: str, figures: str) -> str:
    """A document with new figures between its marks. Raises ValueError without marks."""
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the document has no {begin if not found else end}")
    return f"{before}{begin}\n\n{figures}\n\n{end}{after}"
