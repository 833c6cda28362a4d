"""leip inspect"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import table


def command(
    input_path: Annotated[
        Path, typer.Option("--input_path", help="An ONNX model, an IR text file or an LRE folder.")
    ],
    input_shapes: Annotated[
        list[str] | None,
        typer.Option("--input_shapes", metavar="NAME:1,3,224,224", help="For dynamic dimensions."),
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="Python file with ops of your own.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Show what is in a model or a compiled object: inputs, ops, kernels, sizes."""
    from .. import driver
    from ..driver.options import parse_input_shapes

    shapes = parse_input_shapes(input_shapes or ())
    sections = driver.inspect(input_path, input_shapes=shapes, plugins=tuple(plugin or ()))
    for section in sections:
        table(section.rows, header=section.header, title=section.title)
