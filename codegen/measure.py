"""What this machine can do, and how close one kernel comes to it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import BuildError, TargetError
from ..runtime import load
from ..schedules.select import Override
from ..schedules.task import Task
from .build import BuildOptions, build_object
from .cache import KernelCache
from .cold import cold_seconds
from .kernel_build import WorkerPool
from .resolver import runs_here
from .task_graph import task_graph
from .toolchain import find_toolchain, run_compiler
from .verify import tolerance_of, verify_object

__all__ = [
    "KernelFigures",
    "Peak",
    "PeakMeter",
    "bench_kernel",
    "measure_peak",
]

PEAK_SOURCE = Path(__file__).parent / "peak.c"
RUNS = 30
PAUSE = 0.2  # seconds: numpy's threads, which computed the reference, go on spinning for a while


@dataclass(frozen=True)
class Peak:
    """Measured limits of this machine for float32.

    Attributes:
        threads: How many threads took part.
        gflops: Gflop/s of multiply-adds from registers, all threads together.
        gigabytes: GB/s read from memory, all threads together.
    """

    threads: int
    gflops: float
    gigabytes: float


@dataclass(frozen=True)
class KernelFigures:
    """One kernel, measured.

    Attributes:
        template: Name of the template that made it.
        config: Its knobs.
        why: Why it was chosen.
        symbol: Its symbol.
        error: Largest error of its results.
        allowed: What is allowed.
        seconds: Best time of a call, weights in the cache.
        cold_seconds: Usual time of a call whose weights come from memory; 0 without weights.
        flops: Operations of a call.
        bytes: Bytes in and out.
    """

    template: str
    config: str
    why: str
    symbol: str
    error: float
    allowed: float
    seconds: float
    cold_seconds: float
    flops: int
    bytes: int

    @property
    def gflops(self) -> float:
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gigabytes(self) -> float:
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0


def measure_peak(threads: int, cc: str = "", cpu: str = "native") -> Peak:
    """Run a multiply-add loop and a reading loop on this machine.

    Args:
        threads: How many take part.
        cc: C compiler.
        cpu: What the loops are compiled for (`-march`): `haswell` measures 256-bit vectors.

    Raises:
        BuildError: There is no C compiler, or the program does not run.
    """
    with PeakMeter(threads, cc, cpu) as meter:
        return meter.sample()


class PeakMeter:
    """Measures the machine's limits again and again; see `measure_peak`."""

    def __init__(self, threads: int, cc: str = "", cpu: str = "native") -> None:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
            platform.machine(), platform.machine()
        )
        toolchain = find_toolchain(f"{machine}-linux-gnu", cc)
        self.threads = threads
        self._folder = tempfile.TemporaryDirectory(prefix="leip-peak-")
        folder = Path(self._folder.name)
        self._program = folder / "peak"
        flags = ["-O3", "-ffp-contract=fast", f"-march={cpu}", PEAK_SOURCE.name]
        shutil.copyfile(PEAK_SOURCE, folder / PEAK_SOURCE.name)  # its path may hold any characters
        run_compiler([*toolchain.command, *flags, "-o", "peak", "-lpthread"], folder)

    def sample(self) -> Peak:
        """Measure now, for some tenths of a second. Raises BuildError."""
        command = [str(self._program), str(self.threads)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        words = result.stdout.split()
        if result.returncode != 0 or len(words) != 2:
            raise BuildError(f"the peak measurement ended with {result.returncode}", "peak.c")
        return Peak(self.threads, float(words[0]), float(words[1]))

    def __enter__(self) -> PeakMeter:
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()


def bench_kernel(
    task: Task,
    override: Override | None = None,
    *,
    cc: str = "",
    cache: KernelCache | None = None,
    pool: WorkerPool | None = None,
) -> KernelFigures:
    """Build one kernel as an object of its own, compare it with the reference, time it.

    Args:
        task: What to compute.
        override: Template and config to take instead of the chosen ones.
        cc: C compiler.
        cache: Of kernels and engines; None is one that is thrown away.
        pool: Builds the kernel; None builds in this process.

    Raises:
        TargetError: If the task's target cannot run here.
        BuildError: If it cannot be built.
    """
    if reason := runs_here(task.target):
        raise TargetError(f"the kernel cannot run here: {reason}", "kernel bench")
    overrides = {task.key: override} if override is not None else {}
    options = BuildOptions(task.target, task.threads, task.level, cc, overrides=overrides)
    graph = task_graph(task)
    pool = pool or WorkerPool(0)
    with tempfile.TemporaryDirectory(prefix="leip-bench-") as name:
        folder = Path(name)
        cache = cache or KernelCache(folder / "cache")  # the kernel is built once for both objects
        result = build_object(graph, options, folder, pool=pool, cache=cache)
        report = verify_object(
            result.library, graph, result.plan, level=task.level, every_kernel=True
        )
        with load(str(result.library), threads=task.threads) as engine:
            feeds = engine.random_inputs(1)
            time.sleep(PAUSE)
            times = engine.profile(feeds, runs=RUNS)
        cold = cold_seconds(task, options, folder / "cold", pool, cache)
    chosen = result.kernels[0]
    worst = max(report.outputs, key=lambda output: output.error)
    if report.kernel is not None:
        worst = report.kernel
    return KernelFigures(
        chosen.choice.template.name,
        chosen.choice.config.to_text(),
        chosen.choice.why,
        result.plan.steps[0].entry,
        worst.error,
        worst.allowed or tolerance_of(task.level),
        times[0].ns / 1e9,
        cold,
        task.flops,
        task.bytes,
    )
