"""Running and timing compiled objects; needs neither TVM nor ONNX (but for the machine's peak)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LeipError, UsageError
from ..ir.whole_file import write_text_whole
from .files import PathLike, load_array, write_arrays
from .reports import BenchmarkReport, KernelTime, RunReport

if TYPE_CHECKING:
    from ..runtime import Engine
    from ..runtime.lre import KernelTime as StepTime

BENCHMARK_WARM_UP = 3
PROFILE_RUNS = 20
OVERHEAD_NS = 2000  # of a kernel whose work is done sooner, starting it is what counts


@contextlib.contextmanager
def open_engine(
    path: PathLike, inference_context: str = "cpu", threads: int = 0
) -> Iterator[Engine]:
    """A loaded engine; the runtime's errors become ours."""
    from ..runtime import LreError, load

    if threads < 0:
        raise UsageError(f"{threads} is not a sensible number", "--threads", "give 1 or more")
    try:
        with load(path, inference_context=inference_context, threads=threads or None) as engine:
            yield engine
    except LreError as error:
        raise _told(str(error), Path(path)) from error


def _told(message: str, path: Path) -> LeipError:
    """The runtime's message; the path that it begins with is where it is."""
    own = message.removeprefix(f"{path}: ")
    if own == message:
        return LeipError(message, str(path))
    if path.suffix == ".onnx" and path.is_file():
        words = shlex.join(["leip", "compile", "--input_path", str(path), "--output_path", "OUT"])
        return LeipError(own, str(path), f"compile it first: {words}")
    return LeipError(own, str(path), "give the --output_path of a leip compile")


def _feeds(engine: Engine, given: Mapping[str, PathLike]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """All inputs, those not given random, and the names of these. "" means the only input."""
    names = engine.input_names
    arrays = {}
    for name, path in given.items():
        name = names[0] if not name and len(names) == 1 else name
        if name not in names:
            what = f"there is no input {name!r}" if name else f"{path}: which input is it?"
            hint = f"the form is NAME=X.npy; the inputs are {', '.join(names)}"
            raise UsageError(what, "--input", hint)
        arrays[name] = load_array(path)
    missing = tuple(name for name in names if name not in arrays)
    random = engine.random_inputs() if missing else {}
    return {name: arrays.get(name, random.get(name)) for name in names}, missing


def run(
    path: PathLike,
    *,
    inputs: Mapping[str, PathLike] | None = None,
    output_dir: PathLike = ".",
    inference_context: str = "cpu",
    threads: int = 0,
) -> RunReport:
    """One inference; every output is written as `<output>.npy`.

    Args:
        path: LRE folder or `.so`.
        inputs: `.npy` files by input name; those not given are random (integers are legal ids).
        output_dir: Where the files go; made if it is missing.
        inference_context: Family of the device.
        threads: Threads to use; 0 as compiled.
    """
    started = time.perf_counter()
    with open_engine(path, inference_context, threads) as engine:
        loaded = time.perf_counter() - started
        feeds, random = _feeds(engine, inputs or {})
        engine.infer(feeds)  # the first run maps the weights; what is told is a usual one
        started = time.perf_counter()
        outputs = engine.infer(feeds)
        seconds = time.perf_counter() - started
    files = write_arrays(Path(output_dir), outputs)
    return RunReport(outputs, files, random, loaded, seconds)


def benchmark(
    path: PathLike,
    *,
    inputs: Mapping[str, PathLike] | None = None,
    inference_context: str = "cpu",
    threads: int = 0,
    seconds: float = 3.0,
    profile: bool = False,
    json_path: PathLike | None = None,
) -> BenchmarkReport:
    """Repeated inference, timed one by one; with `profile` also kernel by kernel.

    Args:
        path: LRE folder or `.so`.
        inputs: `.npy` files by input name; those not given are random.
        inference_context: Family of the device.
        threads: Threads to use; 0 as compiled.
        seconds: How long to measure; at least ten runs are made.
        profile: Measure every kernel, and this machine's peak in the same run.
        json_path: Where to write all figures.
    """
    with open_engine(path, inference_context, threads) as engine:
        limits = _limits(engine.threads) if profile else (0.0, 0.0)
        feeds, _ = _feeds(engine, inputs or {})
        for _ in range(BENCHMARK_WARM_UP):
            engine.infer(feeds)
        samples = _samples(engine, feeds, seconds)
        steps = engine.profile(feeds, PROFILE_RUNS)
        used = engine.threads
        listed = engine.get_metadata().get("kernels", ())
        configs = {entry["name"]: entry.get("config", "") for entry in listed}
    if profile:  # before and after: something else may have run meanwhile
        again = _limits(used)
        limits = (max(limits[0], again[0]), max(limits[1], again[1]))
    kernels = _kernel_times(steps, configs, *limits) if profile else ()
    flops = sum(step.flops for step in steps)
    report = BenchmarkReport(tuple(samples), used, flops, limits[0], kernels)
    if json_path is not None:
        facts = {"path": str(path), **report.figures, **dataclasses.asdict(report)}
        write_text_whole(json_path, json.dumps(facts, indent=1) + "\n")
    return report


def _samples(engine: Engine, feeds: Mapping[str, Any], seconds: float) -> list[float]:
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < 10 or time.perf_counter() < end:
        started = time.perf_counter()
        engine.infer(feeds)
        samples.append(time.perf_counter() - started)
    return samples


def _kernel_times(
    steps: Sequence[StepTime], configs: Mapping[str, str], gflops: float, gigabytes: float
) -> tuple[KernelTime, ...]:
    """What a profile says of every kernel beside the limits of this machine, slowest first."""
    total = sum(step.ns for step in steps)
    kernels = [
        KernelTime(
            step.name,
            step.origin,
            step.template,
            configs.get(step.name, ""),
            step.ns * 1e-9,
            step.ns / total if total else 0.0,
            step.flops / step.ns if step.ns else 0.0,
            step.bytes / step.ns if step.ns else 0.0,
            step.bytes,
            step.flops / step.ns / gflops if step.ns and gflops else 0.0,
            _bound(step, gflops, gigabytes),
        )
        for step in steps
    ]
    return tuple(sorted(kernels, key=lambda kernel: -kernel.seconds))


def _bound(step: StepTime, gflops: float, gigabytes: float) -> str:
    """Which limit asks for most of a kernel's time: arithmetic, memory, or neither of them."""
    if not gflops or not gigabytes:
        return ""
    compute, memory = step.flops / gflops, step.bytes / gigabytes
    if max(compute, memory) < OVERHEAD_NS:
        return "overhead"
    return "compute" if compute >= memory else "memory"


def _limits(threads: int) -> tuple[float, float]:
    """Gflop/s and GB/s of this machine for so many threads, measured now; 0 without a compiler."""
    from ..codegen.measure import measure_peak

    try:
        peak = measure_peak(threads)
    except LeipError:
        return 0.0, 0.0
    return peak.gflops, peak.gigabytes
