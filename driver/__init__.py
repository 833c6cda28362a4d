"""One function a command: wires the rooms together, no logic of the compiler's own.

Everything that loads TVM or ONNX is imported inside the functions that need it, so that looking at
or running a compiled object needs neither.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import plugin
from ..codegen.progress import Progress
from ..codegen.resolver import resolve
from ..errors import UsageError
from ..ir import levels
from ..ir.whole_file import write_text_whole
from ..plugin import fault as plugin_fault
from . import inspection
from .arguments import as_flag, as_levels, as_path, as_paths, as_paths_by_name, as_shapes, as_text
from .compiling import compile_with, make_pipeline, open_cache
from .digits import compile_and_read
from .execution import benchmark, open_engine, run
from .files import PathLike, read_graph, read_text, write_pool
from .options import CompileOptions, Optimization, PassOptions, parse_optimization, usable_cpus
from .reports import (
    CacheReport,
    CompileReport,
    DemoReport,
    KernelBenchReport,
    OptReport,
    Section,
    TuningLogReport,
)

if TYPE_CHECKING:
    from ..ir.graph import Graph
    from ..ir.target import Target

__all__ = [
    "Progress",
    "benchmark",
    "cache_clear",
    "cache_info",
    "compile",
    "compile_with",
    "demo",
    "inspect",
    "kernel_bench",
    "optimize",
    "optimize_text",
    "pass_list",
    "plugin_fault",
    "resolve_target",
    "run",
    "tuning_log_merge",
    "tuning_log_prune",
    "tuning_log_summary",
]


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
    tuning_logs: Sequence[PathLike] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> CompileReport:
    """Compile an ONNX model into an LRE folder.

    Args:
        input_path: An ONNX file, or a folder that holds one.
        output_path: Folder for the object; made if it is missing.
        target: `llvm [-mcpu=… -mtriple=… -mattr=… -device=… -model=…]`; `llvm` is this machine.
        input_shapes: Shapes by input name, for dynamic dimensions.
        layout: "NCHW" or "NHWC" for image inputs and outputs; None keeps the file's.
        optimization: `{"kernel": level, "graph": iterations}`: level 1-4, 3 if it is not given; so
            many iterations of a search over the kernels' configs, 0 to build from the log of an
            earlier one, no search if it is not given.
        crc_check: Store a checksum of the weights, compared at load.
        model_id: Id to store; None derives one.
        dump_ir: Folder for the IR text after every pass.
        verify: Compare the object with the numpy reference before it is written.
        verify_inputs: `.npy` files by input name for `verify`.
        threads: Threads to choose schedules for; None is all CPUs usable here.
        jobs: Processes that build kernels; None is all CPUs usable here.
        plugins: Python files with passes, ops, templates and searches.
        cache_dir: Folder of the kernel cache; None is the user's.
        cc: C compiler that links the object; None looks for one.
        tuning_logs: Logs of other searches to learn from.
        seed: Of the search's random choices.
        progress: Called with (step, done, total) during long steps.

    Returns:
        Where the folder is (`.path`) and the figures of the closing table.

    Raises:
        LeipError: With what is wrong, where, and what to do.
    """
    wanted = _optimization(optimization)
    options = CompileOptions(
        input_path=as_path("input_path", input_path),
        output_path=as_path("output_path", output_path),
        input_shapes=as_shapes("input_shapes", input_shapes),
        layout=as_text("layout", layout, none=""),
        target=as_text("target", target),
        level=wanted.level,
        crc_check=as_flag("crc_check", crc_check),
        model_id=as_text("model_id", model_id, none=""),
        dump_ir=as_path("dump_ir", dump_ir) if dump_ir is not None else None,
        verify=as_flag("verify", verify),
        verify_inputs=as_paths_by_name("verify_inputs", verify_inputs),
        threads=0 if threads is None else threads,
        jobs=0 if jobs is None else jobs,
        plugins=as_paths("plugins", plugins),
        cache_dir=as_path("cache_dir", cache_dir) if cache_dir is not None else None,
        cc=as_text("cc", cc, none=""),
        iterations=wanted.iterations,
        tuning_logs=as_paths("tuning_logs", tuning_logs),
        seed=seed,
    )
    if progress is not None and not callable(progress):
        raise UsageError(f"progress must be callable, not {progress!r}", "progress")
    return compile_with(options, progress or _silent)


def _optimization(optimization: Mapping[str, int] | None) -> Optimization:
    key = {"cuda": "enabled", "graph": "iterations"}
    pairs = as_levels("optimization", optimization)
    return parse_optimization([f"category:{n},{key.get(n, 'level')}:{v}" for n, v in pairs])


# --- targets --------------------------------------------------------------------------------------


def resolve_target(target: str = "llvm") -> Target:
    """The facts of a target, given as `compile` takes it; `llvm` is this machine.

    Raises:
        TargetError: Another form, or an unknown CPU, feature, triple, model, device or flag.
    """
    return resolve(as_text("target", target))


# --- graphs ---------------------------------------------------------------------------------------


def optimize(
    model: Graph | PathLike,
    passes: str = "",
    *,
    level: int = levels.DEFAULT,
    target: str = "llvm",
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    plugins: Sequence[PathLike] = (),
) -> Graph:
    """Run passes on a graph, on an ONNX model or on IR text.

    Args:
        model: A graph (it is left as it is) or a path.
        passes: Passes to run, as `leip opt -p` takes them; empty is the pipeline of `level`.
        level: Optimization level 1-4 of the pipeline, whose layouts are chosen for as many threads
            as there are usable CPUs.
        target: Target of the pipeline.
        input_shapes: Shapes by input name, for dynamic dimensions.
        plugins: Python files with passes of your own.

    Returns:
        The improved graph.
    """
    options = _pass_options(passes, level, target, input_shapes, plugins)
    return _run_passes(_source(model, options), options)[0]


def optimize_text(
    model: PathLike,
    passes: str = "",
    *,
    level: int = levels.DEFAULT,
    target: str = "llvm",
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    plugins: Sequence[PathLike] = (),
    verify: bool = False,
    output: PathLike | None = None,
) -> OptReport:
    """`leip opt`: as `optimize`, from text to text.

    With `output` the text goes there, and large constants, which the text names by hash, into an
    `.npz` beside it, where `read_graph` looks for them.
    """
    from ..ir.text import constants, print_graph

    options = _pass_options(passes, level, target, input_shapes, plugins)
    graph = _source(model, options)
    before = print_graph(graph)
    graph, refusals = _run_passes(graph, options, verify_level=2 if verify else None)
    after = print_graph(graph)
    if output is not None:
        pool = {name: constant.array for name, constant in constants(graph).items()}
        if pool:  # first: a text without its constants is of no use
            write_pool(Path(output).with_suffix(".npz"), pool)
        write_text_whole(output, after)
    return OptReport(before, after, before != after, refusals)


def _pass_options(
    passes: str,
    level: int,
    target: str,
    input_shapes: Mapping[str, Sequence[int]] | None,
    plugins: Sequence[PathLike],
) -> PassOptions:
    """What `optimize` and `leip opt` are given, checked."""
    return PassOptions(
        passes=as_text("passes", passes),
        level=level,
        target=as_text("target", target),
        input_shapes=as_shapes("input_shapes", input_shapes),
        plugins=as_paths("plugins", plugins),
    )


def _source(model: Graph | PathLike, options: PassOptions) -> Graph:
    """A graph of one's own to run passes on."""
    from ..ir.graph import Graph

    plugin.load(options.plugins)
    if isinstance(model, Graph):
        return model.copy()
    return read_graph(as_path("model", model), options.input_shapes)


