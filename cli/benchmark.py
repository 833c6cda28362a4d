"""leip benchmark"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import out, size, table
from .run import Context, InputPath, Inputs, Threads

if TYPE_CHECKING:
    from ..driver.reports import BenchmarkReport


def command(
    input_path: InputPath,
    inference_context: Context = "cpu",
    inputs: Inputs = None,
    threads: Threads = 0,
    seconds: Annotated[float, typer.Option("--seconds", help="How long to measure.")] = 3.0,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="F", help="Write the figures here.")
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Show every kernel.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Time a compiled model: min, median, p90 and p99; with --profile kernel by kernel."""
    from .. import driver
    from ..driver.options import parse_assignment

    report = driver.benchmark(
        input_path,
        inputs=parse_assignment(inputs or (), "--input"),
        inference_context=inference_context,
        threads=threads,
        seconds=seconds,
        profile=profile,
        json_path=json_path,
    )
    if profile:
        _kernels(report)
    times = ", ".join(f"{name[:-3]} {time:.3f} ms" for name, time in report.figures.items())
    console = out()
    console.print(f"{len(report.samples)} runs with {report.threads} threads: {times}")
    if report.flops:
        speed = report.flops / min(report.samples) / 1e9
        share = f", {speed / report.peak_gflops:.0%} of peak" if report.peak_gflops else ""
        console.print(f"{speed:.1f} Gflop/s at the minimum{share}")
    if report.peak_gflops:
        console.print(f"peak of these threads, measured now: {report.peak_gflops:.0f} Gflop/s")
    if json_path is not None:
        console.print(f"written to {json_path}", markup=False)


def _kernels(report: BenchmarkReport) -> None:
    rows = []
    for kernel in report.kernels:
        rows.append(
            (
                kernel.name,
                f"{kernel.seconds * 1e6:.1f}",
                f"{kernel.share:.1%}",
                f"{kernel.gflops:.1f}" if kernel.gflops else "",
                f"{kernel.peak:.0%}" if kernel.peak else "",
                size(kernel.bytes),
                f"{kernel.gigabytes:.1f}",
                kernel.bound,
                kernel.template,
                kernel.config,
                kernel.origin,
            )
        )
    header = (
        *("kernel", "us", "share", "Gflop/s", "of peak", "bytes", "GB/s", "bound"),
        *("template", "config", "ONNX node"),
    )
    table(rows, header=header)
