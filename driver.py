"""One function a command: wires the rooms together, no logic of its own.

Everything that loads TVM or ONNX is imported inside the functions that need it, so that looking at
or running a compiled object needs neither.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import inspection, plugin
from .errors import LeipError, ModelError, UsageError
from .files import load_array, write_arrays, write_text
from .options import CompileOptions, parse_optimization
from .reports import (
    BenchmarkReport,
    CacheReport,
    CompileReport,
    DemoReport,
    KernelBenchReport,
    KernelTime,
    OptReport,
    RunReport,
    Section,
)

if TYPE_CHECKING:
    import numpy as np

    from .codegen.cache import KernelCache
    from .ir.graph import Graph
    from .ir.target import Target
    from .runtime import Engine

__all__ = [
    "benchmark",
    "cache_clear",
    "cache_info",
    "compile",
    "compile_with",
    "demo",
    "inspect",
    "kernel_bench",
    "opt",
    "optimize",
    "pass_list",
    "run",
]

# Called by long steps: what is being done, how much of it is done, and of how much (0: unknown).
Progress = Callable[[str, int, int], None]
PathLike = str | Path
TEXT_SUFFIXES = (".txt", ".ir", ".leip")
BENCHMARK_WARM_UP = 3
PROFILE_RUNS = 20


def _silent(step: str, done: int, total: int) -> None:
    pass


# --- compile --------------------------------------------------------------------------------------


def compile(
    input_path: PathLike,
    output_path: PathLike,
    *,
    target: str = "llvm",
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    layout: str | None = None,
    optimization: Mapping[str, int] | None = None,
    crc_check: bool = False,
    model_id: str | None = None,
    dump_ir: PathLike | None = None,
    verify: bool = False,
    verify_inputs: Mapping[str, PathLike] | None = None,
    threads: int | None = None,
    jobs: int | None = None,
    plugins: Sequence[PathLike] = (),
    cache_dir: PathLike | None = None,
    cc: str | None = None,
    progress: Progress | None = None,
) -> CompileReport:
    """Compile an ONNX model into an LRE folder.

    Args:
        input_path: An ONNX file, or a folder that holds one.
        output_path: Folder for the object; made if it is missing.
        target: `llvm [-mcpu=… -mtriple=… -mattr=… -device=… -model=…]`; `llvm` is this machine.
        input_shapes: Shapes by input name, for dynamic dimensions.
        layout: "NCHW" or "NHWC" for image inputs and outputs; None keeps the file's.
        optimization: `{"kernel": level}`, 1-4; None is level 3.
        crc_check: Store a checksum of the weights, compared at load.
        model_id: Id to store; None derives one.
        dump_ir: Folder for the IR text after every pass.
        verify: Compare the object with the numpy reference before it is written.
        verify_inputs: `.npy` files by input name for `verify`.
        threads: Threads to choose schedules for; None is all CPUs usable here.
        jobs: Processes that build kernels; None is all CPUs usable here.
        plugins: Python files with passes, ops and templates.
        cache_dir: Folder of the kernel cache; None is the user's.
        cc: C compiler that links the object; None looks for one.
        progress: Called with (step, done, total) during long steps.

    Returns:
        Where the folder is (`.path`) and the figures of the closing table.

    Raises:
        LeipError: With what is wrong, where, and what to do.
    """
    options = CompileOptions(
        input_path=Path(input_path),
        output_path=Path(output_path),
        input_shapes={name: tuple(shape) for name, shape in (input_shapes or {}).items()},
        layout=layout or "",
        target=target,
        level=_level(optimization),
        crc_check=crc_check,
        model_id=model_id or "",
        dump_ir=Path(dump_ir) if dump_ir is not None else None,
        verify=verify,
        verify_inputs={name: Path(path) for name, path in (verify_inputs or {}).items()},
        threads=threads or 0,
        jobs=jobs or 0,
        plugins=tuple(Path(path) for path in plugins),
        cache_dir=Path(cache_dir) if cache_dir is not None else None,
        cc=cc or "",
    )
    return compile_with(options, progress or _silent)


def _level(optimization: Mapping[str, int] | None) -> int:
    key = {"cuda": "enabled", "graph": "iterations"}
    pairs = (optimization or {}).items()
    return parse_optimization([f"category:{n},{key.get(n, 'level')}:{v}" for n, v in pairs])


# --- graphs ---------------------------------------------------------------------------------------


def read_graph(path: PathLike, input_shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """The graph of an ONNX model (file or folder), or of IR text (`.txt`, `.ir`, or `-`, stdin).

    Raises:
        ModelError, UsageError: If it cannot be read.
    """
    path = Path(path)
    if str(path) == "-" or path.suffix in TEXT_SUFFIXES:
        from .ir.parse import parse_graph

        try:
            text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"cannot be read: {error}", str(path)) from None
        return parse_graph(text)
    from .ir.onnx import import_model

    return import_model(path, input_shapes)


def parse_input_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by name from repeated `NAME:1,3,224,224`. Raises UsageError."""
    if not texts:
        return {}
    from .ir.onnx import parse_input_shapes as parse

    return parse(texts)


