"""What the commands give back: plain figures, printed by `cli/` and returned by Python calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class CompileReport:
    """A finished compile: where the LRE folder is, and the figures of the closing table.

    Attributes:
        path: The output folder.
        library: The shared object in it.
        model_id: Id of the model.
        target: The target as it was resolved, as text for people.
        level: Optimization level.
        threads: Threads that the schedules were chosen for.
        kernels: Kernels the object calls in one inference.
        distinct_kernels: Kernels that differ and so were compiled.
        cached_kernels: Those of them that came out of the cache.
        flops: Floating-point operations of one inference.
        parameters: Number of elements of the model's constants.
        weights_bytes: Bytes of weights as stored (packed).
        arena_bytes: Memory for intermediate values.
        object_bytes: Size of the shared object.
        compiler: The C compiler that linked it.
        glibc: Lowest glibc it runs with; "" if it needs none.
        seconds: Time of each step, in order, by name.
        errors: Largest error of each output (`verify` only), by name.
        notes: Choices worth telling: what was assumed, what was not done.
    """

    path: Path
    library: Path
    model_id: str
    target: str
    level: int
    threads: int
    kernels: int
    distinct_kernels: int
    cached_kernels: int
    flops: int
    parameters: int
    weights_bytes: int
    arena_bytes: int
    object_bytes: int
    compiler: str
    glibc: str
    seconds: Mapping[str, float]
    errors: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True)
class OptReport:
    """A graph before and after passes.

    Attributes:
        before: IR text before.
        after: IR text after.
        modified: Whether anything changed.
        refusals: `rewrite: reason` of patterns that were recognised and refused.
    """

    before: str
    after: str
    modified: bool
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A titled table of an inspection."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RunReport:
    """One inference: outputs by name, the files they were written to, and its time."""

    outputs: Mapping[str, np.ndarray]
    files: Mapping[str, Path]
    random_inputs: tuple[str, ...]
    load_seconds: float
    seconds: float


@dataclass(frozen=True)
class KernelTime:
    """One kernel's share of an inference.

    Attributes:
        name, origin: In the plan, and of the ONNX node.
        template, config: What made it.
        seconds: Its best time.
        share: Of the sum over all kernels.
        gflops, gigabytes: Arithmetic, and bytes of all its operands and results, per second.
        bytes: Of all its operands and results.
        peak: Share of the arithmetic peak; 0 where that is not known.
        bound: What it is nearest to: "compute", "memory" or "overhead"; "" if not known.
    """

    name: str
    origin: str
    template: str
    config: str
    seconds: float
    share: float
    gflops: float
    gigabytes: float
    bytes: int
    peak: float
    bound: str


@dataclass(frozen=True)
class BenchmarkReport:
    """Times of repeated inference, in seconds.

    Attributes:
        samples: Time of each run.
        threads: Threads that were used.
        flops: Floating-point operations of one inference; 0 if not stored.
        peak_gflops: Peak of these threads on this machine, measured in the same run; 0 if it was
            not measured.
        kernels: Per-kernel times, the longest first (only if asked for).
    """

    samples: tuple[float, ...]
    threads: int
    flops: int = 0
    peak_gflops: float = 0.0
    kernels: tuple[KernelTime, ...] = ()

    def percentile(self, percent: float) -> float:
        return float(np.percentile(np.asarray(self.samples), percent))

    @property
    def figures(self) -> dict[str, float]:
        """min, median, p90 and p99 in milliseconds."""
        return {
            "min_ms": min(self.samples) * 1e3,
            "median_ms": self.percentile(50) * 1e3,
            "p90_ms": self.percentile(90) * 1e3,
            "p99_ms": self.percentile(99) * 1e3,
        }


@dataclass(frozen=True)
class KernelBenchReport:
    """One task: what was chosen, whether its numbers are right, and how fast it is.

    `seconds` is the best time with weights in the cache, `cold_seconds` the usual one with weights
    from memory, as in a model; 0 for a task without weights. Speeds are those of `seconds`.
    """

    task: str
    template: str
    config: str
    why: str
    error: float
    tolerance: float
    seconds: float
    cold_seconds: float
    gflops: float
    peak_gflops: float
    gigabytes: float
    peak_gigabytes: float


@dataclass(frozen=True)
class TaskRow:
    """A task in a tuning log.

    Attributes:
        task: Its key.
        name: What it computes, for people; "" if its ops are not known here.
        template: What made its kernels.
        measured: Configs that were measured.
        failed: Those of them that gave no time.
        first: Seconds of the template's default; infinite if it was not measured, or if the
            template is not there.
        best: Seconds of what the task is built with.
        config: That config as text; "" if it is the default.
    """

    task: str
    name: str
    template: str
    measured: int
    failed: int
    first: float
    best: float
    config: str

    @property
    def gain(self) -> float:
        """The part of the default's time that is saved."""
        return 1 - self.best / self.first if self.best < self.first < np.inf else 0.0


@dataclass(frozen=True)
class TuningLogReport:
    """What stands in a tuning log.

    Attributes:
        facts: What it belongs to, by name.
        tasks: One a task, those with the most measurements first.
        notes: What is damaged, or was dropped.
    """

    facts: Mapping[str, str]
    tasks: tuple[TaskRow, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CacheReport:
    """The kernel cache."""

    path: Path
    entries: int
    bytes: int
    limit: int


@dataclass(frozen=True)
class DemoReport:
    """The digits network, compiled and run.

    Attributes:
        compiled: The compile's figures.
        images: uint8 `[n, 32, 32]`.
        labels: What they show.
        answers: What the network says they show.
        median_seconds: Time of one inference.
    """

    compiled: CompileReport
    images: np.ndarray
    labels: np.ndarray
    answers: np.ndarray
    median_seconds: float
