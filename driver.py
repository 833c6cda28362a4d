"""One function a command: wires the rooms together, no logic of its own.

Everything that loads TVM or ONNX is imported inside the functions that need it, so that looking at
or running a compiled object needs neither.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import inspection, plugin
from .errors import LeipError, UsageError
from .files import load_array, read_pool, read_text, write_arrays, write_pool, write_text
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
    from .codegen.build import BuildOptions, BuildResult
    from .codegen.cache import KernelCache
    from .ir.graph import Graph
    from .ir.target import Target
    from .passes import Pass
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


def compile_with(options: CompileOptions, progress: Progress = _silent) -> CompileReport:
    """`leip compile`: the road from an ONNX file to an LRE folder.

    Raises:
        LeipError: With what is wrong, where, and what to do.
    """
    from .codegen.build import build_object
    from .codegen.kernel_build import WorkerPool
    from .codegen.package import OutputFolder
    from .passes.manager import PassManager

    clock = _Clock()
    plugin.load(options.plugins)
    target = _resolve(options.target)
    if options.verify:
        _check_runs_here(target)
    pool = WorkerPool(options.usable_jobs, options.plugins)
    # absolute: the compiler runs in a folder of its own
    with OutputFolder(options.output_path.absolute()) as folder, pool:
        pool.start()  # their imports overlap with ours
        progress("import", 0, 0)
        with clock("import"):
            model = read_graph(options.input_path, options.input_shapes)
        with clock("passes"):
            steps = _pipeline(options.level, target, options.layout)
            manager = PassManager(steps, options.dump_ir, observer=_PassProgress(progress, steps))
            graph = manager.run(model.copy())
        build = _build_options(options, target, model, graph)
        cache = _cache(options.cache_dir, options.plugins)
        result = build_object(
            graph, build, folder.staging, pool=pool, cache=cache, progress=progress
        )
        if options.dump_ir is not None:
            _dump_choices(options.dump_ir, graph)
        errors = {}
        if options.verify:
            progress("verify", 0, 0)
            with clock("verify"):
                errors = _verify(options, result, model, graph)
        files = folder.commit(result.library, result.schema)
    return CompileReport(
        path=options.output_path,
        library=options.output_path / files["modelLibrary.so"].name,
        model_id=result.model_id,
        target=_describe(target),
        level=options.level,
        threads=build.threads,
        kernels=len(result.kernels),
        distinct_kernels=result.distinct,
        cached_kernels=result.cached,
        flops=result.plan.flops,
        parameters=build.model.parameters,
        weights_bytes=result.weights_bytes,
        arena_bytes=result.plan.arena_bytes,
        object_bytes=result.object_bytes,
        compiler=str(result.toolchain),
        glibc=result.elf.glibc,
        seconds={**clock.seconds, **result.seconds},
        errors=errors,
        notes=result.notes,
    )


def _build_options(
    options: CompileOptions, target: Target, model: Graph, graph: Graph
) -> BuildOptions:
    """What code generation needs to know of the options and of the model."""
    from .codegen.build import BuildOptions
    from .codegen.schema import ModelFacts
    from .ir.bounds import max_ids
    from .ir.text import print_graph

    facts = ModelFacts(
        model_hash=hashlib.sha256(print_graph(model).encode()).hexdigest(),
        options=f"{options.layout} level {options.level} plugins {plugin.digest(options.plugins)}",
        model_id=options.model_id,
        max_ids=max_ids(model),
        layouts=_io_layouts(model, graph),
        parameters=sum(n.output.type.size for n in model.nodes() if n.op == "constant"),
    )
    return BuildOptions(
        target,
        threads=options.usable_threads,
        level=options.level,
        cc=options.cc,
        crc=options.crc_check,
        model=facts,
    )


def _io_layouts(model: Graph, graph: Graph) -> dict[str, str]:
    """The layouts of image inputs and outputs, by name: NCHW unless converted."""
    from .passes.io_layout import image_borders

    images = image_borders(model)
    sides = ((graph.input_names, graph.inputs), (graph.output_names, graph.outputs))
    return {
        names[index]: str(values[index].layout or "NCHW")
        for (names, values), side in zip(sides, images)
        for index in side
    }


def _verify(
    options: CompileOptions, result: BuildResult, model: Graph, graph: Graph
) -> dict[str, float]:
    """Compare the object with the interpreter; the largest error of each output."""
    from .codegen.verify import verify_object

    feeds = {name: load_array(path) for name, path in options.verify_inputs.items()}
    if "" in feeds and len(graph.input_names) == 1:
        feeds[graph.input_names[0]] = feeds.pop("")
    report = verify_object(
        result.library,
        graph,
        result.plan,
        level=options.level,
        feeds=feeds or None,
        model=model,
    )
    report.check()
    return report.errors


def _resolve(target: str) -> Target:
    from .codegen.resolver import LlvmResolver
    from .ir.target import TargetRequest

    return LlvmResolver().resolve(TargetRequest.parse(target))


def _pipeline(level: int, target: Target, layout: str) -> list[Pass]:
    from .ir.layout import Layout
    from .passes import pipeline

    return pipeline(level, target, Layout.parse(layout) if layout else None)


def _check_runs_here(target: Target) -> None:
    """Raises UsageError if code for the target cannot be run on this machine."""
    from .codegen.resolver import LlvmResolver

    reason = LlvmResolver().runs_here(target)
    if reason:
        raise UsageError(
            f"the object cannot be verified here: {reason}",
            "--verify",
            "compile without --verify and compare on the device",
        )


def _describe(target: Target) -> str:
    vectors = f"{target.vector_bits}-bit vectors" if target.vector_bits else "no vectors"
    return f"{target.kind} -mtriple={target.triple} -mcpu={target.cpu} ({vectors})"


def _dump_choices(folder: Path, graph: Graph) -> None:
    """The graph with the chosen template, config and reason of every kernel."""
    from .ir.text import print_graph

    write_text(folder / "99_chosen.txt", print_graph(graph))


class _PassProgress:
    """Tells `progress` how many passes are done."""

    def __init__(self, progress: Progress, steps: Sequence[object]) -> None:
        self._progress = progress
        self._total = len(steps)
        self._done = 0

    def __call__(self, record: object, graph: Graph) -> None:
        self._done += 1
        self._progress("passes", self._done, self._total)


class _Clock:
    """Adds up the seconds of named steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            taken = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + taken


