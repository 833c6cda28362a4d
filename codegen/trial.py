"""Measuring candidates of the search: built on all cores, then run one by one with all else quiet.

The kernels of a batch are linked with the engine's own objects into one library, so that they run
on the pool and the workspaces of a real object. A process of its own loads it, checks each kernel
against the reference and times it; whatever a kernel does to that process costs that kernel only.

Weights stand as in a model: a kernel goes through several copies of them, as many as it takes until
a copy was last read as long ago as in a run of the whole model.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import TargetError
from ..runtime import sources
from ..schedules.task import Task
from ..schedules.template import config_text
from ..search.measurer import Outcome, Trial
from ..search.record import Status
from . import link
from .cache import KernelCache
from .cold import copies_for, last_level_cache
from .kept_kernels import KeptKernels
from .kernel_build import WorkerPool
from .kernel_object import entry_point, kernel_symbol
from .kernel_worker import DIED, Errand, Failed, Job
from .plan import is_serial
from .resolver import runs_here
from .toolchain import Toolchain, find_toolchain, run_compiler
from .trial_errands import BuildTrial, Prepare, Prepared, TrialKernel
from .trial_messages import Batch, Result, Run
from .work_folder import WorkFolder, check_space, for_temporary_files
from .worker_process import WorkerProcess, receive_by, send

__all__ = ["TrialLimits", "TrialMeasurer"]

TRIAL_SOURCE = Path(__file__).parent / "trial.c"
VERSION_SCRIPT = "{ global: trial_*; __tvm_ffi_*; local: *; };\n"
MESSAGE = 300  # characters of a message that are kept


@dataclass(frozen=True)
class TrialLimits:
    """What a candidate may take, and all of them.

    Attributes:
        build: Seconds of building it.
        run: Seconds of loading, checking and timing it.
        memory: Bytes beyond its operands.
        reference: Seconds of computing what a task's result should be.
        kept: Bytes of object code of all candidates, for those that run again.
    """

    build: float = 60.0
    run: float = 10.0
    memory: int = 1 << 30
    reference: float = 600.0
    kept: int = 64 << 20


@dataclass(frozen=True)
class _Known:
    """A task that trials have come for: its operands; or why it has none."""

    task: Task
    prepared: Prepared | None
    reason: str = ""


class TrialMeasurer:
    """See `search.measurer.Measurer`. A context manager: its processes and files go with it.

    Args:
        pool: Builds. Its processes must not do anything else meanwhile.
        cc: C compiler that links.
        cache: Where the engine's objects are kept.
        model_weights: Bytes of weights that a run of the whole model reads: how cold those of one
            kernel are. None: more than the caches hold.
        limits: Of a candidate.
    """

    def __init__(
        self,
        pool: WorkerPool,
        *,
        cc: str = "",
        cache: KernelCache | None = None,
        model_weights: int | None = None,
        limits: TrialLimits | None = None,
    ) -> None:
        self._pool, self._cc, self._cache = pool, cc, cache
        self._limits = limits if limits is not None else TrialLimits()
        self._distance = last_level_cache()  # bytes read between two uses of a weight
        if model_weights is not None:
            self._distance = min(self._distance, model_weights)
        self._own = WorkFolder()
        self._folder = self._own.path
        self._linker: _Linker | None = None
        self._runner = _Runner(self._folder)
        self._tasks: dict[str, _Known] = {}
        self._kernels = KeptKernels(self._limits.kept)

    def __enter__(self) -> TrialMeasurer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._runner.close()
        self._own.close()

    # --- the protocol -------------------------------------------------------------------------

    def measure(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        """One outcome a trial, in order, each as soon as it is known.

        Raises:
            TargetError: The code cannot run here.
            BuildError: There is no compiler to link with.
            OutputError: Temporary files cannot be written.
        """
        outcomes, kernels = self._build(trials)
        try:
            for index, trial in enumerate(trials):
                if index in outcomes:
                    yield outcomes[index]
                else:
                    yield self._run([trial], [kernels[index]])[0]
        finally:
            self._clean()

    def compare(self, trials: Sequence[Trial]) -> Sequence[Outcome]:
        """The rounds of all trials in turns; as many for each.

        If one fails, the others are measured by themselves.
        """
        outcomes, kernels = self._build(trials)
        try:
            if not outcomes:
                together = self._run(trials, list(kernels.values()))
                if all(outcome.status is Status.OK for outcome in together):
                    return together
                outcomes = dict(enumerate(together))
            return self._apart(trials, kernels, outcomes)
        finally:
            self._clean()

    def _apart(
        self,
        trials: Sequence[Trial],
        kernels: Mapping[int, TrialKernel],
        outcomes: Mapping[int, Outcome],
    ) -> list[Outcome]:
        """Whose fault a failure was; those that are not to blame are measured.

        Args:
            trials: What was to run in turns.
            kernels: Those that could be built.
            outcomes: How trials failed; all of them where it is not known whose fault it is.
        """
        known = {n: one for n, one in outcomes.items() if one.status is not Status.OK}
        unclear = len(known) == len(trials) and len(kernels) == len(trials)
        alone = {
            index: self._run([trials[index]], [kernel])[0]
            for index, kernel in kernels.items()
            if unclear or index not in known
        }
        if unclear and all(outcome.status is Status.OK for outcome in alone.values()):
            alone = {}  # it happens to them together, or not always
        return [alone[n] if n in alone else known[n] for n in range(len(trials))]

    # --- building -----------------------------------------------------------------------------

    def _build(self, trials: Sequence[Trial]) -> tuple[dict[int, Outcome], dict[int, TrialKernel]]:
        """Build and link; outcomes of those that cannot be, kernels of the others."""
        with for_temporary_files():
            return self._built(trials)

    def _built(self, trials: Sequence[Trial]) -> tuple[dict[int, Outcome], dict[int, TrialKernel]]:
        self._prepare(dict.fromkeys(trial.task_text for trial in trials))
        outcomes: dict[int, Outcome] = {}
        jobs: dict[int, BuildTrial] = {}
        for index, trial in enumerate(trials):
            known = self._tasks[trial.task_text]
            if known.prepared is None:
                outcomes[index] = Outcome(Status.BUILD_ERROR, message=known.reason)
                continue
            config = config_text(trial.config)
            symbol = kernel_symbol(known.task, trial.template, _digest(trial))
            job = Job(trial.task_text, trial.template, config, symbol)
            built = self._kernels.get(_key(trial))
            packs = str(self._folder / "packs")
            jobs[index] = BuildTrial(job, known.prepared.inputs, packs, built)
        (self._folder / "packs").mkdir(exist_ok=True)
        results = self._attempted(list(jobs.values()), self._limits.build)
        kernels: dict[int, TrialKernel] = {}
        for index, result in zip(jobs, results, strict=True):
            if isinstance(result, Failed):
                outcomes[index] = _refused(result)
            else:
                self._kernels.put(_key(trials[index]), replace(result, packed={}))
                kernels[index] = result
        if kernels:
            tasks = [self._tasks[trials[index].task_text].task for index in kernels]
            self._load(list(kernels.values()), tasks[0])
        return outcomes, kernels

    def _attempted(self, jobs: Sequence[Errand], timeout: float) -> list[Any]:
        """What jobs come to. Raises OutputError if the disk is full: that is no fault of theirs."""
        results = self._pool.attempt(jobs, timeout)
        for result in results:
            if isinstance(result, Failed) and not result.expected:
                check_space(result.message)
        return results

    def _prepare(self, texts: Mapping[str, Any]) -> None:
        """References of the tasks that are new."""
        new = {text: Task.parse(text) for text in texts if text not in self._tasks}
        for text, task in new.items():
            if reason := runs_here(task.target):
                raise TargetError(f"candidates cannot run here: {reason}", "search")
            self._tasks[text] = _Known(task, None)
        errands = [
            Prepare(text, str(self._folder / f"task{len(self._tasks)}.{number}"))
            for number, text in enumerate(new)
        ]
        results = self._attempted(errands, self._limits.reference)
        died = [n for n, r in enumerate(results) if isinstance(r, Failed) and r.kind == DIED]
        if died:  # whoever killed it: all candidates of the task would be lost
            again = self._attempted([errands[n] for n in died], self._limits.reference)
            results = [*results]
            for number, result in zip(died, again, strict=True):
                results[number] = result
        for (text, task), result in zip(new.items(), results, strict=True):
            if isinstance(result, Failed):
                reason = f"no reference: {result.kind}: {result.message}"
                self._tasks[text] = _Known(task, None, reason[:MESSAGE])
            else:
                self._tasks[text] = _Known(task, result)

    def _load(self, kernels: Sequence[TrialKernel], task: Task) -> None:
        """Link kernels; the runner loads them when it is asked to run one."""
        if self._linker is None:
            self._linker = _Linker(self._folder, task.target.triple, self._cc, self._cache)
        library = self._linker.link({kernel.symbol: kernel.data for kernel in kernels})
        workspace = max(kernel.workspace for kernel in kernels)
        self._runner.batch = Batch(str(library), task.threads, workspace)

    def _clean(self) -> None:
        """Remove what only one batch needs."""
        shutil.rmtree(self._folder / "packs", ignore_errors=True)

    # --- running ------------------------------------------------------------------------------

    def _run(self, trials: Sequence[Trial], kernels: Sequence[TrialKernel]) -> list[Outcome]:
        runs = []
        for trial, kernel in zip(trials, kernels, strict=True):
            known = self._tasks[trial.task_text]
            assert known.prepared is not None
            runs.append(self._subject(known.task, known.prepared, kernel))
        answer = self._runner.ask(tuple(runs), self._limits.run * len(runs))
        if isinstance(answer, Outcome):
            return [answer] * len(runs)
        return [_outcome(result) for result in answer]

    def _subject(self, task: Task, prepared: Prepared, kernel: TrialKernel) -> Run:
        inputs = tuple(
            kernel.packed.get(index, operand) for index, operand in enumerate(prepared.inputs)
        )
        weights = sum(inputs[index].bytes for index in task.constants)
        outputs = prepared.outputs
        moved = sum(operand.bytes for operand in (*inputs, *outputs))
        return Run(
            entry_point(kernel.symbol),
            inputs,
            outputs,
            task.constants,
            copies_for(weights, self._distance),
            is_serial(task.flops, moved),
            self._limits.memory,
        )


def _key(trial: Trial) -> tuple[str, str, str]:
    return trial.task_text, trial.template, config_text(trial.config)


def _digest(trial: Trial) -> str:
    return hashlib.sha256("\n".join(_key(trial)).encode()).hexdigest()


def _refused(failed: Failed) -> Outcome:
    if failed.expected:
        return Outcome(Status.INVALID, message=failed.message[:MESSAGE])
    status = Status.TIMEOUT if failed.kind == "Timeout" else Status.BUILD_ERROR
    lines = failed.message.strip().splitlines() or [""]
    return Outcome(status, message=f"{failed.kind}: {lines[0]}"[:MESSAGE])


def _outcome(result: Result) -> Outcome:
    if result.times or not result.message:
        return Outcome(Status.OK, result.times)
    status = Status.WRONG_RESULT if result.wrong else Status.CRASH
    return Outcome(status, message=result.message[:MESSAGE])


class _Linker:
    """Links batches of kernels with the engine, which is compiled once."""

    def __init__(self, folder: Path, triple: str, cc: str, cache: KernelCache | None) -> None:
        self._folder = folder / "link"
        self._folder.mkdir()
        self._toolchain: Toolchain = find_toolchain(triple, cc)
        engine = link.compile_engine(self._toolchain, self._folder, cache)
        shutil.copyfile(TRIAL_SOURCE, self._folder / TRIAL_SOURCE.name)
        flags = link.compile_flags(self._toolchain)
        run_compiler(
            [*self._toolchain.command, *flags, "-c", TRIAL_SOURCE.name, "-o", "trial.o"],
            self._folder,
        )
        (self._folder / sources.VERSION_SCRIPT.name).write_text(VERSION_SCRIPT, encoding="ascii")
        self._objects = ["trial.o", *(path.name for path in engine)]
        self._count = 0

    def link(self, kernels: Mapping[str, bytes]) -> Path:
        """A library of kernels, under a name of its own: a path is loaded once per process."""
        for path in self._folder.glob("batch*.so"):
            path.unlink()  # what is loaded stays mapped
        names = []
        for number, data in enumerate(kernels.values()):
            names.append(f"kernel{number}.o")
            (self._folder / names[-1]).write_bytes(data)
        self._count += 1
        output = f"batch{self._count}.so"
        command = [*self._toolchain.command, *link.link_flags(self._toolchain)]
        command += [*self._objects, *names, "-o", output, *sources.LINK_LIBRARIES]
        run_compiler(command, self._folder)
        return self._folder / output


class _Runner:
    """The process that runs trials, started when it is needed and again when it died."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._worker: WorkerProcess | None = None
        self._loaded: Batch | None = None
        self.batch: Batch | None = None

    def ask(self, runs: tuple[Run, ...], timeout: float) -> list[Result] | Outcome:
        """What the runs came to; an outcome if the process died of them."""
        worker = self._start()
        deadline = time.monotonic() + timeout
        try:
            if self._loaded != self.batch:
                send(worker.stdin, self.batch)
                failed = receive_by(worker.stdout, deadline)
                self._loaded = self.batch
                if failed is not None:
                    self.close()
                    return _outcome(failed)
            send(worker.stdin, runs)
            answer: list[Result] = receive_by(worker.stdout, deadline)
            return answer
        except TimeoutError:
            self.close()
            return Outcome(Status.TIMEOUT, message=f"no end after {timeout:g} s")
        except (EOFError, BrokenPipeError):
            ended, lines = worker.ended(), worker.said()
            self.close()
            tail = f": {lines[-1]}" if lines else ""
            return Outcome(Status.CRASH, message=f"it ended with {ended}{tail}"[:MESSAGE])
        except BaseException:  # Ctrl-C: its answer must not be taken for the next one's
            self.close()
            raise

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
        self._worker = self._loaded = None

    def _start(self) -> WorkerProcess:
        if self._worker is None:
            self._worker = WorkerProcess("trial_worker", str(self._folder), apart=True)
        return self._worker
