"""leip cache"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import size, table

app = typer.Typer(help="Look at the kernel cache, or empty it.", no_args_is_help=True)

CacheDir = Annotated[
    Path | None, typer.Option("--cache_dir", help="Another folder than the user's cache.")
]


@app.command("info")
def info(cache_dir: CacheDir = None) -> None:
    """Where the cache is and how big."""
    from .. import driver

    report = driver.cache_info(cache_dir)
    table(
        [
            ("folder", str(report.path)),
            ("entries", str(report.entries)),
            ("size", f"{size(report.bytes)} of at most {size(report.limit)}"),
        ]
    )


@app.command("clear")
def clear(cache_dir: CacheDir = None) -> None:
    """Remove every entry."""
    from .. import driver

    report = driver.cache_clear(cache_dir)
    print(f"{report.entries} entries, {size(report.bytes)} removed from {report.path}")