# --- graphs ---------------------------------------------------------------------------------------


def read_graph(path: PathLike, input_shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """The graph of an ONNX model (file or folder), or of IR text (`.txt`, `.ir`, or `-`, stdin).

    Large constants of IR text are taken from the `.npz` of the same name, if there is one.

    Raises:
        ModelError, UsageError: If it cannot be read.
    """
    path = Path(path)
    if str(path) == "-" or path.suffix in TEXT_SUFFIXES:
        from .ir.constant import Constant
        from .ir.parse import parse_graph

        if str(path) == "-":
            return parse_graph(sys.stdin.read())
        pool = read_pool(path.with_suffix(".npz"))
        return parse_graph(read_text(path), {name: Constant(a) for name, a in pool.items()})
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
    output: PathLike | None = None,
) -> OptReport:
    """`leip opt`: the text of a graph before and after passes.

    With `output` the text goes there, and large constants, which the text names by hash, into an
    `.npz` beside it, where `read_graph` looks for them.
    """
    from .ir.text import constants, print_graph

    plugin.load(plugins)
    graph = read_graph(path, input_shapes)
    before = print_graph(graph)
    graph, refusals = _run_passes(graph, passes, level, target, verify_level=2 if verify else None)
    after = print_graph(graph)
    if output is not None:
        write_text(output, after)
        pool = {name: constant.array for name, constant in constants(graph).items()}
        if pool:
            write_pool(Path(output).with_suffix(".npz"), pool)
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
    from .codegen.measure import measure_peak

    try:
        return measure_peak(threads).gflops
    except LeipError:
        return 0.0


# --- kernels, cache -------------------------------------------------------------------------------


def kernel_bench(
    path: PathLike, *, template: str = "", config: str = "", plugins: Sequence[PathLike] = ()
) -> KernelBenchReport:
    """Build, check and time one task; the machine's peak is measured in the same run.

    Args:
        path: A task's text.
        template: Template to use instead of the chosen one.
        config: Knobs as `a=1,b=yes`; the rest at the template's default.
        plugins: Python files with templates of your own.
    """
    from .codegen.measure import bench_kernel, measure_peak
    from .schedules.select import Override
    from .schedules.task import Task

    plugin.load(plugins)
    task = Task.parse(read_text(path))
    override = Override(template, config) if template or config else None
    figures = bench_kernel(task, override)
    peak = measure_peak(task.threads)
    return KernelBenchReport(
        task=" + ".join(node.op for node in task.nodes),
        template=figures.template,
        config=figures.config,
        why=figures.why,
        error=figures.error,
        tolerance=figures.allowed,
        seconds=figures.seconds,
        gflops=figures.gflops,
        peak_gflops=peak.gflops,
        gigabytes=figures.gigabytes,
        peak_gigabytes=peak.gigabytes,
    )


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
