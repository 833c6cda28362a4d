"""From a graph of kernels to a linked object: the one road that all commands take."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import BuildError
from ..ir import levels
from ..ir.graph import Graph, Node
from ..ir.structure import KernelAttrs
from ..ir.target import Target
from ..runtime.tail import append_tail
from ..schedules.select import Choice, Override, select
from ..schedules.task import Task
from ..schedules.template import Pack
from . import link
from .cache import KernelCache
from .constants import WeightStore, read_spool
from .elf import ElfFacts
from .kernel_build import KernelObject, Request, WorkerPool, build_kernels
from .kernel_object import entry_point, kernel_stem
from .limits import check_limits
from .package import LIBRARY
from .plan import Kernel, Plan, make_plan
from .plan_source import ObjectFacts, render
from .progress import Clock, Progress
from .resolver import checked_features
from .schema import ModelFacts, make_schema, to_json
from .toolchain import Toolchain, find_toolchain
from .views import find_views

__all__ = ["BuildOptions", "BuildResult", "ChosenKernel", "build_object", "choose_kernels"]


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        target: What for.
        threads: Threads that schedules are chosen for.
        level: Optimization level.
        cc: C compiler; "" looks for one.
        crc: Store a CRC-32 of the weights.
        model: Facts of the model for its schema.
        overrides: Choices by task key that take the place of the selection's.
    """

    target: Target
    threads: int = 1
    level: int = levels.DEFAULT
    cc: str = ""
    crc: bool = False
    model: ModelFacts = field(default_factory=ModelFacts)
    overrides: Mapping[str, Override] = field(default_factory=dict)


@dataclass(frozen=True)
class ChosenKernel:
    """A kernel node with its task, the choice for it, and how its constants are packed."""

    node: Node
    task: Task
    choice: Choice
    packs: dict[int, Pack]

    @property
    def request(self) -> Request:
        return Request(self.task, self.choice.template.name, self.choice.config.to_text())


@dataclass(frozen=True)
class BuildResult:
    """A built object.

    Attributes:
        library: The shared object, weights included, in the folder that was given.
        schema: What stands in it and belongs beside it (without the date).
        plan: Its plan.
        kernels: The kernel nodes with their choices.
        toolchain: What linked it.
        elf: Facts of the linked file.
        distinct: Number of different kernels.
        cached: Those of them that came out of the cache.
        weights_bytes: Size of the packed weights.
        object_bytes: Size of the file.
        seconds: Time of each step by name.
        notes: Things worth telling.
    """

    library: Path
    schema: dict[str, Any]
    plan: Plan
    kernels: tuple[ChosenKernel, ...]
    toolchain: Toolchain
    elf: ElfFacts
    distinct: int
    cached: int
    weights_bytes: int
    object_bytes: int
    seconds: dict[str, float]
    notes: tuple[str, ...]

    @property
    def model_id(self) -> str:
        return str(self.schema["model_id"])

    @property
    def build_id(self) -> str:
        return str(self.schema["build_id"])


def choose_kernels(
    graph: Graph, options: BuildOptions, free: Container[Node] = ()
) -> list[ChosenKernel]:
    """Choose a template and config for every kernel, and note it in the node's attributes.

    Kernels in `free` are views: they need none.
    """
    choices: dict[str, Choice] = {}
    chosen = []
    for node in graph.nodes():
        if node.op != "kernel":
            continue
        assert isinstance(node.attrs, KernelAttrs)
        if node in free:
            why = "its operands or results are contiguous pieces, placed where they belong"
            node.attrs = dataclasses.replace(node.attrs, template="view", why=why)
            continue
        task = Task.of_kernel(node, options.target, options.threads, options.level)
        if task.key not in choices:
            choices[task.key] = select(task, options.overrides.get(task.key))
        choice = choices[task.key]
        node.attrs = dataclasses.replace(
            node.attrs,
            template=choice.template.name,
            config=choice.config.to_text(),
            why=choice.why,
        )
        packs = choice.template.packs(task, choice.config)
        chosen.append(ChosenKernel(node, task, choice, packs))
    return chosen


