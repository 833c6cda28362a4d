"""leip compile"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import count, out, progress, seconds, size, table
from .search_view import SearchView

if TYPE_CHECKING:
    from ..driver.reports import CompileReport


def command(
    input_path: Annotated[
        Path, typer.Option("--input_path", help="ONNX file, or a folder that holds one.")
    ],
    output_path: Annotated[
        Path, typer.Option("--output_path", help="Folder for the object; made if it is missing.")
    ],
    input_shapes: Annotated[
        list[str] | None,
        typer.Option(
            "--input_shapes",
            metavar="NAME:1,3,224,224",
            help="Shape of an input; needed for dynamic dimensions. Repeatable.",
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            metavar="NCHW|NHWC",
            help="How image inputs and outputs stand in memory; as in the file if not given. "
            "A conversion needs level 3 or 4.",
        ),
    ] = "",
    target: Annotated[
        str,
        typer.Option(
            "--target",
            metavar="llvm [-mcpu=…]",
            help="Target and its flags (-mcpu= -mtriple= -mattr= -device= -model=), "
            "quoted or not; llvm alone is this machine.",
        ),
    ] = "llvm",
    optimization: Annotated[
        list[str] | None,
        typer.Option(
            "--optimization",
            metavar="category:…",
            help="kernel,level:<1-4>: level of kernel optimization, 3 if not given. "
            "graph,iterations:<0-30000>: search for faster kernels with so many measurements; "
            "0 builds from the log of an earlier search. Repeatable.",
        ),
    ] = None,
    crc_check: Annotated[
        bool, typer.Option("--crc_check", help="Store a checksum of the weights, checked at load.")
    ] = False,
    model_id: Annotated[
        str, typer.Option("--model_id", help="Id to store; derived from content if not given.")
    ] = "",
    dump_ir: Annotated[
        Path | None, typer.Option("--dump_ir", help="Folder for the IR text after every pass.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with the numpy reference before writing.")
    ] = False,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=X.npy", help="Input for --verify. Repeatable."),
    ] = None,
    threads: Annotated[
        int, typer.Option("--threads", help="Threads to choose schedules for; 0 = all CPUs here.")
    ] = 0,
    jobs: Annotated[
        int, typer.Option("--jobs", help="Processes that build kernels; 0 = all CPUs here.")
    ] = 0,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            "--plugin", help="Python file with passes, ops, templates, searches. Repeatable."
        ),
    ] = None,
    cache_dir: Annotated[
        Path | None, typer.Option("--cache_dir", help="Folder of the kernel cache.")
    ] = None,
    cc: Annotated[str, typer.Option("--cc", help="C compiler that links the object.")] = "",
    tuning_log: Annotated[
        list[Path] | None,
        typer.Option("--tuning_log", help="Log of another search to learn from. Repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the search's random choices.")] = 0,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Compile an ONNX model into a self-contained shared object."""
    from .. import driver
    from ..driver.options import (
        CompileOptions,
        parse_assignment,
        parse_input_shapes,
        parse_optimization,
    )

    wanted = parse_optimization(optimization or ())
    options = CompileOptions(
        input_path=input_path,
        output_path=output_path,
        input_shapes=parse_input_shapes(input_shapes or ()),
        layout=layout,
        target=target,
        level=wanted.level,
        crc_check=crc_check,
        model_id=model_id,
        dump_ir=dump_ir,
        verify=verify,
        verify_inputs={
            name: Path(file) for name, file in parse_assignment(inputs or (), "--input").items()
        },
        threads=threads,
        jobs=jobs,
        plugins=tuple(plugin or ()),
        cache_dir=cache_dir,
        cc=cc,
        iterations=wanted.iterations,
        tuning_logs=tuple(tuning_log or ()),
        seed=seed,
    )

    try:
        with progress() as report, SearchView(report) as view:
            result = driver.compile_with(options, report, view)
    except KeyboardInterrupt as stop:
        if str(stop):  # a search says what it has kept
            with contextlib.suppress(OSError):  # the terminal may be gone
                print(stop, file=sys.stderr)
        raise
    closing_table(result)


def closing_table(report: CompileReport) -> None:
    """Sizes and times of a compile."""
    console = out()
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    kernels = f"{report.kernels} ({report.distinct_kernels} different"
    kernels += f", {report.cached_kernels} from the cache)" if report.cached_kernels else ")"
    steps = ", ".join(f"{name} {seconds(time)}" for name, time in report.seconds.items())
    rows = [
        ("object", str(report.library)),
        ("size", f"{size(report.object_bytes)}, {size(report.weights_bytes)} of it weights"),
        ("memory", f"{size(report.arena_bytes)} for intermediate values"),
        ("model id", report.model_id),
        ("target", report.target),
        ("level, threads", f"{report.level}, {report.threads}"),
        ("model", f"{count(report.parameters)} parameters, {count(report.flops)}flop"),
        ("kernels", kernels),
        ("linked by", f"{report.compiler}; {_floor(report.glibc)}"),
        ("time", f"{seconds(report.total_seconds)}: {steps}"),
    ]
    rows += [
        (f"verified {name}", f"largest error {error:.2e}") for name, error in report.errors.items()
    ]
    table(rows)


def _floor(glibc: str) -> str:
    return f"runs with glibc {glibc} or later" if glibc else "needs no glibc symbol"