def optimize(
    model: Graph | PathLike,
    passes: str = "",
    *,
    level: int = 3,
    target: str = "llvm",
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    plugins: Sequence[PathLike] = (),
) -> Graph:
    """Run passes on a graph, on an ONNX model or on IR text.

    Args:
        model: A graph (it is left as it is) or a path.
        passes: Passes to run, as `leip opt -p` takes them; empty is the pipeline of `level`.
        level: Optimization level 1-4 of the pipeline.
        target: Target of the pipeline.
        input_shapes: Shapes by input name, for dynamic dimensions.
        plugins: Python files with passes of your own.

    Returns:
        The improved graph.
    """
    plugin.load(plugins)
    graph = read_graph(model, input_shapes) if isinstance(model, str | Path) else model.copy()
    return _run_passes(graph, passes, level, target)[0]


def opt(
    path: PathLike,
    passes: str,
    *,
    level: int = 3,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    target: str = "llvm",
    verify: bool = False,
    plugins: Sequence[PathLike] = (),
) -> OptReport:
    """`leip opt`: the text of a graph before and after passes."""
    from .ir.text import print_graph

    plugin.load(plugins)
    graph = read_graph(path, input_shapes)
    before = print_graph(graph)
    graph, refusals = _run_passes(graph, passes, level, target, verify_level=2 if verify else None)
    after = print_graph(graph)
    return OptReport(before, after, before != after, refusals)


def pass_list(plugins: Sequence[PathLike] = ()) -> list[tuple[str, str, str]]:
    """Name, options and summary of every known pass."""
    from .passes.registry import passes

    plugin.load(plugins)
    rows = []
    for name, step in passes().items():
        options = ", ".join(f"{field.name}={field.default}" for field in dataclasses.fields(step))
        rows.append((name, options, step.summary()))
    return rows


def _run_passes(
    graph: Graph, passes: str, level: int, target: str, verify_level: int | None = None
) -> tuple[Graph, tuple[str, ...]]:
    """The graph after the passes, and what they recognised and refused."""
    from .passes.manager import PassManager
    from .passes.spec import parse_pipeline

    steps = parse_pipeline(passes) if passes else _pipeline(level, _resolve(target), "")
    manager = PassManager(steps, verify_level=verify_level)
    graph = manager.run(graph)
    return graph, tuple(text for record in manager.records for text in record.refusals)


# --- inspect --------------------------------------------------------------------------------------


def inspect(
    path: PathLike,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    plugins: Sequence[PathLike] = (),
) -> list[Section]:
    """What is in a model or in a compiled object, as titled tables."""
    path = Path(path)
    if path.suffix == ".so" or (path.is_dir() and not any(path.glob("*.onnx"))):
        with _engine(path) as engine:
            return inspection.of_object(engine.get_metadata(), engine.memory)
    plugin.load(plugins)
    return inspection.of_graph(read_graph(path, input_shapes))


# --- run, benchmark -------------------------------------------------------------------------------