def build_object(
    graph: Graph,
    options: BuildOptions,
    folder: Path,
    *,
    pool: WorkerPool,
    cache: KernelCache | None = None,
    progress: Progress | None = None,
) -> BuildResult:
    """Build the shared object of a graph.

    Args:
        graph: Inputs, constants, kernels and plain reshapes. Its kernels' attributes are filled
            with what was chosen.
        options: How.
        folder: Where the object is written, with files on the way in a folder of their own.
        pool: Processes that build kernels.
        cache: Kernels and engines built before.
        progress: Called with the step and how much of it is done.

    Raises:
        ModelError: A tensor is too large, or has too many dimensions, for an object.
        BuildError: No compiler, a kernel that cannot be built, or an object that needs more than
            an object may.
        OSError: A file cannot be written.
    """
    clock = Clock()
    check_limits(graph)
    toolchain = find_toolchain(options.target.triple, options.cc)
    with clock("choose"):
        views = find_views(graph)
        chosen = choose_kernels(graph, options, views.free)
    with clock("kernels"):
        objects = build_kernels(
            [kernel.request for kernel in chosen],
            pool,
            cache,
            (lambda done, total: progress("kernels", done, total)) if progress else None,
        )
    weights = WeightStore()
    with clock("plan"):
        kernels = [_plan_kernel(kernel, objects[kernel.request.key]) for kernel in chosen]
        plan = make_plan(graph, kernels, weights, views)
    used = {objects[k.request.key].symbol: objects[k.request.key].data for k in chosen}
    work = folder / "build"
    work.mkdir(parents=True, exist_ok=True)
    library = folder / LIBRARY
    with clock("weights"):
        crc = weights.spool(work / "weights") if options.crc else None
    with clock("link"):
        engine = link.compile_engine(toolchain, work, cache)
        schema = _schema(graph, plan, options, weights.bytes, crc)
        schema, elf = _link(plan, schema, options, used, engine, toolchain, weights, library)
    with clock("weights"):
        pieces = read_spool(work / "weights") if crc is not None else weights.pieces()
        tail = append_tail(library, schema["build_id"], pieces, with_crc=options.crc)
    if tail.weights_bytes != weights.bytes or tail.crc != crc:
        raise BuildError("the weights were not written as planned", str(library))
    _empty(work)
    if cache is not None:
        cache.trim()
    return BuildResult(
        library=library,
        schema=schema,
        plan=plan,
        kernels=tuple(chosen),
        toolchain=toolchain,
        elf=elf,
        distinct=len(objects),
        cached=sum(built.cached for built in objects.values()),
        weights_bytes=weights.bytes,
        object_bytes=tail.file_bytes,
        seconds=clock.seconds,
        notes=tuple(cache.notes) if cache is not None else (),
    )


def _schema(
    graph: Graph, plan: Plan, options: BuildOptions, weights_bytes: int, crc: int | None
) -> dict[str, Any]:
    return make_schema(
        graph,
        plan,
        options.target,
        options.model,
        version=__version__,
        threads=options.threads,
        level=options.level,
        features=needed_features(options.target),
        weights_bytes=weights_bytes,
        crc=crc,
    )


def _link(
    plan: Plan,
    schema: dict[str, Any],
    options: BuildOptions,
    kernels: Mapping[str, bytes],
    engine: Sequence[Path],
    toolchain: Toolchain,
    weights: WeightStore,
    library: Path,
) -> tuple[dict[str, Any], ElfFacts]:
    """Link the object; gives its schema, ids and glibc floor filled in, and its facts."""
    facts = ObjectFacts(
        threads=options.threads,
        build_id="",  # this and the schema follow: the id is a hash of the rest
        model_id=schema["model_id"],
        schema="",
        arch=options.target.triple.split("-", 1)[0],
        features=needed_features(options.target),
        weights_bytes=weights.bytes,
        crc=int(schema["weights_crc32"], 16) if options.crc else None,
    )
    build_id = _build_id(render(plan, facts), schema, kernels, weights, toolchain)
    glibc = None
    while glibc is None or schema["glibc"] != glibc:  # known once it is linked: link again
        schema = _with_ids(schema, build_id, glibc or "")
        facts = dataclasses.replace(facts, build_id=build_id, schema=to_json(schema))
        folder = library.parent / "build"
        elf = link.link_object(toolchain, render(plan, facts), kernels, engine, library, folder)
        glibc = elf.glibc
    return schema, elf


def needed_features(target: Target) -> tuple[str, ...]:
    """The features that the engine checks for before it runs a kernel."""
    known = checked_features(target.arch)
    return tuple(name for name in target.features if name in known)


def _plan_kernel(kernel: ChosenKernel, built: KernelObject) -> Kernel:
    return Kernel(
        node=kernel.node,
        entry=entry_point(built.symbol),
        stem=kernel_stem(kernel.task),
        template=kernel.choice.template.name,
        config=kernel.choice.config.to_text(),
        packs=kernel.packs,
        workspace=built.workspace,
        flops=kernel.task.flops,
        in_place=built.in_place,
    )


def _build_id(
    plan_source: str,
    schema: Mapping[str, Any],
    kernels: Mapping[str, bytes],
    weights: WeightStore,
    toolchain: Toolchain,
) -> str:
    digest = hashlib.sha256()
    for text in (
        plan_source,
        json.dumps(schema, sort_keys=True),
        link.engine_digest(),
        weights.digest,
        toolchain.version,
        *kernels,
    ):
        digest.update(text.encode() + b"\0")
    for data in kernels.values():
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()[:32]


def _with_ids(schema: Mapping[str, Any], build_id: str, glibc: str) -> dict[str, Any]:
    items = [item for item in schema.items() if item[0] not in ("build_id", "glibc")]
    at = 1 + [key for key, _ in items].index("model_id")
    return dict([*items[:at], ("build_id", build_id), ("glibc", glibc), *items[at:]])


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
