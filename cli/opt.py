"""leip opt"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .console import table


def command(
    path: Annotated[
        Path | None, typer.Argument(metavar="IN", help="ONNX model or IR text; - is stdin.")
    ] = None,
    passes: Annotated[
        str,
        typer.Option("-p", "--passes", metavar="A,B{x=1}", help="Passes to run, in this order."),
    ] = "",
    level: Annotated[
        int, typer.Option("--level", help="Without -p: the pipeline of this level, 1-4.")
    ] = 3,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File for the text; else stdout.")
    ] = None,
    before: Annotated[bool, typer.Option("--before", help="Also print the text before.")] = False,
    explain: Annotated[
        str, typer.Option("--explain", metavar="REWRITE", help="Say why a rewrite did not fire.")
    ] = "",
    listing: Annotated[bool, typer.Option("--list", help="List all passes.")] = False,
    input_shapes: Annotated[
        list[str] | None,
        typer.Option("--input_shapes", metavar="NAME:1,3,224,224", help="For dynamic dimensions."),
    ] = None,
    target: Annotated[
        str, typer.Option("--target", metavar="llvm [-mcpu=…]", help="For passes that ask.")
    ] = "llvm",
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the graph and its text after every pass.")
    ] = False,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="Python file with passes of your own.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Run passes on an ONNX model or on IR text and print the text."""
    from .. import driver
    from ..driver.options import parse_input_shapes
    from ..errors import UsageError

    plugins = tuple(plugin or ())
    if listing:
        table(driver.pass_list(plugins), header=("pass", "options", "what it does"))
        return
    if path is None:
        raise UsageError("no input is given", "leip opt", "leip opt IN -p PASSES, or --list")
    report = driver.optimize_text(
        path,
        passes,
        level=level,
        input_shapes=parse_input_shapes(input_shapes or ()),
        target=target,
        verify=verify,
        plugins=plugins,
        output=output,
    )
    if before:
        print(report.before)
    if explain:
        _explain(report.refusals, explain)
    elif output is None:
        print(report.after, end="")


def _explain(refusals: tuple[str, ...], wanted: str) -> None:
    found = [text.partition(": ") for text in refusals]
    rows = [(name, reason) for name, _, reason in found if wanted in ("all", name)]
    if rows:
        table(rows, header=("rewrite", "refused because"))
    else:
        print(f"{wanted}: no pattern was recognised and refused", file=sys.stderr)