@contextlib.contextmanager
def _engine(path: PathLike, inference_context: str = "cpu", threads: int = 0) -> Iterator[Engine]:
    """A loaded engine; the runtime's errors become ours."""
    from .runtime import LreError, load

    try:
        with load(path, inference_context=inference_context, threads=threads or None) as engine:
            yield engine
    except LreError as error:
        raise LeipError(str(error), str(path)) from error


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
    with _engine(path, inference_context, threads) as engine:
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
    with _engine(path, inference_context, threads) as engine:
        feeds, _ = _feeds(engine, inputs or {})
        for _ in range(BENCHMARK_WARM_UP):
            engine.infer(feeds)
        samples = _samples(engine, feeds, seconds)
        steps = engine.profile(feeds, PROFILE_RUNS)
        used = engine.threads
    peak = _peak_gflops(used) if profile else 0.0
    total = sum(step.ns for step in steps)
    kernels = [
        KernelTime(
            step.name,
            step.origin,
            step.template,
            step.ns * 1e-9,
            step.ns / total if total else 0.0,
            step.flops / step.ns if step.ns else 0.0,
            step.flops / step.ns / peak if step.ns and peak else 0.0,
        )
        for step in steps
    ]
    kernels.sort(key=lambda kernel: -kernel.seconds)
    flops = sum(step.flops for step in steps)
    chosen = tuple(kernels) if profile else ()
    report = BenchmarkReport(tuple(samples), used, flops, peak, chosen)
    if json_path is not None:
        facts = {"path": str(path), **report.figures, **dataclasses.asdict(report)}
        write_text(json_path, json.dumps(facts, indent=1) + "\n")
    return report


def _samples(engine: Engine, feeds: Mapping[str, Any], seconds: float) -> list[float]:
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < 10 or time.perf_counter() < end:
        started = time.perf_counter()
        engine.infer(feeds)
        samples.append(time.perf_counter() - started)
    return samples


def _peak_gflops(threads: int) -> float:
    """Peak of this machine for so many threads, measured now; 0 where there is no C compiler."""
    from .codegen.measure import peak_gflops

    try:
        return peak_gflops(threads)
    except LeipError:
        return 0.0


# --- kernels, cache -------------------------------------------------------------------------------


def cache_info(cache_dir: PathLike | None = None) -> CacheReport:
    """Where the kernel cache is and how big."""
    info = _cache(cache_dir).info()
    return CacheReport(info.path, info.entries, info.bytes, info.limit)


def cache_clear(cache_dir: PathLike | None = None) -> CacheReport:
    """Empty the kernel cache; gives what was in it."""
    info = _cache(cache_dir).clear()
    return CacheReport(info.path, info.entries, info.bytes, info.limit)


def _cache(cache_dir: PathLike | None, plugins: Sequence[PathLike] = ()) -> KernelCache:
    from .codegen.cache import KernelCache, default_folder

    folder = Path(cache_dir) if cache_dir is not None else default_folder()
    return KernelCache(folder, plugin.digest(plugins))


# --- demo -----------------------------------------------------------------------------------------


def demo(output_path: PathLike, *, jobs: int = 0, progress: Progress | None = None) -> DemoReport:
    """Compile the digits network that comes with leip and run it on its test images."""
    import statistics
    from importlib import resources

    import numpy as np

    examples = resources.files("leip.examples")
    with resources.as_file(examples / "digits_mobile.onnx") as model:
        compiled = compile(model, output_path, jobs=jobs, progress=progress)
    with resources.as_file(examples / "digits_test.npz") as file, np.load(file) as data:
        images, labels = data["image"], data["label"].astype(np.int64)
    times = []
    answers = []
    with _engine(compiled.path) as engine:
        engine.warm_up(3)
        for image in images:
            feed = (image[np.newaxis] / np.float32(255)).astype(np.float32)
            started = time.perf_counter()
            result = engine.infer({"image": feed})
            times.append(time.perf_counter() - started)
            answers.append(int(result["logits"].argmax()))
    median = statistics.median(times)
    return DemoReport(compiled, images[:, 0], labels, np.array(answers), median)
