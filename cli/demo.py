"""leip demo"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .compile import closing_table
from .console import out, progress, seconds, size

if TYPE_CHECKING:
    import numpy as np

SHOWN = 4  # digits drawn side by side
ROWS = 2
TALL, WIDE = 4, 2  # pixels of a character
SHADES = " ░▒▓█"
PLAIN_SHADES = " .+*#"  # where the terminal has no block characters


def command(
    output_path: Annotated[
        Path, typer.Option("--output_path", help="Folder for the compiled model.")
    ] = Path("leip-demo"),
    jobs: Annotated[int, typer.Option("--jobs", help="Processes that build kernels.")] = 0,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Compile a small trained network that reads digits, run it, and show its answers."""
    from .. import driver

    console = out()
    with progress() as report:
        demo = driver.demo(output_path, jobs=jobs, progress=report)
    closing_table(demo.compiled)
    for first in range(0, ROWS * SHOWN, SHOWN):
        print(draw(demo.images[first : first + SHOWN], shades()))
        print(captions(demo.answers[first : first + SHOWN]))
        print()
    right = int((demo.answers == demo.labels).sum())
    console.print(
        f"accuracy  {right / len(demo.labels):.1%} ({right} of {len(demo.labels)} images)"
    )
    console.print(f"time      {seconds(demo.median_seconds)} an image (median)")
    console.print(f"artefact  {demo.compiled.path.resolve()}", markup=False)
    for file in sorted(demo.compiled.path.iterdir()):
        if file.is_file():
            console.print(f"          {size(file.stat().st_size):>9}  {file.name}", markup=False)
    console.print(f"next      leip benchmark --input_path {demo.compiled.path}", markup=False)


def shades() -> str:
    """Characters from dark to bright that standard output can show."""
    try:
        SHADES.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return PLAIN_SHADES
    return SHADES


def draw(images: np.ndarray, shades: str) -> str:
    """uint8 images `[n, 32, 32]` as characters, side by side; one for four rows of two pixels."""
    n, rows, columns = len(images), images.shape[1] // TALL, images.shape[2] // WIDE
    cells = images.reshape(n, rows, TALL, columns, WIDE).mean(axis=(2, 4)).astype(int)
    lines = []
    for y in range(rows):
        parts = ["".join(shades[value * len(shades) // 256] for value in row[y]) for row in cells]
        lines.append("   ".join(parts).rstrip())
    return "\n".join(lines)


def captions(answers: np.ndarray) -> str:
    """The answers, each under its image."""
    return "   ".join(f"{f'it is a {answer}':^16}" for answer in answers).rstrip()