def _run_passes(
    graph: Graph, options: PassOptions, verify_level: int | None = None
) -> tuple[Graph, tuple[str, ...]]:
    """The graph after the passes, and what they recognised and refused."""
    from ..passes.manager import PassManager
    from ..passes.spec import parse_pipeline

    if options.passes:
        steps = parse_pipeline(options.passes)
    else:
        steps = make_pipeline(options.level, resolve(options.target), "", usable_cpus())
    manager = PassManager(steps, verify_level=verify_level)
    graph = manager.run(graph)
    return graph, tuple(text for record in manager.records for text in record.refusals)


def pass_list(plugins: Sequence[PathLike] = ()) -> list[tuple[str, str, str]]:
    """Name, options and summary of every known pass."""
    from ..passes.registry import passes

    plugin.load(plugins)
    rows = []
    for name, step in passes().items():
        options = ", ".join(f"{field.name}={field.default}" for field in dataclasses.fields(step))
        rows.append((name, options, step.summary()))
    return rows


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
        with open_engine(path) as engine:
            return inspection.of_object(engine.get_metadata(), engine.memory)
    plugin.load(plugins)
    return inspection.of_graph(read_graph(path, input_shapes))


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
    from ..codegen.measure import bench_kernel, measure_peak
    from ..schedules.select import Override
    from ..schedules.task import Task

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
        cold_seconds=figures.cold_seconds,
        gflops=figures.gflops,
        peak_gflops=peak.gflops,
        gigabytes=figures.gigabytes,
        peak_gigabytes=peak.gigabytes,
    )


def cache_info(cache_dir: PathLike | None = None) -> CacheReport:
    """Where the kernel cache is and how big."""
    info = open_cache(cache_dir).info()
    return CacheReport(info.path, info.entries, info.bytes, info.limit)


def cache_clear(cache_dir: PathLike | None = None) -> CacheReport:
    """Empty the kernel cache; gives what was in it."""
    info = open_cache(cache_dir).clear()
    return CacheReport(info.path, info.entries, info.bytes, info.limit)


# --- tuning logs ----------------------------------------------------------------------------------


def tuning_log_summary(path: PathLike, *, plugins: Sequence[PathLike] = ()) -> TuningLogReport:
    """What stands in a tuning log.

    Args:
        path: The log.
        plugins: Python files with the ops of its tasks.
    """
    from .tuning_logs import summary

    plugin.load(plugins)
    return summary(as_path("path", path))


def tuning_log_merge(paths: Sequence[PathLike], output: PathLike) -> TuningLogReport:
    """Join tuning logs of one target into a new one; gives what stands in it."""
    from .tuning_logs import merge

    return merge(as_paths("paths", paths), as_path("output", output))


def tuning_log_prune(
    path: PathLike, *, keep: int | None = None, plugins: Sequence[PathLike] = ()
) -> TuningLogReport:
    """Drop damaged lines and stale measurements from a tuning log; gives what is left.

    Args:
        path: The log; it is replaced.
        keep: Of each task keep only so many measurements, the fastest; None keeps all.
        plugins: Python files with the ops and templates of its tasks.
    """
    from .tuning_logs import prune

    plugin.load(plugins)
    return prune(as_path("path", path), keep)


# --- demo -----------------------------------------------------------------------------------------


def demo(output_path: PathLike, *, jobs: int = 0, progress: Progress | None = None) -> DemoReport:
    """Compile the digits network that comes with leip and run it on its test images."""
    return compile_and_read(as_path("output_path", output_path), jobs, progress or _silent)
