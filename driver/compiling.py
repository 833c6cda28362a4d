"""The road from an ONNX file to an LRE folder, room after room."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import plugin
from ..codegen.progress import Clock, Progress
from ..codegen.resolver import resolve, runs_here
from ..errors import UsageError
from ..ir.whole_file import write_text_whole
from .files import PathLike, load_array, read_graph, safe_stems
from .given_logs import GivenLogs, given_logs, unused_notes
from .options import CompileOptions
from .reports import CompileReport

if TYPE_CHECKING:
    from ..codegen.build import BuildOptions, BuildResult
    from ..codegen.cache import KernelCache
    from ..codegen.kernel_build import WorkerPool
    from ..ir.graph import Graph
    from ..ir.target import Target
    from ..passes import Pass
    from .tuning import Tuned, Watch


def compile_with(
    options: CompileOptions, progress: Progress, watch: Watch | None = None
) -> CompileReport:
    """`leip compile`: the road from an ONNX file to an LRE folder.

    Args:
        options: What is wanted.
        progress: Called with (step, done, total) during long steps.
        watch: Called with the status of a search while it runs.

    Raises:
        LeipError: With what is wrong, where, and what to do.
    """
    from ..codegen.build import build_object
    from ..codegen.kernel_build import WorkerPool
    from ..codegen.limits import check_limits
    from ..codegen.package import LIBRARY, OutputFolder
    from ..passes.manager import PassManager

    clock = Clock()
    plugin.load(options.plugins)
    target = resolve(options.target)
    if options.verify:
        _check_runs_here(target)
    logs = given_logs(options, target)
    pool = WorkerPool(options.usable_jobs, options.plugins)
    # absolute: the compiler runs in a folder of its own
    with OutputFolder(options.output_path.absolute()) as folder, pool:
        progress("import", 0, 0)
        with clock("import"):
            model = read_graph(options.input_path, options.input_shapes)
            check_limits(model)  # before passes and choices reason about such sizes
        with clock("passes"):
            steps = make_pipeline(options.level, target, options.layout, options.usable_threads)
            manager = PassManager(steps, options.dump_ir, observer=_PassProgress(progress, steps))
            graph = manager.run(model.copy())
        build = _build_options(options, target, model, graph)
        cache = open_cache(options.cache_dir, options.plugins)
        notes = unused_notes(options)
        if options.iterations is not None:
            with clock("search"):
                tuned = _tuned(options, build, graph, logs, folder.staging, pool, cache, watch)
            graph, notes = tuned.graph, tuned.notes
            build = dataclasses.replace(build, overrides=tuned.overrides)
        result = build_object(
            graph, build, folder.staging, pool=pool, cache=cache, progress=progress
        )
        if options.dump_ir is not None:
            _dump_choices(options.dump_ir, graph, result)
        errors = {}
        if options.verify:
            progress("verify", 0, 0)
            with clock("verify"):
                errors = _verify(options, result, model, graph)
        progress("write", 0, 0)  # the last place where a compile can be called off
        files = folder.commit(result.library, result.schema)
    return CompileReport(
        path=options.output_path,
        library=options.output_path / files[LIBRARY].name,
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
        notes=(*notes, *result.notes),
    )


def _tuned(
    options: CompileOptions,
    build: BuildOptions,
    graph: Graph,
    logs: GivenLogs,
    folder: Path,
    pool: WorkerPool,
    cache: KernelCache,
    watch: Watch | None,
) -> Tuned:
    """What the graph is built with after a search, or after the log of one."""
    from .replaying import replay
    from .searching import search
    from .tuning import Job

    name = options.input_path.stem or options.input_path.resolve().name
    say = watch or (lambda status: None)
    job = Job(options, build, name, graph, logs, folder, pool, cache, say)
    return replay(job) if options.iterations == 0 else search(job)


def _build_options(
    options: CompileOptions, target: Target, model: Graph, graph: Graph
) -> BuildOptions:
    """What code generation needs to know of the options and of the model."""
    from ..codegen.build import BuildOptions
    from ..codegen.schema import ModelFacts
    from ..ir.bounds import max_ids
    from ..ir.text import print_graph

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
    from ..passes.io_layout import image_borders

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
    from ..codegen.verify import verify_object

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


def make_pipeline(level: int, target: Target, layout: str, threads: int) -> list[Pass]:
    """The passes of a level, layouts chosen by what the templates' models say of each kernel.

    Args:
        level: Optimization level 1-4.
        target: What the kernels run on.
        layout: Of image inputs and outputs; "" as in the model.
        threads: Threads that share the kernels.
    """
    from ..ir.dtypes import DType
    from ..ir.layout import Layout
    from ..passes import pipeline
    from .template_cost import TemplateCost

    cost = TemplateCost(target.lanes(DType.F32), target, threads, level)
    return pipeline(level, target, Layout.parse(layout) if layout else None, cost, cost)


def _check_runs_here(target: Target) -> None:
    """Raises UsageError if code for the target cannot be run on this machine."""
    reason = runs_here(target)
    if reason:
        raise UsageError(
            f"the object cannot be verified here: {reason}",
            "--verify",
            "compile without --verify and compare on the device",
        )


def _describe(target: Target) -> str:
    vectors = f"{target.vector_bits}-bit vectors" if target.vector_bits else "no vectors"
    return f"{target.kind} -mtriple={target.triple} -mcpu={target.cpu} ({vectors})"


def _dump_choices(folder: Path, graph: Graph, result: BuildResult) -> None:
    """The graph with the chosen template, config and reason of every kernel, and their tasks."""
    from ..ir.text import print_graph

    write_text_whole(folder / "99_chosen.txt", print_graph(graph))
    tasks = {kernel.node.outputs[0].name: kernel.task.text for kernel in result.kernels}
    for name, stem in safe_stems(tasks).items():
        write_text_whole(folder / "tasks" / f"{stem}.txt", tasks[name])


def open_cache(cache_dir: PathLike | None, plugins: Sequence[PathLike] = ()) -> KernelCache:
    """The kernel cache in a folder (None: the user's), for builds with these plugins."""
    from ..codegen.cache import KernelCache, default_folder

    folder = Path(cache_dir) if cache_dir is not None else default_folder()
    return KernelCache(folder, plugin.digest(plugins))


class _PassProgress:
    """Tells `progress` how many passes are done."""

    def __init__(self, progress: Progress, steps: Sequence[object]) -> None:
        self._progress = progress
        self._total = len(steps)
        self._done = 0

    def __call__(self, record: object, graph: Graph) -> None:
        self._done += 1
        self._progress("passes", self._done, self._total)
