"""leip demo"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .compile import closing_table
from .console import out, progress, seconds, size

if TYPE_CHECKING:
    import numpy as np

SHOWN = 6  # digits drawn side by side
MARGIN = 4  # the images are 32 x 32 with an empty border
SHADES = " .:-=+*#%@"


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
    for first in (0, SHOWN):
        print(draw(demo.images[first : first + SHOWN]))
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


def draw(images: np.ndarray) -> str:
    """uint8 images `[n, 32, 32]` as characters, side by side; two rows of pixels a line."""
    inner = images[:, MARGIN:-MARGIN, MARGIN:-MARGIN].astype(int)
    rows = (inner[:, 0::2] + inner[:, 1::2]) // 2
    lines = []
    for y in range(rows.shape[1]):
        parts = ["".join(SHADES[value * len(SHADES) // 256] for value in row[y]) for row in rows]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def captions(answers: np.ndarray) -> str:
    """The answers, each under its image."""
    return "  ".join(f"{f'it is a {answer}':^24}" for answer in answers)
