"""leip run"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import out, seconds, table

FIRST = 4  # values shown of each output

InputPath = Annotated[
    Path, typer.Option("--input_path", help="Folder that leip compile wrote, or the .so in it.")
]
Context = Annotated[
    str, typer.Option("--inference_context", help="Family of the device to run on: cpu.")
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=X.npy", help="An input; random if not given."),
]
Threads = Annotated[int, typer.Option("--threads", help="Threads to use; 0 = as compiled.")]


def command(
    input_path: InputPath,
    inference_context: Context = "cpu",
    inputs: Inputs = None,
    output_dir: Annotated[
        Path, typer.Option("--output_dir", help="Folder for <output>.npy.")
    ] = Path("."),
    threads: Threads = 0,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Run a compiled model once; write every output as <output>.npy."""
    from .. import driver
    from ..driver.options import parse_assignment

    report = driver.run(
        input_path,
        inputs=parse_assignment(inputs or (), "--input"),
        output_dir=output_dir,
        inference_context=inference_context,
        threads=threads,
    )
    console = out()
    if report.random_inputs:
        names = ", ".join(report.random_inputs)
        console.print(f"random values for: {names}", markup=False)
    rows = []
    for name, array in report.outputs.items():
        values = ", ".join(f"{value:.6g}" for value in array.reshape(-1)[:FIRST])
        shown = f"{values}, …" if array.size > FIRST else values
        rows.append((name, f"{array.dtype}{list(array.shape)}", shown, str(report.files[name])))
    table(rows, header=("output", "type", "first values", "file"))
    console.print(f"loaded in {seconds(report.load_seconds)}, ran in {seconds(report.seconds)}")
